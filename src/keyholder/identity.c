#include "keyholder/client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "core/limits.h"
#include "keyholder/proto.h"

void
key_identity_fini(struct key_identity *id)
{
	buf_fini(&id->signing_spki);
	buf_fini(&id->receipt_spki);
	buf_fini(&id->receipt_key_signature);
	buf_fini(&id->tls_cert);
	buf_fini(&id->tls_key);
}

static struct err
keep(struct buf *b, struct span part)
{
	buf_put(b, part);
	return buf_check(b);
}

static struct err
read_identity(struct key_identity *id, struct span body)
{
	struct key_facts f;

	TRY(key_facts_parse(&f, body));
	memcpy(id->tee_id, f.tee_id, sizeof(id->tee_id));
	memcpy(id->wallet_address, f.wallet_address, sizeof(id->wallet_address));
	TRY(keep(&id->signing_spki, f.signing_spki));
	TRY(keep(&id->receipt_spki, f.receipt_spki));
	TRY(keep(&id->receipt_key_signature, f.receipt_key_signature));
	TRY(keep(&id->tls_cert, f.tls_cert));
	return keep(&id->tls_key, f.tls_key);
}

static struct err
ask(int fd, enum key_type type)
{
	struct key_request r = { .type = type };
	struct buf b;
	struct err e;

	buf_init(&b, KEY_MESSAGE_MAX_BYTES);
	key_request_put(&b, &r);
	e = buf_check(&b);
	if (!failed(e) && send(fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)b.n)
		e = FAIL(SYSTEM, "key holder: gone");
	buf_fini(&b);
	return e;
}

/* Waits for the one answer; there is nothing else to do for a worker that just started. */
static struct err
wait_readable(int fd, unsigned timeout_ms)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&readable, 1, (int)timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return FAIL(TIMEOUT, "key holder: no answer in time");
	return n > 0 ? OK : FAIL(SYSTEM, "key holder: poll");
}

/* The body of the answer to `type`, borrowed from *datagram, which holds nothing before. */
static struct err
fetch(struct buf *datagram, struct span *body, int fd, enum key_type type, unsigned timeout_ms)
{
	struct key_answer a;
	uint8_t *room;
	ssize_t n;

	TRY(ask(fd, type));
	TRY(wait_readable(fd, timeout_ms));
	if ((room = buf_grow(datagram, KEY_MESSAGE_MAX_BYTES)) == NULL)
		return FAIL(SYSTEM, "key holder: memory");
	if ((n = recv(fd, room, KEY_MESSAGE_MAX_BYTES, MSG_DONTWAIT)) <= 0)
		return FAIL(SYSTEM, "key holder: gone");
	TRY(key_answer_parse(&a, span_of(room, (size_t)n)));
	if (a.type != type || a.code != ERR_OK)
		return FAIL(REFUSED, "key holder: refused what is due at start");
	*body = a.body;
	return OK;
}

struct err
key_identity_fetch(struct key_identity *id, int fd, unsigned timeout_ms)
{
	struct buf datagram;
	struct span body;
	struct err e;

	*id = (struct key_identity){ 0 };
	buf_init(&id->signing_spki, KEY_MESSAGE_MAX_BYTES);
	buf_init(&id->receipt_spki, KEY_MESSAGE_MAX_BYTES);
	buf_init(&id->receipt_key_signature, KEY_MESSAGE_MAX_BYTES);
	buf_init(&id->tls_cert, KEY_MESSAGE_MAX_BYTES);
	buf_init(&id->tls_key, KEY_MESSAGE_MAX_BYTES);
	buf_init(&datagram, KEY_MESSAGE_MAX_BYTES);
	e = fetch(&datagram, &body, fd, KEY_IDENTITY, timeout_ms);
	if (!failed(e))
		e = read_identity(id, body);
	buf_fini(&datagram);
	if (failed(e))
		key_identity_fini(id);
	return e;
}

struct err
key_provisioned_fetch(struct buf *datagram, struct key_provisioned *p, int fd, unsigned timeout_ms)
{
	struct span body;

	TRY(fetch(datagram, &body, fd, KEY_PROVISIONED, timeout_ms));
	return key_provisioned_parse(p, body);
}
