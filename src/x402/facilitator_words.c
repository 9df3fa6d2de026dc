#include "x402/facilitator_words.h"

#include <string.h>

#include "codec/hex.h"
#include "codec/json.h"
#include "core/limits.h"
#include "x402/header.h"

/* For negative answers that give no reason, or one that is no identifier. */
static const char no_word[] = "refused_by_facilitator";

static bool
plain(const struct json *doc, uint32_t object, const char *name, struct span *out)
{
	return x402_plain(doc, json_get(doc, object, name), out);
}

static bool
present(const struct json *doc, uint32_t object, const char *name)
{
	return x402_present(doc, json_get(doc, object, name));
}

static bool
boolean(const struct json *doc, uint32_t object, const char *name, bool *out)
{
	uint32_t at = json_get(doc, object, name);

	if (at == JSON_NONE ||
	    (json_type(doc, at) != JSON_TRUE && json_type(doc, at) != JSON_FALSE))
		return false;
	*out = json_type(doc, at) == JSON_TRUE;
	return true;
}

static bool
is_word(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    c == '_';
}

/* Copies what stands before a colon if it is a word, else no_word. */
static void
take_reason(struct facilitator_reason *r, const struct json *doc, uint32_t object, const char *name)
{
	struct span text = SPAN_NONE;
	uint32_t at = json_get(doc, object, name);
	size_t n = 0;

	if (at != JSON_NONE && json_type(doc, at) == JSON_STRING)
		text = json_inner(doc, at);
	while (n < text.n && is_word(text.p[n]))
		n++;
	if (n == 0 || n > FACILITATOR_REASON_MAX || (n < text.n && text.p[n] != ':')) {
		text = span_str(no_word);
		n = text.n;
	}
	memcpy(r->text, text.p, n);
	r->text[n] = '\0';
}

static struct err
open_answer(struct json *doc, struct span body)
{
	if (body.n > FACILITATOR_ANSWER_MAX_BYTES)
		return FAIL(MALFORMED, "facilitator: an answer above 64 KiB");
	if (failed(x402_json(doc, body)))
		return FAIL(MALFORMED, "facilitator: an answer that is no JSON we take");
	if (json_type(doc, 0) == JSON_OBJECT)
		return OK;
	json_fini(doc);
	return FAIL(MALFORMED, "facilitator: an answer that is no object");
}

/* {x402Version: 2, scheme: "upto", network, extra: {facilitatorAddress}} */
static bool
read_kind(
    struct facilitator_supported *s, const struct json *doc, uint32_t kind, struct span network)
{
	struct span scheme, on, address;
	uint64_t version;

	return json_u64(doc, json_get(doc, kind, "x402Version"), UINT32_MAX, &version) &&
	    version == 2 && plain(doc, kind, "scheme", &scheme) &&
	    span_eq(scheme, SPAN_LIT("upto")) && plain(doc, kind, "network", &on) &&
	    span_eq(on, network) &&
	    plain(doc, json_get(doc, kind, "extra"), "facilitatorAddress", &address) &&
	    address_parse(&s->facilitator, address);
}

static struct err
read_supported(struct facilitator_supported *s, const struct json *doc, struct span network)
{
	uint32_t kinds = json_get(doc, 0, "kinds"), extensions = json_get(doc, 0, "extensions");
	bool found = false;

	if (kinds == JSON_NONE || json_type(doc, kinds) != JSON_ARRAY)
		return FAIL(MALFORMED, "facilitator: /supported without kinds");
	for (uint32_t c = json_first(doc, kinds); c != JSON_NONE && !found;
	     c = json_after(doc, kinds, c))
		found = read_kind(s, doc, c, network);
	if (!found)
		return FAIL(REFUSED, "facilitator: does not settle upto on our network");
	if (!x402_present(doc, extensions))
		return OK;
	if (json_type(doc, extensions) != JSON_ARRAY)
		return FAIL(MALFORMED, "facilitator: /supported with odd extensions");
	for (uint32_t c = json_first(doc, extensions); c != JSON_NONE;
	     c = json_after(doc, extensions, c))
		s->gas_sponsoring |= json_is(doc, c, "erc20ApprovalGasSponsoring");
	return OK;
}

