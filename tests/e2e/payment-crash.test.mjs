// kill -9 of the worker between admission and settlement (K5): what was charged before is settled once,
// what was not is free, and the session goes on. Ten points of death.
import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { held, lost } from './fake-facilitator.mjs';
import { stream, whole } from './fake-openai.mjs';
import { alive, processes } from './processes.mjs';
import * as p from './payment.mjs';

const ONE = p.cost(10, 8);
const sum = list => list.reduce((a, b) => a + b, 0n);

// Kills the worker and waits for the next one to serve.
async function murder(shop) {
	const { worker } = processes(shop.gateway);
	process.kill(worker, 'SIGKILL');
	await p.eventually(() => !alive(worker), 'it does not die');
	await p.eventually(async () => {
		try {
			const health = await (await fetch(`${shop.gateway.url}/health`)).json();
			return health.worker_restarts > 0 && processes(shop.gateway).worker !== worker;
		} catch {
			return false;
		}
	}, 'no new worker');
}

// A request whose end nobody sees: resolves when its connection is gone.
function doomed(shop, headers, more = {}) {
	const body = JSON.stringify(p.question(more));
	let text = '';
	const over = new Promise(ok => {
		const request = http.request(shop.url, {
			method: 'POST', agent: false,
			headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body), ...headers },
		}, response => {
			response.on('data', part => { text += part; });
			response.on('error', () => {});
			response.on('close', () => ok(text));
		});
		request.on('error', () => ok(text));
		request.end(body);
	});
	return { over, seen: () => text };
}

async function openSession(shop) {
	shop.provider.answer(whole(p.completion()));
	const answer = await p.pay(shop, await p.permit(shop));
	p.assertPaid(answer, ONE);
	return answer.headers['x-upto-session'];
}
// One more answer on this session; its total so far.
async function totalOf(shop, session) {
	shop.provider.drop();
	shop.provider.answer(whole(p.completion()));
	return BigInt(p.assertPaid(await p.reuse(shop, session), ONE).session_total);
}
async function settledAtLast(shop, want) {
	await shop.gateway.stop();
	assert.equal(sum(shop.settled()), want);
	const nonces = shop.facilitator.chain.transfers.map(t => t.nonce);
	assert.equal(new Set(nonces).size, nonces.length, 'a permit was settled twice');
}

test('while /verify is under way: nothing is owed, and the permit is good', p.withShop({}, async shop => {
	const header = await p.permit(shop), gate = held();
	shop.facilitator.script('verify', gate.answer);
	const lost = doomed(shop, { 'payment-signature': header });
	await gate.arrived;
	await murder(shop);
	gate.release();
	await lost.over;
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.pay(shop, header), ONE);
	await settledAtLast(shop, ONE);
}));

test('while the provider is asked: the reservation is free again, and the session goes on', p.withShop({}, async shop => {
	// Twice, as a second death must not hurt more than the first.
	const session = await openSession(shop);
	for (let i = 1; i <= 2; i++) {
		const asked = shop.provider.calls.length;
		shop.provider.answer(() => {});
		// Most of what is left.
		const lost = doomed(shop, { 'x-upto-session': session }, { max_tokens: 1230 });
		await p.eventually(() => shop.provider.calls.length > asked, 'not asked');
		p.assertRefused(await p.reuse(shop, session, p.question({ max_tokens: 1230 })));
		await murder(shop);
		await lost.over;
		assert.equal(await totalOf(shop, session), ONE * BigInt(i + 1));
	}
	await settledAtLast(shop, 3n * ONE);
}));

test('in the middle of a stream: what was delivered has no receipt and costs nothing', p.withShop({}, async shop => {
	const session = await openSession(shop);
	const text = p.chunks({ text: ['one ', 'two '] });
	shop.provider.answer(stream(text, { hold: new Promise(() => {}), tail: text.length - text.lastIndexOf('data: ', text.indexOf('two ')) }));
	const lost = doomed(shop, { 'x-upto-session': session }, { stream: true });
	await p.eventually(() => lost.seen().includes('one '), 'no stream');
	await murder(shop);
	assert.ok(!(await lost.over).includes('tee_receipt'));
	assert.equal(await totalOf(shop, session), 2n * ONE);
	await settledAtLast(shop, 2n * ONE);
}));

test('after an answer, before any settlement: its charge is settled by the next worker', p.withShop({}, async shop => {
	const session = await openSession(shop);
	await murder(shop);
	assert.equal(await totalOf(shop, session), 2n * ONE);
	await murder(shop);
	await settledAtLast(shop, 2n * ONE);
}));

