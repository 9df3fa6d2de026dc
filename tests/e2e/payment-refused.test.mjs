// What is refused, and that it costs nobody anything: rows of x402.md 6 and of PAY-05, 06, 14, 17, 19, 20.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { typedData } from './fake-facilitator.mjs';
import { exchange, root } from './gateway.mjs';
import * as p from './payment.mjs';

let shop;
before(async () => { shop = await p.startShop(); });
after(() => shop.stop());

// Runs it and asserts that neither facilitator nor provider was asked anything.
async function untouched(run) {
	const calls = shop.facilitator.calls.length, asked = shop.provider.calls.length;
	const result = await run();
	// Proofs of earlier answers are filed in the background.
	assert.deepEqual(shop.facilitator.calls.slice(calls).map(c => c.path).filter(c => c !== '/settle_data'), []);
	assert.equal(shop.provider.calls.length, asked);
	return result;
}

test('no payment: 402 with an offer that equals what is published (PAY-20)', async () => {
	const published = JSON.parse((await exchange(`${shop.gateway.url}/.well-known/tee-config`)).body).config;
	for (const headers of [{}, { host: 'evil.example' }, { 'x-forwarded-host': 'evil.example', forwarded: 'host=evil.example' }]) {
		const answer = await untouched(() => p.post(shop.url, p.question(), headers));
		const error = p.assertRefused(answer, 'payment_required');
		assert.equal(error.message, 'Payment required.');
		const offer = p.required(answer);
		assert.equal(offer.error, 'Payment required');
		assert.equal(offer.resource.url, 'https://gateway.example/v1/chat/completions');
		assert.deepEqual(offer.accepts, [{
			scheme: 'upto', network: 'eip155:8453', amount: String(p.CAP),
			asset: '0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB', payTo: published.pay_to, maxTimeoutSeconds: 300,
			extra: {
				name: 'OpenGradient', version: '1', assetTransferMethod: 'permit2',
				facilitatorAddress: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
			},
		}]);
		assert.equal(answer.headers['cache-control'], 'no-store, no-transform');
		assert.ok(answer.headers['access-control-expose-headers'].includes('PAYMENT-REQUIRED'));
	}
	const other = await untouched(() => p.post(`${shop.gateway.url}/v1/completions`,
		{ model: 'gpt-4.1', prompt: 'How are you?' }));
	p.assertRefused(other, 'payment_required');
	assert.equal(p.required(other).resource.description, 'Completion');
	assert.equal(p.required(other).resource.url, 'https://gateway.example/v1/completions');
});

test('the gas-sponsoring extension is declared as the official server declares it', async () => {
	const want = JSON.parse(readFileSync(path.join(root, 'tests/vectors/x402/payment-required-upto.json'))).decoded.extensions;
	assert.deepEqual((await p.offer(shop)).extensions, want);
});

test('the offer grows with the worst case (M1), and above the largest cap there is none (PAY-10)', async () => {
	const amounts = [];
	for (const max_tokens of [1000, 4096, 12000, 100000])
		amounts.push(BigInt((await p.offer(shop, p.question({ max_tokens }))).accepts[0].amount));
	assert.deepEqual(amounts, [p.CAP, 10n * p.CAP, 10n * p.CAP, 100n * p.CAP]);
	// Absent: 4096 (C7).
	assert.equal(BigInt((await p.offer(shop, { ...p.question(), max_tokens: undefined })).accepts[0].amount), 10n * p.CAP);
	const body = p.question({ messages: [{ role: 'user', content: 'x'.repeat(510_000) }] });
	const answer = await untouched(() => p.post(shop.url, body));
	assert.equal(answer.status, 400);
	assert.equal(p.json(answer).error.code, 'exceeds_payment_cap');
	assert.equal(p.json(answer).error.param, 'messages');
});

