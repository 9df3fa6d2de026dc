/*
 * answer.h - an answer in OpenAI's shape while it is put together: what was delivered, how it
 * ended, and the bytes that the gateway itself writes around it. Pure.
 * Source: interfaces.md section 6 (S1-S6); opengradient.md 4.4, 4.5, 5.
 *
 * Providers put delta events and body members through these functions; whoever writes an answer
 * never has to know the shape of tee_* fields or of the final chunk twice.
 */
#ifndef PROVIDER_ANSWER_H
#define PROVIDER_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "core/buf.h"
#include "core/err.h"
#include "provider/anthropic_state.h"
#include "provider/gemini_state.h"
#include "provider/request.h"
#include "provider/tool_index.h"
#include "receipt/legacy.h"

enum finish {
	FINISH_NONE = 0, /* not yet */
	FINISH_STOP,
	FINISH_LENGTH,
	FINISH_TOOL_CALLS,
	FINISH_CONTENT_FILTER,
};
/* As clients read it; "" for FINISH_NONE. */
const char *finish_name(enum finish f);
/* A provider's word; words we do not know count as stop (providers.md 15). */
enum finish finish_of(const struct json *doc, uint32_t at);

enum { ANSWER_ID_MAX = 48, ANSWER_CHOICES_MAX = 128, SERVED_MODEL_MAX = 128, PICTURES_MAX = 16 };

/* Token counts as every provider's are reported to clients (providers.md 13). */
struct counts {
	uint64_t prompt, completion; /* with cached tokens, with reasoning */
	uint64_t cached, cache_write, reasoning;
	bool has_prompt, has_completion; /* the provider has said */
};

/* A picture: its media type, and as JSON string content base64 and Google's thought signature. */
struct picture {
	struct span mime, data, signature; /* .n 0: none */
};

/* An answer whose provider speaks another wire format, as far as it came. See pieces.h. */
struct pieces {
	bool whole; /* kept for one body, rather than sent event by event */
	struct buf text, reasoning, refusal, calls, extra;
	uint32_t n_calls;
	bool arguments; /* the latest call has had some */
	struct counts counts;
	struct picture picture[PICTURES_MAX]; /* of a whole body, which they borrow */
};

struct answer {
	enum endpoint endpoint;
	char id[ANSWER_ID_MAX]; /* "chatcmpl-<uuid>" or "cmpl-<uuid>", NUL-terminated */
	struct span model;	/* as requested: a JSON string with its quotes */
	uint64_t created_unix_s;
	unsigned n; /* choices that are due */
	uint64_t prompt_bytes;

	struct output output; /* choice 0, for tee_output_hash */
	enum finish finish[ANSWER_CHOICES_MAX];
	bool begun[ANSWER_CHOICES_MAX]; /* a delta with a role was sent */
	struct tool_index tools[TOOL_INDEX_CHOICES];
	bool reasoning_apart; /* the provider's completion_tokens lack the reasoning */
	struct buf usage;     /* the provider's usage object; empty: none that counts both ways */
	bool has_prompt_tokens, has_completion_tokens; /* reported; what is not is estimated (S4) */
	struct buf extra;      /* `"name":value,` of members kept for the final chunk */
	uint64_t output_bytes; /* UTF-8 bytes delivered, all choices (S4) */
	char served_model[SERVED_MODEL_MAX + 1];
	uint64_t prompt_tokens, completion_tokens; /* as delivered in usage */

	unsigned n_pictures;
	struct buf pictures; /* of a stream: entries of "images" for the final chunk (C9) */
	bool wants_picture;  /* the model was asked for one */
	bool blocked;	     /* a policy of the provider's let nothing through */

	/* Of translated families only; what each remembers from event to event is its own. */
	struct pieces pieces;
	struct anthropic_answer anthropic;
	struct gemini_answer gemini;
};

/* `uuid` is UUID_LEN bytes of text. The request must outlive the answer. */
void
answer_init(struct answer *a, const struct request *rq, const char *uuid, uint64_t created_unix_s);
void answer_fini(struct answer *a);

/* The model that the provider says has answered: the first plain name of a string at `at`. */
void answer_note_model(struct answer *a, const struct json *doc, uint32_t at);
/* UTF-8 bytes of JSON string content. */
uint64_t answer_text_bytes(struct span inner);

/* Every due choice has its finish reason (S6). */
bool answer_finished(const struct answer *a);
/* tee_output_hash of choice 0. Once. */
MUST_USE struct err answer_output_hash(struct answer *a, uint8_t out[static KECCAK_LEN]);
/* finish_reason for the receipt: a JSON string, an array of them when n > 1, or null. */
void answer_put_finish(const struct answer *a, struct buf *b);
/* The usage object: the provider's, else an estimate marked as such (S4). */
void answer_put_usage(struct answer *a, struct buf *b);

/* The five tee_* members, without outer braces or commas. */
struct tee_fields {
	uint8_t request_hash[KECCAK_LEN], output_hash[KECCAK_LEN];
	uint64_t timestamp_unix_s;
	const char *tee_id;    /* TEE_ID_LEN bytes */
	struct span signature; /* .p NULL: asked for without (TEE-Signature: none) */
};
void answer_put_tee(struct buf *b, const struct tee_fields *f);

/*
 * One delta event of text for `choice`; `inner` is JSON string content without quotes, written as
 * it is. Absorbs it into the output. The first delta of a chat choice carries the role.
 */
void answer_put_delta(struct answer *a, struct buf *b, unsigned choice, struct span inner);

/* The same event without absorbing: whoever calls has done so. */
void answer_put_text_event(struct answer *a, struct buf *b, unsigned choice, struct span inner);

/*
 * The frame of any other delta of a chat: members of "delta" go between the two; the first one
 * carries the role.
 */
void answer_open_delta(struct answer *a, struct buf *b, unsigned choice);
void answer_close_delta(struct buf *b);

/*
 * The final event up to, and without, `,"tee_receipt":`: finish reasons, usage, tee fields (S2).
 */
void answer_put_final(struct answer *a, struct buf *b, const struct tee_fields *f);

/*
 * A whole body of n text choices (inner[0 .. n-1], as JSON string content): begins it and leaves
 * it open after a comma, for answer_put_tee() and the closing brace.
 */
void answer_put_text_body(struct answer *a, struct buf *b, const struct span *inner);
/*
 * The same for one chat choice: members of the message ("content" and what else it has) go between
 * the two.
 */
void answer_open_message(struct answer *a, struct buf *b);
void answer_close_message(struct answer *a, struct buf *b);

/* An entry of a message's "images" (C9). */
void answer_put_picture(struct buf *b, const struct picture *picture);

#endif
