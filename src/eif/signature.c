#include "eif/signature.h"

#include "core/limits.h"

enum { UINT = 0, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5 }; /* RFC 8949 3.1 */
enum { PAYLOAD_MAX_BYTES = 256, TO_BE_SIGNED_MAX_BYTES = 512, COSE_MAX_BYTES = 1024 };

static const char key_certificate[] = "signing_certificate", key_signature[] = "signature";
static const char key_index[] = "register_index", key_value[] = "register_value";

/* RFC 9052 3: the protected header, {1: alg}. */
static const struct span protected[ECDSA_N_ALGS] = {
	[ECDSA_ES256] = SPAN_LIT("\xa1\x01\x26"),
	[ECDSA_ES384] = SPAN_LIT("\xa1\x01\x38\x22"),
	[ECDSA_ES512] = SPAN_LIT("\xa1\x01\x38\x23"),
};

/*
 * Reading. The cursor cannot pass its end; a section is below 64 KiB, so longer lengths are
 * refused as they are read.
 */
struct cursor {
	struct span s;
	size_t at;
};

static bool
take_head(struct cursor *c, unsigned major, size_t *value)
{
	size_t left = c->s.n - c->at;
	const uint8_t *p = c->s.p + c->at;
	unsigned info;

	if (left == 0 || p[0] >> 5 != major)
		return false;
	info = p[0] & 0x1f;
	if (info < 24) {
		*value = info;
		c->at += 1;
	} else if (info == 24 && left >= 2 && p[1] >= 24) {
		*value = p[1];
		c->at += 2;
	} else if (info == 25 && left >= 3 && p[1] != 0) {
		*value = (size_t)p[1] << 8 | p[2];
		c->at += 3;
	} else {
		return false;
	}
	return true;
}

static bool
take_value(struct cursor *c, unsigned major, size_t wanted)
{
	size_t value;

	return take_head(c, major, &value) && value == wanted;
}

static bool
take_string(struct cursor *c, unsigned major, struct span *out)
{
	size_t n;

	if (!take_head(c, major, &n) || n > c->s.n - c->at)
		return false;
	*out = span_cut(c->s, c->at, c->at + n);
	c->at += n;
	return true;
}

static bool
take_key(struct cursor *c, const char *name)
{
	struct span text;

	return take_string(c, TEXT, &text) && span_eq(text, span_str(name));
}

/* An array of integers 0 to 255; out may be NULL. */
static bool
take_octets(struct cursor *c, struct buf *out)
{
	size_t n, v;

	if (!take_head(c, ARRAY, &n) || n > c->s.n - c->at)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!take_head(c, UINT, &v) || v > 0xff)
			return false;
		if (out != NULL)
			buf_put_byte(out, (uint8_t)v);
	}
	return true;
}

static struct err
read_section(struct span section, struct buf *pem, struct buf *cose)
{
	struct cursor c = { section, 0 };
	size_t n;

	if (!take_head(&c, ARRAY, &n) || n == 0)
		return FAIL(MALFORMED, "eif.md 4: the signature section is no array of signatures");
	for (size_t i = 0; i < n; i++)
		if (!take_value(&c, MAP, 2) || !take_key(&c, key_certificate) ||
		    !take_octets(&c, i == 0 ? pem : NULL) || !take_key(&c, key_signature) ||
		    !take_octets(&c, i == 0 ? cose : NULL))
			return FAIL(MALFORMED,
			    "eif.md 4: not a signature in definite, shortest CBOR, in this order");
	if (c.at != section.n)
		return FAIL(MALFORMED, "eif.md 4: bytes follow the signatures");
	TRY(buf_check(pem));
	return buf_check(cose);
}

struct cose {
	struct span protected, payload, signature;
};

static struct err
read_cose(struct cose *out, struct span bytes)
{
	struct cursor c = { bytes, 0 };

	if (!take_value(&c, ARRAY, 4) || !take_string(&c, BYTES, &out->protected) ||
	    !take_value(&c, MAP, 0) || !take_string(&c, BYTES, &out->payload) ||
	    !take_string(&c, BYTES, &out->signature) || c.at != bytes.n)
		return FAIL(MALFORMED, "RFC 9052 4.2: not an untagged COSE_Sign1");
	return OK;
}

/*
 * Writing.
 */
static void
put_head(struct buf *b, unsigned major, size_t value)
{
	uint8_t first = (uint8_t)(major << 5);

	if (value < 24) {
		buf_put_byte(b, (uint8_t)(first | value));
	} else if (value <= 0xff) {
		buf_put_byte(b, first | 24);
		buf_put_byte(b, (uint8_t)value);
	} else {
		buf_put_byte(b, first | 25); /* all of ours are below 64 KiB */
		buf_put_byte(b, (uint8_t)(value >> 8));
		buf_put_byte(b, (uint8_t)value);
	}
}

static void
put_string(struct buf *b, unsigned major, struct span s)
{
	put_head(b, major, s.n);
	buf_put(b, s);
}

static void
put_octets(struct buf *b, struct span s)
{
	put_head(b, ARRAY, s.n);
	for (size_t i = 0; i < s.n; i++)
		put_head(b, UINT, s.p[i]);
}

static void
put_payload(struct buf *b, const uint8_t pcr0[static SHA384_LEN])
{
	put_head(b, MAP, 2);
	put_string(b, TEXT, span_str(key_index));
	put_head(b, UINT, 0);
	put_string(b, TEXT, span_str(key_value));
	put_octets(b, span_of(pcr0, SHA384_LEN));
}

