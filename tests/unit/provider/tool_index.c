#include "provider/tool_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/limits.h"

#define CALLS(c) "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[" c "]}}]}"

/* Events of one stream, in order; want NULL: passed as it is. */
static const struct {
	const char *rule, *event, *want;
} stream[] = {
	{ "no calls", "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", NULL },
	{ "not even choices", "{\"choices\":7}", NULL },
	{ "the first call is 0", CALLS("{\"id\":\"a\",\"function\":{}}"),
	    CALLS("{\"index\":0,\"id\":\"a\",\"function\":{}}") },
	{ "a fragment without an id is the latest call's", CALLS("{\"function\":{}}"),
	    CALLS("{\"index\":0,\"function\":{}}") },
	{ "so is one that repeats the id", CALLS("{\"id\":\"a\", \"index\" : null}"),
	    CALLS("{\"id\":\"a\", \"index\" : 0}") },
	{ "another id is another call; two in one event", CALLS("{\"id\":\"b\"},{\"id\":\"c\"},{}"),
	    CALLS("{\"index\":1,\"id\":\"b\"},{\"index\":2,\"id\":\"c\"},{\"index\":2}") },
	{ "a number that is given stays", CALLS("{\"index\":7,\"id\":\"d\"}"), NULL },
	{ "and is counted", CALLS("{\"id\":\"e\"}"), CALLS("{\"index\":8,\"id\":\"e\"}") },
	{ "choices count on their own",
	    "{\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{}]}},{\"index\":999}]}",
	    "{\"choices\":[{\"index\":1,\"delta\":{\"tool_calls\":[{\"index\":0}]}},{\"index\":999}"
	    "]}" },
	{ "what is no object is not ours to number", CALLS("1,null"), NULL },
};

static void
numbers(void **state)
{
	struct tool_index choice[TOOL_INDEX_CHOICES] = { 0 };

	for (size_t i = 0; i < sizeof(stream) / sizeof(stream[0]); i++) {
		struct json doc;
		struct buf b;

		buf_init(&b, 4096);
		assert_false(failed(json_parse(&doc, span_str(stream[i].event), JSON_MAX_NODES)));
		if (tool_index_put(choice, &doc, &b) != (stream[i].want != NULL) ||
		    !span_eq(buf_span(&b), span_str(stream[i].want)))
			fail_msg("%s: %.*s", stream[i].rule, (int)b.n, (char *)b.p);
		json_fini(&doc);
		buf_fini(&b);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(numbers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
