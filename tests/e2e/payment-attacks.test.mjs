// Payments that somebody tampered with, one test a row of the list of known attacks (PAY-02 ...): what is refused
// costs neither a question to the facilitator nor one to a provider, and what is taken is one budget.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { held, newWallet, payFor, says, typedData } from './fake-facilitator.mjs';
import { whole } from './fake-openai.mjs';
import { exchange, post } from './gateway.mjs';
import * as p from './payment.mjs';

const OTHER = '0x90F79bf6EB2c4f870365E785982E1f101E93b906';
const USDC = '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913';
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;

let shop, asked, served;
before(async () => { shop = await p.startShop({ loops: 4 }); });
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
const now = () => Math.floor(Date.now() / 1000);

// Edited and signed again by the payer: only the rule named is broken.
const signedWrong = [
	['PAY-02: a foreign facilitator', a => { a.witness.facilitator = OTHER; }, 'upto_facilitator_mismatch'],
	['PAY-02: the zero facilitator', a => { a.witness.facilitator = `0x${'0'.repeat(40)}`; }, 'upto_facilitator_mismatch'],
	['PAY-14: another token', a => { a.permitted.token = USDC; }, 'permit2_token_mismatch'],
	['PAY-14: another recipient', a => { a.witness.to = OTHER; }, 'invalid_permit2_recipient_mismatch'],
	['PAY-14: another spender', a => { a.spender = OTHER; }, 'invalid_permit2_spender'],
	['PAY-14: less than was accepted', a => { a.permitted.amount = '1'; }, 'permit2_amount_mismatch'],
	['PAY-14: more than was accepted', a => { a.permitted.amount = String(p.CAP + 1n); }, 'permit2_amount_mismatch'],
	['PAY-14: another cap than was accepted', a => { a.permitted.amount = String(10n * p.CAP); }, 'permit2_amount_mismatch'],
	['PAY-14: expired', a => { a.deadline = String(now() - 1); }, 'permit2_deadline_expired'],
	['PAY-14: expires within the margin', a => { a.deadline = String(now() + 59); }, 'permit2_deadline_expired'],
	['PAY-14: not yet valid', a => { a.witness.validAfter = String(now() + 100); }, 'permit2_not_yet_valid'],
	['PAY-17: a deadline in milliseconds', a => { a.deadline = String((now() + 300) * 1000); }, 'permit2_deadline_too_late'],
	['M7: a deadline of six minutes and more', a => { a.deadline = String(now() + 400); }, 'permit2_deadline_too_late'],
];

test('PAY-02, PAY-14: signed values are judged here, whatever a facilitator would say', async () => {
	shop.facilitator.always('verify', says(200, { isValid: true }));
	for (const [rule, change, code] of signedWrong) {
		const { header } = await payFor(await p.offer(shop), newWallet(), payload => change(permitOf(payload)));
		await refused(rule, header, code);
	}
	const { payload } = await payFor(await p.offer(shop), newWallet());
	payload.payload.signature = await newWallet().signTypedData(typedData(payload));
	await refused('PAY-14: another signer', p.encode(payload), 'invalid_permit2_signature');
	delete permitOf(payload).witness.facilitator;
	await refused('PAY-02: no facilitator', p.encode(payload), 'upto_facilitator_mismatch');
	shop.facilitator.always('verify', null);
});

