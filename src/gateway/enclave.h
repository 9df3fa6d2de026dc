/*
 * enclave.h - who we are, as a loop knows it: the document of our own that the key set carries, the
 * module's measurements and clock; and the routes under /enclave that need nothing else.
 * Source: interfaces.md section 4, R3; nitro-attestation.md 5.4.
 */
#ifndef GATEWAY_ENCLAVE_H
#define GATEWAY_ENCLAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "gateway/call.h"
#include "keyholder/proto.h"

struct enclave {
	struct loop *loop;
	uv_timer_t timer;
	struct key_ticket *ticket; /* the question under way */
	bool known;		   /* an answer came */
	int64_t clock_offset_ms;
	uint8_t pcr[KEY_OWN_PCRS][KEY_PCR_LEN];
	struct buf soft_root; /* DER; empty: a real module */
	struct buf jwks;
};

/*
 * Asks the key holder for the first document and waits for it; asks again every minute from then
 * on. Before the loop's thread is started. Errors: those of key_own_document(), NOMEM.
 */
MUST_USE struct err enclave_start(struct enclave **out, struct loop *loop);
/* With the loop's other handles; enclave_free() once they are closed. NULL is fine. */
void enclave_close(struct enclave *e);
void enclave_free(struct enclave *e);

/* FALSE: in an enclave whose clock is more than CLOCK_TRUST_MS from the module's (503). */
bool enclave_clock_trusted(const struct enclave *e);

void enclave_get_index(struct call *c);
void enclave_get_config(struct call *c);
void enclave_get_soft_root(struct call *c);

#endif
