// Without a network: listeners on vsock ports, providers by HTTP CONNECT through the host, the log
// carried to it (interfaces.md 2; docs/operating.md). The program is tee-gateway-test, whose host is
// Unix sockets in its working directory (tests/host/vsock.c): all else of it is what ships.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gatewayProgram, root } from './gateway.mjs';
import { events, makeCertificates, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { children, memory, sanitized, status, until } from './processes.mjs';

const build = path.resolve(path.dirname(gatewayProgram), '../..');
const program = path.join(build, 'tests/host/tee-gateway-test');
// A build without tests has no tests/ at all; in any other the program must be there.
const options = { skip: fs.existsSync(path.join(build, 'tests')) ? false : 'this build has no programs of the tests' };

// The host: what listens where the gateway looks for it.
function listen(dir, name, serve) {
	const sockets = new Set();
	const server = net.createServer({ allowHalfOpen: true }, socket => {
		sockets.add(socket);
		socket.on('error', () => {});
		socket.on('close', () => sockets.delete(socket));
		serve(socket);
	});
	const file = path.join(dir, name);
	return new Promise(ok => server.listen(file, () => {
		fs.chmodSync(file, 0o777);
		ok({
			server,
			async close() {
				const over = new Promise(done => server.close(done));
				sockets.forEach(socket => socket.destroy());
				await over;
			},
		});
	}));
}

// An HTTP proxy that knows CONNECT. It sees all that passes; `answer` says what it does next.
async function startProxy(dir) {
	const proxy = { asked: [], seen: Buffer.alloc(0), to: null, answer: null };
	const listener = await listen(dir, 'vsock.3.1080', socket => {
		let head = Buffer.alloc(0);
		socket.on('data', function read(part) {
			head = Buffer.concat([head, part]);
			if (!head.includes('\r\n\r\n'))
				return;
			socket.off('data', read);
			proxy.asked.push(head.toString('latin1'));
			if (proxy.answer)
				return void proxy.answer(socket);
			const up = net.connect(proxy.to, '127.0.0.1', () => {
				socket.write('HTTP/1.1 200 Connection established\r\nTEE-Forged: by the host\r\n\r\n');
				socket.on('data', piece => { proxy.seen = Buffer.concat([proxy.seen, piece]); });
				socket.pipe(up).pipe(socket);
			});
			up.on('error', () => socket.destroy());
			socket.on('close', () => up.destroy());
		});
	});
	return Object.assign(proxy, listener);
}

// Lines that came; `reading` false: the connection is taken and nothing is read from it.
async function startLog(dir) {
	const log = { text: '', connections: 0 };
	const listener = await listen(dir, 'vsock.3.514', socket => {
		log.connections++;
		socket.setEncoding('utf8').on('data', text => { log.text += text; });
	});
	return Object.assign(log, listener);
}

function start(dir, args, env) {
	const kept = Object.entries(process.env).filter(([name]) => !/^(TEE_GATEWAY_|API_SERVER_|\w+_API_KEY$|\w+_BASE_URL$)/.test(name));
	const child = spawn(program, args,
		{ cwd: dir, env: { ...Object.fromEntries(kept), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
	const process_ = { pid: child.pid, stderr: '', code: undefined };
	child.stderr.setEncoding('utf8').on('data', text => { process_.stderr += text; });
	process_.ended = new Promise(ok => child.once('close', code => ok(process_.code = code)));
	process_.stop = async () => {
		child.kill('SIGTERM');
		await process_.ended;
		assert.doesNotMatch(process_.stderr, /Sanitizer|runtime error/);
		assert.equal(process_.code, 0, process_.stderr);
	};
	return process_;
}

function ask(socketPath, target, { body, secure, headers = {} } = {}) {
	const bytes = body === undefined ? undefined : JSON.stringify(body);
	return new Promise((ok, fail) => {
		const request = (secure ? https : http).request({
			path: target, method: bytes === undefined ? 'GET' : 'POST', agent: false,
			socketPath, rejectUnauthorized: false,
			headers: bytes === undefined ? headers
				: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes), ...headers },
		});
		request.once('error', fail);
		request.once('response', response => {
			const parts = [];
			response.on('data', part => parts.push(part));
			response.once('end', () => ok({ status: response.statusCode, headers: response.headers,
				body: Buffer.concat(parts).toString('utf8') }));
		});
		request.end(bytes);
	});
}

let dir, fake, proxy, log, gateway, plain, secure;
const model = 'gpt-4.1-2025-04-14';
const answer = { id: 'u', object: 'chat.completion', created: 1, model: 'served',
	choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
	usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } };
const secret = 'a prompt that the host may not see';
const chat = (rest = {}) => ({ model, messages: [{ role: 'user', content: secret }], ...rest });

before(async () => {
	if (options.skip)
		return;
	dir = fs.mkdtempSync(path.join(os.tmpdir(), 'vsock-'));
	fs.chmodSync(dir, 0o777);
	[plain, secure] = ['vsock.8000', 'vsock.443'].map(name => path.join(dir, name));
	fake = await startFakeOpenAI();
	proxy = await startProxy(dir);
	proxy.to = fake.port;
	log = await startLog(dir);
	const policy = JSON.parse(fs.readFileSync(path.join(root, 'policy.json'), 'utf8'));
	policy.limits = { ...policy.limits, upstream_connect_ms: 1000 };
	fs.writeFileSync(path.join(dir, 'policy.json'), JSON.stringify(policy));
	gateway = start(dir, ['--policy', path.join(dir, 'policy.json'), '--listen', 'vsock:8000', '--tls-listen', 'vsock:443', '--egress', 'vsock:3:1080',
		'--log-to', 'vsock:3:514', '--loops', '2'],
	// Nobody listens there, and no resolver of ours knows the name: it is the host's to find.
	{ ...fake.env, OPENAI_BASE_URL: 'https://localhost:9/v1' });
	await until('the gateway is ready', () => {
		assert.equal(gateway.code, undefined, gateway.stderr);
		return /msg="?ready/.test(log.text);
	}, 30_000);
});

after(async () => {
	if (options.skip)
		return;
	if (gateway?.code === undefined)
		await gateway?.stop();
	await proxy?.close();
	await log?.close();
	await fake?.close();
	fs.rmSync(dir, { recursive: true });
});

test('a program that cannot take Unix sockets for the host ships', options, () => {
	const name = Buffer.from('vsock.%u.%u');
	assert.ok(fs.readFileSync(program).includes(name));
	assert.ok(!fs.readFileSync(gatewayProgram).includes(name));
});

test('A1: addresses that are none are exit 2 and one line', options, async () => {
	for (const [args, names] of [
		[['--listen', 'vsock:'], /--listen.*vsock:PORT/], [['--listen', 'vsock:0'], /--listen/],
		[['--tls-listen', 'vsock:4294967296'], /--tls-listen.*vsock:PORT or none/],
		[['--egress', 'vsock:3'], /--egress.*direct or vsock:CID:PORT/], [['--egress', 'vsock:0:1'], /--egress/],
		[['--egress', 'http://proxy'], /--egress/], [['--egress', 'vsock:3:1080:'], /--egress/],
		[['--log-to', 'vsock:514'], /--log-to.*a file or vsock:CID:PORT/],
	]) {
		const run = start(root, args, {});
		assert.equal(await run.ended, 2, run.stderr);
		assert.match(run.stderr, names);
		assert.equal(run.stderr.trimEnd().split('\n').length, 1);
	}
	const twin = start(root, [], { TEE_GATEWAY_EGRESS: 'sideways' });
	assert.equal(await twin.ended, 2);
	assert.match(twin.stderr, /TEE_GATEWAY_EGRESS/);
});

test('A1: a vsock port that somebody has is exit 1', options, async () => {
	const run = start(dir, ['--listen', 'vsock:8000', '--tls-listen', 'none'], {});
	assert.equal(await run.ended, 1, run.stderr);
	assert.match(run.stderr, /cannot listen on vsock:8000: bind: Address already in use/);
});

test('both listeners serve; what is published says how requests leave', options, async () => {
	const health = await ask(plain, '/health');
	assert.equal(JSON.parse(health.body).status, 'OK');
	const config = await ask(secure, '/.well-known/tee-config', { secure: true });
	assert.equal(JSON.parse(config.body).config.egress, 'vsock:3:1080');
	const shown = JSON.parse((await ask(secure, '/enclave/config', { secure: true })).body);
	assert.equal(shown.UseVsockForExtPort, true);
	assert.equal(shown.ExtPubPort, 443);
});

// Before the first answer: afterwards a connection is kept, and nobody asks the host.
for (const [what, answerOf, code] of [
	['refuses', socket => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'), 'upstream_error'],
	['wants a password', socket => socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'), 'upstream_error'],
	['answers what is no HTTP', socket => socket.end('\0\xff\n\n'.repeat(100)), 'upstream_error'],
	['answers without end', socket => {
		socket.write('HTTP/1.1 200 OK\r\n');
		const more = () => socket.destroyed || socket.write('X: '.padEnd(60_000, 'x') + '\r\n', more);
		more();
	}, 'upstream_error'],
	['closes at once', socket => socket.destroy(), 'upstream_error'],
	['says nothing', () => {}, 'upstream_error'],
	['is another provider', null, 'upstream_tls'],
])
	test(`a host that ${what} is 502 ${code}`, options, async () => {
		let impostor;
		if (answerOf === null) {
			const { key, cert, dir: made } = makeCertificates();
			fs.rmSync(made, { recursive: true });
			impostor = https.createServer({ key, cert }, (_, response) => response.end('{}'));
			await new Promise(ok => impostor.listen(0, '127.0.0.1', ok));
			proxy.to = impostor.address().port;
		} else {
			proxy.answer = answerOf;
		}
		try {
			const got = await ask(plain, '/v1/chat/completions', { body: chat() });
			assert.equal(got.status, 502, got.body);
			assert.equal(JSON.parse(got.body).error.code, code);
		} finally {
			proxy.answer = null;
			proxy.to = fake.port;
			impostor?.close();
		}
		const health = await ask(plain, '/health');
		assert.equal(health.status, 200);
	});

test('an answer comes through the host, who sees a name and nothing else', options, async () => {
	fake.answer(whole(answer));
	const before = proxy.asked.length;
	const got = await ask(secure, '/v1/chat/completions', { secure: true, body: chat() });
	assert.equal(got.status, 200, got.body);
	assert.equal(JSON.parse(got.body).choices[0].message.content, 'hi');
	assert.ok(got.headers['tee-receipt']);
	assert.equal(got.headers['tee-forged'], undefined);
	assert.equal(proxy.asked.length, before + 1);
	const head = proxy.asked.at(-1).split('\r\n');
	assert.equal(head[0], 'CONNECT localhost:9 HTTP/1.1');
	assert.deepEqual(head.slice(1).filter(line => !/^(Host|Proxy-Connection): /.test(line)), ['', '']);
	assert.ok(proxy.seen.length > 0);
	for (const word of [secret, 'sk-test-of-the-gateway'])
		assert.ok(!proxy.seen.includes(word), word);
	const claims = JSON.parse(Buffer.from(got.headers['tee-receipt'].split('.')[1], 'base64url'));
	assert.equal(claims.upstream.host, 'localhost');
	assert.equal(claims.upstream.cert, fake.cert);
	assert.equal(fake.last().body.includes(secret), true);
});

test('a stream comes in its pieces', options, async () => {
	const chunk = (delta, finish_reason = null) => ({ id: 'u', object: 'chat.completion.chunk', created: 1, model: 'served',
		choices: [{ index: 0, delta, finish_reason }] });
	const words = Array.from({ length: 200 }, (_, i) => `word${i} `);
	fake.answer(stream(events(...words.map(content => chunk({ content })), chunk({}, 'stop')), { step: 997 }));
	const got = await ask(secure, '/v1/chat/completions', { secure: true, body: chat({ stream: true }) });
	const text = got.body.split('\n\n').filter(line => line.startsWith('data: {'))
		.map(line => JSON.parse(line.slice(6)).choices[0].delta.content ?? '').join('');
	assert.equal(text, words.join(''));
	assert.match(got.body, /data: \[DONE\]\n\n$/);
});

test('the worker has its list of calls, and no capability', options, t => {
	const worker = children(gateway.pid).at(-1);
	if (sanitized(worker))
		return t.skip('a sanitizer has no lists');
	assert.equal(status(worker).Seccomp, '2');
	assert.equal(BigInt(`0x${status(worker).CapEff}`), 0n);
});

test('K1: a worker that dies leaves its listeners to the next', options, async () => {
	const dead = children(gateway.pid).at(-1);
	process.kill(dead, 'SIGKILL');
	await until('a new worker serves', async () => children(gateway.pid).at(-1) !== dead
		&& (await ask(plain, '/health').catch(() => ({}))).status === 200);
	fake.answer(whole(answer));
	const got = await ask(secure, '/v1/chat/completions', { secure: true, body: chat() });
	assert.equal(got.status, 200, got.body);
});

test('K3: the log\'s carrier has no provider key', options, t => {
	const [carrier] = children(gateway.pid);
	if (sanitized(carrier))
		return t.skip('a sanitizer keeps what was freed');
	if (process.getuid() !== 0)
		return t.skip('another process\'s memory is root\'s to read');
	assert.equal(status(carrier).Uid.split('\t')[0], '61103');
	assert.equal(status(carrier).Seccomp, '2');
	const key = Buffer.from('sk-test-of-the-gateway');
	let bytes = 0;
	for (const mapping of memory(carrier)) {
		bytes += mapping.length;
		assert.ok(!mapping.includes(key));
	}
	assert.ok(bytes > 100_000, 'its memory was read');
	assert.ok([...memory(children(gateway.pid).at(-1))].some(mapping => mapping.includes(key)),
		'the worker has it, so that we would have seen it');
});

test('F3: lines reach the host whole, in order, and the last ones too', options, async () => {
	await gateway.stop();
	const lines = log.text.trimEnd().split('\n');
	for (const line of lines)
		assert.match(line, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warn|error|debug) /);
	assert.match(lines.at(-1), /msg=stopped/);
	assert.equal(log.connections, 1);
	assert.ok(lines.some(line => line.includes('route=/v1/chat/completions') && line.includes('status=200')));
	assert.ok(!log.text.includes(secret));
	assert.equal(gateway.stderr, '');
});
