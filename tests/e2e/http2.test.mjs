// H6: HTTP/2 on the TLS listener, by Node's own client: the same answers as over HTTP/1.1, many at
// a time on one connection, and an end that the client understands (A3, RFC 9113 6.8).
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { after, before, test } from 'node:test';
import { exchange, startGateway } from './gateway.mjs';
import { fixture, sha256, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { parseStream, readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

const { NGHTTP2_CANCEL, NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_NO_ERROR } = http2.constants;

let fake, gateway, identity, certificate;
before(async () => {
	fake = await startFakeOpenAI();
	gateway = await startGateway({ env: fake.env });
	identity = await readIdentity(gateway);
	certificate = await gateway.certificate();
});
after(async () => {
	await gateway?.stop();
	await fake?.close();
});

function connect(to = gateway, ca = certificate) {
	const session = http2.connect(to.tlsUrl, { ca, checkServerIdentity: () => undefined,
		maxSendHeaderBlockLength: 1 << 20 });
	session.on('error', () => {});
	return session;
}

// Runs with a connection of its own.
async function using(run) {
	const session = connect();
	try {
		await run(session);
	} finally {
		session.destroy();
	}
}

/*
 * One request: {status, headers, body, code, complete}. `until(buffer, stream)` sees the body as it
 * comes. body null: none; open: the request is not ended.
 */
function ask(session, path, { method = 'GET', headers = {}, body = null, open = false, until } = {}) {
	return new Promise((ok, fail) => {
		const sent = session.request({ ':method': method, ':path': path, ...headers },
			{ endStream: body === null && !open });
		const parts = [];
		let answer = {};
		sent.on('response', fields => { answer = fields; });
		sent.on('data', part => {
			parts.push(part);
			until?.(Buffer.concat(parts), sent);
		});
		sent.on('error', error => {
			if (sent.rstCode === undefined)
				fail(error);
		});
		let complete = false;
		sent.on('end', () => { complete = true; });
		sent.on('close', () => ok({
			status: answer[':status'], headers: answer, body: Buffer.concat(parts),
			code: sent.rstCode, complete: complete && !sent.aborted,
		}));
		if (open)
			sent.write(body ?? '');
		else if (body !== null)
			sent.end(body);
	});
}

const chat = (session, body, rest = {}) => ask(session, '/v1/chat/completions', {
	method: 'POST', body, ...rest, headers: { 'content-type': 'application/json', ...rest.headers },
});
const echo = (text, more = {}) =>
	JSON.stringify({ model: 'echo', messages: [{ role: 'user', content: text }], ...more });

test('ALPN: h2 before http/1.1, and HTTP/1.1 for whoever does not ask', async () => {
	const rows = [[['h2', 'http/1.1'], 'h2'], [['http/1.1', 'h2'], 'h2'], [['http/1.1'], 'http/1.1'],
		[undefined, false]];
	for (const [offer, want] of rows) {
		const socket = tls.connect({ port: gateway.tlsPort, host: '127.0.0.1', ca: certificate,
			checkServerIdentity: () => undefined, ALPNProtocols: offer });
		await new Promise((ok, fail) => socket.once('secureConnect', ok).once('error', fail));
		assert.equal(socket.alpnProtocol, want);
		socket.destroy();
	}
});

test('settings: 128 streams, heads of 64 KiB, no push, no priorities', async () => {
	await using(async session => {
		const settings = await new Promise(ok => session.once('remoteSettings', ok));
		assert.equal(settings.maxConcurrentStreams, 128);
		assert.equal(settings.maxHeaderListSize, 65536);
		assert.ok(settings.initialWindowSize >= 65535);
	});
});

test('an answer and its receipt', async () => {
	await using(async session => {
		const request = echo('hello wide world');
		const { status, headers, body, complete } = await chat(session, request);
		assert.equal(status, 200);
		assert.ok(complete);
		assert.equal(JSON.parse(body).choices[0].message.content, 'hello wide world');
		assert.equal(headers['content-length'], String(body.length));
		assert.equal(headers['cache-control'], 'no-store, no-transform');
		assert.ok(headers.date);
		const claims = await verifyReceipt(identity, headers['tee-receipt'], { request, content: body });
		assert.equal(claims.outcome, 'complete');
	});
});

test('a stream and its receipt, from a provider', async () => {
	await using(async session => {
		fake.answer(stream(fixture('chat-text-stream-usage.sse'), { step: 50 }));
		const request = JSON.stringify({ model: 'gpt-4.1', stream: true,
			messages: [{ role: 'user', content: 'x' }] });
		const { status, headers, body } = await chat(session, request);
		assert.equal(status, 200);
		assert.match(headers['content-type'], /^text\/event-stream/);
		const { content, jws, done } = splitStream(body);
		assert.ok(done);
		const claims = await verifyReceipt(identity, jws, { request, content });
		assert.equal(claims.outcome, 'complete');
		assert.equal(claims.up, sha256(fake.last().sent));
	});
});

test('100 streams at a time on one connection, each with its own receipt', async () => {
	await using(async session => {
		const texts = Array.from({ length: 100 }, (_, i) => `number ${i}` + ' word'.repeat(i * 5));
		await Promise.all(texts.map(async text => {
			const request = echo(text, { stream: true });
			const { body } = await chat(session, request, { headers: { 'tee-signature': 'none' } });
			const { content, jws, done } = splitStream(body);
			assert.ok(done);
			assert.equal(parseStream(body).map(event => event.choices[0]?.delta?.content ?? '').join(''),
				text);
			assert.equal((await verifyReceipt(identity, jws, { request, content })).outcome, 'complete');
		}));
	});
});

test('a body of many windows, there and back', async () => {
	await using(async session => {
		const text = 'a whole sentence of words. '.repeat(100_000).trim();
		const { status, body } = await chat(session, echo(text));
		assert.equal(status, 200);
		assert.equal(JSON.parse(body).choices[0].message.content, text);
	});
});

test('R6: a stream that the client resets is truncated, and the provider is let go', async () => {
	await using(async session => {
		const id = 'truncated-over-http2_0123456789';
		fake.answer(stream(fixture('chat-text-stream-usage.sse'), { hold: new Promise(() => {}), tail: 600 }));
		const request = JSON.stringify({ model: 'gpt-4.1', stream: true,
			messages: [{ role: 'user', content: 'x' }] });
		const { body } = await chat(session, request, { headers: { 'x-request-id': id },
			until: (bytes, sent) => bytes.includes('This') && sent.close(NGHTTP2_CANCEL) });
		assert.ok(!body.includes('[DONE]'));
		await fake.last().closed;
		let receipt;
		for (const deadline = Date.now() + 10_000; ;) {
			receipt = await ask(session, `/v1/receipts/${id}`);
			if (receipt.status === 200)
				break;
			assert.ok(Date.now() < deadline, 'no receipt');
			await new Promise(ok => setTimeout(ok, 10));
		}
		const { jws } = receiptOf(receipt);
		const claims = await verifyReceipt(identity, jws, { request, content: null });
		assert.equal(claims.outcome, 'truncated');
		// The connection goes on.
		assert.equal((await chat(session, echo('still here'))).status, 200);
	});
});

function receiptOf({ body }) {
	const text = body.toString('utf8');
	return { jws: text.match(/[\w-]+\.[\w-]+\.[\w-]+/)[0] };
}

test('HEAD, OPTIONS and errors are those of HTTP/1.1', async () => {
	await using(async session => {
		const head = await ask(session, '/health', { method: 'HEAD' });
		const get = await ask(session, '/health');
		assert.equal(head.status, 200);
		assert.equal(head.body.length, 0);
		assert.equal(head.headers['content-length'], String(get.body.length));
		assert.equal((await ask(session, '/v1/models', { method: 'OPTIONS' })).status, 204);

		const rows = [
			['/nothing', { method: 'GET' }],
			['/metrics', { method: 'GET' }],
			['/v1/chat/completions', { method: 'GET' }],
			['/v1/chat/completions', { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } }],
			['/v1/chat/completions', { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }],
			['/v1/chat/completions', { method: 'POST', body: echo('x', { model: 'no-such' }),
				headers: { 'content-type': 'application/json' } }],
			['/v1/models', { method: 'BREW' }],
			['/' + 'x'.repeat(9000), { method: 'GET' }],
		];
		for (const [path, options] of rows) {
			const two = await ask(session, path, options);
			const one = await exchange(gateway.tlsUrl + path, { ...options, ca: certificate,
				headers: { ...options.headers,
					...(options.body ? { 'content-length': Buffer.byteLength(options.body) } : {}) },
				// Node's HTTP/1.1 client sends no method that it does not know.
				...(options.method === 'BREW' ? { method: 'SOURCE' } : {}) }).catch(() => null);
			const what = `${options.method} ${path.slice(0, 40)}`;
			assert.ok(two.complete, what);
			if (options.method === 'BREW') {
				assert.equal(two.status, 501);
				continue;
			}
			assert.equal(two.status, one.status, what);
			assert.equal(two.headers['content-type'], one.headers['content-type'], what);
			assert.deepEqual(two.body, one.body, what);
			assert.equal(two.headers.allow, one.headers.allow, what);
		}
	});
});

test('H4: a head above 64 KiB is 431, a body above 20 MiB 413, and the connection goes on', async () => {
	await using(async session => {
		const fields = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`x-${i}`, 'v'.repeat(8500)]));
		assert.equal((await ask(session, '/health', { headers: fields })).status, 431);
		const long = await chat(session, null, { open: true, headers: { 'content-length': '20971521' } });
		assert.equal(long.status, 413);
		assert.equal(long.code, NGHTTP2_NO_ERROR);
		assert.equal(JSON.parse(long.body).error.code, 'too_large');
		assert.equal((await ask(session, '/health')).status, 200);
	});
});

