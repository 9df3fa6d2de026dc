/*
 * proto.h - the messages between a loop and the key holder: one datagram each, integers big-endian.
 * Pure. Writer and reader of each form live side by side. The page is docs/keyholder-protocol.md.
 * Source: interfaces.md K3.
 */
#ifndef KEYHOLDER_PROTO_H
#define KEYHOLDER_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/address.h"
#include "crypto/keccak.h"
#include "crypto/pss.h"
#include "receipt/legacy.h"

enum key_type {
	KEY_IDENTITY = 1, /* who the key holder is, and the TLS key: first on a channel, once */
	KEY_CHAT = 2,	  /* RSA-PSS over the legacy message of two hashes and a time */
	KEY_RECEIPT = 3,  /* a receipt's JWS from its members */
	KEY_CONFIG = 4,	  /* the published configuration's JWS */
	/* what a worker needs of the operator's secrets: right after the identity, once */
	KEY_PROVISIONED = 5,
	KEY_ATTEST = 6,	    /* an attestation document over a stranger's nonce */
	KEY_OWN = 7,	    /* our own document, and what the security module says of us */
	KEY_UNSEAL = 8,	    /* the content of a JWE for the seal key, while provisioning is open */
	KEY_PROVISION = 9,  /* these bytes are what is provisioned from now on: once */
	KEY_HEARTBEAT = 10, /* RSA-PSS over who we are and a time a while ago */
	KEY_APP_HASH = 11,  /* documents name another program's key instead: local mode only */
};

/* What a loop asks. */
struct key_request {
	enum key_type type;
	uint64_t ticket;		  /* the loop's own number, echoed */
	uint8_t request_hash[KECCAK_LEN]; /* CHAT only */
	uint8_t output_hash[KECCAK_LEN];  /* CHAT only */
	uint64_t timestamp_unix_s;	  /* CHAT only */
	uint32_t buffer_s;		  /* HEARTBEAT only; at most HEARTBEAT_BUFFER_MAX_S */
	struct span body; /* RECEIPT, CONFIG: JSON text; ATTEST: the nonce; UNSEAL: a compact JWE;
			     PROVISION: bytes; borrowed */
};

void key_request_put(struct buf *b, const struct key_request *r);
/* Errors: MALFORMED (version, type, length): the sender is not ours any more. */
MUST_USE struct err key_request_parse(struct key_request *r, struct span datagram);

/*
 * What the key holder answers. Of errors only the code travels: OK, MALFORMED, TOO_LARGE, REFUSED,
 * BUSY or SYSTEM (any other becomes SYSTEM), and then the body is empty.
 */
struct key_answer {
	enum key_type type;
	uint64_t ticket;
	enum err_code code;
	struct span body; /* IDENTITY: facts; CHAT: PSS_SIG_LEN bytes; PROVISIONED: key_provisioned;
		     ATTEST: a document; OWN: key_own; UNSEAL: a byte 0 and the content;
		     PROVISION: a byte 1; else a compact JWS; borrowed */
};

void key_answer_put(struct buf *b, const struct key_answer *a);
/* Errors: MALFORMED. */
MUST_USE struct err key_answer_parse(struct key_answer *a, struct span datagram);

/* The body of an IDENTITY answer. Spans borrow. */
struct key_facts {
	struct span signing_spki, receipt_spki, receipt_key_signature, tls_cert, tls_key;
	char tee_id[TEE_ID_LEN];
	char wallet_address[ADDRESS_LEN];
};

void key_facts_put(struct buf *b, const struct key_facts *f);
/* Errors: MALFORMED. */
MUST_USE struct err key_facts_parse(struct key_facts *f, struct span body);

/* The body of a HEARTBEAT answer. */
struct key_heartbeat {
	uint64_t timestamp_unix_s; /* the key holder's now, less buffer_s */
	uint8_t signature[PSS_SIG_LEN];
};

void key_heartbeat_put(struct buf *b, const struct key_heartbeat *h);
/* Errors: MALFORMED. */
MUST_USE struct err key_heartbeat_parse(struct key_heartbeat *h, struct span body);

/* The body of a PROVISIONED answer. Spans borrow. */
struct key_provisioned {
	bool open; /* a provisioning may still come, once */
	/* For whom it may be sealed, and the signing key's word for it; empty once it came. */
	struct span seal_spki, seal_signature;
	struct span bytes; /* what counts now; empty: nothing was provisioned */
};

void key_provisioned_put(struct buf *b, const struct key_provisioned *p);
/* Errors: MALFORMED. */
MUST_USE struct err key_provisioned_parse(struct key_provisioned *p, struct span body);

/* The body of an OWN answer. Spans borrow. */
enum { KEY_OWN_PCRS = 3, KEY_PCR_LEN = 48, KEY_OWN_ROOT_MAX_BYTES = 2048 };
struct key_own {
	uint64_t made_unix_s;	 /* when the document was made, by the system's clock */
	int64_t clock_offset_ms; /* the system's clock less the module's, then */
	uint8_t pcr[KEY_OWN_PCRS][KEY_PCR_LEN]; /* PCR0 to PCR2 */
	struct span root; /* DER of a software module's root; empty: a real module */
	struct span document;
};

void key_own_put(struct buf *b, const struct key_own *own);
/* Errors: MALFORMED. */
MUST_USE struct err key_own_parse(struct key_own *own, struct span body);

#endif
