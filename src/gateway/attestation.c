#include "gateway/attestation.h"

#include <stdlib.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "core/limits.h"
#include "gateway/query.h"
#include "sys/clock.h"

enum { NONCE_LEN = 20, BODY_MAX_TEXT = 20480 };

struct attestation {
	unsigned magic;
	bool answered;
	struct call call;
	struct key_ticket *ticket; /* NULL: nothing is under way */
};

static const char text_plain[] = "text/plain; charset=utf-8";

/* As Go's http.Error() does it. */
static void
fail(struct call *c, unsigned status, const char *message)
{
	struct buf b;

	buf_init(&b, 512);
	buf_put_str(&b, message);
	buf_put_byte(&b, '\n');
	reply_add(&c->reply, "X-Content-Type-Options", SPAN_LIT("nosniff"));
	call_answer(c, status, text_plain, buf_span(&b));
	buf_fini(&b);
}

static void
fail_busy(struct call *c)
{
	reply_add(&c->reply, "Retry-After", SPAN_LIT("1"));
	fail(c, 503, "too many attestation requests are waiting");
}

static void
fail_err(struct call *c, struct err e)
{
	if (e.code == ERR_BUSY)
		fail_busy(c);
	else
		fail(c, 500, "failed to obtain attestation document from hypervisor");
}

/* FALSE: answered. */
static bool
check_nonce(struct call *c, struct span value, bool found, uint8_t nonce[static NONCE_LEN])
{
	uint8_t any[TARGET_MAX_BYTES / 2];

	if (!found || value.n == 0)
		fail(c, 400, "could not find nonce in URL query parameters");
	else if (value.n % 2 != 0 || value.n / 2 > sizeof(any) ||
	    failed(hex_parse(any, value.n / 2, value)))
		fail(c, 400, "unexpected nonce format; must be 40-digit hex string");
	else if (value.n != 2 * NONCE_LEN)
		fail(c, 400, "slice is not of same length as nonce");
	else
		return !failed(hex_parse(nonce, NONCE_LEN, value));
	return false;
}

static bool
take_nonce(struct call *c, uint8_t nonce[static NONCE_LEN])
{
	struct buf value;
	bool found, good = false;

	buf_init(&value, TARGET_MAX_BYTES);
	if (failed(query_first(c->head->query, "nonce", &value, &found)))
		fail(c, 400, "failed to parse POST form data");
	else
		good = check_nonce(c, buf_span(&value), found, nonce);
	buf_fini(&value);
	return good;
}

static void
on_document(void *ctx, struct err e, struct span document)
{
	struct attestation *a = ctx;
	struct buf b;

	a->ticket = NULL;
	a->answered = true;
	if (failed(e)) {
		fail_err(&a->call, e);
		return;
	}
	buf_init(&b, BODY_MAX_TEXT);
	b64_put(&b, document);
	buf_put_byte(&b, '\n');
	if (failed(buf_check(&b)))
		fail_err(&a->call, FAIL(SYSTEM, "attestation"));
	else
		call_answer(&a->call, 200, text_plain, buf_span(&b));
	buf_fini(&b);
}

struct attestation *
attestation_begin(
    struct loop *loop, struct exchange *x, const struct http_head *head, const char *route)
{
	struct attestation *a = calloc(1, sizeof(*a));
	uint8_t nonce[NONCE_LEN];
	struct err e;

	if (a == NULL) {
		exchange_abort(x);
		return NULL;
	}
	a->magic = ATTESTATION_MAGIC;
	a->call = (struct call){
		.loop = loop, .x = x, .head = head, .route = route, .began_us = clock_monotonic_us()
	};
	reply_begin(&a->call.reply, head, true);
	if (take_nonce(&a->call, nonce)) {
		e = key_attest(
		    loop->keys, span_of(nonce, sizeof(nonce)), on_document, a, &a->ticket);
		if (!failed(e))
			return a;
		fail_err(&a->call, e);
	}
	free(a);
	return NULL;
}

void
attestation_on_gone(struct attestation *a)
{
	/* Without a key client its tickets are gone, too. */
	if (a->call.loop->keys != NULL)
		key_cancel(a->ticket);
	a->magic = 0;
	free(a);
}

void
attestation_on_wire_error(struct attestation *a, const struct failure *f)
{
	if (a->answered)
		return;
	a->answered = true;
	key_cancel(a->ticket);
	a->ticket = NULL;
	call_fail_with(&a->call, f);
}
