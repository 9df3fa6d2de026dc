#include "payment/facilitator_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "core/limits.h"
#include "net/api.h"
#include "sys/log.h"

enum {
	RETRY_AFTER_MAX_S = 3600,
	REQUEST_MAX_BYTES = LEDGER_PAYLOAD_MAX_BYTES + X402_HEADER_MAX_BYTES,
	FIELDS_MAX = 16,
};

enum kind { SUPPORTED, VERIFY, SETTLE, POLL, FILE_PROOF };

struct facilitator_call {
	struct facilitator_client *f;
	enum kind kind;
	struct api_call *api;
	struct facilitator_asked asked;
	char job[FACILITATOR_JOB_MAX + 1];
	facilitator_done done;
	facilitator_supported_fn *supported;
	void *ctx;
	LIST_ENTRY(facilitator_call) entry;
};

struct facilitator_client {
	struct egress *egress;
	char *url;
	const struct x402_terms *terms;
	const char *(*field)(const void *ctx, enum facilitator_endpoint endpoint, size_t i);
	const void *field_ctx;
	unsigned filings; /* under way */
	LIST_HEAD(call_list, facilitator_call) calls;
};

/* --- what an answer means ------------------------------------------------------------------ */

/*
 * A permit that verified and then does not settle was made worthless by its payer: money, allowance
 * or nonce taken away, or the contract refused (PAY-01, PAY-12). Unless the facilitator says that it
 * was its own doing. Spellings are many, so parts of words count (x402.md 3).
 */
static bool
by_the_payer(const char *reason)
{
	static const char *const own[] = { "unexpected", "internal", "facilitator_mismatch", "gas",
		"rpc", "timeout", "rate_limit", "unavailable", "queue", "nonce_too_low" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strstr(reason, own[i]) != NULL)
			return false;
	return true;
}

static struct facilitator_outcome
outcome(enum facilitator_result result, const char *reason)
{
	return (struct facilitator_outcome){ .result = result, .reason = reason };
}

static struct facilitator_outcome
refused(const struct facilitator_reason *r)
{
	struct facilitator_outcome o = outcome(FACILITATOR_REFUSED, r->text);

	if (r->text[0] == '\0')
		o.reason = "unknown";
	o.payer_caused = by_the_payer(o.reason);
	return o;
}

static struct facilitator_outcome
unavailable(const struct api_answer *a)
{
	struct facilitator_outcome o = outcome(FACILITATOR_UNAVAILABLE, "facilitator_unavailable");
	uint64_t wait_s = 0;

	if (a->status != 0)
		span_u64(egress_field(a->call, "retry-after"), RETRY_AFTER_MAX_S, &wait_s);
	o.retry_after_s = (uint32_t)wait_s;
	return o;
}

/* Nothing of the request can have arrived, or it was turned away at the door. */
static bool
did_nothing(const struct api_answer *a)
{
	return a->fault == EGRESS_CONNECT || a->fault == EGRESS_TLS ||
	    (a->fault == EGRESS_NONE && (a->status == 429 || a->status == 503));
}

static struct facilitator_outcome
of_verify(struct facilitator_call *c, const struct api_answer *a, struct facilitator_verify *v)
{
	bool read = a->fault == EGRESS_NONE &&
	    !failed(facilitator_verify_read(v, a->body, &c->asked.payer));

	if (read && !v->valid)
		return refused(&v->reason);
	if (read && a->status == 200)
		return outcome(FACILITATOR_AGREED, "");
	if ((a->fault == EGRESS_NONE && a->status == 200) || a->fault == EGRESS_TOO_LARGE)
		return outcome(FACILITATOR_UNAVAILABLE, "facilitator_error");
	return unavailable(a);
}

