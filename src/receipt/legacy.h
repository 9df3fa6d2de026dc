/*
 * legacy.h - the tee_* fields: output hash, signed message, and reading them back. Pure.
 * Source: opengradient.md 4.3, 5; interfaces.md S1, S3.
 */
#ifndef RECEIPT_LEGACY_H
#define RECEIPT_LEGACY_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/buf.h"
#include "core/err.h"
#include "crypto/keccak.h"

/*
 * What choice 0 of an answer delivered, absorbed while it passes. Text is hashed on the way;
 * tool call fragments are collected (as received) until the end.
 *
 * A surrogate pair whose halves come in two deltas is joined, as a client's string would be; a
 * lone surrogate counts as U+FFFD.
 */
struct output {
	struct keccak text;
	uint32_t high;		  /* a high surrogate that waits for its other half; 0: none */
	struct output_call *call; /* the tool calls so far, by index; private */
	uint32_t n_calls;
	size_t kept_bytes;   /* bytes that they hold, as received */
	uint64_t text_bytes; /* UTF-8 bytes of content absorbed */
	uint64_t call_bytes; /* UTF-8 bytes of tool arguments absorbed */
};

void output_init(struct output *o);
void output_fini(struct output *o);

/* `inner`: a JSON string's bytes between its quotes (json_inner()), content or text delta. */
void output_text(struct output *o, struct span inner);
/*
 * The member "tool_calls" of a message (index absent: position counts) or of a delta (merged by
 * index: id, type, name set, arguments appended). `at` may be JSON_NONE or a null: no calls.
 * A call that never says them has the id "", the type "function", the name "".
 * Errors: MALFORMED (not an array of objects, or a member that is no string),
 *	TOO_LARGE (more than 128 calls, or above 16 MiB), NOMEM
 */
MUST_USE struct err output_tool_calls(struct output *o, const struct json *doc, uint32_t at);
/*
 * A part of call `index`, for whoever writes the calls' JSON: id and name replace what was there
 * unless they are empty, arguments are appended. All are string bytes as in json_inner().
 * Errors: TOO_LARGE, NOMEM as above
 */
MUST_USE struct err output_call_part(
    struct output *o, uint64_t index, struct span id, struct span name, struct span arguments);
/*
 * tee_output_hash. finish_is_tool_calls: the hash covers the canonical list of calls, by index,
 * instead of the text (which it covers all the same when there was no call). May be called once.
 * Errors: NOMEM
 */
MUST_USE struct err
output_hash(struct output *o, bool finish_is_tool_calls, uint8_t out[static KECCAK_LEN]);

/* msg_hash = keccak256(request_hash || output_hash || uint256_be(timestamp)): what PSS signs. */
void legacy_message(const uint8_t request_hash[static KECCAK_LEN],
    const uint8_t output_hash[static KECCAK_LEN], uint64_t timestamp_unix_s,
    uint8_t out[static KECCAK_LEN]);

/*
 * keccak256(tee_id || uint256_be(timestamp)): what PSS signs of a heartbeat. opengradient.md 7.
 * tee_id	its bytes: keccak256(SPKI DER)
 */
void legacy_heartbeat(const uint8_t tee_id[static KECCAK_LEN], uint64_t timestamp_unix_s,
    uint8_t out[static KECCAK_LEN]);

/* tee_id: "0x" and 64 lower-case hex digits of keccak256(SPKI DER); no NUL. */
enum { TEE_ID_LEN = 66 };
void legacy_tee_id(struct span spki_der, char out[static TEE_ID_LEN]);

/*
 * The five fields as read from an answer (body, or final event of a stream).
 */
struct legacy_fields {
	uint8_t request_hash[KECCAK_LEN], output_hash[KECCAK_LEN];
	uint64_t timestamp_unix_s;
	char tee_id[TEE_ID_LEN];
	bool has_signature; /* false: the answer was asked for with TEE-Signature: none */
	uint8_t signature[1024];
	size_t signature_len;
};

/*
 * Reads a whole response as a client got it: a JSON body, or an SSE stream (it begins with "data:",
 * ":" or "event:"). Computes the output hash of what choice 0 delivered into delivered[] and reads
 * the tee_* fields. Whether any of it is true is the caller's next question.
 *
 * The final event of a stream is the one with tee_request_hash; nothing but [DONE] may follow.
 * Objects on the way to what is read may not name a member twice.
 * Errors: MALFORMED (no JSON, no stream, a field absent or ill-formed, two final events),
 *	REFUSED (an error body, or a stream that ended
 *	without its final event, or without [DONE] and its blank line), TOO_LARGE, NOMEM
 */
MUST_USE struct err
legacy_read(struct span response, struct legacy_fields *f, uint8_t delivered[static KECCAK_LEN]);

#endif
