#include "gateway/posted.h"

#include <stdlib.h>

#include "sys/clock.h"

struct posted *
posted_begin(struct loop *loop, struct exchange *x, const struct http_head *head, const char *route,
    size_t max_bytes, void (*run)(struct posted *p, struct span body))
{
	struct posted *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		exchange_abort(x);
		return NULL;
	}
	p->magic = POSTED_MAGIC;
	p->call = (struct call){
		.loop = loop, .x = x, .head = head, .route = route, .began_us = clock_monotonic_us()
	};
	p->run = run;
	reply_begin(&p->call.reply, head, false);
	exchange_want_body(x, max_bytes);
	return p;
}

void
posted_on_body(struct posted *p, struct span body)
{
	p->run(p, body);
}

void
posted_on_gone(struct posted *p)
{
	if (p->work != NULL)
		p->on_gone(p->work);
	p->magic = 0;
	free(p);
}

void
posted_on_wire_error(struct posted *p, const struct failure *f)
{
	call_fail_with(&p->call, f);
}