/* What settled, or did not; `usable`: the status is one that carries a yes. */
static struct facilitator_outcome
of_settlement(const struct facilitator_settlement *s, bool usable, char transaction[static 67])
{
	struct facilitator_outcome o = outcome(FACILITATOR_UNKNOWN, "facilitator_error");
	struct buf hex;

	switch (s->outcome) {
	case SETTLEMENT_SETTLED:
		if (!usable)
			break;
		buf_init(&hex, 2 * TRANSACTION_BYTES);
		hex_put(&hex, span_of(s->transaction, TRANSACTION_BYTES));
		snprintf(transaction, 67, "0x%.*s", (int)hex.n, (const char *)hex.p);
		buf_fini(&hex);
		o = outcome(FACILITATOR_AGREED, "");
		o.transaction = span_str(transaction);
		break;
	case SETTLEMENT_REFUSED:
		o = refused(&s->reason);
		break;
	case SETTLEMENT_JOB:
		o = outcome(FACILITATOR_PENDING, "");
		o.job = span_str(s->job);
		break;
	case SETTLEMENT_PENDING:
		o.reason = "settlement_pending";
		break;
	case SETTLEMENT_UNCLEAR:
		o.reason = s->what;
		break;
	case SETTLEMENT_OVERCHARGED:
		o.reason = "overcharged";
		o.overcharged = true;
		break;
	}
	return o;
}

static struct facilitator_outcome
of_settle(struct facilitator_call *c, const struct api_answer *a, struct facilitator_settlement *s,
    char transaction[static 67])
{
	if (did_nothing(a))
		return unavailable(a);
	if (a->fault == EGRESS_TIMEOUT)
		return outcome(FACILITATOR_UNKNOWN, "timeout");
	if (a->fault != EGRESS_NONE)
		return outcome(FACILITATOR_UNKNOWN, "answer_lost");
	if (failed(facilitator_settle_read(s, a->body, &c->asked)))
		return outcome(FACILITATOR_UNKNOWN, "facilitator_error");
	/* Accepted with 202, done with 200; anything else can only say no. */
	if (s->outcome == SETTLEMENT_JOB && a->status != 202 && a->status != 200)
		return outcome(FACILITATOR_UNKNOWN, "facilitator_error");
	return of_settlement(s, a->status == 200, transaction);
}

static struct facilitator_outcome
of_poll(struct facilitator_call *c, const struct api_answer *a, struct facilitator_settlement *s,
    char transaction[static 67])
{
	struct facilitator_outcome o;

	if (a->fault == EGRESS_NONE && a->status == 404)
		return outcome(FACILITATOR_UNKNOWN, "no_such_job");
	if (a->fault != EGRESS_NONE || a->status != 200 ||
	    failed(facilitator_job_read(s, a->body, span_str(c->job), &c->asked)))
		return unavailable(a);
	o = of_settlement(s, true, transaction);
	if (s->outcome == SETTLEMENT_PENDING)
		o.result = FACILITATOR_PENDING;
	return o;
}

static const char *
why_not_supported(const struct api_answer *a, struct err e)
{
	if (a->fault == EGRESS_TIMEOUT)
		return "the facilitator did not answer in time";
	if (a->fault == EGRESS_TLS)
		return "the facilitator's TLS identity could not be verified";
	if (a->fault != EGRESS_NONE)
		return "the facilitator could not be reached";
	if (a->status != 200)
		return "the facilitator answered with an error";
	return e.what;
}

static void
tell_supported(struct facilitator_call *c, const struct api_answer *a)
{
	struct facilitator_supported s;
	struct err e = FAIL(UPSTREAM, "no answer");

	if (a->fault == EGRESS_NONE && a->status == 200)
		e = facilitator_supported_read(&s, a->body, c->f->terms->network);
	if (failed(e))
		c->supported(c->ctx, NULL, why_not_supported(a, e));
	else
		c->supported(c->ctx, &s, NULL);
}

static void
call_free(struct facilitator_call *c)
{
	if (c->kind == FILE_PROOF)
		c->f->filings--;
	LIST_REMOVE(c, entry);
	free(c);
}

static void
tell(struct facilitator_call *c, const struct api_answer *a)
{
	struct facilitator_settlement settlement;
	struct facilitator_verify verify;
	struct facilitator_outcome o;
	char transaction[67];

	if (c->kind == VERIFY)
		o = of_verify(c, a, &verify);
	else if (c->kind == SETTLE)
		o = of_settle(c, a, &settlement, transaction);
	else
		o = of_poll(c, a, &settlement, transaction);
	c->done(c->ctx, &o);
}

static void
on_answer(void *ctx, const struct api_answer *a)
{
	struct facilitator_call *c = ctx;

	c->api = NULL;
	if (c->kind == SUPPORTED)
		tell_supported(c, a);
	else if (c->kind == FILE_PROOF)
		log_msg(LOG_DEBUG, "facilitator: settle_data: %u", a->status);
	else
		tell(c, a);
	call_free(c);
}

