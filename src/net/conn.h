/*
 * conn.h - one connection as a link of bytes: a descriptor, TLS over it or not, on one loop.
 *
 * What is written during one turn of the loop leaves in one piece at its end. An idle connection
 * owns no buffer: all read into the one of their host, one after the other.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "net/tls.h"

enum {
	CONN_INPUT_BYTES = 64 << 10, /* most bytes of one on_bytes() */
	CONN_STALL_BYTES = 1024,     /* less in write_stall_ms is a stall: drips do not count */
	CONN_LINGER_BYTES = 256 << 20,
};

struct conn;

/* What the connections of one loop share. */
struct conn_host {
	uv_loop_t *loop;
	uint32_t write_stall_ms, linger_ms, handshake_ms;
	uv_prepare_t prepare; /* flushes before the loop waits ... */
	uv_check_t check;     /* ... and right after it woke up */
	uv_idle_t idle;	      /* runs while there is more to flush: the loop must not wait */
	TAILQ_HEAD(conn_queue, conn) dirty;
	size_t n_dirty;
	uint8_t *input;
};
/*
 * Ignores SIGPIPE for the whole process: OpenSSL writes with write(2), which cannot be told not
 * to raise it. Errors: NOMEM, SYSTEM
 */
MUST_USE struct err conn_host_init(struct conn_host *h, uv_loop_t *loop);
/* Begins to close its handles; the loop must run once more before the struct goes away. */
void conn_host_close(struct conn_host *h);
/* After its handles have closed. */
void conn_host_fini(struct conn_host *h);

/* All are called from the loop, never from inside a function below. */
struct conn_ops {
	/* TLS only: the handshake is done. */
	void (*on_ready)(struct conn *c);
	/* Borrowed for the call. */
	void (*on_bytes)(struct conn *c, struct span bytes);
	/* The last byte was given to on_bytes(). */
	void (*on_eof)(struct conn *c);
	/*
	 * The peer ended its side while reading was off (there may be bytes before that end), or
	 * after on_eof() told of its close_notify.
	 */
	void (*on_hangup)(struct conn *c);
	/* After conn_kick(), and whenever output went on after it was held up. */
	void (*on_flushed)(struct conn *c);
	void (*on_deadline)(struct conn *c);
	/* Reset, stalled or broken; conn_close() follows by itself. Not called after it. */
	void (*on_lost)(struct conn *c);
	/* Handles are closed and the memory is the caller's again: the last call. */
	void (*on_closed)(struct conn *c);
};

/* Embedded by its owner; the fields are conn.c's. */
struct conn {
	struct conn_host *host;
	const struct conn_ops *ops;
	uv_poll_t poll;
	uv_timer_t timer; /* armed for the earliest of the two below, or earlier */
	uint64_t timer_ms, deadline_ms, stall_ms;
	TAILQ_ENTRY(conn) dirty;
	struct tls_link tls;
	struct buf out;
	size_t sent;  /* of out; the rest is queued */
	size_t moved; /* since the stall deadline was set */
	size_t lingered;
	int fd, events;	 /* events that poll watches */
	uint8_t handles; /* that have not closed */
	bool is_dirty, handshaking, reading, eof, hung_up;
	bool blocked;			     /* the kernel took less than all */
	bool write_wants_in, read_wants_out; /* TLS has its own order */
	bool read_again;		     /* bytes may be waiting where poll does not see them */
	bool finishing, linger, lingering, closing;
};

/*
 * Takes over a connected, non-blocking descriptor; tls NULL: plain. Reading is on. Errors: NOMEM,
 * SYSTEM; the descriptor is closed then, and no callback follows.
 */
MUST_USE struct err conn_init(struct conn *c, struct conn_host *h, int fd, struct tls_context *tls,
    const struct conn_ops *ops);
/* Output is appended to c->out; then conn_kick(). */
void conn_kick(struct conn *c);
size_t conn_queued(const struct conn *c);
void conn_reading(struct conn *c, bool on);
/* on_deadline() at this time of uv_now(), once; 0: never. */
void conn_deadline(struct conn *c, uint64_t at_ms);
/* Sends what is queued, then ends. linger: reads and drops for up to linger_ms before. */
void conn_finish(struct conn *c, bool linger);
/* Ends now. reset: the peer sees an error, not an end. Safe twice. */
void conn_close(struct conn *c, bool reset);

#endif
