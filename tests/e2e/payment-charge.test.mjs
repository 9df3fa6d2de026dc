// What is charged in the end (M4, S4): whoever leaves, whatever fails, whatever a provider reports.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { payFor } from './fake-facilitator.mjs';
import { stream, whole } from './fake-openai.mjs';
import * as p from './payment.mjs';
import { readIdentity, splitStream, textHash, verifyReceipt, verifyTeeFields } from './receipts-check.mjs';

let shop;
before(async () => { shop = await p.startShop(); });
after(() => shop.stop());
beforeEach(() => shop.provider.drop());

// A fresh session with `paid` owed already; {session, total()}: its total by the next answer's receipt.
async function session(more = {}) {
	shop.provider.answer(whole(p.completion({ prompt: 1, answer: 1 })));
	const answer = await p.pay(shop, await p.permit(shop, more));
	p.assertPaid(answer, p.cost(1, 1));
	const id = answer.headers['x-upto-session'];
	return {
		id,
		// What everything between the first and this further answer has cost.
		async since() {
			shop.provider.drop();
			shop.provider.answer(whole(p.completion({ prompt: 1, answer: 1 })));
			const { session_total } = p.assertPaid(await p.reuse(shop, id), p.cost(1, 1));
			return BigInt(session_total) - 2n * p.cost(1, 1);
		},
	};
}

// The receipt of a request that named itself, once it is there.
async function receipt(id, from = shop) {
	let text;
	await p.eventually(async () => {
		const answer = await fetch(`${from.gateway.url}/v1/receipts/${id}`);
		text = await answer.text();
		return answer.status === 200;
	}, `no receipt of ${id}`);
	return p.claims(text);
}
let serial = 0;
const requestId = () => `request-of-the-charge-test-${String(++serial).padStart(4, '0')}`;

// Streams, and hangs up as soon as `seen` is in what came.
function hangUp(id, xid, seen, more = {}) {
	return new Promise((ok, fail) => {
		const body = JSON.stringify(p.question({ stream: true, ...more }));
		const request = http.request(shop.url, {
			method: 'POST', agent: false,
			headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'x-upto-session': id, 'x-request-id': xid },
		}, response => {
			let text = '';
			response.on('data', part => {
				text += part;
				if (text.includes(seen))
					request.destroy();
			});
			response.on('error', () => {});
			response.on('close', () => ok(text));
		});
		request.on('error', error => (error.code === 'ECONNRESET' ? ok('') : fail(error)));
		request.end(body);
	});
}

test('who hangs up before the last event is charged for prompt and what was produced', async () => {
	const s = await session(), xid = requestId();
	let release;
	const hold = new Promise(ok => { release = ok; });
	const text = p.chunks({ text: ['x'.repeat(40), 'y'.repeat(40)] });
	const tail = text.length - text.lastIndexOf('data: ', text.indexOf('yyyy'));
	shop.provider.answer(stream(text, { hold, tail }));
	await hangUp(s.id, xid, 'xxxx');
	const { payment, outcome } = await receipt(xid);
	release();
	assert.equal(outcome, 'truncated');
	// 12 bytes of prompt are 3 tokens, 40 of answer 10 (S4).
	assert.equal(BigInt(payment.charged), p.cost(3, 10));
	assert.equal(await s.since(), p.cost(3, 10));
});

test('who leaves while the provider has said nothing is charged for the prompt', async () => {
	const s = await session(), xid = requestId();
	let release;
	const hold = new Promise(ok => { release = ok; });
	shop.provider.answer(async reply => {
		await hold;
		await whole(p.completion())(reply).catch(() => {});
	});
	const asked = shop.provider.calls.length;
	const left = new AbortController();
	const gone = fetch(shop.url, {
		method: 'POST', signal: left.signal, body: JSON.stringify(p.question()),
		headers: { 'content-type': 'application/json', 'x-upto-session': s.id, 'x-request-id': xid },
	}).catch(() => {});
	await p.eventually(() => shop.provider.calls.length > asked, 'not asked');
	left.abort();
	await gone;
	const { payment, outcome } = await receipt(xid);
	release();
	assert.equal(outcome, 'truncated');
	assert.equal(BigInt(payment.charged), p.cost(3, 0));
	assert.equal(await s.since(), p.cost(3, 0));
});

