#include "load_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "receipt/anchor.h"
#include "receipt/judge.h"

static struct {
	const struct options *opt;
	struct receipt_anchor anchor;
	struct buf *body;
	size_t n;
} run;

void
judge_init(const struct options *opt)
{
	struct buf jwks;

	run.opt = opt;
	if (opt->judge == NULL)
		return;
	options_read(&jwks, opt->judge);
	if (failed(receipt_anchor_read(&run.anchor, buf_span(&jwks), SPAN_NONE)))
		die(EXIT_CANNOT, "the key set cannot be read");
	buf_fini(&jwks);
	if ((run.body = calloc(opt->requests, sizeof(*run.body))) == NULL)
		die(EXIT_CANNOT, "memory");
}

void
judge_later(struct buf *body)
{
	run.body[run.n++] = *body;
	buf_init(body, 0);
}

static struct err
judge(struct span response, enum receipt_outcome *outcome)
{
	struct span request = buf_span(&run.opt->request), content, jws;
	struct receipt_case held = { .response = response };
	struct receipt_verdict verdict;
	bool done;

	held.request = span_cut(request, run.opt->body_at, request.n);
	TRY(receipt_split_stream(response, &content, &jws, &done));
	TRY(receipt_judge(&verdict, &run.anchor, jws, &held));
	*outcome = verdict.outcome;
	return OK;
}

void
judge_all(struct judged *j)
{
	uint64_t began_ns = uv_hrtime();

	*j = (struct judged){ 0 };
	for (size_t i = 0; i < run.n; i++) {
		enum receipt_outcome outcome;
		struct err e = buf_check(&run.body[i]);

		if (!failed(e))
			e = judge(buf_span(&run.body[i]), &outcome);
		if (!failed(e))
			j->outcome[outcome]++;
		else if (j->refused++ == 0)
			fprintf(stderr, "load: answer %zu: %s\n", i, e.what);
	}
	j->ns = uv_hrtime() - began_ns;
}

void
judge_fini(void)
{
	for (size_t i = 0; i < run.n; i++)
		buf_fini(&run.body[i]);
	free(run.body);
	run.body = NULL;
	run.n = 0;
	receipt_anchor_fini(&run.anchor);
}
