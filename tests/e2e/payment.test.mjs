// Paid by the request: the official client and a facilitator with the official checks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { payingFetch } from './fake-facilitator.mjs';
import { stream, whole } from './fake-openai.mjs';
import * as p from './payment.mjs';

const asked = more => ({
	method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(p.question(more)),
});

// Pays, streams, uses the session again; resolves to {total, wallet}.
async function twoAnswers(shop) {
	const wallet = p.newWallet();
	shop.provider.answer(stream(p.chunks()));
	const answer = await payingFetch(wallet)(shop.url, asked({ stream: true }));
	const text = await answer.text();
	assert.equal(answer.status, 200, text);
	assert.ok(text.endsWith('data: [DONE]\n\n'));
	const final = p.lastEvent(text);
	assert.deepEqual(final.opengradient, { cost_opg: '840000000000000', cost_usd: '0.000084', opg_price_usd: '0.1' });
	assert.equal(Object.keys(final).at(-1), 'tee_receipt');
	const { payment, limit, outcome } = p.claims(final.tee_receipt);
	assert.equal(outcome, 'complete');
	assert.equal(limit, undefined);
	assert.equal(payment.charged, '840000000000000');
	assert.equal(payment.session_total, '840000000000000');
	assert.equal(payment.payer, wallet.address);
	assert.equal(payment.cap, String(p.CAP));
	assert.equal(payment.price_usd, '0.1');

	shop.provider.answer(whole(p.completion({ prompt: 100, answer: 50 })));
	const session = answer.headers.get('x-upto-session');
	const second = await p.reuse(shop, session);
	const total = p.cost(10, 8) + p.cost(100, 50);
	assert.equal(BigInt(p.assertPaid(second, p.cost(100, 50)).session_total), total);
	assert.equal(second.headers['x-upto-session'], session);
	assert.equal(p.json(second).opengradient.cost_opg, String(p.cost(100, 50)));
	assert.equal(shop.facilitator.of('verify').length, 1);
	assert.equal(shop.facilitator.of('settle').length, 0);
	return { total, wallet };
}

test('the official client pays, streams, and the exact amount is settled at the end', p.withShop({}, async shop => {
	const { total, wallet } = await twoAnswers(shop);
	assert.equal(await p.metric(shop.gateway, 'tee_gateway_unsettled_atomic_units'), String(total));
	await shop.gateway.stop();
	assert.deepEqual(shop.settled(), [total]);
	assert.equal(shop.facilitator.chain.transfers[0].payer, wallet.address);
	assert.match(shop.gateway.stderr(), /settlement=settled amount=6840000000000000 .*why=shutdown/);
}));

test('an idle session is settled, and then its permit is spent', p.withShop({
	policy: policy => { policy.limits.session_idle_s = 1; },
}, async shop => {
	const header = await p.permit(shop);
	shop.provider.answer(whole(p.completion()));
	const session = (await p.pay(shop, header)).headers['x-upto-session'];
	await shop.facilitator.arrived('settle');
	await p.eventually(async () => await p.metric(shop.gateway, 'tee_gateway_settlements_total{result="settled"}') === '1',
		'not counted as settled');
	assert.deepEqual(shop.settled(), [p.cost(10, 8)]);
	assert.equal(await p.metric(shop.gateway, 'tee_gateway_unsettled_atomic_units'), '0');
	const verified = shop.facilitator.of('verify').length;
	p.assertRefused(await p.reuse(shop, session), 'session_expired');
	p.assertRefused(await p.pay(shop, header), 'permit2_invalid_nonce');
	assert.equal(shop.facilitator.of('verify').length, verified, 'decided here');
}));

test('a settle that is queued (202) is polled until it is done', p.withShop({ facilitator: { jobs: true } }, async shop => {
	const { total } = await twoAnswers(shop);
	await shop.gateway.stop();
	assert.deepEqual(shop.settled(), [total]);
	assert.equal(shop.facilitator.of('settle').length, 1);
	assert.ok(shop.facilitator.of('job').length >= 2);
}));

test('a job that fails bars its payer', p.withShop({
	facilitator: { jobs: true }, policy: policy => { policy.limits.session_idle_s = 1; },
}, async shop => {
	const wallet = p.newWallet();
	shop.facilitator.failJobs = true;
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.pay(shop, await p.permit(shop, { wallet })));
	await p.eventually(async () => Number(await p.metric(shop.gateway, 'tee_gateway_settlements_total{result="failed"}')) > 0,
		'not counted as failed');
	assert.equal(await p.metric(shop.gateway, 'tee_gateway_unsettled_atomic_units'), String(p.cost(10, 8)));
	p.assertRefused(await p.pay(shop, await p.permit(shop, { wallet })), 'payer_barred');
	assert.deepEqual(shop.settled(), []);
	shop.facilitator.failJobs = false; // the retry before the deadline finds the money
	await p.eventually(() => shop.settled().length === 1, 'not tried again');
}));
