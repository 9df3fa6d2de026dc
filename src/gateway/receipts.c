#include "gateway/receipts.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/wipe.h"

enum { BUCKETS = 4096 };

/* A name hangs in its bucket; two of them lead to the same receipt. */
struct name {
	struct name *next;
	struct entry *entry;
	struct span text; /* .p NULL: not in any bucket */
};

struct entry {
	struct entry *newer;
	struct name id, request_id;
	struct span jws;
	size_t bytes;
	uint8_t data[];
};

struct receipts {
	pthread_mutex_t lock;
	struct entry *oldest, *newest;
	struct name *bucket[BUCKETS];
	size_t bytes, max_bytes;
};

static struct name **
bucket_of(struct receipts *r, struct span name)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ name.p[i]) * 1099511628211u;
	return &r->bucket[h % BUCKETS];
}

struct err
receipts_new(struct receipts **out, size_t max_bytes)
{
	struct receipts *r = calloc(1, sizeof(*r));

	*out = NULL;
	if (r == NULL)
		return FAIL(NOMEM, "receipts: table");
	if (pthread_mutex_init(&r->lock, NULL) != 0) {
		free(r);
		return FAIL(SYSTEM, "receipts: mutex");
	}
	r->max_bytes = max_bytes;
	*out = r;
	return OK;
}

static struct name *
find(struct receipts *r, struct span text)
{
	struct name *n = *bucket_of(r, text);

	while (n != NULL && !span_eq(n->text, text))
		n = n->next;
	return n;
}

static void
hang(struct receipts *r, struct name *n, struct entry *e, struct span text)
{
	struct name **bucket = bucket_of(r, text);

	*n = (struct name){ .next = *bucket, .entry = e, .text = text };
	*bucket = n;
}

static void
unhang(struct receipts *r, struct name *n)
{
	struct name **at = bucket_of(r, n->text);

	if (n->text.p == NULL)
		return;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
}

static void
drop_oldest(struct receipts *r)
{
	struct entry *e = r->oldest;

	unhang(r, &e->id);
	unhang(r, &e->request_id);
	r->oldest = e->newer;
	if (r->oldest == NULL)
		r->newest = NULL;
	r->bytes -= e->bytes;
	wipe(e, e->bytes);
	free(e);
}

void
receipts_free(struct receipts *r)
{
	if (r == NULL)
		return;
	while (r->oldest != NULL)
		drop_oldest(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static struct span
keep(struct entry *e, size_t *at, struct span s)
{
	struct span kept = span_of(e->data + *at, s.n);

	if (s.p == NULL)
		return SPAN_NONE;
	if (s.n > 0)
		memcpy(e->data + *at, s.p, s.n);
	*at += s.n;
	return kept;
}

void
receipts_put(struct receipts *r, struct span id, struct span request_id, struct span jws)
{
	size_t bytes = sizeof(struct entry) + id.n + request_id.n + jws.n, at = 0;
	struct entry *e;

	if (bytes > r->max_bytes || (e = malloc(bytes)) == NULL)
		return;
	*e = (struct entry){ .bytes = bytes };
	id = keep(e, &at, id);
	request_id = keep(e, &at, request_id);
	e->jws = keep(e, &at, jws);

	pthread_mutex_lock(&r->lock);
	while (r->bytes + bytes > r->max_bytes)
		drop_oldest(r);
	r->bytes += bytes;
	if (r->newest != NULL)
		r->newest->newer = e;
	else
		r->oldest = e;
	r->newest = e;
	hang(r, &e->id, e, id);
	if (request_id.p != NULL && find(r, request_id) == NULL)
		hang(r, &e->request_id, e, request_id);
	pthread_mutex_unlock(&r->lock);
}

bool
receipts_get(struct receipts *r, struct span id, struct buf *b)
{
	struct name *n;

	pthread_mutex_lock(&r->lock);
	if ((n = find(r, id)) != NULL)
		buf_put(b, n->entry->jws);
	pthread_mutex_unlock(&r->lock);
	return n != NULL;
}
