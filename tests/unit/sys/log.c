/* log.c - what one event looks like as a line, and that nobody else can make one. */
#include "sys/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define STAMP "0000-00-00T00:00:00.000Z"

static char path[] = "/tmp/tee-gateway-log-XXXXXX";

/* The file's bytes with the digits of time stamps replaced, so that lines can be compared. */
static struct span
logged(char *to, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, to, max - 1);
	size_t at;

	close(fd);
	assert_true(n >= 0);
	to[n] = '\0';
	for (char *p = to; p != NULL && *p != '\0'; p = strchr(p, '\n'), p += p != NULL) {
		at = *p == '{' ? strlen("{\"time\":\"") : 0;
		for (size_t i = at; i < at + strlen(STAMP); i++)
			if (p[i] >= '0' && p[i] <= '9')
				p[i] = '0';
	}
	return span_of(to, (size_t)n);
}

static void
open_log(bool json, enum log_level level)
{
	const struct log_options opt = { .level = level, .json = json, .file = path };

	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(log_open(&opt).code, ERR_OK);
}

#define BYTES(s)                                \
	{                                       \
		.key = "v", .text = SPAN_LIT(s) \
	}

static const struct {
	const char *rule;
	struct log_field field;
	const char *text, *json;
} rows[] = {
	{ "a plain word is bare", BYTES("/v1/chat/completions"), "v=/v1/chat/completions",
	    "\"v\":\"/v1/chat/completions\"" },
	{ "a number has no quotes", { .key = "v", .number = UINT64_MAX }, "v=18446744073709551615",
	    "\"v\":18446744073709551615" },
	{ "zero is a number", { .key = "v" }, "v=0", "\"v\":0" },
	{ "an empty text is seen", BYTES(""), "v=\"\"", "\"v\":\"\"" },
	{ "a space needs quotes", BYTES("a b"), "v=\"a b\"", "\"v\":\"a b\"" },
	{ "an equals sign could forge a key", BYTES("a=b"), "v=\"a=b\"", "\"v\":\"a=b\"" },
	{ "a quote does not end the value", BYTES("a\" x=\"1"), "v=\"a\\\" x=\\\"1\"",
	    "\"v\":\"a\\\" x=\\\"1\"" },
	{ "a backslash is itself", BYTES("a\\n"), "v=\"a\\\\n\"", "\"v\":\"a\\\\n\"" },
	{ "a newline does not end the line", BYTES("a\nb\r"), "v=\"a\\x0ab\\x0d\"",
	    "\"v\":\"a\\u000ab\\u000d\"" },
	{ "NUL, escape and delete are control bytes", BYTES("\0\x1b\x7f"), "v=\"\\x00\\x1b\\x7f\"",
	    "\"v\":\"\\u0000\\u001b\\u007f\"" },
	{ "bytes past ASCII need not be UTF-8", BYTES("\xff\xc3\xa4"), "v=\"\\xff\\xc3\\xa4\"",
	    "\"v\":\"\\u00ff\\u00c3\\u00a4\"" },
};

static void
test_fields(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int json = 0; json < 2; json++) {
			char got[512], want[512];

			print_message("%s (%s)\n", rows[i].rule, json ? "json" : "text");
			open_log(json, LOG_INFO);
			log_fields(LOG_INFO, &rows[i].field, 1);
			logged(got, sizeof(got));
			snprintf(want, sizeof(want),
			    json ? "{\"time\":\"" STAMP "\",\"level\":\"info\",%s}\n"
				 : STAMP " info %s\n",
			    json ? rows[i].json : rows[i].text);
			assert_string_equal(got, want);
		}
	log_close();
}

static void
test_order_and_absent(void **state)
{
	const struct log_field f[] = {
		LOG_TEXT("request_id", SPAN_LIT("r-1")),
		{ .key = "model", .absent = true },
		LOG_NUMBER("status", 200),
	};
	char got[512];

	open_log(false, LOG_INFO);
	log_fields(LOG_ERROR, f, 3);
	logged(got, sizeof(got));
	assert_string_equal(got, STAMP " error request_id=r-1 status=200\n");
	open_log(true, LOG_INFO);
	log_fields(LOG_WARN, f, 3);
	logged(got, sizeof(got));
	assert_string_equal(got,
	    "{\"time\":\"" STAMP "\",\"level\":\"warn\",\"request_id\":\"r-1\","
	    "\"status\":200}\n");
	log_close();
}

/* The longest renderings: the line stays one write, one line, and is still closed properly. */
static void
test_bounds(void **state)
{
	static const uint8_t bytes[] = { 'a', '\n', '"', 0xff };
	static uint8_t flood[9000];
	struct log_field f[64];
	char got[12000];
	struct span line;

	for (size_t b = 0; b < sizeof(bytes); b++)
		for (size_t count = 1; count <= 64; count += 7)
			for (size_t len = 480; len <= sizeof(flood); len += len < 530 ? 1 : 4001) {
				bool json = (len & 1) == 0;

				memset(flood, bytes[b], sizeof(flood));
				for (size_t i = 0; i < count; i++)
					f[i] = LOG_TEXT("key", span_of(flood, len));
				open_log(json, LOG_INFO);
				log_fields(LOG_INFO, f, count);
				line = logged(got, sizeof(got));
				assert_true(line.n <= 4096);
				assert_int_equal(span_find(line, SPAN_LIT("\n"), 0), line.n - 1);
				if (json)
					assert_true(span_ends(line, SPAN_LIT("\"}\n")));
				if (json || bytes[b] != 'a')
					assert_true(got[line.n - (json ? 3 : 2)] == '"');
			}
	log_close();
}

static void
test_long_value_leaves_room(void **state)
{
	static uint8_t flood[5000];
	struct log_field f[] = {
		LOG_TEXT("model", span_of(flood, sizeof(flood))),
		LOG_NUMBER("status", 400),
	};
	char got[8192];
	struct span line;

	memset(flood, 'x', sizeof(flood));
	open_log(false, LOG_INFO);
	log_fields(LOG_INFO, f, 2);
	line = logged(got, sizeof(got));
	assert_true(span_ends(line, SPAN_LIT("xxx... status=400\n")));
	log_close();
}

static void
test_levels(void **state)
{
	char got[1024];

	open_log(false, LOG_WARN);
	assert_true(log_wants(LOG_ERROR) && log_wants(LOG_WARN));
	assert_false(log_wants(LOG_INFO) || log_wants(LOG_DEBUG));
	log_msg(LOG_INFO, "not wanted");
	log_msg(LOG_WARN, "port %d\nforged", 8000);
	logged(got, sizeof(got));
	assert_string_equal(got, STAMP " warn msg=\"port 8000\\x0aforged\"\n");
	log_close();
}

static void
test_open(void **state)
{
	struct log_options opt = { .level = LOG_INFO, .file = "/nonexistent/log" };
	struct stat st;

	assert_int_equal(log_open(&opt).code, ERR_SYSTEM);
	/* Lines are appended, never cut, and the file is not for everybody. */
	open_log(false, LOG_INFO);
	log_msg(LOG_INFO, "one");
	opt.file = path;
	assert_int_equal(log_open(&opt).code, ERR_OK);
	log_msg(LOG_INFO, "two");
	log_close();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 2 * strlen(STAMP " info msg=one\n"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(log_open(&opt).code, ERR_OK);
	log_close();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
}

static int
setup(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_order_and_absent),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_value_leaves_room),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