test('an answer that the provider cuts ends with an error event', async () => {
	await using(async session => {
		const request = JSON.stringify({ model: 'gpt-4.1', stream: true,
			messages: [{ role: 'user', content: 'x' }] });
		fake.answer(stream(fixture('chat-text-stream-usage.sse').slice(0, -700), { cut: true }));
		const { body, complete } = await chat(session, request);
		assert.ok(complete);
		const { content, jws, done } = splitStream(body);
		assert.ok(!done);
		assert.equal((await verifyReceipt(identity, jws, { request, content })).outcome, 'failed');
		fake.answer(whole({ error: { message: 'no' } }, { status: 500 }));
		assert.equal((await chat(session, request)).status, 502);
	});
});

test('NET-01: rapid resets end the connection, and only that', async () => {
	const before = fake.calls.length;
	const session = connect();
	const goaway = new Promise(ok => session.once('goaway', code => ok(code)));
	await new Promise(ok => session.once('remoteSettings', ok));
	for (let i = 0; i < 300 && !session.destroyed && !session.closed; i++) {
		const sent = session.request({ ':method': 'POST', ':path': '/v1/chat/completions',
			'content-type': 'application/json' });
		sent.on('error', () => {});
		await new Promise(ok => sent.write('{', ok));
		sent.destroy(new Error('reset')); // close() would end the body first
	}
	assert.equal(await goaway, NGHTTP2_ENHANCE_YOUR_CALM);
	session.destroy();
	assert.equal(fake.calls.length, before);
	await using(async other => {
		assert.equal((await ask(other, '/health')).status, 200);
	});
});

