#include "gateway/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "core/limits.h"
#include "crypto/es256.h"
#include "gateway/enclave.h"
#include "gateway/policy.h"
#include "sys/clock.h"

#define SYSTEM_ROOTS "/etc/ssl/certs/ca-certificates.crt"

enum { FILE_MAX_BYTES = 16 << 20 };

static struct err
read_file(struct buf *b, const char *path, char *why, size_t why_bytes)
{
	FILE *f = fopen(path, "rb");
	uint8_t chunk[16384];
	size_t n;

	if (f == NULL) {
		snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
		return FAIL(SYSTEM, "open");
	}
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_put(b, span_of(chunk, n));
	if (ferror(f) || b->over) {
		snprintf(why, why_bytes, "%s: %s", path, b->over ? "too large" : strerror(errno));
		fclose(f);
		return FAIL(SYSTEM, "read");
	}
	fclose(f);
	return OK;
}

/* The roots that count for providers, as one file in memory: its hash is published. */
static struct err
load_roots(struct gateway *gw, const char *extra, char *why, size_t why_bytes)
{
	struct buf pem;
	struct err e;
	size_t at = 0;

	buf_init(&pem, FILE_MAX_BYTES);
	e = read_file(&pem, SYSTEM_ROOTS, why, why_bytes);
	if (!failed(e) && extra != NULL) {
		buf_put_byte(&pem, '\n');
		e = read_file(&pem, extra, why, why_bytes);
	}
	if (!failed(e) && (gw->ca_fd = memfd_create("ca", MFD_CLOEXEC)) < 0) {
		snprintf(why, why_bytes, "memfd_create: %s", strerror(errno));
		e = FAIL(SYSTEM, "memfd_create");
	}
	while (!failed(e) && at < pem.n) {
		ssize_t n = write(gw->ca_fd, pem.p + at, pem.n - at);

		if (n <= 0) {
			snprintf(why, why_bytes, "CA bundle: %s", strerror(errno));
			e = FAIL(SYSTEM, "write");
		} else {
			at += (size_t)n;
		}
	}
	if (!failed(e))
		sha256_of(buf_span(&pem), gw->ca_sha256);
	buf_fini(&pem);
	return e;
}

static struct err
load_tables(struct gateway *gw, const struct options *opt, char *why, size_t why_bytes)
{
	const char *models = opt->models_file != NULL ? opt->models_file : "models.json";
	const char *policy = opt->policy_file != NULL ? opt->policy_file : "policy.json";
	size_t where;
	struct err e;

	buf_init(&gw->models_text, FILE_MAX_BYTES);
	buf_init(&gw->policy_text, FILE_MAX_BYTES);
	if (opt->models_file != NULL)
		TRY(read_file(&gw->models_text, opt->models_file, why, why_bytes));
	else
		buf_put(&gw->models_text, embedded_models);
	if (opt->policy_file != NULL)
		TRY(read_file(&gw->policy_text, opt->policy_file, why, why_bytes));
	else
		buf_put(&gw->policy_text, embedded_policy);
	if (failed(e = models_parse(
		       &gw->models, buf_span(&gw->models_text), !opt->enclave /* A7 */, &where))) {
		snprintf(why, why_bytes, "%s: %s (entry %zu)", models, e.what, where);
		return e;
	}
	if (failed(e = policy_check(buf_span(&gw->policy_text))) ||
	    failed(e = policy_provisioning_read(&gw->forms, buf_span(&gw->policy_text))) ||
	    failed(e = deadlines_read(&gw->deadlines, buf_span(&gw->policy_text))) ||
	    (opt->payments &&
		failed(e = shop_policy_read(&gw->policy, buf_span(&gw->policy_text)))))
		snprintf(why, why_bytes, "%s: %s", policy, e.what);
	return e;
}

