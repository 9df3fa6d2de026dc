// A client that leaves takes its upstream call with it, whatever the moment and the way; what was
// queued for it is sealed as truncated (FLT-16 to FLT-18, R6).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { exchange, json as parse, post, startGateway } from './gateway.mjs';
import { SSE, delta, event, pause, sha256, startRaw, usage } from './raw-upstream.mjs';
import { readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

const STORM = 300;
const AT_ONCE_MS = 100; // in most cases, whatever else the machine does
const SOON_MS = 1000;
const ten = Array.from({ length: 10 }, (_, i) => delta(`w${i} `)).join('');
const large = delta('x'.repeat(1 << 20));
const megabyte = Buffer.from(`${large.length.toString(16)}\r\n${large}\r\n`);
const answer = { choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }] };

let raw, gateway, identity, ca, tick = 0;

// Where a request stands when its client leaves: what the provider has done, and what tells us.
const points = {
	'before the head': {
		play: reply => reply.gone,
		there: (client, call) => call(),
	},
	'after the head': {
		play: async reply => { await reply.head(200, SSE); await reply.gone; },
		there: (client, call) => call(),
	},
	'in mid-stream': {
		play: async reply => { await reply.head(200, SSE); await reply.chunk(ten); await reply.gone; },
		there: client => client.until('w9 '),
	},
	'while paused': {
		play: async reply => {
			await reply.head(200, SSE);
			await reply.chunk(ten);
			for (reply.call.pieces = 0; reply.call.pieces < 64; reply.call.pieces++)
				await Promise.race([reply.raw(megabyte), reply.gone]);
		},
		// The provider could not write for a while: all that lies between it and the client is full.
		there: async (client, call) => {
			const asked = await call();
			for (let before = -1; asked.pieces === undefined || before !== asked.pieces;) {
				before = asked.pieces;
				await pause(200);
			}
			assert.ok(asked.pieces < 40, 'the bytes went nowhere');
		},
		deaf: true,
	},
};

