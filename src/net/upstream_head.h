/*
 * upstream_head.h - the head of an upstream's answer, line by line as libcurl tells it, and its
 * fields. Knows no socket; used by egress.c only.
 */
#ifndef NET_UPSTREAM_HEAD_H
#define NET_UPSTREAM_HEAD_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/span.h"

struct upstream_head {
	struct buf lines; /* fields of the latest head, each with a newline; HEAD_MAX_BYTES */
	bool open;	  /* between a status line and its empty line */
};

enum upstream_head_next {
	HEAD_MORE,
	HEAD_WHOLE,	/* that was the empty line; an interim head may be followed by another */
	HEAD_TOO_LARGE, /* more than HEAD_MAX_BYTES of fields */
};

void upstream_head_init(struct upstream_head *h);
void upstream_head_fini(struct upstream_head *h);
/* A status line starts over: what an interim head said is forgotten. */
enum upstream_head_next upstream_head_line(struct upstream_head *h, struct span line);
/*
 * The trimmed value of the field (name compared without case); .p is NULL when it is absent or
 * there more than once. Borrowed until the next line.
 */
struct span upstream_head_field(const struct upstream_head *h, const char *name);

#endif
