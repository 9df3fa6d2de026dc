/*
 * watch.h - starts what the plan names and stays until one that is vital has ended.
 */
#ifndef INIT_WATCH_H
#define INIT_WATCH_H

#include "init/plan.h"

enum { WATCH_PAUSE_MS = 1000, WATCH_WINDOW_S = 600 };

/*
 * Starts the processes with exactly their argv and environment, each in a session of its own; reaps
 * whatever ends in this process namespace. One that is not vital is started again after
 * WATCH_PAUSE_MS, `restarts` times within WATCH_WINDOW_S. All signals are blocked, and are not for
 * what is started. Returns when the enclave is to end; why is on standard error.
 */
void watch(const struct plan *p);

#endif
