// One permit is one budget, however often, however spelled and however fast it is shown (I1, I2).
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { held } from './fake-facilitator.mjs';
import { whole } from './fake-openai.mjs';
import * as p from './payment.mjs';

let shop;
before(async () => { shop = await p.startShop({ loops: 4 }); });
after(() => shop.stop());
beforeEach(() => shop.provider.drop());

const sum = list => list.reduce((a, b) => a + b, 0n);
const charged = answers => sum(answers.filter(a => a.headers['tee-receipt'])
	.map(a => BigInt(p.claims(a.headers['tee-receipt']).payment.charged)));
const sessions = answers => new Set(answers.map(a => a.headers['x-upto-session']).filter(s => s !== undefined));

// Every provider answer says that the whole limit was used; counts how many ran at a time.
function answerFully(n) {
	const state = { now: 0, most: 0 };
	for (let i = 0; i < n; i++)
		shop.provider.answer(async reply => {
			state.most = Math.max(state.most, ++state.now);
			const { max_completion_tokens } = JSON.parse(reply.call.body);
			await new Promise(ok => setImmediate(ok));
			state.now--;
			await whole(p.completion({ prompt: 12, answer: max_completion_tokens }))(reply);
		});
	return state;
}

test('50 parallel requests on one permit: never above the cap, never unpaid (PAY-09)', async () => {
	const body = p.question({ max_tokens: 300 }); // 0.02424 OPG at most; four fit whole
	const header = await p.permit(shop, { body });
	answerFully(50);
	const answers = await Promise.all(Array.from({ length: 50 }, () => p.pay(shop, header, body)));
	const served = answers.filter(a => a.status === 200), refused = answers.filter(a => a.status !== 200);
	assert.ok(served.length >= 4, `${served.length}`);
	assert.ok(refused.length > 0);
	for (const answer of refused)
		p.assertRefused(answer);
	assert.equal(sessions(served).size, 1);
	for (const answer of served) {
		const { payment, limit, adjusted } = p.claims(answer.headers['tee-receipt']);
		const sent = p.json(answer).usage.completion_tokens;
		assert.equal(BigInt(payment.charged), p.cost(12, sent), 'what was served is charged');
		if (sent < 300) {
			assert.equal(limit, sent);
			assert.deepEqual(adjusted, ['max_tokens']);
			assert.equal(answer.headers['tee-adjusted'], 'max_tokens');
			assert.ok(sent >= 16);
		} else {
			assert.equal(limit, undefined);
		}
	}
	assert.ok(charged(answers) <= p.CAP, `${charged(answers)}`);
	const totals = served.map(a => BigInt(p.claims(a.headers['tee-receipt']).payment.session_total));
	assert.ok(totals.every(t => t <= p.CAP));
});

test('1,000 parallel requests on one permit: one session, at most what fits at a time (PAY-03)', async () => {
	const body = p.question({ max_tokens: 1240 }); // 0.09944 of 0.1 OPG: one, and then none
	const header = await p.permit(shop, { body });
	const state = answerFully(1000);
	const answers = [];
	for (let i = 0; i < 10; i++)
		answers.push(...await Promise.all(Array.from({ length: 100 }, () => p.pay(shop, header, body))));
	const served = answers.filter(a => a.status === 200);
	assert.ok(served.length >= 1);
	assert.equal(sessions(served).size, 1);
	assert.ok(charged(served) <= p.CAP);
	assert.equal(state.most, 1);
	for (const answer of answers.filter(a => a.status !== 200))
		p.assertRefused(answer);
});

