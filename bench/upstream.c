/*
 * upstream.c - a provider that costs little and keeps time: what every measured proxy talks to.
 *
 * upstream CERTIFICATE KEY
 *
 * Speaks HTTP/1.1 on two free ports of 127.0.0.1, plain and TLS, and prints them: "plain N" and
 * "tls N". A chat request is answered at once and whole; with "stream":true as an event stream. The
 * path tells whose form it has: OpenAI's, Anthropic's (/v1/messages) or Gemini's (streamed). The
 * prompt says how it is paced, because a prompt is what every proxy passes on as it is: the text
 * `chunks=N interval_ms=M` anywhere in the body makes N events, one each M milliseconds.
 * GET /stats answers with the connections accepted so far, those open, and the requests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <llhttp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "core/span.h"

enum { BODY_MAX = 32 << 20, OUT_MAX = 1 << 20, BACKLOG = 4096, CHUNKS_MAX = 1000000 };

/* One line of OpenAI's as it looks today; the length matters, the words do not. */
#define EVENT_HEAD                                                       \
	"data: {\"id\":\"chatcmpl-BenchBenchBenchBenchBench0001\","      \
	"\"object\":\"chat.completion.chunk\",\"created\":1763800000,"   \
	"\"model\":\"gpt-4.1-2025-04-14\",\"service_tier\":\"default\"," \
	"\"system_fingerprint\":\"fp_0123456789\","
#define EVENT_FIRST                                                                                \
	EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"," \
		   "\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}],"                 \
		   "\"usage\":null}\n\n"
#define EVENT_WORD                                                                    \
	EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" measured\"}," \
		   "\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n"
#define USAGE                                                                            \
	"\"usage\":{\"prompt_tokens\":61,\"completion_tokens\":40,\"total_tokens\":101," \
	"\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"            \
	"\"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,"      \
	"\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}"
#define EVENTS_LAST                                                              \
	EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"   \
		   "\"finish_reason\":\"stop\"}],\"usage\":null}\n\n" EVENT_HEAD \
		   "\"choices\":[]," USAGE "}\n\ndata: [DONE]\n\n"
#define ANSWER                                                                                 \
	"{\"id\":\"chatcmpl-BenchBenchBenchBenchBench0001\",\"object\":\"chat.completion\","   \
	"\"created\":1763800000,\"model\":\"gpt-4.1-2025-04-14\",\"choices\":[{\"index\":0,"   \
	"\"message\":{\"role\":\"assistant\",\"content\":\"A gateway passes bytes on; a good " \
	"one can say afterwards which bytes, to whom, and when, and let you check it.\","      \
	"\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}]"  \
	"," USAGE ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\"}"

/* The same words of Anthropic, as its events look today. */
#define CLAUDE(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define CLAUDE_FIRST                                                           \
	CLAUDE("message_start",                                                \
	    ",\"message\":{\"model\":\"claude-sonnet-4-5-20250929\","          \
	    "\"id\":\"msg_01BenchBenchBenchBenchBe\",\"type\":\"message\","    \
	    "\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,"      \
	    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":61,"           \
	    "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0," \
	    "\"output_tokens\":1,\"service_tier\":\"standard\"}}")             \
	CLAUDE("content_block_start",                                          \
	    ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}")
#define CLAUDE_WORD                   \
	CLAUDE("content_block_delta", \
	    ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" measured\"}")
#define CLAUDE_LAST                                                             \
	CLAUDE("content_block_stop", ",\"index\":0")                            \
	CLAUDE("message_delta",                                                 \
	    ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null}," \
	    "\"usage\":{\"output_tokens\":40}")                                 \
	CLAUDE("message_stop", "")

/* And of Gemini. */
#define GEMINI(text, finish)                                                                \
	"data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"" text             \
	"\"}],\"role\": \"model\"}," finish "\"index\": 0}],\"usageMetadata\": "            \
	"{\"promptTokenCount\": 61,\"candidatesTokenCount\": 40,\"totalTokenCount\": 101}," \
	"\"modelVersion\": \"gemini-2.5-flash\",\"responseId\": \"BenchBenchBench\"}\r\n\r\n"

/* What one provider's stream is made of: at once, word by word, at the end. */
struct form {
	struct span first, word, last;
};
static const struct form openai_form = { SPAN_LIT(EVENT_FIRST), SPAN_LIT(EVENT_WORD),
	SPAN_LIT(EVENTS_LAST) };
static const struct form claude_form = { SPAN_LIT(CLAUDE_FIRST), SPAN_LIT(CLAUDE_WORD),
	SPAN_LIT(CLAUDE_LAST) };
static const struct form gemini_form = { SPAN_LIT(GEMINI("", "")),
	SPAN_LIT(GEMINI(" measured", "")), SPAN_LIT(GEMINI("", "\"finishReason\": \"STOP\",")) };

