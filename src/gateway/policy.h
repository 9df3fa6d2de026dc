/*
 * policy.h - the measured policy: what is offered and to whom, within which limits (A6). Its
 * schema is docs/policy.schema.json. Features read their part; the whole file is hashed into the
 * published configuration.
 */
#ifndef GATEWAY_POLICY_H
#define GATEWAY_POLICY_H

#include <stdbool.h>

#include "core/err.h"
#include "core/span.h"

/* Errors: MALFORMED (no JSON object, or a name twice), REFUSED (schema, unknown member). */
MUST_USE struct err policy_check(struct span text);

/* Which forms of provisioning are taken (P3), and whether debug mode takes any (P4). */
struct policy_provisioning {
	bool plain, sealed, debug;
};
/* Both forms, and not in debug mode, unless the policy says otherwise. Errors: MALFORMED, REFUSED */
MUST_USE struct err policy_provisioning_read(struct policy_provisioning *p, struct span text);

#endif
