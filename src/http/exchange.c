#include "http/exchange.h"

#include "http/wire.h"

struct span
http_field_get(const struct http_head *h, const char *name, bool *many)
{
	const struct span want = span_str(name);
	struct span value = SPAN_NONE;
	bool again = false;

	for (size_t i = 0; i < h->n_fields; i++) {
		if (h->field[i].name.n != want.n || !span_eq_nocase(h->field[i].name, want))
			continue;
		if (value.p != NULL)
			again = true;
		else
			value = h->field[i].value;
	}
	if (many != NULL)
		*many = again;
	return value;
}

void
exchange_want_body(struct exchange *x, uint64_t max_bytes)
{
	x->wire->want_body(x, max_bytes);
}

void
exchange_drop_body(struct exchange *x)
{
	x->wire->drop_body(x);
}

void
exchange_head(struct exchange *x, unsigned status, const struct http_field *field, size_t n_fields,
    uint64_t length)
{
	x->wire->head(x, status, field, n_fields, length);
}

void
exchange_write(struct exchange *x, struct span bytes)
{
	x->wire->write(x, bytes);
}

void
exchange_end(struct exchange *x)
{
	x->wire->end(x);
}

void
exchange_abort(struct exchange *x)
{
	x->wire->abort(x);
}

size_t
exchange_room(const struct exchange *x)
{
	return x->wire->room(x);
}

const struct exchange_origin *
exchange_origin(const struct exchange *x)
{
	return &x->origin;
}
