/*
 * nsm_wire.h - the messages of the Nitro Secure Module: requests and answers, both ways. Pure.
 *
 * A message without arguments is a text, one with arguments a map of one pair; readers take either
 * form, maps of both kinds of length, names in any order and names they do not know. Refused:
 * bytes after the message, a known name twice, a value of another type or out of its range.
 * Source: nitro-attestation.md 1.2.
 */
#ifndef ENCLAVE_NSM_WIRE_H
#define ENCLAVE_NSM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"

enum {
	NSM_REQUEST_MAX_BYTES = 4096,  /* 0x1000, of the driver */
	NSM_ANSWER_MAX_BYTES = 12288,  /* 0x3000, of the driver */
	NSM_RANDOM_MAX_BYTES = 256,    /* in one answer */
	NSM_USER_DATA_MAX_BYTES = 512, /* nitro-attestation.md 2.3: emitted at most */
	NSM_NONCE_MAX_BYTES = 512,
	NSM_PUBLIC_KEY_MAX_BYTES = 1024,
	NSM_PCRS = 32,
	NSM_PCR_LEN = 48, /* SHA-384 */
};

/* NSM_TYPE(id, name on the wire) */
#define NSM_TYPES(NSM_TYPE)                   \
	NSM_TYPE(DESCRIBE_PCR, "DescribePCR") \
	NSM_TYPE(EXTEND_PCR, "ExtendPCR")     \
	NSM_TYPE(LOCK_PCR, "LockPCR")         \
	NSM_TYPE(LOCK_PCRS, "LockPCRs")       \
	NSM_TYPE(DESCRIBE_NSM, "DescribeNSM") \
	NSM_TYPE(ATTESTATION, "Attestation")  \
	NSM_TYPE(GET_RANDOM, "GetRandom")     \
	NSM_TYPE(ERROR, "Error") /* of answers only */

enum nsm_type {
#define NSM_TYPE_ENUM(id, name) NSM_##id,
	NSM_TYPES(NSM_TYPE_ENUM)
#undef NSM_TYPE_ENUM
	    NSM_TYPE_COUNT
};

struct nsm_request {
	enum nsm_type type;
	uint16_t index;				  /* DESCRIBE_PCR, EXTEND_PCR, LOCK_PCR */
	uint16_t range;				  /* LOCK_PCRS: [0, range) */
	struct span data;			  /* EXTEND_PCR */
	struct span user_data, nonce, public_key; /* ATTESTATION; .p NULL: null */
};

void nsm_request_put(struct buf *b, const struct nsm_request *r);
/* Spans borrow. Errors: MALFORMED. */
MUST_USE struct err nsm_request_parse(struct nsm_request *r, struct span message);

/* In the numeric order of the C library. */
#define NSM_CODES(NSM_CODE)                             \
	NSM_CODE(SUCCESS, "Success")                    \
	NSM_CODE(INVALID_ARGUMENT, "InvalidArgument")   \
	NSM_CODE(INVALID_INDEX, "InvalidIndex")         \
	NSM_CODE(INVALID_RESPONSE, "InvalidResponse")   \
	NSM_CODE(READ_ONLY_INDEX, "ReadOnlyIndex")      \
	NSM_CODE(INVALID_OPERATION, "InvalidOperation") \
	NSM_CODE(BUFFER_TOO_SMALL, "BufferTooSmall")    \
	NSM_CODE(INPUT_TOO_LARGE, "InputTooLarge")      \
	NSM_CODE(INTERNAL_ERROR, "InternalError")

enum nsm_code {
#define NSM_CODE_ENUM(id, name) NSM_CODE_##id,
	NSM_CODES(NSM_CODE_ENUM)
#undef NSM_CODE_ENUM
	    NSM_CODE_COUNT
};

struct nsm_answer {
	enum nsm_type type;
	enum nsm_code code; /* ERROR: why; a code nobody knows is INTERNAL_ERROR */
	bool lock;	    /* DESCRIBE_PCR */
	/* DESCRIBE_PCR, EXTEND_PCR: the value; ATTESTATION: the document; GET_RANDOM: the bytes */
	struct span data;
	struct {
		uint16_t major, minor, patch, max_pcrs;
		struct span module_id, digest; /* text */
		uint32_t locked_pcrs;	       /* bit n: PCR n */
	} module;			       /* DESCRIBE_NSM */
};

void nsm_answer_put(struct buf *b, const struct nsm_answer *a);
/* Spans borrow. Errors: MALFORMED. */
MUST_USE struct err nsm_answer_parse(struct nsm_answer *a, struct span message);

const char *nsm_code_name(enum nsm_code code);

/*
 * The time of an attestation document, in milliseconds since 1970, by the hypervisor's clock. Only
 * for a document that the module itself just gave us: nothing else of it is looked at.
 * Errors: MALFORMED. Source: nitro-attestation.md 2.1, 2.2.
 */
MUST_USE struct err nsm_document_time(struct span document, uint64_t *unix_ms);

#endif
