#include "gateway/routes.h"

#include <string.h>

#include "codec/b64.h"
#include "codec/json.h"
#include "core/limits.h"
#include "gateway/attestation.h"
#include "gateway/call.h"
#include "gateway/config.h"
#include "gateway/enclave.h"
#include "gateway/rq.h"
#include "supervise/supervise.h"
#include "sys/clock.h"
#include "sys/metrics.h"

/* --- what answers --- */

/* That it is answered says that all three processes run; what died before is counted. */
static void
get_health(struct call *c)
{
	const struct gateway *gw = c->loop->gw;
	bool any = false;
	struct buf b;

	buf_init(&b, 4096);
	buf_put_str(&b, "{\"status\":\"OK\",\"version\":\"");
	buf_put_str(&b, build_version);
	buf_put_str(&b, gw->opt->enclave ? "\",\"tee_enabled\":true" : "\",\"tee_enabled\":false");
	buf_put_str(&b, ",\"worker_restarts\":");
	buf_put_u64(&b, atomic_load(&gw->note->restarts));
	buf_put_str(&b, ",\"providers\":{");
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++) {
		if (gw->upstream[i].provider == NULL)
			continue;
		buf_put_str(&b, any ? ",\"" : "\"");
		buf_put_str(&b, provider_name(i));
		buf_put_str(&b, gw->upstream[i].configured ? "\":true" : "\":false");
		any = true;
	}
	buf_put_str(&b, "}}");
	call_answer_json(c, &b);
}

static void
get_signing_key(struct call *c)
{
	struct buf b;

	buf_init(&b, 16384);
	config_put_signing_key(c->loop->gw, c->loop->enclave, &b);
	call_answer_json(c, &b);
}

static void
get_jwks(struct call *c)
{
	call_answer(c, 200, "application/json", buf_span(&c->loop->enclave->jwks));
}

/* ?sha256= names a configuration by its hash; there is one until provisioning exists. */
static void
get_config(struct call *c)
{
	const struct gateway *gw = c->loop->gw;
	struct buf want;
	bool fits;

	buf_init(&want, 128);
	b64url_put(&want, span_of(gw->config_sha256, SHA256_LEN));
	fits = c->head->query.p == NULL || c->head->query.n == 0 ||
	    (span_starts(c->head->query, SPAN_LIT("sha256=")) &&
		span_eq(span_cut(c->head->query, 7, c->head->query.n), buf_span(&want)));
	buf_fini(&want);
	if (fits)
		call_answer(c, 200, "application/json", buf_span(&gw->config_body));
	else
		call_fail(
		    c, 404, "not_found_error", "not_found", "No configuration with this sha256.");
}

static void
put_model(struct buf *b, const struct model *m)
{
	buf_put_str(b, "{\"id\":");
	json_put_string(b, m->name);
	buf_put_str(b, ",\"object\":\"model\",\"created\":0,\"owned_by\":\"");
	buf_put_str(b, provider_name(m->provider));
	buf_put_str(b, "\",\"provider\":\"");
	buf_put_str(b, provider_name(m->provider));
	buf_put_str(b, "\",\"pricing\":{\"input\":");
	json_put_string(b, m->input_usd);
	buf_put_str(b, ",\"output\":");
	json_put_string(b, m->output_usd);
	if (m->kind == MODEL_IMAGE_ENDPOINT) {
		buf_put_str(b, ",\"per_image\":");
		json_put_string(b, m->image_usd);
	}
	buf_put_str(b, "}}");
}

static void
get_models(struct call *c)
{
	const struct models *models = &c->loop->gw->models;
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_put_str(&b, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < models->n; i++) {
		if (i > 0)
			buf_put_byte(&b, ',');
		put_model(&b, &models->model[i]);
	}
	buf_put_str(&b, "]}");
	call_answer_json(c, &b);
}

static void
get_model(struct call *c)
{
	char near[8];
	const struct model *m = models_find(&c->loop->gw->models, c->rest, near, sizeof(near));
	struct buf b;

	if (m == NULL) {
		call_fail(c, 404, "not_found_error", "model_not_found", "No such model.");
		return;
	}
	buf_init(&b, 4096);
	put_model(&b, m);
	call_answer_json(c, &b);
}

static void
get_receipt(struct call *c)
{
	struct buf b;

	buf_init(&b, RECEIPT_MAX_BYTES);
	if (receipts_get(c->loop->gw->receipts, c->rest, &b) && !failed(buf_check(&b)))
		call_answer(c, 200, "application/jose", buf_span(&b));
	else
		call_fail(c, 404, "not_found_error", "receipt_not_found",
		    "No receipt under this id: it never was, or it made room for newer ones.");
	buf_fini(&b);
}

