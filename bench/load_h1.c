#include "load_h1.h"

#include <llhttp.h>
#include <stdlib.h>

#include "load_answer.h"
#include "load_due.h"

struct h1 {
	struct answer answer;
	bool busy;  /* a request was sent, and its answer is not whole */
	bool whole; /* the answer's last byte was parsed */
	bool keep;  /* and the connection takes another request */
	llhttp_t parser;
};

static struct {
	const struct options *opt;
	llhttp_settings_t parse;
} run;

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct h1 *h = p->data;

	answer_body(&h->answer, span_of(at, n));
	return 0;
}

static int
on_complete(llhttp_t *p)
{
	struct h1 *h = p->data;

	h->whole = true;
	h->keep = llhttp_should_keep_alive(p) == 1; /* afterwards the parser has forgotten */
	answer_whole(&h->answer, (unsigned)p->status_code);
	return 0;
}

static void
h1_opened(struct link *l)
{
	if ((l->wire = calloc(1, sizeof(struct h1))) == NULL)
		die(EXIT_CANNOT, "memory");
}

static void
h1_next(struct link *l)
{
	struct h1 *h = l->wire;
	uint64_t began_ns;

	if (h->busy || !due_take(&began_ns))
		return;
	answer_begin(&h->answer, began_ns);
	h->busy = true;
	h->whole = false;
	llhttp_init(&h->parser, HTTP_RESPONSE, &run.parse);
	h->parser.data = h;
	buf_put(&l->out, buf_span(&run.opt->request));
}

static bool
h1_bytes(struct link *l, struct span in)
{
	struct h1 *h = l->wire;

	if (!h->busy)
		return false;
	answer_came(&h->answer);
	if (llhttp_execute(&h->parser, (const char *)in.p, in.n) != HPE_OK)
		return false;
	if (!h->whole)
		return true;
	h->busy = false;
	if (!h->keep)
		return false;
	h1_next(l);
	return true;
}

static void
h1_over(struct link *l, bool in_order)
{
	struct h1 *h = l->wire;

	/* Some bodies end with the connection. */
	if (h->busy && in_order)
		(void)llhttp_finish(&h->parser);
	if (h->busy && !h->whole)
		answer_broken(&h->answer);
	free(h);
	l->wire = NULL;
}

const struct link_ops *
h1_ops(const struct options *opt)
{
	static const struct link_ops ops = { h1_opened, h1_next, h1_bytes, h1_over };

	run.opt = opt;
	llhttp_settings_init(&run.parse);
	run.parse.on_body = on_body;
	run.parse.on_message_complete = on_complete;
	return &ops;
}
