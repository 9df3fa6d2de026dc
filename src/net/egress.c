#include "net/egress.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <curl/curl.h>

#include "core/limits.h"
#include "core/wipe.h"
#include "net/handles.h"
#include "net/multi.h"
#include "net/outgoing.h"
#include "net/peer.h"
#include "net/upstream_head.h"

enum {
	CONNECTIONS_MAX = 2048,	     /* a loop's, all upstreams; HTTP/1.1 needs one a stream */
	SMALL_BODY_BYTES = 48 << 10, /* libcurl sends up to 64 KiB together with the head */
	IDLE_MAX_S = 60,	     /* an idle connection is not reused after */
};

struct egress {
	struct multi *multi;
	struct roots *roots;
	struct handles handles;
	enum egress_plain plain;
	uv_loop_t *loop;
	uv_idle_t *idle; /* runs `later`; its own memory, as closing outlives us */
	LIST_HEAD(call_list, egress_call) calls;
	TAILQ_HEAD(call_queue, egress_call) later; /* what may not be done from inside libcurl */
	size_t later_n;
};

enum phase {
	CALL_NEW,	 /* libcurl does not have it yet */
	CALL_CONNECTING, /* waits for a connection: nothing was sent */
	CALL_WAITING,	 /* may be sent: waits for the whole final head */
	CALL_RELAYING,	 /* on_head was called */
	CALL_ENDING,	 /* on_done is called */
};

struct egress_call {
	struct egress *e;
	enum phase phase;
	bool queued;	/* is in e->later */
	bool cancelled; /* no callback any more; freed as soon as libcurl is off the stack */
	bool paused, never_pauses;
	bool reusable;		 /* libcurl's handle went through a whole exchange */
	enum egress_fault fault; /* ours, why a callback made libcurl fail; else EGRESS_NONE */

	CURL *easy;
	struct outgoing out;
	struct span body;
	size_t body_read;
	uint8_t *small_body; /* a copy of a body that leaves with the head; else NULL */

	uv_timer_t *timer; /* its own memory, as closing outlives us */
	uint32_t connect_ms, first_byte_ms, gap_ms;
	uint64_t waits_since_ms; /* for what the phase waits for, by the loop's clock */
	uint64_t total_due_ms;

	struct upstream_head head;
	bool head_told; /* on_head was called: head and peer are those of the answer */
	void *ssl;	/* held when only close_notify tells that the body is whole */
	struct egress_peer peer;

	const struct egress_ops *ops;
	void *ctx;
	LIST_ENTRY(egress_call) entry;
	TAILQ_ENTRY(egress_call) entry_later;
};

static void
free_handle(uv_handle_t *h)
{
	free(h);
}

/* --- the end of a call ------------------------------------------------------------------- */

static void
call_free(struct egress_call *c)
{
	struct egress *e = c->e;

	if (c->queued) {
		TAILQ_REMOVE(&e->later, c, entry_later);
		e->later_n--;
	}
	LIST_REMOVE(c, entry);
	if (c->phase != CALL_NEW && c->phase != CALL_ENDING)
		multi_remove(e->multi, c->easy);
	handles_give(&e->handles, c->easy, c->reusable);
	outgoing_fini(&c->out);
	if (c->small_body != NULL)
		wipe(c->small_body, c->body.n);
	free(c->small_body);
	if (c->ssl != NULL)
		(void)peer_release_closed(c->ssl);
	upstream_head_fini(&c->head);
	if (c->timer != NULL)
		uv_close((uv_handle_t *)c->timer, free_handle);
	free(c);
}

/* Not from inside libcurl. */
static void
call_end(struct egress_call *c, enum egress_fault fault)
{
	if (c->phase != CALL_NEW)
		multi_remove(c->e->multi, c->easy);
	c->phase = CALL_ENDING;
	c->reusable = fault == EGRESS_NONE;
	uv_timer_stop(c->timer);
	c->ops->on_done(c->ctx, c, fault);
	call_free(c);
}