const request = (name, stream) => JSON.stringify({ model: 'gpt-4.1', stream, messages: [{ role: 'user', content: name }] });
const head = (body, id) => `POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n`
	+ `X-Request-Id: ${id}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

// What a client has read, and a wait for some text in it.
function reading(source, deaf) {
	let text = '', wake = () => {};
	if (!deaf)
		source.on('data', bytes => { text += bytes.toString('latin1'); wake(); });
	source.on('error', () => {});
	return async want => {
		while (!text.includes(want))
			await new Promise(ok => { wake = ok; });
		return text;
	};
}

async function overSocket(socket, body, id, deaf) {
	const until = reading(socket, deaf);
	socket.write(head(body, id));
	return { until, socket };
}

async function over2(body, id, deaf) {
	const session = http2.connect(gateway.tlsUrl, { ca, checkServerIdentity: () => undefined });
	session.on('error', () => {});
	const stream = session.request({ ':method': 'POST', ':path': '/v1/chat/completions',
		'content-type': 'application/json', 'x-request-id': id });
	const until = reading(stream, deaf);
	stream.end(body);
	return { until, session, stream };
}

const plain = (...args) => overSocket(net.connect(gateway.port, '127.0.0.1'), ...args);
const secure = (...args) => overSocket(tls.connect({ port: gateway.tlsPort, host: '127.0.0.1', ca,
	checkServerIdentity: () => undefined }), ...args);

// Each way: how it asks, and how it leaves.
const ways = {
	'by FIN': [plain, client => client.socket.destroy()],
	'by RST': [plain, client => client.socket.resetAndDestroy()],
	'by close_notify and FIN': [secure, client => { client.socket.end(); client.socket.destroySoon(); }],
	'by FIN under TLS': [secure, client => client.socket.destroy()],
	'by RST_STREAM': [over2, client => client.stream.close(http2.constants.NGHTTP2_CANCEL)],
	'by the end of HTTP/2': [over2, client => client.session.destroy()],
};

before(async () => {
	const scripts = { whole: async reply => { await reply.gone; } };
	for (const point of Object.keys(points))
		for (const way of Object.keys(ways))
			for (const kind of ['stream', 'body'])
				scripts[`${point}, ${way}, ${kind}`] = points[point].play;
	scripts.signature = async reply => {
		await reply.head(200, SSE);
		await reply.chunk(ten + delta(null, 'stop') + usage + event('[DONE]'));
		await reply.lastChunk();
	};
	scripts.storm = points['in mid-stream'].play;
	scripts['half close'] = async reply => {
		await reply.head(200, SSE);
		await reply.chunk(ten);
		await pause(200);
		await reply.chunk(delta('late', 'stop') + usage + event('[DONE]'));
		await reply.lastChunk();
	};
	scripts['half close body'] = async reply => {
		await pause(200);
		const text = JSON.stringify(answer);
		await reply.head(200, { 'Content-Type': 'application/json', 'Content-Length': text.length });
		await reply.body(text);
	};
	scripts.fine = scripts['half close body'];
	raw = await startRaw(scripts);
	gateway = await startGateway({ env: raw.env });
	identity = await readIdentity(gateway);
	ca = await gateway.certificate();
});

after(async () => {
	await gateway?.stop();
	await raw?.close();
});

async function callOf(name) {
	while (raw.calls[name] === undefined)
		await pause(2);
	return raw.calls[name][0];
}

async function receiptOf(id) {
	for (;;) {
		const got = await exchange(`${gateway.url}/v1/receipts/${id}`);
		if (got.status === 200)
			return got.body.toString();
		assert.equal(got.status, 404);
		await pause(10);
	}
}

const newId = () => `abort-test-number-${String(++tick).padStart(8, '0')}`;
// The JWS of /v1/receipts, whether it stands alone or in an object.
const jwsOf = text => (text.startsWith('{') ? JSON.parse(text).receipt : text.trim());
const times = [];

async function leave(name, { there, deaf = false }, [ask, go], stream) {
	const body = request(name, stream), id = newId();
	const client = await ask(body, id, deaf);
	await there(client, () => callOf(name));
	const call = await callOf(name);
	const left = performance.now();
	go(client);
	const took = await call.closed - left;
	client.session?.destroy();
	assert.ok(took < SOON_MS, `the provider saw it after ${took.toFixed(0)} ms`);
	times.push(took);
	const claims = await verifyReceipt(identity, jwsOf(await receiptOf(id)), { request: body, content: null });
	assert.equal(claims.outcome, 'truncated');
	assert.equal(claims.fwd, sha256(call.body));
	assert.equal(claims.status, 200);
	return claims;
}

describe('the client leaves', { concurrency: 1 }, () => {
	for (const [point, how] of Object.entries(points))
		for (const [way, steps] of Object.entries(ways))
			test(`FLT-16: ${point}, ${way}`, async () => {
				const claims = await leave(`${point}, ${way}, stream`, how, steps, true);
				if (point === 'in mid-stream')
					assert.equal(claims.up, sha256(Buffer.from(ten)));
			});

	for (const [way, steps] of Object.entries(ways))
		test(`FLT-17: a whole answer, ${way}`, async () => {
			const claims = await leave(`before the head, ${way}, body`, points['before the head'], steps, false);
			assert.equal(claims.res_len, 0);
		});
});

// The key holder stands still, so that the signature takes as long as the test wants.
for (const [way, [ask, go]] of Object.entries(ways))
	test(`R6: during the signature, ${way}`, async () => {
		const [keyholder] = fs.readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8').split(' ').map(Number);
		const body = request('signature', true), id = newId();
		const before = raw.calls.signature?.length ?? 0;
		process.kill(keyholder, 'SIGSTOP');
		try {
			const client = await ask(body, id, false);
			await client.until('w9 ');
			while ((raw.calls.signature?.length ?? 0) === before)
				await pause(2);
			go(client);
			await pause(100);
			client.session?.destroy();
		} finally {
			process.kill(keyholder, 'SIGCONT');
		}
		const claims = await verifyReceipt(identity, jwsOf(await receiptOf(id)), { request: body, content: null });
		assert.equal(claims.outcome, 'truncated');
	});

test('FLT-27: all clients vanish at once', async () => {
	const body = request('storm', true);
	const clients = await Promise.all(Array.from({ length: STORM }, async () => {
		const id = newId();
		const client = await plain(body, id, false);
		await client.until('w9 ');
		return { ...client, id };
	}));
	assert.equal(raw.calls.storm.length, STORM);
	for (const client of clients)
		client.socket.destroy();
	// It goes on serving; and the provider sees every one.
	assert.equal((await exchange(`${gateway.url}/health`)).status, 200);
	await Promise.all(raw.calls.storm.map(call => call.closed));
	for (const { id } of clients) {
		const claims = await verifyReceipt(identity, jwsOf(await receiptOf(id)), { request: body, content: null });
		assert.equal(claims.outcome, 'truncated');
		assert.equal(gateway.stderr().split(`request_id=${id} `).length, 2, 'one log line');
	}
});

for (const [name, connect] of [['plain', () => net.connect({ port: gateway.port, host: '127.0.0.1', allowHalfOpen: true })],
	['TLS', () => tls.connect({ port: gateway.tlsPort, host: '127.0.0.1', ca, allowHalfOpen: true, checkServerIdentity: () => undefined })]])
	for (const kind of ['half close', 'half close body'])
		test(`FLT-18: a client that only ends its side gets its answer (${name}, ${kind})`, async () => {
			const body = request(kind, kind === 'half close');
			const socket = connect();
			const parts = [];
			socket.on('data', part => parts.push(part));
			socket.end(head(body, newId()));
			await new Promise(ok => socket.once('end', ok));
			socket.destroy();
			const text = Buffer.concat(parts).toString('latin1');
			if (kind === 'half close body')
				assert.match(text, /\r\ntee-receipt: [^\r]+\r\n/i);
			else
				assert.ok(text.includes('data: [DONE]\n\n') && text.endsWith('0\r\n\r\n'));
		});

test('FLT-16: the provider sees at once that a client left', context => {
	const sorted = times.toSorted((a, b) => a - b);
	const median = sorted[sorted.length >> 1];
	context.diagnostic(`${sorted.length} clients left: median ${median.toFixed(1)} ms, slowest ${sorted.at(-1).toFixed(1)} ms`);
	assert.ok(sorted.length >= 30);
	assert.ok(median < AT_ONCE_MS);
});

test('nothing is left open', async () => {
	const response = await post(`${gateway.url}/v1/chat/completions`, request('fine', false));
	assert.equal(response.status, 200);
	assert.equal(parse(response).choices[0].message.content, 'hi');
	for (const metric of ['tee_gateway_streams_open 0', 'tee_gateway_memory_bytes 0'])
		for (;;) {
			const text = (await exchange(`${gateway.url}/metrics`)).body.toString();
			if (text.includes(`\n${metric}\n`))
				break;
			await pause(10);
		}
});