/* What the software module is to show for an image. */
static struct err
load_soft_pcrs(struct gateway *gw, const struct options *opt, char *why, size_t why_bytes)
{
	struct buf text;
	struct err e;

	if (opt->soft_pcrs_file == NULL)
		return OK;
	buf_init(&text, FILE_MAX_BYTES);
	if (!failed(e = read_file(&text, opt->soft_pcrs_file, why, why_bytes)) &&
	    failed(e = attest_pcrs_read(&gw->soft_pcrs, buf_span(&text))))
		snprintf(why, why_bytes, "%s: %s", opt->soft_pcrs_file, e.what);
	buf_fini(&text);
	return e;
}

static struct err
load_upstreams(struct gateway *gw, const struct options *opt)
{
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++) {
		struct upstream *up = &gw->upstream[i];
		const char *base = opt->base_url[i];
		size_t n;

		if ((up->provider = provider_of(i)) == NULL)
			continue;
		if (base == NULL)
			base = up->provider->base_url;
		n = strlen(base);
		while (n > 0 && base[n - 1] == '/')
			n--;
		if ((up->base_url = strndup(base, n)) == NULL)
			return FAIL(NOMEM, "url");
	}
	return OK;
}

struct err
config_load(struct gateway *gw, const struct options *opt, char *why, size_t why_bytes)
{
	struct err e;

	gw->opt = opt;
	gw->ca_fd = -1;
	snprintf(why, why_bytes, "out of memory");
	if (failed(e = load_tables(gw, opt, why, why_bytes)) ||
	    failed(e = load_soft_pcrs(gw, opt, why, why_bytes)) ||
	    failed(e = load_roots(gw, opt->ca_file, why, why_bytes)) ||
	    failed(e = load_upstreams(gw, opt)))
		config_unload(gw);
	return e;
}

void
config_unload(struct gateway *gw)
{
	models_fini(&gw->models);
	buf_fini(&gw->models_text);
	buf_fini(&gw->policy_text);
	buf_fini(&gw->seal_spki);
	buf_fini(&gw->seal_signature);
	for (size_t i = 0; i < PUBLISHED_MAX; i++)
		published_fini(&gw->published[i]);
	for (size_t i = 0; i < PROVIDER_COUNT; i++) {
		free(gw->upstream[i].base_url);
		gw->upstream[i].base_url = NULL;
	}
	if (gw->ca_fd >= 0)
		close(gw->ca_fd);
	gw->ca_fd = -1;
}

static const char *
platform_of(const struct gateway *gw)
{
	return gw->opt->enclave ? PLATFORM_ENCLAVE : PLATFORM_LOCAL;
}

static void
put_hash(struct buf *b, const char *name, struct span bytes, bool hashed)
{
	uint8_t digest[SHA256_LEN];

	buf_put_str(b, name);
	if (!hashed)
		sha256_of(bytes, digest);
	hex_put(b, hashed ? bytes : span_of(digest, SHA256_LEN));
}

/* What is unset is null. */
static void
put_setting(struct buf *b, const char *name, const char *value)
{
	buf_put_str(b, name);
	if (*value == '\0') {
		buf_put_str(b, "null");
		return;
	}
	buf_put_byte(b, '"');
	buf_put_str(b, value);
	buf_put_byte(b, '"');
}

static struct err
checked(struct published *p, const struct buf *b)
{
	struct err e = buf_check(b);

	if (failed(e))
		published_fini(p);
	return e;
}

/*
 * RFC 8785: names in order of their UTF-16 code units, no white space. All names and values here
 * are plain ASCII without quotes, so byte order is that order and nothing needs an escape.
 */