struct conn {
	uv_poll_t poll;
	uv_timer_t pace;
	int fd, watched, handles;
	SSL *ssl;
	bool closing, keep;
	llhttp_t parser;
	struct buf body, out;
	bool stats; /* the request is for /stats */
	const struct form *form;
	uint64_t chunks_left, interval_ms, due_ms;
};

struct listener {
	uv_poll_t poll;
	int fd;
	bool tls;
};

static struct {
	uv_loop_t loop;
	SSL_CTX *tls;
	llhttp_settings_t parse;
	struct listener plain, secure;
	uint64_t accepted, open, requests;
} up;

static void
die(const char *what)
{
	fprintf(stderr, "upstream: %s%s%s\n", what, errno != 0 ? ": " : "",
	    errno != 0 ? strerror(errno) : "");
	exit(1);
}

/* --- connections ------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *p, int status, int events);

static void
watch(struct conn *c, int events)
{
	if (c->watched == events)
		return;
	c->watched = events;
	uv_poll_start(&c->poll, events, on_poll);
}

static void
on_closed(uv_handle_t *h)
{
	struct conn *c = h->data;

	if (--c->handles > 0)
		return;
	SSL_free(c->ssl);
	close(c->fd);
	buf_fini(&c->body);
	buf_fini(&c->out);
	free(c);
	up.open--;
}

static void
conn_close(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	uv_close((uv_handle_t *)&c->poll, on_closed);
	uv_close((uv_handle_t *)&c->pace, on_closed);
}

/* False when the call would wait; then what it waits for is watched. Closes what is broken. */
static bool
went_well(struct conn *c, ssize_t n, int would_watch)
{
	int e;

	if (n > 0)
		return true;
	if (c->ssl == NULL && n < 0 && errno == EAGAIN) {
		watch(c, would_watch);
		return false;
	}
	e = c->ssl != NULL ? SSL_get_error(c->ssl, (int)n) : SSL_ERROR_SYSCALL;
	if (e == SSL_ERROR_WANT_READ)
		watch(c, UV_READABLE);
	else if (e == SSL_ERROR_WANT_WRITE)
		watch(c, UV_READABLE | UV_WRITABLE);
	else
		conn_close(c);
	ERR_clear_error(); /* of this connection; the next must not read it as its own */
	return false;
}

static void
flush(struct conn *c)
{
	while (c->out.n > 0 && !c->closing) {
		ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, c->out.p, (int)c->out.n)
					   : send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);

		if (!went_well(c, n, UV_READABLE | UV_WRITABLE))
			return;
		buf_drop(&c->out, (size_t)n);
	}
	if (c->closing)
		return;
	watch(c, UV_READABLE);
	if (!c->keep && c->chunks_left == 0)
		conn_close(c);
}

/* --- answers ----------------------------------------------------------------------------- */

/* One chunk of the transfer coding (RFC 9112 7.1) for each event. */
static void
put_chunk(struct conn *c, struct span s)
{
	char size[32];

	snprintf(size, sizeof(size), "%zx\r\n", s.n);
	buf_put_str(&c->out, size);
	buf_put(&c->out, s);
	buf_put_str(&c->out, "\r\n");
}

static void on_pace(uv_timer_t *t);

/* By the clock: a timer that repeats would add its lateness up. */
static void
pace(struct conn *c)
{
	uint64_t now = uv_now(&up.loop);

	c->due_ms += c->interval_ms;
	uv_timer_start(&c->pace, on_pace, c->due_ms > now ? c->due_ms - now : 0, 0);
}

static void
on_pace(uv_timer_t *t)
{
	struct conn *c = t->data;

	put_chunk(c, c->form->word);
	if (--c->chunks_left > 0) {
		pace(c);
	} else {
		put_chunk(c, c->form->last);
		buf_put_str(&c->out, "0\r\n\r\n");
	}
	if (failed(buf_check(&c->out)))
		conn_close(c); /* nobody reads: measured is a proxy that keeps up */
	else
		flush(c);
}

/* The number after `name=` in the request's body, or `otherwise`. */
static uint64_t
asked(struct conn *c, struct span name, uint64_t otherwise)
{
	struct span body = buf_span(&c->body);
	size_t at = span_find(body, name, 0);
	uint64_t v = otherwise;
	size_t end;

	if (at == SIZE_MAX)
		return otherwise;
	at += name.n;
	for (end = at; end < body.n && body.p[end] >= '0' && body.p[end] <= '9';)
		end++;
	(void)span_u64(span_cut(body, at, end), CHUNKS_MAX, &v);
	return v == 0 ? otherwise : v;
}

static void
answer_stream(struct conn *c)
{
	buf_put_str(&c->out,
	    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
	    "x-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n");
	put_chunk(c, c->form->first);
	c->chunks_left = asked(c, SPAN_LIT("chunks="), 16);
	c->interval_ms = asked(c, SPAN_LIT("interval_ms="), 1);
	c->due_ms = uv_now(&up.loop);
	pace(c);
}

