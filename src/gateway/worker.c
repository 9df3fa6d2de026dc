#include "gateway/worker.h"

#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/limits.h"
#include "crypto/es256.h"
#include "gateway/config.h"
#include "gateway/enclave.h"
#include "gateway/heartbeat_port.h"
#include "gateway/internal.h"
#include "gateway/nitriding_port.h"
#include "gateway/routes.h"
#include "gateway/shop.h"
#include "net/tls.h"
#include "sys/harden.h"
#include "sys/landlock.h"
#include "sys/log.h"
#include "sys/metrics.h"
#include "sys/sandbox.h"

enum { IDENTITY_MS = 20000, LAST_RECEIPTS_MS = 2000, DRAIN_POLL_MS = 20 };
enum { TRIM_BYTES = 2 << 20 }; /* of free memory that the heap may keep at its end */

/* --- ending --- */

static void
close_handle(uv_handle_t *handle, void *arg)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* What loop 0 does beside requests waits for nobody. */
static void
stop_background(struct gateway *gw)
{
	heart_stop(gw->heart);
	frontdoor_stop(gw->frontdoor);
}

/* Everything of this loop goes; uv_run() returns when its handles are closed. */
static void
loop_stop(struct loop *l)
{
	if (l->stopped)
		return;
	l->stopped = true;
	server_stop(l->server);
	if (l->internal != NULL)
		server_stop(l->internal);
	if (l->index == 0) {
		stop_background(l->gw);
		heart_close(l->gw->heart);
		shop_stop(l->gw->shop);
		frontdoor_close(l->gw->frontdoor);
	}
	facilitator_client_free(l->facilitator);
	l->facilitator = NULL;
	egress_free(l->egress);
	l->egress = NULL;
	key_client_free(l->keys);
	l->keys = NULL;
	enclave_close(l->enclave);
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_close((uv_handle_t *)&l->deadline, NULL);
	uv_close((uv_handle_t *)&l->poll, NULL);
	crowd_close(&l->crowd);
	atomic_fetch_sub(&l->gw->loops_running, 1);
}

static void
on_settled(void *ctx)
{
	loop_stop(ctx);
}

/* A3: what was charged on any loop is settled when the last request is over. */
static void
settle_and_stop(struct loop *l)
{
	if (l->index != 0 || atomic_load(&l->gw->lost_keys)) {
		loop_stop(l);
	} else if (!l->settling && atomic_load(&l->gw->loops_running) == 1) {
		l->settling = true;
		uv_timer_stop(&l->poll);
		shop_drain(l->gw->shop, on_settled, l);
	}
}

static void
on_poll(uv_timer_t *timer)
{
	struct loop *l = timer->data;

	if (l->gave_up || (l->crowd.here == 0 && server_exchanges(l->server) == 0))
		settle_and_stop(l);
}

/* Receipts of requests that were cut off are still written, for a moment. */
static void
on_last_deadline(uv_timer_t *timer)
{
	struct loop *l = timer->data;

	if (l->crowd.here > 0)
		log_msg(LOG_WARN, "loop %u: gave up on %zu requests", l->index, l->crowd.here);
	l->gave_up = true;
	if (!l->settling)
		settle_and_stop(l);
}

static void
on_deadline(uv_timer_t *timer)
{
	struct loop *l = timer->data;

	if (l->settling)
		return;
	log_msg(LOG_WARN, "loop %u: cutting %zu requests off after %u s", l->index, l->crowd.here,
	    SHUTDOWN_MS / 1000);
	server_stop(l->server);
	uv_timer_start(&l->deadline, on_last_deadline, LAST_RECEIPTS_MS, 0);
}

static void
on_wake(uv_async_t *wake)
{
	struct loop *l = wake->data;

	if (l->draining)
		return;
	l->draining = true;
	if (l->index == 0)
		stop_background(l->gw);
	server_drain(l->server);
	if (l->internal != NULL)
		server_drain(l->internal);
	uv_timer_start(&l->deadline, on_deadline, SHUTDOWN_MS, 0);
	uv_timer_start(&l->poll, on_poll, 0, DRAIN_POLL_MS);
}

