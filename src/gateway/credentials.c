#include "gateway/credentials.h"

enum { VERSION = 1 };

static void
put_part(struct buf *b, struct span part)
{
	buf_put_byte(b, (uint8_t)(part.n >> 8));
	buf_put_byte(b, (uint8_t)part.n);
	buf_put(b, part);
}

/* FALSE: there is no whole part, and *s is as it was. */
static bool
take_part(struct span *s, struct span *part)
{
	size_t n;

	if (s->n < 2)
		return false;
	n = (size_t)s->p[0] << 8 | s->p[1];
	if (n > s->n - 2)
		return false;
	*part = span_cut(*s, 2, 2 + n);
	*s = span_cut(*s, 2 + n, s->n);
	return true;
}

struct err
credentials_take(struct gateway *gw, struct buf *b)
{
	buf_put_byte(b, VERSION);
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++) {
		struct buf *auth = &gw->upstream[i].auth;

		if (auth->n > 0 && auth->n <= UINT16_MAX) {
			put_part(b, span_str(provider_name(i)));
			put_part(b, buf_span(auth));
		}
		buf_fini(auth);
	}
	return buf_check(b);
}

static struct buf *
find_auth(struct gateway *gw, struct span name)
{
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++)
		if (span_eq(name, span_str(provider_name(i))))
			return &gw->upstream[i].auth;
	return NULL;
}

struct err
credentials_give(struct gateway *gw, struct span s)
{
	struct span name, credential;
	struct buf *auth;

	if (s.n == 0 || s.p[0] != VERSION)
		return FAIL(MALFORMED, "credentials: version");
	s = span_cut(s, 1, s.n);
	while (s.n > 0) {
		if (!take_part(&s, &name) || !take_part(&s, &credential) || credential.n == 0)
			return FAIL(MALFORMED, "credentials: length");
		if ((auth = find_auth(gw, name)) == NULL || auth->n > 0)
			return FAIL(MALFORMED, "credentials: no such provider, or twice");
		buf_put(auth, credential);
		if (failed(buf_check(auth)))
			return FAIL(NOMEM, "credentials: memory");
	}
	return OK;
}
