/*
 * provider.h - one upstream's bytes, both ways; never its sockets. Pure.
 * Source: interfaces.md sections 5 and 6; providers.md.
 */
#ifndef PROVIDER_PROVIDER_H
#define PROVIDER_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "pricing/models.h"
#include "provider/answer.h"
#include "provider/refusal.h"
#include "provider/request.h"

enum stream_state {
	STREAM_MORE,
	STREAM_DONE,   /* the provider's sentinel: nothing after it counts */
	STREAM_FAILED, /* with ERR_UPSTREAM: the event is an error of the provider's own */
};

/* What sets a member of the OpenAI-compatible family apart from the others. */
struct quirks {
	const char *limit_name; /* how it spells the output limit */
	bool many_choices;	/* takes n > 1 */
	unsigned top_logprobs;	/* at most */
	uint64_t adjusts;	/* PARAM_BITs it has no counterpart for: left out, declared (C3) */
	uint64_t refuses;	/* those that cannot be left out (C4) */
	bool no_developer;	/* the role is called "system" there */
	bool thinking;		/* refuses reasoning_effort beside thinking:{"type":"disabled"} */
	bool reasoning_apart;	/* completion_tokens do not hold the reasoning (providers.md 7) */
};

struct provider {
	struct quirks quirks;
	const char *base_url;	 /* without a slash at its end */
	const char *auth_prefix; /* "Authorization: Bearer ", "x-api-key: ", ...: before the key */
	const char *field;	 /* one more field of every request, as a line; NULL: none */
	bool fetches;		 /* pictures by their https address */
	bool never_streams;	 /* a streamed answer is made of a whole body, by `body` */
	/* Response fields that name the request and the account, for the receipt (R7). NULL: none */
	const char *request_id_field, *account_field;

	/* What follows the base URL, from its first slash on. */
	void (*path)(struct buf *b, const struct model *model, bool stream);

	/*
	 * May this request go to this model? Sets *adjusted to the PARAM_BITs of what is left out
	 * or changed (C3); false with *no when something cannot be honoured (C4).
	 */
	bool (*admit)(const struct request *rq, const struct model *model, uint64_t *adjusted,
	    struct refusal *no);
	/* Notes in a fresh answer what reading it takes to know of the request. NULL: nothing */
	void (*begin)(struct answer *a, const struct request *rq, const struct model *model);
	/* The body to send, of a request that was admitted; what we did not author goes byte for byte. */
	void (*encode)(
	    struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted);
	/*
	 * One event of the provider's stream: zero or one event for the client is put into b, and
	 * what it delivers is absorbed into a->output.
	 * Errors: UPSTREAM (no JSON, an error event: *state says which, choices out of range)
	 */
	struct err (*event)(
	    struct answer *a, struct span data, struct buf *b, enum stream_state *state);
	/*
	 * The provider's whole body: the client's body, open at its end for tee fields (a comma
	 * has been put); of one that never streams, to a client that asked for a stream, its
	 * events. Errors: UPSTREAM (no JSON, an error, choices missing or unfinished)
	 */
	struct err (*body)(struct answer *a, struct span body, struct buf *b);
};

extern const struct provider provider_openai, provider_anthropic;

/* NULL: models of this provider answer in the gateway itself. */
const struct provider *provider_of(enum provider_id id);
/* The same, by the model: those that make pictures have an API of their own. */
const struct provider *provider_for(const struct model *model);

#endif
