#include "init/plan.h"

#include <string.h>

/* The next line from *at on, without its line feed; false at the end. The last one has one, too. */
static bool
next_line(struct span text, size_t *at, struct span *line)
{
	size_t end = span_find(text, SPAN_LIT("\n"), *at);

	if (end == SIZE_MAX)
		return false;
	*line = span_cut(text, *at, end);
	*at = end + 1;
	return true;
}

static bool
is_printable(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return true;
}

/* a-z, then a-z, 0-9 and -, at most 16 in all: it is printed. */
static bool
is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if ((c < 'a' || c > 'z') && (i == 0 || ((c < '0' || c > '9') && c != '-')))
			return false;
	}
	return s.n > 0 && s.n <= 16;
}

/* The name of a variable, in front of its first equals sign; empty when that is none. */
static struct span
variable_of(struct span s)
{
	size_t n = span_find(s, SPAN_LIT("="), 0);

	for (size_t i = 0; i < n && n != SIZE_MAX; i++) {
		uint8_t c = s.p[i];

		if ((c < 'A' || c > 'Z') && c != '_' && (i == 0 || c < '0' || c > '9'))
			return SPAN_NONE;
	}
	return n == SIZE_MAX ? SPAN_NONE : span_cut(s, 0, n);
}

static bool
number(struct span s, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t v;

	if (!span_u64(s, max, &v) || v < min)
		return false;
	*out = (uint32_t)v;
	return true;
}

/* The line's rest is followed by what was its line feed. */
static char *
string_of(char *text, struct span all, struct span value)
{
	char *s = text + (value.p - all.p);

	s[value.n] = '\0';
	return s;
}

static struct err
read_heartbeat(struct plan *p, struct span value)
{
	size_t blank = span_find(value, SPAN_LIT(" "), 0);
	struct span what;

	if (p->heartbeat_ms != 0)
		return FAIL(MALFORMED, "heartbeat: given twice");
	if (blank == SIZE_MAX ||
	    !number(span_cut(value, 0, blank), 1, PLAN_HEARTBEAT_MAX_MS, &p->heartbeat_ms))
		return FAIL(MALFORMED, "heartbeat: not MS poweroff|continue, MS from 1 to 60000");
	what = span_cut(value, blank + 1, value.n);
	p->heartbeat_required = span_eq(what, SPAN_LIT("poweroff"));
	if (!p->heartbeat_required && !span_eq(what, SPAN_LIT("continue")))
		return FAIL(MALFORMED, "heartbeat: not MS poweroff|continue");
	return OK;
}

/* The three lines about the whole; a process is open from the first `process` on. */
static struct err
read_head(struct plan *p, char *text, struct span all, struct span word, struct span value)
{
	if (span_eq(word, SPAN_LIT("cmdline"))) {
		if (p->cmdline != NULL)
			return FAIL(MALFORMED, "cmdline: given twice");
		p->cmdline = string_of(text, all, value);
		return OK;
	}
	if (span_eq(word, SPAN_LIT("heartbeat")))
		return read_heartbeat(p, value);
	if (!span_eq(word, SPAN_LIT("files")))
		return FAIL(MALFORMED, "not cmdline, heartbeat, files or process");
	if (p->files != 0)
		return FAIL(MALFORMED, "files: given twice");
	return number(value, 64, PLAN_FILES_MAX, &p->files)
	    ? OK
	    : FAIL(MALFORMED, "files: not a number from 64 to 1048576");
}

static struct err
begin_process(struct plan *p, char *text, struct span all, struct span name)
{
	if (p->cmdline == NULL || p->heartbeat_ms == 0 || p->files == 0)
		return FAIL(MALFORMED, "process: before cmdline, heartbeat and files");
	if (p->n > 0 && p->process[p->n - 1].argc == 0)
		return FAIL(MALFORMED, "process: the one before has no arg");
	if (p->n == PLAN_PROCESSES_MAX)
		return FAIL(TOO_LARGE, "process: more than 4");
	if (!is_name(name))
		return FAIL(MALFORMED, "process: not a name of a-z, 0-9 and -, at most 16");
	for (size_t i = 0; i < p->n; i++)
		if (span_eq(span_str(p->process[i].name), name))
			return FAIL(MALFORMED, "process: a name that is there twice");
	p->process[p->n++] = (struct plan_process){ .name = string_of(text, all, name),
		.vital = true };
	return OK;
}

