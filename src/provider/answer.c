#include "provider/answer.h"

#include <stdio.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "core/limits.h"

enum {
	USAGE_MAX_BYTES = 4096,
	EXTRA_MAX_BYTES = 16384,
	PICTURES_MAX_BYTES = ANSWER_MAX_BYTES + PICTURES_MAX * 128,
};

static const char *const names[] = {
	[FINISH_NONE] = "",
	[FINISH_STOP] = "stop",
	[FINISH_LENGTH] = "length",
	[FINISH_TOOL_CALLS] = "tool_calls",
	[FINISH_CONTENT_FILTER] = "content_filter",
};

const char *
finish_name(enum finish f)
{
	return names[f];
}

enum finish
finish_of(const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE || json_type(doc, at) != JSON_STRING)
		return FINISH_NONE;
	for (enum finish f = FINISH_STOP; f <= FINISH_CONTENT_FILTER; f++)
		if (json_is(doc, at, names[f]))
			return f;
	return FINISH_STOP;
}

void
answer_init(struct answer *a, const struct request *rq, const char *uuid, uint64_t created_unix_s)
{
	*a = (struct answer){ .endpoint = rq->endpoint,
		.n = rq->n,
		.created_unix_s = created_unix_s,
		.prompt_bytes = rq->prompt_bytes,
		.model = json_raw(&rq->doc, rq->at[PARAM_MODEL]) };
	snprintf(a->id, sizeof(a->id), "%s-%.36s",
	    rq->endpoint == ENDPOINT_CHAT ? "chatcmpl" : "cmpl", uuid);
	output_init(&a->output);
	buf_init(&a->usage, USAGE_MAX_BYTES);
	buf_init(&a->extra, EXTRA_MAX_BYTES);
	buf_init(&a->pictures, PICTURES_MAX_BYTES);
}

void
answer_fini(struct answer *a)
{
	output_fini(&a->output);
	buf_fini(&a->usage);
	buf_fini(&a->extra);
	buf_fini(&a->pictures);
	buf_fini(&a->pieces.text);
	buf_fini(&a->pieces.reasoning);
	buf_fini(&a->pieces.refusal);
	buf_fini(&a->pieces.calls);
	buf_fini(&a->pieces.extra);
	buf_fini(&a->anthropic.input);
}

void
answer_note_model(struct answer *a, const struct json *doc, uint32_t at)
{
	struct span inner;

	if (a->served_model[0] != '\0' || at == JSON_NONE || json_type(doc, at) != JSON_STRING)
		return;
	inner = json_inner(doc, at);
	/* Names are plain; one that is not, or too long, is not worth a claim. */
	if (inner.n > SERVED_MODEL_MAX)
		return;
	for (size_t i = 0; i < inner.n; i++)
		if (inner.p[i] < 0x20 || inner.p[i] >= 0x7f || inner.p[i] == '\\')
			return;
	if (inner.n > 0)
		memcpy(a->served_model, inner.p, inner.n);
	a->served_model[inner.n] = '\0';
}

uint64_t
answer_text_bytes(struct span inner)
{
	struct json_points it = { .s = inner };
	uint64_t bytes = 0;
	uint32_t cp;

	if (inner.n == 0 || memchr(inner.p, '\\', inner.n) == NULL)
		return inner.n; /* no escapes: the text is the UTF-8 */
	while (json_point(&it, &cp))
		bytes += cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	return bytes;
}

bool
answer_finished(const struct answer *a)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->finish[i] == FINISH_NONE)
			return false;
	return true;
}

struct err
answer_output_hash(struct answer *a, uint8_t out[static KECCAK_LEN])
{
	return output_hash(&a->output, a->finish[0] == FINISH_TOOL_CALLS, out);
}

static void
put_finish(struct buf *b, enum finish f)
{
	if (f == FINISH_NONE) {
		buf_put_str(b, "null");
		return;
	}
	buf_put_byte(b, '"');
	buf_put_str(b, names[f]);
	buf_put_byte(b, '"');
}