test('NET-14: the preface on the plain port, and an upgrade, are not HTTP/2', async () => {
	const talk = bytes => new Promise((ok, fail) => {
		let text = '';
		const socket = net.connect(gateway.port, '127.0.0.1', () => socket.write(bytes));
		socket.setEncoding('latin1').on('data', part => { text += part; });
		socket.on('error', fail).on('close', () => ok(text));
	});
	assert.match(await talk('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), /^HTTP\/1\.1 400 /);
	assert.match(await talk('GET /health HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings, close\r\n' +
		'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n'), /^HTTP\/1\.1 200 /);
});

test('A3: a drain lets streams finish, and sends what is new elsewhere', async () => {
	const mine = await startGateway({ env: fake.env, loops: 1 });
	const who = await readIdentity(mine);
	const session = connect(mine, await mine.certificate());
	const goaways = [];
	session.on('goaway', (code, last) => goaways.push([code, last]));
	let release;
	fake.answer(stream(fixture('chat-text-stream-usage.sse'),
		{ hold: new Promise(ok => { release = ok; }), tail: 600 }));
	const request = JSON.stringify({ model: 'gpt-4.1', stream: true, messages: [{ role: 'user', content: 'x' }] });
	let begun;
	const running = new Promise(ok => { begun = ok; });
	const answer = chat(session, request, { until: bytes => bytes.includes('This') && begun() });
	await running;
	const first = new Promise(ok => session.once('goaway', ok));
	mine.signal('SIGTERM');
	await first;
	release();
	const { body, complete } = await answer;
	assert.ok(complete);
	const { content, jws, done } = splitStream(body);
	assert.ok(done);
	assert.equal((await verifyReceipt(who, jws, { request, content })).outcome, 'complete');
	assert.deepEqual(await mine.ended, { code: 0, signal: null }, mine.stderr());
	assert.ok(goaways.every(([code]) => code === NGHTTP2_NO_ERROR));
	assert.equal(goaways[0][1], 2 ** 31 - 1, 'the first one refuses nothing yet');
	mine.check();
	session.destroy();
});
