/*
 * heartbeat_port.h - the heartbeat of a worker, wired: the key holder signs, loop 0's egress posts,
 * its timer waits. Beside the requests: they share nothing with it but the loop's turns.
 */
#ifndef GATEWAY_HEARTBEAT_PORT_H
#define GATEWAY_HEARTBEAT_PORT_H

#include "core/err.h"
#include "gateway/call.h"

struct heart;

/* On loop 0, before its thread is started; begins with the settings of then. Errors: NOMEM. */
MUST_USE struct err heart_start(struct heart **out, struct loop *loop);
/* The gateway's settings have changed. From any thread, until the loops have ended. NULL is fine. */
void heart_wake(struct heart *h);
/* No more beats; nothing of it is under way any more. On loop 0. NULL is fine; safe twice. */
void heart_stop(struct heart *h);
/* With the loop's other handles, after heart_stop(); heart_free() once they are closed. */
void heart_close(struct heart *h);
void heart_free(struct heart *h);

void heart_get_status(struct call *c);

#endif
