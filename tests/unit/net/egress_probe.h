/*
 * egress_probe.h - a caller of net/egress for the tests: records what it is told, and can be
 * told to pause or to cancel at a given point.
 */
#ifndef TEST_EGRESS_PROBE_H
#define TEST_EGRESS_PROBE_H

#include "net/egress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <uv.h>
#include <cmocka.h>

#include "core/buf.h"

enum probe_cancel { CANCEL_NEVER, CANCEL_AT_HEAD, CANCEL_AT_BODY, CANCEL_AT_DONE };

struct probe {
	/* set by the test */
	enum probe_cancel cancel_at;
	struct probe *victim; /* whom to cancel; NULL: itself */
	unsigned pauses;      /* how many times on_body says no */
	uint32_t pause_ms;    /* and for how long */
	/* recorded */
	struct egress_call *call; /* NULL: over, or cancelled */
	unsigned heads, bodies, dones, status;
	bool peer_known;
	struct egress_peer peer;
	char location[128];
	enum egress_fault fault;
	struct buf body;
	uv_timer_t resume;
};

static uv_loop_t probe_loop;
static struct egress *probe_egress;
static unsigned probes_open;

static inline void
probe_cancel(struct probe *p)
{
	struct probe *who = p->victim != NULL ? p->victim : p;

	if (who->call == NULL)
		return;
	egress_cancel(who->call);
	who->call = NULL;
	probes_open--;
}

static inline void
probe_on_head(void *ctx, struct egress_call *c, unsigned status)
{
	struct probe *p = ctx;
	struct span location = egress_field(c, "LOCATION");

	assert_ptr_equal(c, p->call);
	assert_int_equal(p->bodies + p->dones, 0);
	p->heads++;
	p->status = status;
	snprintf(p->location, sizeof(p->location), "%.*s", (int)location.n,
	    location.n > 0 ? (const char *)location.p : "");
	assert_non_null(egress_peer(c));
	p->peer = *egress_peer(c);
	p->peer_known = true;
	if (p->cancel_at == CANCEL_AT_HEAD)
		probe_cancel(p);
}

static inline void
probe_resume(uv_timer_t *t)
{
	struct probe *p = t->data;

	if (p->call != NULL)
		egress_resume(p->call);
}

static inline bool
probe_on_body(void *ctx, struct egress_call *c, struct span bytes)
{
	struct probe *p = ctx;

	assert_ptr_equal(c, p->call);
	assert_int_equal(p->heads, 1);
	assert_int_equal(p->dones, 0);
	assert_true(bytes.n > 0);
	p->bodies++;
	if (p->cancel_at == CANCEL_AT_BODY)
		probe_cancel(p);
	if (p->pauses > 0) {
		p->pauses--;
		/* Asked before the pause is known to libcurl: must not be lost. */
		if (p->pause_ms == 0 && p->call != NULL)
			egress_resume(p->call);
		else
			uv_timer_start(&p->resume, probe_resume, p->pause_ms, 0);
		return false;
	}
	buf_put(&p->body, bytes);
	return true;
}

static inline void
probe_on_done(void *ctx, struct egress_call *c, enum egress_fault fault)
{
	struct probe *p = ctx;

	assert_ptr_equal(c, p->call);
	p->dones++;
	p->fault = fault;
	probes_open--;
	p->call = p->cancel_at == CANCEL_AT_DONE ? p->call : NULL;
	if (p->cancel_at == CANCEL_AT_DONE) {
		egress_cancel(c);
		p->call = NULL;
	}
}

static const struct egress_ops probe_ops = { probe_on_head, probe_on_body, probe_on_done };
static const char *const probe_fields[] = { "Content-Type: application/json",
	"Authorization: Bearer sk-test", NULL };

static inline void
probe_init(struct probe *p)
{
	buf_init(&p->body, 64 << 20);
	uv_timer_init(&probe_loop, &p->resume);
	p->resume.data = p;
}

/* Starts a POST of `body` with generous deadlines where r says nothing. */
static inline struct err
probe_start(struct probe *p, const char *scheme_host, uint16_t port, struct egress_request r)
{
	char url[256];
	struct err e;

	snprintf(url, sizeof(url), "%s:%u/v1/chat", scheme_host, port);
	r.url = url;
	r.field = r.field != NULL ? r.field : probe_fields;
	r.ops = &probe_ops;
	r.ctx = p;
	e = egress_start(probe_egress, &r, &p->call);
	if (!failed(e))
		probes_open++;
	return e;
}

static inline void
probe_too_long(uv_timer_t *t)
{
	fail_msg("calls still open after 20 s");
}

/* Turns the loop until every call is over. */
static inline void
probe_run(void)
{
	uv_timer_t guard;

	uv_timer_init(&probe_loop, &guard);
	uv_timer_start(&guard, probe_too_long, 20000, 0);
	while (probes_open > 0)
		uv_run(&probe_loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&guard, NULL);
	uv_run(&probe_loop, UV_RUN_NOWAIT);
}

static inline void
probe_fini(struct probe *p)
{
	uv_close((uv_handle_t *)&p->resume, NULL);
	uv_run(&probe_loop, UV_RUN_NOWAIT);
	buf_fini(&p->body);
}

static inline void
probe_open(const char *ca_file, enum egress_plain plain)
{
	const struct egress_options opt = { &probe_loop, ca_file, plain };

	assert_int_equal(uv_loop_init(&probe_loop), 0);
	assert_int_equal(egress_new(&probe_egress, &opt).code, ERR_OK);
	probes_open = 0;
}

/* Nothing of ours may be left on the loop. */
static inline void
probe_close(void)
{
	egress_free(probe_egress);
	uv_run(&probe_loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&probe_loop), 0);
}

/* One call, from start to end. */
static inline void
probe_call(struct probe *p, const char *scheme_host, uint16_t port, struct egress_request r)
{
	probe_init(p);
	assert_int_equal(probe_start(p, scheme_host, port, r).code, ERR_OK);
	probe_run();
}

#endif
