// bench/paid - what payment adds to a request, in CPU time of all processes of the gateway: in an open session,
// with the filing of proofs, and for the first request of a payment (its own reading, checks and signature,
// the question to the facilitator as far as it is the gateway's). Facilitator and provider are other processes.
// Prints a table and the bounds that this project holds itself to, each as `pass` or `MISS`.
import fs from 'node:fs';
import http from 'node:http';
import { newWallet, payFor } from '../tests/e2e/fake-facilitator.mjs';
import { startFakeOpenAI, whole } from '../tests/e2e/fake-openai.mjs';
import * as p from '../tests/e2e/payment.mjs';

const ROUNDS = 3, SESSION = 1200, FIRST = 150, WARM = 200, AT_ONCE = 8;
const RECEIPT_ONLY = { 'tee-signature': 'none' };

// Nanoseconds that every thread of a process and of its children has run.
function cpuNs(pid) {
	let sum = 0n;
	for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
		sum += BigInt(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
		for (const child of fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean))
			sum += cpuNs(child);
	}
	return sum;
}

const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
const body = Buffer.from(JSON.stringify(p.question()));
function ask(shop, headers) {
	return new Promise((ok, fail) => {
		const sent = http.request(shop.url, {
			method: 'POST', agent,
			headers: { 'content-type': 'application/json', 'content-length': body.length, ...headers },
		});
		sent.on('error', fail).on('response', answer => {
			let text = '';
			answer.setEncoding('utf8').on('error', fail).on('data', part => { text += part; }).on('end', () =>
				(answer.statusCode === 200 ? ok(answer) : fail(new Error(`status ${answer.statusCode}: ${text}`))));
		}).end(body);
	});
}

// Asks once for each of `headers`; resolves to microseconds of CPU time a request.
async function measure(shop, headers) {
	for (let i = 0; i < headers.length; i++)
		provider.answer(whole(p.completion()));
	const queue = headers.values();
	const before = cpuNs(shop.gateway.pid);
	await Promise.all(Array.from({ length: AT_ONCE }, async () => {
		for (const one of queue)
			await ask(shop, one);
	}));
	return Number(cpuNs(shop.gateway.pid) - before) / 1000 / headers.length;
}

const median = values => values.toSorted((a, b) => a - b)[values.length >> 1];
const same = (count, headers) => Array.from({ length: count }, () => headers);

// A session with the largest cap: it holds all requests of one row.
async function openSession(shop, more) {
	const { header } = await payFor(await p.offer(shop), newWallet());
	provider.answer(whole(p.completion()));
	const answer = await ask(shop, { 'payment-signature': header, ...more });
	return { 'x-upto-session': answer.headers['x-upto-session'], ...more };
}

// HTTP/1.1: one process serves thousands of requests here.
const provider = await startFakeOpenAI({ http1: true });
const free = await p.startShop({ loops: 1, env: { ...provider.env, TEE_GATEWAY_PAYMENTS: 'off' } });
// A thousand dollars an OPG: 0.1 OPG is a budget for all of them.
const paid = await p.startShop({ loops: 1, price: '1000', env: provider.env });
const rows = { unpaid: [], session: [], 'unpaid, signed': [], 'session, signed, filed': [], first: [] };
try {
	await measure(free, same(WARM, RECEIPT_ONLY));
	await measure(paid, same(WARM, await openSession(paid, RECEIPT_ONLY)));
	for (let round = 0; round < ROUNDS; round++) {
		const offer = await p.offer(paid);
		const payments = await Promise.all(same(FIRST).map(async () =>
			({ 'payment-signature': (await payFor(offer, newWallet())).header, ...RECEIPT_ONLY })));
		rows.unpaid.push(await measure(free, same(SESSION, RECEIPT_ONLY)));
		rows.session.push(await measure(paid, same(SESSION, await openSession(paid, RECEIPT_ONLY))));
		rows.first.push(await measure(paid, payments));
		rows['unpaid, signed'].push(await measure(free, same(SESSION, {})));
		rows['session, signed, filed'].push(await measure(paid, same(SESSION, await openSession(paid, {}))));
	}
} finally {
	agent.destroy();
	await free.stop();
	await paid.stop();
	await provider.close();
}
for (const [name, values] of Object.entries(rows))
	console.log(`${name.padEnd(26)}${median(values).toFixed(1).padStart(9)} us CPU a request`);
const added = (name, base) => median(rows[name].map((value, i) => value - rows[base][i]));
for (const [rule, value, limit] of [
	['added by an open session', added('session', 'unpaid'), 150],
	['added by an open session, proofs filed', added('session, signed, filed', 'unpaid, signed'), 150],
	['added by the first request of a payment', added('first', 'unpaid'), 400],
])
	console.log(`${value <= limit ? 'pass' : 'MISS'}  ${rule.padEnd(44)}${value.toFixed(1).padStart(8)} <= ${limit} us`);
process.exit(0);