void
answer_put_finish(const struct answer *a, struct buf *b)
{
	if (a->n == 1 || !answer_finished(a)) {
		put_finish(b, a->n == 1 ? a->finish[0] : FINISH_NONE);
		return;
	}
	for (unsigned i = 0; i < a->n; i++) {
		buf_put_byte(b, i == 0 ? '[' : ',');
		put_finish(b, a->finish[i]);
	}
	buf_put_byte(b, ']');
}

void
answer_put_usage(struct answer *a, struct buf *b)
{
	if (a->usage.n > 0) {
		buf_put(b, buf_span(&a->usage));
		return;
	}
	if (!a->has_prompt_tokens)
		a->prompt_tokens = (a->prompt_bytes + 3) / 4;
	if (!a->has_completion_tokens)
		a->completion_tokens = (a->output_bytes + 3) / 4;
	buf_put_str(b, "{\"prompt_tokens\":");
	buf_put_u64(b, a->prompt_tokens);
	buf_put_str(b, ",\"completion_tokens\":");
	buf_put_u64(b, a->completion_tokens);
	buf_put_str(b, ",\"total_tokens\":");
	buf_put_u64(b, a->prompt_tokens + a->completion_tokens);
	buf_put_str(b, ",\"estimated\":true}");
}

void
answer_put_tee(struct buf *b, const struct tee_fields *f)
{
	if (f->signature.p != NULL) {
		buf_put_str(b, "\"tee_signature\":\"");
		b64_put(b, f->signature);
		buf_put_str(b, "\",");
	}
	buf_put_str(b, "\"tee_request_hash\":\"");
	hex_put(b, span_of(f->request_hash, KECCAK_LEN));
	buf_put_str(b, "\",\"tee_output_hash\":\"");
	hex_put(b, span_of(f->output_hash, KECCAK_LEN));
	buf_put_str(b, "\",\"tee_timestamp\":");
	buf_put_u64(b, f->timestamp_unix_s);
	buf_put_str(b, ",\"tee_id\":\"");
	buf_put(b, span_of(f->tee_id, TEE_ID_LEN));
	buf_put_byte(b, '"');
}

/* {"id":...,"object":...,"created":...,"model":... : how everything that we author begins. */
static void
put_opening(const struct answer *a, struct buf *b, const char *object)
{
	buf_put_str(b, "{\"id\":\"");
	buf_put_str(b, a->id);
	buf_put_str(b, "\",\"object\":\"");
	buf_put_str(b, object);
	buf_put_str(b, "\",\"created\":");
	buf_put_u64(b, a->created_unix_s);
	buf_put_str(b, ",\"model\":");
	buf_put(b, a->model);
}

static void
put_index(struct buf *b, unsigned choice)
{
	buf_put_str(b, "{\"index\":");
	buf_put_u64(b, choice);
}

void
answer_open_delta(struct answer *a, struct buf *b, unsigned choice)
{
	buf_put_str(b, "data: ");
	put_opening(a, b, "chat.completion.chunk");
	buf_put_str(b, ",\"choices\":[");
	put_index(b, choice);
	buf_put_str(b, ",\"delta\":{");
	if (!a->begun[choice])
		buf_put_str(b, "\"role\":\"assistant\",");
	a->begun[choice] = true;
}

void
answer_close_delta(struct buf *b)
{
	buf_put_str(b, "},\"finish_reason\":null}]}\n\n");
}