test('who leaves while the provider says that it failed pays nothing', async () => {
	const s = await session(), xid = requestId();
	const series = 'tee_gateway_upstream_requests_total{provider="openai",status="500"}';
	const before = Number(await p.metric(shop.gateway, series));
	let release;
	const hold = new Promise(ok => { release = ok; });
	shop.provider.answer(async reply => {
		reply.head(500, { 'content-type': 'application/json' });
		await reply.write('{"error":');
		await hold;
		reply.cut();
	});
	const left = new AbortController();
	const gone = fetch(shop.url, {
		method: 'POST', signal: left.signal, body: JSON.stringify(p.question()),
		headers: { 'content-type': 'application/json', 'x-upto-session': s.id, 'x-request-id': xid },
	}).catch(() => {});
	await p.eventually(async () => Number(await p.metric(shop.gateway, series)) > before, 'no head');
	left.abort();
	await gone;
	const { payment, outcome } = await receipt(xid);
	release();
	assert.equal(outcome, 'truncated');
	assert.equal(payment.charged, '0');
	assert.equal(await s.since(), 0n);
});

test('who leaves before the provider was reached pays nothing', async () => {
	let called;
	const reached = new Promise(ok => { called = ok; });
	const mute = net.createServer(socket => { socket.on('error', () => {}); called(); }).listen(0, '127.0.0.1');
	await once(mute, 'listening');
	// It accepts, and never says a word of TLS.
	const other = await p.startShop({ env: { OPENAI_BASE_URL: `https://127.0.0.1:${mute.address().port}/v1` } });
	try {
		const xid = requestId(), left = new AbortController();
		const gone = fetch(other.url, {
			method: 'POST', signal: left.signal, body: JSON.stringify(p.question()),
			headers: { 'content-type': 'application/json', 'payment-signature': await p.permit(other), 'x-request-id': xid },
		}).catch(() => {});
		await reached;
		left.abort();
		await gone;
		const { payment, outcome } = await receipt(xid, other);
		assert.equal(outcome, 'truncated');
		assert.equal(payment.charged, '0');
	} finally {
		await other.stop();
		mute.close();
	}
});

const early = [
	['a provider that fails', whole({ error: { message: 'x' } }, { status: 500 }), 502, {}],
	['a provider that is overloaded', whole({ error: { message: 'x' } }, { status: 503 }), 503, {}],
	['a provider that refuses', whole({ error: { message: 'x' } }, { status: 400 }), 400, {}],
	['a provider that wants to be paid (FLT-25)', whole({ x402Version: 2, accepts: [] }, { status: 402, headers: { 'payment-required': 'e30=' } }), 502, {}],
	['an answer cut off before its first event', reply => { reply.head(200, { 'content-type': 'text/event-stream' }); reply.cut(); }, 502, { stream: true }],
	['a body that breaks off', reply => { reply.head(200, { 'content-type': 'application/json' }); reply.cut(); }, 502, {}],
	['a body that is no answer', whole('<html>'), 502, {}],
];
for (const [name, answer, status, more] of early)
	test(`free, and the receipt says so: ${name} (PAY-22)`, async () => {
		const s = await session();
		shop.provider.answer(answer);
		const got = await p.reuse(shop, s.id, p.question(more));
		assert.equal(got.status, status, got.body.toString());
		const { payment, outcome, hash } = p.claims(got.headers['tee-receipt']);
		assert.equal(outcome, 'failed');
		assert.equal(hash, undefined);
		assert.equal(payment.charged, '0');
		assert.equal(BigInt(payment.session_total), p.cost(1, 1));
		assert.equal(got.headers['x-upto-session'], s.id, 'the session goes on');
		assert.equal(got.headers['payment-required'], undefined);
		assert.equal(await s.since(), 0n);
	});

test('an answer that fails after output was delivered is charged for it', async () => {
	const s = await session();
	shop.provider.answer(stream(p.chunks({ text: ['z'.repeat(80)], finish: false }), { cut: true }));
	const got = await p.reuse(shop, s.id, p.question({ stream: true }));
	assert.equal(got.status, 200);
	const event = p.lastEvent(got.body);
	assert.equal(event.error.code, 'upstream_error');
	const { payment, outcome } = p.claims(event.tee_receipt);
	assert.equal(outcome, 'failed');
	assert.equal(BigInt(payment.charged), p.cost(3, 20));
	assert.equal(await s.since(), p.cost(3, 20));
});

for (const streamed of [false, true])
	test(`no usage reported: estimated, never above the reservation (S4), ${streamed ? 'streamed' : 'whole'}`, async () => {
		for (const [text, tokens] of [['w'.repeat(100), 25], ['w'.repeat(4000), 100]]) {
			const s = await session();
			shop.provider.answer(streamed ? stream(p.chunks({ text: [text], usage: false })) : whole(p.completion({ text, usage: false })));
			const got = await p.reuse(shop, s.id, p.question({ stream: streamed }));
			const body = streamed ? p.lastEvent(got.body) : p.json(got);
			assert.equal(body.usage.estimated, true);
			assert.equal(body.usage.completion_tokens, tokens);
			assert.equal(await s.since(), p.cost(3, tokens));
		}
	});

