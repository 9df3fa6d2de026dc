#include "keyholder/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/wipe.h"
#include "crypto/digest.h"
#include "keyholder/proto.h"
#include "sys/clock.h"
#include "sys/metrics.h"

/*
 * At most WINDOW requests are under way at the key holder, the rest waits here: 32 loops together
 * cannot overflow its queue, and their answers fit into the sockets.
 */
enum { WINDOW = SIGN_QUEUE_MAX / 32 };
/* Admission stops at ROOM; requests admitted before may still come, up to PENDING_MAX. */
enum { ROOM = SIGN_QUEUE_MAX / 2, PENDING_MAX = 8 * SIGN_QUEUE_MAX };
enum { READ_BATCH = WINDOW };

/*
 * One request. It is in `waiting` until its datagram was sent, then in `sent` until its answer
 * came; one for a document is in `documents` from the start. fn == NULL: cancelled or timed out, but the answer is still to come.
 */
struct key_ticket {
	TAILQ_ENTRY(key_ticket) link;
	struct key_client *client;
	enum key_type type;
	enum { WAITING, SENT, DOCUMENT } place;
	uint64_t number;
	uint64_t due_ms;   /* of the loop's clock */
	uint64_t asked_us; /* of the monotonic clock */
	key_answer_fn *fn;
	void *ctx;
	struct buf message;
};

TAILQ_HEAD(ticket_list, key_ticket);

struct key_client {
	uv_loop_t *loop;
	uv_poll_t poll;
	uv_timer_t timer;
	uv_idle_t idle;	  /* sends what was asked for in one turn of the loop together */
	unsigned handles; /* that uv has not closed yet */
	int fd, events;
	bool lost, closing, full;
	struct ticket_list waiting, sent, documents; /* each in the order of its deadlines */
	size_t n_waiting, n_sent, n_documents;
	uint64_t next_number;
	void (*on_lost)(void *ctx);
	void *ctx;
	uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
};

static void on_event(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void
ticket_remove(struct key_ticket *t)
{
	struct key_client *c = t->client;

	switch (t->place) {
	case WAITING:
		TAILQ_REMOVE(&c->waiting, t, link);
		c->n_waiting--;
		break;
	case SENT:
		TAILQ_REMOVE(&c->sent, t, link);
		c->n_sent--;
		break;
	case DOCUMENT:
		TAILQ_REMOVE(&c->documents, t, link);
		c->n_documents--;
		break;
	}
	buf_fini(&t->message);
	free(t);
}

/* Ends a ticket and tells its owner, who may do anything, key_client_free() included. */
static void
ticket_finish(struct key_ticket *t, struct err e, struct span answer)
{
	key_answer_fn *fn = t->fn;
	void *ctx = t->ctx;

	ticket_remove(t);
	if (fn != NULL)
		fn(ctx, e, answer);
}

static void
watch(struct key_client *c)
{
	int events = UV_READABLE | (c->full ? UV_WRITABLE : 0);

	/* uv_poll_start() fails on handles that are closing, and for no other reason. */
	if (events != c->events && !c->lost && uv_poll_start(&c->poll, events, on_event) == 0)
		c->events = events;
}

/* Sends what waits, as far as window and socket allow. */
static void
flush(struct key_client *c)
{
	struct key_ticket *t;

	c->full = false;
	while (!c->lost && c->n_sent < WINDOW && (t = TAILQ_FIRST(&c->waiting)) != NULL) {
		ssize_t n = send(c->fd, t->message.p, t->message.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n != (ssize_t)t->message.n) {
			/* Any other error is the channel's end, which the poll reports too. */
			c->full = n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS);
			break;
		}
		TAILQ_REMOVE(&c->waiting, t, link);
		c->n_waiting--;
		t->place = SENT;
		TAILQ_INSERT_TAIL(&c->sent, t, link);
		c->n_sent++;
		buf_fini(&t->message);
	}
	watch(c);
}

static struct key_ticket *
first_of(const struct key_client *c)
{
	struct key_ticket *t = TAILQ_FIRST(&c->sent);

	if (t == NULL)
		t = TAILQ_FIRST(&c->waiting);
	return t != NULL ? t : TAILQ_FIRST(&c->documents);
}

