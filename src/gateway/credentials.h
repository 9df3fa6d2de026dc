/*
 * credentials.h - the providers' credentials on their way through the key holder (K3): it keeps them
 * for every worker, so that the supervisor need not. Format: docs/keyholder-protocol.md.
 */
#ifndef GATEWAY_CREDENTIALS_H
#define GATEWAY_CREDENTIALS_H

#include "core/buf.h"
#include "core/err.h"
#include "gateway/gateway.h"

enum { CREDENTIALS_MAX_BYTES = 16384 };

/*
 * Moves every upstream's credential out of *gw into *b (made by buf_init). Never empty: without any
 * there is the version. Errors: TOO_LARGE; those of *gw are wiped in any case.
 */
MUST_USE struct err credentials_take(struct gateway *gw, struct buf *b);
/* Back again, in another process. Errors: MALFORMED (then some may be there), NOMEM. */
MUST_USE struct err credentials_give(struct gateway *gw, struct span s);

#endif
