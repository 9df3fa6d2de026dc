/*
 * anthropic.c - what of a request goes to Anthropic, and the members of its body.
 * Source: providers.md 5.1, 5.5, 5.6.
 */
#include "provider/anthropic.h"

#include "core/limits.h"
#include "provider/effort.h"

enum {
	LIMIT_DEFAULT = 4096, /* C7: the provider requires one */
	BUDGET_MIN = 1024,    /* of thinking */
};

/* No counterpart: left out, declared (C3). */
static const uint64_t adjusts = PARAM_BIT(SEED) | PARAM_BIT(PRESENCE_PENALTY) |
    PARAM_BIT(FREQUENCY_PENALTY) | PARAM_BIT(LOGIT_BIAS) | PARAM_BIT(VERBOSITY) |
    PARAM_BIT(METADATA) | PARAM_BIT(PROMPT_CACHE_KEY);

/* No counterpart, and another question without them (C4). */
static const uint64_t refuses = PARAM_BIT(N) | PARAM_BIT(LOGPROBS) | PARAM_BIT(TOP_LOGPROBS) |
    PARAM_BIT(MODALITIES) | PARAM_BIT(AUDIO) | PARAM_BIT(PREDICTION) |
    PARAM_BIT(WEB_SEARCH_OPTIONS) | PARAM_BIT(SERVICE_TIER) | PARAM_BIT(PROMPT_CACHE_RETENTION) |
    PARAM_BIT(BEST_OF) | PARAM_BIT(ECHO) | PARAM_BIT(SUFFIX) | PARAM_BIT(IMAGE_CONFIG) |
    PARAM_BIT(SIZE) | PARAM_BIT(WATERMARK);

/* What becomes of the parameters that depend on each other, and on the model. */
struct plan {
	uint64_t adjusted;
	uint64_t limit;
	bool temperature, top_p; /* are sent */
	bool clamped;		 /* the temperature, to 1 */
	bool adaptive;
	uint64_t budget;    /* tokens of thinking; 0: none */
	struct span effort; /* .p NULL: none */
};

static void
anthropic_path(struct buf *b, const struct model *model, bool stream)
{
	buf_put_str(b, "/v1/messages");
}

static bool
above(const struct request *rq, enum param p, double limit)
{
	double v;

	return rq->at[p] != JSON_NONE && json_double(&rq->doc, rq->at[p], &v) && v > limit;
}

static bool
is_one(const struct request *rq, enum param p)
{
	double v;

	return rq->at[p] != JSON_NONE && json_double(&rq->doc, rq->at[p], &v) && v == 1;
}

/* An effort in tokens, half of the output at most: what is thought counts as output. */
static uint64_t
budget_of(struct span effort, uint64_t limit)
{
	uint64_t budget = span_eq(effort, SPAN_LIT("low")) ? 2048
	    : span_eq(effort, SPAN_LIT("medium"))	   ? 10000
							   : 16384;

	return budget < limit / 2 ? budget : limit / 2;
}

static struct span
effort_word(const struct request *rq, const struct model *model)
{
	/* Above high there is one step where others have two (providers.md 5.6). */
	if (json_is(&rq->doc, rq->at[PARAM_REASONING_EFFORT], "xhigh"))
		for (size_t i = 0; i < model->n_efforts; i++)
			if (span_eq(model->effort[i], SPAN_LIT("xhigh")) ||
			    span_eq(model->effort[i], SPAN_LIT("max")))
				return model->effort[i];
	return effort_of(rq, model);
}

