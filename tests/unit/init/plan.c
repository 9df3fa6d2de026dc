/* plan.c - the file that PID 1 follows: each rule of init/plan.h. */
#include "init/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define HEAD	"cmdline reboot=k panic=30\nheartbeat 5000 poweroff\nfiles 65536\n"
#define GATEWAY "process gateway\narg /usr/bin/tee-gateway\n"

static char text[2 * PLAN_MAX_BYTES];
static struct plan p;

static struct err
parse(const char *plan)
{
	memcpy(text, plan, strlen(plan) + 1);
	return plan_parse(&p, text, strlen(plan));
}

static const struct {
	const char *rule, *plan;
	size_t line; /* 0: it is fine */
} rows[] = {
	{ "the least", HEAD GATEWAY, 0 },
	{ "comments and empty lines", "# what\n\n" HEAD "\n#\n" GATEWAY "# end\n", 0 },
	{ "the order of the head is free", "files 64\nheartbeat 1 continue\ncmdline x\n" GATEWAY,
	    0 },
	{ "an argument may have blanks inside, and begin with #", HEAD GATEWAY "arg #a  b\n", 0 },
	{ "a variable may be empty, and hold =", HEAD GATEWAY "env A=\nenv B=c=d\n", 0 },
	{ "nothing", "", 1 },
	{ "no process", HEAD, 4 },
	{ "a last line without its end", HEAD GATEWAY "arg x", 6 },
	{ "a process before the head", GATEWAY HEAD, 1 },
	{ "no cmdline", "heartbeat 1 poweroff\nfiles 64\n" GATEWAY, 3 },
	{ "no heartbeat", "cmdline x\nfiles 64\n" GATEWAY, 3 },
	{ "no files", "cmdline x\nheartbeat 1 poweroff\n" GATEWAY, 3 },
	{ "cmdline twice", "cmdline x\n" HEAD GATEWAY, 2 },
	{ "heartbeat twice", "heartbeat 1 poweroff\n" HEAD GATEWAY, 3 },
	{ "files twice", "files 64\n" HEAD GATEWAY, 4 },
	{ "the head after a process", HEAD GATEWAY "files 64\n", 6 },
	{ "a word nobody knows", "mount /dev\n" HEAD GATEWAY, 1 },
	{ "a word without a value", HEAD GATEWAY "arg\n", 6 },
	{ "a word with an empty value", HEAD GATEWAY "arg \n", 6 },
	{ "two blanks", HEAD GATEWAY "arg  x\n", 6 },
	{ "a blank at the end", HEAD GATEWAY "arg x \n", 6 },
	{ "a blank in front", HEAD GATEWAY " arg x\n", 6 },
	{ "a tab", HEAD GATEWAY "arg\tx\n", 6 },
	{ "a carriage return", HEAD GATEWAY "arg x\r\n", 6 },
	{ "a byte above ASCII", HEAD GATEWAY "arg \xc3\xa4\n", 6 },
	{ "no time for the heartbeat", "cmdline x\nheartbeat 0 poweroff\n", 2 },
	{ "too much time for it", "cmdline x\nheartbeat 60001 poweroff\n", 2 },
	{ "what else to do without it", "cmdline x\nheartbeat 5 restart\n", 2 },
	{ "a heartbeat without that", "cmdline x\nheartbeat 5\n", 2 },
	{ "too few files", "files 63\n", 1 },
	{ "a signed number", "files +64\n", 1 },
	{ "a name in capitals", HEAD "process Gateway\n", 4 },
	{ "a name that begins with a digit", HEAD "process 1st\n", 4 },
	{ "a name of 17", HEAD "process aaaaaaaaaaaaaaaaa\n", 4 },
	{ "a name twice", HEAD GATEWAY GATEWAY, 6 },
	{ "a process without arguments", HEAD "process a\n" GATEWAY, 5 },
	{ "a last process without arguments", HEAD GATEWAY "process a\n", 7 },
	{ "a fifth process",
	    HEAD GATEWAY
	    "process a\narg /a\nprocess b\narg /b\nprocess c\narg /c\nprocess d\narg /d\n",
	    12 },
	{ "a program that is searched for", HEAD "process a\narg a\n", 5 },
	{ "restarts twice", HEAD GATEWAY "restarts 1\nrestarts 2\n", 7 },
	{ "restarts without end", HEAD GATEWAY "restarts 1001\n", 6 },
	{ "nobody is vital", HEAD GATEWAY "restarts 1\n", 7 },
	{ "a variable without =", HEAD GATEWAY "env A\n", 6 },
	{ "a variable without a name", HEAD GATEWAY "env =x\n", 6 },
	{ "a variable in small letters", HEAD GATEWAY "env path=x\n", 6 },
	{ "a variable that begins with a digit", HEAD GATEWAY "env 1A=x\n", 6 },
	{ "a variable twice", HEAD GATEWAY "env A=x\nenv B=x\nenv A=y\n", 8 },
};

