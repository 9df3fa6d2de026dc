#include "pricing/quote.h"

#include "codec/json.h"

enum { ANSWER_MAX_NODES = 256 };

static struct err
answer_read(struct token_price *p, const struct json *doc, struct span contract)
{
	uint32_t entry = JSON_NONE, usd;

	if (json_type(doc, 0) != JSON_OBJECT)
		return FAIL(MALFORMED, "price: not an object");
	TRY(json_no_duplicates(doc));
	for (uint32_t c = json_first(doc, 0); c != JSON_NONE; c = json_after(doc, 0, c)) {
		if (!span_eq_nocase(json_inner(doc, c), contract))
			continue;
		if (entry != JSON_NONE) /* in two letter cases */
			return FAIL(MALFORMED, "price: the token twice");
		entry = c + 1;
	}
	usd = json_get(doc, entry, "usd");
	if (usd == JSON_NONE ||
	    (json_type(doc, usd) != JSON_INT && json_type(doc, usd) != JSON_FLOAT))
		return FAIL(MALFORMED, "price: no price of the token");
	return token_price_parse(p, json_raw(doc, usd));
}

struct err
quote_parse(struct token_price *p, struct span answer, struct span contract)
{
	struct json doc;
	struct err e;

	TRY(json_parse(&doc, answer, ANSWER_MAX_NODES));
	e = answer_read(p, &doc, contract);
	json_fini(&doc);
	return e;
}
