#include "gateway/routes.h"

#include <string.h>

#include "codec/b64.h"
#include "codec/json.h"
#include "core/limits.h"
#include "gateway/config.h"
#include "gateway/gateway.h"
#include "gateway/reply.h"
#include "gateway/rq.h"
#include "supervise/supervise.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/metrics.h"

struct call {
	struct loop *loop;
	struct exchange *x;
	const struct http_head *head;
	struct reply reply;
	const char *route; /* pattern, for log and metrics */
	struct span rest;  /* of the path, after a pattern that ends in a slash */
	uint64_t began_us;
};

static void
answer(struct call *c, unsigned status, const char *content_type, struct span body)
{
	char number[16];
	struct log_field f[] = {
		LOG_TEXT("request_id", reply_request_id(&c->reply)),
		LOG_TEXT("route", span_str(c->route)),
		LOG_NUMBER("status", status),
		LOG_NUMBER("t_total", (clock_monotonic_us() - c->began_us) / 1000),
	};

	reply_send(&c->reply, c->x, status, content_type, body);
	log_fields(LOG_INFO, f, sizeof(f) / sizeof(f[0]));
	snprintf(number, sizeof(number), "%u", status);
	metric_add(METRIC_REQUESTS, c->route, number, 1);
	metric_observe(
	    METRIC_REQUEST_SECONDS, NULL, (double)(clock_monotonic_us() - c->began_us) / 1e6);
}

static void
answer_json(struct call *c, struct buf *b)
{
	if (failed(buf_check(b)))
		answer(c, 500, "text/plain; charset=utf-8", SPAN_LIT("out of memory\n"));
	else
		answer(c, 200, "application/json", buf_span(b));
	buf_fini(b);
}

static bool
is_v1(struct span path)
{
	return span_starts(path, SPAN_LIT("/v1/"));
}

/* An error in the shape of the path: OpenAI's object on /v1, a line of text elsewhere (H4, E1). */
static void
answer_failure(struct call *c, const struct failure *f)
{
	const char *type = "application/json";
	struct buf b;

	buf_init(&b, 4096);
	if (is_v1(c->head->path)) {
		failure_put(&b, f);
	} else {
		type = "text/plain; charset=utf-8";
		buf_put_str(&b, f->message);
		buf_put_byte(&b, '\n');
	}
	answer(c, f->status, type, buf_span(&b));
	buf_fini(&b);
}

static void
answer_error(
    struct call *c, unsigned status, const char *type, const char *code, const char *message)
{
	struct failure f = { .status = status, .type = type, .code = code };

	snprintf(f.message, sizeof(f.message), "%s", message);
	answer_failure(c, &f);
}

static void
not_found(struct call *c)
{
	answer_error(c, 404, "not_found_error", "not_found", "There is nothing at this path.");
}

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
	buf_put_str(&b, "\",\"tee_enabled\":false,\"worker_restarts\":");
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
	answer_json(c, &b);
}

static void
get_signing_key(struct call *c)
{
	struct buf b;

	buf_init(&b, 16384);
	config_put_signing_key(c->loop->gw, &b);
	answer_json(c, &b);
}

