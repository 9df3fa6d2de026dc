#include "provider/scrub.h"

#include <stdbool.h>

/* Letters and digits in one run of this length are no word of any language we know. */
enum { RUN_MAX = 20, KEY_MIN = 8 };

static bool
is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* What a word is made of: keys, ids, e-mail addresses and URLs hold no other bytes. */
static bool
in_word(uint8_t c)
{
	return is_letter(c) || is_digit(c) ||
	    (c != '\0' && memchr("-_.*+/=~@:%?&#$!", c, 16) != NULL);
}

/* Prefixes of keys; and of accounts, which are also how words begin ("user-defined"). */
static bool
has_prefix(struct span word)
{
	static const struct span keys[] = { SPAN_LIT("sk-"), SPAN_LIT("sk_"), SPAN_LIT("pk-"),
		SPAN_LIT("xai-"), SPAN_LIT("AIza"), SPAN_LIT("gsk_"), SPAN_LIT("ya29.") };
	static const struct span accounts[] = { SPAN_LIT("org-"), SPAN_LIT("org_"),
		SPAN_LIT("proj_"), SPAN_LIT("proj-"), SPAN_LIT("user-"), SPAN_LIT("acct_"),
		SPAN_LIT("team_"), SPAN_LIT("team-"), SPAN_LIT("key-"), SPAN_LIT("key_"),
		SPAN_LIT("ark-") };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (span_starts(word, keys[i]) && word.n >= keys[i].n + 4)
			return true;
	for (size_t i = 0; i < sizeof(accounts) / sizeof(accounts[0]); i++) {
		if (!span_starts(word, accounts[i]) || word.n < accounts[i].n + 4)
			continue;
		for (size_t k = accounts[i].n; k < word.n; k++)
			if (is_digit(word.p[k]) || word.p[k] == '*' ||
			    (word.p[k] >= 'A' && word.p[k] <= 'Z'))
				return true;
	}
	return false;
}

static bool
is_uuid(struct span s)
{
	if (s.n != 36)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		uint8_t c = s.p[i];

		if (dash ? c != '-'
			 : !is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F'))
			return false;
	}
	return true;
}

/* A part of a word, between bytes that no key has inside. */
static bool
part_is_secret(struct span part)
{
	size_t run = 0;
	bool letters = false, digits = false;

	if (has_prefix(part) || is_uuid(part))
		return true;
	for (size_t i = 0; i < part.n; i++) {
		if (!is_letter(part.p[i]) && !is_digit(part.p[i])) {
			run = 0;
			letters = digits = false;
			continue;
		}
		letters = letters || is_letter(part.p[i]);
		digits = digits || is_digit(part.p[i]);
		if (++run >= RUN_MAX && letters && digits)
			return true;
	}
	return false;
}

static bool
word_is_secret(struct span word)
{
	size_t from = 0;

	/* Stars hide a key's middle: its ends are still a key's. */
	if (span_find(word, SPAN_LIT("://"), 0) != SIZE_MAX ||
	    span_find(word, SPAN_LIT("***"), 0) != SIZE_MAX)
		return true;
	for (size_t i = 1; i + 1 < word.n; i++)
		if (word.p[i] == '@')
			return true;
	for (size_t i = 0; i <= word.n; i++)
		if (i == word.n || memchr(":=/?&#%", word.p[i], 7) != NULL) {
			if (part_is_secret(span_cut(word, from, i)))
				return true;
			from = i + 1;
		}
	return false;
}

static void
put_word(struct buf *b, struct span word)
{
	size_t n = word.n;

	/* The full stop after a word is the sentence's. */
	while (n > 0 && memchr(".:?!", word.p[n - 1], 4) != NULL)
		n--;
	if (word_is_secret(span_cut(word, 0, n)))
		buf_put_str(b, "[removed]");
	else
		buf_put(b, span_cut(word, 0, n));
	buf_put(b, span_cut(word, n, word.n));
}

static void
put_words(struct buf *b, struct span text)
{
	size_t from = 0;

	for (size_t i = 0; i <= text.n; i++) {
		if (i < text.n && in_word(text.p[i]))
			continue;
		put_word(b, span_cut(text, from, i));
		if (i < text.n)
			buf_put_byte(b, text.p[i] < 0x20 || text.p[i] == 0x7f ? ' ' : text.p[i]);
		from = i + 1;
	}
}

void
scrub_put(struct buf *b, struct span text, struct span key)
{
	size_t at;

	while (key.n >= KEY_MIN && (at = span_find(text, key, 0)) != SIZE_MAX) {
		put_words(b, span_cut(text, 0, at));
		buf_put_str(b, "[removed]");
		text = span_cut(text, at + key.n, text.n);
	}
	put_words(b, text);
}
