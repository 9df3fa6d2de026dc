/*
 * pytext.h - Python's str() of a JSON value: how the reference hashes user content that is
 * neither a string nor a list of objects. Pure.
 * Source: opengradient.md 4.1, vectors/signing/python_text_form.json.
 */
#ifndef RECEIPT_PYTEXT_H
#define RECEIPT_PYTEXT_H

#include "codec/json.h"
#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"

/*
 * Appends str(x) as UTF-8: True, None, numbers as json_put_python() prints them, lists and
 * dictionaries with the repr() of what they hold, members in the order in which their names were
 * first seen. A string that is the value itself loses its quotes.
 *
 * repr() spares characters that Python calls printable, which depends on its Unicode version:
 * here Unicode 14.0, as in Python 3.11.
 * Errors: NOMEM (the arena's budget), REFUSED (a float that overflows)
 */
MUST_USE struct err pytext_put(struct buf *b, const struct json *doc, uint32_t at, struct arena *a);

/* Python's str.isprintable() of one code point, under Unicode 14.0. */
bool pytext_printable(uint32_t cp);

#endif
