// A gateway that is paid: the real program between a facilitator, a provider and the official client.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { events, startFakeOpenAI, whole } from './fake-openai.mjs';
import { encodePayment, newWallet, payFor, startFakeFacilitator } from './fake-facilitator.mjs';
import { json, post, root, startGateway } from './gateway.mjs';

export const CAP = 100000000000000000n; // the smallest of policy.json
export const CHAT = '/v1/chat/completions';

// A policy with members of our own, as a file that lives as long as the process.
export function policyFile(change) {
	const policy = JSON.parse(fs.readFileSync(path.join(root, 'policy.json')));
	change(policy);
	const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'policy-')), 'policy.json');
	fs.writeFileSync(file, JSON.stringify(policy));
	process.once('exit', () => fs.rmSync(path.dirname(file), { recursive: true }));
	return file;
}

/*
 * startShop({facilitator, env, args, loops, price, policy, upstreams}): all three. The OPG costs ten
 * cents (price null: what the source says); policy changes policy.json's copy; upstreams are prefixes of
 * environment variables whose providers are the same look-alike.
 * stop()	ends the gateway, which settles, then the others
 */
export async function startShop({ facilitator: options, env = {}, args = [], loops = 2, price = '0.1', policy, upstreams = [] } = {}) {
	const facilitator = await startFakeFacilitator(options);
	const provider = await startFakeOpenAI();
	const close = async () => {
		await provider.close();
		await facilitator.close();
	};
	let gateway;
	try {
		gateway = await startGateway({
			loops, args: [...args, ...(policy ? ['--policy', policyFile(policy)] : [])],
			env: {
				...provider.env, TEE_GATEWAY_PAYMENTS: 'on', FACILITATOR_URL: facilitator.url,
				PUBLIC_URL: 'https://gateway.example',
				...Object.fromEntries(upstreams.map(name => [`${name}_BASE_URL`, `https://localhost:${provider.port}`])),
				...(price === null ? {} : { TEE_GATEWAY_FIXED_PRICE_USD: price }), ...env,
			},
		});
	} catch (error) {
		await close();
		throw error;
	}
	let stopped = false;
	return {
		facilitator, provider, gateway, url: gateway.url + CHAT,
		// What was settled so far, in the order it came.
		settled: () => facilitator.chain.transfers.map(t => BigInt(t.amount)),
		async stop() {
			if (stopped)
				return;
			stopped = true;
			try {
				await gateway.stop();
			} finally {
				await close();
			}
		},
	};
}

// Runs a test with a shop of its own, which is stopped whatever happens.
export const withShop = (options, run) => async () => {
	const shop = await startShop(options);
	try {
		await run(shop);
	} finally {
		await shop.stop();
	}
};

export function question(more = {}) {
	return { model: 'gpt-4.1', messages: [{ role: 'user', content: 'How are you?' }], max_tokens: 100, ...more };
}

export function completion({ prompt = 10, answer = 8, text = 'Fine.', finish = 'stop', usage = true } = {}) {
	return {
		id: 'chatcmpl-upstream', object: 'chat.completion', created: 1, model: 'gpt-4.1-2025-04-14',
		choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: finish }],
		...(usage ? { usage: { prompt_tokens: prompt, completion_tokens: answer, total_tokens: prompt + answer } } : {}),
	};
}

const chunk = (delta, finish_reason = null) => ({
	id: 'chatcmpl-upstream', object: 'chat.completion.chunk', created: 1, model: 'gpt-4.1-2025-04-14',
	choices: [{ index: 0, delta, finish_reason }],
});
// As the provider streams it; finish: false leaves it without its end.
export function chunks({ prompt = 10, answer = 8, text = ['Fi', 'ne.'], usage = true, finish = true } = {}) {
	const list = [chunk({ role: 'assistant', content: '' }), ...text.map(content => chunk({ content }))];
	if (!finish)
		return list.map(event => `data: ${JSON.stringify(event)}\n\n`).join('');
	list.push(chunk({}, 'stop'));
	if (usage)
		list.push({
			...chunk({}), choices: [],
			usage: { prompt_tokens: prompt, completion_tokens: answer, total_tokens: prompt + answer },
		});
	return events(...list);
}

// gpt-4.1 at ten cents an OPG: 2 and 8 micro-dollars a token.
export function cost(prompt, answer) {
	return BigInt(prompt * 2 + answer * 8) * 10n ** 13n;
}

export const claims = receipt => JSON.parse(Buffer.from(receipt.split('.')[1], 'base64url').toString());
export const required = answer => JSON.parse(Buffer.from(
	answer.headers.get?.('payment-required') ?? answer.headers['payment-required'], 'base64').toString());
export const lastEvent = text => JSON.parse(text.toString().trim().split('\n\n').findLast(l => /^data: \{/.test(l)).slice(6));

// What an unpaid request is offered.
export async function offer(shop, body = question()) {
	const answer = await post(shop.url, body);
	assert.equal(answer.status, 402, answer.body.toString());
	return required(answer);
}
// The header of a payment for it; `change` edits the payload before it is signed.
export async function permit(shop, { wallet = newWallet(), body = question(), change, cap } = {}) {
	const wanted = await offer(shop, body);
	if (cap !== undefined)
		wanted.accepts[0].amount = String(cap);
	return (await payFor(wanted, wallet, change)).header;
}
export const decode = header => JSON.parse(Buffer.from(header, 'base64').toString());
export const encode = encodePayment;

export function pay(shop, header, body = question(), more = {}) {
	return post(shop.url, body, { 'payment-signature': header, ...more });
}
export const reuse = (shop, session, body = question(), more = {}) =>
	post(shop.url, body, { 'x-upto-session': session, ...more });

// 402 as E2 has it: an offer in the header, and our error object; no receipt and no session.
export function assertRefused(answer, code) {
	assert.equal(answer.status, 402, answer.body.toString());
	const { error } = json(answer);
	assert.equal(error.type, 'payment_required');
	if (code !== undefined)
		assert.equal(error.code, code);
	assert.equal(required(answer).x402Version, 2);
	assert.equal(required(answer).accepts.length, 1);
	assert.equal(answer.headers['tee-receipt'], undefined);
	assert.equal(answer.headers['x-upto-session'], undefined);
	return error;
}
export function assertPaid(answer, charged) {
	assert.equal(answer.status, 200, answer.body.toString());
	const { payment } = claims(answer.headers['tee-receipt']);
	assert.match(answer.headers['x-upto-session'], /^[0-9a-f]{32}$/);
	if (charged !== undefined)
		assert.equal(BigInt(payment.charged), BigInt(charged));
	return payment;
}

// One number of /metrics, as text; labels as they are printed.
export async function metric(gateway, name) {
	const text = await (await fetch(`${gateway.url}/metrics`)).text();
	return text.split('\n').find(l => l.startsWith(`${name} `))?.slice(name.length + 1) ?? '0';
}

export async function eventually(test, what, limit_ms = 30_000) {
	const limit = Date.now() + limit_ms;
	while (!await test()) {
		if (Date.now() > limit)
			throw new Error(what);
		await pause(20);
	}
}

export { json, newWallet, post, whole };
