/*
 * Answers of a facilitator, to each question: what counts as settled fits what was asked, and no
 * text of its answers comes through but identifiers.
 */
#include <stdlib.h>

#include "core/limits.h"
#include "x402/facilitator_words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
words_only(const char *text, size_t max, bool dash)
{
	size_t n = 0;

	for (; text[n] != '\0'; n++)
		if (!((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') ||
			(text[n] >= '0' && text[n] <= '9') || text[n] == '_' ||
			(dash && text[n] == '-')))
			abort();
	if (n > max)
		abort();
}

static void
judged(struct err e, const struct facilitator_settlement *s, const struct facilitator_asked *asked)
{
	words_only(s->reason.text, FACILITATOR_REASON_MAX, false);
	words_only(s->job, FACILITATOR_JOB_MAX, true);
	if (failed(e))
		return;
	if (s->outcome == SETTLEMENT_SETTLED &&
	    (u256_cmp(s->amount, asked->amount) != 0 ||
		(!s->has_transaction && !u256_is_zero(asked->amount))))
		abort();
	if (s->outcome == SETTLEMENT_OVERCHARGED && u256_cmp(s->amount, asked->amount) <= 0)
		abort();
	if ((s->outcome == SETTLEMENT_JOB && s->job[0] == '\0') ||
	    (s->outcome == SETTLEMENT_UNCLEAR) != (s->what != NULL) ||
	    (s->outcome == SETTLEMENT_REFUSED && s->reason.text[0] == '\0'))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct facilitator_asked asked = { .network = SPAN_LIT("eip155:8453"),
		.amount = u256_of(5) };
	struct facilitator_supported supported;
	struct facilitator_settlement s;
	struct facilitator_verify v;
	struct span body;
	struct err e;

	if (size == 0 || size > FACILITATOR_ANSWER_MAX_BYTES + 64)
		return 0;
	/* A payer of the recorded answers, and nothing to move for some. */
	if (!address_parse(&asked.payer, SPAN_LIT("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")))
		abort();
	if (data[0] % 4 == 3)
		asked.amount = U256_ZERO;
	body = span_of(data + 1, size - 1);
	e = facilitator_supported_read(&supported, body, asked.network);
	if (e.code != ERR_OK && e.code != ERR_MALFORMED && e.code != ERR_REFUSED)
		abort();
	e = facilitator_verify_read(&v, body, &asked.payer);
	words_only(v.reason.text, FACILITATOR_REASON_MAX, false);
	if (failed(e) ? v.valid : v.valid != (v.reason.text[0] == '\0'))
		abort();
	e = facilitator_settle_read(&s, body, &asked);
	judged(e, &s, &asked);
	e = facilitator_job_read(&s, body, SPAN_LIT("payment-1"), &asked);
	judged(e, &s, &asked);
	return 0;
}