test('a provider that reports more than it may is not believed beyond the reservation (PAY-13)', async () => {
	for (const [prompt, answer] of [[10, 5000], [10, 4e9], [4e9, 4e9]]) {
		const s = await session();
		shop.provider.answer(whole(p.completion({ prompt, answer })));
		const got = await p.reuse(shop, s.id);
		assert.equal(got.status, 200);
		assert.equal(p.json(got).usage.completion_tokens, answer, 'as reported');
		const { payment, usage } = p.claims(got.headers['tee-receipt']);
		assert.equal(usage.completion_tokens, answer);
		assert.equal(BigInt(payment.charged), p.cost(12, 100), 'bytes of the prompt, and the limit');
		assert.equal(await s.since(), p.cost(12, 100));
	}
});

test('reasoning is billed like what is shown', async () => {
	const s = await session();
	const body = p.completion({ prompt: 10, answer: 53 });
	body.usage.completion_tokens_details = { reasoning_tokens: 50 };
	shop.provider.answer(whole(body));
	await p.reuse(shop, s.id);
	assert.equal(await s.since(), p.cost(10, 53));
});

test('legacy completions are paid, with their own session', async () => {
	const url = `${shop.gateway.url}/v1/completions`, body = { model: 'gpt-4.1', prompt: 'How are you?', max_tokens: 50 };
	const wanted = p.required(await p.post(url, body));
	shop.provider.answer(whole(p.completion()));
	const { header } = await payFor(wanted, p.newWallet());
	const got = await p.post(url, body, { 'payment-signature': header });
	p.assertPaid(got, p.cost(10, 8));
	assert.equal(p.json(got).completion, 'Fine.');
	assert.equal(p.json(got).opengradient.cost_opg, String(p.cost(10, 8)));
});

test('paid answers verify, whole and streamed, and the receipt names body and model (PAY-08)', async () => {
	const identity = await readIdentity(shop.gateway), s = await session();
	const body = p.question({ model: 'gpt-5-mini', max_tokens: 20 });
	shop.provider.answer(whole(p.completion()));
	const got = await p.reuse(shop, s.id, body);
	const { payment, model } = await verifyReceipt(identity, got.headers['tee-receipt'],
		{ request: JSON.stringify(body), content: got.body });
	verifyTeeFields(identity, p.json(got), { outputHash: textHash('Fine.') });
	assert.equal(model, 'gpt-5-mini');
	// 10 x 0.25 + 8 x 2 micro-dollars.
	assert.equal(BigInt(payment.charged), 185n * 10n ** 12n);

	shop.provider.answer(stream(p.chunks()));
	const streamed = await p.reuse(shop, s.id, { ...body, stream: true });
	const { content, jws, done } = splitStream(streamed.body);
	assert.ok(done);
	await verifyReceipt(identity, jws, { request: JSON.stringify({ ...body, stream: true }), content });
	verifyTeeFields(identity, p.lastEvent(streamed.body), { outputHash: textHash('Fine.') });
});

test('a paid receipt fits, whatever stands in it (R1)', async () => {
	const s = await session({ cap: 100n * p.CAP });
	const identity = await readIdentity(shop.gateway);
	const n = 100, long = 'n'.repeat(120);
	const body = p.question({ n, max_tokens: 20, user: 'x', seed: 1 });
	shop.provider.answer(whole({
		...p.completion(), model: long,
		choices: Array.from({ length: n }, (_, index) => ({ index, message: { role: 'assistant', content: 'x' }, finish_reason: 'length' })),
		usage: { prompt_tokens: 10, completion_tokens: 8, total_tokens: 18, details: { long: 'd'.repeat(900) } },
	}, { headers: { 'x-request-id': 'r'.repeat(200), 'openai-organization': 'o'.repeat(200) } }));
	const got = await p.reuse(shop, s.id, body, { 'tee-nonce': 'A'.repeat(64) });
	assert.equal(got.status, 200, got.body.toString());
	const { payment, served_model } = await verifyReceipt(identity, got.headers['tee-receipt'],
		{ request: JSON.stringify(body), content: got.body });
	assert.equal(served_model, long);
	assert.equal(BigInt(payment.charged), p.cost(10, 8));
});

test('the sums agree: receipts, settlements', async () => {
	await shop.gateway.stop();
	const charged = [...shop.gateway.stderr().matchAll(/ charged=(\d+)/g)].reduce((sum, m) => sum + BigInt(m[1]), 0n);
	assert.equal(shop.settled().reduce((a, b) => a + b, 0n), charged);
	shop.stop = async () => {
		await shop.provider.close();
		await shop.facilitator.close();
	};
});
