/*
 * egress.h - HTTPS requests to providers and other services, one multi handle a loop. Hides libcurl.
 *
 * TLS is verified (name and chain), redirects are not followed, no proxy or .netrc of the
 * environment counts, identity encoding only. Connections are kept for later calls. Nothing is ever sent twice: who wants to retry starts another call, and
 * only EGRESS_CONNECT and EGRESS_TLS say that the upstream has not seen this one (E4).
 */
#ifndef NET_EGRESS_H
#define NET_EGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/err.h"
#include "core/span.h"
#include "sys/vsock.h"

struct egress;	    /* one a loop */
struct egress_call; /* one request */

/* Whom we may talk to without TLS. */
enum egress_plain {
	EGRESS_PLAIN_NEVER,
	EGRESS_PLAIN_LOOPBACK, /* addresses of loopback, as numbers: no resolver has a say in it */
	EGRESS_PLAIN_ANY,      /* local mode only */
};

struct egress_options {
	uv_loop_t *loop;
	const char *ca_file; /* PEM bundle, read now; the only roots that count. NULL: none do */
	enum egress_plain plain;
};
/* Errors: NOMEM; SYSTEM (CA file, or a libcurl that cannot do what we ask of it). */
MUST_USE struct err egress_new(struct egress **out, const struct egress_options *opt);
/*
 * From now on all goes by HTTP CONNECT through the host's proxy at this address (--egress). Before the
 * first call. Errors: SYSTEM (as above).
 */
MUST_USE struct err egress_tunnel(struct egress *e, const struct vsock_address *proxy);
/*
 * Cancels what runs. Not from inside a callback. libuv lets go of the handles in the loop's next
 * turn: run it once more before it is closed.
 */
void egress_free(struct egress *e);

/* The connection that carried a call, as seen when its response head arrived. */
struct egress_peer {
	bool tls;		    /* false: plain, and nothing was verified */
	char host[256];		    /* name that was verified */
	char version[16];	    /* "TLSv1.3" */
	uint8_t spki[32], cert[32]; /* SHA-256 of the leaf's SPKI and of its DER */
};

enum egress_fault {
	EGRESS_NONE,	  /* the answer is whole, whatever its status */
	EGRESS_CONNECT,	  /* not reached, or not within connect_ms: nothing was sent */
	EGRESS_TLS,	  /* certificate or handshake: nothing was sent */
	EGRESS_TIMEOUT,	  /* a deadline passed after the request may have gone out */
	EGRESS_BROKEN,	  /* reset, cut body, protocol error */
	EGRESS_TOO_LARGE, /* the head is past HEAD_MAX_BYTES */
};

struct egress_ops {
	/* The final response head, of any status. Fields: see egress_field(). */
	void (*on_head)(void *ctx, struct egress_call *c, unsigned status);
	/* Body bytes, at least one. False pauses: the same bytes come again after egress_resume(). */
	bool (*on_body)(void *ctx, struct egress_call *c, struct span bytes);
	/* Last call, exactly once unless cancelled. The call is dead afterwards. */
	void (*on_done)(void *ctx, struct egress_call *c, enum egress_fault fault);
};

enum egress_method { EGRESS_POST, EGRESS_GET };

struct egress_request {
	enum egress_method method;
	const char *url;
	const char *const *field; /* "Name: value" lines, NULL-terminated; copied */
	struct span body;	  /* of a POST; must outlive the call */
	/* Deadlines; 0: the UPSTREAM_* ones of core/limits.h. */
	uint32_t connect_ms;	/* until a connection stands, name look-up and TLS included */
	uint32_t first_byte_ms; /* from then until the whole final response head */
	uint32_t gap_ms;	/* between body bytes; our own pauses do not count */
	uint32_t total_ms;	/* of all, pauses included */
	/*
	 * on_body never returns false: the call may be one of several on an HTTP/2 connection. Else
	 * it is HTTP/1.1, whose flow control reaches the upstream; libcurl's HTTP/2 takes in up to
	 * 32 MiB for a paused stream, and leaks them when it is cancelled then.
	 */
	bool never_pauses;
	uint32_t idle_max_s; /* a connection that was idle for longer is not taken; 0: 60 */
	const struct egress_ops *ops;
	void *ctx;
};
/*
 * Starts a request. No callback comes before this has returned; on_done tells what went wrong later.
 * Errors: MALFORMED (URL, a control byte in a field, a GET with a body), NOMEM, SYSTEM; *out is NULL
 * then.
 */
MUST_USE struct err
egress_start(struct egress *e, const struct egress_request *r, struct egress_call **out);
/* Delivers again after on_body returned false. Never calls back from inside. */
void egress_resume(struct egress_call *c);
/* Forgets the call at once; no callback follows. Safe from inside a callback. */
void egress_cancel(struct egress_call *c);
/* Whether the upstream may have any of the request: a connection stood, and it went out. */
bool egress_sent(const struct egress_call *c);

/*
 * A response field's value (the only field of that name, case-blind; .p is NULL when absent or
 * repeated); borrowed until on_done has returned.
 */
struct span egress_field(const struct egress_call *c, const char *name);
/* NULL before on_head; borrowed until on_done has returned. */
const struct egress_peer *egress_peer(const struct egress_call *c);

#endif
