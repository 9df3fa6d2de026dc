/*
 * members.h - the inside of a JSON object that is written member by member. Pure.
 */
#ifndef PROVIDER_MEMBERS_H
#define PROVIDER_MEMBERS_H

#include <stdbool.h>

#include "core/buf.h"
#include "core/span.h"

/* Members written one after the other, with commas between them. */
struct members {
	struct buf *b;
	bool any;
};

static inline void
put_raw(struct members *m, struct span name, struct span value)
{
	if (m->any)
		buf_put_byte(m->b, ',');
	m->any = true;
	buf_put(m->b, name);
	buf_put_byte(m->b, ':');
	buf_put(m->b, value);
}

#endif
