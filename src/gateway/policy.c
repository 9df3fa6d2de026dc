#include "gateway/policy.h"

#include "codec/json.h"

enum { POLICY_MAX_NODES = 4096 };

static struct err
check(const struct json *doc)
{
	static const char *const known[] = { "schema", "payment", "price", "provisioning",
		"limits" };
	uint64_t schema;

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "policy: not an object");
	TRY(json_no_duplicates(doc));
	if (!json_u64(doc, json_get(doc, 0, "schema"), 1, &schema) || schema != 1)
		return FAIL(REFUSED, "policy: schema is not 1");
	for (uint32_t c = json_first(doc, 0); c != JSON_NONE; c = json_after(doc, 0, c)) {
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && !json_is(doc, c, known[i]))
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return FAIL(REFUSED, "policy: unknown member");
	}
	return OK;
}

struct err
policy_check(struct span text)
{
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, text, POLICY_MAX_NODES));
	e = check(&doc);
	json_fini(&doc);
	return e;
}
