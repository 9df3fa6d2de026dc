#include "pricing/models.h"

#include <stdio.h>

#include "core/limits.h"

enum { MODEL_NAME_MAX = 64, MODELS_MAX = 256, TABLE_BYTES = 1 << 20 };

static const struct {
	const char *name, *alias;
} providers[PROVIDER_COUNT] = {
#define PROVIDER_ROW(id, name, alias, key, url) { name, alias },
	PROVIDERS(PROVIDER_ROW)
#undef PROVIDER_ROW
};

const char *
provider_name(enum provider_id id)
{
	return providers[id].name;
}

static uint8_t
fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Names are lower-case, printable and without spaces or slashes, so lookup has one spelling. */
static bool
name_fits(struct span s)
{
	if (s.n == 0 || s.n > MODEL_NAME_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '/' || s.p[i] == ',' ||
		    fold(s.p[i]) != s.p[i])
			return false;
	return true;
}

/* Digits, or digits "." digits: what a decimal library reads back without loss. */
static bool
price_fits(struct span s)
{
	size_t dots = 0;

	if (s.n == 0 || s.n > 24 || s.p[0] == '.' || s.p[s.n - 1] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.')
			dots++;
		else if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	}
	return dots <= 1;
}

struct entry {
	struct models *m;
	uint32_t at;
};

static struct err
text_of(const struct entry *e, uint32_t at, struct span *out)
{
	if (at == JSON_NONE)
		return FAIL(MALFORMED, "models: a member is missing");
	return json_string(&e->m->doc, at, &e->m->arena, out);
}

static struct err
list_of(const struct entry *e, const char *name, struct span *out, size_t max, size_t *n)
{
	const struct json *doc = &e->m->doc;
	uint32_t list = json_get(doc, e->at, name);

	*n = 0;
	if (list == JSON_NONE)
		return OK;
	if (json_type(doc, list) != JSON_ARRAY)
		return FAIL(MALFORMED, "models: a list is no array");
	for (uint32_t c = json_first(doc, list); c != JSON_NONE; c = json_after(doc, list, c)) {
		if (*n == max)
			return FAIL(REFUSED, "models: a list is too long");
		TRY(text_of(e, c, &out[(*n)++]));
	}
	return OK;
}

static struct err
flag_of(const struct entry *e, const char *name, bool *out)
{
	uint32_t at = json_get(&e->m->doc, e->at, name);

	*out = at != JSON_NONE && json_type(&e->m->doc, at) == JSON_TRUE;
	if (at != JSON_NONE && !*out && json_type(&e->m->doc, at) != JSON_FALSE)
		return FAIL(MALFORMED, "models: a flag is no boolean");
	return OK;
}

static struct err
thinking_of(const struct entry *e, enum thinking *out)
{
	static const char *const words[] = { [THINKING_BUDGET] = "budget",
		[THINKING_ADAPTIVE] = "adaptive",
		[THINKING_LEVEL] = "level" };
	uint32_t at = json_get(&e->m->doc, e->at, "thinking");

	*out = THINKING_NONE;
	if (at == JSON_NONE)
		return OK;
	for (enum thinking t = THINKING_BUDGET; t <= THINKING_LEVEL; t++)
		if (json_is(&e->m->doc, at, words[t]))
			*out = t;
	return *out == THINKING_NONE ? FAIL(MALFORMED, "models: an unknown way of thinking") : OK;
}

static struct err
kind_of(const struct entry *e, enum model_kind *out)
{
	static const char *const words[] = { [MODEL_CHAT] = "chat",
		[MODEL_IMAGE_INLINE] = "image_inline",
		[MODEL_IMAGE_ENDPOINT] = "image_endpoint" };
	uint32_t at = json_get(&e->m->doc, e->at, "kind");

	for (*out = MODEL_CHAT; *out <= MODEL_IMAGE_ENDPOINT; (*out)++)
		if (json_is(&e->m->doc, at, words[*out]))
			return OK;
	return FAIL(REFUSED, "models: kind is not known to this build");
}

