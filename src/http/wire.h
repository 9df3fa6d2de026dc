/*
 * wire.h - what the wire forms of one loop share, and how exchange.h reaches the right one.
 * Private to src/http.
 */
#ifndef HTTP_WIRE_H
#define HTTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/exchange.h"
#include "http/head.h"
#include "http/limits.h"
#include "sys/clock.h"

/* One for each function of exchange.h. */
struct wire_ops {
	void (*want_body)(struct exchange *x, uint64_t max_bytes);
	void (*drop_body)(struct exchange *x);
	void (*head)(struct exchange *x, unsigned status, const struct http_field *field,
	    size_t n_fields, uint64_t length);
	void (*write)(struct exchange *x, struct span bytes);
	void (*end)(struct exchange *x);
	void (*abort)(struct exchange *x);
	size_t (*room)(const struct exchange *x);
};

/* The wire form's own struct begins with this one. */
struct exchange {
	const struct wire_ops *wire;
	struct exchange_origin origin;
};

struct h1_exchange;

struct wire_host {
	const struct exchange_ops *ops;
	void *ctx;
	struct http_limits limits;
	unsigned loop_index;
	bool draining;	  /* answers that begin now close their connection */
	size_t exchanges; /* between on_head and on_gone */

	/* Exchanges that can be used again: five KiB each, and one a request. */
	struct h1_exchange *spare;
	unsigned n_spare;

	uint64_t date_unix_s;
	char date[CLOCK_HTTP_LEN];
};

void wire_host_init(struct wire_host *w, const struct exchange_ops *ops, void *ctx);
/* Frees what is kept for use; no exchange may be left. Safe twice. */
void wire_host_fini(struct wire_host *w);
/* The Date of now; borrowed until the next call. */
struct span wire_date(struct wire_host *w);
/* "200 OK"; for a status of which we have no phrase, its number and a space. */
struct span wire_status(unsigned status, char scratch[static 4]);
/* Whether no byte of it ends the field early, and none is one that no recipient should see. */
bool wire_field_is_sound(const struct http_field *f);

#endif
