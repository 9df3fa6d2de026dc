/*
 * attester.h - the key holder's talk with the security module: one thread, one call at a time.
 *
 * Two kinds of documents come out of it. Over a stranger's nonce: never cached, at most
 * ATTEST_QUEUE_MAX wait. And our own, which the key set carries (R3): made here every few minutes,
 * ahead of all that waits, and answered from memory, so that no load keeps it from anybody. With
 * each of our own the system's clock is held against the module's.
 * Source: interfaces.md K3, R2, R3; nitro-attestation.md 5.4, 8.
 */
#ifndef KEYHOLDER_ATTESTER_H
#define KEYHOLDER_ATTESTER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/digest.h"
#include "enclave/nsm.h"
#include "keyholder/channel.h"
#include "keyholder/proto.h"

struct attester;

struct attester_options {
	struct nsm_port nsm;
	struct span tls_cert, signing_spki; /* DER: their hashes are the documents' user_data */
	struct span receipt_spki;	    /* DER: the documents' public_key */
	struct span root;		    /* DER of a software module's root; else empty */
	bool app_hash_free; /* attester_set_app_hash() takes any: a software module only */
};

/*
 * Asks the module for its PCRs and for the first document of our own: what cannot attest is not
 * started. What the options point to is copied. Errors: those of nsm.h, SYSTEM.
 */
MUST_USE struct err attester_new(struct attester **out, const struct attester_options *opt);
/* Starts the thread. Errors: SYSTEM. */
MUST_USE struct err attester_start(struct attester *a);
/* Waits for the call under way; what waits stays undone. Channels are to be closed before. */
void attester_free(struct attester *a);

/* Takes the request over, to be answered on c; FALSE when the queue is full. */
bool attester_put(struct attester *a, struct channel *c, const struct key_request *r);
/*
 * The second hash of user_data from now on; our own document is made anew. For whoever runs another
 * program behind this one's documents (nitro-attestation.md 5.5).
 * Errors: REFUSED (it is not the signing key's, and must be)
 */
MUST_USE struct err
attester_set_app_hash(struct attester *a, const uint8_t hash[static SHA256_LEN]);
/* The body of an answer to KEY_OWN. Errors: TOO_LARGE. */
MUST_USE struct err attester_put_own(struct attester *a, struct buf *b);

#endif