test('one permit in many spellings is one session (PAY-05)', async () => {
	const header = await p.permit(shop), payload = p.decode(header), text = JSON.stringify(payload);
	const { permit2Authorization: permit } = payload.payload;
	const other = change => {
		const copy = JSON.parse(text);
		change(copy);
		return p.encode(copy);
	};
	const spellings = [
		header,
		p.encode(JSON.stringify(payload, null, 2)),
		p.encode(JSON.stringify(Object.fromEntries(Object.entries(payload).reverse()))),
		header.replace(/=+$/, ''),
		other(x => { x.payload.permit2Authorization.nonce = `0x${BigInt(permit.nonce).toString(16)}`; }),
		other(x => { x.payload.permit2Authorization.nonce = `0x${BigInt(permit.nonce).toString(16).padStart(64, '0')}`; }),
		other(x => { x.payload.permit2Authorization.from = permit.from.toLowerCase(); }),
		other(x => { x.payload.permit2Authorization.witness.to = permit.witness.to.toLowerCase(); }),
		other(x => { x.accepted.asset = x.accepted.asset.toLowerCase(); }),
		other(x => { x.more = { members: [1, 2] }; }),
		other(x => { x.resource.url = 'https://elsewhere.example/'; }),
		other(x => { x.payload.signature = x.payload.signature.toUpperCase().replace('0X', '0x'); }),
	];
	for (let i = 0; i < 2 * spellings.length; i++)
		shop.provider.answer(whole(p.completion({ prompt: 1, answer: 1 })));
	const body = p.question({ max_tokens: 20 });
	const answers = await Promise.all(spellings.map(value => p.pay(shop, value, body)));
	const accepted = answers.filter(a => a.status === 200);
	assert.equal(accepted.length, spellings.length, answers.map((a, i) => `${i}:${a.status}`).join(' '));
	assert.equal(sessions(accepted).size, 1);
	const last = p.assertPaid(await p.pay(shop, header, body));
	assert.equal(BigInt(last.session_total), p.cost(1, 1) * BigInt(spellings.length + 1));
});

test('20 requests while the first verify is open: one session; if it fails, 20 refusals and a free nonce (PAY-04)', async () => {
	for (const good of [false, true]) {
		const header = await p.permit(shop), gate = held();
		const before = shop.facilitator.of('verify').length;
		shop.facilitator.always('verify', async use => {
			const said = await gate.answer(use);
			return good ? said : { status: 200, body: { isValid: false, invalidReason: 'permit2_simulation_failed' } };
		});
		for (let i = 0; i < 20; i++)
			shop.provider.answer(whole(p.completion({ prompt: 1, answer: 1 })));
		const asked = shop.provider.calls.length;
		const all = Array.from({ length: 20 }, () => p.pay(shop, header, p.question({ max_tokens: 20 })));
		await gate.arrived;
		assert.equal(shop.provider.calls.length, asked, 'nothing is asked before the payment is verified (I3)');
		gate.release();
		const answers = await Promise.all(all);
		shop.facilitator.always('verify', null);
		assert.ok(shop.facilitator.of('verify').length > before);
		if (good) {
			assert.deepEqual(answers.map(a => a.status), Array(20).fill(200), answers.find(a => a.status !== 200)?.body.toString());
			assert.equal(sessions(answers).size, 1);
			continue;
		}
		for (const answer of answers)
			p.assertRefused(answer, 'permit2_simulation_failed');
		shop.provider.drop();
		shop.provider.answer(whole(p.completion()));
		p.assertPaid(await p.pay(shop, header));
	}
});

test('a request larger than its cap is served less, or refused with the cap that fits (M3, PAY-10)', async () => {
	// 0.1 OPG buys 1246 tokens beside 12 bytes of prompt.
	const body = p.question({ max_tokens: 5000 });
	const header = await p.permit(shop, { body, cap: p.CAP });
	answerFully(3);
	const first = await p.pay(shop, header, body);
	const { limit, payment, adjusted } = p.claims(first.headers['tee-receipt']);
	assert.equal(limit, 1247);
	assert.equal(JSON.parse(shop.provider.last().body).max_completion_tokens, 1247);
	assert.deepEqual(adjusted, ['max_tokens']);
	assert.equal(BigInt(payment.charged), p.cost(12, 1247));
	// What is left buys less than 16 tokens: the offer is what this request needs.
	const second = await p.pay(shop, header, body);
	p.assertRefused(second, 'payment_required');
	assert.equal(BigInt(p.required(second).accepts[0].amount), 10n * p.CAP);
	// A prompt that alone costs more than this cap, never reaches the provider.
	const long = p.question({ messages: [{ role: 'user', content: 'x'.repeat(60_000) }] });
	const asked = shop.provider.calls.length;
	const other = await p.pay(shop, await p.permit(shop, { body: long, cap: p.CAP }), long);
	p.assertRefused(other);
	assert.equal(BigInt(p.required(other).accepts[0].amount), 100n * p.CAP);
	assert.equal(shop.provider.calls.length, asked);
});

