#include "keyholder/provision.h"

#include <string.h>

#include "core/limits.h"
#include "crypto/jwe.h"
#include "sys/harden.h"

static struct err
keep(struct provision *p, struct span bytes)
{
	uint8_t *room;
	bool locked;

	if (bytes.n == 0)
		return OK;
	if ((room = harden_map(bytes.n, &locked)) == NULL)
		return FAIL(SYSTEM, "key holder: memory");
	memcpy(room, bytes.p, bytes.n);
	harden_unmap(p->bytes, p->n);
	p->bytes = room;
	p->n = bytes.n;
	return OK;
}

static struct err
make_seal_key(struct provision *p, const struct keys *keys)
{
	uint8_t signature[PSS_SIG_LEN];
	struct es256_pub pub;

	TRY(seal_key_generate(&p->seal));
	seal_key_pub(p->seal, &pub);
	es256_pub_spki(&pub, &p->seal_spki);
	TRY(buf_check(&p->seal_spki));
	TRY(keys_vouch_seal(keys, buf_span(&p->seal_spki), signature));
	buf_put(&p->seal_signature, span_of(signature, sizeof(signature)));
	return buf_check(&p->seal_signature);
}

struct err
provision_init(struct provision *p, const struct keys *keys, struct span bytes)
{
	*p = (struct provision){ .open = true };
	buf_init(&p->seal_spki, 128);
	buf_init(&p->seal_signature, PSS_SIG_LEN);
	TRY(keep(p, bytes));
	return make_seal_key(p, keys);
}

/* For good: what was sealed and not opened yet never will be. */
static void
close_door(struct provision *p)
{
	p->open = false;
	seal_key_free(p->seal);
	p->seal = NULL;
	buf_fini(&p->seal_spki);
	buf_fini(&p->seal_signature);
}

void
provision_fini(struct provision *p)
{
	close_door(p);
	harden_unmap(p->bytes, p->n);
	p->bytes = NULL;
	p->n = 0;
}

void
provision_put(const struct provision *p, struct buf *b)
{
	struct key_provisioned answer = { .open = p->open,
		.seal_spki = buf_span(&p->seal_spki),
		.seal_signature = buf_span(&p->seal_signature),
		.bytes = span_of(p->bytes, p->n) };

	key_provisioned_put(b, &answer);
}

struct err
provision_unseal(struct provision *p, struct span text, uint64_t now_ms, struct buf *plain)
{
	struct jwe jwe;
	struct err e;

	if (!p->open)
		return FAIL(REFUSED, "K3: the seal key is gone");
	if (now_ms < p->unseal_from_ms)
		return FAIL(BUSY, "K3: one a second");
	if (!failed(e = jwe_parse(&jwe, text)))
		e = jwe_open(plain, &jwe, p->seal);
	if (failed(e))
		p->unseal_from_ms = now_ms + UNSEAL_PAUSE_MS;
	return failed(e) && e.code != ERR_SYSTEM ? (struct err){ ERR_MALFORMED, e.what } : e;
}

struct err
provision_commit(struct provision *p, struct span bytes)
{
	if (!p->open)
		return FAIL(REFUSED, "P2: provisioned before");
	TRY(keep(p, bytes));
	close_door(p);
	return OK;
}