static void
plan_thinking(struct plan *p, const struct request *rq, const struct model *model)
{
	uint32_t at = rq->at[PARAM_REASONING_EFFORT];
	struct span asked, effort;
	bool exact, possible;

	if (at == JSON_NONE || json_is(&rq->doc, at, "none"))
		return; /* none is what comes unasked */
	asked = json_inner(&rq->doc, at);
	effort = effort_word(rq, model);
	exact = span_eq(asked, effort);
	/* Refused beside thinking: forced tools, words to go on with, calls without their thoughts. */
	possible = !anthropic_forces_tool(rq, model) && !anthropic_has_prefill(rq) &&
	    !anthropic_has_calls(rq);
	if (model->thinking == THINKING_ADAPTIVE && effort.p != NULL) {
		p->effort = effort;
		p->adaptive = possible;
		exact = exact && possible;
	} else if (model->thinking == THINKING_BUDGET && effort.p != NULL && possible) {
		p->budget = budget_of(effort, p->limit);
		exact = exact && p->budget == budget_of(effort, UINT64_MAX);
		if (p->budget < BUDGET_MIN)
			p->budget = 0;
	} else {
		exact = false;
	}
	if (!exact)
		p->adjusted |= PARAM_BIT(REASONING_EFFORT);
}

static void
plan_sampling(struct plan *p, const struct request *rq, const struct model *model)
{
	bool thinks = p->adaptive || p->budget > 0;

	p->temperature = (rq->present & PARAM_BIT(TEMPERATURE)) && !model->fixed_sampling &&
	    !thinks;
	p->clamped = p->temperature && above(rq, PARAM_TEMPERATURE, 1);
	if ((rq->present & PARAM_BIT(TEMPERATURE)) &&
	    (p->clamped || (!p->temperature && !is_one(rq, PARAM_TEMPERATURE))))
		p->adjusted |= PARAM_BIT(TEMPERATURE);
	/* A top_p of 1 is what comes unasked, and so never worth sending. */
	if (!(rq->present & PARAM_BIT(TOP_P)) || is_one(rq, PARAM_TOP_P))
		return;
	p->top_p = !model->fixed_sampling && !(model->one_sampling && p->temperature) &&
	    (!thinks || !above(rq, PARAM_TOP_P, 1)) &&
	    (!thinks || above(rq, PARAM_TOP_P, 0.9499999));
	if (!p->top_p)
		p->adjusted |= PARAM_BIT(TOP_P);
}

static void
plan_make(struct plan *p, const struct request *rq, const struct model *model)
{
	*p = (struct plan){ .adjusted = rq->present & adjusts, .effort = SPAN_NONE };
	p->limit = rq->output_limit != UINT64_MAX ? rq->output_limit : LIMIT_DEFAULT;
	/* One id is sent: the newer name's. */
	if ((rq->present & PARAM_BIT(SAFETY_IDENTIFIER)) && (rq->present & PARAM_BIT(USER)))
		p->adjusted |= PARAM_BIT(USER);
	plan_thinking(p, rq, model);
	plan_sampling(p, rq, model);
}

static void
put_member(struct translation *t, const char *name, struct span value)
{
	buf_put_str(t->b, ",\"");
	buf_put_str(t->b, name);
	buf_put_str(t->b, "\":");
	buf_put(t->b, value);
}

static bool
put_stop(struct translation *t)
{
	uint32_t stop = t->rq->at[PARAM_STOP];
	bool list = stop != JSON_NONE && json_type(t->doc, stop) == JSON_ARRAY;

	if (stop == JSON_NONE)
		return true;
	for (uint32_t c = list ? json_first(t->doc, stop) : stop; c != JSON_NONE;
	     c = list ? json_after(t->doc, stop, c) : JSON_NONE) {
		struct json_points it = { .s = json_inner(t->doc, c) };
		bool white = true;
		uint32_t cp;

		while (json_point(&it, &cp))
			white = white && (cp == ' ' || (cp >= '\t' && cp <= '\r'));
		if (white)
			return refuse(t->no, "unsupported_parameter", "stop",
			    "stop: strings of white space alone are not supported by this model's "
			    "provider.");
	}
	buf_put_str(t->b, ",\"stop_sequences\":");
	if (!list)
		buf_put_byte(t->b, '[');
	buf_put(t->b, json_raw(t->doc, stop));
	if (!list)
		buf_put_byte(t->b, ']');
	return true;
}

static bool
put_output_config(struct translation *t, const struct plan *p)
{
	bool any = false;

	if (p->effort.p == NULL &&
	    (t->rq->at[PARAM_RESPONSE_FORMAT] == JSON_NONE ||
		anthropic_tool_is_text(t->rq, t->model)))
		return anthropic_put_format(t, &any);
	buf_put_str(t->b, ",\"output_config\":{");
	if (p->effort.p != NULL) {
		buf_put_str(t->b, "\"effort\":");
		json_put_string(t->b, p->effort);
		any = true;
	}
	if (!anthropic_put_format(t, &any))
		return false;
	buf_put_byte(t->b, '}');
	return true;
}