test('what a model reads beside the text of messages is in the worst case, too (M2)', async () => {
	const long = 'x'.repeat(60_000), go = { role: 'user', content: 'Go.' };
	const hidden = {
		'a call of a custom tool': [go, { role: 'assistant', content: null, tool_calls: [{ id: 'a', type: 'custom', custom: { name: 'f', input: long } }] },
			{ role: 'tool', tool_call_id: 'a', content: 'x' }, go],
		'a function call': [go, { role: 'assistant', content: null, function_call: { name: 'f', arguments: long } }, go],
		'a refusal': [go, { role: 'assistant', refusal: long }, go],
		'a name': [{ ...go, name: long }],
		'15,000 messages without a word': Array.from({ length: 15_000 }, () => ({ role: 'user', content: '' })),
	};
	const asked = shop.provider.calls.length;
	for (const [what, messages] of Object.entries(hidden)) {
		const body = p.question({ messages });
		const refused = await p.pay(shop, await p.permit(shop, { body, cap: p.CAP }), body);
		assert.equal(refused.status, 402, what);
		assert.equal(BigInt(p.required(refused).accepts[0].amount), 100n * p.CAP, what);
	}
	assert.equal(shop.provider.calls.length, asked);
});

test('n choices cost n times the limit (M2), and absent it is 4096 (C7)', async () => {
	const body = { ...p.question({ n: 2 }), max_tokens: undefined };
	const header = await p.permit(shop, { body });
	shop.provider.answer(whole({
		...p.completion(), choices: [0, 1].map(index => ({ index, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' })),
	}));
	const answer = await p.pay(shop, header, body);
	p.assertPaid(answer, p.cost(10, 8));
	assert.equal(JSON.parse(shop.provider.last().body).max_completion_tokens, 4096);
	assert.equal(p.claims(answer.headers['tee-receipt']).limit, undefined);
	assert.equal(p.claims(answer.headers['tee-receipt']).payment.cap, String(10n * p.CAP));
});

test('too many verifies at a time are turned away, and the rest goes on (PAY-18)', async () => {
	const gate = held();
	const headers = await Promise.all(Array.from({ length: 80 }, () => p.permit(shop)));
	shop.facilitator.always('verify', gate.answer);
	const all = headers.map(header => p.pay(shop, header, p.question({ max_tokens: 20 })));
	for (let i = 0; i < 80; i++)
		shop.provider.answer(whole(p.completion({ prompt: 1, answer: 1 })));
	await p.eventually(async () => Number(await p.metric(shop.gateway,
		'tee_gateway_requests_total{route="/v1/chat/completions",status="503"}')) >= 16, 'nobody was turned away');
	assert.equal((await fetch(`${shop.gateway.url}/health`)).status, 200);
	gate.release();
	const answers = await Promise.all(all);
	shop.facilitator.always('verify', null);
	const busy = answers.filter(a => a.status === 503);
	assert.equal(busy.length, 16);
	for (const answer of busy) {
		assert.equal(p.json(answer).error.code, 'overloaded');
		assert.ok(Number(answer.headers['retry-after']) > 0);
	}
	assert.equal(answers.filter(a => a.status === 200).length, 64);
});

test('sums agree at the end: one settlement a permit, each what its receipts say (I2)', async () => {
	await shop.gateway.stop();
	const log = [...shop.gateway.stderr().matchAll(/ charged=(\d+)/g)].map(m => BigInt(m[1]));
	assert.equal(sum(shop.settled()), sum(log));
	assert.ok(shop.settled().every(a => a <= 100n * p.CAP));
	const nonces = shop.facilitator.chain.transfers.map(t => t.nonce);
	assert.equal(new Set(nonces).size, nonces.length);
	shop.stop = async () => {
		await shop.provider.close();
		await shop.facilitator.close();
	};
});
