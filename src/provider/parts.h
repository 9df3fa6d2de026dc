/*
 * parts.h - content parts that are no text: pictures, sound, files. They travel inside the request
 * or, pictures only, as an address that the provider fetches; the gateway itself fetches nothing.
 * Pure. Source: providers.md 3.2, 5.2, 6.2; issue 11.
 */
#ifndef PROVIDER_PARTS_H
#define PROVIDER_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/json.h"
#include "pricing/models.h"
#include "provider/refusal.h"

struct part {
	enum part_kind kind;
	struct span mime; /* its media type; .p NULL: it is at `url` */
	struct span data; /* base64, as JSON string content ("/" may be "\/") */
	struct span url;  /* https://..., as JSON string content */
};

/*
 * Reads a part of a type that is no "text" and no "refusal". Spans borrow the document. False: it
 * is none, or is no good: *member is where, from the part on (".image_url.url"), *want what it must
 * be; both are literals.
 */
bool part_read(
    const struct json *doc, uint32_t at, struct part *out, const char **member, const char **want);

/* Such parts of a whole conversation. */
struct parts_facts {
	unsigned n[PART_KINDS];
	char first[PART_KINDS][48]; /* where the first one is: "messages[2].content[0]" */
	char by_url[48];	    /* where the first address is; "" when there is none */
};

/*
 * May these go to this model? `fetches`: its provider fetches pictures by their address. False with
 * *no naming the part, the model's provider and why.
 */
bool
parts_fit(const struct parts_facts *f, const struct model *model, bool fetches, struct refusal *no);

/*
 * The most tokens that the parts can be (M2). False: one of them has no bound in the model table;
 * *kind says of which kind.
 */
bool parts_max_tokens(
    const struct parts_facts *f, const struct model *model, uint64_t *tokens, enum part_kind *kind);

/* Decoded, these bytes of a string's content are this ASCII text. */
bool inner_is(struct span inner, const char *text);
/* Such text as a type of pictures that every provider knows, as it is spelt; .p NULL: another. */
struct span inner_picture_type(struct span inner);
/* Base64 with its padding, as JSON string content. At least one byte of data. */
bool inner_is_base64(struct span inner);

#endif