/* The key holder is gone: everything that waits fails, then the owner is told. */
static void
lose(struct key_client *c)
{
	struct key_ticket *t;

	c->lost = true;
	uv_poll_stop(&c->poll);
	uv_timer_stop(&c->timer);
	uv_idle_stop(&c->idle);
	while (!c->closing && (t = first_of(c)) != NULL)
		ticket_finish(t, FAIL(SYSTEM, "key holder: gone"), SPAN_NONE);
	if (!c->closing)
		c->on_lost(c->ctx);
}

static struct err
judge(enum err_code code)
{
	switch (code) {
	case ERR_OK:
		return OK;
	case ERR_MALFORMED:
		return FAIL(MALFORMED, "key holder: malformed members");
	case ERR_TOO_LARGE:
		return FAIL(TOO_LARGE, "key holder: R1: the receipt is too large");
	case ERR_REFUSED:
		return FAIL(REFUSED, "key holder: refused by K3");
	case ERR_BUSY:
		return FAIL(BUSY, "key holder: queue full");
	default:
		return FAIL(SYSTEM, "key holder: cannot sign");
	}
}

static void
count(const struct key_ticket *t)
{
	static const char *const kind[] = {
		[KEY_CHAT] = "chat",
		[KEY_RECEIPT] = "receipt",
		[KEY_CONFIG] = "config",
		[KEY_ATTEST] = "attestation",
		[KEY_OWN] = NULL, /* made before it was asked for; the next two are none */
		[KEY_UNSEAL] = NULL,
		[KEY_PROVISION] = NULL,
		[KEY_HEARTBEAT] = "heartbeat",
		[KEY_APP_HASH] = NULL,
	};

	if (kind[t->type] == NULL)
		return;
	metric_add(METRIC_SIGNATURES, kind[t->type], NULL, 1);
	metric_observe(
	    METRIC_SIGN_SECONDS, NULL, (double)(clock_monotonic_us() - t->asked_us) / 1e6);
}

static struct key_ticket *
find_in(const struct ticket_list *list, uint64_t number)
{
	struct key_ticket *t;

	for (t = TAILQ_FIRST(list); t != NULL; t = TAILQ_NEXT(t, link))
		if (t->number == number)
			return t;
	return NULL;
}

static struct key_ticket *
find_sent(const struct key_client *c, uint64_t number)
{
	struct key_ticket *t = find_in(&c->sent, number);

	return t != NULL ? t : find_in(&c->documents, number);
}

/* FALSE: not an answer to anything we asked. */
static bool
take_answer(struct key_client *c, struct span datagram)
{
	struct key_answer a;
	struct key_ticket *t;

	if (failed(key_answer_parse(&a, datagram)))
		return false;
	if ((t = find_sent(c, a.ticket)) == NULL || t->type != a.type)
		return false;
	if (a.code == ERR_OK)
		count(t);
	if (a.type == KEY_UNSEAL && a.code == ERR_OK)
		a.body = span_cut(a.body, 1, a.body.n);
	ticket_finish(t, judge(a.code), a.body);
	if (a.type == KEY_UNSEAL)
		wipe(c->datagram, sizeof(c->datagram));
	return true;
}

static void
on_event(uv_poll_t *poll, int status, int events)
{
	struct key_client *c = poll->data;

	for (int i = 0; i < READ_BATCH; i++) {
		ssize_t n = recv(c->fd, c->datagram, sizeof(c->datagram), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR) && status == 0)
			break;
		if (n <= 0 || n > (ssize_t)sizeof(c->datagram) ||
		    !take_answer(c, span_of(c->datagram, (size_t)n))) {
			lose(c);
			return;
		}
		if (c->closing)
			return;
		/* Nothing else is to come; what should not, poll tells. */
		if (c->n_sent + c->n_documents == 0)
			break;
	}
	flush(c);
}

static void
on_idle(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	flush(idle->data);
}

/* The first that somebody still waits for. */
static struct key_ticket *
first_wanted(const struct ticket_list *list)
{
	struct key_ticket *t;

	for (t = TAILQ_FIRST(list); t != NULL; t = TAILQ_NEXT(t, link))
		if (t->fn != NULL)
			return t;
	return NULL;
}

/* The ticket with the next deadline that somebody still waits for. */
static struct key_ticket *
next_due(const struct key_client *c)
{
	struct key_ticket *t = first_wanted(&c->sent), *d = first_wanted(&c->documents);

	if (t == NULL)
		t = TAILQ_FIRST(&c->waiting);
	return t == NULL || (d != NULL && d->due_ms < t->due_ms) ? d : t;
}