static void
each_rule(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = parse(rows[i].plan);

		if ((rows[i].line == 0) != !failed(e) || (failed(e) && p.line != rows[i].line))
			fail_msg(
			    "%s: line %zu: %s", rows[i].rule, p.line, failed(e) ? e.what : "fine");
	}
}

static void
what_is_read(void **state)
{
	assert_false(failed(
	    parse(HEAD "process tap\nrestarts 10\narg /bin/tap\narg --mtu\narg 1500\n" GATEWAY
		       "arg --mode\narg enclave\nenv A=b c\n")));
	assert_string_equal(p.cmdline, "reboot=k panic=30");
	assert_int_equal(p.heartbeat_ms, 5000);
	assert_true(p.heartbeat_required);
	assert_int_equal(p.files, 65536);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.process[0].name, "tap");
	assert_false(p.process[0].vital);
	assert_int_equal(p.process[0].restarts, 10);
	assert_string_equal(p.process[0].argv[2], "1500");
	assert_null(p.process[0].argv[3]);
	assert_null(p.process[0].envp[0]);
	assert_true(p.process[1].vital);
	assert_string_equal(p.process[1].argv[0], "/usr/bin/tee-gateway");
	assert_string_equal(p.process[1].argv[2], "enclave");
	assert_null(p.process[1].argv[3]);
	assert_string_equal(p.process[1].envp[0], "A=b c");
	assert_null(p.process[1].envp[1]);
}

/* One more than fits of what is counted. */
static void
bounds(void **state)
{
	for (int word = 0; word < 2; word++) {
		size_t n = strlen(HEAD GATEWAY);

		memcpy(text, HEAD GATEWAY, n);
		for (int i = word; i <= PLAN_WORDS_MAX; i++)
			n += (size_t)snprintf(text + n, 32, word ? "arg x%d\n" : "env X%d=\n", i);
		assert_int_equal(plan_parse(&p, text, n).code, ERR_TOO_LARGE);
	}
	memset(text, '\n', sizeof(text));
	assert_int_equal(plan_parse(&p, text, PLAN_MAX_BYTES + 1).code, ERR_TOO_LARGE);
}

static void
a_nul_ends_nothing(void **state)
{
	const char plan[] = HEAD GATEWAY "arg x\0y\n", tail[] = HEAD GATEWAY "arg x\0";

	memcpy(text, plan, sizeof(plan));
	assert_true(failed(plan_parse(&p, text, sizeof(plan) - 1)));
	memcpy(text, tail, sizeof(tail));
	assert_true(failed(plan_parse(&p, text, sizeof(tail) - 1)));
}

static void
which_command_lines_fit(void **state)
{
	static const struct {
		const char *rule;
		struct span booted;
		bool fits;
	} lines[] = {
		{ "the same", SPAN_LIT("reboot=k panic=30"), true },
		{ "as /proc/cmdline ends", SPAN_LIT("reboot=k panic=30\n"), true },
		{ "the hypervisor's words",
		    SPAN_LIT("reboot=k panic=30 virtio_mmio.device=4K@0xd0000000:5\n"), true },
		{ "nothing", SPAN_LIT(""), false },
		{ "a shorter one", SPAN_LIT("reboot=k panic=3\n"), false },
		{ "a word that goes on", SPAN_LIT("reboot=k panic=300\n"), false },
		{ "bytes of a ramdisk", SPAN_LIT("reboot=k panic=30070701\n"), false },
		{ "two lines", SPAN_LIT("reboot=k panic=30\nx\n"), false },
		{ "another one", SPAN_LIT("reboot=t panic=30\n"), false },
		{ "words in front", SPAN_LIT("quiet reboot=k panic=30\n"), false },
	};

	assert_false(failed(parse(HEAD GATEWAY)));
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (plan_fits(&p, lines[i].booted) != lines[i].fits)
			fail_msg("%s", lines[i].rule);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule),
		cmocka_unit_test(what_is_read),
		cmocka_unit_test(bounds),
		cmocka_unit_test(a_nul_ends_nothing),
		cmocka_unit_test(which_command_lines_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