// Edited after it was signed, as JSON.
const edited = [
	['PAY-17: an amount as a number', q => { permitOf(q).permitted.amount = 1e17; }, 'invalid_payload'],
	['PAY-17: an amount with an exponent', q => { permitOf(q).permitted.amount = '1e17'; }, 'invalid_payload'],
	['PAY-17: a negative amount', q => { permitOf(q).permitted.amount = '-1'; }, 'invalid_payload'],
	['PAY-17: an amount with a plus', q => { permitOf(q).permitted.amount = '+5'; }, 'invalid_payload'],
	['PAY-17: an amount of zero', q => { permitOf(q).permitted.amount = '0'; }, 'permit2_amount_mismatch'],
	['PAY-17: leading zeros', q => { permitOf(q).permitted.amount = `0${p.CAP}`; }, 'invalid_payload'],
	['PAY-17: 2^256', q => { permitOf(q).permitted.amount = String(2n ** 256n); }, 'invalid_payload'],
	['PAY-17: accepted: an amount as a number', q => { q.accepted.amount = 1e17; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: less', q => { q.accepted.amount = '1'; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: network `base`', q => { q.accepted.network = 'base'; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: another chain', q => { q.accepted.network = 'eip155:84532'; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: scheme EXACT', q => { q.accepted.scheme = 'EXACT'; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: scheme exact', q => { q.accepted.scheme = 'exact'; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: an asset of 6 decimals', q => { q.accepted.asset = USDC; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: another recipient', q => { q.accepted.payTo = OTHER; }, 'no_matching_payment_requirements'],
	['PAY-17: accepted: ten years', q => { q.accepted.maxTimeoutSeconds = 315360000; }, 'no_matching_payment_requirements'],
	['PAY-02: accepted: another facilitator', q => { q.accepted.extra.facilitatorAddress = OTHER; },
		'no_matching_payment_requirements'],
	['x402.md 6: no accepted', q => { delete q.accepted; }, 'invalid_payload'],
	['x402.md 6: version 1', q => { q.x402Version = 1; }, 'invalid_x402_version'],
	['x402.md 6: version 3', q => { q.x402Version = 3; }, 'invalid_x402_version'],
	['x402.md 4.2: v of 0 or 1', q => {
		const { signature } = q.payload;
		q.payload.signature = signature.slice(0, -2) + (signature.endsWith('1b') ? '00' : '01');
	}, 'invalid_permit2_signature'],
	['M8: the high-s twin', q => { q.payload.signature = highS(q.payload.signature); }, 'invalid_permit2_signature'],
	['x402.md 4.2: the compact form', q => { q.payload.signature = q.payload.signature.slice(0, -2); },
		'invalid_permit2_signature'],
	['PAY-18: a signature longer than any wallet makes', q => { q.payload.signature = `0x${'ab'.repeat(4097)}`; },
		'invalid_payload'],
];

function highS(signature) {
	const s = ORDER - BigInt(`0x${signature.slice(66, 130)}`);
	return signature.slice(0, 66) + s.toString(16).padStart(64, '0') + (signature.endsWith('1b') ? '1c' : '1b');
}

test('PAY-17, M8: units, fields and signatures that were edited', async () => {
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
	const nested = levels => p.encode(text.replace('{', `{"x":${'['.repeat(levels - 1)}0${']'.repeat(levels - 1)},`));

	for (const [rule, value, code] of [
		['both in one', `${header}, ${header}`, 'payment_required'],
		['one after the other', header + header, 'payment_required'],
		['17 KiB', p.encode(text.replace('{', `{"x":"${'x'.repeat(13000)}",`)), 'payment_required'],
		['a name twice', p.encode(text.replace('"accepted"', '"accepted":{},"accepted"')), 'payment_required'],
		['a name twice, inside', p.encode(text.replace('"nonce"', '"nonce":"1","nonce"')), 'payment_required'],
		['a name twice, in disguise', p.encode(text.replace('"nonce"', '"non\\u0063e":"1","nonce"')), 'payment_required'],
		['nesting 17', nested(17), 'payment_required'],
		['bytes behind it', p.encode(`${text}x`), 'payment_required'],
		['two objects', p.encode(text + text), 'payment_required'],
		['base64url', `-${header.slice(1)}`, 'payment_required'],
		['a space inside', `${header.slice(0, 8)} ${header.slice(8)}`, 'payment_required'],
		['not base64', '!!!', 'payment_required'],
		['not JSON', p.encode('hello'), 'payment_required'],
		['null', p.encode('null'), 'invalid_payload'],
		['an array', p.encode('[]'), 'invalid_payload'],
		['an empty object', p.encode('{}'), 'invalid_payload'],
		['empty', '', 'payment_required'],
	])
		await refused(`PAY-06: ${rule}`, value, code);
	await refused('PAY-06: v1 in the v2 header', p.encode({ x402Version: 1, scheme: 'exact', network: 'base', payload: {} }),
		'invalid_x402_version');
	const v1 = await post(shop.url, p.question(), { 'x-payment': header });
	assert.equal(p.assertRefused(v1).code, 'payment_required');
	unheard('PAY-06: X-PAYMENT alone is no payment');
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

test('PAY-05: one permit in many spellings, all at once, is one session', async () => {
	const wallet = newWallet();
	const { payload, header } = await payFor(await p.offer(shop), wallet);
	const text = JSON.stringify(payload);
	const { nonce } = permitOf(payload);
	const swap = (from, to) => p.encode(text.replace(from, to));
	const lower = text.replace(/"0x[0-9a-fA-F]{40}"/g, address => address.toLowerCase());
	const { payload: inner, accepted, x402Version, ...rest } = payload;
	const taken = [header, header.replace(/=+$/, ''), p.encode(JSON.stringify(payload, null, '\t')), p.encode(` \n${text}\r\n`),
		p.encode(lower), p.encode({ accepted, ...rest, x402Version, payload: inner }), swap(`"${nonce}"`, `"0x${BigInt(nonce).toString(16)}"`),
		swap(`"${nonce}"`, `"0x${BigInt(nonce).toString(16).toUpperCase().padStart(64, '0')}"`), swap('{', '{"extra":[1,{"a":null}],'),
		swap('"accepted"', '"\\u0061ccepted"')];
	const notTaken = [swap(`"${nonce}"`, `"0${nonce}"`),
		swap(inner.signature, highS(inner.signature))];

	for (let i = 0; i < taken.length; i++)
		shop.provider.answer(whole(p.completion()));
	const answers = await Promise.all([...taken, ...notTaken].map(value => p.pay(shop, value)));
	const good = answers.slice(0, taken.length), bad = answers.slice(taken.length);

	for (const [i, answer] of good.entries())
		assert.equal(answer.status, 200, `spelling ${i}: ${answer.body}`);
	bad.forEach(answer => p.assertRefused(answer));
	assert.equal(new Set(good.map(answer => answer.headers['x-upto-session'])).size, 1, 'one session');
	const payments = good.map(answer => p.claims(answer.headers['tee-receipt']).payment);
	assert.equal(new Set(payments.map(payment => payment.permit_nonce)).size, 1);
	const totals = payments.map(payment => BigInt(payment.session_total)).sort((a, b) => (a < b ? -1 : 1));
	assert.deepEqual(totals, taken.map((_, i) => p.cost(10, 8) * BigInt(i + 1)), 'I2: each charge is added once');
});

test('PAY-08: a permit that was used at one path buys nothing at the other', async () => {
	const header = await p.permit(shop);
	shop.provider.answer(whole(p.completion()));
	const paid = await p.pay(shop, header);
	p.assertPaid(paid, p.cost(10, 8));
	const elsewhere = `${shop.gateway.url}/v1/completions`;
	const prompt = { model: 'gpt-4.1', prompt: 'How are you?', max_tokens: 100 };
	asked = shop.facilitator.of('verify').length;
	served = shop.provider.calls.length;

	p.assertRefused(await post(elsewhere, prompt, { 'payment-signature': header }));
	p.assertRefused(await post(elsewhere, prompt, { 'x-upto-session': paid.headers['x-upto-session'] }));
	unheard('PAY-08');
	// The same path, another body: a permit is a budget, and the receipt says for what it was used.
	shop.provider.answer(whole(p.completion({ prompt: 20, answer: 9 })));
	const other = p.question({ messages: [{ role: 'user', content: 'Another question' }] });
	const again = await p.pay(shop, header, other);
	const payment = p.assertPaid(again, p.cost(20, 9));
	assert.equal(payment.session_total, String(p.cost(10, 8) + p.cost(20, 9)));
	const claims = p.claims(again.headers['tee-receipt']);
	assert.equal(claims.path, p.CHAT);
	assert.notEqual(claims.req, p.claims(paid.headers['tee-receipt']).req);
});

test('PAY-10: a prompt that costs more than the cap is not asked; one above every cap is told so', async () => {
	const long = { messages: [{ role: 'user', content: 'x'.repeat(6000) }] };
	const header = await p.permit(shop, { cap: p.CAP }); // ten cents an OPG: a cap of a cent buys 5,000 tokens of prompt
	const answer = await p.pay(shop, header, p.question(long));
	const offered = p.required(answer).accepts[0].amount;

	p.assertRefused(answer, 'payment_required');
	assert.equal(offered, String(10n * p.CAP), 'the offer is the smallest cap that covers it');
	assert.equal(shop.provider.calls.length, served);
	const huge = await post(shop.url, p.question({ messages: [{ role: 'user', content: 'x'.repeat(600_000) }] }));
	assert.equal(huge.status, 400);
	assert.equal(p.json(huge).error.code, 'exceeds_payment_cap');
});

test('PAY-18: open questions to the facilitator are bounded, and the rest goes on', p.withShop({
	policy: policy => { policy.limits.open_verifies = 4; },
}, async small => {
	const slow = Array.from({ length: 4 }, held);
	const body = p.question();
	const offer = await p.offer(small);
	const long = async () => {
		const { payload } = await payFor(offer, newWallet());
		payload.payload.signature = `0x${'5a'.repeat(96)}`; // a contract wallet's, it says
		return p.encode(payload);
	};

	small.facilitator.script('verify', ...slow.map(one => one.answer));
	const waiting = [];
	for (const one of slow) {
		waiting.push(p.pay(small, await long(), body));
		await one.arrived;
	}
	for (let i = 0; i < 6; i++) {
		const answer = await p.pay(small, await long(), body);
		assert.equal(answer.status, 503, answer.body.toString());
		assert.equal(p.json(answer).error.code, 'overloaded');
		assert.ok(Number(answer.headers['retry-after']) > 0);
	}
	assert.equal((await exchange(`${small.gateway.url}/health`)).status, 200);
	assert.equal(small.facilitator.of('verify').length, 4);
	slow.forEach(one => one.release());
	for (const answer of await Promise.all(waiting))
		p.assertRefused(answer, 'invalid_permit2_signature');
	assert.equal(small.provider.calls.length, 0);
}));

test('a contract wallet is the facilitator\'s to judge: taken when it says so', async () => {
	const wallet = newWallet();
	const { payload } = await payFor(await p.offer(shop), wallet);
	payload.payload.signature = `0x${'5a'.repeat(96)}`;
	p.assertRefused(await p.pay(shop, p.encode(payload)), 'invalid_permit2_signature');
	assert.equal(shop.facilitator.of('verify').length, asked + 1);

	shop.facilitator.chain.wallets.add(wallet.address.toLowerCase());
	shop.provider.answer(whole(p.completion()));
	const paid = await p.pay(shop, p.encode(payload));
	assert.equal(p.assertPaid(paid, p.cost(10, 8)).payer, wallet.address);
	// Its session is not opened by whoever writes another long signature: each is asked about.
	shop.facilitator.chain.wallets.delete(wallet.address.toLowerCase());
	payload.payload.signature = `0x${'5b'.repeat(96)}`;
	p.assertRefused(await p.pay(shop, p.encode(payload)), 'invalid_permit2_signature');
	const beside = await p.pay(shop, p.encode(payload), p.question(), { 'x-upto-session': paid.headers['x-upto-session'] });
	p.assertRefused(beside);
	assert.equal(shop.provider.calls.length, served + 1);
});

test('PAY-19: session tokens that are none are answered alike, byte for byte', async () => {
	const bodies = new Set();
	const requestId = 'the-same-request-id-for-all';
	for (const token of ['', 'x', '0'.repeat(32), '0'.repeat(31), '0'.repeat(33), 'F'.repeat(32), `${'0'.repeat(32)}, ${'0'.repeat(32)}`,
		'00000000-0000-4000-8000-000000000000']) {
		const answer = await p.reuse(shop, token, p.question(), { 'x-request-id': requestId });
		p.assertRefused(answer, 'session_expired');
		bodies.add(answer.body.toString());
	}
	assert.equal(bodies.size, 1);
	unheard('PAY-19');
	assert.equal((await post(`${shop.url}?x-upto-session=${'0'.repeat(32)}`, p.question())).status, 402);
});

test('PAY-06: a payment beside a session of another payer is refused', async () => {
	shop.provider.answer(whole(p.completion()));
	const paid = await p.pay(shop, await p.permit(shop));
	const session = paid.headers['x-upto-session'];
	p.assertPaid(paid);
	served = shop.provider.calls.length;
	const answer = await p.pay(shop, await p.permit(shop), p.question(), { 'x-upto-session': session });
	p.assertRefused(answer, 'payer_mismatch');
	assert.equal(shop.provider.calls.length, served);
});

test('PAY-20: the offer names the public URL and its payee, whatever the request says', async () => {
	const config = JSON.parse((await exchange(`${shop.gateway.url}/.well-known/tee-config`)).body).config;
	for (const headers of [{ host: 'evil.example' }, { 'x-forwarded-host': 'evil.example' }, { forwarded: 'host=evil.example' }]) {
		const offer = p.required(await post(shop.url, p.question(), headers));
		assert.equal(offer.resource.url, `https://gateway.example${p.CHAT}`);
		assert.equal(offer.accepts[0].payTo, config.pay_to);
	}
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
