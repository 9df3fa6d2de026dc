// The fake itself: it must judge as the recorded run of the official packages did, or every test that
// leans on it proves nothing.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { dropped, encodePayment, held, lost, malformed, newWallet, NETWORK, payFor, payingFetch, says,
	startFakeFacilitator } from './fake-facilitator.mjs';
import { root } from './gateway.mjs';

const recorded = JSON.parse(fs.readFileSync(path.join(root, 'tests/vectors/x402/payment-required-upto.json')));
const vector = name => JSON.parse(fs.readFileSync(path.join(root, `tests/vectors/x402/${name}.json`)));
const offer = recorded.decoded.accepts[0];
let facilitator;

before(async () => { facilitator = await startFakeFacilitator(); });
after(() => facilitator.close());

const post = async (route, body, base = facilitator.url) => {
	const answer = await fetch(base + route, { method: 'POST', body: JSON.stringify(body),
		headers: { 'content-type': 'application/json' } });
	return { status: answer.status, body: await answer.json() };
};
const ask = (payload, amount = offer.amount) =>
	({ x402Version: 2, paymentPayload: payload, paymentRequirements: { ...offer, amount } });

test('/supported is what the recorded run had for upto', async () => {
	const supported = await (await fetch(`${facilitator.url}/supported`)).json();
	const [first] = vector('facilitator-transcript').map(entry => entry.responseBody);

	assert.deepEqual(supported.kinds, first.kinds.filter(kind => kind.scheme === 'upto'));
	assert.deepEqual(supported.extensions, first.extensions);
});

test('signed values are judged by the official code', async () => {
	const wallet = newWallet();
	const good = await payFor(recorded.paymentRequiredHeader, wallet);
	const spoilt = await payFor(recorded.paymentRequiredHeader, wallet, payload => {
		payload.payload.permit2Authorization.permitted.amount = '1';
	});

	assert.deepEqual(await post('/verify', ask(good.payload)),
		{ status: 200, body: { isValid: true, payer: wallet.address } });
	assert.equal((await post('/verify', ask(spoilt.payload))).body.invalidReason, 'permit2_amount_mismatch');
	good.payload.payload.signature = `0x${'11'.repeat(64)}1b`;
	assert.equal((await post('/verify', ask(good.payload))).body.invalidReason, 'invalid_permit2_signature');
});

test('a permit settles once, below its cap, and is spent then', async () => {
	const wallet = newWallet();
	const { payload } = await payFor(recorded.paymentRequiredHeader, wallet);
	const before = facilitator.chain.transfers.length;
	const above = await post('/settle', ask(payload, (BigInt(offer.amount) + 1n).toString()));
	const zero = await post('/settle', ask(payload, '0'));
	const once = await post('/settle', ask(payload, '7'));
	const twice = await post('/settle', ask(payload, '7'));

	assert.equal(above.body.errorReason, 'invalid_upto_evm_payload_settlement_exceeds_amount');
	assert.deepEqual(zero.body, { success: true, transaction: '', network: NETWORK, payer: wallet.address, amount: '0' });
	assert.equal(once.body.success, true);
	assert.match(once.body.transaction, /^0x[0-9a-f]{64}$/);
	assert.equal(twice.body.errorReason, 'permit2_simulation_failed');
	assert.equal((await post('/verify', ask(payload))).body.invalidReason, 'permit2_simulation_failed');
	assert.deepEqual(facilitator.chain.transfers.slice(before).map(({ payer, to, amount }) => ({ payer, to, amount })),
		[{ payer: wallet.address, to: offer.payTo, amount: '7' }]);
});

test('a settlement that is mined and fails moves nothing', async () => {
	const { payload } = await payFor(recorded.paymentRequiredHeader, newWallet());
	const before = facilitator.chain.transfers.length;

	facilitator.chain.reverts = true;
	const answer = await post('/settle', ask(payload, '7'));
	facilitator.chain.reverts = false;
	assert.equal(answer.body.success, false);
	assert.equal(facilitator.chain.transfers.length, before);
});

test('a payer without the money is refused', async () => {
	const wallet = newWallet();
	const { payload } = await payFor(recorded.paymentRequiredHeader, wallet);

	facilitator.chain.balance.set(wallet.address.toLowerCase(), 5n);
	assert.equal((await post('/verify', ask(payload))).body.isValid, false);
});

test('jobs: 202, then active, then done or failed', async () => {
	const queued = await startFakeFacilitator({ jobs: true });
	const state = async id => (await fetch(`${queued.url}/settle/${id}`)).json();

	for (const fails of [false, true]) {
		queued.failJobs = fails;
		const { payload } = await payFor(recorded.paymentRequiredHeader, newWallet());
		const accepted = await post('/settle', ask(payload, '9'), queued.url);
		const { jobId } = accepted.body.paymentJob;

		assert.equal(accepted.status, 202);
		assert.equal((await state(jobId)).status, 'active');
		const done = await state(jobId);
		assert.equal(done.status, fails ? 'failed' : 'completed');
		assert.equal(done.result?.success, fails ? undefined : true);
		assert.deepEqual(await state(jobId), done);
	}
	assert.equal(queued.chain.transfers.length, 1);
	assert.equal((await fetch(`${queued.url}/settle/payment-none`)).status, 404);
	await queued.close();
});

test('scripts: each answer once, in order, then honesty again', async () => {
	const { payload } = await payFor(recorded.paymentRequiredHeader, newWallet());
	const slow = held();
	const before = facilitator.calls.length;

	facilitator.script('verify', says(500, { error: 'boom' }), malformed('<html>'), dropped, slow.answer);
	assert.equal((await post('/verify', ask(payload))).status, 500);
	await assert.rejects(post('/verify', ask(payload)), SyntaxError);
	await assert.rejects(post('/verify', ask(payload)));
	const late = post('/verify', ask(payload));
	await slow.arrived;
	assert.equal(facilitator.calls.at(-1).answered, undefined);
	slow.release();
	assert.equal((await late).body.isValid, true);
	assert.equal((await post('/verify', ask(payload))).body.isValid, true);
	assert.deepEqual(facilitator.calls.slice(before).map(call => call.status), [500, 200, undefined, 200, 200]);
	facilitator.script('settle', lost);
	await assert.rejects(post('/settle', ask(payload, '3')));
	await facilitator.arrived('settle', facilitator.of('settle').length);
	assert.equal(facilitator.chain.transfers.at(-1).amount, '3');
});

test('the official client pays for what a 402 asks', async () => {
	const wallet = newWallet();
	const seen = [];
	const answer = await payingFetch(wallet, async (input, init) => {
		const request = new Request(input, init);
		seen.push(request.headers.get('payment-signature'));
		return seen.at(-1) === null
			? new Response('{}', { status: 402, headers: { 'PAYMENT-REQUIRED': recorded.paymentRequiredHeader } })
			: new Response('{"ok":true}', { status: 200 });
	})('https://gateway.example/v1/chat/completions', { method: 'POST', body: '{}' });
	const payload = JSON.parse(Buffer.from(seen[1], 'base64'));

	assert.equal(answer.status, 200);
	assert.equal(seen.length, 2);
	assert.equal(encodePayment(payload), seen[1]);
	assert.equal(payload.payload.permit2Authorization.from, wallet.address);
	assert.equal((await post('/verify', ask(payload))).body.isValid, true);
});
