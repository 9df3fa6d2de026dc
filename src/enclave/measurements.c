#include "enclave/measurements.h"

#include "codec/hex.h"
#include "codec/json.h"

enum { MAX_NODES = 256 };

/* The n of "PCRn", 0 to 15; MEASUREMENTS_MAX when it is no such name. */
static unsigned
index_of(const struct json *doc, uint32_t name)
{
	char want[8];

	for (unsigned i = 0; i < MEASUREMENTS_MAX; i++) {
		snprintf(want, sizeof(want), "PCR%u", i);
		if (json_is(doc, name, want))
			return i;
	}
	return MEASUREMENTS_MAX;
}

static struct err
take(struct measurements *m, const struct json *doc)
{
	uint32_t at = json_get(doc, 0, "Measurements");
	unsigned seen = 0, i;

	if (at == JSON_NONE)
		at = 0;
	if (json_type(doc, at) != JSON_OBJECT)
		return FAIL(MALFORMED, "measurements: not an object");
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		if (json_is(doc, c, "HashAlgorithm"))
			continue;
		if ((i = index_of(doc, c)) == MEASUREMENTS_MAX)
			return FAIL(MALFORMED, "measurements: a member that is no PCR");
		if (json_type(doc, c + 1) != JSON_STRING ||
		    failed(hex_parse(m->pcr[i], MEASUREMENT_LEN, json_inner(doc, c + 1))))
			return FAIL(MALFORMED, "measurements: a PCR is 96 hex digits");
		seen |= 1u << i;
	}
	return (seen & 7) == 7 ? OK
			       : FAIL(MALFORMED, "measurements: PCR0, PCR1 or PCR2 is missing");
}

struct err
measurements_parse(struct measurements *m, struct span text)
{
	struct json doc;
	struct err e;

	*m = (struct measurements){ 0 };
	TRY(json_parse(&doc, text, MAX_NODES));
	if (!failed(e = json_no_duplicates(&doc)))
		e = take(m, &doc);
	json_fini(&doc);
	return e;
}
