#include "keyholder/child.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "core/limits.h"
#include "core/wipe.h"
#include "crypto/heap.h"
#include "enclave/softnsm.h"
#include "keyholder/attester.h"
#include "keyholder/channel.h"
#include "keyholder/keys.h"
#include "keyholder/proto.h"
#include "keyholder/provision.h"
#include "keyholder/queue.h"
#include "sys/clock.h"
#include "sys/harden.h"
#include "sys/landlock.h"
#include "sys/log.h"
#include "sys/passfd.h"
#include "sys/sandbox.h"

/*
 * Answers of the main thread leave eight at a time, so that a loop is woken once for all of them;
 * the first waits for the others' signatures, some 0.2 ms.
 */
enum { STACK_BYTES = 1 << 20, RECEIVE_BATCH = 32, ANSWER_BATCH = 8 };
/* A loop that leaves answers lying for so long is not working any more. */
enum { ANSWER_WAIT_MS = 5000, THREADS_MAX = 64 };

struct holder {
	struct keys *keys;
	struct soft_nsm *soft; /* NULL: the module is real */
	struct attester *attester;
	struct job_queue queue;
	struct channel **channel;
	struct pollfd *poll; /* one a channel, then the signals, then the supervisor */
	size_t n_channels;
	int signals, control; /* control -1: none */
	struct provision provision;
	pthread_t thread[THREADS_MAX];
	unsigned n_threads;
	uint8_t datagram[KEY_MESSAGE_MAX_BYTES];
	struct buf answer[ANSWER_BATCH]; /* to the channel that is being read */
	size_t n_answers;
};

static void
put_answer(struct buf *b, const struct key_request *r, struct err e, struct span body)
{
	struct key_answer a = {
		.type = r->type, .ticket = r->ticket, .code = e.code, .body = body
	};

	key_answer_put(b, &a);
}

/* Does what is asked, and writes what came of it. */
static void
work(const struct keys *keys, const struct key_request *r, struct buf *out)
{
	struct buf body;
	struct err e;

	buf_init(&body, KEY_MESSAGE_MAX_BYTES - 64);
	e = keys_answer(keys, r, clock_unix_s(), &body);
	put_answer(out, r, e, buf_span(&body));
	buf_fini(&body);
}

static void
do_job(const struct keys *keys, struct job *job)
{
	struct key_request r;
	struct buf b;

	if (job->answered) {
		channel_send(job->channel, buf_span(&job->message), ANSWER_WAIT_MS);
		return;
	}
	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	if (!failed(key_request_parse(&r, buf_span(&job->message))))
		work(keys, &r, &b);
	if (failed(buf_check(&b)) || b.n == 0)
		channel_close(job->channel); /* no answer, and silence would be misread */
	else
		channel_send(job->channel, buf_span(&b), ANSWER_WAIT_MS);
	buf_fini(&b);
}

static void *
sign_thread(void *arg)
{
	struct holder *h = arg;
	struct job *job;

	while ((job = job_queue_take(&h->queue)) != NULL) {
		/* What a closed channel left behind would only hold up the others. */
		if (!atomic_load(&job->channel->closed))
			do_job(h->keys, job);
		job_free(job);
	}
	return NULL;
}

static void
refuse_channel(const struct channel *c, struct err e)
{
	log_msg(LOG_ERROR, "key holder: channel %u closed: %s", c->number, e.what);
}

/* K3: what a worker needs to begin is told once, before anything else. */
static bool
is_due(struct channel *c, enum key_type type)
{
	enum channel_stage stage = c->stage;

	c->stage = stage == CHANNEL_NEW && type == KEY_IDENTITY ? CHANNEL_KNOWN : CHANNEL_SERVING;
	if (type == KEY_IDENTITY)
		return stage == CHANNEL_NEW;
	if (type == KEY_PROVISIONED)
		return stage == CHANNEL_KNOWN;
	return true;
}

/* The main thread waits for nobody: what finds no room is left to a signing thread. */
static void
send_answers(struct holder *h, struct channel *c)
{
	for (size_t i = 0; i < h->n_answers; i++) {
		struct buf *b = &h->answer[i];
		struct job *job = NULL;

		if (failed(buf_check(b))) {
			channel_close(c); /* no memory, and silence would be misread */
		} else if (!channel_try_send(c, buf_span(b)) &&
		    ((job = job_new(c, buf_span(b), true)) == NULL ||
			!job_queue_put(&h->queue, job))) {
			job_free(job);
			channel_close(c);
		}
		buf_clear(b);
	}
	h->n_answers = 0;
}

