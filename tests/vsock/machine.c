/*
 * machine.c - the first process of a test machine that has vsock: the kernel's loopback, CID 1, is the
 * host. It loads the kernel's modules, plays log, proxy and provider, starts the gateway that ships,
 * asks it something, and says what it saw, a line each. No network but that: not even lo is up.
 * Linked statically. Not part of any program.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/vm_sockets.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOG_PORT = 514, PROXY_PORT = 1080, PLAIN_PORT = 8000, TLS_PORT = 443, READY_S = 300 };

static atomic_bool ready;

static void
need(bool good, const char *what)
{
	if (good)
		return;
	printf("failed|%s|%s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_AUTOBOOT);
}

static void
load(const char *module)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);

	need(fd >= 0 && syscall(SYS_finit_module, fd, "", 0) == 0, module);
	close(fd);
}

static int
listen_on(unsigned port)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = port
	};
	int s = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(s >= 0 && bind(s, (struct sockaddr *)&to, sizeof(to)) == 0 && listen(s, 8) == 0,
	    "listen");
	return s;
}

static int
connect_to(unsigned port)
{
	struct sockaddr_vm to = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL, .svm_port = port
	};
	int s = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	need(connect(s, (struct sockaddr *)&to, sizeof(to)) == 0, "connect");
	return s;
}

static void
send_text(int fd, const char *text)
{
	need(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text), "send");
}

/* Until `end` is in it, or the peer closes. */
static void
read_until(int fd, char *to, size_t max, const char *end)
{
	size_t n = 0;
	ssize_t got;

	for (to[0] = '\0'; n < max - 1 && strstr(to, end) == NULL; to[n] = '\0') {
		if ((got = recv(fd, to + n, max - 1 - n, 0)) <= 0)
			break;
		n += (size_t)got;
	}
}

/* Line ends would break the form of what is printed. */
static void
say(const char *what, char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\r' || *p == '\n')
			*p = ' ';
	printf("%s|%s\n", what, text);
	fflush(stdout);
}

static void *
serve_log(void *arg)
{
	int s = accept(*(int *)arg, NULL, NULL);
	FILE *f = fdopen(s, "r");
	char line[8192];

	need(f != NULL, "log");
	while (fgets(line, sizeof(line), f) != NULL) {
		say("log", line);
		if (strstr(line, "ready: ") != NULL)
			atomic_store(&ready, true);
	}
	printf("log-end|\n");
	fclose(f);
	return NULL;
}

/* One tunnel after the other; in it we are the provider. */
static void *
serve_proxy(void *arg)
{
	static const char answer[] =
	    "{\"id\":\"u\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"served\","
	    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"by "
	    "vsock\"},\"finish_reason\":\"stop\"}],"
	    "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}";
	static char text[65536], head[256];

	for (;;) {
		int s = accept(*(int *)arg, NULL, NULL);

		need(s >= 0, "accept");
		read_until(s, text, sizeof(text), "\r\n\r\n");
		say("connect", text);
		send_text(s, "HTTP/1.1 200 Connection established\r\n\r\n");
		read_until(s, text, sizeof(text), "-04-14\"}"); /* the body ends so */
		say("upstream", text);
		snprintf(head, sizeof(head),
		    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
		    "%zu\r\n\r\n",
		    strlen(answer));
		send_text(s, head);
		send_text(s, answer);
		close(s);
	}
	return NULL;
}

static pid_t
start_gateway(void)
{
	static char *const argv[] = { "/usr/bin/tee-gateway", "--listen", "vsock:8000",
		"--tls-listen", "vsock:443", "--egress", "vsock:1:1080", "--log-to", "vsock:1:514",
		"--loops", "2", NULL };
	static char *const envp[] = { "OPENAI_API_KEY=sk-test",
		"OPENAI_BASE_URL=http://upstream.test/v1", NULL };
	pid_t pid = fork();

	need(pid >= 0, "fork");
	if (pid == 0) {
		execve(argv[0], argv, envp);
		_exit(127);
	}
	return pid;
}

static void
ask(const char *what, const char *request)
{
	static char answer[65536];
	int s = connect_to(PLAIN_PORT);

	send_text(s, request);
	read_until(s, answer, sizeof(answer), "no such end");
	say(what, answer);
	close(s);
}

int
main(void)
{
	static int log_listener, proxy_listener;
	const char body[] = "{\"model\":\"gpt-4.1-2025-04-14\",\"messages\":[{\"role\":\"user\","
			    "\"content\":\"hello\"}]}";
	char request[1024];
	pthread_t log_thread, proxy_thread;
	pid_t gateway;
	int status;

	signal(SIGPIPE, SIG_IGN);
	need(mount("proc", "/proc", "proc", 0, NULL) == 0, "/proc");
	need(mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) == 0, "/dev");
	load("/modules/vsock.ko");
	load("/modules/vmw_vsock_virtio_transport_common.ko");
	load("/modules/vsock_loopback.ko");
	log_listener = listen_on(LOG_PORT);
	proxy_listener = listen_on(PROXY_PORT);
	pthread_create(&log_thread, NULL, serve_log, &log_listener);
	pthread_create(&proxy_thread, NULL, serve_proxy, &proxy_listener);
	gateway = start_gateway();
	for (int i = 0;
	     i < READY_S * 10 && !atomic_load(&ready) && waitpid(gateway, &status, WNOHANG) == 0;
	     i++)
		usleep(100000);
	need(atomic_load(&ready), "the gateway is not ready");
	close(connect_to(TLS_PORT));
	ask("config",
	    "GET /.well-known/tee-config HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	snprintf(request, sizeof(request),
	    "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
	ask("answer", request);
	kill(gateway, SIGTERM);
	waitpid(gateway, &status, 0);
	pthread_join(log_thread, NULL);
	printf("exit|%d\nend|\n", status);
	fflush(stdout);
	reboot(RB_AUTOBOOT);
	return 1;
}
