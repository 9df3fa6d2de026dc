/* Content parts that are no text: what is one, and which model takes it. */
#include "provider/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "core/limits.h"

#define IMAGE(url) "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}"
#define PNG(data)  IMAGE("data:image/png;base64," data)
#define AUDIO(data, form)                                                                          \
	"{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"" data "\",\"format\":\"" form "\"" \
	"}}"
#define FILE_(members) "{\"type\":\"file\",\"file\":{" members "}}"

/* member NULL: it is one. mime "": by its address. */
static const struct {
	const char *rule, *part;
	enum part_kind kind;
	const char *mime, *data, *member;
} rows[] = {
	{ "a png", PNG("aGk="), PART_IMAGE, "image/png", "aGk=", NULL },
	{ "slashes may be escaped", IMAGE("data:image\\/png;base64,aG\\/+"), PART_IMAGE,
	    "image/png", "aG\\/+", NULL },
	{ "a type that is none, and often written", IMAGE("data:image/jpg;base64,aGk="), PART_IMAGE,
	    "image/jpeg", "aGk=", NULL },
	{ "parameters of the type", IMAGE("data:image/webp;charset=x;base64,aGk="), PART_IMAGE,
	    "image/webp", "aGk=", NULL },
	{ "an address", IMAGE("https://example.com/a.png"), PART_IMAGE, "", NULL, NULL },
	{ "an address with escaped slashes", IMAGE("https:\\/\\/example.com\\/a.png"), PART_IMAGE,
	    "", NULL, NULL },
	{ "plain http", IMAGE("http://example.com/a.png"), PART_IMAGE, NULL, NULL,
	    ".image_url.url" },
	{ "a file of the host", IMAGE("file:///etc/passwd"), PART_IMAGE, NULL, NULL,
	    ".image_url.url" },
	{ "another picture", IMAGE("data:image/bmp;base64,aGk="), PART_IMAGE, NULL, NULL,
	    ".image_url.url" },
	{ "no picture", IMAGE("data:text/html;base64,aGk="), PART_IMAGE, NULL, NULL,
	    ".image_url.url" },
	{ "percent-encoded data", IMAGE("data:image/png,aGk="), PART_IMAGE, NULL, NULL,
	    ".image_url.url" },
	{ "base64: no padding", PNG("aGk"), PART_IMAGE, NULL, NULL, ".image_url.url" },
	{ "base64: too much padding", PNG("aGk=="), PART_IMAGE, NULL, NULL, ".image_url.url" },
	{ "base64: padding alone", PNG("===="), PART_IMAGE, NULL, NULL, ".image_url.url" },
	{ "base64: none", PNG(""), PART_IMAGE, NULL, NULL, ".image_url.url" },
	{ "base64: the other alphabet", PNG("aG_-"), PART_IMAGE, NULL, NULL, ".image_url.url" },
	{ "base64: a line break", PNG("aGk=\\n"), PART_IMAGE, NULL, NULL, ".image_url.url" },
	{ "base64: a byte in the middle of a long run", PNG("aaaaaaaaaaaaaaaaaaaaaaaaaaa aaaa"),
	    PART_IMAGE, NULL, NULL, ".image_url.url" },
	{ "base64: a long run", PNG("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), PART_IMAGE,
	    "image/png", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL },
	{ "url is text", "{\"type\":\"image_url\",\"image_url\":{\"url\":1}}", PART_IMAGE, NULL,
	    NULL, ".image_url.url" },
	{ "image_url is an object", "{\"type\":\"image_url\",\"image_url\":\"x\"}", PART_IMAGE,
	    NULL, NULL, ".image_url" },
	{ "image_url is there", "{\"type\":\"image_url\"}", PART_IMAGE, NULL, NULL, ".image_url" },
	{ "detail is known",
	    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a\",\"detail\":\"x\"}}",
	    PART_IMAGE, NULL, NULL, ".image_url.detail" },
	{ "detail null is absent",
	    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://a\",\"detail\":null}}",
	    PART_IMAGE, "", NULL, NULL },
	{ "sound", AUDIO("aGk=", "mp3"), PART_AUDIO, "audio/mp3", "aGk=", NULL },
	{ "sound of another form", AUDIO("aGk=", "ogg"), PART_AUDIO, NULL, NULL,
	    ".input_audio.format" },
	{ "sound that is no base64", AUDIO("a!", "wav"), PART_AUDIO, NULL, NULL,
	    ".input_audio.data" },
	{ "a file", FILE_("\"file_data\":\"data:application/pdf;base64,aGk=\""), PART_FILE,
	    "application/pdf", "aGk=", NULL },
	{ "a file by its id is somebody's", FILE_("\"file_id\":\"file-1\""), PART_FILE, NULL, NULL,
	    ".file.file_id" },
	{ "a file that is not there", FILE_(""), PART_FILE, NULL, NULL, ".file.file_data" },
	{ "a file's type is one", FILE_("\"file_data\":\"data:a\\\"b/c;base64,aGk=\""), PART_FILE,
	    NULL, NULL, ".file.file_data" },
	{ "an unknown part", "{\"type\":\"video_url\"}", PART_FILE, NULL, NULL, ".type" },
};

static void
reads_parts(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *member = NULL, *want = NULL;
		struct part part;
		struct json doc;
		bool good;

		assert_false(failed(json_parse(&doc, span_str(rows[i].part), JSON_MAX_NODES)));
		good = part_read(&doc, 0, &part, &member, &want);
		if (good != (rows[i].member == NULL))
			fail_msg("%s: %s", rows[i].rule, good ? "read" : want);
		if (!good) {
			assert_string_equal(member, rows[i].member);
			assert_non_null(want);
		} else {
			assert_int_equal(part.kind, rows[i].kind);
			assert_true(span_eq(part.mime, span_str(rows[i].mime)));
			assert_true((part.url.p != NULL) == (rows[i].data == NULL));
			if (rows[i].data != NULL)
				assert_true(span_eq(part.data, span_str(rows[i].data)));
		}
		json_fini(&doc);
	}
}

