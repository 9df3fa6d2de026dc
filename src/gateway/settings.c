#include "gateway/settings.h"

#include <assert.h>
#include <string.h>

#include "core/limits.h"
#include "gateway/gateway.h"
#include "provider/provider.h"
#include "sys/harden.h"

enum { VERSION = 2 };

const char *
provisioning_name(enum provisioning how)
{
	static const char *const names[] = { "none", "environment", "plain", "sealed" };

	return names[how];
}

const struct settings *
gateway_settings(const struct gateway *gw)
{
	return atomic_load_explicit(&gw->settings, memory_order_acquire);
}

void
gateway_set_settings(struct gateway *gw, struct settings *s)
{
	size_t i = 0;

	while (i < SETTINGS_MAX && gw->kept[i] != NULL)
		i++;
	assert(i < SETTINGS_MAX);
	gw->kept[i] = s;
	atomic_store_explicit(&gw->settings, s, memory_order_release);
}

void
gateway_forget_settings(struct gateway *gw)
{
	atomic_store(&gw->settings, NULL);
	for (size_t i = 0; i < SETTINGS_MAX; i++) {
		settings_free(gw->kept[i]);
		gw->kept[i] = NULL;
	}
}

bool
settings_provisioned(const struct settings *s)
{
	return s != NULL && s->how != PROVISIONING_NONE;
}

bool
settings_serve(const struct settings *s, enum provider_id id)
{
	return provider_of(id) == NULL || (s != NULL && s->has_key[id]);
}

struct span
settings_key(const struct settings *s, enum provider_id id)
{
	struct span line = span_str(s->auth[id]);
	const struct provider *p = provider_of(id);
	size_t prefix = p == NULL ? 0 : strlen(p->auth_prefix);

	return line.n > prefix ? span_cut(line, prefix, line.n) : SPAN_NONE;
}

struct settings *
settings_new(void)
{
	bool locked; /* else as much of it as the limit allows: the log says so at the start */

	return harden_map(sizeof(struct settings), &locked);
}

void
settings_free(struct settings *s)
{
	harden_unmap(s, sizeof(*s));
}

/* --- what fits --- */

bool
settings_key_fits(struct span key)
{
	for (size_t i = 0; i < key.n; i++)
		if (key.p[i] <= 0x20 || key.p[i] >= 0x7f)
			return false;
	return key.n > 0 && key.n <= SETTINGS_KEY_MAX;
}

/* No byte that is not allowed in a URL (RFC 3986 2), nor one that begins query, fragment or host. */
static bool
url_byte(uint8_t c)
{
	static const char others[] = "-._~:/[]!$&'()*+,;=%";

	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr(others, c) != NULL);
}

bool
settings_url_fits(struct span *url)
{
	size_t scheme = span_starts(*url, SPAN_LIT("https://")) ? 8
	    : span_starts(*url, SPAN_LIT("http://"))		? 7
								: SIZE_MAX;

	if (scheme == SIZE_MAX)
		return false;
	while (url->n > scheme && url->p[url->n - 1] == '/')
		url->n--;
	for (size_t i = scheme; i < url->n; i++)
		if (!url_byte(url->p[i]))
			return false;
	return url->n > scheme && url->n <= SETTINGS_URL_MAX && url->p[scheme] != '/' &&
	    url->p[scheme] != ':';
}

bool
settings_address_fits(struct address *a, struct span text)
{
	bool lower = false, upper = false;
	char spelling[ADDRESS_LEN];

	if (!address_parse(a, text))
		return false;
	for (size_t i = 2; i < text.n; i++) {
		lower = lower || (text.p[i] >= 'a' && text.p[i] <= 'f');
		upper = upper || (text.p[i] >= 'A' && text.p[i] <= 'F');
	}
	address_text(a, spelling);
	return !lower || !upper || span_eq(text, span_of(spelling, ADDRESS_LEN));
}

/* --- filling in --- */

void
settings_put_text(char *place, size_t place_bytes, struct span text)
{
	size_t n = text.n < place_bytes ? text.n : place_bytes - 1;

	if (n > 0)
		memcpy(place, text.p, n);
	place[n] = '\0';
}

void
settings_put_key(struct settings *s, enum provider_id id, struct span key)
{
	const char *prefix = provider_of(id)->auth_prefix;
	size_t n = strlen(prefix);

	memcpy(s->auth[id], prefix, n);
	settings_put_text(s->auth[id] + n, sizeof(s->auth[id]) - n, key);
	s->has_key[id] = true;
}

struct err
settings_default(struct settings **out, const struct options *o)
{
	struct settings *s = settings_new();

	if ((*out = s) == NULL)
		return FAIL(NOMEM, "settings");
	s->pay_to_address = o->pay_to;
	address_text(&o->pay_to, s->pay_to);
	settings_put_text(s->public_url, sizeof(s->public_url), o->public_url);
	settings_put_text(s->facilitator_url, sizeof(s->facilitator_url), o->facilitator_url);
	s->payments = o->payments;
	s->heartbeat_interval_s = HEARTBEAT_INTERVAL_S;
	s->heartbeat_buffer_s = HEARTBEAT_BUFFER_S;
	return OK;
}

