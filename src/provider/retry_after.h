/*
 * retry_after.h - when a provider wants to be asked again, in whole seconds, rounded up. Pure.
 * Source: RFC 9110 10.2.3, 5.6.7; providers.md 2.3.
 */
#ifndef PROVIDER_RETRY_AFTER_H
#define PROVIDER_RETRY_AFTER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/span.h"

/* All return false, and leave *s alone, on anything else; a time that has passed is 0 seconds. */

/* Retry-After: seconds (a fraction is taken, too), or an IMF-fixdate. */
bool retry_after(struct span value, uint64_t now_unix_s, unsigned *s);
/* retry-after-ms: milliseconds. */
bool retry_after_ms(struct span value, unsigned *s);
/* google.rpc.RetryInfo's retryDelay: "34.4s". */
bool retry_delay(struct span value, unsigned *s);

#endif