test('what has no price is 400 on paid routes, before any payment (C5)', async () => {
	const rows = {
		service_tier: { service_tier: 'flex' }, web_search_options: { web_search_options: {} },
		prediction: { prediction: { type: 'content', content: 'x' } }, something_new: { something_new: 1 },
		'messages[0].content[0]': { messages: [{ role: 'user', content: [{ type: 'file', file: { file_data: 'data:application/pdf;base64,JVBERi0=' } }] }] },
	};
	for (const [param, more] of Object.entries(rows)) {
		const answer = await untouched(() => p.post(shop.url, p.question(more)));
		assert.equal(answer.status, 400, param);
		assert.equal(p.json(answer).error.param, param);
		assert.equal(p.json(answer).error.code, 'unsupported_parameter');
	}
});

test('unknown model and malformed bodies are not worth an offer', async () => {
	for (const [body, status] of [[p.question({ model: 'nobody' }), 404], ['{', 400], [p.question({ n: 0 }), 400]])
		assert.equal((await untouched(() => p.post(shop.url, body))).status, status);
});

test('echo stays free', async () => {
	const answer = await untouched(() => p.post(shop.url, { model: 'echo', messages: [{ role: 'user', content: 'hi' }] }));
	assert.equal(answer.status, 200);
	assert.equal(p.claims(answer.headers['tee-receipt']).payment, undefined);
	assert.equal(answer.headers['x-upto-session'], undefined);
	assert.equal(p.json(answer).opengradient, undefined);
});

test('recorded malformed headers are 402, without a call (x402.md 6)', async () => {
	const rows = JSON.parse(readFileSync(path.join(root, 'tests/vectors/x402/malformed-headers.json')));
	assert.ok(rows.length >= 10);
	for (const row of rows)
		p.assertRefused(await untouched(() => p.pay(shop, row.paymentSignatureHeader)));
});

// Bends one payment, before it is signed (`signed`) or after.
const bend = async ({ signed, after: change, wallet = p.newWallet() }) => {
	const header = await p.permit(shop, { wallet, change: signed });
	if (!change)
		return header;
	const payload = p.decode(header);
	await change(payload, wallet);
	return p.encode(payload);
};
const permitOf = payload => payload.payload.permit2Authorization;
const OTHER = '0x90F79bf6EB2c4f870365E785982E1f101E93b906';
const now = () => Math.floor(Date.now() / 1000);

