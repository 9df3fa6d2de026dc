/*
 * describe.h - what is printed about an image that eif_measure() accepted. Pure.
 * Source: eif.md 7: the text and the keys of nitro-cli, so that its readers read ours.
 */
#ifndef EIF_DESCRIBE_H
#define EIF_DESCRIBE_H

#include "core/buf.h"
#include "core/err.h"
#include "eif/eif.h"

enum { DESCRIBE_MAX_BYTES = 8 << 20 };

/* measurements.json: {"Measurements": {...}}, two spaces an indent, a line feed at the end. */
void describe_measurements(struct buf *b, const struct eif *img);
/* The object of `nitro-cli describe-eif`. Errors: SYSTEM, NOMEM, TOO_LARGE */
MUST_USE struct err describe_json(struct buf *b, const struct eif *img);
/* The same for people, with the command line and the sections. Errors: as above */
MUST_USE struct err describe_text(struct buf *b, const struct eif *img);

#endif