static void
time_out(struct key_ticket *t)
{
	static const char what[] = "key holder: no answer in SIGN_MS";
	key_answer_fn *fn = t->fn;

	if (t->place == WAITING) {
		ticket_finish(t, FAIL(TIMEOUT, what), SPAN_NONE);
		return;
	}
	t->fn = NULL;
	fn(t->ctx, FAIL(TIMEOUT, what), SPAN_NONE);
}

static void
arm(struct key_client *c)
{
	struct key_ticket *t = next_due(c);
	uint64_t now_ms = uv_now(c->loop);

	if (t != NULL && !uv_is_active((uv_handle_t *)&c->timer))
		uv_timer_start(&c->timer, on_timer, t->due_ms > now_ms ? t->due_ms - now_ms : 0, 0);
}

static void
on_timer(uv_timer_t *timer)
{
	struct key_client *c = timer->data;
	struct key_ticket *t;

	while (!c->closing && (t = next_due(c)) != NULL && t->due_ms <= uv_now(c->loop))
		time_out(t);
	if (!c->closing)
		arm(c);
}

static void
on_closed(uv_handle_t *handle)
{
	struct key_client *c = handle->data;

	if (--c->handles > 0)
		return;
	close(c->fd);
	wipe(c->datagram, sizeof(c->datagram));
	free(c);
}

struct err
key_client_new(
    struct key_client **out, uv_loop_t *loop, int fd, void (*on_lost)(void *ctx), void *ctx)
{
	struct key_client *c;

	*out = NULL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return FAIL(SYSTEM, "key client: memory");
	c->loop = loop;
	c->fd = fd;
	c->on_lost = on_lost;
	c->ctx = ctx;
	TAILQ_INIT(&c->waiting);
	TAILQ_INIT(&c->sent);
	TAILQ_INIT(&c->documents);
	if (uv_poll_init(loop, &c->poll, fd) != 0) {
		free(c);
		return FAIL(SYSTEM, "key client: poll");
	}
	uv_timer_init(loop, &c->timer);
	uv_idle_init(loop, &c->idle);
	c->poll.data = c->timer.data = c->idle.data = c;
	c->handles = 3;
	watch(c);
	*out = c;
	return OK;
}

void
key_client_free(struct key_client *c)
{
	struct key_ticket *t;

	if (c == NULL || c->closing)
		return;
	c->closing = c->lost = true;
	while ((t = first_of(c)) != NULL)
		ticket_remove(t);
	uv_close((uv_handle_t *)&c->poll, on_closed);
	uv_close((uv_handle_t *)&c->timer, on_closed);
	uv_close((uv_handle_t *)&c->idle, on_closed);
}

bool
key_client_has_room(const struct key_client *c)
{
	return !c->lost && c->n_waiting + c->n_sent < ROOM;
}

/* A ticket in no list yet, with its datagram. */
static struct err
make_ticket(struct key_ticket **out, struct key_client *c, struct key_request *r, key_answer_fn *fn,
    void *ctx)
{
	struct key_ticket *t;

	if ((t = calloc(1, sizeof(*t))) == NULL)
		return FAIL(NOMEM, "key client: memory");
	t->client = c;
	t->type = r->type;
	t->number = r->ticket = ++c->next_number;
	t->due_ms = uv_now(c->loop) + SIGN_MS;
	t->asked_us = clock_monotonic_us();
	t->fn = fn;
	t->ctx = ctx;
	buf_init(&t->message, KEY_MESSAGE_MAX_BYTES);
	key_request_put(&t->message, r);
	if (failed(buf_check(&t->message))) {
		buf_fini(&t->message);
		free(t);
		return FAIL(TOO_LARGE, "key client: request");
	}
	*out = t;
	return OK;
}

static struct err
ask(struct key_client *c, struct key_request *r, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	struct key_ticket *t;

	*ticket = NULL;
	if (c->lost)
		return FAIL(SYSTEM, "key holder: gone");
	if (c->n_waiting + c->n_sent >= PENDING_MAX)
		return FAIL(BUSY, "key client: too many wait for a signature");
	TRY(make_ticket(&t, c, r, fn, ctx));
	TAILQ_INSERT_TAIL(&c->waiting, t, link);
	c->n_waiting++;
	uv_idle_start(&c->idle, on_idle);
	arm(c);
	*ticket = t;
	return OK;
}