struct err
config_write(struct published *p, const struct gateway *gw, const struct settings *s)
{
	struct buf *b = &p->config;
	bool any = false;

	buf_init(b, CONFIG_MAX_BYTES);
	buf_init(&p->body, 2 * CONFIG_MAX_BYTES + RECEIPT_MAX_BYTES);
	buf_put_str(b, "{\"build_id\":\"");
	buf_put_str(b, build_id);
	put_hash(b, "\",\"ca_sha256\":\"", span_of(gw->ca_sha256, SHA256_LEN), true);
	buf_put_str(b, "\",\"egress\":\"direct\"");
	put_setting(b, ",\"facilitator_url\":", s == NULL ? "" : s->facilitator_url);
	put_setting(b, ",\"heartbeat_contract\":", s == NULL ? "" : s->heartbeat_contract);
	buf_put_str(b, gw->opt->enclave ? ",\"mode\":\"enclave\"" : ",\"mode\":\"local\"");
	put_hash(b, ",\"models_sha256\":\"", buf_span(&gw->models_text), false);
	put_setting(b, "\",\"pay_to\":", s == NULL ? "" : s->pay_to);
	put_setting(b, ",\"platform\":", platform_of(gw));
	put_hash(b, ",\"policy_sha256\":\"", buf_span(&gw->policy_text), false);
	buf_put_str(b, "\",\"providers\":[");
	for (enum provider_id i = 0; i < PROVIDER_COUNT; i++) {
		if (gw->upstream[i].provider == NULL || !settings_serve(s, i))
			continue;
		buf_put_str(b, any ? ",\"" : "\"");
		buf_put_str(b, provider_name(i));
		buf_put_byte(b, '"');
		any = true;
	}
	put_setting(b, "],\"provisioner\":", s == NULL ? "" : s->provisioner);
	put_setting(
	    b, ",\"provisioning\":", provisioning_name(s == NULL ? PROVISIONING_NONE : s->how));
	put_setting(b, ",\"public_url\":", s == NULL ? "" : s->public_url);
	put_setting(b, ",\"version\":", build_version);
	buf_put_byte(b, '}');
	sha256_of(buf_span(b), p->sha256);
	return checked(p, b);
}

struct err
config_sign(struct published *p, struct span jws)
{
	struct buf *b = &p->body;

	buf_put_str(b, "{\"config\":");
	buf_put(b, buf_span(&p->config));
	buf_put_str(b, ",\"jws\":\"");
	buf_put(b, jws);
	buf_put_str(b, "\"}");
	return checked(p, b);
}

void
published_fini(struct published *p)
{
	buf_fini(&p->config);
	buf_fini(&p->body);
}

const struct published *
config_published(const struct gateway *gw)
{
	return &gw->published[atomic_load(&gw->n_published) - 1];
}

static void
put_point(struct buf *b, struct span spki)
{
	/* The point stands at the end of a P-256 SPKI: 0x04, x, y. */
	struct span point = span_cut(spki, spki.n - 2 * ES256_COORD_LEN, spki.n);

	buf_put_str(b, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"");
	b64url_put(b, span_cut(point, 0, ES256_COORD_LEN));
	buf_put_str(b, "\",\"y\":\"");
	b64url_put(b, span_cut(point, ES256_COORD_LEN, point.n));
	buf_put_byte(b, '"');
}

static void
put_jwk(const struct gateway *gw, struct span document, struct buf *b)
{
	put_point(b, buf_span(&gw->id.receipt_spki));
	buf_put_str(b, ",\"kid\":\"");
	buf_put_str(b, gw->kid);
	buf_put_str(b, "\",\"use\":\"sig\",\"alg\":\"ES256\",\"signing_key\":\"");
	b64url_put(b, buf_span(&gw->id.signing_spki));
	buf_put_str(b, "\",\"receipt_key_signature\":\"");
	b64_put(b, buf_span(&gw->id.receipt_key_signature));
	if (document.p != NULL) {
		buf_put_str(b, "\",\"attestation\":\"");
		b64_put(b, document);
	}
	buf_put_str(b, "\"}");
}

void
config_put_jwks(const struct gateway *gw, struct span document, struct buf *b)
{
	buf_put_str(b, "{\"keys\":[");
	put_jwk(gw, document, b);
	buf_put_str(b, "]}");
}