static struct err
add_variable(struct plan_process *process, char *text, struct span all, struct span value)
{
	struct span name = variable_of(value);

	if (name.n == 0)
		return FAIL(MALFORMED, "env: not NAME=VALUE, NAME of A-Z, 0-9 and _");
	for (size_t i = 0; i < process->envc; i++)
		if (span_eq(variable_of(span_str(process->envp[i])), name))
			return FAIL(MALFORMED, "env: a name that is there twice");
	if (process->envc == PLAN_WORDS_MAX)
		return FAIL(TOO_LARGE, "env: more than 64");
	process->envp[process->envc++] = string_of(text, all, value);
	return OK;
}

static struct err
read_process(
    struct plan_process *process, char *text, struct span all, struct span word, struct span value)
{
	if (span_eq(word, SPAN_LIT("arg"))) {
		if (process->argc == 0 && value.p[0] != '/')
			return FAIL(MALFORMED, "arg: the first one is a path from / on");
		if (process->argc == PLAN_WORDS_MAX)
			return FAIL(TOO_LARGE, "arg: more than 64");
		process->argv[process->argc++] = string_of(text, all, value);
		return OK;
	}
	if (span_eq(word, SPAN_LIT("env")))
		return add_variable(process, text, all, value);
	if (!span_eq(word, SPAN_LIT("restarts")))
		return FAIL(MALFORMED, "not process, restarts, arg or env");
	if (!process->vital)
		return FAIL(MALFORMED, "restarts: given twice");
	process->vital = false;
	return number(value, 0, PLAN_RESTARTS_MAX, &process->restarts)
	    ? OK
	    : FAIL(MALFORMED, "restarts: not a number up to 1000");
}

static struct err
read_line(struct plan *p, char *text, struct span all, struct span line)
{
	size_t blank = span_find(line, SPAN_LIT(" "), 0);
	struct span word, value;

	if (blank == SIZE_MAX || blank + 1 == line.n || line.p[blank + 1] == ' ' ||
	    line.p[line.n - 1] == ' ')
		return FAIL(MALFORMED, "not a word, one blank, and a value without blanks around");
	word = span_cut(line, 0, blank);
	value = span_cut(line, blank + 1, line.n);
	if (span_eq(word, SPAN_LIT("process")))
		return begin_process(p, text, all, value);
	if (p->n == 0)
		return read_head(p, text, all, word, value);
	return read_process(&p->process[p->n - 1], text, all, word, value);
}

static struct err
check_whole(const struct plan *p)
{
	if (p->n == 0)
		return FAIL(MALFORMED, "no process");
	if (p->process[p->n - 1].argc == 0)
		return FAIL(MALFORMED, "process: it has no arg");
	for (size_t i = 0; i < p->n; i++)
		if (p->process[i].vital)
			return OK;
	return FAIL(MALFORMED, "no process without restarts: nothing would end the enclave");
}

struct err
plan_parse(struct plan *p, char *text, size_t n)
{
	struct span all = span_of(text, n), line;
	size_t at = 0;

	*p = (struct plan){ 0 };
	if (n > PLAN_MAX_BYTES)
		return FAIL(TOO_LARGE, "above 32 KiB");
	while (next_line(all, &at, &line)) {
		p->line++;
		if (!is_printable(line))
			return FAIL(MALFORMED, "bytes that are not printable ASCII");
		if (line.n > 0 && line.p[0] != '#')
			TRY(read_line(p, text, all, line));
	}
	p->line++;
	if (at != n)
		return FAIL(MALFORMED, "the last line has no end");
	return check_whole(p);
}

bool
plan_fits(const struct plan *p, struct span booted)
{
	struct span measured = span_str(p->cmdline);

	/*
	 * Where the command line ends and the first ramdisk begins is not measured (eif.md 2): a word
	 * that goes on has bytes of the ramdisk in it. The hypervisor's own words come after a blank.
	 */
	return span_starts(booted, measured) &&
	    (booted.n == measured.n || booted.p[measured.n] == ' ' ||
		(booted.p[measured.n] == '\n' && booted.n == measured.n + 1));
}
