// Pictures that are paid for: flat prices of endpoints that draw, tokens of all others, and what a
// picture in a prompt may cost at most (M2-M4).
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import * as p from './payment.mjs';

const JPEG = '/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==';
const PNG = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const PICTURE = 700000000000000000n; // grok-2-image: seven cents, at ten cents an OPG
const OPG = 10n ** 18n;

const user = content => [{ role: 'user', content }];
const draw = (more = {}) => ({ model: 'grok-2-image', messages: user('a cat'), ...more });
const drawn = n => p.whole({ data: Array.from({ length: n }, () => ({ b64_json: JPEG })) });

// The other providers' keys lead to the same look-alike.
const start = (more = {}) => p.startShop({ ...more, env: { XAI_API_KEY: 'k', ARK_API_KEY: 'k', GOOGLE_API_KEY: 'k' }, upstreams: ['XAI', 'ARK', 'GOOGLE'] });

let shop;
before(async () => { shop = await start(); });
after(() => shop.stop());
beforeEach(() => shop.provider.drop());

test('a picture costs its price, streamed or not, and the receipt says so', async () => {
	for (const stream of [false, true]) {
		shop.provider.answer(drawn(1));
		const body = draw({ stream });
		const [{ amount }] = (await p.offer(shop, body)).accepts;
		assert.equal(BigInt(amount), OPG, 'the smallest cap that covers it (M1)');
		const answer = await p.pay(shop, await p.permit(shop, { body }), body);
		assert.equal(answer.status, 200, answer.body.toString());
		const last = stream ? p.lastEvent(answer.body) : p.json(answer);
		assert.equal(last.opengradient.cost_opg, String(PICTURE));
		assert.equal(last.opengradient.cost_usd, '0.07');
		const { payment } = p.claims(stream ? last.tee_receipt : answer.headers['tee-receipt']);
		assert.equal(BigInt(payment.charged), PICTURE);
		assert.equal((stream ? last.choices[0].delta : last.choices[0].message).images.length, 1);
	}
});

test('several cost as many times as much; those that did not come cost nothing', async () => {
	const body = draw({ n: 3 });
	assert.equal(BigInt((await p.offer(shop, body)).accepts[0].amount), 10n * OPG);
	shop.provider.answer(drawn(3));
	p.assertPaid(await p.pay(shop, await p.permit(shop, { body }), body), 3n * PICTURE);
	shop.provider.answer(p.whole({ data: [{ b64_json: JPEG }, { respect_moderation: false }, { b64_json: JPEG }] }));
	p.assertPaid(await p.pay(shop, await p.permit(shop, { body }), body), 2n * PICTURE);
	assert.equal(JSON.parse(shop.provider.last().body).n, 3);
});

test('refused, blocked and failed generations cost nothing, and are not asked for again', async () => {
	const body = draw();
	shop.provider.answer(p.whole({ data: [{ respect_moderation: false }] }));
	const first = await p.pay(shop, await p.permit(shop, { body }), body);
	assert.equal(first.status, 400);
	assert.equal(p.json(first).error.code, 'content_policy_violation');
	assert.equal(p.claims(first.headers['tee-receipt']).payment.charged, '0');
	const session = first.headers['x-upto-session'];
	const before = shop.provider.calls.length;
	for (const answer of [p.whole('<html>', { status: 500 }), p.whole({ error: { code: 'content_policy_violation', message: 'x' } }, { status: 400 }),
		p.whole({ data: [{ url: 'https://x.example/a.jpg' }] })]) {
		shop.provider.answer(answer);
		const failed = await p.reuse(shop, session, body);
		assert.notEqual(failed.status, 200);
		assert.equal(p.claims(failed.headers['tee-receipt']).payment.session_total, '0');
	}
	assert.equal(shop.provider.calls.length, before + 3);
	shop.provider.answer(drawn(1));
	const paid = p.assertPaid(await p.reuse(shop, session, body), PICTURE);
	assert.equal(BigInt(paid.session_total), PICTURE);
	// Three tenths are left: under the price of a picture (M3).
	p.assertRefused(await p.reuse(shop, session, body), 'payment_required');
});

