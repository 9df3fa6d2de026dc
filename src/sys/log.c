#include "sys/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/log_carrier.h"

enum {
	LINE_MAX_BYTES = 4096, /* PIPE_BUF: writes up to it into a pipe are not interleaved */
	TAIL_BYTES = 8, /* kept free for the last value's quotes and dots, and the line's end */
	VALUE_MAX_BYTES = 512, /* rendered; so that one long value cannot push out the others */
	MSG_MAX_BYTES = 1024,
};

/* Set before threads start, read by all. */
static struct {
	int fd;
	enum log_level level;
	bool json;
} sink = { .fd = STDERR_FILENO, .level = LOG_INFO };

static atomic_uint lost_lines; /* by this process, since it last said so */

static const char *const level_name[] = { "error", "warn", "info", "debug" };

/* A line being made. Pieces go in whole or not at all, so an escape is never cut in half. */
struct line {
	char p[LINE_MAX_BYTES];
	size_t n;
};

struct err
log_open(const struct log_options *opt)
{
	int fd = STDERR_FILENO;

	if (opt->host.port != 0) {
		TRY(log_carrier_start(&fd, &opt->host, opt->forget, opt->forget_ctx));
	} else if (opt->file != NULL) {
		fd = open(opt->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
		if (fd < 0)
			return FAIL(SYSTEM, "log: cannot open the log file");
	}
	log_close();
	sink.fd = fd;
	sink.level = opt->level;
	sink.json = opt->json;
	return OK;
}

void
log_close(void)
{
	if (sink.fd != STDERR_FILENO) {
		close(sink.fd);
		log_carrier_end();
	}
	sink.fd = STDERR_FILENO;
	sink.level = LOG_INFO;
	sink.json = false;
}

bool
log_wants(enum log_level level)
{
	return level <= sink.level;
}

/* False, and nothing is taken, when the piece would grow the line past `end`. */
static bool
put_within(struct line *l, size_t end, const char *piece, size_t n)
{
	if (l->n > end || n > end - l->n)
		return false;
	memcpy(l->p + l->n, piece, n);
	l->n += n;
	return true;
}

static bool
put(struct line *l, const char *piece, size_t n)
{
	return put_within(l, sizeof(l->p) - TAIL_BYTES, piece, n);
}

static bool
put_str(struct line *l, const char *s)
{
	return put(l, s, strlen(s));
}

/* For what fits by construction: the tail, whose bytes TAIL_BYTES keeps free. */
static void
put_tail(struct line *l, const char *piece)
{
	(void)put_within(l, sizeof(l->p), piece, strlen(piece));
}

/* One byte of a value as it may stand inside quotes; returns the length, at most 6. */
static size_t
escape(char out[static 8], uint8_t c, bool json)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	if (c >= 0x20 && c < 0x7f) {
		if (c == '"' || c == '\\')
			out[n++] = '\\';
		out[n++] = (char)c;
		return n;
	}
	/* JSON knows no \x: there every byte becomes the code point of the same number. */
	for (const char *p = json ? "\\u00" : "\\x"; *p != '\0'; p++)
		out[n++] = *p;
	out[n++] = hex[c >> 4];
	out[n++] = hex[c & 15];
	return n;
}

static bool
bare(struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return text.n > 0;
}

/* A value that does not fit ends in "..." before its closing quote. */
static void
put_text(struct line *l, struct span text, bool alone)
{
	bool json = sink.json, quoted = json || !bare(text);
	size_t end = sizeof(l->p) - TAIL_BYTES;
	char piece[8];

	if (!alone && l->n + VALUE_MAX_BYTES < end)
		end = l->n + VALUE_MAX_BYTES;
	if (quoted)
		put_tail(l, "\"");
	for (size_t i = 0; i < text.n; i++) {
		size_t n = escape(piece, text.p[i], json);

		if (!put_within(l, end, piece, n)) {
			put_tail(l, "...");
			break;
		}
	}
	if (quoted)
		put_tail(l, "\"");
}

static bool
put_number(struct line *l, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	return put(l, digits + at, sizeof(digits) - at);
}

/* key and separator, then the value; false, and nothing is put, when the line is full. */
static bool
put_field(struct line *l, const struct log_field *f, bool alone)
{
	const size_t before = l->n;

	if (!put_str(l, sink.json ? ",\"" : " ") || !put_str(l, f->key) ||
	    !put_str(l, sink.json ? "\":" : "=") ||
	    (f->text.p == NULL && !put_number(l, f->number))) {
		l->n = before;
		return false;
	}
	if (f->text.p != NULL)
		put_text(l, f->text, alone);
	return true;
}

/* Before the next line: how many there would have been. */
static void
say_lost(void)
{
	unsigned lost = atomic_exchange(&lost_lines, 0);

	if (lost == 0)
		return;
	log_msg(LOG_WARN, "log: %u lines were lost", lost);
	/* That one too? It is none of them. */
	if (atomic_load(&lost_lines) > 0)
		atomic_fetch_add(&lost_lines, lost - 1);
}

void
log_fields(enum log_level level, const struct log_field *field, size_t n)
{
	struct line l;
	char now[CLOCK_RFC3339_LEN], head[96];
	int len;

	if (!log_wants(level))
		return;
	say_lost();
	l.n = 0;
	clock_rfc3339(clock_unix_ms(), now);
	len = snprintf(head, sizeof(head),
	    sink.json ? "{\"time\":\"%.*s\",\"level\":\"%s\"" : "%.*s %s", CLOCK_RFC3339_LEN, now,
	    level_name[level]);
	(void)put(&l, head, (size_t)len);
	for (size_t i = 0; i < n; i++)
		if (!field[i].absent && !put_field(&l, &field[i], n == 1))
			break;
	put_tail(&l, sink.json ? "}\n" : "\n");
	/* Lossy on purpose: a full disk must not stop the gateway. */
	if (write(sink.fd, l.p, l.n) < 0)
		atomic_fetch_add(&lost_lines, 1);
}

void
log_msg(enum log_level level, const char *fmt, ...)
{
	char msg[MSG_MAX_BYTES];
	struct log_field f;
	va_list ap;
	int n;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	n = vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	f = LOG_TEXT("msg", span_of(msg, (size_t)n < sizeof(msg) ? (size_t)n : sizeof(msg) - 1));
	log_fields(level, &f, 1);
}
