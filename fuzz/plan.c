/*
 * What PID 1 follows: what is accepted has its bounds, and strings that lie in the text. Written out
 * again and read again it is the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/buf.h"
#include "init/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
put_line(struct buf *b, const char *word, const char *value)
{
	buf_put_str(b, word);
	buf_put_byte(b, ' ');
	buf_put_str(b, value);
	buf_put_byte(b, '\n');
}

static void
put_number(struct buf *b, const char *word, uint64_t v, const char *rest)
{
	buf_put_str(b, word);
	buf_put_byte(b, ' ');
	buf_put_u64(b, v);
	buf_put_str(b, rest);
	buf_put_byte(b, '\n');
}

static void
put_plan(struct buf *b, const struct plan *p)
{
	put_line(b, "cmdline", p->cmdline);
	put_number(
	    b, "heartbeat", p->heartbeat_ms, p->heartbeat_required ? " poweroff" : " continue");
	put_number(b, "files", p->files, "");
	for (size_t i = 0; i < p->n; i++) {
		const struct plan_process *one = &p->process[i];

		put_line(b, "process", one->name);
		if (!one->vital)
			put_number(b, "restarts", one->restarts, "");
		for (size_t k = 0; k < one->argc; k++)
			put_line(b, "arg", one->argv[k]);
		for (size_t k = 0; k < one->envc; k++)
			put_line(b, "env", one->envp[k]);
		if (one->argv[one->argc] != NULL || one->envp[one->envc] != NULL || one->argc == 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[PLAN_MAX_BYTES];
	struct plan p, again;
	struct buf one, two;

	if (size > sizeof(text))
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	if (failed(plan_parse(&p, text, size)))
		return 0;
	buf_init(&one, 2 * PLAN_MAX_BYTES);
	buf_init(&two, 2 * PLAN_MAX_BYTES);
	put_plan(&one, &p);
	if (one.over || one.n > PLAN_MAX_BYTES)
		abort();
	memcpy(text, one.p, one.n);
	if (failed(plan_parse(&again, text, one.n)))
		abort();
	put_plan(&two, &again);
	if (!span_eq(buf_span(&one), buf_span(&two)) || !plan_fits(&again, span_str(again.cmdline)))
		abort();
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
