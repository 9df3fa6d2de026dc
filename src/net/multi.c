#include "net/multi.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

/*
 * A descriptor that libcurl wants watched. A connection's stays watched between transfers: the next
 * one most likely wants the same, and so costs no epoll_ctl(2). What comes meanwhile (a peer that
 * closes) only ends the watch; libcurl looks when it takes the connection up again. Freed by
 * libuv's close callback.
 */
struct sock {
	uv_poll_t poll; /* first: the close callback frees by its address */
	struct multi *m;
	curl_socket_t fd;
	bool connection; /* multi_connection() was told, and so will be multi_close() */
	bool wanted;	 /* some transfer uses it */
	int events;	 /* what libuv watches for */
	LIST_ENTRY(sock) entry;
};

struct multi {
	uv_loop_t *loop;
	CURLM *curl;
	uv_timer_t *timer; /* libcurl's one timer; its own memory, as closing outlives us */
	multi_done_fn *done;
	long connections_max;
	uv_timer_t *rest; /* runs while there is no transfer; likewise */
	unsigned running; /* transfers */
	unsigned depth;	  /* > 0: a libcurl call that may call back is on the stack */
	LIST_HEAD(sock_list, sock) socks;
	struct sock **by_fd; /* connections */
	size_t by_fd_n;
};

enum {
	FDS_FIRST = 64,
	/*
	 * Connections that are kept beyond those in use; some 60 to 120 KiB each. libcurl closes
	 * those past their age when it looks for one; when nobody asks, we let go of all.
	 */
	IDLE_MAX = 128,
	REST_MS = 75000,
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

static void on_poll(uv_poll_t *p, int status, int events);

/* False: libuv cannot. */
static bool
sock_watch(struct sock *s, int events)
{
	int bad = 0;

	if (events == s->events)
		return true;
	bad = events == 0 ? uv_poll_stop(&s->poll) : uv_poll_start(&s->poll, events, on_poll);
	s->events = bad == 0 ? events : 0;
	return bad == 0;
}

static void
on_poll(uv_poll_t *p, int status, int events)
{
	struct sock *s = p->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	if (status < 0)
		s->events = 0; /* libuv has stopped */
	if (!s->wanted) {
		(void)sock_watch(s, 0);
		return;
	}
	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	act(s->m, s->fd, flags);
}

static struct sock *
connection_of(const struct multi *m, curl_socket_t fd)
{
	return (size_t)fd < m->by_fd_n ? m->by_fd[fd] : NULL;
}

static void
sock_free(struct sock *s)
{
	if (s->connection)
		s->m->by_fd[s->fd] = NULL;
	LIST_REMOVE(s, entry);
	/* Stops watching at once; the descriptor is closed right after. */
	uv_close((uv_handle_t *)&s->poll, free_handle);
}

static struct sock *
sock_new(struct multi *m, curl_socket_t fd)
{
	struct sock *s = calloc(1, sizeof(*s));

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

static bool
make_room(struct multi *m, curl_socket_t fd)
{
	size_t n = m->by_fd_n > 0 ? m->by_fd_n : FDS_FIRST;
	struct sock **more;

	if ((size_t)fd < m->by_fd_n)
		return true;
	while (n <= (size_t)fd)
		n *= 2;
	if ((more = reallocarray(m->by_fd, n, sizeof(struct sock *))) == NULL)
		return false;
	memset(more + m->by_fd_n, 0, (n - m->by_fd_n) * sizeof(struct sock *));
	m->by_fd = more;
	m->by_fd_n = n;
	return true;
}

bool
multi_connection(struct multi *m, curl_socket_t fd)
{
	struct sock *s;

	if (fd < 0 || !make_room(m, fd))
		return false;
	/* Cannot be, as libcurl closes by multi_close(); else its watch is nobody's by now. */
	if (m->by_fd[fd] != NULL)
		sock_free(m->by_fd[fd]);
	if ((s = sock_new(m, fd)) == NULL)
		return false;
	s->connection = true;
	m->by_fd[fd] = s;
	return true;
}

int
multi_close(struct multi *m, curl_socket_t fd)
{
	struct sock *s = connection_of(m, fd);

	if (s != NULL)
		sock_free(s);
	return close(fd);
}

/* CURLMOPT_SOCKETFUNCTION: what to watch on fd. -1 makes libcurl fail the transfers on it. */
static int
watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *sock)
{
	struct multi *m = ctx;
	struct sock *s = sock != NULL ? sock : connection_of(m, fd);
	int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (s != NULL && s->connection)
			s->wanted = false;
		else if (s != NULL)
			sock_free(s);
		return 0;
	}
	if (s == NULL && (s = sock_new(m, fd)) == NULL)
		return -1;
	if (sock == NULL)
		curl_multi_assign(m->curl, fd, s);
	s->wanted = true;
	if ((what & CURL_POLL_IN) != 0)
		events |= UV_READABLE;
	if ((what & CURL_POLL_OUT) != 0)
		events |= UV_WRITABLE;
	return sock_watch(s, events) ? 0 : -1;
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
configure(struct multi *m, CURLM *c)
{
	return curl_multi_setopt(c, CURLMOPT_SOCKETFUNCTION, watch) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_SOCKETDATA, m) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_TIMERFUNCTION, arm) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_TIMERDATA, m) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX) == CURLM_OK &&
	    curl_multi_setopt(c, CURLMOPT_MAX_TOTAL_CONNECTIONS, m->connections_max) == CURLM_OK;
}