static const struct model sees = { .name = SPAN_LIT("m"),
	.provider = PROVIDER_GOOGLE,
	.part = { [PART_IMAGE] = { true, 1000 }, [PART_FILE] = { true, 0 } } };

static void
fits_models(void **state)
{
	struct parts_facts f = { .n = { [PART_IMAGE] = PARTS_MAX },
		.first = { [PART_IMAGE] = "messages[0].content[1]",
		    [PART_AUDIO] = "messages[2].content[0]" } };
	struct refusal no = { 0 };

	assert_true(parts_fit(&f, &sees, true, &no));
	f.n[PART_IMAGE]++;
	assert_false(parts_fit(&f, &sees, true, &no));
	assert_string_equal(no.param, "messages");
	f.n[PART_IMAGE] = 1;
	snprintf(f.by_url, sizeof(f.by_url), "messages[4].content[0]");
	assert_true(parts_fit(&f, &sees, true, &no));
	assert_false(parts_fit(&f, &sees, false, &no));
	assert_string_equal(no.param, "messages[4].content[0]");
	assert_non_null(strstr(no.message, "google"));
	f.n[PART_AUDIO] = 1;
	assert_false(parts_fit(&f, &sees, true, &no));
	assert_int_equal(no.status, 400);
	assert_string_equal(no.param, "messages[2].content[0]");
	assert_non_null(strstr(no.message, "input_audio"));
	assert_non_null(strstr(no.message, "google"));
}

static void
bounds_tokens(void **state)
{
	struct parts_facts f = { .n = { [PART_IMAGE] = 3 } };
	enum part_kind kind;
	uint64_t tokens;

	assert_true(parts_max_tokens(&f, &sees, &tokens, &kind));
	assert_int_equal(tokens, 3000);
	f.n[PART_FILE] = 1;
	assert_false(parts_max_tokens(&f, &sees, &tokens, &kind));
	assert_int_equal(kind, PART_FILE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_parts),
		cmocka_unit_test(fits_models),
		cmocka_unit_test(bounds_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
