#include "gateway/keys_body.h"

#include <string.h>

#include "codec/json.h"
#include "core/arena.h"
#include "core/limits.h"
#include "gateway/shop_policy.h"

enum { MAX_NODES = 256, ARENA_BYTES = 64 << 10 };

struct reading {
	struct settings *s;
	const struct keys_rules *rules;
	struct refusal *no;
	const struct json *doc;
	struct arena arena;
};

struct member {
	const char *name;
	bool (*take)(struct reading *r, const struct member *m, uint32_t at);
	enum provider_id id;	 /* of a key */
	const char *answered_as; /* the provider's name in the answer */
};

static bool
wrong(struct reading *r, const struct member *m, const char *want)
{
	return refuse(r->no, "invalid_value", m->name, "%s must be %s.", m->name, want);
}

static bool
take_text(struct reading *r, const struct member *m, uint32_t at, struct span *text)
{
	if (json_type(r->doc, at) != JSON_STRING ||
	    failed(json_string(r->doc, at, &r->arena, text)))
		return wrong(r, m, "a string");
	return true;
}

static bool
take_key(struct reading *r, const struct member *m, uint32_t at)
{
	struct span key;

	if (!take_text(r, m, at, &key))
		return false;
	if (!settings_key_fits(key))
		return wrong(r, m, "1 to 1024 printable ASCII characters without spaces");
	settings_put_key(r->s, m->id, key);
	return true;
}

static bool
take_address(struct reading *r, const struct member *m, uint32_t at, struct address *a,
    char place[static ADDRESS_LEN + 1])
{
	static const struct address nobody;
	struct span text;

	if (!take_text(r, m, at, &text))
		return false;
	if (!settings_address_fits(a, text) || address_eq(a, &nobody))
		return wrong(
		    r, m, "an address: 0x and 40 hexadecimal digits, whose checksum (EIP-55) fits");
	address_text(a, place);
	return true;
}

static bool
take_pay_to(struct reading *r, const struct member *m, uint32_t at)
{
	return take_address(r, m, at, &r->s->pay_to_address, r->s->pay_to);
}

static bool
take_contract(struct reading *r, const struct member *m, uint32_t at)
{
	struct address contract;

	return take_address(r, m, at, &contract, r->s->heartbeat_contract);
}

static bool
take_url(
    struct reading *r, const struct member *m, uint32_t at, char place[static SETTINGS_URL_MAX + 1])
{
	struct span text;

	if (!take_text(r, m, at, &text))
		return false;
	if (!settings_url_fits(&text))
		return wrong(r, m,
		    "an http or https URL of at most 512 characters, without user, query or "
		    "fragment");
	settings_put_text(place, SETTINGS_URL_MAX + 1, text);
	return true;
}

static bool
take_public_url(struct reading *r, const struct member *m, uint32_t at)
{
	return take_url(r, m, at, r->s->public_url);
}

/* M6: the clients of an enclave rely on the policy's list. */
static bool
take_facilitator(struct reading *r, const struct member *m, uint32_t at)
{
	if (!take_url(r, m, at, r->s->facilitator_url))
		return false;
	if (r->rules->enclave &&
	    !shop_policy_allows(r->rules->policy, span_str(r->s->facilitator_url)))
		return wrong(r, m, "one of the policy's facilitators");
	return true;
}

/* A number, or its digits as a string, as they stand in an environment. */
static bool
take_seconds(struct reading *r, const struct member *m, uint32_t at, unsigned min, unsigned max,
    uint32_t *seconds)
{
	struct span text;
	uint64_t v = 0;
	bool good = json_type(r->doc, at) == JSON_STRING
	    ? take_text(r, m, at, &text) && span_u64(text, max, &v)
	    : json_u64(r->doc, at, max, &v);

	if (!good || v < min)
		return refuse(r->no, "invalid_value", m->name,
		    "%s must be a whole number of seconds, %u to %u.", m->name, min, max);
	*seconds = (uint32_t)v;
	return true;
}

