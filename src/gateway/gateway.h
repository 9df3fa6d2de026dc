/*
 * gateway.h - what all requests share: tables that are made before the first one, and the loops.
 */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "attest/pcrs.h"
#include "core/buf.h"
#include "crypto/digest.h"
#include "gateway/deadlines.h"
#include "gateway/options.h"
#include "gateway/policy.h"
#include "gateway/receipts.h"
#include "gateway/shop_policy.h"
#include "gateway/settings.h"
#include "gateway/verify.h"
#include "http/server.h"
#include "keyholder/client.h"
#include "net/egress.h"
#include "pricing/models.h"
#include "provider/provider.h"
#include "supervise/supervise.h"

/* Compiled in: version, hash of the sources, and the measured tables. See scripts/embed. */
extern const char build_version[], build_id[];
extern const struct span embedded_models, embedded_policy;

#define PLATFORM_LOCAL	 "local-simulation"
#define PLATFORM_ENCLAVE "aws-nitro"

/* How requests reach one provider. */
struct upstream {
	const struct provider *provider; /* NULL: the model answers in the gateway itself */
	char *base_url;			 /* owned; no slash at its end */
};

/* A published configuration (R9); once it is shown it neither changes nor goes. */
struct published {
	struct buf config; /* RFC 8785 */
	uint8_t sha256[SHA256_LEN];
	struct buf body; /* {"config":...,"jws":"..."} */
};
/* What was published first, and what took its place when it was provisioned. */
enum { PUBLISHED_MAX = 2 };

struct facilitator_client;
struct ledger;
struct shop;

struct loop {
	struct gateway *gw;
	unsigned index;
	uv_loop_t uv;
	pthread_t thread;
	int plain_fd, tls_fd; /* listeners; -1: none */
	struct tls_context *tls;
	struct server *server, *internal; /* internal: loop 0's; NULL: none */
	struct egress *egress;
	struct key_client *keys;
	struct enclave *enclave;
	struct facilitator_client *facilitator; /* NULL: nothing is sold */
	struct verify_list verifies;
	uv_async_t wake;     /* another thread asks to drain */
	uv_timer_t deadline; /* of the shutdown */
	uv_timer_t poll;     /* looks whether the last request is done */
	bool draining, stopped;
	bool gave_up, settling; /* loop 0's, when it stops: on requests; and what is owed */
	size_t requests;	/* requests under way, also those whose client has left */
};

struct gateway {
	const struct options *opt;
	struct buf models_text, policy_text;
	struct models models;
	struct attest_pcrs soft_pcrs; /* of --soft-pcrs; else zero */
	struct deadlines deadlines;
	struct shop_policy policy;
	/* Of payments: NULL when nothing is sold. The mapping is the supervisor's (K5). */
	struct shop *shop;
	struct ledger *ledger;
	uint64_t boot_us;	 /* monotonic; the start of the program, not of this worker (M7) */
	uint64_t refuse_until_s; /* M7: permits whose deadline is not later; 0: no such rule */
	struct policy_provisioning forms; /* of provisioning, that are taken */
	struct upstream upstream[PROVIDER_COUNT];
	int ca_fd; /* the CA bundle in memory */
	uint8_t ca_sha256[SHA256_LEN];
	struct key_identity id;
	char kid[44];
	_Atomic(const struct settings *) settings; /* gateway_settings() */
	struct settings *kept[SETTINGS_MAX];	   /* ours: all that there were; wiped at exit */
	struct published published[PUBLISHED_MAX];
	atomic_uint n_published;       /* the last one counts, the others can be asked for */
	atomic_bool provisioning_open; /* POST /v1/keys may still come, once */
	/* P3: for whom it may be sealed; empty in a worker that came later. */
	struct buf seal_spki, seal_signature;
	struct receipts *receipts;
	struct heart *heart;	     /* loop 0's */
	struct frontdoor *frontdoor; /* loop 0's; NULL: no nitriding daemon before us */
	struct loop *loop;
	atomic_uint loops_running;
	atomic_bool shutting_down, lost_keys;
	struct supervise_note *note; /* what the supervisor must know of us */
};

/* Asks every loop to drain (A3). From any thread; not from a signal handler. */
void gateway_shutdown(struct gateway *gw);

#endif
