/*
 * chunked.h - the chunked transfer coding of a request body, read strictly. Pure.
 *
 * Our own and not llhttp's, which skips the two bytes behind chunk data unseen: here each byte
 * of the framing is the one that RFC 9112 7.1 has at that place, or the message is refused.
 */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include <stddef.h>
#include <stdint.h>

#include "core/span.h"
#include "http/head.h"

enum { TRAILER_MAX_BYTES = 8192 }; /* trailers are read and ignored */

/* Starts zeroed. */
struct chunked {
	unsigned at;	  /* what the next byte must be: an enum of chunked.c */
	unsigned digits;  /* of the chunk size so far */
	uint64_t left;	  /* bytes of this chunk that have not come */
	size_t ext_bytes; /* of all chunks: an attacker has many */
	size_t trailer_bytes;
};

enum chunked_event {
	CHUNKED_MORE, /* all of `in` was taken */
	CHUNKED_DATA, /* `data` is a piece of the body, borrowed from `in`; call again */
	CHUNKED_DONE, /* the last byte of the message was taken; the rest of `in` is not ours */
	CHUNKED_BAD,  /* `fault` is set */
};
/* Takes bytes from the front of `in`. */
enum chunked_event
chunked_read(struct chunked *c, struct span *in, struct span *data, struct http_fault *fault);

#endif