static void
get_metrics(struct call *c)
{
	struct buf b;

	buf_init(&b, 4 << 20);
	metrics_print(&b);
	if (failed(buf_check(&b)))
		call_fail(c, 500, "server_error", "internal_error", "out of memory");
	else
		call_answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&b));
	buf_fini(&b);
}

static void
post_shutdown(struct call *c)
{
	call_answer(c, 202, "application/json", SPAN_LIT("{\"status\":\"shutting down\"}"));
	gateway_shutdown(c->loop->gw);
}

/* --- which --- */

/*
 * PUBLIC and OPERATOR: on every listener, and through proxies too.
 * NITRIDING: as its router does it, HEAD is 405, and 405 has no body.
 */
enum { PUBLIC = 1, OPERATOR = 2, NITRIDING = 4 };

/* A path that ends in a slash stands for one further segment. */
static const struct route {
	const char *path, *method;
	int audience;
	void (*run)(struct call *c); /* NULL: POST: an inference request; GET: a document */
	enum endpoint endpoint;
} routes[] = {
	{ "/health", "GET", PUBLIC | OPERATOR, get_health, 0 },
	{ "/signing-key", "GET", PUBLIC, get_signing_key, 0 },
	{ "/.well-known/jwks.json", "GET", PUBLIC, get_jwks, 0 },
	{ "/.well-known/tee-config", "GET", PUBLIC, get_config, 0 },
	{ "/enclave", "GET", PUBLIC | NITRIDING, enclave_get_index, 0 },
	{ "/enclave/attestation", "GET", PUBLIC | NITRIDING, NULL, 0 },
	{ "/enclave/config", "GET", PUBLIC | NITRIDING, enclave_get_config, 0 },
	{ "/enclave/soft-root.pem", "GET", PUBLIC | NITRIDING, enclave_get_soft_root, 0 },
	{ "/v1/models", "GET", PUBLIC, get_models, 0 },
	{ "/v1/models/", "GET", PUBLIC, get_model, 0 },
	{ "/v1/receipts/", "GET", PUBLIC, get_receipt, 0 },
	{ "/v1/chat/completions", "POST", PUBLIC, NULL, ENDPOINT_CHAT },
	{ "/v1/completions", "POST", PUBLIC, NULL, ENDPOINT_COMPLETIONS },
	{ "/metrics", "GET", OPERATOR, get_metrics, 0 },
	{ "/v1/shutdown", "POST", OPERATOR, post_shutdown, 0 },
};

static const struct route *
find_route(struct span path, struct span *rest)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		struct span pattern = span_str(routes[i].path);
		bool prefix = pattern.p[pattern.n - 1] == '/';

		*rest = SPAN_NONE;
		if (!prefix && span_eq(path, pattern))
			return &routes[i];
		if (prefix && path.n > pattern.n && span_starts(path, pattern)) {
			*rest = span_cut(path, pattern.n, path.n);
			/* A model may be asked for with its provider's prefix; ids have no slash. */
			if (routes[i].run == get_model ||
			    span_find(*rest, SPAN_LIT("/"), 0) == SIZE_MAX)
				return &routes[i];
		}
	}
	return NULL;
}

/*
 * H2: operator routes are not there for whoever comes over TLS, through a proxy, or a browser; and
 * an enclave's plain listener is the operator's alone (section 4).
 */
static bool
may_see(
    const struct loop *l, const struct route *r, struct exchange *x, const struct http_head *head)
{
	static const char *const foreign[] = { "x-forwarded-for", "forwarded", "via", "origin" };

	if (r->audience != OPERATOR)
		return (r->audience & OPERATOR) != 0 || !l->gw->opt->enclave ||
		    exchange_origin(x)->tls;
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (http_field_get(head, foreign[i], NULL).p != NULL)
			return false;
	return !exchange_origin(x)->tls;
}

static void
preflight(struct call *c)
{
	reply_add(&c->reply, "Access-Control-Allow-Methods", SPAN_LIT("GET, HEAD, POST, OPTIONS"));
	reply_add(&c->reply, "Access-Control-Allow-Headers",
	    SPAN_LIT("Authorization, Content-Type, PAYMENT-SIGNATURE, X-Upto-Session, "
		     "X-Settlement-Type, X-Request-Id, TEE-Signature, TEE-Nonce"));
	reply_add(&c->reply, "Access-Control-Max-Age", SPAN_LIT("86400"));
	call_answer(c, 204, NULL, SPAN_NONE);
}