void
gateway_shutdown(struct gateway *gw)
{
	if (atomic_exchange(&gw->shutting_down, true))
		return;
	atomic_store(&gw->note->stopping, true);
	log_msg(LOG_INFO, "shutting down: no new connections, running requests may finish");
	for (unsigned i = 0; i < gw->opt->loops; i++)
		uv_async_send(&gw->loop[i].wake);
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	gateway_shutdown(handle->data);
}

/* Without the key holder nothing can be signed: stop at once, the supervisor says why. */
static void
on_keys_lost(void *ctx)
{
	struct loop *l = ctx;

	if (l->draining || l->stopped)
		return;
	atomic_store(&l->gw->lost_keys, true);
	gateway_shutdown(l->gw);
}

/* --- beginning --- */

static const char *
facilitator_field(const void *ctx, enum facilitator_endpoint endpoint, size_t i)
{
	const struct shop_policy *policy = ctx;

	return i < SHOP_FIELDS_MAX ? policy->field[endpoint][i] : NULL;
}

static struct err
loop_init(struct loop *l, const struct listeners *listeners, int channel)
{
	struct gateway *gw = l->gw;
	struct server_options server = {
		.loop = &l->uv, .loop_index = l->index, .ops = &routes_ops, .ctx = l
	};
	char roots[64];
	struct egress_options egress = { .loop = &l->uv,
		.ca_file = roots,
		.plain = gw->opt->enclave ? EGRESS_PLAIN_NEVER : EGRESS_PLAIN_ANY };

	snprintf(roots, sizeof(roots), "/proc/self/fd/%d", gw->ca_fd);
	if (uv_loop_init(&l->uv) != 0)
		return FAIL(SYSTEM, "uv_loop_init");
	l->wake.data = l->deadline.data = l->poll.data = l;
	uv_async_init(&l->uv, &l->wake, on_wake);
	uv_timer_init(&l->uv, &l->deadline);
	uv_timer_init(&l->uv, &l->poll);
	crowd_init(&l->crowd, &l->uv);
	l->plain_fd = listeners->plain[l->index];
	l->tls_fd = listeners->tls[l->index];
	TRY(key_client_new(&l->keys, &l->uv, channel, on_keys_lost, l));
	TRY(egress_new(&l->egress, &egress));
	if (gw->opt->egress.port != 0)
		TRY(egress_tunnel(l->egress, &gw->opt->egress));
	if (gw->shop != NULL) {
		struct facilitator_client_options facilitator = { .egress = l->egress,
			.terms = &gw->policy.terms,
			.field = facilitator_field,
			.field_ctx = &gw->policy };

		TRY(facilitator_client_new(&l->facilitator, &facilitator));
	}
	TRY(server_new(&l->server, &server));
	TRY(tls_context_new(&l->tls, buf_span(&gw->id.tls_cert), buf_span(&gw->id.tls_key)));
	if (gw->opt->enclave) /* the host sees every record (H6) */
		tls_context_pad(l->tls, TLS_PAD_BYTES);
	return OK;
}

static struct err
loop_listen(struct loop *l)
{
	if (l->plain_fd >= 0)
		TRY(server_listen(l->server, l->plain_fd, NULL));
	if (l->tls_fd >= 0)
		TRY(server_listen(l->server, l->tls_fd, l->tls));
	return OK;
}

static void
loop_fini(struct loop *l)
{
	server_free(l->server);
	server_free(l->internal);
	tls_context_free(l->tls);
	if (uv_loop_close(&l->uv) != 0) {
		/* Only a mistake of ours leaves a handle open; find it in debug builds. */
		uv_walk(&l->uv, close_handle, NULL);
		uv_run(&l->uv, UV_RUN_DEFAULT);
		uv_loop_close(&l->uv);
	}
	enclave_free(l->enclave);
}

static void *
loop_thread(void *arg)
{
	struct loop *l = arg;

	uv_run(&l->uv, UV_RUN_DEFAULT);
	return NULL;
}

/* A configuration is signed before the first client is let in. */
struct publishing {
	struct published *p;
	struct err e;
	bool done;
};

static void
on_config(void *ctx, struct err e, struct span jws)
{
	struct publishing *p = ctx;

	p->e = failed(e) ? e : config_sign(p->p, jws);
	p->done = true;
}

