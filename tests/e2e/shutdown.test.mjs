// A3: stop accepting, finish what runs, exit 0; a second signal does not wait.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { exchange, post, startGateway } from './gateway.mjs';
import { fixture, sha256, startFakeOpenAI, stream } from './fake-openai.mjs';
import { readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

let fake;
before(async () => { fake = await startFakeOpenAI(); });
after(async () => { await fake?.close(); });

const request = JSON.stringify({ model: 'gpt-4.1', stream: true, messages: [{ role: 'user', content: 'x' }] });

// A gateway with one stream under way: the fake holds back the end until release() is called.
async function withStream() {
	const gateway = await startGateway({ env: fake.env });
	const identity = await readIdentity(gateway);
	let release;
	const hold = new Promise(ok => { release = ok; });
	fake.answer(stream(fixture('chat-text-stream-usage.sse'), { hold, tail: 600 }));
	let begun;
	const running = new Promise(ok => { begun = ok; });
	const answer = post(`${gateway.url}/v1/chat/completions`, request, {}, { until: bytes => {
		if (bytes.includes('This'))
			begun();
		return false;
	} });
	await running;
	return { gateway, identity, release, answer };
}

function refusesConnections(port) {
	return new Promise(ok => {
		const socket = net.connect(port, '127.0.0.1');
		socket.once('connect', () => { socket.destroy(); ok(false); });
		socket.once('error', () => ok(true));
	});
}

async function untilRefused(port) {
	for (const deadline = Date.now() + 10_000; !await refusesConnections(port);) {
		assert.ok(Date.now() < deadline, 'still accepts connections');
		await new Promise(ok => setTimeout(ok, 10));
	}
}

const endings = {
	SIGTERM: gateway => gateway.signal('SIGTERM'),
	SIGINT: gateway => gateway.signal('SIGINT'),
	'POST /v1/shutdown': async gateway => {
		const answer = await exchange(`${gateway.url}/v1/shutdown`, { method: 'POST', headers: { 'content-length': 0 } });
		assert.equal(answer.status, 202);
	},
};

for (const [name, end] of Object.entries(endings)) {
	test(`${name}: an idle gateway ends at once, with 0`, async () => {
		const gateway = await startGateway();
		// An idle keep-alive connection is nobody's request.
		const idle = net.connect(gateway.port, '127.0.0.1').on('error', () => {});
		await new Promise(ok => idle.once('connect', ok));
		const started = Date.now();
		await end(gateway);
		assert.deepEqual(await gateway.ended, { code: 0, signal: null }, gateway.stderr());
		assert.ok(Date.now() - started < 10_000);
		gateway.check();
		idle.destroy();
	});

	test(`${name}: a stream under way is finished, and nothing new is taken`, async () => {
		const { gateway, identity, release, answer } = await withStream();
		await end(gateway);
		await untilRefused(gateway.port);
		await untilRefused(gateway.tlsPort);
		release();
		const { body } = await answer;
		const { content, jws, done } = splitStream(body);
		assert.ok(done);
		const claims = await verifyReceipt(identity, jws, { request, content });
		assert.equal(claims.outcome, 'complete');
		assert.equal(claims.up, sha256(fake.last().sent));
		assert.deepEqual(await gateway.ended, { code: 0, signal: null }, gateway.stderr());
		gateway.check();
	});
}

test('a keep-alive connection is told that this was its last answer', async () => {
	const gateway = await startGateway({ loops: 1 });
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	const ask = () => new Promise((ok, fail) => http.get(`${gateway.url}/health`, { agent }, response => {
		response.resume().once('end', () => ok(response.headers));
	}).once('error', fail));
	assert.notEqual((await ask()).connection, 'close');
	gateway.signal('SIGTERM');
	assert.deepEqual(await gateway.ended, { code: 0, signal: null }, gateway.stderr());
	agent.destroy();
	gateway.check();
});

test('a second signal ends it at once, whatever runs', async () => {
	const { gateway, release, answer } = await withStream();
	gateway.signal('SIGTERM');
	await untilRefused(gateway.port);
	const started = Date.now();
	gateway.signal('SIGTERM');
	await gateway.ended;
	assert.ok(Date.now() - started < 5_000, 'it did not wait for the stream');
	release();
	const { complete } = await answer.catch(() => ({ complete: false }));
	assert.ok(!complete, 'the client sees that the answer is cut');
	gateway.check();
});
