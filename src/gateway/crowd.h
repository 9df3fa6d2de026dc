/*
 * crowd.h - memory that a crowd of requests needed goes back to the kernel when it has gone.
 *
 * What 2,000 streams and their connections free lies in pages between what stays, ten times as much
 * as is then in use, and glibc returns such pages only when it is told to.
 */
#ifndef GATEWAY_CROWD_H
#define GATEWAY_CROWD_H

#include <stddef.h>
#include <uv.h>

/* One for each loop; used on its thread. */
struct crowd {
	uv_timer_t timer;
	size_t here, most; /* requests under way; the most at once since memory went back */
};

void crowd_init(struct crowd *c, uv_loop_t *loop);
/* Closes the timer; the rest stays valid. */
void crowd_close(struct crowd *c);
/* One more request, also when its client leaves before it; and one less. */
void crowd_enter(struct crowd *c);
void crowd_leave(struct crowd *c);

#endif