static bool
about_tls(CURLcode result)
{
	switch (result) {
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_USE_SSL_FAILED:
		return true;
	default:
		return false;
	}
}

static enum egress_fault
fault_of(struct egress_call *c, CURLcode result)
{
	if (c->fault != EGRESS_NONE)
		return c->fault;
	if (c->phase < CALL_WAITING)
		return about_tls(result) ? EGRESS_TLS : EGRESS_CONNECT;
	if (result == CURLE_OPERATION_TIMEDOUT)
		return EGRESS_TIMEOUT;
	if (result != CURLE_OK || c->phase != CALL_RELAYING)
		return EGRESS_BROKEN;
	if (c->ssl != NULL) {
		bool closed = peer_release_closed(c->ssl);

		c->ssl = NULL;
		return closed ? EGRESS_NONE : EGRESS_BROKEN;
	}
	return EGRESS_NONE;
}

static void
on_transfer_done(CURL *easy, CURLcode result)
{
	char *private = NULL;
	struct egress_call *c;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
	c = (struct egress_call *)(void *)private;
	if (c->cancelled)
		call_free(c);
	else
		call_end(c, fault_of(c, result));
}

/* --- deadlines --------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *t);

/* When the wait of this phase must be over; a pause of ours is nobody's delay. */
static uint64_t
due_ms(const struct egress_call *c)
{
	uint64_t due = UINT64_MAX;

	if (c->phase < CALL_WAITING)
		due = c->waits_since_ms + c->connect_ms;
	else if (c->phase == CALL_WAITING)
		due = c->waits_since_ms + c->first_byte_ms;
	else if (!c->paused)
		due = c->waits_since_ms + c->gap_ms;
	return due < c->total_due_ms ? due : c->total_due_ms;
}

static void
arm(struct egress_call *c)
{
	uint64_t now = uv_now(c->e->loop), due = due_ms(c);

	uv_timer_start(c->timer, on_deadline, due > now ? due - now : 0, 0);
}

/* A new wait begins. Between body bytes the timer stays: on_deadline() looks again. */
static void
wait_from_now(struct egress_call *c)
{
	c->waits_since_ms = uv_now(c->e->loop);
	arm(c);
}

static void
on_deadline(uv_timer_t *t)
{
	struct egress_call *c = t->data;

	if (uv_now(c->e->loop) < due_ms(c))
		arm(c);
	else
		call_end(c, c->phase < CALL_WAITING ? EGRESS_CONNECT : EGRESS_TIMEOUT);
}

/* --- what libcurl asks and tells --------------------------------------------------------- */

/*
 * A connection stands and the request goes out next. libcurl asks again when it wants to send a
 * request a second time, on whatever ground; the first may have been processed (E4).
 */
static int
on_connected(void *ctx, char *ip, char *local_ip, int port, int local_port)
{
	struct egress_call *c = ctx;

	(void)ip, (void)local_ip, (void)port, (void)local_port;
	if (c->cancelled || c->phase != CALL_CONNECTING) {
		c->fault = EGRESS_BROKEN;
		return CURL_PREREQFUNC_ABORT;
	}
	c->phase = CALL_WAITING;
	wait_from_now(c);
	return CURL_PREREQFUNC_OK;
}

/* A large body is not handed over as a whole: after a cancel nobody may look at it. */
static size_t
on_read(char *to, size_t size, size_t n, void *ctx)
{
	struct egress_call *c = ctx;
	size_t left = c->body.n - c->body_read;

	if (c->cancelled)
		return CURL_READFUNC_ABORT;
	n *= size;
	if (n > left)
		n = left;
	if (n > 0)
		memcpy(to, c->body.p + c->body_read, n);
	c->body_read += n;
	return n;
}

