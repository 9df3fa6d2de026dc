/*
 * settings.h - what an operator tells the gateway: keys of providers, and who is paid. The immutable
 * result of one provisioning (POST /v1/keys), or, in local mode, of the environment.
 *
 * A process knows two at most, the environment's and one that took its place, and frees neither
 * before its end: a request keeps those it was admitted with. Each lives on locked pages of its own (K4).
 * The bytes are what the key holder keeps for each worker (K3): docs/keyholder-protocol.md.
 * Source: interfaces.md sections 2 and 9.
 */
#ifndef GATEWAY_SETTINGS_H
#define GATEWAY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/span.h"
#include "crypto/address.h"
#include "pricing/models.h"

struct gateway;
struct options;
struct published;

enum provisioning {
	PROVISIONING_NONE,	  /* local mode without any key: only echo answers */
	PROVISIONING_ENVIRONMENT, /* local mode */
	PROVISIONING_PLAIN,
	PROVISIONING_SEALED,
};
/* As published: "none", "environment", "plain", "sealed". */
const char *provisioning_name(enum provisioning how);

enum {
	SETTINGS_KEY_MAX = 1024, /* a provider's key */
	SETTINGS_AUTH_MAX = SETTINGS_KEY_MAX + 64,
	SETTINGS_URL_MAX = 512,
	SETTINGS_THUMBPRINT_LEN = 43,
	SETTINGS_MAX = 2, /* a process's: the environment's, and what was provisioned */
};

/* Texts end with a NUL and are empty when unset. */
struct settings {
	enum provisioning how;
	bool has_key[PROVIDER_COUNT];
	/* The field with the key, as it is sent: "Authorization: Bearer KEY". Secret. */
	char auth[PROVIDER_COUNT][SETTINGS_AUTH_MAX + 1];
	bool payments; /* inference is paid; always in an enclave */
	struct address pay_to_address;
	char pay_to[ADDRESS_LEN + 1]; /* EIP-55 */
	char public_url[SETTINGS_URL_MAX + 1],
	    facilitator_url[SETTINGS_URL_MAX + 1]; /* no slash at the end */
	char heartbeat_contract[ADDRESS_LEN + 1];  /* EIP-55; unset: no heartbeat */
	uint32_t heartbeat_interval_s, heartbeat_buffer_s;
	/* Sealed: RFC 7638 thumbprint of the ephemeral key it was sealed with. */
	char provisioner[SETTINGS_THUMBPRINT_LEN + 1];
	const struct published *published; /* the configuration that says so (R9) */
};

/*
 * What requests that begin now are served by; NULL: not provisioned yet (in an enclave only). From
 * any thread; what it points to stays.
 */
const struct settings *gateway_settings(const struct gateway *gw);
/*
 * From now on these are what gateway_settings() returns; they are the gateway's. Comes twice at most,
 * and not from two threads at once: the key holder takes one provisioning.
 */
void gateway_set_settings(struct gateway *gw, struct settings *s);
/* Wipes all that there were, when no request is left. */
void gateway_forget_settings(struct gateway *gw);
/* Some provider's key was given: else inference is 503 not_provisioned. NULL is fine. */
bool settings_provisioned(const struct settings *s);
/* This provider can be asked: it needs no key, or has one. */
bool settings_serve(const struct settings *s, enum provider_id id);
/* The key alone, of a provider that has one; borrowed. Secret. */
struct span settings_key(const struct settings *s, enum provider_id id);

/* Empty settings on pages of their own; NULL without memory. */
struct settings *settings_new(void);
/* Wipes; NULL is fine. */
void settings_free(struct settings *s);

/* A key goes into a header field as it is: printable ASCII, or it would be another field. */
bool settings_key_fits(struct span key);
/* An absolute http or https URL without query, fragment and user; `*url` loses its last slashes. */
bool settings_url_fits(struct span *url);
/*
 * An address in letters of one case, or with EIP-55's checksum, which must then fit: a mistyped digit
 * would pay a stranger.
 */
bool settings_address_fits(struct address *a, struct span text);
/* Sets the provider's credential. The key fits, the provider takes one. */
void settings_put_key(struct settings *s, enum provider_id id, struct span key);
/* Copies a text that fits into its place. */
void settings_put_text(char *place, size_t place_bytes, struct span text);

/* What a provisioning leaves unset: flags, environment, the reference deployment. Errors: NOMEM. */
MUST_USE struct err settings_default(struct settings **out, const struct options *o);
/* The same with the environment's keys; of one that was wiped, has_key alone. Errors: NOMEM. */
MUST_USE struct err settings_of_environment(struct settings **out, const struct options *o);

/* The bytes that the key holder keeps. */
void settings_encode(struct buf *b, const struct settings *s);
/* Errors: MALFORMED, NOMEM; then *out is NULL. */
MUST_USE struct err settings_parse(struct settings **out, struct span bytes);

#endif
