// Starts the real gateway for a test: free ports, readiness without sleeps, and a stop that fails
// the test unless every process ended well and no sanitizer spoke up.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const gatewayProgram = path.resolve(root,
	process.env.TEE_GATEWAY_BIN ?? 'build/tee-gateway');
export const verifyProgram = path.resolve(root,
	process.env.TEE_VERIFY_BIN ?? path.join(path.dirname(gatewayProgram), 'tee-verify'));

const READY_MS = 30_000; // a sanitized RSA key on a busy machine
const STOP_MS = 60_000;
const SANITIZER =
	/(ERROR|WARNING): (Address|Leak|Thread|UndefinedBehavior|Memory)Sanitizer|runtime error:|FATAL: \w+Sanitizer/;

// Ports nobody listens on; asked for at once, so that they differ.
export async function freePorts(count) {
	const servers = await Promise.all(Array.from({ length: count }, () => new Promise((ok, fail) => {
		const server = net.createServer();
		server.once('error', fail);
		server.listen(0, '127.0.0.1', () => ok(server));
	})));
	const ports = servers.map(server => server.address().port);
	await Promise.all(servers.map(server => new Promise(ok => server.close(ok))));
	return ports;
}

function connects(port) {
	return new Promise(ok => {
		const socket = net.connect(port, '127.0.0.1');
		socket.once('connect', () => { socket.destroy(); ok(true); });
		socket.once('error', () => ok(false));
	});
}

function healthy(port) {
	return new Promise(ok => {
		const request = http.get({ port, host: '127.0.0.1', path: '/health', agent: false }, response => {
			response.resume();
			response.once('end', () => ok(response.statusCode === 200));
		});
		request.once('error', () => ok(false));
	});
}

// Resolves when all its output has been read; a program that is not there is an end, too.
function exited(child) {
	return new Promise(ok => {
		child.once('error', error => ok({ code: null, signal: null, error: error.message }));
		child.once('close', (code, signal) => ok({ code, signal }));
	});
}

// The environment of the machine must not decide what a test sees.
function cleanEnvironment() {
	const kept = {};
	for (const [name, value] of Object.entries(process.env))
		if (!/^(TEE_GATEWAY_|API_SERVER_|EVM_|FACILITATOR_|PUBLIC_URL$|\w+_API_KEY$|\w+_BASE_URL$)/.test(name))
			kept[name] = value;
	return kept;
}

// Runs the program to its end: for flags that do not serve. Resolves to {code, stdout, stderr}.
export async function runGateway(args, env = {}) {
	const child = spawn(gatewayProgram, args,
		{ cwd: root, env: { ...cleanEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
	let stdout = '', stderr = '';
	child.stdout.setEncoding('utf8').on('data', text => { stdout += text; });
	child.stderr.setEncoding('utf8').on('data', text => { stderr += text; });
	const { code } = await exited(child);
	assert.doesNotMatch(stderr, SANITIZER);
	return { code, stdout, stderr };
}

/*
 * startGateway({args, env, loops, user, tls, ports}): resolves once both listeners answer; user {uid,
 * gid}: not ours; tls false: no TLS listener is asked for, nor waited for; ports: [plain, TLS].
 * url, tlsUrl		without a slash at the end
 * stop()		SIGTERM; resolves to the exit code after asserting a clean end
 * ended		promise of {code, signal}, for tests that end it themselves; then call check()
 */
export async function startGateway({ args = [], env = {}, loops = 2, user, tls: withTls = true, ports } = {}) {
	const [port, tlsPort] = ports ?? await freePorts(2);
	const child = spawn(gatewayProgram,
		['--mode', 'local', '--listen', `127.0.0.1:${port}`,
			...(withTls ? ['--tls-listen', `127.0.0.1:${tlsPort}`] : []), '--loops', String(loops), ...args],
		{ cwd: root, env: { ...cleanEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'], ...user });
	let output = '', over = null;
	child.stdout.setEncoding('utf8').on('data', text => { output += text; });
	child.stderr.setEncoding('utf8').on('data', text => { output += text; });
	const ended = exited(child).then(result => (over = result));

	const deadline = Date.now() + READY_MS;
	while (!(await healthy(port) && (!withTls || await connects(tlsPort)))) {
		if (over !== null)
			throw new Error(`the gateway ended with ${JSON.stringify(over)}:\n${output}`);
		if (Date.now() > deadline) {
			child.kill('SIGKILL');
			throw new Error(`the gateway is not ready:\n${output}`);
		}
		await new Promise(ok => setTimeout(ok, 10));
	}

	const gateway = {
		port, tlsPort, ended,
		url: `http://127.0.0.1:${port}`,
		tlsUrl: `https://127.0.0.1:${tlsPort}`,
		pid: child.pid,
		stderr: () => output,
		signal: name => child.kill(name),
		check() {
			assert.doesNotMatch(output, SANITIZER);
		},
		async stop() {
			if (over === null)
				child.kill('SIGTERM');
			let timer;
			const late = new Promise((_, fail) => {
				timer = setTimeout(() => fail(new Error(`does not stop:\n${output}`)), STOP_MS);
			});
			try {
				await Promise.race([ended, late]);
			} catch (error) {
				child.kill('SIGKILL');
				throw error;
			} finally {
				clearTimeout(timer);
			}
			gateway.check();
			assert.deepEqual(over, { code: 0, signal: null }, `exit status; it wrote:\n${output}`);
			return over.code;
		},
		// PEM of the certificate the TLS listener shows: clients pin it.
		certificate() {
			return new Promise((ok, fail) => {
				const socket = tls.connect({ port: tlsPort, host: '127.0.0.1', rejectUnauthorized: false },
					() => {
						const der = socket.getPeerX509Certificate();
						socket.destroy();
						ok(der.toString());
					});
				socket.once('error', fail);
			});
		},
	};
	return gateway;
}

/*
 * One request over node:http(s), for tests that look at bytes: {status, headers, body} with body a
 * Buffer of the content bytes. `until(buffer)` may end the exchange early by returning true.
 */
export async function exchange(url, { method = 'GET', headers = {}, body, ca, until } = {}) {
	const target = new URL(url);
	const { request } = target.protocol === 'https:' ? await import('node:https') : http;
	return new Promise((ok, fail) => {
		const sent = request(target, {
			method, headers, agent: false, ca,
			// The gateway's certificate is pinned as its own root; its name is not an address.
			...(ca ? { checkServerIdentity: () => undefined } : {}),
		});
		sent.once('error', fail);
		sent.once('response', response => {
			const parts = [];
			response.on('data', part => {
				parts.push(part);
				if (until?.(Buffer.concat(parts)))
					sent.destroy();
			});
			response.once('close', () => ok({
				status: response.statusCode, headers: response.headers, complete: response.complete,
				rawHeaders: response.rawHeaders, body: Buffer.concat(parts),
			}));
			response.on('error', () => {});
		});
		sent.end(body);
	});
}

export function post(url, body, headers = {}, rest = {}) {
	const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
	return exchange(url, {
		method: 'POST', body: bytes, ...rest,
		headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes), ...headers },
	});
}

export function json(response) {
	return JSON.parse(response.body.toString('utf8'));
}