/* HTTP/1 without a length: the end of the connection is the end of the body. */
static bool
ends_by_close(const struct egress_call *c, long status)
{
	curl_off_t length = -1;
	long version = 0;

	curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	curl_easy_getinfo(c->easy, CURLINFO_HTTP_VERSION, &version);
	return length < 0 && status != 204 && status != 304 && version < CURL_HTTP_VERSION_2_0 &&
	    egress_field(c, "transfer-encoding").p == NULL;
}

/* The final head is whole. False: the transfer must fail. */
static bool
head_done(struct egress_call *c, long status)
{
	struct curl_tlssessioninfo *tls = NULL;
	char *scheme = NULL;

	curl_easy_getinfo(c->easy, CURLINFO_SCHEME, &scheme);
	if (scheme == NULL || !span_eq_nocase(span_str(scheme), SPAN_LIT("http"))) {
		curl_easy_getinfo(c->easy, CURLINFO_TLS_SSL_PTR, &tls);
		if (tls == NULL || tls->backend != CURLSSLBACKEND_OPENSSL ||
		    !peer_record(&c->peer, tls->internals)) {
			c->fault = EGRESS_TLS;
			return false;
		}
		if (ends_by_close(c, status) && (c->ssl = peer_hold(tls->internals)) == NULL) {
			c->fault = EGRESS_BROKEN;
			return false;
		}
	}
	c->phase = CALL_RELAYING;
	c->head_told = true;
	wait_from_now(c);
	c->ops->on_head(c->ctx, c, (unsigned)status);
	return !c->cancelled;
}

/* One line of a head, or of a trailer: those are nobody's business here. */
static size_t
on_header(char *p, size_t size, size_t n, void *ctx)
{
	struct egress_call *c = ctx;
	long status = 0;

	n *= size;
	if (c->cancelled)
		return 0;
	if (c->phase == CALL_RELAYING)
		return n;
	switch (upstream_head_line(&c->head, span_of(p, n))) {
	case HEAD_MORE:
		return n;
	case HEAD_TOO_LARGE:
		c->fault = EGRESS_TOO_LARGE;
		return 0;
	case HEAD_WHOLE:
		break;
	}
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	/* Interim heads (RFC 9110 15.2) are skipped; after 101 no other head comes. */
	if (status >= 100 && status < 200 && status != 101)
		return n;
	return head_done(c, status) ? n : 0;
}

static size_t
on_write(char *p, size_t size, size_t n, void *ctx)
{
	struct egress_call *c = ctx;
	bool taken;

	n *= size;
	if (c->cancelled || c->phase != CALL_RELAYING)
		return CURL_WRITEFUNC_ERROR;
	if (n == 0)
		return 0;
	c->waits_since_ms = uv_now(c->e->loop);
	taken = c->ops->on_body(c->ctx, c, span_of(p, n));
	if (c->cancelled)
		return CURL_WRITEFUNC_ERROR;
	if (taken)
		return n;
	/* On HTTP/2 libcurl 7.88 also loses a paused call's bytes when it is cancelled. */
	assert(!c->never_pauses);
	c->paused = true;
	return CURL_WRITEFUNC_PAUSE;
}

/* --- what waits until libcurl is off the stack ------------------------------------------- */

/* False: the call has ended. */
static bool
call_add(struct egress_call *c)
{
	if (failed(multi_add(c->e->multi, c->easy))) {
		call_end(c, EGRESS_CONNECT);
		return false;
	}
	c->phase = CALL_CONNECTING;
	return true;
}

static void
call_unpause(struct egress_call *c)
{
	c->paused = false;
	wait_from_now(c);
	multi_unpause(c->e->multi, c->easy);
}

static void
on_idle(uv_idle_t *idle)
{
	struct egress *e = idle->data;
	struct egress_call *c;
	bool added = false;

	/* Only what is queued now: a call that queues itself again waits for the next turn. */
	for (size_t n = e->later_n; n > 0 && (c = TAILQ_FIRST(&e->later)) != NULL; n--) {
		TAILQ_REMOVE(&e->later, c, entry_later);
		e->later_n--;
		c->queued = false;
		if (c->cancelled)
			call_free(c);
		else if (c->phase == CALL_NEW)
			added = call_add(c) || added;
		else if (c->paused)
			call_unpause(c);
	}
	if (added)
		multi_turn(e->multi);
	if (e->later_n == 0)
		uv_idle_stop(idle);
}