struct err
facilitator_supported_read(struct facilitator_supported *s, struct span body, struct span network)
{
	struct json doc;
	struct err e;

	*s = (struct facilitator_supported){ .gas_sponsoring = false };
	TRY(open_answer(&doc, body));
	e = read_supported(s, &doc, network);
	json_fini(&doc);
	return e;
}

void
facilitator_put_request(struct buf *b, struct span payment, const struct x402_terms *t,
    struct u256 amount, const struct address *facilitator)
{
	buf_put_str(b, "{\"x402Version\":2,\"paymentPayload\":");
	buf_put(b, payment);
	buf_put_str(b, ",\"paymentRequirements\":");
	x402_put_requirements(b, t, amount, facilitator);
	buf_put_byte(b, '}');
}

/* Absent and null say nothing; anything else must be this address. */
static bool
payer_fits(const struct json *doc, uint32_t object, const struct address *payer)
{
	struct address said;
	struct span text;

	if (!present(doc, object, "payer"))
		return true;
	return plain(doc, object, "payer", &text) && address_parse(&said, text) &&
	    address_eq(&said, payer);
}

static struct err
read_verify(struct facilitator_verify *v, const struct json *doc, const struct address *payer)
{
	if (!boolean(doc, 0, "isValid", &v->valid))
		return FAIL(MALFORMED, "facilitator: /verify without isValid");
	if (!v->valid)
		take_reason(&v->reason, doc, 0, "invalidReason");
	else if (!payer_fits(doc, 0, payer))
		return FAIL(MALFORMED, "facilitator: /verify speaks of another payer");
	return OK;
}

struct err
facilitator_verify_read(struct facilitator_verify *v, struct span body, const struct address *payer)
{
	struct json doc;
	struct err e;

	*v = (struct facilitator_verify){ .valid = false };
	TRY(open_answer(&doc, body));
	e = read_verify(v, &doc, payer);
	json_fini(&doc);
	if (failed(e))
		v->valid = false;
	return e;
}

static void
unclear(struct facilitator_settlement *s, const char *what)
{
	s->outcome = SETTLEMENT_UNCLEAR;
	s->what = what;
}

/* 0x and 32 bytes; "" when nothing was to be moved. */
static bool
read_transaction(struct facilitator_settlement *s, const struct json *doc, uint32_t at)
{
	struct span text;

	if (!plain(doc, at, "transaction", &text))
		return false;
	if (text.n == 0)
		return true;
	if (text.n != 2 + 2 * TRANSACTION_BYTES || text.p[0] != '0' || text.p[1] != 'x' ||
	    failed(hex_parse(s->transaction, TRANSACTION_BYTES, span_cut(text, 2, text.n))))
		return false;
	s->has_transaction = true;
	return true;
}

/* A success counts when every field says what was asked for (PAY-15). */
static void
judge_success(struct facilitator_settlement *s, const struct json *doc, uint32_t at,
    const struct facilitator_asked *asked)
{
	struct span text;

	s->outcome = SETTLEMENT_SETTLED;
	if (present(doc, at, "amount")) {
		if (!plain(doc, at, "amount", &text) || !u256_parse(&s->amount, text)) {
			s->amount = asked->amount;
			unclear(s, "settle: amount is no number");
			return;
		}
		if (u256_cmp(s->amount, asked->amount) > 0) {
			s->outcome = SETTLEMENT_OVERCHARGED;
			return;
		}
	}
	if (u256_cmp(s->amount, asked->amount) != 0)
		unclear(s, "settle: less was moved than asked");
	else if (!plain(doc, at, "network", &text) || !span_eq(text, asked->network))
		unclear(s, "settle: another network");
	else if (!payer_fits(doc, at, &asked->payer))
		unclear(s, "settle: another payer");
	else if (!s->has_transaction && !u256_is_zero(asked->amount))
		unclear(s, "settle: no transaction");
}

