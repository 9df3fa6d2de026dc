/*
 * verify_identity.h - a gateway whose attestation, TLS certificate, signing key, receipt key and
 * published configuration were found to be one identity: for the commands that go on from there.
 * Source: interfaces.md R2, R3, R9, V3.
 */
#ifndef CMD_VERIFY_IDENTITY_H
#define CMD_VERIFY_IDENTITY_H

#include <stdbool.h>

#include "cmd/report.h"
#include "cmd/verify_options.h"
#include "cmd/verify_policy.h"
#include "cmd/verify_session.h"
#include "codec/json.h"
#include "core/arena.h"
#include "receipt/anchor.h"

/* What it holds is to be believed once identity_judge() returned OK. */
struct identity {
	struct verify_policy *policy;
	struct session session;
	struct report *r;
	struct buf expected_config; /* --config; empty: none was given */
	bool has_expected;
	struct buf keys_text, set_text, config_text, spki; /* spki: DER of the signing key */
	struct json keys, config; /* of /signing-key and /.well-known/tee-config */
	struct arena arena;
	struct receipt_anchor anchor;
};

/*
 * Reads --url, the policy's options and --config. 0, or the exit status of what has been printed.
 * The caller calls identity_fini() whatever came out.
 */
int identity_init(struct identity *i, const struct options *o, struct report *r);
/* Safe twice. */
void identity_fini(struct identity *i);

/*
 * Fetches and compares all of it; the checks go to the report.
 * Errors: those of session_open() and session_get(); MALFORMED, REFUSED
 */
MUST_USE struct err identity_judge(struct identity *i);
/* A member of the published configuration; JSON_NONE: absent. */
uint32_t identity_config(const struct identity *i, const char *name);

#endif
