/*
 * facilitator_words.h - what is said to a facilitator, and what it answers. Pure.
 * Source: x402.md 2, 3; vectors/x402/facilitator-transcript.json.
 *
 * Answers are a stranger's bytes: at most FACILITATOR_ANSWER_MAX_BYTES, read by x402_json().
 * Unknown members are ignored; optional ones may be null. Names in answers are compared as bytes.
 */
#ifndef X402_FACILITATOR_WORDS_H
#define X402_FACILITATOR_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "core/u256.h"
#include "crypto/address.h"
#include "x402/requirements.h"

enum {
	FACILITATOR_REASON_MAX = 64, /* bytes of an identifier */
	FACILITATOR_JOB_MAX = 96,
	TRANSACTION_BYTES = 32,
};

/*
 * A facilitator's own word for a failure: what stands before a colon, letters, digits and `_` only,
 * else "refused_by_facilitator": free text may hold addresses, hosts and calldata (x402.md 7.10).
 */
struct facilitator_reason {
	char text[FACILITATOR_REASON_MAX + 1]; /* NUL-terminated; "" when there is none */
};

/* GET /supported */
struct facilitator_supported {
	struct address facilitator; /* who may settle `upto` on our network */
	bool gas_sponsoring;	    /* erc20ApprovalGasSponsoring is listed */
};
/*
 * Errors: MALFORMED (not the shape), REFUSED (no kind {2, upto, our network} with an address).
 */
MUST_USE struct err
facilitator_supported_read(struct facilitator_supported *s, struct span body, struct span network);

/* Body of POST /verify (amount: the cap) and POST /settle (amount: the charge). payment: x402_payment.text */
void facilitator_put_request(struct buf *b, struct span payment, const struct x402_terms *t,
    struct u256 amount, const struct address *facilitator);

/* Answer to POST /verify. */
struct facilitator_verify {
	bool valid; /* isValid, and payer (if said) is who we think */
	struct facilitator_reason reason;
};
/* Errors: MALFORMED. A valid answer that names another payer is MALFORMED too. */
MUST_USE struct err facilitator_verify_read(
    struct facilitator_verify *v, struct span body, const struct address *payer);

/* What an answer to POST /settle or GET /settle/<job> is compared with. */
struct facilitator_asked {
	struct span network;
	struct address payer;
	struct u256 amount; /* the charge; not above the cap */
};
enum settlement {
	SETTLEMENT_SETTLED,	/* success, and every field fits what was asked */
	SETTLEMENT_REFUSED,	/* success:false, or a job that failed: reason says why */
	SETTLEMENT_JOB,		/* 202: queued; ask again with `job` */
	SETTLEMENT_PENDING,	/* success:false, reason "settlement_pending": sent, not final */
	SETTLEMENT_UNCLEAR,	/* success, but a field does not fit: it counts as nothing */
	SETTLEMENT_OVERCHARGED, /* success, but for more than was asked: evidence (M6) */
};
struct facilitator_settlement {
	enum settlement outcome;
	const char *what; /* UNCLEAR: which field; a literal */
	struct facilitator_reason reason;
	char job[FACILITATOR_JOB_MAX + 1]; /* letters, digits, `-`, `_`: fit for a path */
	bool has_transaction;
	uint8_t transaction[TRANSACTION_BYTES];
	struct u256 amount; /* moved: as answered, else as asked */
};
/*
 * Reads the body of an answer to POST /settle of status 200 or 202: the shape says which it is. A
 * negative answer may come with other statuses too; success is success with 200 only (the caller's
 * to see to).
 * Errors: MALFORMED: nothing is known.
 */
MUST_USE struct err facilitator_settle_read(
    struct facilitator_settlement *s, struct span body, const struct facilitator_asked *asked);
/*
 * The same for GET /settle/<job>: {jobId, status, result, error}, alone or as paymentJob. JOB while it
 * has neither result nor error. The job id must be the one that was asked for.
 */
MUST_USE struct err facilitator_job_read(struct facilitator_settlement *s, struct span body,
    struct span job, const struct facilitator_asked *asked);

#endif