/* The next one, which then counts. */
static struct err
publish(struct gateway *gw, const struct settings *s)
{
	unsigned n = atomic_load(&gw->n_published);
	struct publishing p = { .p = &gw->published[n] };
	struct key_ticket *ticket;

	assert(n < PUBLISHED_MAX);
	TRY(config_write(p.p, gw, s));
	TRY(key_sign_config(gw->loop[0].keys, buf_span(&p.p->config), on_config, &p, &ticket));
	while (!p.done)
		uv_run(&gw->loop[0].uv, UV_RUN_ONCE);
	if (!failed(p.e))
		atomic_store(&gw->n_published, n + 1);
	return p.e;
}

/* What the key holder was told, and whether and how it may still be. */
static struct err
fetch_settings(struct gateway *gw, struct settings **out, int channel)
{
	struct key_provisioned p;
	struct buf b;
	struct err e;

	*out = NULL;
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	buf_init(&gw->seal_spki, KEY_MESSAGE_MAX_BYTES);
	buf_init(&gw->seal_signature, KEY_MESSAGE_MAX_BYTES);
	e = key_provisioned_fetch(&b, &p, channel, IDENTITY_MS);
	if (!failed(e)) {
		atomic_store(&gw->provisioning_open, p.open);
		buf_put(&gw->seal_spki, p.seal_spki);
		buf_put(&gw->seal_signature, p.seal_signature);
		if (p.open && gw->seal_spki.n <= 2 * ES256_COORD_LEN)
			e = FAIL(SYSTEM, "the seal key is no P-256 key");
		else if (p.bytes.n > 0)
			e = settings_parse(out, p.bytes);
	}
	buf_fini(&b);
	return e;
}

/* What the worker before left, whatever it was doing (K5). */
static struct err
take_over(struct ledger *ledger)
{
	struct ledger_repair did;

	TRY(ledger_attach(ledger, &did));
	if (did.sessions > 0)
		log_msg(LOG_WARN,
		    "ledger: took over %u sessions; %u requests died unpaid, %u settlements are of "
		    "unknown outcome, %u entries made no sense",
		    did.sessions, did.holds, did.unknown, did.dropped);
	return OK;
}

/*
 * The configuration that counts; in a worker that came after the provisioning, the one before it too
 * (R9), as it was: of the environment's keys it says only that they were there.
 */
static struct err
publish_all(struct gateway *gw, struct settings *s)
{
	struct settings *before = NULL;
	struct err e;

	if (!atomic_load(&gw->provisioning_open)) {
		if (!gw->opt->enclave)
			TRY(settings_of_environment(&before, gw->opt));
		e = publish(gw, before);
		settings_free(before);
		TRY(e);
	}
	TRY(publish(gw, s));
	if (s != NULL)
		s->published = config_published(gw);
	return OK;
}

static struct err
start(struct gateway *gw, const struct listeners *listeners, const int *channel, unsigned *started)
{
	enum sandbox_role role = gw->opt->egress.port != 0 ? SANDBOX_WORKER_VSOCK : SANDBOX_WORKER;
	struct settings *settings;

	/* The kernel closes neither end while the identity is asked for: no client reads yet. */
	TRY(key_identity_fetch(&gw->id, channel[0], IDENTITY_MS));
	TRY(config_name_key(gw));
	TRY(fetch_settings(gw, &settings, channel[0]));
	if (settings != NULL)
		gateway_set_settings(gw, settings);
	TRY(receipts_new(&gw->receipts, RECEIPT_RING_BYTES));
	if (gw->ledger != NULL) {
		TRY(take_over(gw->ledger));
		TRY(shop_new(&gw->shop, gw));
	}
	for (unsigned i = 0; i < gw->opt->loops; i++) {
		struct loop *l = &gw->loop[i];

		*l = (struct loop){ .gw = gw, .index = i };
		*started = i + 1;
		atomic_fetch_add(&gw->loops_running, 1);
		TRY(loop_init(l, listeners, channel[i]));
	}
	TRY(publish_all(gw, settings));
	for (unsigned i = 0; i < gw->opt->loops; i++)
		TRY(enclave_start(&gw->loop[i].enclave, &gw->loop[i]));
	TRY(heart_start(&gw->heart, &gw->loop[0]));
	if (gw->shop != NULL)
		TRY(shop_start(gw->shop));
	for (unsigned i = 0; i < gw->opt->loops; i++)
		TRY(loop_listen(&gw->loop[i]));
	if (listeners->internal >= 0)
		TRY(internal_start(&gw->loop[0].internal, &gw->loop[0], listeners->internal));
	if (gw->opt->nitriding.n > 0)
		TRY(frontdoor_start(&gw->frontdoor, &gw->loop[0]));
	TRY(landlock_enter(role));
	return sandbox_enter(role);
}

