/*
 * pay.h - one request, from the side of money: priced, paid, reserved, charged. Its steps stand
 * between validation and admission (E2); docs/charging.md says what they charge.
 * Source: interfaces.md 8; x402.md 4.5, 5.1, 6; PAY-* of the threat model.
 */
#ifndef GATEWAY_PAY_H
#define GATEWAY_PAY_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/verify.h"
#include "payment/ledger.h"
#include "payment/price_feed.h"
#include "pricing/cost.h"
#include "receipt/receipt.h"
#include "x402/payment.h"
#include "x402/requirements.h"
#include "x402/settle_data.h"

struct rq;

enum { PAY_TOKEN_LEN = 2 * LEDGER_SECRET_LEN }; /* X-Upto-Session, hex */

/* Zeroed: nothing has to be paid. Spans live in the request's arena. */
struct pay {
	bool due;	    /* a price was fixed: this request is paid for */
	struct price price; /* as it was then (x402.md 7.7) */
	struct tariff tariff;
	uint64_t prompt_tokens; /* at most (M2) */
	uint64_t limit;		/* output tokens a choice, as they are sent upstream (C7) */
	uint32_t pictures;	/* that were asked for, of a model that is paid by them */
	bool limited;		/* money lowered it (M3) */
	struct x402_terms terms;
	bool bears; /* over this connection a session's secret may travel (M5) */
	struct x402_payment payment;
	struct ledger_permit permit;
	struct verify_wait verify;
	struct ledger_session session;
	bool joined; /* `session` is there */
	struct ledger_hold hold;
	char token[PAY_TOKEN_LEN + 1]; /* for the answer's X-Upto-Session; "": none. Secret */
	struct span required;	       /* PAYMENT-REQUIRED, of a 402 */
	enum settle_data_type filing;
	struct u256 charged, session_total;
};

/* What the claim's spans point to. */
struct pay_text {
	char asset[ADDRESS_LEN], payer[ADDRESS_LEN], pay_to[ADDRESS_LEN], facilitator[ADDRESS_LEN];
	char nonce[U256_DIGITS], cap[U256_DIGITS], charged[U256_DIGITS], total[U256_DIGITS];
};

/* The longest that the provider may take, of `total_ms`: the permit must outlive the answer. */
uint32_t pay_total_ms(const struct rq *rq, uint32_t total_ms);
/* M4: what the answer costs as it stands now. Before the receipt is written; may come twice. */
void pay_charge(struct rq *rq);
/* S5: `,"opengradient":{...}` of a paid answer. */
void pay_put_block(const struct rq *rq, struct buf *b);
/* R7: claims `payment` and `limit`. */
void pay_claim(const struct rq *rq, struct receipt *r, struct pay_text *text);
/* The receipt is signed and leaves next: the charge lasts. Without a receipt nothing is charged. */
void pay_commit(struct rq *rq);
/* Files the proof of a complete answer, unless it is private. Before what is in line leaves. */
void pay_file(struct rq *rq);
/* Lets go of everything, also of what was not charged. */
void pay_fini(struct rq *rq);

#endif
