// A facilitator that is down, slow, garbled or lies; a token without a price; proofs that are filed.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { dropped, lost, malformed, says } from './fake-facilitator.mjs';
import { stream, whole } from './fake-openai.mjs';
import * as p from './payment.mjs';

const idle = policy => { policy.limits.session_idle_s = 1; };

// A stop that does not wait for what can not be settled (A3: the second signal).
async function stopAtOnce(shop) {
	shop.gateway.signal('SIGTERM');
	await p.eventually(() => shop.gateway.stderr().includes('shutting down'), 'it does not stop');
	shop.gateway.signal('SIGTERM');
	await shop.gateway.ended;
	shop.gateway.check();
	shop.gateway.stop = async () => {};
}
const settlements = (shop, result) => p.metric(shop.gateway, `tee_gateway_settlements_total{result="${result}"}`).then(Number);
const unsettled = shop => p.metric(shop.gateway, 'tee_gateway_unsettled_atomic_units');

test('verify: unreachable is 503, garbled is 502, and the permit is good when it is over (PAY-16)', p.withShop({}, async shop => {
	const header = await p.permit(shop);
	shop.provider.answer(whole(p.completion()));
	const live = (await p.pay(shop, await p.permit(shop))).headers['x-upto-session'];
	const asked = shop.provider.calls.length;
	const rows = [
		[dropped, 503], [says(500, { error: 'at http://10.0.0.1' }), 503], [says(429, {}, { 'retry-after': '7' }), 503], [says(404, 'no'), 503],
		[malformed('<html>'), 502], [malformed('{"isValid":tr'), 502], [malformed('{}'), 502],
		[says(200, { isValid: true, payer: '0x0000000000000000000000000000000000000001' }), 502],
	];
	for (const [answer, status] of rows) {
		shop.facilitator.script('verify', answer);
		const got = await p.pay(shop, header);
		assert.equal(got.status, status, got.body.toString());
		const { error } = p.json(got);
		assert.equal(error.type, 'server_error');
		assert.equal(error.code, status === 503 ? 'facilitator_unavailable' : 'facilitator_error');
		assert.doesNotMatch(error.message, /10\.0|http/);
		if (status === 503)
			assert.ok(Number(got.headers['retry-after']) > 0);
		assert.equal(got.headers['tee-receipt'], undefined);
		shop.provider.answer(whole(p.completion()));
		p.assertPaid(await p.reuse(shop, live)); // live sessions go on
	}
	assert.equal(shop.provider.calls.length, asked + rows.length);
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.pay(shop, header));
	assert.equal(Number(await p.metric(shop.gateway, 'tee_gateway_payments_total{result="unavailable"}')), rows.length);
}));

test('verify: an answer that takes more than 15 s is none, and who leaves meanwhile owes nothing', p.withShop({}, async shop => {
	const header = await p.permit(shop);
	shop.facilitator.always('verify', async () => new Promise(() => {}));
	const left = new AbortController();
	const gone = fetch(shop.url, {
		method: 'POST', signal: left.signal, body: JSON.stringify(p.question()),
		headers: { 'content-type': 'application/json', 'payment-signature': await p.permit(shop) },
	}).catch(error => error.name);
	await p.eventually(() => shop.facilitator.of('verify').length === 1, 'not asked');
	left.abort();
	assert.equal(await gone, 'AbortError');
	const began = Date.now();
	const got = await p.pay(shop, header);
	assert.equal(got.status, 503);
	assert.ok(Date.now() - began >= 14_000);
	assert.equal(shop.provider.calls.length, 0);
	shop.facilitator.always('verify', null);
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.pay(shop, header));
}));

test('a facilitator that is down at the start: 503, and served once it is there', async () => {
	const shop = await p.startShop();
	const { url, port } = shop.facilitator;
	await shop.gateway.stop();
	await shop.facilitator.close();
	const { startGateway } = await import('./gateway.mjs');
	const { startFakeFacilitator } = await import('./fake-facilitator.mjs');
	const gateway = await startGateway({ env: {
		...shop.provider.env, TEE_GATEWAY_PAYMENTS: 'on', TEE_GATEWAY_FIXED_PRICE_USD: '0.1', FACILITATOR_URL: url,
	} });
	const again = { ...shop, gateway, url: gateway.url + p.CHAT };
	try {
		const answer = await p.post(again.url, p.question());
		assert.equal(answer.status, 503);
		assert.equal(p.json(answer).error.code, 'facilitator_unavailable');
		again.facilitator = await startFakeFacilitator({ port });
		await p.eventually(async () => (await p.post(again.url, p.question())).status === 402, 'no offer');
		// No PUBLIC_URL: the listener's own address, whatever the Host field says.
		assert.equal((await p.offer(again)).resource.url, `${gateway.url}/v1/chat/completions`);
		shop.provider.answer(whole(p.completion()));
		p.assertPaid(await p.pay(again, await p.permit(again)));
	} finally {
		await gateway.stop();
		await again.facilitator.close();
		await shop.provider.close();
	}
});

