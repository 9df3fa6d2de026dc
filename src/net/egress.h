/*
 * egress.h - HTTPS requests to providers, one multi handle a loop. Hides libcurl.
 *
 * TLS is verified (name and chain), redirects are not followed, no proxy or .netrc of the
 * environment counts, identity encoding only.
 */
#ifndef NET_EGRESS_H
#define NET_EGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/err.h"
#include "core/span.h"

struct egress;	    /* one a loop */
struct egress_call; /* one request */

struct egress_options {
	uv_loop_t *loop;
	const char *ca_file; /* PEM bundle; the only roots that count */
	bool allow_plain;    /* http:// too (local mode only) */
};
MUST_USE struct err egress_new(struct egress **out, const struct egress_options *opt);
/* Cancels what runs. */
void egress_free(struct egress *e);

/* The connection that carried a call, as seen when its response head arrived. */
struct egress_peer {
	bool tls;
	char host[256];		    /* name that was verified */
	char version[16];	    /* "TLSv1.3" */
	uint8_t spki[32], cert[32]; /* SHA-256 of the leaf's SPKI and of its DER */
};

enum egress_fault {
	EGRESS_NONE,
	EGRESS_CONNECT, /* not reached: nothing was sent */
	EGRESS_TLS,	/* certificate or handshake */
	EGRESS_TIMEOUT,
	EGRESS_BROKEN, /* reset, cut body, protocol error */
	EGRESS_TOO_LARGE,
};

struct egress_ops {
	/* The final response head. Fields: see egress_field(). */
	void (*on_head)(void *ctx, struct egress_call *c, unsigned status);
	/* Body bytes. Returning false pauses: the same bytes come again after egress_resume(). */
	bool (*on_body)(void *ctx, struct egress_call *c, struct span bytes);
	/* Last call, exactly once unless cancelled. The call is dead afterwards. */
	void (*on_done)(void *ctx, struct egress_call *c, enum egress_fault fault);
};

struct egress_request {
	const char *url;
	const char *const *field; /* "Name: value" lines, NULL-terminated; copied */
	struct span body;	  /* POST body; must outlive the call */
	uint32_t connect_ms, first_byte_ms, gap_ms, total_ms;
	const struct egress_ops *ops;
	void *ctx;
};
MUST_USE struct err
egress_start(struct egress *e, const struct egress_request *r, struct egress_call **out);
/* Delivers again after on_body returned false. Never calls back from inside. */
void egress_resume(struct egress_call *c);
/* Forgets the call at once; no callback follows. Safe from inside a callback. */
void egress_cancel(struct egress_call *c);

/* A response field's value (only field of that name, case-blind); borrowed until on_done. */
struct span egress_field(const struct egress_call *c, const char *name);
/* NULL before on_head. */
const struct egress_peer *egress_peer(const struct egress_call *c);

#endif