const bent = [
	['another network', 'no_matching_payment_requirements', { after: x => { x.accepted.network = 'eip155:84532'; } }],
	['a v1 name of the network', 'no_matching_payment_requirements', { after: x => { x.accepted.network = 'base'; } }],
	['another scheme', 'no_matching_payment_requirements', { after: x => { x.accepted.scheme = 'UPTO'; } }],
	['another asset', 'no_matching_payment_requirements', { after: x => { x.accepted.asset = OTHER; } }],
	['another recipient in accepted', 'no_matching_payment_requirements', { after: x => { x.accepted.payTo = OTHER; } }],
	['an amount that is no cap', 'no_matching_payment_requirements', { after: x => { x.accepted.amount = '1'; } }],
	['no accepted', 'invalid_payload', { after: x => { delete x.accepted; } }],
	['version 1', 'invalid_x402_version', { after: x => { x.x402Version = 1; } }],
	['version 3', 'invalid_x402_version', { after: x => { x.x402Version = 3; } }],
	['an amount as a number (PAY-17)', 'no_matching_payment_requirements', { after: x => { x.accepted.amount = 1e17; } }],
	['an amount with an exponent', 'invalid_payload', { after: x => { permitOf(x).permitted.amount = '1e17'; } }],
	['a negative amount', 'invalid_payload', { after: x => { permitOf(x).permitted.amount = '-1'; } }],
	['an amount with a plus', 'invalid_payload', { after: x => { permitOf(x).permitted.amount = '+5'; } }],
	['an amount of 2^256', 'invalid_payload', { after: x => { permitOf(x).permitted.amount = String(2n ** 256n); } }],
	['signed for another recipient (PAY-14)', 'invalid_permit2_recipient_mismatch', { signed: x => { permitOf(x).witness.to = OTHER; } }],
	['signed for another facilitator (PAY-02)', 'upto_facilitator_mismatch', { signed: x => { permitOf(x).witness.facilitator = OTHER; } }],
	['signed for another spender', 'invalid_permit2_spender', { signed: x => { permitOf(x).spender = OTHER; } }],
	['signed for another token', 'permit2_token_mismatch', { signed: x => { permitOf(x).permitted.token = OTHER; } }],
	['signed for more than offered', 'permit2_amount_mismatch', { signed: x => { permitOf(x).permitted.amount = String(p.CAP + 1n); } }],
	['signed for less', 'permit2_amount_mismatch', { signed: x => { permitOf(x).permitted.amount = '1'; } }],
	['expired', 'permit2_deadline_expired', { signed: x => { permitOf(x).deadline = String(now() - 1); } }],
	['less than 60 s left', 'permit2_deadline_expired', { signed: x => { permitOf(x).deadline = String(now() + 30); } }],
	['a deadline ten years ahead', 'permit2_deadline_too_late', { signed: x => { permitOf(x).deadline = String(now() + 3e8); } }],
	['a deadline in milliseconds', 'permit2_deadline_too_late', { signed: x => { permitOf(x).deadline = String(Date.now() + 2e5); } }],
	['not valid yet', 'permit2_not_yet_valid', { signed: x => { permitOf(x).witness.validAfter = String(now() + 100); } }],
	['a signature of somebody else', 'invalid_permit2_signature', { after: async x => { x.payload.signature = await p.newWallet().signTypedData(typedData(x)); } }],
	['one nibble of it changed', 'invalid_permit2_signature', { after: x => { x.payload.signature = x.payload.signature.replace(/^0x../, '0x00'); } }],
	['the high-s twin (PAY-05)', 'invalid_permit2_signature', { after: x => { x.payload.signature = twin(x.payload.signature); } }],
	['a recovery byte of 0 or 1', 'invalid_permit2_signature', {
		after: x => { x.payload.signature = x.payload.signature.slice(0, -2) + (x.payload.signature.endsWith('1b') ? '00' : '01'); },
	}],
];
function twin(signature) {
	const n = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
	const s = (n - BigInt(`0x${signature.slice(66, 130)}`)).toString(16).padStart(64, '0');
	return signature.slice(0, 66) + s + (signature.endsWith('1b') ? '1c' : '1b');
}
for (const [name, code, how] of bent)
	test(`refused here, whatever the facilitator would say: ${name}`, async () => {
		const header = await bend(how);
		p.assertRefused(await untouched(() => p.pay(shop, header)), code);
	});

test('two payments, or two in one, or a bomb, are none (PAY-06)', async () => {
	const header = await p.permit(shop), other = await p.permit(shop);
	const text = JSON.stringify(p.decode(header));
	const bodies = {
		'a comma': `${header}, ${other}`,
		'a name twice': p.encode(text.replace('"x402Version":2', '"x402Version":2,"x402Version":2')),
		'another payload for whoever ignores letter case': p.encode({ ...p.decode(header), Payload: p.decode(other).payload }),
		'nesting of 17': p.encode(text.replace('"x402Version":2', `"x402Version":2,"deep":${'['.repeat(17)}${']'.repeat(17)}`)),
		'17 KiB': p.encode(text.replace('"x402Version":2', `"x402Version":2,"long":"${'x'.repeat(17 * 1024)}"`)),
		'trailing bytes': p.encode(`${text}{}`),
		'base64url': header.replace(/.$/, '_'),
	};
	for (const [name, value] of Object.entries(bodies)) {
		const answer = await untouched(() => p.pay(shop, value));
		assert.equal(answer.status, 402, name);
		p.assertRefused(answer);
	}
	const twice = await untouched(() => p.post(shop.url, p.question(), { 'payment-signature': [header, other] }));
	p.assertRefused(twice);
	// v1's header alone is no payment.
	p.assertRefused(await untouched(() => p.post(shop.url, p.question(), { 'x-payment': header })), 'payment_required');
});