static void
wrong_method(struct call *c, const struct route *r)
{
	bool get = strcmp(r->method, "GET") == 0;

	if ((r->audience & NITRIDING) != 0) {
		reply_add(&c->reply, "Allow", SPAN_LIT("GET, OPTIONS"));
		call_answer(c, 405, NULL, SPAN_NONE);
		return;
	}
	reply_add(&c->reply, "Allow",
	    get ? (r->audience & PUBLIC) != 0 ? SPAN_LIT("GET, HEAD, OPTIONS")
					      : SPAN_LIT("GET, HEAD")
		: (r->audience & PUBLIC) != 0 ? SPAN_LIT("POST, OPTIONS")
					      : SPAN_LIT("POST"));
	call_fail(c, 405, "invalid_request_error", "method_not_allowed",
	    "This path does not take this method.");
}

static bool
is_inference(const struct route *r)
{
	return r->run == NULL && strcmp(r->method, "POST") == 0;
}

static void *
on_head(void *server, struct exchange *x, const struct http_head *head)
{
	struct loop *loop = server;
	struct call c = { .loop = loop,
		.x = x,
		.head = head,
		.route = "other",
		.began_us = clock_monotonic_us() };
	const struct route *r = find_route(head->path, &c.rest);
	bool get = span_eq(head->method, SPAN_LIT("GET")) ||
	    span_eq(head->method, SPAN_LIT("HEAD"));
	bool seen = r != NULL && may_see(loop, r, x, head);
	bool is_public = seen && (r->audience & PUBLIC) != 0;
	struct rq *rq;

	if (seen && is_inference(r) && span_eq(head->method, SPAN_LIT("POST"))) {
		if ((rq = rq_begin(loop, x, head, r->endpoint)) == NULL)
			exchange_abort(x);
		return rq;
	}
	reply_begin(&c.reply, head, is_public);
	if (!seen) {
		call_not_found(&c);
		return NULL;
	}
	c.route = r->path;
	if (span_eq(head->method, SPAN_LIT("OPTIONS")) && (r->audience & PUBLIC) != 0)
		preflight(&c);
	else if (get ? strcmp(r->method, "GET") != 0 : !span_eq(head->method, span_str(r->method)))
		wrong_method(&c, r);
	else if ((r->audience & NITRIDING) != 0 && !span_eq(head->method, SPAN_LIT("GET")))
		wrong_method(&c, r);
	else if (r->run == NULL)
		return attestation_begin(loop, x, head, r->path);
	else
		r->run(&c);
	return NULL;
}

/* Of the two kinds of handlers; both begin with their magic. */
static bool
is_rq(const void *handler)
{
	return *(const unsigned *)handler == RQ_MAGIC;
}

static void
on_body(void *handler, struct span body)
{
	if (is_rq(handler)) /* who waits for a document asked for no body */
		rq_on_body(handler, body);
}

static void
on_room(void *handler)
{
	if (handler != NULL && is_rq(handler))
		rq_on_room(handler);
}

static void
on_hangup(void *handler)
{
	if (handler != NULL)
		rq_on_hangup(handler);
}

static void
on_gone(void *handler, bool delivered)
{
	if (handler == NULL)
		return;
	if (is_rq(handler))
		rq_on_gone(handler, delivered);
	else
		attestation_on_gone(handler);
}

/* What the wire refused: answered here, so that it has the same fields and the same log line. */
static void
wire_error(void *server, void *handler, struct exchange *x, const struct http_head *head,
    unsigned status, const char *what)
{
	static const struct {
		unsigned status;
		const char *type, *code;
	} words[] = {
		{ 408, "invalid_request_error", "request_timeout" },
		{ 413, "invalid_request_error", "too_large" },
		{ 414, "invalid_request_error", "target_too_long" },
		{ 417, "invalid_request_error", "expectation_failed" },
		{ 431, "invalid_request_error", "head_too_large" },
		{ 501, "invalid_request_error", "not_implemented" },
		{ 503, "overloaded_error", "overloaded" },
	};
	struct call c = { .loop = server,
		.x = x,
		.head = head,
		.route = "other",
		.began_us = clock_monotonic_us() };
	struct failure f = {
		.status = status, .type = "invalid_request_error", .code = "bad_request"
	};
	const struct route *r = find_route(head->path, &c.rest);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].status == status) {
			f.type = words[i].type;
			f.code = words[i].code;
		}
	snprintf(f.message, sizeof(f.message), "%s", what);
	f.retry_after_s = status == 503 ? 1 : 0;
	if (handler != NULL && is_rq(handler)) {
		rq_on_wire_error(handler, &f);
		return;
	}
	if (handler != NULL) {
		attestation_on_wire_error(handler, &f);
		return;
	}
	if (r != NULL)
		c.route = r->path;
	reply_begin(&c.reply, head, r != NULL && (r->audience & PUBLIC) != 0);
	if (f.retry_after_s > 0)
		reply_add(&c.reply, "Retry-After", SPAN_LIT("1"));
	call_fail_with(&c, &f);
}

const struct exchange_ops routes_ops = { on_head, on_body, on_room, on_hangup, on_gone,
	wire_error };
