/*
 * policy.h - the measured policy: what is offered and to whom, within which limits (A6). Its
 * schema is docs/policy.schema.json. Features read their part when they arrive; the whole file is
 * hashed into the published configuration today.
 */
#ifndef GATEWAY_POLICY_H
#define GATEWAY_POLICY_H

#include "core/err.h"
#include "core/span.h"

/* Errors: MALFORMED (no JSON object, or a name twice), REFUSED (schema, unknown member). */
MUST_USE struct err policy_check(struct span text);

#endif
