/*
 * price_feed.h - what a token costs in USD: one source, asked every few minutes by one loop, read
 * by all. A price that is too old is none (x402.md 7.7); one that was used stays with its request.
 */
#ifndef PAYMENT_PRICE_FEED_H
#define PAYMENT_PRICE_FEED_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "net/egress.h"
#include "pricing/cost.h"

struct price_feed;

struct price_feed_options {
	const struct token_price *fixed; /* local mode: the price, for ever; NULL: ask */
	const char *url;		 /* of the source; borrowed. Answer: pricing/quote.h */
	const char *contract;		 /* the token's address as text; borrowed */
	uint32_t refresh_s, max_age_s;
};
/* One a process, before its loops run. Errors: NOMEM. */
MUST_USE struct err price_feed_new(struct price_feed **out, const struct price_feed_options *opt);
/* Asks from now on, on this loop; `e` is the loop's. Errors: SYSTEM. */
MUST_USE struct err price_feed_start(struct price_feed *f, uv_loop_t *loop, struct egress *e);
/* It was asked, and answered or failed: what there is now is all there is. */
bool price_feed_tried(struct price_feed *f);
/* Asks no more, before `e` is freed; the loop still has to close the timer. NULL is fine. */
void price_feed_stop(struct price_feed *f);
/* Once the loop is closed. NULL is fine. */
void price_feed_free(struct price_feed *f);

struct price {
	struct token_price usd;
	uint64_t unix_s; /* when the source said so */
};
/* From any loop. False: there is none that is young enough (503 price_unavailable). */
bool price_feed_get(struct price_feed *f, struct price *out);
/* The object of /health (opengradient.md 3); f NULL: of a gateway that sells nothing. */
void price_feed_put_status(struct price_feed *f, struct buf *b);

#endif
