/*
 * heartbeat.h - tells the host that the enclave has booted. Source: nitro-attestation.md 7, step 4.
 */
#ifndef INIT_HEARTBEAT_H
#define INIT_HEARTBEAT_H

#include <stdint.h>

#include "core/err.h"

enum { HEARTBEAT_PORT = 9000, HEARTBEAT_BYTE = 0xb7 };

/*
 * Connects to the host, writes the byte, reads the same one back; within timeout_ms in all.
 * Errors: TIMEOUT; SYSTEM (nobody listens there, it closed); MALFORMED (another byte)
 */
MUST_USE struct err heartbeat(uint32_t timeout_ms);

#endif
