#include "gateway/enclave.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "codec/b64.h"
#include "core/limits.h"
#include "gateway/config.h"
#include "sys/clock.h"
#include "sys/log.h"
#include "sys/metrics.h"

/* The key holder answers from memory: asking costs some 20 us. */
enum { ASK_MS = 60 * 1000, JWKS_MAX_BYTES = 32768, PEM_MAX_BYTES = 4096 };

/* --- what the key holder says --- */

/* Until we ask again the document may grow older by ASK_MS, and still be young enough. */
static bool
is_young(const struct key_own *own)
{
	uint64_t now = clock_unix_s(), age = now > own->made_unix_s ? now - own->made_unix_s : 0;

	return age + ASK_MS / 1000 <= ATTEST_AGE_MAX_S;
}

static void
note_clock(const struct enclave *e, int64_t before_ms)
{
	int64_t step = e->clock_offset_ms / 1000 - before_ms / 1000;

	if (e->loop->index != 0)
		return;
	metric_add(METRIC_CLOCK_OFFSET, NULL, NULL, step);
	if (!enclave_clock_trusted(e))
		log_msg(LOG_ERROR,
		    "the system's clock is %lld ms from the security module's: no inference",
		    (long long)e->clock_offset_ms);
}

static struct err
keep(struct enclave *e, struct span answer)
{
	int64_t before_ms = e->clock_offset_ms;
	struct key_own own;

	TRY(key_own_parse(&own, answer));
	memcpy(e->pcr, own.pcr, sizeof(e->pcr));
	e->clock_offset_ms = own.clock_offset_ms;
	buf_clear(&e->soft_root);
	buf_put(&e->soft_root, own.root);
	buf_clear(&e->jwks);
	/* Behind nitriding the attested certificate is another one: only its documents hold (R2). */
	config_put_jwks(e->loop->gw,
	    is_young(&own) && e->loop->gw->opt->nitriding.n == 0 ? own.document : SPAN_NONE,
	    &e->jwks);
	note_clock(e, before_ms);
	TRY(buf_check(&e->soft_root));
	return buf_check(&e->jwks);
}

static void
on_own(void *ctx, struct err err, struct span answer)
{
	struct enclave *e = ctx;

	e->ticket = NULL;
	if (!failed(err))
		err = keep(e, answer);
	if (failed(err))
		log_msg(LOG_ERROR, "loop %u: no document of our own: %s", e->loop->index, err.what);
	else
		e->known = true;
}

static void
on_timer(uv_timer_t *timer)
{
	struct enclave *e = timer->data;
	struct err err;

	if (e->ticket != NULL || e->loop->keys == NULL)
		return;
	if (failed(err = key_own_document(e->loop->keys, on_own, e, &e->ticket)))
		log_msg(LOG_ERROR, "loop %u: no document of our own: %s", e->loop->index, err.what);
}

struct err
enclave_start(struct enclave **out, struct loop *loop)
{
	struct enclave *e;

	*out = NULL;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return FAIL(NOMEM, "enclave");
	e->loop = loop;
	buf_init(&e->soft_root, KEY_OWN_ROOT_MAX_BYTES);
	buf_init(&e->jwks, JWKS_MAX_BYTES);
	uv_timer_init(&loop->uv, &e->timer);
	e->timer.data = e;
	*out = e;
	TRY(key_own_document(loop->keys, on_own, e, &e->ticket));
	while (e->ticket != NULL)
		uv_run(&loop->uv, UV_RUN_ONCE);
	if (!e->known)
		return FAIL(SYSTEM, "the key holder has no attestation document");
	uv_timer_start(&e->timer, on_timer, ASK_MS, ASK_MS);
	return OK;
}

void
enclave_close(struct enclave *e)
{
	if (e != NULL && !uv_is_closing((uv_handle_t *)&e->timer))
		uv_close((uv_handle_t *)&e->timer, NULL);
}

void
enclave_free(struct enclave *e)
{
	if (e == NULL)
		return;
	buf_fini(&e->soft_root);
	buf_fini(&e->jwks);
	free(e);
}

bool
enclave_clock_trusted(const struct enclave *e)
{
	return !e->loop->gw->opt->enclave ||
	    (e->clock_offset_ms <= CLOCK_TRUST_MS && e->clock_offset_ms >= -CLOCK_TRUST_MS);
}

/* --- routes --- */

/* nitriding's line comes first in both modes: clients compare it. */
void
enclave_get_index(struct call *c)
{
	static const char text[] = "text/plain; charset=utf-8";

	if (c->loop->gw->opt->enclave)
		call_answer(
		    c, 200, text, SPAN_LIT("This host runs inside an AWS Nitro Enclave.\n\n"));
	else
		call_answer(c, 200, text,
		    SPAN_LIT("This host runs inside an AWS Nitro Enclave.\n"
			     "That is simulated: it is in local mode, and nothing here is "
			     "hardware.\n\n"));
}

static void
put_number(struct buf *b, const char *name, uint64_t v)
{
	buf_put_str(b, ",\n  \"");
	buf_put_str(b, name);
	buf_put_str(b, "\": ");
	buf_put_u64(b, v);
}

/* Go's field names, in its order; what has no counterpart here is off, empty or 0. */
void
enclave_get_config(struct call *c)
{
	const struct options *opt = c->loop->gw->opt;
	struct rlimit fd = { 0 };
	struct buf b;

	(void)getrlimit(RLIMIT_NOFILE, &fd);
	buf_init(&b, 4096);
	buf_put_str(&b, "{\n  \"FQDN\": \"localhost\",\n  \"FQDNLeader\": \"\"");
	put_number(&b, "ExtPubPort", opt->tls.none ? 0 : opt->tls.port);
	put_number(&b, "ExtPrivPort", 0);
	put_number(&b, "IntPort", opt->internal ? INTERNAL_PORT : 0);
	buf_put_str(&b, ",\n  \"UseVsockForExtPort\": false,\n  \"DisableKeepAlives\": false");
	put_number(&b, "HostProxyPort", 0);
	put_number(&b, "PrometheusPort", 0);
	buf_put_str(&b,
	    ",\n  \"PrometheusNamespace\": \"\",\n  \"UseProfiling\": false"
	    ",\n  \"UseACME\": false,\n  \"Debug\": false");
	put_number(&b, "FdCur", fd.rlim_cur);
	put_number(&b, "FdMax", fd.rlim_max);
	buf_put_str(&b,
	    ",\n  \"AppURL\": null,\n  \"AppWebSrv\": null,\n  \"WaitForApp\": true"
	    ",\n  \"MockCertFp\": \"\"\n}\n");
	call_answer(c, 200, "text/plain; charset=utf-8", buf_span(&b));
	buf_fini(&b);
}

void
enclave_get_soft_root(struct call *c)
{
	struct span der = buf_span(&c->loop->enclave->soft_root);
	struct buf text, pem;

	if (der.n == 0) {
		call_not_found(c);
		return;
	}
	buf_init(&text, PEM_MAX_BYTES);
	buf_init(&pem, PEM_MAX_BYTES);
	b64_put(&text, der);
	buf_put_str(&pem, "-----BEGIN CERTIFICATE-----\n");
	for (size_t at = 0; at < text.n; at += 64) {
		buf_put(&pem, span_cut(buf_span(&text), at, at + 64 < text.n ? at + 64 : text.n));
		buf_put_byte(&pem, '\n');
	}
	buf_put_str(&pem, "-----END CERTIFICATE-----\n");
	call_answer(c, 200, "application/x-pem-file", buf_span(&pem));
	buf_fini(&text);
	buf_fini(&pem);
}
