#include "gateway/shop_policy.h"

#include <string.h>

#include "codec/json.h"
#include "core/limits.h"

enum { POLICY_MAX_NODES = 4096, DAY_S = 86400 };

/* A whole number of the object at `at`; what it says already when the policy does not. */
static struct err
read_number(const struct json *doc, uint32_t at, const char *name, uint64_t max, uint32_t *v)
{
	uint32_t member = json_get(doc, at, name);
	uint64_t read;

	if (member == JSON_NONE)
		return OK;
	if (!json_u64(doc, member, max, &read) || read == 0)
		return FAIL(REFUSED, "policy: a number of price or limits is out of range");
	*v = (uint32_t)read;
	return OK;
}

static bool
is_plain(const struct json *doc, uint32_t at, size_t max)
{
	return at != JSON_NONE && json_type(doc, at) == JSON_STRING && doc->node[at].count == 0 &&
	    json_inner(doc, at).n <= max;
}

static struct err
read_price(struct shop_policy *p, const struct json *doc, uint32_t at)
{
	uint32_t url = json_get(doc, at, "url");

	if (url != JSON_NONE) {
		if (!is_plain(doc, url, SHOP_URL_MAX))
			return FAIL(REFUSED, "policy: price.url is no plain string");
		memcpy(p->price_url, json_inner(doc, url).p, json_inner(doc, url).n);
	}
	TRY(read_number(doc, at, "refresh_s", DAY_S, &p->refresh_s));
	return read_number(doc, at, "max_age_s", DAY_S, &p->max_age_s);
}

static struct err
read_facilitators(struct shop_policy *p, const struct json *doc, uint32_t at)
{
	if (at == JSON_NONE)
		return OK;
	if (json_type(doc, at) != JSON_ARRAY)
		return FAIL(REFUSED, "policy: payment.facilitators is no array");
	for (uint32_t c = json_first(doc, at); c != JSON_NONE; c = json_after(doc, at, c)) {
		if (p->n_facilitators == SHOP_FACILITATORS_MAX)
			return FAIL(REFUSED, "policy: more than 8 payment.facilitators");
		if (!is_plain(doc, c, SHOP_URL_MAX) ||
		    !span_starts(json_inner(doc, c), SPAN_LIT("https://")) ||
		    span_ends(json_inner(doc, c), SPAN_LIT("/")))
			return FAIL(REFUSED,
			    "policy: payment.facilitators has what is no https URL, or ends in a "
			    "slash");
		p->facilitator[p->n_facilitators++] = json_inner(doc, c);
	}
	return OK;
}

/* One field as it is sent. Printable ASCII alone: a line break would be another field. */
static bool
put_field(char line[static SHOP_FIELD_BYTES], const struct json *doc, uint32_t name)
{
	struct span n = json_inner(doc, name), v = json_inner(doc, name + 1);

	if (!is_plain(doc, name, SHOP_FIELD_BYTES) || !is_plain(doc, name + 1, SHOP_FIELD_BYTES) ||
	    n.n == 0 || n.n + v.n + 3 > SHOP_FIELD_BYTES ||
	    span_find(n, SPAN_LIT(":"), 0) != SIZE_MAX ||
	    span_find(n, SPAN_LIT(" "), 0) != SIZE_MAX)
		return false;
	memcpy(line, n.p, n.n);
	memcpy(line + n.n, ": ", 2);
	if (v.n > 0)
		memcpy(line + n.n + 2, v.p, v.n);
	for (size_t i = 0; line[i] != '\0'; i++)
		if (line[i] < 0x20 || line[i] >= 0x7f)
			return false;
	return true;
}

static struct err
read_fields(struct shop_policy *p, const struct json *doc, uint32_t at)
{
	static const char *const endpoint[SHOP_ENDPOINTS] = { "supported", "verify", "settle",
		"settle_data" };

	for (size_t i = 0; i < SHOP_ENDPOINTS && at != JSON_NONE; i++) {
		uint32_t fields = json_get(doc, at, endpoint[i]);
		size_t n = 0;

		if (fields == JSON_NONE)
			continue;
		if (json_type(doc, fields) != JSON_OBJECT)
			return FAIL(REFUSED, "policy: payment.facilitator_headers is no object");
		for (uint32_t c = json_first(doc, fields); c != JSON_NONE;
		     c = json_after(doc, fields, c))
			if (n == SHOP_FIELDS_MAX || !put_field(p->field[i][n++], doc, c))
				return FAIL(
				    REFUSED, "policy: payment.facilitator_headers: no such field");
	}
	return OK;
}

static struct err
read_all(struct shop_policy *p, const struct json *doc)
{
	uint32_t payment = json_get(doc, 0, "payment"), limits = json_get(doc, 0, "limits");

	if (payment == JSON_NONE)
		return FAIL(REFUSED, "policy: payment is absent");
	TRY(x402_terms_read(&p->terms, doc, payment));
	TRY(read_facilitators(p, doc, json_get(doc, payment, "facilitators")));
	TRY(read_fields(p, doc, json_get(doc, payment, "facilitator_headers")));
	TRY(read_price(p, doc, json_get(doc, 0, "price")));
	TRY(read_number(doc, limits, "open_sessions", LEDGER_SESSIONS_MAX, &p->open_sessions));
	TRY(read_number(doc, limits, "open_verifies", 10000, &p->open_verifies));
	return read_number(doc, limits, "session_idle_s", DAY_S, &p->idle_s);
}

struct err
shop_policy_read(struct shop_policy *p, struct span policy)
{
	struct json doc;
	struct err e;

	*p = (struct shop_policy){ .refresh_s = 300,
		.max_age_s = 14400,
		.open_sessions = 1000,
		.open_verifies = 64,
		.idle_s = SESSION_IDLE_S };
	TRY(json_parse(&doc, policy, POLICY_MAX_NODES));
	e = read_all(p, &doc);
	json_fini(&doc);
	return e;
}

bool
shop_policy_allows(const struct shop_policy *p, struct span facilitator_url)
{
	for (size_t i = 0; i < p->n_facilitators; i++)
		if (span_eq(p->facilitator[i], facilitator_url))
			return true;
	return false;
}
