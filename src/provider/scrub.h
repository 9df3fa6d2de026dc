/*
 * scrub.h - a stranger's text made fit for our own messages: what looks like a key, an account or
 * an address is taken out. Pure. Source: interfaces.md E1; providers.md 2.1, 15.
 */
#ifndef PROVIDER_SCRUB_H
#define PROVIDER_SCRUB_H

#include "core/buf.h"
#include "core/span.h"

/*
 * Puts `text` (UTF-8) into b, each run that may be a secret replaced by "[removed]": `key` itself
 * wherever it stands, words with the prefix of a provider's keys or accounts, UUIDs, long runs of
 * mixed letters and digits, e-mail addresses and URLs. Control bytes become spaces.
 */
void scrub_put(struct buf *b, struct span text, struct span key);

#endif
