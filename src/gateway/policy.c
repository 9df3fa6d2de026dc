#include "gateway/policy.h"

#include "codec/json.h"

enum { POLICY_MAX_NODES = 4096 };

static struct err
check(const struct json *doc)
{
	static const char *const known[] = { "schema", "payment", "price", "provisioning",
		"provisioning_in_debug_mode", "limits" };
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

static struct err
read_provisioning(struct policy_provisioning *p, const struct json *doc)
{
	uint32_t forms = json_get(doc, 0, "provisioning");
	uint32_t debug = json_get(doc, 0, "provisioning_in_debug_mode");

	*p = (struct policy_provisioning){ .plain = forms == JSON_NONE,
		.sealed = forms == JSON_NONE };
	if (forms != JSON_NONE && json_type(doc, forms) != JSON_ARRAY)
		return FAIL(REFUSED, "policy: provisioning is no list");
	for (uint32_t c = json_first(doc, forms); c != JSON_NONE; c = json_after(doc, forms, c)) {
		if (json_is(doc, c, "plain"))
			p->plain = true;
		else if (json_is(doc, c, "sealed"))
			p->sealed = true;
		else
			return FAIL(REFUSED, "policy: a form of provisioning that is none");
	}
	if (debug != JSON_NONE && json_type(doc, debug) != JSON_TRUE &&
	    json_type(doc, debug) != JSON_FALSE)
		return FAIL(REFUSED, "policy: provisioning_in_debug_mode is not true or false");
	p->debug = debug != JSON_NONE && json_type(doc, debug) == JSON_TRUE;
	return OK;
}

struct err
policy_provisioning_read(struct policy_provisioning *p, struct span text)
{
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, text, POLICY_MAX_NODES));
	e = read_provisioning(p, &doc);
	json_fini(&doc);
	return e;
}
