/*
 * A provisioning's body, and the settings that a new worker is handed: what is taken comes back, byte
 * for byte, through the bytes that the key holder keeps.
 */
#include <stdlib.h>

#include "core/limits.h"
#include "gateway/gateway.h"
#include "gateway/keys_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
there_and_back(const struct settings *s)
{
	struct settings *back;
	struct buf b, again;

	buf_init(&b, PROVISION_MAX_BYTES);
	buf_init(&again, PROVISION_MAX_BYTES);
	settings_encode(&b, s);
	if (failed(buf_check(&b)) || failed(settings_parse(&back, buf_span(&b))))
		abort();
	settings_encode(&again, back);
	if (!span_eq(buf_span(&again), buf_span(&b)))
		abort();
	settings_free(back);
	buf_fini(&again);
	buf_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct options opt = { .pay_to = { { 1 } } };
	static const struct shop_policy policy = { .facilitator = { SPAN_LIT("https://a") },
		.n_facilitators = 1 };
	const struct keys_rules rules = { .enclave = size % 2 == 1, .policy = &policy };
	struct span in = span_of(data, size);
	struct refusal no = { 0 };
	struct settings *s;

	if (size > PROVISION_MAX_BYTES)
		return 0;
	if (failed(settings_default(&s, &opt)))
		abort();
	if (keys_read(s, in, &rules, &no))
		there_and_back(s);
	else if (no.status != 400 || no.message[0] == '\0')
		abort();
	settings_free(s);
	if (!failed(settings_parse(&s, in))) {
		there_and_back(s);
		settings_free(s);
	}
	return 0;
}
