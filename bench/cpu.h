/*
 * cpu.h - what other processes have spent, for the measuring tools.
 */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * User and system time of these processes so far, all threads, in microseconds; the kernel's own
 * grain is 1/100 s. False when one of them cannot be read.
 * Source: proc(5), /proc/PID/stat
 */
bool cpu_spent_us(const uint64_t *pid, size_t pids, uint64_t *us);

#endif
