#include "gateway/reply.h"

#include <assert.h>
#include <string.h>

#include "codec/json.h"
#include "crypto/rng.h"

static const char exposed[] = "TEE-Receipt, TEE-Adjusted, X-Request-Id, X-Upto-Session, "
			      "PAYMENT-REQUIRED, PAYMENT-RESPONSE, Retry-After";

/* H3: ^[A-Za-z0-9_-]{22,64}$ */
static bool
id_fits(struct span id)
{
	if (id.n < 22 || id.n > REQUEST_ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		uint8_t c = id.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '-')
			return false;
	}
	return true;
}

void
reply_begin(struct reply *r, const struct http_head *head, bool is_public)
{
	bool many = false;
	struct span id = head == NULL ? SPAN_NONE : http_field_get(head, "x-request-id", &many);

	*r = (struct reply){ 0 };
	if (!many && id_fits(id)) {
		memcpy(r->request_id, id.p, id.n);
		r->request_id_n = id.n;
	} else {
		rng_uuid(r->request_id);
		r->request_id_n = UUID_LEN;
	}
	reply_add(r, "X-Request-Id", reply_request_id(r));
	reply_add(r, "Cache-Control", SPAN_LIT("no-store, no-transform"));
	if (is_public) {
		reply_add(r, "Access-Control-Allow-Origin", SPAN_LIT("*"));
		reply_add(r, "Access-Control-Expose-Headers", span_str(exposed));
	}
}

struct span
reply_request_id(const struct reply *r)
{
	return span_of(r->request_id, r->request_id_n);
}

void
reply_add(struct reply *r, const char *name, struct span value)
{
	assert(r->n < REPLY_FIELDS);
	r->field[r->n++] = (struct http_field){ span_str(name), value };
}

void
reply_send(struct reply *r, struct exchange *x, unsigned status, const char *content_type,
    struct span body)
{
	if (content_type != NULL)
		reply_add(r, "Content-Type", span_str(content_type));
	exchange_head(x, status, r->field, r->n, body.n);
	if (body.n > 0)
		exchange_write(x, body);
	exchange_end(x);
}

static void
put_text_or_null(struct buf *b, const char *name, const char *text)
{
	buf_put_str(b, name);
	if (text == NULL || *text == '\0')
		buf_put_str(b, "null");
	else
		json_put_string(b, span_str(text));
}

void
failure_put_open(struct buf *b, const struct failure *f)
{
	buf_put_str(b, "{\"error\":{\"message\":");
	json_put_string(b, span_str(f->message));
	put_text_or_null(b, ",\"type\":", f->type);
	put_text_or_null(b, ",\"param\":", f->param);
	put_text_or_null(b, ",\"code\":", f->code);
	buf_put_byte(b, '}');
}

void
failure_put(struct buf *b, const struct failure *f)
{
	failure_put_open(b, f);
	buf_put_byte(b, '}');
}

void
failure_from_refusal(struct failure *f, const struct refusal *no)
{
	*f = (struct failure){ .status = no->status,
		.code = no->code,
		.param = no->param,
		.type = no->status == 404 ? "not_found_error" : "invalid_request_error" };
	memcpy(f->message, no->message, sizeof(no->message));
}
