/*
 * verify_session.h - a gateway that has shown who it is: its attestation document for a fresh nonce,
 * verified, and its TLS certificate, which the document names. Everything fetched afterwards comes
 * under that certificate. Source: interfaces.md V3.
 */
#ifndef CMD_VERIFY_SESSION_H
#define CMD_VERIFY_SESSION_H

#include "attest/cose.h"
#include "attest/user_data.h"
#include "cmd/fetch.h"
#include "cmd/report.h"
#include "cmd/verify_policy.h"

enum { SESSION_NONCE_LEN = 20 };

struct session {
	struct fetch_url url;
	struct buf document;	  /* CBOR; d borrows it */
	struct buf leaf;	  /* DER of the connection's certificate, which it names */
	struct attest_document d; /* verified */
	struct user_data bound;	  /* what its user_data names */
};

/*
 * Reads --url. 0, or EXIT_USAGE with its line printed. The caller calls session_fini() whatever
 * came out.
 */
int session_init(struct session *s, const struct options *o);
/* Safe twice. */
void session_fini(struct session *s);

/*
 * Fetches the document and judges it; the checks go to the report. The nonce is --nonce, or a new
 * one.
 * Errors: those of attest_verify(), fetch_get(); REFUSED ("tls-certificate-mismatch")
 */
MUST_USE struct err
session_open(struct session *s, const struct verify_policy *p, struct report *r);
/*
 * GET on a connection of its own, which must show the certificate of the document.
 * path		a literal; body: an empty buffer
 */
MUST_USE struct err
session_get(const struct session *s, struct report *r, const char *path, struct buf *body);

/*
 * A document as text or bytes: Base64 with a line feed or without, or CBOR; appended.
 * Errors: MALFORMED, TOO_LARGE
 */
MUST_USE struct err document_decode(struct buf *cbor, struct span text_or_cbor);

#endif
