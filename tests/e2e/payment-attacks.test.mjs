// Payments that somebody tampered with, beside those of payment-refused: what is refused costs neither a
// question to the facilitator nor one to a provider.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { held, newWallet, payFor } from './fake-facilitator.mjs';
import { whole } from './fake-openai.mjs';
import * as p from './payment.mjs';

const OTHER = '0x90F79bf6EB2c4f870365E785982E1f101E93b906';
const USDC = '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913';

let shop, asked, served;
before(async () => { shop = await p.startShop({ loops: 1 }); });
after(() => shop?.stop());
beforeEach(() => {
	asked = shop.facilitator.of('verify').length;
	served = shop.provider.calls.length;
});

// Neither facilitator nor provider heard of it.
function unheard(rule) {
	assert.equal(shop.facilitator.of('verify').length, asked, `${rule}: /verify was called`);
	assert.equal(shop.provider.calls.length, served, `${rule}: the provider was called`);
}
async function refused(rule, header, code) {
	const answer = await p.pay(shop, header);
	assert.equal(answer.status, 402, `${rule}: ${answer.body}`);
	assert.equal(p.assertRefused(answer).code, code, rule);
	unheard(rule);
}

const permitOf = payload => payload.payload.permit2Authorization;

// Edited after it was signed, as JSON.
const edited = [
	['PAY-02: the zero facilitator', q => { permitOf(q).witness.facilitator = `0x${'0'.repeat(40)}`; }, 'upto_facilitator_mismatch'],
	['PAY-02: no facilitator', q => { delete permitOf(q).witness.facilitator; }, 'upto_facilitator_mismatch'],
	['PAY-02: accepted: another facilitator', q => { q.accepted.extra.facilitatorAddress = OTHER; }, 'no_matching_payment_requirements'],
	['PAY-14: another cap than was accepted', q => { permitOf(q).permitted.amount = String(10n * p.CAP); }, 'permit2_amount_mismatch'],
	['PAY-17: an amount of zero', q => { permitOf(q).permitted.amount = '0'; }, 'permit2_amount_mismatch'],
	['PAY-17: an amount as a number', q => { permitOf(q).permitted.amount = 1e17; }, 'invalid_payload'],
	['PAY-17: leading zeros', q => { permitOf(q).permitted.amount = `0${p.CAP}`; }, 'invalid_payload'],
	['PAY-17: a nonce with leading zeros', q => { permitOf(q).nonce = `0${permitOf(q).nonce}`; }, 'invalid_payload'],
	['PAY-17: accepted: scheme exact', q => { q.accepted.scheme = 'exact'; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: an asset of 6 decimals', q => { q.accepted.asset = USDC; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: ten years', q => { q.accepted.maxTimeoutSeconds = 315360000; }, 'no_matching_payment_requirements'],
	['x402.md 4.2: the compact form', q => { q.payload.signature = q.payload.signature.slice(0, -2); }, 'invalid_permit2_signature'],
	['PAY-18: a signature longer than any wallet makes', q => { q.payload.signature = `0x${'ab'.repeat(4097)}`; }, 'invalid_payload'],
];

test('PAY-02, PAY-17: fields that were edited', async () => {
	const { payload } = await payFor(await p.offer(shop), newWallet());
	for (const [rule, change, code] of edited) {
		const copy = structuredClone(payload);
		change(copy);
		await refused(rule, p.encode(copy), code);
	}
});

test('PAY-06: headers that two readers could read in two ways', async () => {
	const { payload, header } = await payFor(await p.offer(shop), newWallet());
	const text = JSON.stringify(payload);

	for (const [rule, value, code] of [
		['one after the other', header + header, 'payment_required'],
		['a name twice, inside', p.encode(text.replace('"nonce"', '"nonce":"1","nonce"')), 'payment_required'],
		['a name twice, in disguise', p.encode(text.replace('"nonce"', '"non\\u0063e":"1","nonce"')), 'payment_required'],
		['bytes behind it', p.encode(`${text}x`), 'payment_required'],
		['two objects', p.encode(text + text), 'payment_required'],
		['base64url', `-${header.slice(1)}`, 'payment_required'],
		['empty', '', 'payment_required'],
	])
		await refused(`PAY-06: ${rule}`, value, code);
});

test('PAY-06: two payment headers, over HTTP/1.1 and HTTP/2; one in the trailers', async () => {
	const { header } = await payFor(await p.offer(shop), newWallet());
	const body = JSON.stringify(p.question());
	const raw = (head, rest) => new Promise((ok, fail) => {
		const socket = net.connect(shop.gateway.port, '127.0.0.1');
		let text = '';
		socket.on('error', fail).on('data', part => { text += part; }).on('close', () => ok(text));
		socket.write(`POST ${p.CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n${head}\r\n${rest}`);
	});
	const twice = `PAYMENT-SIGNATURE: ${header}\r\npayment-signature: ${header}\r\nContent-Length: ${body.length}\r\n`;
	const trailing = `${body.length.toString(16)}\r\n${body}\r\n0\r\nPAYMENT-SIGNATURE: ${header}\r\n\r\n`;

	assert.match(await raw(twice, body), /^HTTP\/1.1 402 /);
	assert.match(await raw('Transfer-Encoding: chunked\r\nTrailer: PAYMENT-SIGNATURE\r\n', trailing), /^HTTP\/1.1 402 /);
	unheard('PAY-06');

	const session = http2.connect(shop.gateway.tlsUrl, { ca: await shop.gateway.certificate(), checkServerIdentity: () => undefined });
	try {
		const status = await new Promise((ok, fail) => {
			const sent = session.request({ ':method': 'POST', ':path': p.CHAT, 'content-type': 'application/json',
				'payment-signature': [header, header] });
			sent.on('response', fields => ok(fields[':status'])).on('error', fail);
			sent.resume().end(body);
		});
		assert.equal(status, 402);
	} finally {
		session.destroy();
	}
	unheard('PAY-06');
});

test('PAY-18: a question that is not answered holds nobody back', async () => {
	const slow = [held(), held(), held(), held()];

	shop.facilitator.script('verify', ...slow.map(one => one.answer));
	shop.provider.answer(...slow.map(() => whole(p.completion())));
	const waiting = [];
	for (const one of slow) {
		waiting.push(p.pay(shop, await p.permit(shop)));
		await one.arrived; // while all before it wait
	}
	slow.forEach(one => one.release());
	for (const answer of await Promise.all(waiting))
		p.assertPaid(answer, p.cost(10, 8));
});

test('PAY-21: the facilitator sees payments; what was asked and answered only if individual filing was wished', async () => {
	const body = p.question({ messages: [{ role: 'user', content: 'MARKER-IN-PROMPT' }], user: 'MARKER-USER' });
	const filed = () => shop.facilitator.of('settle_data').length;

	for (const [type, files, shows] of [['private', 0, false], ['batch', 1, false], ['individual', 1, true]]) {
		const wallet = newWallet();
		const header = await p.permit(shop, { wallet });
		const from = shop.facilitator.calls.length, had = filed();
		shop.provider.answer(whole(p.completion({ text: 'MARKER-IN-ANSWER' })));
		p.assertPaid(await p.pay(shop, header, body, { 'x-settlement-type': type }));
		if (files > 0)
			await shop.facilitator.arrived('settle_data', had + 1);
		assert.equal(filed() - had, files, type);
		for (const call of shop.facilitator.calls.slice(from)) {
			const data = Buffer.from(call.headers['x-settlement-data'] ?? '', 'base64').toString();

			assert.doesNotMatch(call.text + call.path + JSON.stringify(call.headers), /MARKER/);
			assert.equal(/MARKER/.test(data), shows && call.route === 'settle_data', type);
			if (call.route === 'settle_data')
				assert.equal(call.headers['x-settlement-type'], type);
			if (data !== '' && shows)
				assert.equal(JSON.parse(data).eth_address, wallet.address, 'the payer, not the contract');
		}
	}
});
