#include "gateway/deadlines.h"

#include "codec/json.h"
#include "core/limits.h"

enum { DEADLINE_MAX_MS = 3600000, POLICY_MAX_NODES = 4096 };

static struct err
read_one(const struct json *doc, uint32_t limits, const char *name, uint32_t *ms)
{
	uint32_t at = json_get(doc, limits, name);
	uint64_t v;

	if (at == JSON_NONE)
		return OK;
	if (!json_u64(doc, at, DEADLINE_MAX_MS, &v) || v == 0)
		return FAIL(REFUSED, "policy: a deadline is not 1 to 3600000 milliseconds");
	*ms = (uint32_t)v;
	return OK;
}

static struct err
read_all(struct deadlines *d, const struct json *doc)
{
	uint32_t limits = json_get(doc, 0, "limits");

#define DEADLINE_READ(name, ms) TRY(read_one(doc, limits, "upstream_" #name, &d->name));
	DEADLINES(DEADLINE_READ)
#undef DEADLINE_READ
	return OK;
}

struct err
deadlines_read(struct deadlines *d, struct span policy)
{
	struct json doc;
	struct err e;

#define DEADLINE_DEFAULT(name, ms) d->name = (ms);
	DEADLINES(DEADLINE_DEFAULT)
#undef DEADLINE_DEFAULT
	TRY(json_parse(&doc, policy, POLICY_MAX_NODES));
	e = read_all(d, &doc);
	json_fini(&doc);
	return e;
}
