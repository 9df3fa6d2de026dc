/*
 * Any bytes as a provider's refusal. What the client reads of it is UTF-8 of at most 2 KiB without
 * control bytes and without our key, has a status and a code of our table, and is never empty.
 */
#include <assert.h>
#include <stdint.h>

#include "core/buf.h"
#include "provider/upstream_error.h"

static const char key[] = "sk-fuzz-0123456789";

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned statuses[] = { 200, 400, 401, 402, 403, 404, 408, 409, 413, 422, 429,
		500, 502, 503, 504, 529 };
	struct upstream_refusal in = { .now_unix_s = 784111777, .key = span_str(key) };
	struct upstream_error e;
	struct span message;
	struct buf quoted;
	struct json doc;
	size_t field;

	if (size < 2)
		return 0;
	in.status = statuses[data[0] % 16];
	field = data[1] < size - 2 ? data[1] : size - 2;
	in.retry_after = in.retry_after_ms = span_of(data + 2, field);
	in.body = span_of(data + 2 + field, size - 2 - field);
	upstream_error_read(&e, &in);
	message = span_str(e.message);
	assert(message.n > 0 && message.n <= UPSTREAM_MESSAGE_MAX);
	assert(span_find(message, span_str(key), 0) == SIZE_MAX);
	assert(e.status >= 400 && e.status < 600 && e.status != 401 && e.status != 402);
	assert((e.retry_after_s > 0) == (e.status == 429 || e.status == 503));
	for (size_t i = 0; i < message.n; i++)
		assert(message.p[i] >= 0x20 && message.p[i] != 0x7f);
	for (const char *c = e.code; *c != '\0'; c++)
		assert((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_');
	/* The parser checks UTF-8. */
	buf_init(&quoted, 8 * UPSTREAM_MESSAGE_MAX);
	json_put_string(&quoted, message);
	assert(!failed(json_parse(&doc, buf_span(&quoted), 4)));
	json_fini(&doc);
	buf_fini(&quoted);
	return 0;
}