test('who leaves before they come has had them drawn, and pays', async () => {
	const body = JSON.stringify(draw({ n: 2 })), xid = 'who-leaves-before-pictures-come';
	const header = await p.permit(shop, { body: draw({ n: 2 }) }), before = shop.provider.calls.length;
	shop.provider.answer(reply => reply.call.closed);
	const request = http.request(shop.url, { method: 'POST', agent: false,
		headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), 'payment-signature': header, 'x-request-id': xid } });
	request.on('error', () => {});
	request.end(body);
	await p.eventually(() => shop.provider.calls.length > before, 'the provider was not asked');
	request.destroy();
	let receipt;
	await p.eventually(async () => {
		receipt = await fetch(`${shop.gateway.url}/v1/receipts/${xid}`);
		return receipt.status === 200;
	}, 'no receipt');
	const { outcome, payment } = p.claims(await receipt.text());
	assert.equal(outcome, 'truncated');
	assert.equal(BigInt(payment.charged), 2n * PICTURE);
});

test('more than the largest cap is never offered', async () => {
	const dear = await start({ price: '0.001' });
	try {
		const answer = await p.post(dear.url, draw());
		assert.equal(answer.status, 400);
		assert.equal(p.json(answer).error.code, 'exceeds_payment_cap');
		assert.equal(p.json(answer).error.param, 'n');
	} finally {
		await dear.stop();
	}
});

test('Gemini\'s pictures are tokens', async () => {
	const body = { model: 'gemini-2.5-flash-image', messages: user('a red dot') };
	shop.provider.answer(p.whole({
		candidates: [{ content: { parts: [{ inlineData: { mimeType: 'image/png', data: PNG.split(',')[1] } }] }, finishReason: 'STOP' }],
		usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 1290, totalTokenCount: 1299 },
	}));
	const answer = await p.pay(shop, await p.permit(shop, { body }), body);
	p.assertPaid(answer, (9n * 3n + 1290n * 300n) * 10n ** 12n); // 0.3 and 30 micro-dollars a token, ten to the OPG
	assert.equal(p.json(answer).choices[0].message.images[0].image_url.url, PNG);
});

test('a picture in the prompt counts with the most it can be; what has no bound is not sold (M2)', async () => {
	const shown = n => p.question({ messages: user([{ type: 'text', text: 'x' }, ...Array(n).fill({ type: 'image_url', image_url: { url: PNG } })]) });
	const amounts = [];
	for (const n of [1, 20]) // 2700 tokens each: 0.054 OPG
		amounts.push(BigInt((await p.offer(shop, shown(n))).accepts[0].amount));
	assert.deepEqual(amounts, [p.CAP, 10n * OPG]);
	shop.provider.answer(p.whole(p.completion({ prompt: 1500, answer: 8 })));
	p.assertPaid(await p.pay(shop, await p.permit(shop, { body: shown(1) }), shown(1)), p.cost(1500, 8));
	for (const [model, part] of [['gpt-4.1', { type: 'file', file: { file_data: 'data:application/pdf;base64,JVBERi0=' } }],
		['gemini-2.5-flash', { type: 'image_url', image_url: { url: PNG } }]]) {
		const refused = await p.post(shop.url, p.question({ model, messages: user([{ type: 'text', text: 'x' }, part]) }));
		assert.equal(refused.status, 400);
		assert.equal(p.json(refused).error.code, 'unsupported_parameter');
		assert.equal(p.json(refused).error.param, 'messages[0].content[1]');
	}
});

test('a picture to work on is in the price of the one that is made', async () => {
	const body = { model: 'seedream-4.0', messages: user([{ type: 'text', text: 'redder' }, { type: 'image_url', image_url: { url: PNG } }]) };
	shop.provider.answer(drawn(1));
	p.assertPaid(await p.pay(shop, await p.permit(shop, { body }), body), 300000000000000000n);
	assert.equal(JSON.parse(shop.provider.last().body).image, PNG);
});
