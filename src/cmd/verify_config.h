/*
 * verify_config.h - the published configuration held against the one that is expected. Pure.
 * Source: interfaces.md R9, section 10.
 */
#ifndef CMD_VERIFY_CONFIG_H
#define CMD_VERIFY_CONFIG_H

#include <stdbool.h>

#include "codec/json.h"
#include "core/arena.h"
#include "core/err.h"
#include "core/span.h"

/*
 * Whether two objects have the same members, each with the same value, however they are written. If
 * not, *member is the first, by name, that only one of them has or that differs; it lives in `a` or a
 * document. Errors: NOMEM, REFUSED (a number that is none)
 */
MUST_USE struct err config_compare(const struct json *x, uint32_t at_x, const struct json *y,
    uint32_t at_y, struct arena *a, bool *same, struct span *member);

#endif
