/*
 * rq.h - one inference request is one machine. The list of steps makes the enum, the table of
 * functions, the names in the log and the diagram in docs/architecture.md.
 *
 * Only rq_run() calls steps; callbacks note what happened, name the step to go on with, and call
 * rq_run(). Every RQ_WAIT has a deadline that somebody else holds: the wire side for the body and
 * for a client that does not read, egress for the provider, the key client for signatures.
 */
#ifndef GATEWAY_RQ_H
#define GATEWAY_RQ_H

#include <stdbool.h>

#include "codec/sse.h"
#include "core/arena.h"
#include "gateway/gateway.h"
#include "gateway/pay.h"
#include "gateway/reply.h"
#include "provider/echo.h"
#include "receipt/receipt.h"

#define RQ_STEPS(STEP)                                                       \
	STEP(head, "check the head's fields, ask for the body")              \
	STEP(admit, "validate, find the model, look for capacity")           \
	STEP(price, "what it may cost at most, or why it has no price")      \
	STEP(pay, "by whom it is paid: judged here, then verified")          \
	STEP(reserve, "set the most it may cost aside, or lower its limit")  \
	STEP(begin, "admitted: from here on every end has a receipt")        \
	STEP(dial, "send it to the provider")                                \
	STEP(relay, "pass the answer on, hashing each byte as it is queued") \
	STEP(sign, "have the legacy message signed")                         \
	STEP(seal, "have the receipt signed")                                \
	STEP(deliver, "queue the last bytes")                                \
	STEP(finish, "log one line, drop everything")

enum rq_step {
#define RQ_ENUM(name, what) RQ_STEP_##name,
	RQ_STEPS(RQ_ENUM)
#undef RQ_ENUM
};

enum rq_next {
	RQ_MORE, /* progress: run the step it names now */
	RQ_WAIT, /* somebody will call back */
	RQ_DONE, /* rq is gone; do not touch it */
};

#define RQ_MAGIC 0x72710001u

struct rq {
	unsigned magic;
	enum rq_step step;
	struct loop *loop;
	struct exchange *x;	      /* NULL: the client is gone, or has everything */
	const struct http_head *head; /* while x is there */
	struct reply reply;
	enum endpoint endpoint;
	const struct settings *settings; /* those it was admitted with, to its end */
	bool admitted, head_sent, finishing;
	bool streaming; /* the head that was sent is a stream's */
	struct arena arena;
	size_t budget; /* taken of the common one, for what is held of the provider's answer */

	/* What was asked. */
	struct span body; /* borrowed from the exchange, until drop_request() */
	size_t body_bytes;
	bool unsigned_answer; /* TEE-Signature: none */
	struct span nonce;    /* TEE-Nonce; .p NULL: none */
	bool parsed;
	struct request request; /* while x is there: it borrows the body */
	bool stream;
	const struct model *model;
	struct span model_name; /* as requested, decoded; in the arena */
	uint64_t adjusted;
	uint8_t req_sha256[SHA256_LEN], request_hash[KECCAK_LEN];
	struct pay pay;

	/* What was sent on, and what came. */
	const struct upstream *upstream;
	const struct provider *provider; /* NULL: the model answers in the gateway itself */
	bool events;			 /* the provider's answer is due as a stream */
	struct buf forward;		 /* body sent to the provider */
	uint8_t fwd_sha256[SHA256_LEN];
	struct egress_call *call;
	bool called, retried, upstream_done, sentinel;
	bool unsent;	/* the client left before the provider could have any of it */
	bool no_events; /* a stream was asked for, and something else is coming */
	unsigned upstream_status;
	struct sha256 *up;
	struct egress_peer peer;
	bool has_peer;
	struct span upstream_id, upstream_account; /* as the provider names them; in the arena */
	uv_timer_t *watch; /* over a stream: made with it, closed in finish */
	uint64_t event_ms,
	    sent_ms; /* loop time of the last event, and of the last byte to the client */
	bool any_event, paused;
	struct sse sse;
	struct buf upstream_body; /* of an answer that is not streamed, or of a refusal */
	struct span retry_after, retry_after_ms; /* of the provider's head; in the arena */
	struct echo echo;

	/* What goes out: hashed as it enters `out`, sent in order. */
	struct answer answer;
	struct buf out;
	size_t out_at; /* bytes of it that rq_send() gave away */
	struct sha256 *res;
	uint8_t output_hash[KECCAK_LEN];
	uint64_t timestamp_unix_s;
	bool has_output_hash;
	uint8_t signature[256];
	bool has_signature;
	struct key_ticket *ticket;
	enum receipt_outcome outcome;
	bool ended;		/* tee fields or the error are in line */
	bool delivered;		/* every byte was given to the connection */
	struct buf jws;		/* the receipt; empty when it could not be had */
	struct failure failure; /* status 0: none */

	uint64_t began_us, admitted_us, first_byte_us;
};

/* Begins a request whose head has arrived; the first step runs at once. NULL: answered already. */
struct rq *rq_begin(
    struct loop *loop, struct exchange *x, const struct http_head *head, enum endpoint endpoint);

/* From the wire side (struct exchange_ops). */
void rq_on_body(struct rq *rq, struct span body);
void rq_on_room(struct rq *rq);
void rq_on_hangup(struct rq *rq);
void rq_on_gone(struct rq *rq, bool delivered);
/* The wire gives up on the body: answers with this. */
void rq_on_wire_error(struct rq *rq, const struct failure *f);

void rq_run(struct rq *rq);
/* Notes the failure and goes to where it is answered. Returns RQ_MORE. */
enum rq_next rq_fail(struct rq *rq, unsigned status, const char *type, const char *code,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* The one table from error codes to answers. */
enum rq_next rq_fail_err(struct rq *rq, struct err e);

/* What the provider answered is no answer: why, e says, or a policy of the provider's (E2). */
enum rq_next rq_fail_answer(struct rq *rq, struct err e);

/*
 * What the provider said in place of an answer (status 200: inside one), as an answer of ours.
 * False, and nothing is noted, when the status is 200 and the body says nothing about a failure.
 */
bool rq_fail_upstream(struct rq *rq, unsigned status, struct span said);

/* Holds `n` bytes of the common budget from now on, more or less than before. False: unchanged. */
bool rq_hold(struct rq *rq, size_t n);

/* Puts bytes of the answer in line: what is hashed and what is sent cannot drift apart. */
void rq_queue(struct rq *rq, struct span bytes);
/* Gives what is in line to the client, with the head of a stream before it. */
void rq_flush(struct rq *rq);
/* A comment into a stream that has begun: something for the client to hear, and content. */
void rq_keep_alive(struct rq *rq);

/* The head of a body that is in line, whole; rq_send() then sends it. */
void rq_open_body(struct rq *rq, unsigned status);
/*
 * Gives the last bytes in line to the client, as many as there is room for, after the head of a
 * stream if none was sent. True: all of them; else again from rq_on_room().
 */
bool rq_send(struct rq *rq);

/* Steps that have files of their own. */
enum rq_next rq_step_price(struct rq *rq); /* pay.c */
enum rq_next rq_step_pay(struct rq *rq);
enum rq_next rq_step_reserve(struct rq *rq);
enum rq_next rq_step_dial(struct rq *rq); /* relay.c */
enum rq_next rq_step_relay(struct rq *rq);
enum rq_next rq_step_sign(struct rq *rq); /* seal.c */
enum rq_next rq_step_seal(struct rq *rq);
enum rq_next rq_step_deliver(struct rq *rq);

#endif