/* libcurl's bound is on used and idle connections together, so it moves with those in use. */
static void
keep_idle(struct multi *m)
{
	long keep = (long)m->running + IDLE_MAX;

	if (keep > m->connections_max)
		keep = m->connections_max;
	(void)curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, keep);
}

/* Nothing was asked for a while: connections that peers have closed, or will, are let go. */
static void
on_rest(uv_timer_t *t)
{
	struct multi *m = t->data;
	CURLM *fresh = curl_multi_init(), *old = m->curl;

	if (fresh == NULL || !configure(m, fresh)) {
		curl_multi_cleanup(fresh);
		return;
	}
	curl_multi_cleanup(old);
	m->curl = fresh;
}

static uv_timer_t *
timer_new(struct multi *m)
{
	uv_timer_t *t = malloc(sizeof(*t));

	if (t == NULL || uv_timer_init(m->loop, t) != 0) {
		free(t);
		return NULL;
	}
	t->data = m;
	return t;
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
	m->connections_max = connections_max;
	LIST_INIT(&m->socks);
	if ((m->timer = timer_new(m)) == NULL || (m->rest = timer_new(m)) == NULL) {
		multi_free(m);
		return FAIL(NOMEM, "egress: timer");
	}
	/* It does not keep a loop alive. */
	uv_unref((uv_handle_t *)m->rest);
	if ((m->curl = curl_multi_init()) == NULL || !configure(m, m->curl)) {
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
	if (m->timer != NULL)
		uv_close((uv_handle_t *)m->timer, free_handle);
	if (m->rest != NULL)
		uv_close((uv_handle_t *)m->rest, free_handle);
	free(m->by_fd);
	free(m);
}

struct err
multi_add(struct multi *m, CURL *easy)
{
	assert(m->depth == 0);
	if (curl_multi_add_handle(m->curl, easy) != CURLM_OK)
		return FAIL(SYSTEM, "egress: libcurl refused the transfer");
	m->running++;
	uv_timer_stop(m->rest);
	keep_idle(m);
	return OK;
}

void
multi_remove(struct multi *m, CURL *easy)
{
	assert(m->depth == 0);
	(void)curl_multi_remove_handle(m->curl, easy);
	if (--m->running == 0)
		uv_timer_start(m->rest, on_rest, REST_MS, 0);
	keep_idle(m);
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

void
multi_turn(struct multi *m)
{
	assert(m->depth == 0);
	act(m, CURL_SOCKET_TIMEOUT, 0);
}

bool
multi_inside(const struct multi *m)
{
	return m->depth > 0;
}
