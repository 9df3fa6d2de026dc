#include "sys/metrics.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "core/span.h"

enum { LABEL_BYTES = 48, DIGITS_MAX = 80 };

enum metric_type { TYPE_counter, TYPE_gauge, TYPE_histogram };

static const struct {
	const char *name, *type_name, *help;
	const char *label[2];
	enum metric_type type;
} described[METRIC_COUNT] = {
#define METRIC_ROW(id, name_, type_, l1, l2, help_) \
	[METRIC_##id] = {                           \
		.name = name_,                      \
		.type_name = #type_,                \
		.help = help_,                      \
		.label = { l1, l2 },                \
		.type = TYPE_##type_,               \
	},
	METRICS(METRIC_ROW)
#undef METRIC_ROW
};

/* Upper bounds of the buckets, ascending; the text is what "le" says. */
static const struct {
	uint64_t us;
	const char *le;
} bound[] = {
	{ 1000, "0.001" },
	{ 2500, "0.0025" },
	{ 5000, "0.005" },
	{ 10000, "0.01" },
	{ 25000, "0.025" },
	{ 50000, "0.05" },
	{ 100000, "0.1" },
	{ 250000, "0.25" },
	{ 500000, "0.5" },
	{ 1000000, "1" },
	{ 2500000, "2.5" },
	{ 5000000, "5" },
	{ 10000000, "10" },
	{ 30000000, "30" },
	{ 60000000, "60" },
	{ 120000000, "120" },
	{ 300000000, "300" },
};
enum { BOUNDS = sizeof(bound) / sizeof(bound[0]) };

struct series {
	char label[2][LABEL_BYTES];
	int64_t value;	/* counter, gauge */
	uint64_t count; /* histogram: observations, */
	uint64_t sum_us;
	uint64_t bucket[BOUNDS]; /* and how many fell into each, not cumulated */
};

/* Made by the first use of its labels, never removed. The last place is kept for "other". */
static struct {
	struct series series[METRIC_MAX_SERIES];
	size_t n;
	char digits[DIGITS_MAX + 1]; /* of metric_set(); "": the value counts */
} table[METRIC_COUNT];
static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;

/* A label as it is kept: printable ASCII, cut to its place. */
static void
label_copy(char to[static LABEL_BYTES], const char *from)
{
	size_t n = 0;

	for (; from != NULL && from[n] != '\0' && n < LABEL_BYTES - 1; n++)
		to[n] = from[n] >= 0x20 && from[n] < 0x7f ? from[n] : '_';
	to[n] = '\0';
}

static struct series *
find(enum metric m, char want[static 2][LABEL_BYTES])
{
	for (size_t i = 0; i < table[m].n; i++) {
		struct series *s = &table[m].series[i];

		if (strcmp(s->label[0], want[0]) == 0 && strcmp(s->label[1], want[1]) == 0)
			return s;
	}
	return NULL;
}

/* The series of these labels, made when new; call with the mutex held. */
static struct series *
series_get(enum metric m, const char *label1, const char *label2)
{
	char want[2][LABEL_BYTES];
	struct series *s;

	label_copy(want[0], described[m].label[0] == NULL ? NULL : label1);
	label_copy(want[1], described[m].label[1] == NULL ? NULL : label2);
	if ((s = find(m, want)) != NULL)
		return s;
	if (table[m].n >= METRIC_MAX_SERIES - 1) {
		for (size_t i = 0; i < 2; i++)
			label_copy(want[i], described[m].label[i] == NULL ? NULL : "other");
		if ((s = find(m, want)) != NULL)
			return s;
	}
	if (table[m].n == METRIC_MAX_SERIES)
		return NULL;
	s = &table[m].series[table[m].n++];
	memcpy(s->label, want, sizeof(s->label));
	return s;
}

void
metric_add(enum metric m, const char *label1, const char *label2, int64_t step)
{
	struct series *s;

	if (described[m].type == TYPE_histogram || (described[m].type == TYPE_counter && step < 0))
		return;
	pthread_mutex_lock(&table_mutex);
	if ((s = series_get(m, label1, label2)) != NULL)
		s->value += step;
	pthread_mutex_unlock(&table_mutex);
}

void
metric_set(enum metric m, struct span digits)
{
	if (described[m].type != TYPE_gauge || digits.n > DIGITS_MAX)
		return;
	pthread_mutex_lock(&table_mutex);
	memcpy(table[m].digits, digits.p, digits.n);
	table[m].digits[digits.n] = '\0';
	pthread_mutex_unlock(&table_mutex);
}