/* A SettleResponse, of an answer or of a job. */
static struct err
read_settle(struct facilitator_settlement *s, const struct json *doc, uint32_t at,
    const struct facilitator_asked *asked)
{
	bool success, transaction;

	if (!boolean(doc, at, "success", &success))
		return FAIL(MALFORMED, "facilitator: /settle without success");
	transaction = read_transaction(s, doc, at);
	if (!success) {
		take_reason(&s->reason, doc, at, "errorReason");
		s->outcome = strcmp(s->reason.text, "settlement_pending") == 0 ? SETTLEMENT_PENDING
									       : SETTLEMENT_REFUSED;
	} else if (!transaction) {
		unclear(s, "settle: transaction is no hash");
	} else {
		judge_success(s, doc, at, asked);
	}
	return OK;
}

static bool
is_job_byte(uint8_t c)
{
	return is_word(c) || c == '-';
}

static struct err
read_job(struct facilitator_settlement *s, const struct json *doc, uint32_t at,
    const struct facilitator_asked *asked)
{
	uint32_t result = json_get(doc, at, "result");
	struct span job, status;
	size_t n = 0;

	if (!plain(doc, at, "jobId", &job))
		return FAIL(MALFORMED, "facilitator: a job without jobId");
	while (n < job.n && is_job_byte(job.p[n]))
		n++;
	if (n == 0 || n != job.n || n > FACILITATOR_JOB_MAX)
		return FAIL(MALFORMED, "facilitator: a jobId that fits no path");
	memcpy(s->job, job.p, n);
	s->job[n] = '\0';
	if (present(doc, at, "result")) {
		if (json_type(doc, result) != JSON_OBJECT)
			return FAIL(MALFORMED, "facilitator: a job's result is no object");
		return read_settle(s, doc, result, asked);
	}
	s->outcome = SETTLEMENT_JOB;
	/* An empty text says that there was none. */
	if ((present(doc, at, "error") && !json_is(doc, json_get(doc, at, "error"), "")) ||
	    (plain(doc, at, "status", &status) && span_eq(status, SPAN_LIT("failed")))) {
		s->outcome = SETTLEMENT_REFUSED;
		take_reason(&s->reason, doc, at, "error");
	}
	return OK;
}

static void
begin(struct facilitator_settlement *s, const struct facilitator_asked *asked)
{
	*s = (struct facilitator_settlement){ .outcome = SETTLEMENT_UNCLEAR };
	s->amount = asked->amount;
}

struct err
facilitator_settle_read(
    struct facilitator_settlement *s, struct span body, const struct facilitator_asked *asked)
{
	struct json doc;
	uint32_t job;
	struct err e;

	begin(s, asked);
	TRY(open_answer(&doc, body));
	job = json_get(&doc, 0, "paymentJob");
	e = !x402_present(&doc, job) ? read_settle(s, &doc, 0, asked)
				     : read_job(s, &doc, job, asked);
	json_fini(&doc);
	return e;
}

struct err
facilitator_job_read(struct facilitator_settlement *s, struct span body, struct span job,
    const struct facilitator_asked *asked)
{
	struct json doc;
	uint32_t at;
	struct err e;

	begin(s, asked);
	TRY(open_answer(&doc, body));
	at = json_get(&doc, 0, "paymentJob");
	e = read_job(s, &doc, x402_present(&doc, at) ? at : 0, asked);
	if (!failed(e) && !span_eq(span_str(s->job), job))
		e = FAIL(MALFORMED, "facilitator: the state of another job");
	json_fini(&doc);
	return e;
}
