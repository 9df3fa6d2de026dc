/*
 * gemini.c - Gemini among the providers. Source: providers.md 1, 6.8.
 */
#include "provider/gemini.h"

#include "provider/gemini_answer.h"

/* The model is in the path; the key is not, since addresses are written down. */
static void
gemini_path(struct buf *b, const struct model *model, bool stream)
{
	buf_put_str(b, "/v1beta/models/");
	buf_put(b, model->api_name);
	/* Without alt=sse the stream is one JSON array. */
	buf_put_str(b, stream ? ":streamGenerateContent?alt=sse" : ":generateContent");
}

const struct provider provider_gemini = {
	.base_url = "https://generativelanguage.googleapis.com",
	.auth_prefix = "x-goog-api-key: ",
	.path = gemini_path,
	.admit = gemini_admit,
	.begin = gemini_begin,
	.encode = gemini_encode,
	.event = gemini_event,
	.body = gemini_body,
};
