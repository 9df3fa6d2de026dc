// Paid by the request: the official client and a facilitator with the official checks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stream, whole } from './fake-openai.mjs';
import * as p from './payment.mjs';

const read = async response => ({ status: response.status, headers: response.headers, body: await response.text() });
const body = more => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(p.question(more)) });
const lastEvent = text => JSON.parse(text.trim().split('\n\n').at(-2).slice(6));

test('the official client pays, streams, and the exact amount is settled', async () => {
	const shop = await p.startShop();
	try {
		shop.provider.answer(stream(p.chunks()));
		const account = p.newAccount();
		const answer = await read(await p.payingFetch(account)(shop.url, body({ stream: true })));
		assert.equal(answer.status, 200, answer.body);
		assert.ok(answer.body.endsWith('data: [DONE]\n\n'));
		const final = lastEvent(answer.body);
		assert.deepEqual(final.opengradient, { cost_opg: '840000000000000', cost_usd: '0.000084', opg_price_usd: '0.1' });
		assert.equal(Object.keys(final).at(-1), 'tee_receipt');
		const { payment, limit, outcome } = p.claims(final.tee_receipt);
		assert.equal(outcome, 'complete');
		assert.equal(limit, undefined);
		assert.equal(payment.charged, '840000000000000');
		assert.equal(payment.session_total, '840000000000000');
		assert.equal(payment.payer, account.address);
		assert.equal(payment.facilitator, shop.facilitator.address);
		assert.equal(payment.cap, String(p.CAP));
		assert.equal(payment.price_usd, '0.1');

		shop.provider.answer(whole(p.completion({ prompt: 100, answer: 50 })));
		const second = await p.reuse(shop, answer.headers.get('x-upto-session'));
		assert.equal(second.status, 200);
		assert.equal(second.headers['x-upto-session'], answer.headers.get('x-upto-session'));
		assert.equal(p.json(second).opengradient.cost_opg, String(p.cost(100, 50)));
		const total = p.cost(10, 8) + p.cost(100, 50);
		assert.equal(p.claims(second.headers['tee-receipt']).payment.session_total, String(total));
		assert.equal(shop.facilitator.to('/verify').length, 1);
		assert.equal(shop.facilitator.settled.length, 0);

		await shop.gateway.stop();
		assert.deepEqual(shop.facilitator.settled.map(s => s.amount), [total]);
		assert.equal(shop.facilitator.settled[0].payer, account.address);
	} finally {
		await shop.stop();
	}
});