struct err
key_sign_chat(struct key_client *c, const uint8_t request_hash[static KECCAK_LEN],
    const uint8_t output_hash[static KECCAK_LEN], uint64_t timestamp_unix_s, key_answer_fn *fn,
    void *ctx, struct key_ticket **ticket)
{
	struct key_request r = { .type = KEY_CHAT, .timestamp_unix_s = timestamp_unix_s };

	memcpy(r.request_hash, request_hash, KECCAK_LEN);
	memcpy(r.output_hash, output_hash, KECCAK_LEN);
	return ask(c, &r, fn, ctx, ticket);
}

struct err
key_sign_heartbeat(struct key_client *c, uint32_t buffer_s, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	struct key_request r = { .type = KEY_HEARTBEAT, .buffer_s = buffer_s };

	*ticket = NULL;
	if (buffer_s > HEARTBEAT_BUFFER_MAX_S)
		return FAIL(TOO_LARGE, "key client: K3: a heartbeat's buffer");
	return ask(c, &r, fn, ctx, ticket);
}

/* What the key holder would take for a broken channel is refused before it gets there. */
static struct err
ask_text(struct key_client *c, enum key_type type, struct span text, size_t max_bytes,
    key_answer_fn *fn, void *ctx, struct key_ticket **ticket)
{
	struct key_request r = { .type = type, .body = text };

	*ticket = NULL;
	if (text.n == 0)
		return FAIL(MALFORMED, "key client: nothing to sign");
	if (text.n > max_bytes)
		return FAIL(TOO_LARGE, "key client: too much to sign");
	return ask(c, &r, fn, ctx, ticket);
}

struct err
key_sign_receipt(struct key_client *c, struct span members, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	return ask_text(c, KEY_RECEIPT, members, RECEIPT_MAX_BYTES, fn, ctx, ticket);
}

struct err
key_sign_config(struct key_client *c, struct span config, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	return ask_text(c, KEY_CONFIG, config, CONFIG_MAX_BYTES, fn, ctx, ticket);
}

struct err
key_unseal(
    struct key_client *c, struct span jwe, key_answer_fn *fn, void *ctx, struct key_ticket **ticket)
{
	return ask_text(c, KEY_UNSEAL, jwe, PROVISION_MAX_BYTES, fn, ctx, ticket);
}

struct err
key_provision(struct key_client *c, struct span bytes, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	return ask_text(c, KEY_PROVISION, bytes, PROVISION_MAX_BYTES, fn, ctx, ticket);
}

struct err
key_app_hash(struct key_client *c, struct span sha256, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	*ticket = NULL;
	if (sha256.n != SHA256_LEN)
		return FAIL(MALFORMED, "key client: length of a hash");
	return ask_text(c, KEY_APP_HASH, sha256, SHA256_LEN, fn, ctx, ticket);
}

/* Sent at once or not at all. */
static struct err
ask_document(struct key_client *c, struct key_request *r, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	struct key_ticket *t;

	*ticket = NULL;
	if (c->lost)
		return FAIL(SYSTEM, "key holder: gone");
	/* One place is left for our own. */
	if (c->n_documents >= ATTEST_QUEUE_MAX + (r->type == KEY_OWN))
		return FAIL(BUSY, "key client: too many wait for a document");
	TRY(make_ticket(&t, c, r, fn, ctx));
	if (send(c->fd, t->message.p, t->message.n, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)t->message.n) {
		buf_fini(&t->message);
		free(t);
		return FAIL(BUSY, "key client: no room for a request");
	}
	buf_fini(&t->message);
	t->place = DOCUMENT;
	TAILQ_INSERT_TAIL(&c->documents, t, link);
	c->n_documents++;
	arm(c);
	*ticket = t;
	return OK;
}

struct err
key_attest(struct key_client *c, struct span nonce, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket)
{
	struct key_request r = { .type = KEY_ATTEST, .body = nonce };

	*ticket = NULL;
	/* What the key holder would take for a broken channel is refused before it gets there. */
	if (nonce.n == 0 || nonce.n > ATTEST_NONCE_MAX_BYTES)
		return FAIL(TOO_LARGE, "key client: length of a nonce");
	return ask_document(c, &r, fn, ctx, ticket);
}

struct err
key_own_document(struct key_client *c, key_answer_fn *fn, void *ctx, struct key_ticket **ticket)
{
	struct key_request r = { .type = KEY_OWN };

	return ask_document(c, &r, fn, ctx, ticket);
}

void
key_cancel(struct key_ticket *t)
{
	if (t == NULL)
		return;
	/* The answer to what was sent still comes, and takes its place in the window till then. */
	if (t->place != WAITING)
		t->fn = NULL;
	else
		ticket_remove(t);
}