static void
put_thinking(struct translation *t, const struct plan *p)
{
	if (p->adaptive)
		buf_put_str(t->b, ",\"thinking\":{\"type\":\"adaptive\"}");
	if (p->budget == 0)
		return;
	buf_put_str(t->b, ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":");
	buf_put_u64(t->b, p->budget);
	buf_put_byte(t->b, '}');
}

static bool
put_body(struct translation *t, const struct plan *p)
{
	const struct request *rq = t->rq;
	uint32_t user = rq->at[PARAM_SAFETY_IDENTIFIER] != JSON_NONE
	    ? rq->at[PARAM_SAFETY_IDENTIFIER]
	    : rq->at[PARAM_USER];

	buf_put_str(t->b, "{\"model\":");
	json_put_string(t->b, t->model->api_name);
	buf_put_str(t->b, ",\"max_tokens\":");
	buf_put_u64(t->b, p->limit);
	if (!anthropic_put_messages(t) || !anthropic_put_tools(t) || !put_stop(t) ||
	    !put_output_config(t, p))
		return false;
	put_thinking(t, p);
	if (p->temperature)
		put_member(t, "temperature",
		    p->clamped ? SPAN_LIT("1") : json_raw(t->doc, rq->at[PARAM_TEMPERATURE]));
	if (p->top_p)
		put_member(t, "top_p", json_raw(t->doc, rq->at[PARAM_TOP_P]));
	if (user != JSON_NONE) {
		put_member(t, "metadata", SPAN_LIT("{\"user_id\":"));
		buf_put(t->b, json_raw(t->doc, user));
		buf_put_byte(t->b, '}');
	}
	if (rq->stream)
		put_member(t, "stream", SPAN_LIT("true"));
	buf_put_byte(t->b, '}');
	return true;
}

static bool
anthropic_admit(
    const struct request *rq, const struct model *model, uint64_t *adjusted, struct refusal *no)
{
	struct translation t = { rq, &rq->doc, model, NULL, no };
	struct buf nothing;
	struct plan p;
	bool good;

	for (enum param i = 0; i < PARAM_COUNT; i++)
		if ((rq->present & refuses & UINT64_C(1) << i) != 0)
			return refuse(no, "unsupported_parameter", param_name(i),
			    "%s is not supported by this model's provider.", param_name(i));
	if (rq->unknown != JSON_NONE) {
		char name[65];

		refusal_name(name, json_inner(&rq->doc, rq->unknown));
		return refuse(no, "unsupported_parameter", name, "Unknown parameter: %s.", name);
	}
	if ((rq->present & PARAM_BIT(STOP)) && model->no_stop)
		return refuse(
		    no, "unsupported_parameter", "stop", "stop is not supported by this model.");
	plan_make(&p, rq, model);
	*adjusted = p.adjusted;
	buf_init(&nothing, 0);
	t.b = &nothing;
	good = put_body(&t, &p);
	buf_fini(&nothing);
	return good;
}

static void
anthropic_encode(
    struct buf *b, const struct request *rq, const struct model *model, uint64_t adjusted)
{
	struct refusal no;
	struct translation t = { rq, &rq->doc, model, b, &no };
	struct plan p;

	plan_make(&p, rq, model);
	if (!put_body(&t, &p))
		b->over = true; /* it was admitted: nothing less may leave */
}

const struct provider provider_anthropic = {
	.base_url = "https://api.anthropic.com",
	.auth_prefix = "x-api-key: ",
	.field = "anthropic-version: 2023-06-01",
	.request_id_field = "request-id",
	.account_field = "anthropic-organization-id",
	.path = anthropic_path,
	.admit = anthropic_admit,
	.fetches = true,
	.begin = anthropic_begin,
	.encode = anthropic_encode,
	.event = anthropic_event,
	.body = anthropic_body,
};