static bool
take_interval(struct reading *r, const struct member *m, uint32_t at)
{
	return take_seconds(r, m, at, 1, HEARTBEAT_INTERVAL_MAX_S, &r->s->heartbeat_interval_s);
}

static bool
take_buffer(struct reading *r, const struct member *m, uint32_t at)
{
	return take_seconds(r, m, at, 0, HEARTBEAT_BUFFER_MAX_S, &r->s->heartbeat_buffer_s);
}

/* P1. */
static const struct member members[] = {
	{ "openai_api_key", take_key, PROVIDER_OPENAI, "openai" },
	{ "anthropic_api_key", take_key, PROVIDER_ANTHROPIC, "anthropic" },
	{ "google_api_key", take_key, PROVIDER_GOOGLE, "google" },
	{ "xai_api_key", take_key, PROVIDER_XAI, "xai" },
	{ "bytedance_api_key", take_key, PROVIDER_BYTEDANCE, "bytedance" },
	{ "nous_api_key", take_key, PROVIDER_NOUS, "nous" },
	{ "pay_to", take_pay_to, 0, NULL },
	{ "public_url", take_public_url, 0, NULL },
	{ "facilitator_url", take_facilitator, 0, NULL },
	{ "heartbeat_contract_address", take_contract, 0, NULL },
	{ "tee_heartbeat_interval", take_interval, 0, NULL },
	{ "tee_heartbeat_buffer", take_buffer, 0, NULL },
};
enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

static bool
take_member(struct reading *r, uint32_t name, bool *any)
{
	const struct json *doc = r->doc;
	uint32_t at = name + 1;
	char shown[65];
	size_t i = 0;

	while (i < N_MEMBERS && !json_is(doc, name, members[i].name))
		i++;
	if (i == N_MEMBERS) {
		refusal_name(shown, json_inner(doc, name));
		return refuse(
		    r->no, "unsupported_parameter", shown, "There is no member \"%s\".", shown);
	}
	if (json_type(doc, at) == JSON_NULL || json_is(doc, at, ""))
		return true;
	*any = true;
	return members[i].take(r, &members[i], at);
}

static bool
take_all(struct reading *r)
{
	const struct json *doc = r->doc;
	bool any = false;

	if (json_type(doc, 0) != JSON_OBJECT)
		return refuse(r->no, "invalid_json", "", "The body must be a JSON object.");
	if (failed(json_no_duplicates(doc)))
		return refuse(r->no, "invalid_json", "", "The body names a member twice.");
	for (uint32_t c = json_first(doc, 0); c != JSON_NONE; c = json_after(doc, 0, c))
		if (!take_member(r, c, &any))
			return false;
	/* It would shut the door behind nothing. */
	return any || refuse(r->no, "invalid_value", "", "The body sets nothing.");
}

bool
keys_read(struct settings *s, struct span text, const struct keys_rules *rules, struct refusal *no)
{
	struct reading r = { .s = s, .rules = rules, .no = no };
	struct json doc;
	bool good;

	if (failed(json_parse(&doc, text, MAX_NODES)))
		return refuse(no, "invalid_json", "", "The body is not valid JSON.");
	r.doc = &doc;
	arena_init(&r.arena, ARENA_BYTES);
	good = take_all(&r);
	arena_fini(&r.arena);
	json_fini(&doc);
	return good;
}

void
keys_put_answer(struct buf *b, const struct settings *s)
{
	bool any = false;

	buf_put_str(b, "{\"status\":\"ok\",\"providers_initialized\":[");
	for (size_t i = 0; i < N_MEMBERS; i++) {
		if (members[i].answered_as == NULL || !s->has_key[members[i].id])
			continue;
		buf_put_str(b, any ? ",\"" : "\"");
		buf_put_str(b, members[i].answered_as);
		buf_put_byte(b, '"');
		any = true;
	}
	buf_put_str(b,
	    s->heartbeat_contract[0] != '\0' ? "],\"heartbeat_enabled\":true}"
					     : "],\"heartbeat_enabled\":false}");
}
