/*
 * keys.h - POST /v1/keys: the operator's one provisioning, plain or sealed.
 *
 * Everything is ready before it is committed: read, validated, published configuration written and
 * signed. Then the key holder decides (K3), and what follows cannot fail.
 * Source: interfaces.md section 9.
 */
#ifndef GATEWAY_KEYS_H
#define GATEWAY_KEYS_H

#include "gateway/posted.h"

/* Judges the head: may answer at once, then NULL. */
struct posted *
keys_begin(struct loop *loop, struct exchange *x, const struct http_head *head, const char *route);

#endif
