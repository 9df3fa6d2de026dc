#include "net/multi.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

/* A descriptor that libcurl wants watched. Freed by libuv's close callback. */
struct sock {
	uv_poll_t poll; /* first: the close callback frees by its address */
	struct multi *m;
	curl_socket_t fd;
	LIST_ENTRY(sock) entry;
};

struct multi {
	uv_loop_t *loop;
	CURLM *curl;
	uv_timer_t *timer; /* libcurl's one timer; its own memory, as closing outlives us */
	multi_done_fn *done;
	unsigned depth; /* > 0: a libcurl call that may call back is on the stack */
	LIST_HEAD(sock_list, sock) socks;
};

static void
free_handle(uv_handle_t *h)
{
	free(h);
}

/* Tells about every transfer that ended; libcurl is not on the stack then. */
static void
tell_done(struct multi *m)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(m->curl, &left)) != NULL)
		if (msg->msg == CURLMSG_DONE)
			m->done(msg->easy_handle, msg->data.result);
}

static void
act(struct multi *m, curl_socket_t fd, int events)
{
	int running;

	m->depth++;
	/* Its errors are about arguments that we do not get wrong; transfers report their own. */
	(void)curl_multi_socket_action(m->curl, fd, events, &running);
	m->depth--;
	tell_done(m);
}

static void
on_timer(uv_timer_t *t)
{
	act(t->data, CURL_SOCKET_TIMEOUT, 0);
}

static void
on_poll(uv_poll_t *p, int status, int events)
{
	struct sock *s = p->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	act(s->m, s->fd, flags);
}

static void
sock_free(struct sock *s)
{
	LIST_REMOVE(s, entry);
	/* Stops watching at once; libcurl closes the descriptor right after. */
	uv_close((uv_handle_t *)&s->poll, free_handle);
}

static struct sock *
sock_new(struct multi *m, curl_socket_t fd)
{
	struct sock *s = malloc(sizeof(*s));

	if (s == NULL)
		return NULL;
	if (uv_poll_init_socket(m->loop, &s->poll, fd) != 0) {
		free(s);
		return NULL;
	}
	s->poll.data = s;
	s->m = m;
	s->fd = fd;
	LIST_INSERT_HEAD(&m->socks, s, entry);
	return s;
}

/* CURLMOPT_SOCKETFUNCTION: what to watch on fd. -1 makes libcurl fail the transfers on it. */
static int
watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *sock)
{
	struct multi *m = ctx;
	struct sock *s = sock;
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (s != NULL)
			sock_free(s);
		return 0;
	}
	if (s == NULL) {
		if ((s = sock_new(m, fd)) == NULL)
			return -1;
		curl_multi_assign(m->curl, fd, s);
	}
	if ((what & CURL_POLL_IN) != 0)
		events |= UV_READABLE;
	if ((what & CURL_POLL_OUT) != 0)
		events |= UV_WRITABLE;
	return uv_poll_start(&s->poll, events, on_poll) == 0 ? 0 : -1;
}

/* CURLMOPT_TIMERFUNCTION: call back after timeout_ms; -1: never. */
static int
arm(CURLM *curl, long timeout_ms, void *ctx)
{
	struct multi *m = ctx;

	if (timeout_ms < 0)
		return uv_timer_stop(m->timer) == 0 ? 0 : -1;
	return uv_timer_start(m->timer, on_timer, (uint64_t)timeout_ms, 0) == 0 ? 0 : -1;
}

static bool
configure(struct multi *m, long connections_max)
{
	CURLM *c = m->curl;

	return curl_multi_setopt(c, CURLMOPT_SOCKETFUNCTION, watch) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_SOCKETDATA, m) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_TIMERFUNCTION, arm) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_TIMERDATA, m) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX) == CURLM_OK &&
	    /* As many idle ones as open ones: with fewer, a busy pool closes what comes back. */
	    curl_multi_setopt(c, CURLMOPT_MAXCONNECTS, connections_max) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections_max) == CURLM_OK;
}

struct err
multi_new(struct multi **out, uv_loop_t *loop, long connections_max, multi_done_fn *done)
{
	struct multi *m = calloc(1, sizeof(*m));

	*out = NULL;
	if (m == NULL)
		return FAIL(NOMEM, "egress: memory");
	m->loop = loop;
	m->done = done;
	LIST_INIT(&m->socks);
	if ((m->timer = malloc(sizeof(*m->timer))) == NULL || uv_timer_init(loop, m->timer) != 0) {
		free(m->timer);
		free(m);
		return FAIL(NOMEM, "egress: timer");
	}
	m->timer->data = m;
	if ((m->curl = curl_multi_init()) == NULL || !configure(m, connections_max)) {
		multi_free(m);
		return FAIL(SYSTEM, "egress: libcurl refused its settings");
	}
	*out = m;
	return OK;
}

void
multi_free(struct multi *m)
{
	struct sock *s;

	if (m == NULL)
		return;
	assert(m->depth == 0);
	/* May still call watch() and arm(). */
	curl_multi_cleanup(m->curl);
	while ((s = LIST_FIRST(&m->socks)) != NULL)
		sock_free(s);
	uv_close((uv_handle_t *)m->timer, free_handle);
	free(m);
}

struct err
multi_add(struct multi *m, CURL *easy)
{
	assert(m->depth == 0);
	return curl_multi_add_handle(m->curl, easy) == CURLM_OK
	    ? OK
	    : FAIL(SYSTEM, "egress: libcurl refused the transfer");
}

void
multi_remove(struct multi *m, CURL *easy)
{
	assert(m->depth == 0);
	(void)curl_multi_remove_handle(m->curl, easy);
}

void
multi_unpause(struct multi *m, CURL *easy)
{
	assert(m->depth == 0);
	m->depth++;
	(void)curl_easy_pause(easy, CURLPAUSE_CONT);
	m->depth--;
	tell_done(m);
}

bool
multi_inside(const struct multi *m)
{
	return m->depth > 0;
}
