// kill -9 of the worker, at ten points between admission and settlement: receipts, ledger and what
// was settled agree, nothing is charged twice, and the permit stays spent (K5, PAY-23).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { held } from './fake-facilitator.mjs';
import { stream, whole } from './fake-openai.mjs';
import * as p from './payment.mjs';
import { processes } from './processes.mjs';

// Ends the worker as the kernel's OOM killer does; resolves when the next one serves.
async function killWorker(shop) {
	const { worker } = processes(shop.gateway);
	process.kill(worker, 'SIGKILL');
	await p.eventually(async () => {
		const now = processes(shop.gateway).worker;
		if (now === undefined || now === worker)
			return false;
		return fetch(`${shop.gateway.url}/health`).then(answer => answer.ok, () => false);
	}, 'no new worker');
}

// A request that nobody expects to be answered.
const doomed = request => request.then(() => assert.fail('answered'), () => {});

const sum = list => list.reduce((a, b) => a + b, 0n);

async function paid(shop, header, prompt = 10, answer = 8) {
	shop.provider.answer(whole(p.completion({ prompt, answer })));
	const got = await p.pay(shop, header);
	p.assertPaid(got, p.cost(prompt, answer));
	return got.headers['x-upto-session'];
}

// Ends the gateway, which settles; then what was settled is what the receipts said, and no more.
async function assertSettled(shop, ...charged) {
	await shop.gateway.stop();
	assert.deepEqual(shop.settled(), charged.length === 0 ? [] : [sum(charged)]);
}

// A shop whose gateway the test itself stops.
const crash = (options, run) => async () => {
	const shop = await p.startShop(options);
	const stop = shop.gateway.stop.bind(shop.gateway);
	let done;
	shop.gateway.stop = () => (done ??= stop());
	try {
		await run(shop);
	} finally {
		await shop.stop();
	}
};

test('1: while the payment is being verified', crash({}, async shop => {
	const wait = held(), header = await p.permit(shop);
	shop.facilitator.script('verify', wait.answer);
	const request = doomed(p.pay(shop, header));
	await wait.arrived;
	await killWorker(shop);
	await request;
	wait.release();
	await paid(shop, header); // the permit is as good as it was
	await assertSettled(shop, p.cost(10, 8));
}));

// At ten cents an OPG the smallest cap buys 1,250 tokens of it.
const question = () => p.question({ max_tokens: 1200 });

test('2: while the provider has not answered: the reservation is free again', crash({}, async shop => {
	const header = await p.permit(shop, { body: question() });
	let release;
	const hold = new Promise(ok => { release = ok; });
	shop.provider.answer(async reply => {
		await hold;
		await whole(p.completion())(reply).catch(() => {});
	});
	const request = doomed(p.pay(shop, header, question()));
	await p.eventually(() => shop.provider.calls.length === 1, 'not asked');
	await killWorker(shop);
	await request;
	release();
	shop.provider.drop();
	// Nearly the whole cap was reserved; it is there for the next, which is not limited.
	shop.provider.answer(whole(p.completion()));
	const got = await p.pay(shop, header, question());
	const { payment, limit } = p.claims(got.headers['tee-receipt']);
	assert.equal(limit, undefined);
	assert.equal(BigInt(payment.session_total), p.cost(10, 8));
	await assertSettled(shop, p.cost(10, 8));
}));

test('3: in the middle of a stream: what was not receipted is not charged', crash({}, async shop => {
	const header = await p.permit(shop);
	const session = await paid(shop, header);
	let release;
	const hold = new Promise(ok => { release = ok; });
	const text = p.chunks({ text: ['x'.repeat(40), 'y'.repeat(40)] });
	shop.provider.answer(stream(text, { hold, tail: text.length - text.indexOf('yyyy') + 400 }));
	const asked = shop.provider.calls.length;
	const request = doomed(p.reuse(shop, session, p.question({ stream: true })));
	await p.eventually(() => shop.provider.calls.length > asked, 'not asked');
	await killWorker(shop);
	await request;
	release();
	shop.provider.drop();
	shop.provider.answer(whole(p.completion()));
	const { session_total } = p.assertPaid(await p.reuse(shop, session), p.cost(10, 8));
	assert.equal(BigInt(session_total), 2n * p.cost(10, 8));
	await assertSettled(shop, p.cost(10, 8), p.cost(10, 8));
}));