static struct buf *
next_answer(struct holder *h)
{
	return &h->answer[h->n_answers++];
}

/* An RSA signature is ten times the work of all else together: a signing thread does it. */
static void
queue_request(
    struct holder *h, struct channel *c, const struct key_request *r, struct span datagram)
{
	struct job *job = job_new(c, datagram, false);

	if (job != NULL && job_queue_put(&h->queue, job))
		return;
	job_free(job);
	put_answer(next_answer(h), r, FAIL(BUSY, "key holder: queue"), SPAN_NONE);
}

/* Of documents: ours is at hand, others wait for the module. */
static void
take_attest(struct holder *h, struct channel *c, const struct key_request *r)
{
	struct buf body;
	struct err e;

	if (r->type == KEY_APP_HASH) {
		e = attester_set_app_hash(h->attester, r->body.p);
		put_answer(next_answer(h), r, e, SPAN_LIT("\1"));
		return;
	}
	if (r->type == KEY_ATTEST) {
		if (!attester_put(h->attester, c, r))
			put_answer(
			    next_answer(h), r, FAIL(BUSY, "key holder: documents"), SPAN_NONE);
		return;
	}
	buf_init(&body, KEY_MESSAGE_MAX_BYTES - 64);
	e = attester_put_own(h->attester, &body);
	put_answer(next_answer(h), r, e, buf_span(&body));
	buf_fini(&body);
}

/* What the operator told, or tells. The datagram may hold his secrets: it is wiped. */
static void
take_provisioning(struct holder *h, const struct key_request *r, struct span datagram)
{
	struct err e = OK;
	struct buf body;

	buf_init(&body, KEY_MESSAGE_MAX_BYTES - 64);
	if (r->type == KEY_PROVISIONED) {
		provision_put(&h->provision, &body);
	} else if (r->type == KEY_UNSEAL) {
		buf_put_byte(&body, 0); /* an answer is never empty, content may be */
		e = provision_unseal(&h->provision, r->body, clock_monotonic_us() / 1000, &body);
	} else if (!failed(e = provision_commit(&h->provision, r->body))) {
		buf_put_byte(&body, 1);
		log_msg(LOG_INFO, "key holder: provisioned, and the seal key is gone");
	}
	put_answer(next_answer(h), r, failed(e) ? e : buf_check(&body), buf_span(&body));
	buf_fini(&body);
	wipe(h->datagram, datagram.n);
}

/*
 * One request: answered at once, queued, or the end of its channel. An ES256 signature costs less
 * than to wake a thread that makes it.
 */
static void
take_request(struct holder *h, struct channel *c, struct span datagram)
{
	struct key_request r;
	struct err e;

	if (failed(e = key_request_parse(&r, datagram))) {
		refuse_channel(c, e);
		channel_close(c);
		return;
	}
	if (!is_due(c, r.type)) {
		put_answer(next_answer(h), &r, FAIL(REFUSED, "K3: not due"), SPAN_NONE);
	} else if (r.type == KEY_PROVISIONED || r.type == KEY_UNSEAL || r.type == KEY_PROVISION) {
		take_provisioning(h, &r, datagram);
	} else if (r.type == KEY_CHAT || r.type == KEY_HEARTBEAT) {
		queue_request(h, c, &r, datagram);
	} else if (r.type == KEY_ATTEST || r.type == KEY_OWN || r.type == KEY_APP_HASH) {
		take_attest(h, c, &r);
	} else {
		work(h->keys, &r, next_answer(h));
	}
}

/* A batch at a time, so that one busy loop does not keep the others waiting. */
static void
read_channel(struct holder *h, struct channel *c)
{
	enum channel_got got = CHANNEL_MESSAGE;
	size_t n = 0;

	for (int i = 0; i < RECEIVE_BATCH && !atomic_load(&c->closed); i++) {
		got = channel_receive(c, h->datagram, sizeof(h->datagram), &n);
		if (got != CHANNEL_MESSAGE)
			break;
		take_request(h, c, span_of(h->datagram, n));
		if (h->n_answers == ANSWER_BATCH)
			send_answers(h, c);
	}
	send_answers(h, c);
	if (got == CHANNEL_ENDED)
		channel_close(c);
}

