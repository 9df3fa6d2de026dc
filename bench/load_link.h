/*
 * load_link.h - one connection to the server: TCP, and TLS where it is wanted. Certificates are not
 * verified: speed is measured here, nothing else.
 */
#ifndef BENCH_LOAD_LINK_H
#define BENCH_LOAD_LINK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <uv.h>

#include "core/buf.h"
#include "core/span.h"
#include "load_options.h"

struct link;

/* What is spoken on a link. */
struct link_ops {
	/* The link is open; `l->wire` is theirs. */
	void (*opened)(struct link *l);
	/* Sends what is due and what it has room for. */
	void (*next)(struct link *l);
	/* Bytes came. False: this link is of no use any more. */
	bool (*bytes)(struct link *l, struct span in);
	/* It was open and is over: closed in order, broken, or given up. Frees `l->wire`. */
	void (*over)(struct link *l, bool in_order);
};

struct link {
	uv_poll_t poll;
	int fd, watched;
	SSL *ssl;
	enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN } state;
	struct buf out; /* waits to be sent; out_at bytes of it have left */
	size_t out_at;
	bool blocked; /* the kernel takes no more of it now */
	void *wire;
};

/*
 * opened() after each link that is open, closed() after each that is closed and may be opened
 * again; both borrow.
 */
void links_init(const struct options *opt, uv_loop_t *loop, const struct link_ops *ops,
    void (*opened)(struct link *), void (*closed)(struct link *));
void links_fini(void);

/* Begins to connect. `l` is zero, or was closed. */
void link_open(struct link *l);
/* Moves bytes both ways until both would wait; call it when something is due or was put in line. */
void link_run(struct link *l);
/* Safe twice. */
void link_close(struct link *l);

#endif
