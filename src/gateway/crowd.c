#include "gateway/crowd.h"

#include <assert.h>
#include <malloc.h>

enum {
	CROWD_REQUESTS = 256, /* below that there is little to give back */
	GONE_MS = 1000,	      /* their connections go after them */
	KEEP_BYTES = 2 << 20, /* at the end of the heap, for the next ones */
};

static void
on_gone(uv_timer_t *timer)
{
	struct crowd *c = timer->data;

	/* While requests run they would wait for it; the last of them will come here again. */
	if (c->here > 0)
		return;
	c->most = 0;
	malloc_trim(KEEP_BYTES);
}

void
crowd_init(struct crowd *c, uv_loop_t *loop)
{
	*c = (struct crowd){ 0 };
	uv_timer_init(loop, &c->timer);
	c->timer.data = c;
}

void
crowd_close(struct crowd *c)
{
	uv_close((uv_handle_t *)&c->timer, NULL);
}

void
crowd_enter(struct crowd *c)
{
	if (++c->here > c->most)
		c->most = c->here;
}

void
crowd_leave(struct crowd *c)
{
	assert(c->here > 0);
	if (--c->here == 0 && c->most >= CROWD_REQUESTS && !uv_is_closing((uv_handle_t *)&c->timer))
		uv_timer_start(&c->timer, on_gone, GONE_MS, 0);
}