void
answer_put_text_event(struct answer *a, struct buf *b, unsigned choice, struct span inner)
{
	if (a->endpoint == ENDPOINT_COMPLETIONS) {
		buf_put_str(b, "data: ");
		put_opening(a, b, "text_completion");
		buf_put_str(b, ",\"choices\":[{\"text\":\"");
		buf_put(b, inner);
		buf_put_str(b, "\",\"index\":");
		buf_put_u64(b, choice);
		buf_put_str(b, ",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
		return;
	}
	answer_open_delta(a, b, choice);
	buf_put_str(b, "\"content\":\"");
	buf_put(b, inner);
	buf_put_byte(b, '"');
	answer_close_delta(b);
}

void
answer_put_delta(struct answer *a, struct buf *b, unsigned choice, struct span inner)
{
	if (choice == 0)
		output_text(&a->output, inner);
	a->output_bytes += answer_text_bytes(inner);
	answer_put_text_event(a, b, choice, inner);
}

void
answer_put_final(struct answer *a, struct buf *b, const struct tee_fields *f)
{
	bool chat = a->endpoint == ENDPOINT_CHAT;

	if (a->pictures.over)
		b->over = true;
	if (a->pictures.n > 0)
		buf_reserve(b, a->pictures.n + 8192);
	buf_put_str(b, "data: ");
	put_opening(a, b, chat ? "chat.completion.chunk" : "text_completion");
	buf_put_byte(b, ',');
	buf_put(b, buf_span(&a->extra));
	buf_put_str(b, "\"choices\":[");
	for (unsigned i = 0; i < a->n; i++) {
		if (i > 0)
			buf_put_byte(b, ',');
		if (chat) {
			put_index(b, i);
			buf_put_str(b, ",\"delta\":{");
			if (i == 0 && a->pictures.n > 0) {
				buf_put_str(b, "\"images\":[");
				buf_put(b, buf_span(&a->pictures));
				buf_put_byte(b, ']');
			}
			buf_put_byte(b, '}');
		} else {
			buf_put_str(b, "{\"text\":\"\",\"index\":");
			buf_put_u64(b, i);
			buf_put_str(b, ",\"logprobs\":null");
		}
		buf_put_str(b, ",\"finish_reason\":");
		put_finish(b, a->finish[i]);
		buf_put_byte(b, '}');
	}
	buf_put_str(b, "],\"usage\":");
	answer_put_usage(a, b);
	buf_put_byte(b, ',');
	answer_put_tee(b, f);
}

void
answer_put_text_body(struct answer *a, struct buf *b, const struct span *inner)
{
	bool chat = a->endpoint == ENDPOINT_CHAT;

	put_opening(a, b, chat ? "chat.completion" : "text_completion");
	buf_put_str(b, ",\"choices\":[");
	for (unsigned i = 0; i < a->n; i++) {
		if (i > 0)
			buf_put_byte(b, ',');
		if (chat) {
			put_index(b, i);
			buf_put_str(b, ",\"message\":{\"role\":\"assistant\",\"content\":\"");
			buf_put(b, inner[i]);
			buf_put_str(b, "\"},\"finish_reason\":");
		} else {
			buf_put_str(b, "{\"text\":\"");
			buf_put(b, inner[i]);
			buf_put_str(b, "\",\"index\":");
			buf_put_u64(b, i);
			buf_put_str(b, ",\"logprobs\":null,\"finish_reason\":");
		}
		put_finish(b, a->finish[i]);
		buf_put_byte(b, '}');
	}
	buf_put_str(b, "],\"usage\":");
	answer_put_usage(a, b);
	if (!chat) {
		buf_put_str(b, ",\"completion\":\"");
		buf_put(b, inner[0]);
		buf_put_byte(b, '"');
	}
	buf_put_byte(b, ',');
}

void
answer_open_message(struct answer *a, struct buf *b)
{
	put_opening(a, b, "chat.completion");
	buf_put_str(b, ",\"choices\":[");
	put_index(b, 0);
	buf_put_str(b, ",\"message\":{\"role\":\"assistant\",");
}

void
answer_close_message(struct answer *a, struct buf *b)
{
	buf_put_str(b, "},\"logprobs\":null,\"finish_reason\":");
	put_finish(b, a->finish[0]);
	buf_put_str(b, "}],\"usage\":");
	answer_put_usage(a, b);
	buf_put_byte(b, ',');
}

void
answer_put_picture(struct buf *b, const struct picture *picture)
{
	buf_put_str(b, "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:");
	buf_put(b, picture->mime);
	buf_put_str(b, ";base64,");
	buf_put(b, picture->data);
	buf_put_str(b, "\"}");
	if (picture->signature.n > 0) {
		buf_put_str(b, ",\"extra_content\":{\"google\":{\"thought_signature\":\"");
		buf_put(b, picture->signature);
		buf_put_str(b, "\"}}");
	}
	buf_put_byte(b, '}');
}
