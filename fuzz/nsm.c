/*
 * The security module's messages. Whatever was accepted is written and read again to the same
 * values; writing is then stable.
 */
#include <stdint.h>
#include <stdlib.h>

#include "enclave/item.h"
#include "enclave/nsm_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
answer_again(const struct nsm_answer *a, size_t room)
{
	struct nsm_answer back;
	struct buf b;

	buf_init(&b, room);
	nsm_answer_put(&b, a);
	if (failed(buf_check(&b)) || failed(nsm_answer_parse(&back, buf_span(&b))) ||
	    back.type != a->type || back.code != a->code || back.lock != a->lock ||
	    !span_eq(back.data, a->data) || back.module.locked_pcrs != a->module.locked_pcrs)
		abort();
	buf_fini(&b);
}

static void
request_again(const struct nsm_request *r, size_t room)
{
	struct nsm_request back;
	struct buf b;

	buf_init(&b, room);
	nsm_request_put(&b, r);
	if (failed(buf_check(&b)) || failed(nsm_request_parse(&back, buf_span(&b))) ||
	    back.type != r->type || back.index != r->index || back.range != r->range ||
	    !span_eq(back.data, r->data) || !span_eq(back.nonce, r->nonce))
		abort();
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size), rest = s;
	struct nsm_request r;
	struct nsm_answer a;
	uint64_t unix_ms;

	if (!failed(nsm_request_parse(&r, s)))
		request_again(&r, size + 512);
	if (!failed(nsm_answer_parse(&a, s)))
		answer_again(&a, size + 512);
	(void)!failed(nsm_document_time(s, &unix_ms));
	while (rest.n > 0 && !failed(item_skip(&rest)))
		;
	return 0;
}