/*
 * A new worker's ends take the place of the old ones. Jobs of the worker before keep their channel,
 * which is closed, until a signing thread drops them.
 */
static struct err
take_channels(struct holder *h)
{
	int fd[PASSFD_MAX];
	struct err e = OK;

	TRY(passfd_receive(h->control, fd, h->n_channels));
	for (size_t i = 0; i < h->n_channels; i++) {
		struct channel *c = channel_new(fd[i], (unsigned)i);

		if (c == NULL) {
			close(fd[i]);
			e = FAIL(SYSTEM, "key holder: memory");
			continue;
		}
		channel_close(h->channel[i]);
		channel_unref(h->channel[i]);
		h->channel[i] = c;
	}
	return e;
}

/* Fills h->poll; returns how many channels are open. */
static size_t
watch(struct holder *h)
{
	size_t open = 0;

	for (size_t i = 0; i < h->n_channels; i++) {
		bool closed = atomic_load(&h->channel[i]->closed);

		/* A negative descriptor is passed over. */
		h->poll[i] = (struct pollfd){ .fd = closed ? -1 : h->channel[i]->fd,
			.events = POLLIN };
		open += !closed;
	}
	h->poll[h->n_channels] = (struct pollfd){ .fd = h->signals, .events = POLLIN };
	h->poll[h->n_channels + 1] = (struct pollfd){ .fd = h->control, .events = POLLIN };
	return open;
}

/* Until SIGTERM, or until nobody can ask any more. */
static struct err
serve(struct holder *h)
{
	const struct pollfd *signals = &h->poll[h->n_channels], *control = signals + 1;

	for (;;) {
		if (watch(h) == 0 && h->control < 0)
			return OK;
		if (poll(h->poll, h->n_channels + 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return FAIL(SYSTEM, "key holder: poll");
		}
		if (signals->revents != 0)
			return OK;
		for (size_t i = 0; i < h->n_channels; i++)
			if (h->poll[i].revents != 0)
				read_channel(h, h->channel[i]);
		if ((control->revents & (POLLHUP | POLLERR)) != 0)
			return OK;
		if (control->revents != 0)
			TRY(take_channels(h));
	}
}

/* SIGTERM becomes a descriptor; SIGINT is the supervisor's business. Threads inherit the mask. */
static struct err
take_signals(struct holder *h)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return FAIL(SYSTEM, "key holder: signal mask");
	sigdelset(&set, SIGINT);
	if ((h->signals = signalfd(-1, &set, SFD_CLOEXEC)) < 0)
		return FAIL(SYSTEM, "key holder: signalfd");
	return OK;
}

static struct err
make_keys(struct holder *h, const char *platform)
{
	bool simulation = span_eq(span_str(platform), SPAN_LIT("local-simulation"));
	struct err e = heap_open();

	if (failed(e) && !simulation)
		return e;
	TRY(keys_make(&h->keys, platform, clock_unix_s()));
	if (failed(e) || !keys_locked(h->keys))
		log_msg(LOG_WARN, "key holder: RLIMIT_MEMLOCK is too low to lock all keys");
	if (!keys_locked(h->keys) && !simulation)
		return FAIL(SYSTEM, "K4: no locked memory for keys (RLIMIT_MEMLOCK)");
	/* Whatever copies the library made meanwhile, where the limit allows. */
	(void)harden_lock_all();
	return OK;
}

/* A5: what is no simulation has a real module, or does not start. */
static struct err
open_module(struct holder *h, const struct keyholder_options *opt)
{
	bool simulation = span_eq(span_str(opt->platform), SPAN_LIT("local-simulation"));
	struct attester_options a = { 0 };
	struct key_facts f;

	if (simulation != (opt->nsm == NULL) || (opt->app_hash_free && !simulation))
		return FAIL(SYSTEM, "A5: the security module does not fit the mode");
	if (simulation) {
		TRY(soft_nsm_new(&h->soft, opt->soft_pcrs, clock_unix_ms));
		a.nsm = soft_nsm_port(h->soft);
		a.root = soft_nsm_get_root(h->soft);
	} else {
		a.nsm = nsm_device_port(opt->nsm);
	}
	TRY(keys_facts(h->keys, &f));
	a.tls_cert = f.tls_cert;
	a.signing_spki = f.signing_spki;
	a.receipt_spki = f.receipt_spki;
	a.app_hash_free = opt->app_hash_free;
	return attester_new(&h->attester, &a);
}