test('4: after the answer: its charge outlives the worker, and so does its session', crash({}, async shop => {
	const header = await p.permit(shop);
	const session = await paid(shop, header);
	await killWorker(shop);
	shop.provider.answer(whole(p.completion({ prompt: 1, answer: 1 })));
	const { session_total } = p.assertPaid(await p.reuse(shop, session), p.cost(1, 1));
	assert.equal(BigInt(session_total), p.cost(10, 8) + p.cost(1, 1));
	assert.equal(await paid(shop, header, 2, 2), session, 'one permit, one session');
	await assertSettled(shop, p.cost(10, 8), p.cost(1, 1), p.cost(2, 2));
}));

test('5: after the answer, and nobody comes any more', crash({}, async shop => {
	await paid(shop, await p.permit(shop));
	await killWorker(shop);
	assert.equal(await p.metric(shop.gateway, 'tee_gateway_unsettled_atomic_units'), String(p.cost(10, 8)));
	await assertSettled(shop, p.cost(10, 8));
}));

test('6: one answered, two under way', crash({}, async shop => {
	const header = await p.permit(shop);
	const session = await paid(shop, header);
	let release;
	const hold = new Promise(ok => { release = ok; });
	const slow = async reply => {
		await hold;
		await whole(p.completion())(reply).catch(() => {});
	};
	const asked = shop.provider.calls.length;
	shop.provider.answer(slow, slow);
	const requests = [doomed(p.reuse(shop, session)), doomed(p.reuse(shop, session))];
	await p.eventually(() => shop.provider.calls.length === asked + 2, 'not asked');
	await killWorker(shop);
	await Promise.all(requests);
	release();
	await assertSettled(shop, p.cost(10, 8));
}));

const soon = policy => { policy.limits.session_idle_s = 1; };

test('7: a settlement is on the wire, and nothing was done: it is done after asking', crash({ policy: soon }, async shop => {
	const header = await p.permit(shop);
	let told;
	const there = new Promise(ok => { told = ok; });
	shop.facilitator.script('settle', async ({ socket }) => {
		told();
		await new Promise(ok => socket.once('close', ok));
		return null;
	});
	await paid(shop, header);
	await there;
	const verified = shop.facilitator.of('verify').length;
	await killWorker(shop);
	await p.eventually(() => shop.settled().length === 1, 'not settled');
	assert.equal(shop.facilitator.of('verify').length, verified + 1, 'asked first');
	p.assertRefused(await p.pay(shop, header));
	await assertSettled(shop, p.cost(10, 8));
}));

test('8: a settlement was done, and its answer died with the worker: never a second one', crash({ policy: soon }, async shop => {
	const header = await p.permit(shop);
	let told;
	const there = new Promise(ok => { told = ok; });
	shop.facilitator.script('settle', async ({ honest, socket }) => {
		await honest();
		told();
		await new Promise(ok => socket.once('close', ok));
		return null;
	});
	await paid(shop, header);
	await there;
	await killWorker(shop);
	p.assertRefused(await p.pay(shop, header), 'permit2_invalid_nonce');
	await assertSettled(shop, p.cost(10, 8));
	assert.equal(shop.facilitator.of('settle').length, 1);
	assert.match(shop.gateway.stderr(), /settlement=unsettled .*reason=outcome_unknown/);
}));

test('9: a job is pending: the next worker asks for it', crash({ policy: soon, facilitator: { jobs: true } }, async shop => {
	const header = await p.permit(shop);
	await paid(shop, header);
	await shop.facilitator.arrived('settle');
	await p.eventually(async () => await p.metric(shop.gateway, 'tee_gateway_settlements_total{result="pending"}') === '1', 'not pending');
	await killWorker(shop);
	await p.eventually(() => shop.settled().length === 1, 'not settled');
	p.assertRefused(await p.pay(shop, header));
	await assertSettled(shop, p.cost(10, 8));
	assert.equal(shop.facilitator.of('settle').length, 1);
}));

test('10: after the settlement: the permit stays spent', crash({ policy: soon }, async shop => {
	const header = await p.permit(shop);
	const session = await paid(shop, header);
	await p.eventually(async () => await p.metric(shop.gateway, 'tee_gateway_settlements_total{result="settled"}') === '1', 'not settled');
	await killWorker(shop);
	const verified = shop.facilitator.of('verify').length;
	p.assertRefused(await p.pay(shop, header));
	p.assertRefused(await p.reuse(shop, session));
	assert.equal(shop.facilitator.of('verify').length, verified, 'refused here');
	await assertSettled(shop, p.cost(10, 8));
}));