test('settle: the answer is lost after the money moved; it is never moved twice (PAY-15)', p.withShop({ policy: idle }, async shop => {
	shop.facilitator.script('settle', lost);
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.pay(shop, await p.permit(shop)));
	await shop.facilitator.arrived('settle');
	// The permit does not verify any more: it was spent, most likely by us.
	await p.eventually(() => shop.facilitator.of('verify').length >= 2, 'it is not asked what became of it');
	assert.deepEqual(shop.settled(), [p.cost(10, 8)]);
	assert.equal(await settlements(shop, 'settled'), 0, 'neither is assumed');
	assert.equal(BigInt(await unsettled(shop)), p.cost(10, 8));
	assert.equal(shop.facilitator.of('settle').length, 1);
	await stopAtOnce(shop);
}));

test('settle: nothing was done and nothing said; it is settled later, once (PAY-15)', p.withShop({ policy: idle }, async shop => {
	shop.facilitator.script('settle', dropped);
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.pay(shop, await p.permit(shop)));
	await p.eventually(() => shop.settled().length === 1, 'not settled', 60_000);
	await p.eventually(async () => await settlements(shop, 'settled') === 1, 'not counted');
	assert.deepEqual(shop.settled(), [p.cost(10, 8)]);
	assert.equal(await unsettled(shop), '0');
}));

const lies = [
	['no transaction', { success: true, transaction: '', network: 'eip155:8453' }],
	['another amount', { success: true, transaction: `0x${'ab'.repeat(32)}`, network: 'eip155:8453', amount: '1' }],
	['another network', { success: true, transaction: `0x${'ab'.repeat(32)}`, network: 'eip155:1' }],
	['another payer', { success: true, transaction: `0x${'ab'.repeat(32)}`, network: 'eip155:8453', payer: '0x0000000000000000000000000000000000000001' }],
	['more than was asked for', { success: true, transaction: `0x${'ab'.repeat(32)}`, network: 'eip155:8453', amount: '840000000000001' }],
	['a page', '<html>'],
	['half a document', '{"success":tr'],
];
test('settle: answers that do not fit are no settlements; the end says what stayed open (PAY-15)', p.withShop({ policy: idle }, async shop => {
	for (const [name, body] of lies)
		shop.facilitator.script('settle', async () => ({ status: 200, body, name }));
	shop.facilitator.always('verify', null);
	for (let i = 0; i < lies.length; i++) {
		shop.provider.answer(whole(p.completion()));
		p.assertPaid(await p.pay(shop, await p.permit(shop)));
	}
	await shop.facilitator.arrived('settle', lies.length);
	assert.equal(await settlements(shop, 'settled'), 0);
	assert.ok(BigInt(await unsettled(shop)) > 0n);
	assert.match(shop.gateway.stderr(), /overcharged/);
	const began = Date.now();
	await shop.gateway.stop();
	assert.ok(Date.now() - began < 150_000);
	// Each was asked about, still good, and then settled for real: once.
	assert.deepEqual(shop.settled(), lies.map(() => p.cost(10, 8)));
}));

test('settle: refused; tried again a few times, the payer is remembered, and the loss is counted (PAY-01, PAY-12)', p.withShop({ policy: idle }, async shop => {
	for (const reason of ['permit2_insufficient_balance', 'permit2_allowance_required', 'permit2_invalid_nonce', 'permit2_simulation_failed']) {
		const wallet = p.newWallet();
		shop.facilitator.always('settle', says(200, { success: false, errorReason: reason, transaction: '', network: 'eip155:8453' }));
		shop.provider.answer(whole(p.completion()));
		const got = await p.pay(shop, await p.permit(shop, { wallet }));
		p.assertPaid(got, p.cost(10, 8)); // served by design; the receipt says what was charged
		let next;
		await p.eventually(async () => {
			next = await p.pay(shop, await p.permit(shop, { wallet }));
			return next.status === 402;
		}, `${reason}: the payer is not remembered`);
		p.assertRefused(next, 'payer_barred');
	}
	assert.ok(await settlements(shop, 'failed') >= 4);
	assert.equal(BigInt(await unsettled(shop)), 4n * p.cost(10, 8));
	// An outage of the facilitator is nobody's fault.
	const wallet = p.newWallet();
	shop.facilitator.always('settle', says(503, {}, { 'retry-after': '1' }));
	shop.provider.answer(whole(p.completion()), whole(p.completion()));
	p.assertPaid(await p.pay(shop, await p.permit(shop, { wallet })));
	const tried = shop.facilitator.of('settle').length;
	await p.eventually(() => shop.facilitator.of('settle').length > tried, 'not tried');
	p.assertPaid(await p.pay(shop, await p.permit(shop, { wallet })));
	shop.facilitator.always('settle', null);
}));

