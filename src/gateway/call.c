#include "gateway/call.h"

#include <stdio.h>

#include "sys/clock.h"
#include "sys/log.h"
#include "sys/metrics.h"

bool
call_is_foreign(const struct http_head *head)
{
	static const char *const foreign[] = { "x-forwarded-for", "forwarded", "via", "origin" };

	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (http_field_get(head, foreign[i], NULL).p != NULL)
			return true;
	return false;
}

void
call_answer(struct call *c, unsigned status, const char *content_type, struct span body)
{
	char number[16];
	struct log_field f[] = {
		LOG_TEXT("request_id", reply_request_id(&c->reply)),
		LOG_TEXT("route", span_str(c->route)),
		LOG_NUMBER("status", status),
		LOG_NUMBER("t_total", (clock_monotonic_us() - c->began_us) / 1000),
	};

	reply_send(&c->reply, c->x, status, content_type, body);
	log_fields(LOG_INFO, f, sizeof(f) / sizeof(f[0]));
	snprintf(number, sizeof(number), "%u", status);
	metric_add(METRIC_REQUESTS, c->route, number, 1);
	metric_observe(
	    METRIC_REQUEST_SECONDS, NULL, (double)(clock_monotonic_us() - c->began_us) / 1e6);
}

void
call_answer_json(struct call *c, struct buf *b)
{
	if (failed(buf_check(b)))
		call_answer(c, 500, "text/plain; charset=utf-8", SPAN_LIT("out of memory\n"));
	else
		call_answer(c, 200, "application/json", buf_span(b));
	buf_fini(b);
}

static bool
is_v1(struct span path)
{
	return span_starts(path, SPAN_LIT("/v1/"));
}

void
call_fail_with(struct call *c, const struct failure *f)
{
	const char *type = "application/json";
	struct buf b;

	buf_init(&b, 4096);
	if (is_v1(c->head->path)) {
		failure_put(&b, f);
	} else {
		type = "text/plain; charset=utf-8";
		buf_put_str(&b, f->message);
		buf_put_byte(&b, '\n');
	}
	call_answer(c, f->status, type, buf_span(&b));
	buf_fini(&b);
}

void
call_fail(struct call *c, unsigned status, const char *type, const char *code, const char *message)
{
	struct failure f = { .status = status, .type = type, .code = code };

	snprintf(f.message, sizeof(f.message), "%s", message);
	call_fail_with(c, &f);
}

void
call_not_found(struct call *c)
{
	call_fail(c, 404, "not_found_error", "not_found", "There is nothing at this path.");
}