/* Tokens are the price of a chat, pictures that of an endpoint: either has its own, and no other. */
static struct err
prices_of(const struct entry *e, struct model *out)
{
	const struct json *doc = &e->m->doc;
	uint32_t image = json_get(doc, e->at, "per_image_usd");
	uint32_t in = json_get(doc, e->at, "input_usd_per_token");
	uint32_t output = json_get(doc, e->at, "output_usd_per_token");

	out->input_usd = out->output_usd = SPAN_LIT("0");
	if (out->kind == MODEL_IMAGE_ENDPOINT) {
		if (in != JSON_NONE || output != JSON_NONE)
			return FAIL(MALFORMED, "models: an image endpoint has no price of a token");
		TRY(text_of(e, image, &out->image_usd));
		return price_fits(out->image_usd)
		    ? OK
		    : FAIL(REFUSED, "models: price is no decimal text");
	}
	if (image != JSON_NONE)
		return FAIL(MALFORMED, "models: only an image endpoint has a price of a picture");
	TRY(text_of(e, in, &out->input_usd));
	TRY(text_of(e, output, &out->output_usd));
	return price_fits(out->input_usd) && price_fits(out->output_usd)
	    ? OK
	    : FAIL(REFUSED, "models: price is no decimal text");
}

/* {"image_url": tokens that one is at most, or null: nobody knows} */
static struct err
parts_of(const struct entry *e, struct model_part out[static PART_KINDS])
{
	static const char *const words[PART_KINDS] = {
		[PART_IMAGE] = "image_url", [PART_AUDIO] = "input_audio", [PART_FILE] = "file"
	};
	const struct json *doc = &e->m->doc;
	uint32_t parts = json_get(doc, e->at, "parts");
	uint64_t tokens;

	if (parts == JSON_NONE)
		return OK;
	if (json_type(doc, parts) != JSON_OBJECT)
		return FAIL(MALFORMED, "models: parts is no object");
	for (uint32_t c = json_first(doc, parts); c != JSON_NONE; c = json_after(doc, parts, c)) {
		enum part_kind k = 0;

		while (k < PART_KINDS && !json_is(doc, c, words[k]))
			k++;
		if (k == PART_KINDS)
			return FAIL(MALFORMED, "models: unknown kind of part");
		out[k].taken = true;
		if (json_type(doc, c + 1) == JSON_NULL)
			continue;
		if (!json_u64(doc, c + 1, 1000000, &tokens) || tokens == 0)
			return FAIL(
			    MALFORMED, "models: tokens of a part are 1 to 1000000, or null");
		out[k].max_tokens = (uint32_t)tokens;
	}
	return OK;
}

/* A year, a month or a day: vendors announce with more or less precision. */
static struct err
retired_of(const struct entry *e, struct span *out)
{
	static const char form[] = "0000-00-00";
	uint32_t at = json_get(&e->m->doc, e->at, "retired");

	*out = SPAN_NONE;
	if (at == JSON_NONE)
		return OK;
	TRY(text_of(e, at, out));
	for (size_t i = 0; i < out->n && i < sizeof(form) - 1; i++)
		if (form[i] == '-' ? out->p[i] != '-' : out->p[i] < '0' || out->p[i] > '9')
			return FAIL(MALFORMED, "models: retired is no date");
	return out->n == 4 || out->n == 7 || out->n == 10
	    ? OK
	    : FAIL(MALFORMED, "models: retired is no date");
}

static struct err
members_known(const struct entry *e)
{
	static const char *const known[] = { "name", "aliases", "provider", "api_name", "kind",
		"input_usd_per_token", "output_usd_per_token", "fixed_sampling", "no_stop",
		"no_penalties", "reasoning", "verbosity", "reasoning_effort", "one_sampling",
		"structured_output", "no_forced_tools", "no_prefill", "thinking", "retired",
		"per_image_usd", "parts" };
	const struct json *doc = &e->m->doc;

	for (uint32_t c = json_first(doc, e->at); c != JSON_NONE; c = json_after(doc, e->at, c)) {
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && !json_is(doc, c, known[i]))
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return FAIL(MALFORMED, "models: unknown member");
	}
	return OK;
}