test('a facilitator with another address: the old offer is still good, the new one is made', p.withShop({}, async shop => {
	const old = await p.permit(shop);
	assert.equal((await p.offer(shop)).accepts[0].extra.facilitatorAddress, shop.facilitator.chain.addresses[0]);
	shop.facilitator.always('supported', says(200, {
		kinds: [{ x402Version: 2, scheme: 'upto', network: 'eip155:8453', extra: { facilitatorAddress: '0x90F79bf6EB2c4f870365E785982E1f101E93b906' } }],
		extensions: [], signers: {},
	}));
	// A mismatch makes it ask again.
	shop.facilitator.script('verify', says(200, { isValid: false, invalidReason: 'upto_facilitator_mismatch' }));
	p.assertRefused(await p.pay(shop, old), 'upto_facilitator_mismatch');
	await p.eventually(async () => (await p.offer(shop)).accepts[0].extra.facilitatorAddress === '0x90F79bf6EB2c4f870365E785982E1f101E93b906', 'the offer stays');
	assert.equal((await p.offer(shop)).extensions, undefined);
	shop.provider.answer(whole(p.completion()));
	assert.equal(p.assertPaid(await p.pay(shop, old)).facilitator, shop.facilitator.chain.addresses[0]);
}));

// A price source; `answer` is {status, body, headers} or what it does with the response.
async function startSource(answer) {
	const source = { answer, asked: [] };
	const server = http.createServer((request, response) => {
		source.asked.push(request.url);
		const { status = 200, body, headers = {} } = source.answer;
		response.writeHead(status, { 'content-type': 'application/json', ...headers });
		response.end(typeof body === 'string' ? body : JSON.stringify(body));
	});
	await new Promise(ok => server.listen(0, '127.0.0.1', ok));
	source.url = `http://127.0.0.1:${server.address().port}/price`;
	source.close = () => new Promise(ok => { server.closeAllConnections(); server.close(ok); });
	return source;
}
const ASSET = '0xfbc2051ae2265686a469421b2c5a2d5462fbf5eb';

test('no price: 503 before any payment; then the source\'s, to the digit, until it is too old', async () => {
	const source = await startSource({ status: 500, body: {} });
	const shop = await p.startShop({
		price: null, env: { TEE_GATEWAY_PRICE_URL: source.url },
		policy: policy => { policy.price.refresh_s = 1; policy.price.max_age_s = 3; },
	});
	const feed = async () => (await (await fetch(`${shop.gateway.url}/health`)).json()).price_feed;
	try {
		const answer = await p.post(shop.url, p.question());
		assert.equal(answer.status, 503);
		assert.equal(p.json(answer).error.code, 'price_unavailable');
		assert.equal(p.json(answer).error.type, 'overloaded_error');
		assert.ok(Number(answer.headers['retry-after']) > 0);
		assert.equal(answer.headers['payment-required'], undefined);
		assert.match(source.asked[0], new RegExp(`^/price\\?contract_addresses=${ASSET}&vs_currencies=usd$`, 'i'));
		const failing = await feed();
		assert.equal(failing.price_usd, null);
		assert.equal(failing.last_success, null);
		assert.ok(failing.consecutive_failures >= 1 && failing.total_errors >= 1);
		assert.equal(failing.last_error, 'the source answered 500');
		assert.equal(failing.refresh_interval, 1);

		source.answer = { body: { [ASSET]: { usd: 0.37 } } };
		await p.eventually(async () => (await feed()).price_usd === 0.37, 'no price');
		shop.provider.answer(whole(p.completion({ prompt: 1000, answer: 500 })));
		const payment = p.assertPaid(await p.pay(shop, await p.permit(shop, { body: p.question({ max_tokens: 500 }) }), p.question({ max_tokens: 500 })));
		assert.equal(payment.price_usd, '0.37');
		assert.ok(Math.abs(payment.price_time - Date.now() / 1000) < 60);
		// Prompt bound: 12 bytes. 0.000024 + 500 x 0.000008 USD is what was reserved.
		assert.equal(BigInt(payment.charged), (24n * 10n ** 18n + 4000n * 10n ** 18n + 369999n) / 370000n);

		// Another price does not change a request that was priced.
		const header = await p.permit(shop);
		source.answer = { body: { [ASSET]: { usd: 7.4e-1 } } };
		await p.eventually(async () => (await feed()).price_usd === 0.74, 'no new price');
		shop.provider.answer(whole(p.completion()));
		assert.equal(p.assertPaid(await p.pay(shop, header)).price_usd, '0.74');

		source.answer = { status: 429, body: {}, headers: { 'retry-after': '1' } };
		await p.eventually(async () => (await p.post(shop.url, p.question())).status === 503, 'too old a price is used');
		assert.equal((await feed()).last_error, 'the source answered 429');
		assert.ok(Number(await p.metric(shop.gateway, 'tee_gateway_price_age_seconds')) >= 3);
		source.answer = { body: { [ASSET]: { usd: 0.5 } } };
		await p.eventually(async () => (await p.post(shop.url, p.question())).status === 402, 'no price again');
		assert.equal((await feed()).consecutive_failures, 0);
	} finally {
		await shop.stop();
		await source.close();
	}
});

