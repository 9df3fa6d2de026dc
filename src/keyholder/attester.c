#include "keyholder/attester.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/limits.h"
#include "crypto/digest.h"
#include "sys/clock.h"
#include "sys/log.h"

enum { STACK_BYTES = 1 << 20, ANSWER_WAIT_MS = 5000 };
/* nitro-attestation.md 5.4: two multihashes, each two bytes and a SHA-256. */
enum { USER_DATA_LEN = 2 * (2 + SHA256_LEN), MULTIHASH_SHA256 = 0x12 };

struct attest_job {
	struct channel *channel; /* a reference */
	uint64_t ticket;
	uint8_t nonce[ATTEST_NONCE_MAX_BYTES];
	size_t nonce_len;
};

struct attester {
	struct nsm_port nsm;
	uint8_t signing_hash[SHA256_LEN];
	bool app_hash_free;
	struct buf public_key, root;
	uint8_t pcr[KEY_OWN_PCRS][NSM_PCR_LEN];

	pthread_t thread;
	bool started;
	uint64_t due_us; /* monotonic: our own document is made anew; the thread's */

	pthread_mutex_t mutex; /* over all below */
	pthread_cond_t changed;
	bool stopping, renew; /* renew: our own document is due at once */
	uint8_t user_data[USER_DATA_LEN];
	struct attest_job job[ATTEST_QUEUE_MAX]; /* a ring */
	size_t first, n;
	struct buf own;
	uint64_t own_unix_s;
	int64_t offset_ms;
};

static void
put_multihash(uint8_t *to, struct span der)
{
	to[0] = MULTIHASH_SHA256;
	to[1] = SHA256_LEN;
	sha256_of(der, to + 2);
}

static struct err
make_document(struct attester *a, struct span nonce, struct buf *document)
{
	uint8_t user_data[USER_DATA_LEN];
	struct nsm_claims claims = {
		.user_data = span_of(user_data, USER_DATA_LEN),
		.nonce = nonce,
		.public_key = buf_span(&a->public_key),
	};

	pthread_mutex_lock(&a->mutex);
	memcpy(user_data, a->user_data, sizeof(user_data));
	pthread_mutex_unlock(&a->mutex);
	return nsm_attest(&a->nsm, &claims, document);
}

/* Our own document, and how far the system's clock is from the one it was dated by. */
static struct err
make_own(struct attester *a)
{
	uint64_t before_ms = clock_unix_ms(), after_ms, module_ms = 0;
	struct buf document;
	struct err e;

	buf_init(&document, NSM_ANSWER_MAX_BYTES);
	e = make_document(a, SPAN_NONE, &document);
	after_ms = clock_unix_ms();
	if (!failed(e))
		e = nsm_document_time(buf_span(&document), &module_ms);
	if (!failed(e)) {
		pthread_mutex_lock(&a->mutex);
		buf_fini(&a->own);
		a->own = document;
		a->own_unix_s = after_ms / 1000;
		a->offset_ms = (int64_t)(before_ms / 2 + after_ms / 2 - module_ms);
		pthread_mutex_unlock(&a->mutex);
	} else {
		buf_fini(&document);
	}
	return e;
}

static void
renew_own(struct attester *a)
{
	struct err e = make_own(a);

	if (failed(e))
		log_msg(LOG_ERROR, "key holder: no document of our own: %s", e.what);
	a->due_us = clock_monotonic_us() +
	    (failed(e) ? ATTEST_RETRY_S : ATTEST_OWN_S) * UINT64_C(1000000);
}

static void
do_job(struct attester *a, const struct attest_job *job)
{
	struct key_answer answer = { .type = KEY_ATTEST, .ticket = job->ticket };
	struct buf document, message;
	struct err e;

	buf_init(&document, NSM_ANSWER_MAX_BYTES);
	buf_init(&message, KEY_MESSAGE_MAX_BYTES);
	e = make_document(a, span_of(job->nonce, job->nonce_len), &document);
	if (failed(e))
		log_msg(LOG_ERROR, "key holder: no attestation document: %s", e.what);
	answer.code = failed(e) ? ERR_SYSTEM : ERR_OK;
	answer.body = buf_span(&document);
	key_answer_put(&message, &answer);
	if (failed(buf_check(&message)))
		channel_close(job->channel); /* silence would be misread */
	else
		channel_send(job->channel, buf_span(&message), ANSWER_WAIT_MS);
	buf_fini(&document);
	buf_fini(&message);
}

/* Sleeps until there is a job, our own document is due, or the end: FALSE. */
static bool
wait_work(struct attester *a, struct attest_job *job, bool *has_job)
{
	struct timespec until = { .tv_sec = (time_t)(a->due_us / 1000000),
		.tv_nsec = (long)(a->due_us % 1000000) * 1000 };
	bool go_on;

	*has_job = false;
	pthread_mutex_lock(&a->mutex);
	while (!a->stopping && !a->renew && a->n == 0 && clock_monotonic_us() < a->due_us)
		pthread_cond_timedwait(&a->changed, &a->mutex, &until);
	go_on = !a->stopping;
	/* Ours first: strangers cannot keep the key set from being attested. */
	if (go_on && a->renew) {
		a->renew = false;
	} else if (go_on && a->n > 0 && clock_monotonic_us() < a->due_us) {
		*job = a->job[a->first];
		a->first = (a->first + 1) % ATTEST_QUEUE_MAX;
		a->n--;
		*has_job = true;
	}
	pthread_mutex_unlock(&a->mutex);
	return go_on;
}

