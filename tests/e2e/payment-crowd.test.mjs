// kill -9 of the worker in a crowd of paid requests (K5): wherever it falls, what receipts say is
// settled, and nothing twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whole } from './fake-openai.mjs';
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

async function openSession(shop) {
	shop.provider.answer(whole(p.completion()));
	const answer = await p.pay(shop, await p.permit(shop));
	p.assertPaid(answer, ONE);
	return answer.headers['x-upto-session'];
}
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