/* RFC 9052 4.4: Sig_structure. */
static void
put_to_be_signed(struct buf *b, struct span protected_header, struct span payload)
{
	put_head(b, ARRAY, 4);
	put_string(b, TEXT, SPAN_LIT("Signature1"));
	put_string(b, BYTES, protected_header);
	put_string(b, BYTES, SPAN_LIT(""));
	put_string(b, BYTES, payload);
}

/*
 * Judging.
 */
static struct err
check_signature(const struct ecdsa_cert *certificate, const struct cose *cose)
{
	enum ecdsa_alg alg = ecdsa_cert_alg(certificate);
	struct buf message;
	struct err e;

	if (alg == ECDSA_NONE)
		return FAIL(REFUSED, "eif.md 4: the certificate's key is on none of the curves");
	if (!span_eq(cose->protected, protected[alg]))
		return FAIL(
		    REFUSED, "eif.md 4: the algorithm is not that of the certificate's curve");
	buf_init(&message, TO_BE_SIGNED_MAX_BYTES);
	put_to_be_signed(&message, cose->protected, cose->payload);
	if (failed(buf_check(&message)))
		e = FAIL(REFUSED, "eif.md 4: a payload of this length is no PCR0");
	else
		e = ecdsa_cert_verify(certificate, buf_span(&message), cose->signature);
	buf_fini(&message);
	return e;
}

/* There is one spelling of the payload, so the bytes are compared. */
static struct err
check_payload(struct span payload, const uint8_t pcr0[static SHA384_LEN])
{
	struct buf wanted;
	struct err e;

	buf_init(&wanted, PAYLOAD_MAX_BYTES);
	put_payload(&wanted, pcr0);
	e = buf_check(&wanted);
	if (!failed(e) && !span_eq(payload, buf_span(&wanted)))
		e = FAIL(REFUSED, "eif.md 4: what was signed is not this image's PCR0");
	buf_fini(&wanted);
	return e;
}

static struct err
judge(struct eif_signature *s, struct span section, const uint8_t pcr0[static SHA384_LEN],
    struct buf *pem, struct buf *cose_bytes)
{
	struct cose cose;
	struct err e;

	TRY(read_section(section, pem, cose_bytes));
	TRY(read_cose(&cose, buf_span(cose_bytes)));
	TRY(ecdsa_cert_from_pem(&s->certificate, buf_span(pem)));
	TRY(ecdsa_cert_der(s->certificate, &s->certificate_der));
	s->present = true;
	if (!failed(e = check_signature(s->certificate, &cose)))
		e = check_payload(cose.payload, pcr0);
	if (failed(e) && e.code != ERR_REFUSED)
		return e;
	s->good = !failed(e);
	s->why = e.what;
	return OK;
}

struct err
eif_signature_judge(
    struct eif_signature *s, struct span section, const uint8_t pcr0[static SHA384_LEN])
{
	struct buf pem, cose;
	struct err e;

	*s = (struct eif_signature){ 0 };
	buf_init(&s->certificate_der, EIF_SIGNATURE_MAX_BYTES);
	buf_init(&pem, EIF_SIGNATURE_MAX_BYTES);
	buf_init(&cose, EIF_SIGNATURE_MAX_BYTES);
	e = judge(s, section, pcr0, &pem, &cose);
	buf_fini(&cose);
	buf_fini(&pem);
	return e;
}

void
eif_signature_fini(struct eif_signature *s)
{
	ecdsa_cert_free(s->certificate);
	buf_fini(&s->certificate_der);
	*s = (struct eif_signature){ 0 };
}

static struct err
put_cose(struct buf *cose, const struct ecdsa_key *key, struct span payload)
{
	struct span header = protected[ecdsa_key_alg(key)];
	struct buf message, sig;
	struct err e;

	buf_init(&message, TO_BE_SIGNED_MAX_BYTES);
	buf_init(&sig, ECDSA_SIG_MAX_BYTES);
	put_to_be_signed(&message, header, payload);
	if (!failed(e = buf_check(&message)) &&
	    !failed(e = ecdsa_key_sign(key, buf_span(&message), &sig))) {
		put_head(cose, ARRAY, 4);
		put_string(cose, BYTES, header);
		put_head(cose, MAP, 0);
		put_string(cose, BYTES, payload);
		put_string(cose, BYTES, buf_span(&sig));
		e = buf_check(cose);
	}
	buf_fini(&sig);
	buf_fini(&message);
	return e;
}

static struct err
check_pair(const struct ecdsa_key *key, struct span pem)
{
	struct ecdsa_cert *certificate;
	bool fits;

	TRY(ecdsa_cert_from_pem(&certificate, pem));
	fits = ecdsa_key_fits(key, certificate);
	ecdsa_cert_free(certificate);
	return fits ? OK : FAIL(REFUSED, "eif.md 4: the certificate is not for this key");
}

struct err
eif_signature_make(struct buf *section, const struct ecdsa_key *key, struct span pem,
    const uint8_t pcr0[static SHA384_LEN])
{
	struct buf payload, cose;
	struct err e;

	TRY(check_pair(key, pem));
	buf_init(&payload, PAYLOAD_MAX_BYTES);
	buf_init(&cose, COSE_MAX_BYTES);
	put_payload(&payload, pcr0);
	if (!failed(e = buf_check(&payload)) &&
	    !failed(e = put_cose(&cose, key, buf_span(&payload)))) {
		put_head(section, ARRAY, 1);
		put_head(section, MAP, 2);
		put_string(section, TEXT, span_str(key_certificate));
		put_octets(section, pem);
		put_string(section, TEXT, span_str(key_signature));
		put_octets(section, buf_span(&cose));
		e = buf_check(section);
	}
	buf_fini(&cose);
	buf_fini(&payload);
	return e;
}