struct err
config_name_key(struct gateway *gw)
{
	struct span spki = buf_span(&gw->id.receipt_spki);
	struct es256_pub pub;

	if (spki.n < 2 * ES256_COORD_LEN)
		return FAIL(SYSTEM, "the receipt key is no P-256 key");
	memcpy(pub.x, spki.p + spki.n - 2 * ES256_COORD_LEN, ES256_COORD_LEN);
	memcpy(pub.y, spki.p + spki.n - ES256_COORD_LEN, ES256_COORD_LEN);
	es256_pub_kid(&pub, gw->kid);
	return OK;
}

/* RFC 7468: lines of 64 characters. */
static void
put_pem(struct buf *b, struct span der)
{
	struct buf text;

	buf_init(&text, 4096);
	b64_put(&text, der);
	buf_put_str(b, "-----BEGIN PUBLIC KEY-----\\n");
	for (size_t at = 0; at < text.n; at += 64) {
		buf_put(b, span_cut(buf_span(&text), at, at + 64 < text.n ? at + 64 : text.n));
		buf_put_str(b, "\\n");
	}
	buf_put_str(b, "-----END PUBLIC KEY-----\\n");
	buf_fini(&text);
}

/* PCR0 to PCR2 of the hardware: what a simulation would show measures nothing. */
static void
put_measurements(const struct gateway *gw, const struct enclave *enclave, struct buf *b)
{
	char name[16];

	if (!gw->opt->enclave) {
		buf_put_str(b, "null");
		return;
	}
	for (unsigned i = 0; i < KEY_OWN_PCRS; i++) {
		snprintf(name, sizeof(name), "%s\"PCR%u\":\"", i == 0 ? "{" : ",", i);
		buf_put_str(b, name);
		hex_put(b, span_of(enclave->pcr[i], KEY_PCR_LEN));
		buf_put_byte(b, '"');
	}
	buf_put_byte(b, '}');
}

/* P3: while a provisioning may come, and may come sealed. */
static void
put_seal_key(struct buf *b, const struct gateway *gw)
{
	if (!atomic_load(&gw->provisioning_open) || !gw->forms.sealed)
		return;
	buf_put_str(b, ",\"seal_key\":");
	put_point(b, buf_span(&gw->seal_spki));
	buf_put_str(b, ",\"use\":\"enc\",\"alg\":\"ECDH-ES\"},\"seal_key_signature\":\"");
	b64_put(b, buf_span(&gw->seal_signature));
	buf_put_byte(b, '"');
}

void
config_put_signing_key(const struct gateway *gw, const struct enclave *enclave, struct buf *b)
{
	char now[CLOCK_ISO_LEN];

	clock_iso(clock_unix_s(), now);
	buf_put_str(b, "{\"public_key\":\"");
	put_pem(b, buf_span(&gw->id.signing_spki));
	buf_put_str(b, "\",\"tee_id\":\"");
	buf_put(b, span_of(gw->id.tee_id, sizeof(gw->id.tee_id)));
	buf_put_str(b, "\",\"wallet_address\":\"");
	buf_put(b, span_of(gw->id.wallet_address, sizeof(gw->id.wallet_address)));
	buf_put_str(b, "\",\"timestamp\":\"");
	buf_put(b, span_of(now, sizeof(now)));
	buf_put_str(b, "\",\"enclave_info\":{\"platform\":\"");
	buf_put_str(b, platform_of(gw));
	buf_put_str(b,
	    gw->opt->enclave ? "\",\"instance_type\":\"tee-enabled\""
			     : "\",\"instance_type\":\"none\"");
	buf_put_str(b, ",\"version\":\"");
	buf_put_str(b, build_version);
	buf_put_str(b, "\"},\"measurements\":");
	put_measurements(gw, enclave, b);
	buf_put_str(b, ",\"receipt_key\":");
	put_jwk(gw, SPAN_NONE, b);
	buf_put_str(b, ",\"receipt_key_signature\":\"");
	b64_put(b, buf_span(&gw->id.receipt_key_signature));
	buf_put_byte(b, '"');
	put_seal_key(b, gw);
	buf_put_byte(b, '}');
}
