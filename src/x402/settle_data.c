#include "x402/settle_data.h"

#include <assert.h>

#include "codec/json.h"

static const char *const names[] = {
	[SETTLE_DATA_BATCH] = "batch",
	[SETTLE_DATA_INDIVIDUAL] = "individual",
	[SETTLE_DATA_PRIVATE] = "private",
};

const char *
settle_data_type_name(enum settle_data_type type)
{
	return names[type];
}

/* x402.md 5: "Batch", "BATCH", "b_a-t ch" are one word to the reference. */
static bool
same_word(struct span header, const char *name)
{
	for (size_t i = 0; i < header.n; i++) {
		uint8_t c = header.p[i];

		if (c == ' ' || c == '\t' || c == '-' || c == '_')
			continue;
		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (*name == '\0' || c != (uint8_t)*name++)
			return false;
	}
	return *name == '\0';
}

enum settle_data_type
settle_data_type_of(struct span header)
{
	if (same_word(header, names[SETTLE_DATA_PRIVATE]))
		return SETTLE_DATA_PRIVATE;
	return same_word(header, names[SETTLE_DATA_INDIVIDUAL]) ? SETTLE_DATA_INDIVIDUAL
								: SETTLE_DATA_BATCH;
}

static void
put_text(struct buf *b, const char *name, struct span text)
{
	buf_put_str(b, name);
	json_put_string(b, text);
}

void
settle_data_put(struct buf *b, enum settle_data_type type, const struct settle_data *d)
{
	assert(type != SETTLE_DATA_PRIVATE);
	put_text(b, "{\"tee_id\":", d->tee_id);
	put_text(b, ",\"input_hash\":", d->input_hash);
	put_text(b, ",\"output_hash\":", d->output_hash);
	put_text(b, ",\"tee_signature\":", d->tee_signature);
	buf_put_str(b, ",\"tee_timestamp\":");
	buf_put_u64(b, d->tee_timestamp_unix_s);
	if (type == SETTLE_DATA_BATCH) {
		buf_put_str(b, ",\"timestamp\":");
		buf_put_u64(b, d->timestamp_unix_s);
		buf_put_byte(b, '}');
		return;
	}
	buf_put_str(b, ",\"input\":");
	buf_put(b, d->input);
	buf_put_str(b, ",\"output\":");
	buf_put(b, d->output);
	buf_put_str(b, ",\"timestamp\":\"");
	buf_put_u64(b, d->timestamp_unix_s);
	buf_put_str(b, "\",\"eth_address\":\"");
	address_put(b, &d->payer);
	buf_put_str(b, "\"}");
}
