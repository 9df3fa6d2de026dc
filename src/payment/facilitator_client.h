/*
 * facilitator_client.h - the facilitator of payment/facilitator.h, over HTTP. Source: x402.md 3.
 *
 * One a loop; not for other threads. Nothing is sent twice from here: what to do about a lost
 * answer is for those who asked.
 */
#ifndef PAYMENT_FACILITATOR_CLIENT_H
#define PAYMENT_FACILITATOR_CLIENT_H

#include "core/err.h"
#include "net/egress.h"
#include "payment/facilitator.h"
#include "x402/facilitator_words.h"
#include "x402/requirements.h"
#include "x402/settle_data.h"

struct facilitator_client;

/* The kinds of requests; polls of a job are SETTLE. */
enum facilitator_endpoint {
	FACILITATOR_SUPPORTED,
	FACILITATOR_VERIFY,
	FACILITATOR_SETTLE,
	FACILITATOR_SETTLE_DATA,
	FACILITATOR_ENDPOINTS
};

struct facilitator_client_options {
	struct egress *egress;
	/* Network, name and version of the asset: what permits do not carry. Its spans are borrowed. */
	const struct x402_terms *terms;
	/* Fields of each kind beyond those of JSON, "Name: value"; "" and NULL end them. Borrowed. */
	const char *(*field)(const void *ctx, enum facilitator_endpoint endpoint, size_t i);
	const void *field_ctx; /* field NULL: none */
};
/* Errors: NOMEM. */
MUST_USE struct err facilitator_client_new(
    struct facilitator_client **out, const struct facilitator_client_options *opt);
/*
 * Whom to ask from now on: a URL without a slash at its end, copied. Before the first call. Calls
 * under way stay where they are. Errors: NOMEM.
 */
MUST_USE struct err facilitator_client_point(struct facilitator_client *f, const char *url);
/* Cancels what runs. NULL is fine. */
void facilitator_client_free(struct facilitator_client *f);

/* Settle, poll, verify; good as long as the client is. */
struct facilitator facilitator_client_as(struct facilitator_client *f);

/* GET /supported. `done` as in facilitator.h; s NULL: no usable answer, and why. */
typedef void
facilitator_supported_fn(void *ctx, const struct facilitator_supported *s, const char *why);
/* NULL: no memory. Ends with facilitator.cancel(), too. */
struct facilitator_call *facilitator_client_supported(
    struct facilitator_client *f, facilitator_supported_fn *done, void *ctx);

/*
 * POST /settle_data: files the proof of an answer, in the background. Nobody is told how it ended
 * but the log. Above FILINGS_MAX under way it is dropped. INDIVIDUAL that does not fit a head becomes
 * BATCH.
 */
void facilitator_client_file(
    struct facilitator_client *f, enum settle_data_type type, const struct settle_data *d);

#endif
