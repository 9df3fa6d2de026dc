#include "pricing/models.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define ENTRY(name, more)                                                                       \
	"{\"name\":\"" name "\",\"provider\":\"openai\",\"api_name\":\"x\","                    \
	"\"kind\":\"chat\",\"input_usd_per_token\":\"0.1\",\"output_usd_per_token\":\"2\"" more \
	"}"
#define TABLE(entries) "{\"schema\":1,\"models\":[" entries "]}"

static const struct {
	const char *rule, *text;
	bool ok;
} tables[] = {
	{ "an entry", TABLE(ENTRY("a", "")), true },
	{ "no entries", TABLE(""), true },
	{ "another schema", "{\"schema\":2,\"models\":[]}", false },
	{ "a name twice", TABLE(ENTRY("a", "") "," ENTRY("a", "")), false },
	{ "an alias that is a name", TABLE(ENTRY("a", "") "," ENTRY("b", ",\"aliases\":[\"a\"]")),
	    false },
	{ "the built-in name", TABLE(ENTRY("echo", "")), false },
	{ "upper case", TABLE(ENTRY("A", "")), false },
	{ "a slash", TABLE(ENTRY("a/b", "")), false },
	{ "an unknown member", TABLE(ENTRY("a", ",\"x\":1")), false },
	{ "a member twice", TABLE(ENTRY("a", ",\"kind\":\"chat\"")), false },
	{ "a flag that is none", TABLE(ENTRY("a", ",\"verbosity\":1")), false },
	{ "what reasoning models are like",
	    TABLE(ENTRY("a", ",\"reasoning\":true,\"no_stop\":true,\"no_penalties\":false")),
	    true },
	{ "a flag that is none", TABLE(ENTRY("a", ",\"reasoning\":0")), false },
	{ "a way of thinking", TABLE(ENTRY("a", ",\"thinking\":\"adaptive\"")), true },
	{ "a way of thinking that nobody has", TABLE(ENTRY("a", ",\"thinking\":\"hard\"")), false },
	{ "retired on a day", TABLE(ENTRY("a", ",\"retired\":\"2026-06-15\"")), true },
	{ "retired in a month", TABLE(ENTRY("a", ",\"retired\":\"2026-02\"")), true },
	{ "retired one day", TABLE(ENTRY("a", ",\"retired\":\"soon\"")), false },
	{ "retired, half a date", TABLE(ENTRY("a", ",\"retired\":\"2026-0\"")), false },
	{ "a missing member", TABLE("{\"name\":\"a\"}"), false },
	{ "an unknown provider",
	    TABLE("{\"name\":\"a\",\"provider\":\"p\",\"api_name\":\"x\",\"kind\":\"chat\",\"input_"
		  "usd_per_token\":\"1\",\"output_usd_per_token\":\"1\"}"),
	    false },
	{ "a price that is a number",
	    TABLE("{\"name\":\"a\",\"provider\":\"openai\",\"api_name\":\"x\",\"kind\":\"chat\","
		  "\"input_usd_per_token\":1,\"output_usd_per_token\":\"1\"}"),
	    false },
	{ "a price with an exponent",
	    TABLE("{\"name\":\"a\",\"provider\":\"openai\",\"api_name\":\"x\",\"kind\":\"chat\","
		  "\"input_usd_per_token\":\"1e-6\",\"output_usd_per_token\":\"1\"}"),
	    false },
	{ "not JSON", "x", false },
};

static void
reads_tables(void **state)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct models m;
		struct err e = models_parse(&m, span_str(tables[i].text), true, NULL);

		if (failed(e) == tables[i].ok)
			fail_msg("%s: %s", tables[i].rule, e.what);
		models_fini(&m);
	}
}

static const struct {
	const char *asked, *found, *near;
} lookups[] = {
	{ "gpt-5", "gpt-5", "" },
	{ " GPT-5\n", "gpt-5", "" }, /* trimmed, case-folded */
	{ "openai/gpt-5", "gpt-5", "" },
	{ "OpenAI/gpt-5", "gpt-5", "" },
	{ "google/gpt-5", NULL, "" },	/* another provider's prefix */
	{ "gpt-5-2025", "gpt-5", "" },	/* alias */
	{ "xai/grok-4", "grok-4", "" }, /* C8: both names of one provider */
	{ "x-ai/grok-4", "grok-4", "" },
	{ "openai/grok-4", NULL, "" },
	{ "echo", "echo", "" },
	{ "gpt-6", NULL, "gpt-5, gpt-5-mini" },
	{ "", NULL, "" },
	{ "entirely-else", NULL, "" },
};

static void
finds(void **state)
{
	static const char text[] = TABLE(
	    ENTRY("gpt-5", ",\"aliases\":[\"gpt-5-2025\"]") "," ENTRY("gpt-5-mini",
		"") ",{\"name\":\"grok-4\",\"provider\":\"x-ai\","
		    "\"api_name\":\"x\",\"kind\":\"chat\",\"input_usd_per_token\":\"0.1\","
		    "\"output_usd_per_token\":\"2\"}");
	struct models m;
	char near[64];

	assert_false(failed(models_parse(&m, span_str(text), true, NULL)));
	for (size_t i = 0; i < sizeof(lookups) / sizeof(lookups[0]); i++) {
		const struct model *hit = models_find(
		    &m, span_str(lookups[i].asked), near, sizeof(near));

		if ((hit == NULL) != (lookups[i].found == NULL) ||
		    (hit != NULL && !span_eq(hit->name, span_str(lookups[i].found))))
			fail_msg("\"%s\"", lookups[i].asked);
		if (hit == NULL && lookups[i].near[0] != '\0')
			assert_true(span_starts(span_str(near), SPAN_LIT("gpt-5")));
		else
			assert_string_equal(near, "");
	}
	models_fini(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_tables),
		cmocka_unit_test(finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