static void
answer_whole(struct conn *c, struct span body)
{
	buf_put_str(&c->out,
	    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
	    "x-request-id: req_bench\r\ncontent-length: ");
	buf_put_u64(&c->out, body.n);
	buf_put_str(&c->out, "\r\n\r\n");
	buf_put(&c->out, body);
}

static int
on_url(llhttp_t *p, const char *at, size_t n)
{
	struct conn *c = p->data;

	struct span url = span_of(at, n);

	c->stats = span_eq(url, SPAN_LIT("/stats"));
	c->form = &openai_form;
	if (span_eq(url, SPAN_LIT("/v1/messages")))
		c->form = &claude_form;
	else if (span_find(url, SPAN_LIT(":streamGenerateContent"), 0) != SIZE_MAX)
		c->form = &gemini_form;
	return 0;
}

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct conn *c = p->data;

	buf_put(&c->body, span_of(at, n));
	return 0;
}

static int
on_complete(llhttp_t *p)
{
	struct conn *c = p->data;
	struct span body = buf_span(&c->body);
	char stats[128];

	c->keep = llhttp_should_keep_alive(p) == 1;
	if (c->stats) {
		snprintf(stats, sizeof(stats),
		    "{\"accepted\":%llu,\"open\":%llu,\"requests\":%llu}",
		    (unsigned long long)up.accepted, (unsigned long long)up.open,
		    (unsigned long long)up.requests);
		answer_whole(c, span_str(stats));
	} else {
		up.requests++;
		if (c->form == &gemini_form ||
		    span_find(body, SPAN_LIT("\"stream\":true"), 0) != SIZE_MAX)
			answer_stream(c);
		else
			answer_whole(c, SPAN_LIT(ANSWER));
	}
	c->stats = false;
	buf_truncate(&c->body, 0);
	return 0;
}

/* --- the loop ---------------------------------------------------------------------------- */

static void
on_poll(uv_poll_t *p, int status, int events)
{
	static char piece[65536];
	struct conn *c = p->data;

	(void)status, (void)events; /* the calls themselves tell what is wrong */
	while (!c->closing) {
		ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, piece, sizeof(piece))
					   : recv(c->fd, piece, sizeof(piece), 0);

		if (!went_well(c, n, UV_READABLE))
			break;
		if (llhttp_execute(&c->parser, piece, (size_t)n) != HPE_OK)
			conn_close(c);
	}
	if (!c->closing && c->out.n > 0)
		flush(c);
}

static void
on_accept(uv_poll_t *p, int status, int events)
{
	struct listener *l = p->data;
	int one = 1, fd;

	(void)status, (void)events;
	while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));

		if (c == NULL)
			die("memory");
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c->fd = fd;
		c->keep = true;
		c->handles = 2;
		buf_init(&c->body, BODY_MAX);
		buf_init(&c->out, OUT_MAX);
		llhttp_init(&c->parser, HTTP_REQUEST, &up.parse);
		c->parser.data = c->poll.data = c->pace.data = c;
		if (uv_poll_init(&up.loop, &c->poll, fd) != 0 ||
		    uv_timer_init(&up.loop, &c->pace) != 0)
			die("handles");
		if (l->tls) {
			if ((c->ssl = SSL_new(up.tls)) == NULL || SSL_set_fd(c->ssl, fd) != 1)
				die("TLS");
			SSL_set_accept_state(c->ssl);
		}
		up.accepted++;
		up.open++;
		watch(c, UV_READABLE);
	}
}

static void
listen_on(struct listener *l, bool tls, const char *name)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	l->tls = tls;
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 || bind(l->fd, (struct sockaddr *)&a, n) != 0 ||
	    listen(l->fd, BACKLOG) != 0 || getsockname(l->fd, (struct sockaddr *)&a, &n) != 0)
		die("cannot listen");
	if (uv_poll_init(&up.loop, &l->poll, l->fd) != 0)
		die("poll");
	l->poll.data = l;
	uv_poll_start(&l->poll, UV_READABLE, on_accept);
	printf("%s %u\n", name, ntohs(a.sin_port));
}

int
main(int argc, char **argv)
{
	if (argc != 3) {
		fputs("usage: upstream CERTIFICATE KEY\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
	if ((up.tls = SSL_CTX_new(TLS_server_method())) == NULL || uv_loop_init(&up.loop) != 0)
		die("set-up");
	SSL_CTX_set_mode(up.tls,
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
		SSL_MODE_RELEASE_BUFFERS);
	errno = 0;
	if (SSL_CTX_use_certificate_chain_file(up.tls, argv[1]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(up.tls, argv[2], SSL_FILETYPE_PEM) != 1)
		die("certificate or key");
	llhttp_settings_init(&up.parse);
	up.parse.on_url = on_url;
	up.parse.on_body = on_body;
	up.parse.on_message_complete = on_complete;
	listen_on(&up.plain, false, "plain");
	listen_on(&up.secure, true, "tls");
	fflush(stdout);
	return uv_run(&up.loop, UV_RUN_DEFAULT);
}