test('every wrong session secret gets one and the same answer (PAY-19)', async () => {
	shop.provider.answer(p.whole(p.completion()));
	const live = (await p.pay(shop, await p.permit(shop))).headers['x-upto-session'];
	const wrong = ['', '0', 'x'.repeat(32), '0'.repeat(32), live.slice(0, 31), `${live}0`, live.toUpperCase().replace(/[^A-F]/g, '0')];
	const seen = new Set();
	for (const secret of wrong)
		seen.add((await untouched(() => p.reuse(shop, secret))).body.toString());
	seen.add((await untouched(() => p.post(`${shop.gateway.url}/v1/completions`,
		{ model: 'gpt-4.1', prompt: 'x' }, { 'x-upto-session': live }))).body.toString());
	seen.add((await untouched(() => p.post(shop.url, p.question(), { 'x-upto-session': [live, live] }))).body.toString());
	assert.equal(seen.size, 1, [...seen].join('\n'));
	assert.match([...seen][0], /Session expired or exhausted/);
	assert.ok(!shop.gateway.stderr().includes(live), 'the log has it');
	const metrics = await (await fetch(`${shop.gateway.url}/metrics`)).text();
	assert.ok(!metrics.includes(live));
});

test('a payment beside a session must be of its payer (M5, PAY-06)', async () => {
	const wallet = p.newWallet();
	shop.provider.answer(p.whole(p.completion()), p.whole(p.completion()));
	const session = (await p.pay(shop, await p.permit(shop, { wallet }))).headers['x-upto-session'];
	const foreign = await p.permit(shop), own = await p.permit(shop, { wallet });
	p.assertRefused(await untouched(() => p.reuse(shop, session, p.question(), { 'payment-signature': foreign })), 'payer_mismatch');
	const paid = p.assertPaid(await p.reuse(shop, session, p.question(), { 'payment-signature': own }));
	assert.equal(BigInt(paid.session_total), 2n * p.cost(10, 8));
});

test('another route does not take a permit that was used (PAY-08)', async () => {
	const wallet = p.newWallet(), header = await p.permit(shop, { wallet });
	shop.provider.answer(p.whole(p.completion()));
	p.assertPaid(await p.pay(shop, header));
	const answer = await untouched(() => p.post(`${shop.gateway.url}/v1/completions`, { model: 'gpt-4.1', prompt: 'x', max_tokens: 5 },
		{ 'payment-signature': header }));
	p.assertRefused(answer, 'payment_of_another_route');
});

test('the facilitator refuses: its word is passed on, free text is not', async () => {
	for (const [says, code] of [['permit2_insufficient_balance', 'permit2_insufficient_balance'],
		['permit2_allowance_required', 'permit2_allowance_required'],
		['rpc at 10.0.0.1: connect ECONNREFUSED', 'refused_by_facilitator']]) {
		const header = await p.permit(shop);
		shop.facilitator.script('verify', async () => ({ status: 200, body: { isValid: false, invalidReason: says } }));
		const answer = await p.pay(shop, header);
		p.assertRefused(answer, code);
		assert.ok(!answer.body.toString().includes('10.0.0.1'));
		shop.provider.answer(p.whole(p.completion()));
		p.assertPaid(await p.pay(shop, header)); // nothing of it was used up
	}
});

test('a long signature is the facilitator\'s to judge, and its session needs it each time', async () => {
	const wallet = p.newWallet();
	shop.facilitator.chain.wallets.add(wallet.address.toLowerCase());
	const header = await bend({ wallet, after: x => { x.payload.signature = `0x${'ab'.repeat(100)}`; } });
	const before = shop.facilitator.of('verify').length;
	shop.provider.answer(p.whole(p.completion()), p.whole(p.completion()));
	const first = await p.pay(shop, header);
	p.assertPaid(first);
	assert.equal(BigInt(p.assertPaid(await p.pay(shop, header)).session_total), 2n * p.cost(10, 8));
	assert.equal(shop.facilitator.of('verify').length, before + 2);
});

test('at the end every charge was settled once, and nothing else', async () => {
	await shop.gateway.stop();
	const owed = shop.settled().reduce((a, b) => a + b, 0n);
	const lines = [...shop.gateway.stderr().matchAll(/outcome=complete .*charged=(\d+)/g)].map(m => BigInt(m[1]));
	assert.equal(owed, lines.reduce((a, b) => a + b, 0n));
	assert.equal(new Set(shop.facilitator.chain.transfers.map(t => t.nonce)).size, shop.settled().length);
	shop.stop = async () => {
		await shop.provider.close();
		await shop.facilitator.close();
	};
});