static struct err
entry_read(const struct entry *e, struct model *out)
{
	const struct json *doc = &e->m->doc;
	struct span provider;
	size_t p = 0;

	if (json_type(doc, e->at) != JSON_OBJECT)
		return FAIL(MALFORMED, "models: an entry is no object");
	TRY(members_known(e));
	TRY(text_of(e, json_get(doc, e->at, "name"), &out->name));
	TRY(text_of(e, json_get(doc, e->at, "provider"), &provider));
	TRY(text_of(e, json_get(doc, e->at, "api_name"), &out->api_name));
	TRY(kind_of(e, &out->kind));
	TRY(prices_of(e, out));
	TRY(parts_of(e, out->part));
	TRY(list_of(e, "aliases", out->alias, 4, &out->n_aliases));
	TRY(list_of(e, "reasoning_effort", out->effort, 8, &out->n_efforts));
	TRY(flag_of(e, "fixed_sampling", &out->fixed_sampling));
	TRY(flag_of(e, "no_stop", &out->no_stop));
	TRY(flag_of(e, "no_penalties", &out->no_penalties));
	TRY(flag_of(e, "reasoning", &out->reasoning));
	TRY(flag_of(e, "verbosity", &out->verbosity));
	TRY(flag_of(e, "one_sampling", &out->one_sampling));
	TRY(flag_of(e, "structured_output", &out->structured_output));
	TRY(flag_of(e, "no_forced_tools", &out->no_forced_tools));
	TRY(flag_of(e, "no_prefill", &out->no_prefill));
	TRY(thinking_of(e, &out->thinking));
	TRY(retired_of(e, &out->retired));
	while (p < PROVIDER_COUNT && !span_eq(provider, span_str(providers[p].name)))
		p++;
	if (p == PROVIDER_COUNT || p == PROVIDER_ECHO)
		return FAIL(REFUSED, "models: provider is not known to this build");
	out->provider = (enum provider_id)p;
	if ((out->kind == MODEL_IMAGE_INLINE && out->provider != PROVIDER_GOOGLE) ||
	    (out->kind == MODEL_IMAGE_ENDPOINT && out->provider != PROVIDER_XAI &&
		out->provider != PROVIDER_BYTEDANCE))
		return FAIL(REFUSED, "models: this provider has no such kind of model");
	if (!name_fits(out->name) || out->api_name.n == 0 || out->api_name.n > MODEL_NAME_MAX)
		return FAIL(REFUSED, "models: name is not 1-64 lower-case bytes without '/'");
	for (size_t i = 0; i < out->n_aliases; i++)
		if (!name_fits(out->alias[i]))
			return FAIL(
			    REFUSED, "models: alias is not 1-64 lower-case bytes without '/'");
	return OK;
}

static bool
called(const struct model *model, struct span name)
{
	if (span_eq(model->name, name))
		return true;
	for (size_t i = 0; i < model->n_aliases; i++)
		if (span_eq(model->alias[i], name))
			return true;
	return false;
}

static struct err
names_differ(const struct models *m)
{
	const struct model *last = &m->model[m->n - 1];

	for (size_t i = 0; i + 1 < m->n; i++) {
		if (called(&m->model[i], last->name))
			return FAIL(REFUSED, "models: name is taken");
		for (size_t k = 0; k < last->n_aliases; k++)
			if (called(&m->model[i], last->alias[k]))
				return FAIL(REFUSED, "models: alias is taken");
	}
	return OK;
}