static void
say_ready(const struct gateway *gw)
{
	char plain[ADDRESS_TEXT_BYTES], tls[ADDRESS_TEXT_BYTES];

	options_address_print(&gw->opt->plain, plain);
	options_address_print(&gw->opt->tls, tls);
	log_msg(LOG_INFO, "ready: http://%s%s%s, %u loops, version %s", plain,
	    gw->opt->tls.none ? "" : " and https://", gw->opt->tls.none ? "" : tls, gw->opt->loops,
	    build_version);
}

/*
 * glibc's fast bins are emptied into the others at every allocation above 1 KiB, and each request
 * makes a dozen of those; the small sizes that they are for, the threads' caches hold already. And
 * what one request gave back at the top of the heap, the next one takes again. Measured: 4 us of
 * 100 a request.
 */
static void
tune_allocator(void)
{
	mallopt(M_MXFAST, 0);
	mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}

int
worker_main(struct gateway *gw, const struct listeners *listeners, const int *channel,
    struct supervise_note *note)
{
	unsigned started = 0, threads = 1;
	uv_signal_t term, interrupt;
	sigset_t blocked, old;
	struct err e;

	gw->note = note;
	tune_allocator();
	if (failed(e = harden_process()) ||
	    failed(e = (gw->loop = calloc(gw->opt->loops, sizeof(*gw->loop))) == NULL
		    ? FAIL(NOMEM, "loops")
		    : OK) ||
	    failed(e = start(gw, listeners, channel, &started))) {
		log_msg(LOG_ERROR, "worker: %s", e.what);
		return 1;
	}
	metric_add(METRIC_BUILD_INFO, build_version, NULL, 1);
	metric_add(METRIC_WORKER_RESTARTS, NULL, NULL, (int64_t)atomic_load(&note->restarts));

	uv_signal_init(&gw->loop[0].uv, &term);
	uv_signal_init(&gw->loop[0].uv, &interrupt);
	term.data = interrupt.data = gw;
	uv_signal_start(&term, on_signal, SIGTERM);
	uv_signal_start(&interrupt, on_signal, SIGINT);
	uv_unref((uv_handle_t *)&term);
	uv_unref((uv_handle_t *)&interrupt);

	/* Signals are loop 0's, but for the one that names a forbidden call. */
	sigfillset(&blocked);
	sigdelset(&blocked, SIGSYS);
	pthread_sigmask(SIG_BLOCK, &blocked, &old);
	for (; threads < gw->opt->loops; threads++)
		if (pthread_create(
			&gw->loop[threads].thread, NULL, loop_thread, &gw->loop[threads]) != 0) {
			log_msg(LOG_ERROR, "worker: no thread for loop %u", threads);
			return 1;
		}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	atomic_store(&note->ready, true);
	say_ready(gw);
	uv_run(&gw->loop[0].uv, UV_RUN_DEFAULT);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(gw->loop[i].thread, NULL);

	uv_close((uv_handle_t *)&term, NULL);
	uv_close((uv_handle_t *)&interrupt, NULL);
	uv_run(&gw->loop[0].uv, UV_RUN_DEFAULT);
	for (unsigned i = 0; i < started; i++)
		loop_fini(&gw->loop[i]);
	heart_free(gw->heart);
	frontdoor_free(gw->frontdoor);
	free(gw->loop);
	shop_free(gw->shop);
	receipts_free(gw->receipts);
	key_identity_fini(&gw->id);
	gateway_forget_settings(gw);
	log_msg(LOG_INFO, "stopped");
	return atomic_load(&gw->lost_keys) ? 1 : 0;
}
