/*
 * Which POST /v1/keys is read at all: what an enclave decides by its registers and its policy, where
 * there is no enclave to try it in. Source: P2, P3, P4, H4.
 */
#include "gateway/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/limits.h"
#include "gateway/enclave.h"
#include "http/wire.h"

/* The wire, which notes what came of it. */
static struct {
	unsigned status;
	uint64_t wanted;
	struct buf body;
} seen;

static void
want_body(struct exchange *x, uint64_t max_bytes)
{
	seen.wanted = max_bytes;
}

static void
head(struct exchange *x, unsigned status, const struct http_field *field, size_t n_fields,
    uint64_t length)
{
	seen.status = status;
}

static void
write_body(struct exchange *x, struct span bytes)
{
	buf_put(&seen.body, bytes);
}

static void
end(struct exchange *x)
{
}

static const struct wire_ops wire = {
	.want_body = want_body, .head = head, .write = write_body, .end = end
};

static const struct {
	const char *rule;
	bool enclave, closed, debug_mode;
	struct policy_provisioning policy;
	const char *type, *encoding;
	unsigned status; /* 0: the body is asked for */
	const char *code;
} rows[] = {
	{ "P4: debug mode", true, false, true, { true, true, false }, "application/json", NULL, 403,
	    "debug_mode" },
	{ "P4: sealed, too", true, false, true, { true, true, false }, "application/jose", NULL,
	    403, "debug_mode" },
	{ "P4: unless the policy allows it", true, false, true, { true, true, true },
	    "application/json", NULL, 0, NULL },
	{ "an enclave with a measured image", true, false, false, { true, true, false },
	    "application/json", NULL, 0, NULL },
	{ "A4: registers of zero are no debug mode in local mode", false, false, true,
	    { true, true, false }, "application/json", NULL, 0, NULL },
	{ "P3: sealed", true, false, false, { true, true, false }, "Application/JOSE; x=y", NULL, 0,
	    NULL },
	{ "P3: the policy takes no sealed one", true, false, false, { true, false, false },
	    "application/jose", NULL, 403, "form_not_allowed" },
	{ "P3: nor plain", true, false, false, { false, true, false }, "application/json", NULL,
	    403, "form_not_allowed" },
	{ "P2: once", false, true, false, { true, true, false }, "application/json", NULL, 409,
	    "already_provisioned" },
	{ "P2: before anything else is said", true, true, true, { false, false, false }, "x", NULL,
	    409, "already_provisioned" },
	{ "H4: another type", false, false, false, { true, true, false }, "text/plain", NULL, 415,
	    "unsupported_media_type" },
	{ "H4: no type", false, false, false, { true, true, false }, NULL, NULL, 415,
	    "unsupported_media_type" },
	{ "H4: an encoding", false, false, false, { true, true, false }, "application/json", "gzip",
	    415, "unsupported_media_type" },
};

static void
judge(size_t i)
{
	struct options opt = { .enclave = rows[i].enclave };
	struct gateway gw = { .opt = &opt, .forms = rows[i].policy };
	struct enclave enclave = { .known = true };
	struct loop loop = { .gw = &gw, .enclave = &enclave };
	struct exchange x = { .wire = &wire };
	struct http_field field[2];
	struct http_head h = { .path = SPAN_LIT("/v1/keys"), .field = field };
	struct posted *p;

	if (!rows[i].debug_mode)
		enclave.pcr[2][47] = 1;
	if (rows[i].type != NULL)
		field[h.n_fields++] = (struct http_field){ SPAN_LIT("Content-Type"),
			span_str(rows[i].type) };
	if (rows[i].encoding != NULL)
		field[h.n_fields++] = (struct http_field){ SPAN_LIT("Content-Encoding"),
			span_str(rows[i].encoding) };
	atomic_init(&gw.provisioning_open, !rows[i].closed);
	enclave.loop = &loop;
	seen.status = 0;
	seen.wanted = 0;
	buf_init(&seen.body, 4096);
	p = keys_begin(&loop, &x, &h, "/v1/keys");
	if (seen.status != rows[i].status || (p != NULL) != (rows[i].status == 0))
		fail_msg("%s: %u", rows[i].rule, seen.status);
	if (p != NULL)
		assert_int_equal(seen.wanted, PROVISION_MAX_BYTES);
	else if (span_find(buf_span(&seen.body), span_str(rows[i].code), 0) == SIZE_MAX)
		fail_msg("%s: %.*s", rows[i].rule, (int)seen.body.n, (const char *)seen.body.p);
	if (p != NULL)
		posted_on_gone(p);
	buf_fini(&seen.body);
}

static void
heads(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		judge(i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(heads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
