// A permit about to end: what is still running is cut off in time to be charged.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import * as p from './payment.mjs';

const FORCE_S = 20; // before the deadline a session is settled without what is in flight

test('an answer that outlasts its permit ends before the settlement, and is in it (M4)', p.withShop({}, async shop => {
	// More than 60 s, else it would not be taken; 40 s and a little are left for the answer.
	const deadline = Math.floor(Date.now() / 1000) + 64;
	const header = await p.permit(shop, { change: x => { x.payload.permit2Authorization.deadline = String(deadline); } });
	shop.provider.answer(p.whole(p.completion({ prompt: 1, answer: 1 })));
	const session = (await p.pay(shop, header)).headers['x-upto-session'];
	let over = false;
	shop.provider.answer(async reply => {
		const [first, word] = p.chunks({ text: ['word '], finish: false }).split('\n\n');
		reply.head(200, { 'content-type': 'text/event-stream' });
		reply.write(`${first}\n\n`);
		while (!over) {
			reply.write(`${word}\n\n`);
			await pause(500);
		}
		reply.cut();
	});
	const answer = await p.reuse(shop, session, p.question({ stream: true, max_tokens: 1000 }));
	const left = deadline - Date.now() / 1000;
	over = true;
	const event = p.lastEvent(answer.body), { payment, outcome } = p.claims(event.tee_receipt);
	assert.equal(outcome, 'failed');
	assert.equal(event.error.code, 'upstream_timeout');
	assert.ok(left >= FORCE_S + 2, `it ended ${left} s before the deadline`);
	const words = answer.body.toString().split('word ').length - 1;
	assert.ok(words > 40, `${words} words`);
	assert.equal(BigInt(payment.charged), p.cost(3, Math.ceil(words * 5 / 4)));
	await p.eventually(() => shop.settled().length > 0, 'not settled', 60_000);
	assert.deepEqual(shop.settled(), [BigInt(payment.session_total)]);
	assert.equal(BigInt(payment.session_total), p.cost(1, 1) + BigInt(payment.charged));
}));
