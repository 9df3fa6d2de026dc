/*
 * keys_body.h - the JSON that an operator provisions: validated whole, or not at all. Pure.
 * Source: interfaces.md P1, M6; opengradient.md 9.
 */
#ifndef GATEWAY_KEYS_BODY_H
#define GATEWAY_KEYS_BODY_H

#include <stdbool.h>

#include "core/span.h"
#include "gateway/settings.h"
#include "provider/refusal.h"

/* What the operator may say depends on where we are. */
struct shop_policy;
struct keys_rules {
	bool enclave;
	const struct shop_policy *policy; /* of an enclave: which facilitators it may use */
};

/*
 * Reads `text` into *s, which holds what counts for members that are unset (absent, null or ""), and
 * no keys. False: *no names the member, never its value; *s is then to be freed.
 */
bool
keys_read(struct settings *s, struct span text, const struct keys_rules *rules, struct refusal *no);
/* {"status":"ok","providers_initialized":[...],"heartbeat_enabled":...} */
void keys_put_answer(struct buf *b, const struct settings *s);

#endif
