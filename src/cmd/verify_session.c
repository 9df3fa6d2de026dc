#include "cmd/verify_session.h"

#include <stdio.h>

#include "codec/b64.h"
#include "codec/hex.h"
#include "crypto/ct.h"
#include "crypto/rng.h"

#define ATTESTATION_PATH "/enclave/attestation"

enum { FIRST_NOT_ASCII = 0x80, PATH_MAX_BYTES = 128 };

struct err
document_decode(struct buf *cbor, struct span s)
{
	/* An array or a tag begins so; no character of Base64 does. */
	if (s.n > 0 && s.p[0] >= FIRST_NOT_ASCII) {
		buf_put(cbor, s);
		return buf_check(cbor);
	}
	return b64_parse(cbor, span_trim(s));
}

int
session_init(struct session *s, const struct options *o)
{
	struct err e;

	*s = (struct session){ 0 };
	/* One byte more than a document may have: it is the verifier who refuses it. */
	buf_init(&s->document, COSE_MAX_BYTES + 1);
	buf_init(&s->leaf, FETCH_LEAF_MAX_BYTES);
	if (failed(e = fetch_url_parse(&s->url, span_str(o->value[OPTION_URL]))))
		return options_usage("--url", e.what);
	return 0;
}

void
session_fini(struct session *s)
{
	buf_fini(&s->document);
	buf_fini(&s->leaf);
	s->d = (struct attest_document){ 0 };
}

/* user_data names the certificate by its hash; whoever forwards a document has another one. */
static struct err
check_leaf(const struct session *s, struct span leaf_der)
{
	uint8_t digest[SHA256_LEN];

	sha256_of(leaf_der, digest);
	if (!ct_equal(span_of(digest, sizeof(digest)),
		span_of(s->bound.tls_certificate, sizeof(s->bound.tls_certificate))))
		return FAIL(REFUSED,
		    "tls-certificate-mismatch: interfaces.md V3: the connection's certificate is "
		    "not "
		    "the enclave's: someone is in between");
	return OK;
}

static struct err
check_binding(struct session *s)
{
	TRY(user_data_parse(&s->bound, s->d.user_data));
	return check_leaf(s, buf_span(&s->leaf));
}

static struct err
fetch_document(struct session *s, struct span nonce, struct report *r)
{
	char path[PATH_MAX_BYTES];
	struct buf hex, body;
	struct err e;

	buf_init(&hex, 2 * SESSION_NONCE_LEN);
	buf_init(&body, FETCH_BODY_MAX_BYTES);
	hex_put(&hex, nonce);
	if (!failed(e = buf_check(&hex))) {
		(void)snprintf(path, sizeof(path), ATTESTATION_PATH "?nonce=%.*s", (int)hex.n,
		    (const char *)hex.p);
		r->about = ATTESTATION_PATH;
		e = fetch_get(&s->url, path, &body, &s->leaf);
	}
	if (!failed(e) && failed(document_decode(&s->document, buf_span(&body))))
		e = FAIL(
		    MALFORMED, "cose-structure: opengradient.md 2: the document is not Base64");
	buf_fini(&body);
	buf_fini(&hex);
	return e;
}

struct err
session_open(struct session *s, const struct verify_policy *p, struct report *r)
{
	struct check tls = { "tls_certificate", "interfaces.md V3",
		"user_data names the certificate of this connection", CHECK_PENDING };
	struct attest_policy mine = p->attest;
	uint8_t nonce[SESSION_NONCE_LEN];
	struct err e;

	if (mine.nonce.p == NULL) {
		rng_bytes(nonce, sizeof(nonce));
		mine.nonce = span_of(nonce, sizeof(nonce));
	}
	if (!failed(e = fetch_document(s, mine.nonce, r))) {
		e = verify_policy_judge(p, &mine, buf_span(&s->document), &s->d, r);
		if (!failed(e)) {
			e = check_binding(s);
			tls.verdict = failed(e) ? CHECK_FAILED : CHECK_PASSED;
		}
		report_check(r, &tls, 1);
	}
	return e;
}

struct err
session_get(const struct session *s, struct report *r, const char *path, struct buf *body)
{
	struct buf leaf;
	struct err e;

	r->about = path;
	buf_init(&leaf, FETCH_LEAF_MAX_BYTES);
	if (!failed(e = fetch_get(&s->url, path, body, &leaf)))
		e = check_leaf(s, buf_span(&leaf));
	buf_fini(&leaf);
	return e;
}