/* --- asking -------------------------------------------------------------------------------- */

/* JSON's fields, those of the options, and `more` (NULL-terminated, or NULL). */
static void
fields_of(const char *out[static FIELDS_MAX + 1], const struct facilitator_client *f,
    enum facilitator_endpoint endpoint, const char *const *more)
{
	const char *own;
	size_t n = 0;

	out[n++] = "Content-Type: application/json";
	out[n++] = "Accept: application/json";
	for (size_t i = 0; f->field != NULL && n < FIELDS_MAX; i++) {
		if ((own = f->field(f->field_ctx, endpoint, i)) == NULL || *own == '\0')
			break;
		out[n++] = own;
	}
	for (; more != NULL && *more != NULL && n < FIELDS_MAX; more++)
		out[n++] = *more;
	out[n] = NULL;
}

static struct facilitator_call *
call_new(struct facilitator_client *f, enum kind kind)
{
	struct facilitator_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->f = f;
	c->kind = kind;
	LIST_INSERT_HEAD(&f->calls, c, entry);
	f->filings += kind == FILE_PROOF;
	return c;
}

/* NULL, and c is gone: nothing was sent. */
static struct facilitator_call *
call_start(struct facilitator_call *c, const char *path, enum facilitator_endpoint endpoint,
    const char *const *more, struct span body)
{
	const char *field[FIELDS_MAX + 1];
	struct buf url;
	struct api_request r = { .method = body.p == NULL ? EGRESS_GET : EGRESS_POST,
		.field = field,
		.body = body,
		.answer_max_bytes = FACILITATOR_ANSWER_MAX_BYTES,
		.total_ms = PAYMENT_MS,
		.done = on_answer,
		.ctx = c };
	struct err e;

	fields_of(field, c->f, endpoint, more);
	buf_init(&url, 4096);
	buf_put_str(&url, c->f->url == NULL ? "" : c->f->url);
	buf_put_str(&url, path);
	buf_put_byte(&url, '\0');
	if (!failed(e = buf_check(&url))) {
		r.url = (const char *)url.p;
		e = api_start(&c->api, c->f->egress, &r);
	}
	buf_fini(&url);
	if (!failed(e))
		return c;
	call_free(c);
	return NULL;
}

/* Our own offer, as it stood when the permit was accepted. */
static void
put_request(struct buf *b, const struct facilitator_client *f,
    const struct facilitator_payment *payment, struct u256 amount)
{
	struct x402_terms t = *f->terms;
	struct address facilitator;

	memcpy(t.asset.b, payment->terms.asset, ADDRESS_BYTES);
	memcpy(t.pay_to.b, payment->terms.pay_to, ADDRESS_BYTES);
	memcpy(facilitator.b, payment->terms.facilitator, ADDRESS_BYTES);
	t.max_timeout_s = payment->terms.max_timeout_s;
	facilitator_put_request(b, payment->payload, &t, amount, &facilitator);
}

static struct facilitator_call *
ask(struct facilitator_client *f, enum kind kind, const struct facilitator_payment *payment,
    struct u256 amount, facilitator_done done, void *ctx)
{
	struct facilitator_call *c = call_new(f, kind);
	struct buf body;

	if (c == NULL)
		return NULL;
	c->done = done;
	c->ctx = ctx;
	c->asked = (struct facilitator_asked){ .network = f->terms->network, .amount = amount };
	memcpy(c->asked.payer.b, payment->key.payer, ADDRESS_BYTES);
	buf_init(&body, REQUEST_MAX_BYTES);
	put_request(&body, f, payment, amount);
	if (failed(buf_check(&body))) {
		call_free(c);
		c = NULL;
	} else if (kind == VERIFY) {
		c = call_start(c, "/verify", FACILITATOR_VERIFY, NULL, buf_span(&body));
	} else {
		c = call_start(c, "/settle", FACILITATOR_SETTLE, NULL, buf_span(&body));
	}
	buf_fini(&body);
	return c;
}

static struct facilitator_call *
settle(void *self, const struct facilitator_payment *payment, struct u256 amount,
    facilitator_done done, void *ctx)
{
	return ask(self, SETTLE, payment, amount, done, ctx);
}

static struct facilitator_call *
verify(void *self, const struct facilitator_payment *payment, facilitator_done done, void *ctx)
{
	return ask(self, VERIFY, payment, payment->terms.cap, done, ctx);
}