static void
get_jwks(struct call *c)
{
	answer(c, 200, "application/json", buf_span(&c->loop->gw->jwks_body));
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
		answer(c, 200, "application/json", buf_span(&gw->config_body));
	else
		answer_error(
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
	answer_json(c, &b);
}

static void
get_model(struct call *c)
{
	char near[8];
	const struct model *m = models_find(&c->loop->gw->models, c->rest, near, sizeof(near));
	struct buf b;

	if (m == NULL) {
		answer_error(c, 404, "not_found_error", "model_not_found", "No such model.");
		return;
	}
	buf_init(&b, 4096);
	put_model(&b, m);
	answer_json(c, &b);
}

static void
get_receipt(struct call *c)
{
	struct buf b;

	buf_init(&b, RECEIPT_MAX_BYTES);
	if (receipts_get(c->loop->gw->receipts, c->rest, &b) && !failed(buf_check(&b)))
		answer(c, 200, "application/jose", buf_span(&b));
	else
		answer_error(c, 404, "not_found_error", "receipt_not_found",
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
		answer_error(c, 500, "server_error", "internal_error", "out of memory");
	else
		answer(c, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&b));
	buf_fini(&b);
}

static void
post_shutdown(struct call *c)
{
	answer(c, 202, "application/json", SPAN_LIT("{\"status\":\"shutting down\"}"));
	gateway_shutdown(c->loop->gw);
}

/* --- which --- */

enum { PUBLIC = 1, OPERATOR = 2 };

/* A path that ends in a slash stands for one further segment. */
static const struct route {
	const char *path, *method;
	int audience;
	void (*run)(struct call *c); /* NULL: an inference request */
	enum endpoint endpoint;
} routes[] = {
	{ "/health", "GET", PUBLIC, get_health, 0 },
	{ "/signing-key", "GET", PUBLIC, get_signing_key, 0 },
	{ "/.well-known/jwks.json", "GET", PUBLIC, get_jwks, 0 },
	{ "/.well-known/tee-config", "GET", PUBLIC, get_config, 0 },
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

/* H2: operator routes are not there for whoever comes over TLS, through a proxy, or a browser. */
static bool
may_see(const struct route *r, struct exchange *x, const struct http_head *head)
{
	static const char *const foreign[] = { "x-forwarded-for", "forwarded", "via", "origin" };

	if (r->audience == PUBLIC)
		return true;
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
	answer(c, 204, NULL, SPAN_NONE);
}

static void
wrong_method(struct call *c, const struct route *r)
{
	bool get = strcmp(r->method, "GET") == 0;

	reply_add(&c->reply, "Allow",
	    get ? r->audience == PUBLIC ? SPAN_LIT("GET, HEAD, OPTIONS") : SPAN_LIT("GET, HEAD")
		: r->audience == PUBLIC ? SPAN_LIT("POST, OPTIONS")
					: SPAN_LIT("POST"));
	answer_error(c, 405, "invalid_request_error", "method_not_allowed",
	    "This path does not take this method.");
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
	bool seen = r != NULL && may_see(r, x, head);
	bool is_public = seen && r->audience == PUBLIC;
	struct rq *rq;

	if (seen && r->run == NULL && span_eq(head->method, SPAN_LIT("POST"))) {
		if ((rq = rq_begin(loop, x, head, r->endpoint)) == NULL)
			exchange_abort(x);
		return rq;
	}
	reply_begin(&c.reply, head, is_public);
	if (!seen) {
		not_found(&c);
		return NULL;
	}
	c.route = r->path;
	if (span_eq(head->method, SPAN_LIT("OPTIONS")) && r->audience == PUBLIC)
		preflight(&c);
	else if (get ? strcmp(r->method, "GET") != 0 : !span_eq(head->method, span_str(r->method)))
		wrong_method(&c, r);
	else if (r->run == NULL)
		wrong_method(&c, r);
	else
		r->run(&c);
	return NULL;
}

static void
on_body(void *handler, struct span body)
{
	rq_on_body(handler, body);
}

static void
on_room(void *handler)
{
	if (handler != NULL)
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
	if (handler != NULL)
		rq_on_gone(handler, delivered);
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
	if (handler != NULL) {
		rq_on_wire_error(handler, &f);
		return;
	}
	if (r != NULL)
		c.route = r->path;
	reply_begin(&c.reply, head, r != NULL && r->audience == PUBLIC);
	if (f.retry_after_s > 0)
		reply_add(&c.reply, "Retry-After", SPAN_LIT("1"));
	answer_failure(&c, &f);
}

const struct exchange_ops routes_ops = { on_head, on_body, on_room, on_hangup, on_gone,
	wire_error };