struct err
settings_of_environment(struct settings **out, const struct options *o)
{
	TRY(settings_default(out, o));
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++)
		if (o->key[i] != NULL && provider_of(i) != NULL) {
			settings_put_key(*out, i, span_str(o->key[i]));
			(*out)->how = PROVISIONING_ENVIRONMENT;
		}
	return OK;
}

/* --- the bytes that the key holder keeps --- */

static void
put_number(struct buf *b, uint32_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_put_byte(b, (uint8_t)(v >> shift));
}

static void
put_part(struct buf *b, struct span part)
{
	buf_put_byte(b, (uint8_t)(part.n >> 8));
	buf_put_byte(b, (uint8_t)part.n);
	buf_put(b, part);
}

void
settings_encode(struct buf *b, const struct settings *s)
{
	buf_put_byte(b, VERSION);
	buf_put_byte(b, (uint8_t)s->how);
	buf_put_byte(b, s->payments);
	put_number(b, s->heartbeat_interval_s);
	put_number(b, s->heartbeat_buffer_s);
	put_part(b, span_str(s->pay_to));
	put_part(b, span_str(s->public_url));
	put_part(b, span_str(s->facilitator_url));
	put_part(b, span_str(s->heartbeat_contract));
	put_part(b, span_str(s->provisioner));
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++)
		if (s->has_key[i]) {
			put_part(b, span_str(provider_name(i)));
			put_part(b, settings_key(s, i));
		}
}

/* A cursor that cannot pass its end: .p is NULL once it would have. */
static struct span
take(struct span *s, size_t n)
{
	struct span head;

	if (s->p == NULL || s->n < n) {
		*s = SPAN_NONE;
		return SPAN_NONE;
	}
	head = span_cut(*s, 0, n);
	*s = span_cut(*s, n, s->n);
	return head;
}

static uint32_t
take_number(struct span *s, size_t bytes)
{
	struct span raw = take(s, bytes);
	uint32_t v = 0;

	for (size_t i = 0; i < raw.n; i++)
		v = v << 8 | raw.p[i];
	return v;
}

static struct span
take_part(struct span *s)
{
	return take(s, take_number(s, 2));
}

/* An address in its one spelling, or nothing. */
static bool
take_address(struct span *s, char text[static ADDRESS_LEN + 1], struct address *a)
{
	struct span part = take_part(s);

	if (part.n == 0)
		return true;
	if (!address_parse(a, part))
		return false;
	address_text(a, text);
	return span_eq(span_of(text, ADDRESS_LEN), part);
}

static bool
take_url(struct span *s, char url[static SETTINGS_URL_MAX + 1])
{
	struct span part = take_part(s), fits = part;

	if (part.n > 0 && (!settings_url_fits(&fits) || fits.n != part.n))
		return false;
	settings_put_text(url, SETTINGS_URL_MAX + 1, part);
	return true;
}

static bool
take_key(struct span *s, struct settings *to)
{
	struct span name = take_part(s), key = take_part(s);
	enum provider_id id = 0;

	while (id < PROVIDER_COUNT && !span_eq(name, span_str(provider_name(id))))
		id++;
	if (s->p == NULL || id == PROVIDER_COUNT || provider_of(id) == NULL || to->has_key[id] ||
	    !settings_key_fits(key))
		return false;
	settings_put_key(to, id, key);
	return true;
}

static struct err
parse(struct settings *to, struct span s)
{
	struct address contract;
	struct span thumbprint;
	uint32_t how, payments;

	if (take_number(&s, 1) != VERSION || s.p == NULL)
		return FAIL(MALFORMED, "settings: version");
	how = take_number(&s, 1);
	payments = take_number(&s, 1);
	to->heartbeat_interval_s = take_number(&s, 4);
	to->heartbeat_buffer_s = take_number(&s, 4);
	if (how > PROVISIONING_SEALED || payments > 1)
		return FAIL(MALFORMED, "settings: a number");
	to->how = (enum provisioning)how;
	to->payments = payments == 1;
	if (!take_address(&s, to->pay_to, &to->pay_to_address))
		return FAIL(MALFORMED, "settings: pay_to");
	if (!take_url(&s, to->public_url) || !take_url(&s, to->facilitator_url))
		return FAIL(MALFORMED, "settings: a URL");
	if (!take_address(&s, to->heartbeat_contract, &contract))
		return FAIL(MALFORMED, "settings: the heartbeat's contract");
	thumbprint = take_part(&s);
	if (s.p == NULL || (thumbprint.n != 0 && thumbprint.n != SETTINGS_THUMBPRINT_LEN))
		return FAIL(MALFORMED, "settings: length");
	settings_put_text(to->provisioner, sizeof(to->provisioner), thumbprint);
	while (s.n > 0)
		if (!take_key(&s, to))
			return FAIL(MALFORMED, "settings: a key");
	return OK;
}

struct err
settings_parse(struct settings **out, struct span bytes)
{
	struct settings *s = settings_new();
	struct err e;

	*out = NULL;
	if (s == NULL)
		return FAIL(NOMEM, "settings");
	if (failed(e = parse(s, bytes)))
		settings_free(s);
	else
		*out = s;
	return e;
}