test('proofs are filed as the client says: batch, individual, private (PAY-21)', p.withShop({
	policy: policy => { policy.payment.facilitator_headers = { verify: { 'X-Api-Key': 'for-verify' } }; },
}, async shop => {
	const marker = 'a-word-that-must-not-travel';
	const body = p.question({ messages: [{ role: 'user', content: marker }] });
	const wallet = p.newWallet();
	const proof = call => JSON.parse(Buffer.from(call.headers['x-settlement-data'], 'base64').toString());
	const ask = async (more, streamed = false) => {
		shop.provider.answer(streamed ? stream(p.chunks()) : whole(p.completion()));
		const got = await p.pay(shop, await p.permit(shop, { wallet, body }), streamed ? { ...body, stream: true } : body, more);
		assert.equal(got.status, 200);
		return streamed ? p.lastEvent(got.body) : p.json(got);
	};
	const answers = [await ask({}), await ask({ 'x-settlement-type': 'Batch' }, true), await ask({ 'x-settlement-type': 'no such' })];
	await shop.facilitator.arrived('settle_data', 3);
	for (const call of shop.facilitator.of('settle_data')) {
		assert.equal(call.headers['x-settlement-type'], 'batch');
		assert.equal(call.text, '{}');
		const filed = proof(call);
		const answer = answers.find(a => a.tee_signature === filed.tee_signature);
		assert.deepEqual(filed, {
			tee_id: answer.tee_id, input_hash: answer.tee_request_hash, output_hash: answer.tee_output_hash,
			tee_signature: answer.tee_signature, tee_timestamp: answer.tee_timestamp, timestamp: filed.timestamp,
		});
	}
	const seen = shop.facilitator.calls.map(c => c.text + JSON.stringify(c.headers) +
		Buffer.from(c.headers['x-settlement-data'] ?? '', 'base64').toString()).join('\n');
	assert.ok(!seen.includes(marker), 'the facilitator has seen the prompt');

	await ask({ 'x-settlement-type': 'private' });
	await ask({ 'tee-signature': 'none' });
	await ask({ 'x-settlement-type': ['individual', 'private'] });
	const individual = await ask({ 'x-settlement-type': 'individual' });
	await shop.facilitator.arrived('settle_data', 4);
	const [last] = shop.facilitator.of('settle_data').slice(3);
	assert.equal(last.headers['x-settlement-type'], 'individual');
	const filed = proof(last);
	assert.equal(filed.eth_address, wallet.address);
	assert.deepEqual(filed.input, body);
	assert.equal(filed.output.id, individual.id);
	assert.equal(filed.output.tee_signature, individual.tee_signature);
	assert.equal(shop.facilitator.of('settle_data').length, 4, 'private ones are not filed');
	assert.equal(shop.facilitator.of('verify')[0].headers['x-api-key'], 'for-verify');
	assert.equal(last.headers['x-api-key'], undefined);
}));
