#include "attest/pcrs.h"

#include "codec/hex.h"
#include "codec/json.h"
#include "crypto/ct.h"

enum { FILE_MAX_NODES = 1024, PCR0_BIT = 1, PCR1_PCR2_BITS = 6 };

struct err
attest_pcrs_add(struct attest_pcrs *e, uint64_t index, struct span hex)
{
	uint8_t value[PCR_LEN];

	if (index >= PCR_COUNT)
		return FAIL(MALFORMED, "interfaces.md V6: PCRs are 0 to 31");
	if (failed(hex_parse(value, sizeof(value), hex)))
		return FAIL(MALFORMED, "interfaces.md V6: a PCR is 96 hex digits");
	if ((e->named >> index & 1) != 0 &&
	    !ct_equal(span_of(e->value[index], PCR_LEN), span_of(value, PCR_LEN)))
		return FAIL(REFUSED, "interfaces.md V6: two values are expected of one PCR");
	memcpy(e->value[index], value, PCR_LEN);
	e->named |= (uint32_t)1 << index;
	return OK;
}

/* One member: "PCRn", or the name of the hash, which nitro-cli prints as Rust shows it. */
static struct err
read_member(struct attest_pcrs *e, const struct json *doc, uint32_t name)
{
	static const struct span prefix = SPAN_LIT("PCR"), sha384 = SPAN_LIT("Sha384");
	struct span text = json_inner(doc, name), value;
	uint64_t index;

	if (json_type(doc, name + 1) != JSON_STRING)
		return FAIL(MALFORMED, "interfaces.md V6: a measurement is not a string");
	value = json_inner(doc, name + 1);
	if (json_is(doc, name, "HashAlgorithm"))
		return span_starts(value, sha384) || span_eq(value, SPAN_LIT("SHA384"))
		    ? OK
		    : FAIL(REFUSED, "interfaces.md V6: measurements by another hash than SHA384");
	if (!span_starts(text, prefix) ||
	    !span_u64(span_cut(text, prefix.n, text.n), PCR_COUNT - 1, &index))
		return FAIL(MALFORMED, "interfaces.md V6: a member that is no PCR");
	return attest_pcrs_add(e, index, value);
}

static struct err
read_object(struct attest_pcrs *e, const struct json *doc)
{
	uint32_t at = json_get(doc, 0, "Measurements");

	if (at == JSON_NONE)
		at = 0;
	if (json_type(doc, at) != JSON_OBJECT)
		return FAIL(MALFORMED, "interfaces.md V6: measurements are an object");
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c))
		TRY(read_member(e, doc, c));
	return e->named != 0 ? OK : FAIL(MALFORMED, "interfaces.md V6: no PCR in the file");
}

struct err
attest_pcrs_read(struct attest_pcrs *e, struct span json)
{
	struct json doc;
	struct err err;

	if (json.n > PCRS_FILE_MAX_BYTES)
		return FAIL(TOO_LARGE, "measurements: above 64 KiB");
	TRY(json_parse(&doc, json, FILE_MAX_NODES));
	if (!failed(err = json_no_duplicates(&doc)))
		err = read_object(e, &doc);
	json_fini(&doc);
	return err;
}

bool
attest_pcrs_suffice(const struct attest_pcrs *e)
{
	return (e->named & PCR0_BIT) != 0 || (e->named & PCR1_PCR2_BITS) == PCR1_PCR2_BITS;
}

bool
attest_pcrs_match(const struct attest_pcrs *e, const struct attest_document *d)
{
	for (unsigned i = 0; i < PCR_COUNT; i++)
		if ((e->named >> i & 1) != 0 && !ct_equal(d->pcr[i], span_of(e->value[i], PCR_LEN)))
			return false;
	return e->named != 0;
}
