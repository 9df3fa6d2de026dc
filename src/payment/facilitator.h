/*
 * facilitator.h - what we ask of a facilitator, whoever implements it. Source: x402.md 3.
 *
 * All calls are asynchronous, on one loop, and have deadlines of their own: `done` comes exactly
 * once, never before the function that started the call has returned, and not after cancel(). The
 * outcome and all it points to are borrowed for the length of `done`. What is passed in is copied.
 */
#ifndef PAYMENT_FACILITATOR_H
#define PAYMENT_FACILITATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "core/span.h"
#include "core/u256.h"
#include "payment/terms.h"

enum facilitator_result {
	/*
	 * verify: valid. settle, poll: the money moved, and every field of the answer fits what was
	 * asked for: success, a transaction, network, payer when given, and exactly our amount.
	 */
	FACILITATOR_AGREED,
	FACILITATOR_REFUSED, /* a well-formed no */
	FACILITATOR_PENDING, /* settle: 202, with a job; poll: the job is not final */
	/*
	 * It certainly did nothing: no connection, or 429, or 503. A poll or verify without a usable
	 * answer is this too.
	 */
	FACILITATOR_UNAVAILABLE,
	/*
	 * settle: it was sent, and no usable answer came (lost, timed out, garbled, other 5xx, fields
	 * that do not fit). poll: the job is not known there. Neither success nor failure.
	 */
	FACILITATOR_UNKNOWN,
};

struct facilitator_outcome {
	enum facilitator_result result;
	/*
	 * The identifier of a refusal, or a word of ours: printable, at most 64 bytes, fit for a 402
	 * and for the log (x402.md 7.10). Never NULL.
	 */
	const char *reason;
	bool payer_caused; /* REFUSED: balance, allowance, nonce: the payer could have helped it */
	bool overcharged;  /* UNKNOWN: it claims to have moved more than we asked for (M6) */
	struct span transaction; /* AGREED of settle and poll: 0x and hex */
	struct span job;	 /* PENDING of settle */
	uint32_t retry_after_s;	 /* UNAVAILABLE: 0: it did not say */
};

/* One permit, as settle and verify send it. */
struct facilitator_payment {
	struct permit_key key;
	struct payment_terms terms;
	struct span payload; /* JSON of the paymentPayload */
};

struct facilitator_call;
typedef void (*facilitator_done)(void *ctx, const struct facilitator_outcome *outcome);

/* `self` is the implementation's; a NULL call means that there was no memory: nothing was sent. */
struct facilitator {
	void *self;
	/* Moves `amount`, which is at most payment->terms.cap and not 0. */
	struct facilitator_call *(*settle)(void *self, const struct facilitator_payment *payment,
	    struct u256 amount, facilitator_done done, void *ctx);
	/* The state of a job that settle() answered with PENDING. `expect` is what it was to move. */
	struct facilitator_call *(*poll)(void *self, struct span job,
	    const struct facilitator_payment *payment, struct u256 expect, facilitator_done done,
	    void *ctx);
	/* Whether the permit could be settled now, at its cap. */
	struct facilitator_call *(*verify)(void *self, const struct facilitator_payment *payment,
	    facilitator_done done, void *ctx);
	void (*cancel)(struct facilitator_call *call); /* `done` will not come; NULL is fine */
};

#endif