test('one answer whole and one under way: only the first is owed', p.withShop({}, async shop => {
	const session = await openSession(shop);
	const asked = shop.provider.calls.length;
	shop.provider.answer(() => {});
	const lost = doomed(shop, { 'x-upto-session': session });
	await p.eventually(() => shop.provider.calls.length > asked, 'not asked');
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.reuse(shop, session), ONE);
	await murder(shop);
	await lost.over;
	assert.equal(await totalOf(shop, session), 3n * ONE);
	await settledAtLast(shop, 3n * ONE);
}));

const idle = { policy: policy => { policy.limits.session_idle_s = 1; } };

test('while /settle is on the wire, before the money moves: asked what became of it, settled once', p.withShop(idle, async shop => {
	const gate = held();
	shop.facilitator.script('settle', async ({ socket }) => {
		await gate.answer({ honest: async () => null });
		socket.destroy();
		return null;
	});
	await openSession(shop);
	await gate.arrived;
	await murder(shop);
	gate.release();
	await p.eventually(() => shop.settled().length > 0, 'not settled', 60_000);
	await settledAtLast(shop, ONE);
}));

test('while /settle is on the wire, after the money moved: never moved again', p.withShop(idle, async shop => {
	const gate = held();
	shop.facilitator.script('settle', async use => {
		await use.honest();
		await gate.answer({ honest: async () => null });
		return lost(use);
	});
	await openSession(shop);
	await gate.arrived;
	await murder(shop);
	gate.release();
	const verified = shop.facilitator.of('verify').length;
	await p.eventually(() => shop.facilitator.of('verify').length > verified, 'not asked what became of it');
	assert.deepEqual(shop.settled(), [ONE]);
	assert.equal(shop.facilitator.of('settle').length, 1);
	shop.gateway.signal('SIGTERM');
	await p.eventually(() => shop.gateway.stderr().includes('shutting down'), 'it does not stop');
	shop.gateway.signal('SIGTERM');
	await shop.gateway.ended;
	shop.gateway.check();
	shop.gateway.stop = async () => {};
}));

test('while a job is waited for: the next worker asks for the same job', p.withShop({ ...idle, facilitator: { jobs: true } }, async shop => {
	const gate = held();
	shop.facilitator.script('job', gate.answer);
	await openSession(shop);
	await gate.arrived;
	await murder(shop);
	gate.release();
	await p.eventually(() => shop.settled().length > 0, 'the job is forgotten', 60_000);
	assert.equal(shop.facilitator.of('settle').length, 1);
	await settledAtLast(shop, ONE);
}));

test('after a settlement: the permit stays spent', p.withShop(idle, async shop => {
	const header = await p.permit(shop);
	shop.provider.answer(whole(p.completion()));
	p.assertPaid(await p.pay(shop, header), ONE);
	await p.eventually(async () => await p.metric(shop.gateway, 'tee_gateway_settlements_total{result="settled"}') === '1', 'not settled');
	await murder(shop);
	const verified = shop.facilitator.of('verify').length;
	p.assertRefused(await p.pay(shop, header), 'permit2_invalid_nonce');
	assert.equal(shop.facilitator.of('verify').length, verified, 'decided here');
	await settledAtLast(shop, ONE);
}));

test('between 40 answers of 8 sessions, wherever it falls: receipts, ledger and settlements agree', p.withShop({ loops: 4 }, async shop => {
	const sessions = await Promise.all(Array.from({ length: 8 }, () => openSession(shop)));
	let held = 8n * ONE;
	for (const after of [3, 11]) {
		shop.provider.drop();
		for (let i = 0; i < 40; i++)
			shop.provider.answer(whole(p.completion()));
		let n = 0, died;
		const answers = await Promise.all(Array.from({ length: 40 }, async (_, i) => {
			try {
				const got = await p.reuse(shop, sessions[i % 8]);
				if (++n === after)
					died = murder(shop);
				return got;
			} catch {
				return null; // its connection died with the worker
			}
		}));
		await died;
		for (const got of answers.filter(a => a !== null && a.complete && a.status === 200))
			held += BigInt(p.claims(got.headers['tee-receipt']).payment.charged);
	}
	await shop.gateway.stop();
	const settled = sum(shop.settled());
	// A charge is committed before its receipt leaves: a few may have died on the way.
	assert.ok(settled >= held, `${settled} is less than the receipts' ${held}`);
	assert.ok(settled <= held + 80n * ONE);
	assert.equal(shop.settled().length, 8);
}));
