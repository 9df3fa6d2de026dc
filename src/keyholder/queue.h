/*
 * queue.h - jobs that wait for a signing thread: first in, first out, at most SIGN_QUEUE_MAX.
 */
#ifndef KEYHOLDER_QUEUE_H
#define KEYHOLDER_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "keyholder/channel.h"

struct job {
	struct job *next;
	struct channel *channel; /* where the answer goes; a reference */
	bool answered;		 /* `message` is the answer, which found no room */
	struct buf message;	 /* else the request's datagram */
};

struct job_queue {
	pthread_mutex_t mutex;
	pthread_cond_t filled;
	struct job *head, **tail;
	size_t n, max;
	bool stopped;
};

void job_queue_init(struct job_queue *q, size_t max);
/* Frees the jobs that still wait; no thread may use the queue any more. */
void job_queue_fini(struct job_queue *q);
/* Takes the job; FALSE (and the job stays the caller's) when the queue is full. */
bool job_queue_put(struct job_queue *q, struct job *job);
/* Waits for a job, now the caller's; NULL once the queue was stopped. */
struct job *job_queue_take(struct job_queue *q);
/* Wakes every thread that waits; jobs that are left stay undone. */
void job_queue_stop(struct job_queue *q);

/* A job for c with a copy of `message`; NULL without memory. */
struct job *job_new(struct channel *c, struct span message, bool answered);
void job_free(struct job *job);

#endif