static struct err
start_threads(struct holder *h, unsigned n)
{
	pthread_attr_t attr;
	struct err e = OK;

	if (pthread_attr_init(&attr) != 0)
		return FAIL(SYSTEM, "key holder: threads");
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	while (h->n_threads < n && !failed(e)) {
		if (pthread_create(&h->thread[h->n_threads], &attr, sign_thread, h) != 0)
			e = FAIL(SYSTEM, "key holder: threads");
		else
			h->n_threads++;
	}
	pthread_attr_destroy(&attr);
	return failed(e) ? e : attester_start(h->attester);
}

static struct err
open_channels(struct holder *h, const struct keyholder_options *opt)
{
	for (size_t i = 0; i < opt->n_channels; i++) {
		if ((h->channel[i] = channel_new(opt->channel[i], (unsigned)i)) == NULL)
			return FAIL(SYSTEM, "key holder: memory");
		h->n_channels = i + 1;
	}
	return OK;
}

static struct err
run(struct holder *h, const struct keyholder_options *opt)
{
	TRY(harden_process());
	TRY(take_signals(h));
	TRY(open_channels(h, opt));
	TRY(make_keys(h, opt->platform));
	TRY(provision_init(&h->provision, h->keys,
	    opt->provisioned == NULL ? SPAN_NONE : buf_span(opt->provisioned)));
	if (opt->provisioned != NULL)
		buf_fini(opt->provisioned);
	TRY(open_module(h, opt));
	TRY(landlock_enter(SANDBOX_KEYHOLDER));
	TRY(start_threads(h, opt->threads));
	TRY(opt->nsm == NULL ? sandbox_enter(SANDBOX_KEYHOLDER)
			     : sandbox_enter_asking(SANDBOX_KEYHOLDER, opt->nsm->fd, NSM_IOCTL));
	return serve(h);
}

static void
stop(struct holder *h)
{
	/* Closed first: a thread that waits for room in a channel gives up. */
	for (size_t i = 0; i < h->n_channels; i++)
		channel_close(h->channel[i]);
	job_queue_stop(&h->queue);
	for (unsigned i = 0; i < h->n_threads; i++)
		pthread_join(h->thread[i], NULL);
	job_queue_fini(&h->queue);
	attester_free(h->attester);
	soft_nsm_free(h->soft);
	provision_fini(&h->provision);
	keys_free(h->keys);
	heap_close();
	for (size_t i = 0; i < h->n_channels; i++)
		channel_unref(h->channel[i]);
	if (h->signals >= 0)
		close(h->signals);
	if (h->control >= 0)
		close(h->control);
}

int
keyholder_main(const struct keyholder_options *opt)
{
	struct holder *h = calloc(1, sizeof(*h));
	struct err e;

	if (h == NULL || opt->threads == 0 || opt->threads > THREADS_MAX || opt->n_channels == 0 ||
	    opt->n_channels > PASSFD_MAX ||
	    (h->channel = calloc(opt->n_channels, sizeof(*h->channel))) == NULL ||
	    (h->poll = calloc(opt->n_channels + 2, sizeof(*h->poll))) == NULL) {
		e = FAIL(SYSTEM, "key holder: memory or options");
	} else {
		h->signals = -1;
		h->control = opt->control;
		for (size_t i = 0; i < ANSWER_BATCH; i++)
			buf_init(&h->answer[i], KEY_MESSAGE_MAX_BYTES);
		job_queue_init(&h->queue, SIGN_QUEUE_MAX);
		e = run(h, opt);
		stop(h);
	}
	if (failed(e))
		log_msg(LOG_ERROR, "%s", e.what);
	if (h != NULL) {
		wipe(h->datagram, sizeof(h->datagram));
		for (size_t i = 0; i < ANSWER_BATCH; i++)
			buf_fini(&h->answer[i]);
		free(h->channel);
		free(h->poll);
	}
	free(h);
	return failed(e) ? 1 : 0;
}