void
metric_observe(enum metric m, const char *label1, double seconds)
{
	/* Whole microseconds from here on; a day bounds what a broken clock can add. */
	const double most = 86400;
	uint64_t us = 0;
	struct series *s;
	size_t i = 0;

	if (described[m].type != TYPE_histogram)
		return;
	if (seconds > 0)
		us = (uint64_t)((seconds < most ? seconds : most) * 1e6 + 0.5);
	while (i < BOUNDS && us > bound[i].us)
		i++;
	pthread_mutex_lock(&table_mutex);
	if ((s = series_get(m, label1, NULL)) != NULL) {
		s->count++;
		s->sum_us += us;
		if (i < BOUNDS)
			s->bucket[i]++;
	}
	pthread_mutex_unlock(&table_mutex);
}

/* name="value" with the escapes of the text format, a comma before all but the first. */
static void
print_label(struct buf *b, bool *first, const char *name, const char *value)
{
	buf_put_byte(b, *first ? '{' : ',');
	*first = false;
	buf_put_str(b, name);
	buf_put_str(b, "=\"");
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			buf_put_byte(b, '\\');
		buf_put_byte(b, (uint8_t)*value);
	}
	buf_put_byte(b, '"');
}

/* Name, suffix and labels, up to the space before the value. */
static void
print_name(struct buf *b, enum metric m, const struct series *s, const char *suffix, const char *le)
{
	bool first = true;

	buf_put_str(b, "tee_gateway_");
	buf_put_str(b, described[m].name);
	buf_put_str(b, suffix);
	for (size_t i = 0; i < 2; i++)
		if (described[m].label[i] != NULL)
			print_label(b, &first, described[m].label[i], s->label[i]);
	if (le != NULL)
		print_label(b, &first, "le", le);
	buf_put_str(b, first ? " " : "} ");
}

static void
print_value(struct buf *b, enum metric m, const struct series *s)
{
	print_name(b, m, s, "", NULL);
	if (table[m].digits[0] != '\0') {
		buf_put_str(b, table[m].digits);
		buf_put_byte(b, '\n');
		return;
	}
	if (s->value < 0)
		buf_put_byte(b, '-');
	buf_put_u64(b, s->value < 0 ? -(uint64_t)s->value : (uint64_t)s->value);
	buf_put_byte(b, '\n');
}

static void
print_histogram(struct buf *b, enum metric m, const struct series *s)
{
	uint64_t below = 0, fraction;

	for (size_t i = 0; i < BOUNDS; i++) {
		below += s->bucket[i];
		print_name(b, m, s, "_bucket", bound[i].le);
		buf_put_u64(b, below);
		buf_put_byte(b, '\n');
	}
	print_name(b, m, s, "_bucket", "+Inf");
	buf_put_u64(b, s->count);
	buf_put_byte(b, '\n');
	print_name(b, m, s, "_sum", NULL);
	buf_put_u64(b, s->sum_us / 1000000);
	buf_put_byte(b, '.');
	fraction = s->sum_us % 1000000;
	for (uint64_t place = 100000; place > 0; place /= 10)
		buf_put_byte(b, (uint8_t)('0' + fraction / place % 10));
	buf_put_byte(b, '\n');
	print_name(b, m, s, "_count", NULL);
	buf_put_u64(b, s->count);
	buf_put_byte(b, '\n');
}

static void
print_about(struct buf *b, enum metric m, const char *what, const char *text)
{
	buf_put_str(b, what);
	buf_put_str(b, "tee_gateway_");
	buf_put_str(b, described[m].name);
	buf_put_byte(b, ' ');
	buf_put_str(b, text);
	buf_put_byte(b, '\n');
}

void
metrics_print(struct buf *b)
{
	pthread_mutex_lock(&table_mutex);
	for (enum metric m = 0; m < METRIC_COUNT; m++) {
		/* Without labels there is one series, and it exists from the start. */
		if (described[m].label[0] == NULL)
			(void)series_get(m, NULL, NULL);
		if (table[m].n == 0)
			continue;
		print_about(b, m, "# HELP ", described[m].help);
		print_about(b, m, "# TYPE ", described[m].type_name);
		for (size_t i = 0; i < table[m].n; i++)
			if (described[m].type == TYPE_histogram)
				print_histogram(b, m, &table[m].series[i]);
			else
				print_value(b, m, &table[m].series[i]);
	}
	pthread_mutex_unlock(&table_mutex);
}