static void *
attest_thread(void *arg)
{
	struct attester *a = arg;
	struct attest_job job;
	bool has_job;

	while (wait_work(a, &job, &has_job)) {
		if (!has_job) {
			renew_own(a);
			continue;
		}
		/* What a closed channel left behind would only hold up the others. */
		if (!atomic_load(&job.channel->closed))
			do_job(a, &job);
		channel_unref(job.channel);
	}
	return NULL;
}

static struct err
read_pcrs(struct attester *a)
{
	struct nsm_pcr pcr;

	for (unsigned i = 0; i < KEY_OWN_PCRS; i++) {
		TRY(nsm_describe_pcr(&a->nsm, i, &pcr));
		memcpy(a->pcr[i], pcr.value, NSM_PCR_LEN);
	}
	return OK;
}

static struct err
begin(struct attester *a, const struct attester_options *opt)
{
	put_multihash(a->user_data, opt->tls_cert);
	put_multihash(a->user_data + USER_DATA_LEN / 2, opt->signing_spki);
	sha256_of(opt->signing_spki, a->signing_hash);
	a->app_hash_free = opt->app_hash_free;
	buf_put(&a->public_key, opt->receipt_spki);
	buf_put(&a->root, opt->root);
	TRY(buf_check(&a->public_key));
	TRY(buf_check(&a->root));
	TRY(read_pcrs(a));
	TRY(make_own(a));
	a->due_us = clock_monotonic_us() + ATTEST_OWN_S * UINT64_C(1000000);
	return OK;
}

struct err
attester_new(struct attester **out, const struct attester_options *opt)
{
	pthread_condattr_t monotonic;
	struct attester *a;
	struct err e;

	*out = NULL;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return FAIL(SYSTEM, "key holder: memory");
	a->nsm = opt->nsm;
	buf_init(&a->public_key, NSM_PUBLIC_KEY_MAX_BYTES);
	buf_init(&a->root, KEY_OWN_ROOT_MAX_BYTES);
	buf_init(&a->own, NSM_ANSWER_MAX_BYTES);
	pthread_mutex_init(&a->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (failed(e = begin(a, opt)))
		attester_free(a);
	else
		*out = a;
	return e;
}

struct err
attester_start(struct attester *a)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr) != 0)
		return FAIL(SYSTEM, "key holder: threads");
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	a->started = pthread_create(&a->thread, &attr, attest_thread, a) == 0;
	pthread_attr_destroy(&attr);
	return a->started ? OK : FAIL(SYSTEM, "key holder: threads");
}

void
attester_free(struct attester *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->mutex);
	a->stopping = true;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->mutex);
	if (a->started)
		pthread_join(a->thread, NULL);
	for (; a->n > 0; a->n--, a->first = (a->first + 1) % ATTEST_QUEUE_MAX)
		channel_unref(a->job[a->first].channel);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->mutex);
	buf_fini(&a->public_key);
	buf_fini(&a->root);
	buf_fini(&a->own);
	free(a);
}

bool
attester_put(struct attester *a, struct channel *c, const struct key_request *r)
{
	struct attest_job *job;
	bool room;

	pthread_mutex_lock(&a->mutex);
	if ((room = a->n < ATTEST_QUEUE_MAX && r->body.n <= ATTEST_NONCE_MAX_BYTES)) {
		job = &a->job[(a->first + a->n++) % ATTEST_QUEUE_MAX];
		job->channel = channel_ref(c);
		job->ticket = r->ticket;
		job->nonce_len = r->body.n;
		memcpy(job->nonce, r->body.p, r->body.n);
		pthread_cond_signal(&a->changed);
	}
	pthread_mutex_unlock(&a->mutex);
	return room;
}

struct err
attester_set_app_hash(struct attester *a, const uint8_t hash[static SHA256_LEN])
{
	if (!a->app_hash_free &&
	    !span_eq(span_of(hash, SHA256_LEN), span_of(a->signing_hash, SHA256_LEN)))
		return FAIL(REFUSED, "interfaces.md 4: the second hash is the signing key's");
	pthread_mutex_lock(&a->mutex);
	memcpy(a->user_data + USER_DATA_LEN - SHA256_LEN, hash, SHA256_LEN);
	a->renew = true;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->mutex);
	return OK;
}

struct err
attester_put_own(struct attester *a, struct buf *b)
{
	struct key_own own;

	pthread_mutex_lock(&a->mutex);
	own = (struct key_own){ .made_unix_s = a->own_unix_s,
		.clock_offset_ms = a->offset_ms,
		.root = buf_span(&a->root),
		.document = buf_span(&a->own) };
	memcpy(own.pcr, a->pcr, sizeof(own.pcr));
	key_own_put(b, &own);
	pthread_mutex_unlock(&a->mutex);
	return buf_check(b);
}
