/*
 * canonical.c - what the C code hashes of requests, for tests/oracle/canonical.py to compare:
 * one request a line on standard input; "<hash> <canonical text>" or "error" a line on standard
 * output. The canonical text is ASCII without line ends, and so is its hash in hex.
 *
 * A line begins with "chat " or "text ", the endpoint that was asked.
 */
#include "receipt/canonical.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/hex.h"
#include "core/limits.h"
#include "crypto/keccak.h"

static struct err
canonical(struct buf *b, struct span line)
{
	struct arena arena;
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, span_cut(line, 5, line.n), JSON_MAX_NODES));
	arena_init(&arena, REQUEST_ARENA_BYTES);
	e = canonical_put(b,
	    span_starts(line, SPAN_LIT("chat ")) ? CANONICAL_CHAT : CANONICAL_COMPLETION, &doc,
	    &arena);
	arena_fini(&arena);
	json_fini(&doc);
	return e;
}

int
main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 5) {
		uint8_t hash[KECCAK_LEN];
		struct buf text, out;

		buf_init(&text, BODY_MAX_BYTES);
		buf_init(&out, BODY_MAX_BYTES + 2 * KECCAK_LEN + 2);
		if (failed(canonical(&text, span_of(line, (size_t)n)))) {
			buf_put_str(&out, "error");
		} else {
			keccak_256(buf_span(&text), hash);
			hex_put(&out, span_of(hash, sizeof(hash)));
			buf_put_byte(&out, ' ');
			buf_put(&out, buf_span(&text));
		}
		buf_put_byte(&out, '\n');
		if (fwrite(out.p, 1, out.n, stdout) != out.n)
			return 1;
		buf_fini(&out);
		buf_fini(&text);
	}
	free(line);
	return fflush(stdout) == 0 ? 0 : 1;
}