static struct err
table_read(struct models *m, bool with_echo, size_t *where)
{
	uint32_t list = json_get(&m->doc, 0, "models");
	uint64_t schema;

	TRY(json_no_duplicates(&m->doc));
	if (!json_u64(&m->doc, json_get(&m->doc, 0, "schema"), 1, &schema) || schema != 1)
		return FAIL(REFUSED, "models: schema is not 1");
	if (list == JSON_NONE || json_type(&m->doc, list) != JSON_ARRAY)
		return FAIL(MALFORMED, "models: no array \"models\"");
	if ((m->model = arena_array(&m->arena, MODELS_MAX + 1, sizeof(*m->model))) == NULL)
		return FAIL(NOMEM, "models: table");
	if (with_echo)
		m->model[m->n++] = (struct model){ .name = SPAN_LIT("echo"),
			.provider = PROVIDER_ECHO,
			.api_name = SPAN_LIT("echo"),
			.input_usd = SPAN_LIT("0"),
			.output_usd = SPAN_LIT("0") };
	for (uint32_t c = json_first(&m->doc, list); c != JSON_NONE;
	     c = json_after(&m->doc, list, c), (*where)++) {
		if (m->n > MODELS_MAX)
			return FAIL(TOO_LARGE, "models: more than 256 entries");
		TRY(entry_read(&(struct entry){ m, c }, &m->model[m->n]));
		m->n++;
		TRY(names_differ(m));
	}
	return OK;
}

struct err
models_parse(struct models *m, struct span text, bool with_echo, size_t *where)
{
	size_t unused;
	struct err e;

	if (where == NULL)
		where = &unused;
	*where = 0;
	*m = (struct models){ 0 };
	arena_init(&m->arena, TABLE_BYTES);
	TRY(json_parse(&m->doc, text, JSON_MAX_NODES));
	if (failed(e = table_read(m, with_echo, where)))
		models_fini(m);
	return e;
}

void
models_fini(struct models *m)
{
	json_fini(&m->doc);
	arena_fini(&m->arena);
	m->model = NULL;
	m->n = 0;
}

/* Edits from a to b (both at most MODEL_NAME_MAX bytes), for "did you mean". */
static unsigned
distance(struct span a, struct span b)
{
	unsigned row[MODEL_NAME_MAX + 1];

	for (unsigned k = 0; k <= b.n; k++)
		row[k] = k;
	for (unsigned i = 1; i <= a.n; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned k = 1; k <= b.n; k++) {
			unsigned up = row[k];
			unsigned best = diagonal + (a.p[i - 1] != b.p[k - 1]);

			if (up + 1 < best)
				best = up + 1;
			if (row[k - 1] + 1 < best)
				best = row[k - 1] + 1;
			row[k] = best;
			diagonal = up;
		}
	}
	return row[b.n];
}

static void
find_near(const struct models *m, struct span name, char *near, size_t near_bytes)
{
	size_t used = 0;
	unsigned hits = 0;

	near[0] = '\0';
	for (unsigned d = 1; d <= 3 && hits < 3; d++)
		for (size_t i = 0; i < m->n && hits < 3; i++) {
			struct span near_name = m->model[i].name;

			/* Three edits say nothing about a name of three letters. */
			if (near_name.n <= d + 2 || distance(name, near_name) != d ||
			    used + near_name.n + 3 > near_bytes)
				continue;
			used += (size_t)snprintf(near + used, near_bytes - used, "%s%.*s",
			    hits > 0 ? ", " : "", (int)near_name.n, near_name.p);
			hits++;
		}
}

const struct model *
models_find(const struct models *m, struct span name, char *near, size_t near_bytes)
{
	uint8_t folded[2 * MODEL_NAME_MAX];
	struct span key = span_trim(name), prefix = SPAN_NONE;
	size_t slash;

	near[0] = '\0';
	if (key.n == 0 || key.n > sizeof(folded))
		return NULL;
	for (size_t i = 0; i < key.n; i++)
		folded[i] = fold(key.p[i]);
	key = span_of(folded, key.n);
	if ((slash = span_find(key, SPAN_LIT("/"), 0)) != SIZE_MAX) {
		prefix = span_cut(key, 0, slash);
		key = span_cut(key, slash + 1, key.n);
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct model *model = &m->model[i];
		const char *alias = providers[model->provider].alias;

		if (!called(model, key))
			continue;
		if (prefix.p == NULL || span_eq(prefix, span_str(provider_name(model->provider))) ||
		    (alias != NULL && span_eq(prefix, span_str(alias))))
			return model;
		return NULL;
	}
	if (key.n <= MODEL_NAME_MAX)
		find_near(m, key, near, near_bytes);
	return NULL;
}
