#include "keyholder/queue.h"

#include <stdlib.h>

#include "core/limits.h"

void
job_queue_init(struct job_queue *q, size_t max)
{
	*q = (struct job_queue){ .max = max };
	pthread_mutex_init(&q->mutex, NULL);
	pthread_cond_init(&q->filled, NULL);
	q->tail = &q->head;
}

void
job_queue_fini(struct job_queue *q)
{
	struct job *job;

	while ((job = q->head) != NULL) {
		q->head = job->next;
		job_free(job);
	}
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->mutex);
}

bool
job_queue_put(struct job_queue *q, struct job *job)
{
	bool room;

	pthread_mutex_lock(&q->mutex);
	if ((room = q->n < q->max)) {
		job->next = NULL;
		*q->tail = job;
		q->tail = &job->next;
		q->n++;
		pthread_cond_signal(&q->filled);
	}
	pthread_mutex_unlock(&q->mutex);
	return room;
}

struct job *
job_queue_take(struct job_queue *q)
{
	struct job *job = NULL;

	pthread_mutex_lock(&q->mutex);
	while (q->head == NULL && !q->stopped)
		pthread_cond_wait(&q->filled, &q->mutex);
	if (!q->stopped) {
		job = q->head;
		if ((q->head = job->next) == NULL)
			q->tail = &q->head;
		q->n--;
	}
	pthread_mutex_unlock(&q->mutex);
	return job;
}

void
job_queue_stop(struct job_queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->stopped = true;
	pthread_cond_broadcast(&q->filled);
	pthread_mutex_unlock(&q->mutex);
}

struct job *
job_new(struct channel *c, struct span message, bool answered)
{
	struct job *job;

	if ((job = calloc(1, sizeof(*job))) == NULL)
		return NULL;
	job->channel = channel_ref(c);
	job->answered = answered;
	buf_init(&job->message, KEY_MESSAGE_MAX_BYTES);
	buf_put(&job->message, message);
	if (failed(buf_check(&job->message))) {
		job_free(job);
		return NULL;
	}
	return job;
}

void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	channel_unref(job->channel);
	buf_fini(&job->message);
	free(job);
}
