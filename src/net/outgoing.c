#include "net/outgoing.h"

#include <stdbool.h>
#include <string.h>

#include "core/span.h"
#include "core/wipe.h"
#include "net/listen.h"

static bool
may_go(const char *scheme, const char *host, enum egress_plain plain)
{
	if (span_eq(span_str(scheme), SPAN_LIT("https")))
		return true;
	return span_eq(span_str(scheme), SPAN_LIT("http")) &&
	    (plain == EGRESS_PLAIN_ANY ||
		(plain == EGRESS_PLAIN_LOOPBACK && listen_is_loopback(span_str(host))));
}

static struct err
take_url(struct outgoing *o, const char *url, enum egress_plain plain)
{
	char *host = NULL, *scheme = NULL;
	struct span name;
	bool good;

	if ((o->url = curl_url()) == NULL)
		return FAIL(NOMEM, "egress: memory");
	good = curl_url_set(o->url, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
	    curl_url_get(o->url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(o->url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK;
	name = span_str(host);
	if (name.n > 1 && name.p[0] == '[')
		name = span_cut(name, 1, name.n - 1);
	good = good && name.n < sizeof(o->host) && may_go(scheme, host, plain);
	if (good) {
		memcpy(o->host, name.p, name.n);
		o->tls = span_eq(span_str(scheme), SPAN_LIT("https"));
	}
	curl_free(host);
	curl_free(scheme);
	return good ? OK : FAIL(MALFORMED, "egress: URL");
}

static struct err
add_field(struct outgoing *o, const char *line)
{
	struct curl_slist *list;

	/* A line break in a value would make a second field, or a second request. */
	for (const char *p = line; *p != '\0'; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return FAIL(MALFORMED, "egress: control byte in a field");
	if ((list = curl_slist_append(o->field, line)) == NULL)
		return FAIL(NOMEM, "egress: memory");
	o->field = list;
	return OK;
}

struct err
outgoing_init(
    struct outgoing *o, const char *url, const char *const *field, enum egress_plain plain)
{
	*o = (struct outgoing){ 0 };
	TRY(take_url(o, url, plain));
	/* We hash what comes, so it must come as it is; and a large body waits for no 100. */
	TRY(add_field(o, "Accept-Encoding: identity"));
	TRY(add_field(o, "Expect:"));
	for (; *field != NULL; field++)
		TRY(add_field(o, *field));
	return OK;
}

void
outgoing_fini(struct outgoing *o)
{
	for (struct curl_slist *f = o->field; f != NULL; f = f->next)
		wipe(f->data, strlen(f->data));
	curl_slist_free_all(o->field);
	curl_url_cleanup(o->url);
	*o = (struct outgoing){ 0 };
}
