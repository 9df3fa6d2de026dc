/*
 * The key holder's messages. A datagram that is accepted has one spelling: writing what was read
 * gives the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/limits.h"
#include "keyholder/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_equal(struct buf *b, struct span want)
{
	if (failed(buf_check(b)) || !span_eq(buf_span(b), want))
		abort();
	buf_clear(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	struct key_request request;
	struct key_answer answer;
	struct key_provisioned provisioned;
	struct key_facts facts;
	struct key_heartbeat heartbeat;
	struct buf b;

	buf_init(&b, size + 1);
	if (!failed(key_request_parse(&request, s))) {
		key_request_put(&b, &request);
		must_equal(&b, s);
	}
	if (!failed(key_answer_parse(&answer, s))) {
		key_answer_put(&b, &answer);
		must_equal(&b, s);
		if (!failed(key_facts_parse(&facts, answer.body))) {
			key_facts_put(&b, &facts);
			must_equal(&b, answer.body);
		}
	}
	if (!failed(key_provisioned_parse(&provisioned, s))) {
		key_provisioned_put(&b, &provisioned);
		must_equal(&b, s);
	}
	if (!failed(key_facts_parse(&facts, s))) {
		key_facts_put(&b, &facts);
		must_equal(&b, s);
	}
	if (!failed(key_heartbeat_parse(&heartbeat, s))) {
		key_heartbeat_put(&b, &heartbeat);
		must_equal(&b, s);
	}
	buf_fini(&b);
	return 0;
}