static void
call_later(struct egress_call *c)
{
	if (c->queued)
		return;
	TAILQ_INSERT_TAIL(&c->e->later, c, entry_later);
	c->e->later_n++;
	c->queued = true;
	uv_idle_start(c->e->idle, on_idle);
}

/* --- the loop's egress ------------------------------------------------------------------- */

static void
curl_begin(void)
{
	/* Never undone: other loops may still be at work. Its failure shows in curl_easy_init(). */
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool
idle_new(struct egress *e)
{
	if ((e->idle = malloc(sizeof(*e->idle))) == NULL)
		return false;
	if (uv_idle_init(e->loop, e->idle) != 0) {
		free(e->idle);
		e->idle = NULL;
		return false;
	}
	e->idle->data = e;
	return true;
}

struct err
egress_new(struct egress **out, const struct egress_options *opt)
{
	static const struct handle_calls calls = { on_connected, on_read, on_header, on_write };
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct egress *e = calloc(1, sizeof(*e));
	struct err bad = FAIL(NOMEM, "egress: memory");

	*out = NULL;
	if (e == NULL)
		return bad;
	e->loop = opt->loop;
	e->plain = opt->plain;
	LIST_INIT(&e->calls);
	TAILQ_INIT(&e->later);
	pthread_once(&once, curl_begin);
	if (!idle_new(e) || failed(bad = roots_new(&e->roots, opt->ca_file)) ||
	    failed(bad = multi_new(&e->multi, e->loop, CONNECTIONS_MAX, on_transfer_done)))
		goto fail;
	if (failed(bad = handles_init(
		       &e->handles, e->multi, e->roots, e->plain != EGRESS_PLAIN_NEVER, &calls)))
		goto fail;
	*out = e;
	return OK;
fail:
	egress_free(e);
	return bad;
}

struct err
egress_tunnel(struct egress *e, const struct vsock_address *proxy)
{
	return handles_tunnel(&e->handles, proxy);
}

void
egress_free(struct egress *e)
{
	struct egress_call *c;

	if (e == NULL)
		return;
	while ((c = LIST_FIRST(&e->calls)) != NULL) {
		assert(c->phase != CALL_ENDING);
		call_free(c);
	}
	handles_fini(&e->handles);
	multi_free(e->multi);
	roots_free(e->roots);
	if (e->idle != NULL)
		uv_close((uv_handle_t *)e->idle, free_handle);
	free(e);
}

/* --- the caller's side ------------------------------------------------------------------- */

static struct err
set_call(struct egress_call *c, const struct egress_request *r)
{
	const CURLoption kind = r->method == EGRESS_GET ? CURLOPT_HTTPGET : CURLOPT_POST;
	/* Peers close idle connections soon. */
	const long idle_max_s = r->idle_max_s != 0 ? (long)r->idle_max_s : IDLE_MAX_S;
	const long version = c->never_pauses ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1;
	/*
	 * Share a connection that is about to stand, where it may be HTTP/2. Without TLS nothing says
	 * what it is before its first answer, and all calls would wait for the slowest.
	 */
	const long wait = c->out.tls && c->never_pauses ? 1L : 0L;
	CURL *h = c->easy = handles_take(&c->e->handles);

	memcpy(c->peer.host, c->out.host, sizeof(c->peer.host));
	if (h != NULL && curl_easy_setopt(h, CURLOPT_PRIVATE, c) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_CURLU, c->out.url) == CURLE_OK &&
	    curl_easy_setopt(h, kind, 1L) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, version) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_PIPEWAIT, wait) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_MAXAGE_CONN, idle_max_s) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->out.field) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n) == CURLE_OK &&
	    /* Ours fires first; libcurl divides its own among a host's addresses. */
	    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_ms + 100) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_PREREQDATA, c) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_READDATA, c) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_HEADERDATA, c) == CURLE_OK &&
	    curl_easy_setopt(h, CURLOPT_WRITEDATA, c) == CURLE_OK)
		return OK;
	return FAIL(NOMEM, "egress: libcurl refused the call");
}

