#include "gateway/internal.h"

#include <stdlib.h>

#include "codec/b64.h"
#include "gateway/call.h"
#include "sys/clock.h"

/* 44 characters of Base64, and perhaps a line feed. */
enum { HASH_MAX_BYTES = 45 };

static const char text_plain[] = "text/plain; charset=utf-8";

/* A hash that is being posted. */
struct hash_post {
	struct call call;
	struct key_ticket *ticket; /* NULL: nothing is under way */
	bool answered;
};

/* As Go's http.Error() does it. */
static void
fail(struct call *c, unsigned status, const char *line)
{
	reply_add(&c->reply, "X-Content-Type-Options", SPAN_LIT("nosniff"));
	call_answer(c, status, text_plain, span_str(line));
}

static void
wrong_method(struct call *c, const char *allow)
{
	reply_add(&c->reply, "Allow", span_str(allow));
	call_answer(c, 405, NULL, SPAN_NONE);
}

/* --- /enclave/hash --- */

static void
on_taken(void *ctx, struct err e, struct span answer)
{
	struct hash_post *p = ctx;

	(void)answer;
	p->ticket = NULL;
	p->answered = true;
	if (!failed(e))
		call_answer(&p->call, 200, NULL, SPAN_NONE);
	else if (e.code == ERR_REFUSED)
		fail(&p->call, 403, "the hash of the documents is that of the gateway's own key\n");
	else
		fail(&p->call, 500, "failed to register the hash\n");
}

static void
on_body(void *handler, struct span body)
{
	struct hash_post *p = handler;
	struct buf hash;
	struct err e;

	buf_init(&hash, HASH_MAX_BYTES);
	if (failed(b64_parse(&hash, span_trim(body)))) {
		p->answered = true;
		fail(&p->call, 400, "no Base64 given\n");
	} else if (hash.n != SHA256_LEN) {
		p->answered = true;
		fail(&p->call, 400, "given hash is of invalid size\n");
	} else {
		e = key_app_hash(p->call.loop->keys, buf_span(&hash), on_taken, p, &p->ticket);
		if (failed(e))
			on_taken(p, e, SPAN_NONE);
	}
	buf_fini(&hash);
}

static void *
begin_hash(struct call *c)
{
	struct hash_post *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		exchange_abort(c->x);
		return NULL;
	}
	p->call = (struct call){ .loop = c->loop,
		.x = c->x,
		.head = c->head,
		.route = c->route,
		.began_us = c->began_us };
	reply_begin(&p->call.reply, c->head, false);
	exchange_want_body(c->x, HASH_MAX_BYTES);
	return p;
}

/* --- /enclave/ready --- */

/* Once for all workers; our own clients are let in without it. */
static void
get_ready(struct call *c)
{
	bool before = atomic_exchange(&c->loop->gw->note->app_ready, true);

	call_answer(c, before ? 410 : 200, NULL, SPAN_NONE);
}

/* --- which --- */

static void *
on_head(void *server, struct exchange *x, const struct http_head *head)
{
	struct call c = { .loop = server,
		.x = x,
		.head = head,
		.route = "other",
		.began_us = clock_monotonic_us() };
	bool hash = span_eq(head->path, SPAN_LIT("/enclave/hash"));
	bool is_ready = span_eq(head->path, SPAN_LIT("/enclave/ready"));

	reply_begin(&c.reply, head, false);
	if (call_is_foreign(head) || (!hash && !is_ready)) {
		fail(&c, 404, "404 page not found\n");
		return NULL;
	}
	c.route = hash ? "/enclave/hash" : "/enclave/ready";
	if (hash && span_eq(head->method, SPAN_LIT("POST")))
		return begin_hash(&c);
	if (is_ready && span_eq(head->method, SPAN_LIT("GET")))
		get_ready(&c);
	else
		wrong_method(&c, hash ? "POST" : "GET");
	return NULL;
}

static void
on_room(void *handler)
{
	(void)handler; /* answers are shorter than any window */
}

static void
on_gone(void *handler, bool delivered)
{
	struct hash_post *p = handler;

	(void)delivered;
	if (p == NULL)
		return;
	/* Without a key client its tickets are gone, too. */
	if (p->call.loop->keys != NULL)
		key_cancel(p->ticket);
	free(p);
}

/* More than a hash: nitriding stops reading at the 46th byte, and says 400. */
static void
wire_error(void *server, void *handler, struct exchange *x, const struct http_head *head,
    unsigned status, const char *what)
{
	struct hash_post *p = handler;
	struct call c = { .loop = server,
		.x = x,
		.head = head,
		.route = "other",
		.began_us = clock_monotonic_us() };
	struct buf line;

	if (p != NULL && p->answered)
		return;
	if (p != NULL) {
		p->answered = true;
		key_cancel(p->ticket);
		p->ticket = NULL;
		if (status == 413) {
			fail(&p->call, 400, "reached read limit\n");
			return;
		}
	} else {
		reply_begin(&c.reply, head, false);
	}
	buf_init(&line, 512);
	buf_put_str(&line, what);
	buf_put_byte(&line, '\n');
	call_answer(p != NULL ? &p->call : &c, status, text_plain, buf_span(&line));
	buf_fini(&line);
}

struct err
internal_start(struct server **out, struct loop *loop, int fd)
{
	static const struct exchange_ops ops = { on_head, on_body, on_room, NULL, on_gone,
		wire_error };
	const struct server_options opt = {
		.loop = &loop->uv, .loop_index = loop->index, .ops = &ops, .ctx = loop
	};

	TRY(server_new(out, &opt));
	return server_listen(*out, fd, NULL);
}