static struct facilitator_call *
poll_job(void *self, struct span job, const struct facilitator_payment *payment, struct u256 expect,
    facilitator_done done, void *ctx)
{
	struct facilitator_client *f = self;
	struct facilitator_call *c;
	char path[16 + FACILITATOR_JOB_MAX];

	if (job.n > FACILITATOR_JOB_MAX || (c = call_new(f, POLL)) == NULL)
		return NULL;
	c->done = done;
	c->ctx = ctx;
	c->asked = (struct facilitator_asked){ .network = f->terms->network, .amount = expect };
	memcpy(c->asked.payer.b, payment->key.payer, ADDRESS_BYTES);
	memcpy(c->job, job.p, job.n);
	snprintf(path, sizeof(path), "/settle/%s", c->job);
	return call_start(c, path, FACILITATOR_SETTLE, NULL, SPAN_NONE);
}

static void
cancel(struct facilitator_call *c)
{
	if (c == NULL)
		return;
	api_cancel(c->api);
	call_free(c);
}

struct facilitator
facilitator_client_as(struct facilitator_client *f)
{
	return (struct facilitator){
		.self = f, .settle = settle, .poll = poll_job, .verify = verify, .cancel = cancel
	};
}

struct facilitator_call *
facilitator_client_supported(
    struct facilitator_client *f, facilitator_supported_fn *done, void *ctx)
{
	struct facilitator_call *c = call_new(f, SUPPORTED);

	if (c == NULL)
		return NULL;
	c->supported = done;
	c->ctx = ctx;
	return call_start(c, "/supported", FACILITATOR_SUPPORTED, NULL, SPAN_NONE);
}

/* "name: value" with a NUL, the value as base64. False: it does not fit. */
static bool
put_data_field(struct buf *line, enum settle_data_type type, const struct settle_data *d)
{
	struct buf text;

	buf_clear(line);
	buf_init(&text, FILING_MAX_BYTES);
	settle_data_put(&text, type, d);
	buf_put_str(line, "x-settlement-data: ");
	b64_put(line, buf_span(&text));
	buf_put_byte(line, '\0');
	line->over = line->over || text.over;
	buf_fini(&text);
	return !line->over;
}

void
facilitator_client_file(
    struct facilitator_client *f, enum settle_data_type type, const struct settle_data *d)
{
	struct facilitator_call *c;
	struct buf line;
	char word[48];
	const char *more[] = { word, NULL, NULL };
	bool fits;

	if (type == SETTLE_DATA_PRIVATE || f->filings >= FILINGS_MAX)
		return;
	buf_init(&line, FILING_MAX_BYTES);
	fits = put_data_field(&line, type, d);
	if (!fits && type == SETTLE_DATA_INDIVIDUAL) {
		type = SETTLE_DATA_BATCH;
		fits = put_data_field(&line, type, d);
	}
	if (fits && (c = call_new(f, FILE_PROOF)) != NULL) {
		snprintf(word, sizeof(word), "x-settlement-type: %s", settle_data_type_name(type));
		more[1] = (const char *)line.p;
		(void)call_start(c, "/settle_data", FACILITATOR_SETTLE_DATA, more, SPAN_LIT("{}"));
	}
	buf_fini(&line);
}

struct err
facilitator_client_new(
    struct facilitator_client **out, const struct facilitator_client_options *opt)
{
	struct facilitator_client *f = calloc(1, sizeof(*f));

	*out = NULL;
	if (f == NULL)
		return FAIL(NOMEM, "facilitator");
	f->egress = opt->egress;
	f->terms = opt->terms;
	f->field = opt->field;
	f->field_ctx = opt->field_ctx;
	LIST_INIT(&f->calls);
	*out = f;
	return OK;
}

struct err
facilitator_client_point(struct facilitator_client *f, const char *url)
{
	char *copy;

	if (f->url != NULL && strcmp(f->url, url) == 0)
		return OK;
	if ((copy = strdup(url)) == NULL)
		return FAIL(NOMEM, "facilitator");
	free(f->url);
	f->url = copy;
	return OK;
}

void
facilitator_client_free(struct facilitator_client *f)
{
	struct facilitator_call *c;

	if (f == NULL)
		return;
	while ((c = LIST_FIRST(&f->calls)) != NULL)
		cancel(c);
	free(f->url);
	free(f);
}
