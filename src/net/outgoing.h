/*
 * outgoing.h - URL and fields of a request that goes out, checked and copied. Used by egress.c
 * only. The copies hold a provider's key: they are wiped before they are freed.
 */
#ifndef NET_OUTGOING_H
#define NET_OUTGOING_H

#include <curl/curl.h>

#include "core/err.h"
#include "net/egress.h"

struct outgoing {
	CURLU *url;
	struct curl_slist *field;
	char host[256]; /* without the brackets of an IPv6 address */
	bool tls;	/* https */
};

/*
 * https only, and http where `plain` lets it; no user or password in the URL; no control byte in a field
 * line (field is NULL-terminated). Adds the fields that every request of ours has.
 * Errors: MALFORMED, NOMEM; outgoing_fini() is due after them too.
 */
MUST_USE struct err outgoing_init(
    struct outgoing *o, const char *url, const char *const *field, enum egress_plain plain);
void outgoing_fini(struct outgoing *o);

#endif
