#include "cmd/report.h"

#include <stdio.h>

#include "codec/json.h"

enum { REPORT_MAX_BYTES = 64 << 10 };

void
report_init(struct report *r)
{
	*r = (struct report){ 0 };
	buf_init(&r->outcome, REPORT_MAX_BYTES);
	buf_init(&r->members, REPORT_MAX_BYTES);
	buf_init(&r->facts, REPORT_MAX_BYTES);
	buf_init(&r->facts_json, REPORT_MAX_BYTES);
}

void
report_fini(struct report *r)
{
	buf_fini(&r->outcome);
	buf_fini(&r->members);
	buf_fini(&r->facts);
	buf_fini(&r->facts_json);
}

void
report_check(struct report *r, const struct check *checks, size_t n)
{
	for (size_t i = 0; i < n && r->n_checks < REPORT_MAX_CHECKS; i++)
		r->check[r->n_checks++] = checks[i];
}

void
report_note(struct report *r, const char *note)
{
	for (size_t i = 0; i < r->n_notes; i++)
		if (r->note[i] == note)
			return;
	if (r->n_notes < REPORT_MAX_NOTES)
		r->note[r->n_notes++] = note;
}

/* The text may be a stranger's: whatever is no printable ASCII is shown as a question mark. */
void
report_fact(struct report *r, const char *name, struct span text)
{
	buf_put_str(&r->facts, "  ");
	buf_put_str(&r->facts, name);
	buf_put_str(&r->facts, ": ");
	for (size_t i = 0; i < text.n; i++)
		buf_put_byte(&r->facts, text.p[i] >= ' ' && text.p[i] < 0x7f ? text.p[i] : '?');
	buf_put_byte(&r->facts, '\n');
	buf_put_str(&r->facts_json, r->facts_json.n == 0 ? "\"" : ",\"");
	buf_put_str(&r->facts_json, name);
	buf_put_str(&r->facts_json, "\":");
	json_put_string(&r->facts_json, text);
}

static void
put_name(struct report *r, const char *name)
{
	buf_put_str(&r->members, ",\"");
	buf_put_str(&r->members, name);
	buf_put_str(&r->members, "\":");
}

void
report_member(struct report *r, const char *name, struct span text)
{
	put_name(r, name);
	json_put_string(&r->members, text);
}

void
report_member_u64(struct report *r, const char *name, uint64_t v)
{
	put_name(r, name);
	buf_put_u64(&r->members, v);
}

void
report_member_bool(struct report *r, const char *name, bool v)
{
	put_name(r, name);
	buf_put_str(&r->members, v ? "true" : "false");
}

static const char *
verdict_name(enum check_verdict verdict)
{
	switch (verdict) {
	case CHECK_PASSED:
		return "ok";
	case CHECK_FAILED:
		return "failed";
	case CHECK_SKIPPED:
		return "skipped";
	case CHECK_NONE:
		return "none";
	case CHECK_PENDING:
		break;
	}
	return "not reached";
}

static void
put_text_report(struct buf *b, const struct report *r, struct err e)
{
	if (failed(e)) {
		buf_put_str(b, "not verified\n");
	} else {
		buf_put_str(b, "verified: ");
		buf_put(b, buf_span(&r->outcome));
		buf_put_byte(b, '\n');
	}
	for (size_t i = 0; i < r->n_notes && !failed(e); i++) {
		buf_put_str(b, r->note[i]);
		buf_put_byte(b, '\n');
	}
	for (size_t i = 0; i < r->n_checks; i++) {
		const struct check *c = &r->check[i];

		buf_put_str(b, verdict_name(c->verdict));
		buf_put_str(b, ": ");
		buf_put_str(b, c->name);
		buf_put_str(b, ": ");
		buf_put_str(b, c->what);
		buf_put_str(b, " (");
		buf_put_str(b, c->source);
		buf_put_str(b, ")\n");
	}
	if (r->facts.n > 0) {
		buf_put_str(
		    b, r->of_image ? "the image holds:\n" : "the attestation document says:\n");
		buf_put(b, buf_span(&r->facts));
	}
	if (r->result != NULL && !failed(e)) {
		buf_put(b, buf_span(r->result));
		buf_put_byte(b, '\n');
	}
}

/* The identifier that begins the errors of src/attest ("cert-expired: ..."); empty: none does. */
static struct span
reason_of(struct span what)
{
	for (size_t i = 0; i < what.n; i++) {
		uint8_t c = what.p[i];

		if (c == ':')
			return span_cut(what, 0, i);
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			break;
	}
	return SPAN_NONE;
}

static void
put_json_report(struct buf *b, const struct report *r, struct err e)
{
	buf_put_str(b, failed(e) ? "{\"verified\":false,\"error\":" : "{\"verified\":true");
	if (failed(e)) {
		struct span reason = reason_of(span_str(e.what));

		json_put_string(b, span_str(e.what));
		if (reason.n > 0) {
			buf_put_str(b, ",\"reason\":");
			json_put_string(b, reason);
		}
	} else {
		buf_put(b, buf_span(&r->members));
		if (r->result != NULL) {
			buf_put_str(b, ",\"");
			buf_put_str(b, r->result_name);
			buf_put_str(b, "\":");
			buf_put(b, buf_span(r->result));
		}
	}
	if (r->facts_json.n > 0) {
		buf_put_str(b, r->of_image ? ",\"image\":{" : ",\"document\":{");
		buf_put(b, buf_span(&r->facts_json));
		buf_put_byte(b, '}');
	}
	buf_put_str(b, ",\"checks\":[");
	for (size_t i = 0; i < r->n_checks; i++) {
		const struct check *c = &r->check[i];

		buf_put_str(b, i == 0 ? "{\"name\":" : ",{\"name\":");
		json_put_string(b, span_str(c->name));
		buf_put_str(b, ",\"verdict\":");
		json_put_string(b, span_str(verdict_name(c->verdict)));
		buf_put_str(b, ",\"what\":");
		json_put_string(b, span_str(c->what));
		buf_put_str(b, ",\"source\":");
		json_put_string(b, span_str(c->source));
		buf_put_byte(b, '}');
	}
	buf_put_str(b, "]}\n");
}

int
report_finish(const struct report *r, bool json, struct err e)
{
	int status = failed(e) ? EXIT_NOT_VERIFIED : EXIT_VERIFIED;
	struct buf b;

	if (e.code == ERR_NOMEM || e.code == ERR_SYSTEM || e.code == ERR_UPSTREAM ||
	    e.code == ERR_TIMEOUT) {
		fprintf(stderr, "tee-verify: could not check: %s%s%s\n",
		    r->about != NULL ? r->about : "", r->about != NULL ? ": " : "", e.what);
		return EXIT_NOT_CHECKED;
	}
	if (failed(e))
		fprintf(stderr, "not verified: %s\n", e.what);
	buf_init(&b, 6 * REPORT_MAX_BYTES + (r->result != NULL ? r->result->n : 0));
	if (json)
		put_json_report(&b, r, e);
	else
		put_text_report(&b, r, e);
	/* Whoever reads only the output must not take a report that got lost for a success. */
	if (failed(buf_check(&r->outcome)) || failed(buf_check(&r->members)) ||
	    failed(buf_check(&r->facts)) || failed(buf_check(&r->facts_json)) ||
	    failed(buf_check(&b)) || fwrite(b.p, 1, b.n, stdout) != b.n || fflush(stdout) != 0) {
		fprintf(stderr, "tee-verify: cannot write the report\n");
		status = status == EXIT_VERIFIED ? EXIT_NOT_CHECKED : status;
	}
	buf_fini(&b);
	return status;
}
