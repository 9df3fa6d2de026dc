/*
 * head.h - the head of an HTTP/1.1 request: where it ends, and what it says. Pure.
 *
 * llhttp reads it; the rules that llhttp leaves out are added here, so that no two parsers can
 * split a byte stream differently (stack.md "HTTP/1.1 strictness").
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "core/limits.h"
#include "core/span.h"
#include "http/exchange.h"

/* Why the wire side refuses a message. status 0: it does not. `what` is a literal, shown to peers. */
struct http_fault {
	unsigned status;
	const char *what;
};
#define HTTP_FINE	    ((struct http_fault){ 0, NULL })
#define HTTP_FAULT(code, w) ((struct http_fault){ (code), (w) })

/* Finds the end of a head in bytes that keep growing. Starts zeroed. */
struct head_scan {
	size_t start; /* the request line: empty lines before it are skipped (RFC 9112 2.2) */
	size_t line;  /* the line that has not ended yet */
};
enum head_state { HEAD_MORE, HEAD_WHOLE, HEAD_BAD };
/*
 * `bytes` is everything since the last message, also what earlier calls have seen. Bare CR, bare
 * LF and folded lines are refused here, because llhttp accepts or repairs some of them.
 * end		HEAD_WHOLE: bytes of the head with its blank line
 * fault	set on HEAD_BAD only
 */
enum head_state
head_scan(struct head_scan *s, struct span bytes, size_t *end, struct http_fault *fault);

/* The path of a request line, as far as it can be made out; .p NULL when it cannot. For errors. */
struct span head_path(struct span bytes);

struct head_request {
	struct http_head head; /* .field is the array below */
	bool http10;
	bool keep_alive;       /* the client lets us reuse the connection */
	bool expects_continue; /* Expect: 100-continue on HTTP/1.1 */
	struct http_field field[HEAD_MAX_FIELDS];
};
/*
 * Reads a whole head, from its request line to its blank line. The spans of `r` point into it.
 * On a fault head.path is as head_path() says (for the error's shape), head.method may be set,
 * and nothing else counts.
 * Source: RFC 9112 2 to 6, RFC 9110 5, 7.2 and 10.1.1; limits.h HEAD_MAX_FIELDS, TARGET_MAX_BYTES
 */
struct http_fault head_parse(struct head_request *r, struct span bytes);

#endif
