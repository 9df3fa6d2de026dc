/*
 * client.h - asking the key holder, from a loop. One channel (socket pair end) a loop.
 * Source: interfaces.md K2, K3.
 */
#ifndef KEYHOLDER_CLIENT_H
#define KEYHOLDER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/keccak.h"

struct key_client;

/* Who the key holder is: public facts, fixed for its life, and the TLS key for this worker (K4). */
struct key_identity {
	struct buf signing_spki;	  /* RSA SPKI DER */
	struct buf receipt_spki;	  /* P-256 SPKI DER */
	struct buf receipt_key_signature; /* PSS over "tee-receipt-key-v1" || receipt SPKI */
	struct buf tls_cert;		  /* DER */
	struct buf tls_key;		  /* DER, secret */
	char tee_id[66];
	char wallet_address[42];
};
void key_identity_fini(struct key_identity *id);

/*
 * Asks for the identity on a channel that no client reads yet; blocks, at most timeout_ms. The key
 * holder tells it once a channel, before anything else is asked there.
 * On success *id is the caller's: key_identity_fini(). On error it holds nothing.
 */
MUST_USE struct err key_identity_fetch(struct key_identity *id, int fd, unsigned timeout_ms);

/*
 * Asks for what the operator provisioned, on a channel whose identity was fetched just before;
 * blocks, at most timeout_ms. *p borrows from *datagram (made by buf_init for KEY_MESSAGE_MAX_BYTES),
 * which holds secrets. Errors: as above.
 */
struct key_provisioned;
MUST_USE struct err
key_provisioned_fetch(struct buf *datagram, struct key_provisioned *p, int fd, unsigned timeout_ms);

/*
 * A client on `loop` for the channel `fd` (its own afterwards). on_lost is called once when the
 * key holder is gone; calls that wait have failed before.
 */
MUST_USE struct err key_client_new(
    struct key_client **out, uv_loop_t *loop, int fd, void (*on_lost)(void *ctx), void *ctx);
/*
 * Closes; calls that wait are dropped without a callback, their tickets are gone. The struct goes
 * when uv has closed. NULL is fine; may be called from a callback.
 */
void key_client_free(struct key_client *c);

/*
 * TRUE when a new request may be admitted: few enough signatures wait (else 503 at admission, never
 * after the provider was paid). Requests admitted before are signed even when it is FALSE.
 */
bool key_client_has_room(const struct key_client *c);

/*
 * An answer: bytes (borrowed) or an error. Comes from the loop, never from inside the call.
 * Errors: TIMEOUT (after SIGN_MS), REFUSED, MALFORMED, TOO_LARGE, BUSY, SYSTEM.
 * The returned ticket cancels: the callback will then not come. It is gone once the callback came.
 * The calls below fail at once with SYSTEM (key holder gone), BUSY, NOMEM, TOO_LARGE.
 */
typedef void key_answer_fn(void *ctx, struct err e, struct span answer);
struct key_ticket;

/* 256 bytes of RSA-PSS over the legacy message hash. */
MUST_USE struct err key_sign_chat(struct key_client *c,
    const uint8_t request_hash[static KECCAK_LEN], const uint8_t output_hash[static KECCAK_LEN],
    uint64_t timestamp_unix_s, key_answer_fn *fn, void *ctx, struct key_ticket **ticket);
/*
 * A struct key_heartbeat (proto.h), encoded: the time `buffer_s` before the key holder's now, and the
 * signature over it.
 */
MUST_USE struct err key_sign_heartbeat(struct key_client *c, uint32_t buffer_s, key_answer_fn *fn,
    void *ctx, struct key_ticket **ticket);
/* A receipt's compact JWS; `members` as receipt_put_members() wrote them. */
MUST_USE struct err key_sign_receipt(struct key_client *c, struct span members, key_answer_fn *fn,
    void *ctx, struct key_ticket **ticket);
/* The published configuration's compact JWS. */
MUST_USE struct err key_sign_config(struct key_client *c, struct span config, key_answer_fn *fn,
    void *ctx, struct key_ticket **ticket);

/*
 * An attestation document over a nonce of 1 to ATTEST_NONCE_MAX_BYTES. Never waits in the loop, so
 * that signatures cannot stand behind strangers' questions: BUSY, at once or as the answer, when
 * enough of them are under way.
 */
MUST_USE struct err key_attest(struct key_client *c, struct span nonce, key_answer_fn *fn,
    void *ctx, struct key_ticket **ticket);
/* Our own document, from the key holder's memory: a struct key_own (proto.h), encoded. */
MUST_USE struct err
key_own_document(struct key_client *c, key_answer_fn *fn, void *ctx, struct key_ticket **ticket);

/*
 * What was sealed for the key holder's seal key: the answer is the content. Errors beside those
 * above: REFUSED (provisioned meanwhile), BUSY (too soon after a failure), MALFORMED (cannot be
 * opened).
 */
MUST_USE struct err key_unseal(struct key_client *c, struct span jwe, key_answer_fn *fn, void *ctx,
    struct key_ticket **ticket);
/* Provisions these bytes, once for all workers to come. Errors: REFUSED (somebody was first). */
MUST_USE struct err key_provision(struct key_client *c, struct span bytes, key_answer_fn *fn,
    void *ctx, struct key_ticket **ticket);

/*
 * From now on documents name this SHA-256 of another program's key (local mode), if the key holder
 * lets them: else REFUSED, unless it is our own. The answer is one byte.
 */
MUST_USE struct err key_app_hash(struct key_client *c, struct span sha256, key_answer_fn *fn,
    void *ctx, struct key_ticket **ticket);

/* NULL is fine. */
void key_cancel(struct key_ticket *t);

#endif