/*
 * A body of the usual size leaves in one TLS record with the head. libcurl may look at it until it
 * lets go of the call, which may be after the caller cancelled: hence the copy.
 */
static struct err
set_body(struct egress_call *c)
{
	if (c->body.n == 0 || c->body.n > SMALL_BODY_BYTES)
		return OK;
	if ((c->small_body = malloc(c->body.n)) == NULL)
		return FAIL(NOMEM, "egress: memory");
	memcpy(c->small_body, c->body.p, c->body.n);
	return curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, c->small_body) == CURLE_OK
	    ? OK
	    : FAIL(NOMEM, "egress: libcurl refused the body");
}

static struct err
set_timer(struct egress_call *c, uint32_t total_ms)
{
	if ((c->timer = malloc(sizeof(*c->timer))) == NULL)
		return FAIL(NOMEM, "egress: memory");
	if (uv_timer_init(c->e->loop, c->timer) != 0) {
		free(c->timer);
		c->timer = NULL;
		return FAIL(SYSTEM, "egress: timer");
	}
	c->timer->data = c;
	c->total_due_ms = uv_now(c->e->loop) + total_ms;
	wait_from_now(c);
	return OK;
}

static uint32_t
or_default(uint32_t ms, uint32_t fallback_ms)
{
	return ms > 0 ? ms : fallback_ms;
}

struct err
egress_start(struct egress *e, const struct egress_request *r, struct egress_call **out)
{
	struct egress_call *c = calloc(1, sizeof(*c));
	struct err bad;

	*out = NULL;
	if (c == NULL)
		return FAIL(NOMEM, "egress: memory");
	if (r->method == EGRESS_GET && r->body.n > 0) {
		free(c);
		return FAIL(MALFORMED, "egress: a GET with a body");
	}
	c->e = e;
	c->body = r->body;
	c->connect_ms = or_default(r->connect_ms, UPSTREAM_CONNECT_MS);
	c->first_byte_ms = or_default(r->first_byte_ms, UPSTREAM_FIRST_BYTE_MS);
	c->gap_ms = or_default(r->gap_ms, UPSTREAM_GAP_MS);
	c->never_pauses = r->never_pauses;
	c->ops = r->ops;
	c->ctx = r->ctx;
	upstream_head_init(&c->head);
	LIST_INSERT_HEAD(&e->calls, c, entry);
	if (failed(bad = outgoing_init(&c->out, r->url, r->field, e->plain)) ||
	    failed(bad = set_call(c, r)) || failed(bad = set_body(c)) ||
	    failed(bad = set_timer(c, or_default(r->total_ms, UPSTREAM_TOTAL_MS)))) {
		call_free(c);
		return bad;
	}
	call_later(c);
	*out = c;
	return OK;
}

void
egress_resume(struct egress_call *c)
{
	if (c->phase == CALL_RELAYING)
		call_later(c);
}

void
egress_cancel(struct egress_call *c)
{
	if (c->phase == CALL_ENDING || c->cancelled)
		return;
	c->cancelled = true;
	uv_timer_stop(c->timer);
	if (multi_inside(c->e->multi))
		call_later(c);
	else
		call_free(c);
}

bool
egress_sent(const struct egress_call *c)
{
	return c->phase >= CALL_WAITING;
}

struct span
egress_field(const struct egress_call *c, const char *name)
{
	return upstream_head_field(&c->head, name);
}

const struct egress_peer *
egress_peer(const struct egress_call *c)
{
	return c->head_told ? &c->peer : NULL;
}
