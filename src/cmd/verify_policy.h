/*
 * verify_policy.h - what the options expect of an attestation document.
 * Source: interfaces.md section 10, V2 to V4, V6.
 */
#ifndef CMD_VERIFY_POLICY_H
#define CMD_VERIFY_POLICY_H

#include <stdbool.h>

#include "attest/pcrs.h"
#include "attest/verify.h"
#include "cmd/report.h"
#include "cmd/verify_options.h"
#include "core/buf.h"

/* `attest` borrows the rest of the struct, which must not move. */
struct verify_policy {
	struct attest_policy attest;
	bool custom_root; /* not AWS's: whatever it says is no hardware */
	struct attest_pcrs pcrs[OPTION_MAX_PCRS];
	struct buf root;
	uint8_t nonce[ATTEST_MEMBER_MAX_BYTES], user_data[ATTEST_MEMBER_MAX_BYTES];
};

/*
 * Reads options and files. 0, or the exit status (EXIT_USAGE, EXIT_NOT_CHECKED) of what has been
 * printed. The caller calls verify_policy_fini() whatever came out.
 */
int verify_policy_init(struct verify_policy *p, const struct options *o);
/*
 * Adds what one measurements file expects. 0, or the exit status of what has been printed:
 * EXIT_NOT_CHECKED (it cannot be read), EXIT_USAGE (it is none).
 */
int verify_policy_read_pcrs(struct attest_pcrs *e, const char *path);
/* Safe twice. */
void verify_policy_fini(struct verify_policy *p);

/*
 * attest_verify() under `a`, which is p->attest or a variant of it; the checks, and what the
 * document says, go to the report. *d as there.
 */
MUST_USE struct err
verify_policy_judge(const struct verify_policy *p, const struct attest_policy *a,
    struct span document, struct attest_document *d, struct report *r);

#endif
