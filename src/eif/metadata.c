#include "eif/metadata.h"

#include <assert.h>
#include <time.h>

#include "codec/json.h"

enum { METADATA_MAX_NODES = 1 << 16 };

struct err
metadata_check(struct span text)
{
	struct json doc;
	struct err e = json_parse(&doc, text, METADATA_MAX_NODES);

	if (failed(e))
		return e;
	if (json_type(&doc, 0) != JSON_OBJECT)
		e = FAIL(MALFORMED, "eif.md 3: metadata is not a JSON object");
	json_fini(&doc);
	return e;
}

static void
put_padded(struct buf *b, int v, int digits)
{
	char text[16];

	snprintf(text, sizeof(text), "%0*d", digits, v);
	buf_put_str(b, text);
}

/* RFC 3339 in UTC, spelled as nitro-cli's library spells it. */
static void
put_time(struct buf *b, uint64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	assert(unix_s <= METADATA_MAX_UNIX_S);
	gmtime_r(&t, &tm); /* fails past the year 2^31 only */
	put_padded(b, tm.tm_year + 1900, 4);
	buf_put_byte(b, '-');
	put_padded(b, tm.tm_mon + 1, 2);
	buf_put_byte(b, '-');
	put_padded(b, tm.tm_mday, 2);
	buf_put_byte(b, 'T');
	put_padded(b, tm.tm_hour, 2);
	buf_put_byte(b, ':');
	put_padded(b, tm.tm_min, 2);
	buf_put_byte(b, ':');
	put_padded(b, tm.tm_sec, 2);
	buf_put_str(b, "+00:00");
}

struct err
metadata_put(struct buf *b, const struct metadata *m)
{
	size_t start = b->n;

	buf_put_str(b, "{\"ImageName\":");
	json_put_string(b, m->name);
	buf_put_str(b, ",\"ImageVersion\":");
	json_put_string(b, m->version);
	buf_put_str(b, ",\"BuildMetadata\":{\"BuildTime\":\"");
	put_time(b, m->built_unix_s);
	buf_put_str(b, "\",\"BuildTool\":\"tee-eif\",\"BuildToolVersion\":");
	json_put_string(b, m->tool_version);
	buf_put_str(b, ",\"OperatingSystem\":\"Linux\",\"KernelVersion\":");
	json_put_string(b, m->kernel_version);
	buf_put_str(b, "},\"DockerInfo\":{},\"CustomMetadata\":{}}");
	TRY(buf_check(b));
	/* What arguments brought in may not be UTF-8: our own reader would refuse it. */
	return metadata_check(span_cut(buf_span(b), start, b->n));
}
