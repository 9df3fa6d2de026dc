// A gateway that is paid: the real program between a facilitator, a provider and the official client.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { UptoEvmScheme } from '@x402/evm/upto/client';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { events, startFakeOpenAI, whole } from './fake-openai.mjs';
import { NETWORK, startFacilitator } from './fake-facilitator.mjs';
import { json, post, root, startGateway } from './gateway.mjs';

export const PRICE = '0.1'; // USD for one OPG
export const CAP = 100000000000000000n;
export const CHAT = '/v1/chat/completions';

// A policy with some members of our own, as a file that lives as long as the process.
export function policyFile(change) {
	const policy = JSON.parse(fs.readFileSync(path.join(root, 'policy.json')));
	change(policy);
	const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'policy-')), 'policy.json');
	fs.writeFileSync(file, JSON.stringify(policy));
	return file;
}

/*
 * startShop({facilitator, env, args, loops}): all three; stop() ends the gateway first, which settles.
 */
export async function startShop({ facilitator: options, env = {}, args = [], loops = 2, price = PRICE } = {}) {
	const facilitator = await startFacilitator(options);
	const provider = await startFakeOpenAI();
	let gateway;
	try {
		gateway = await startGateway({
			loops, args,
			env: {
				...provider.env, TEE_GATEWAY_PAYMENTS: 'on', FACILITATOR_URL: facilitator.url,
				PUBLIC_URL: 'https://gateway.example',
				...(price === null ? {} : { TEE_GATEWAY_FIXED_PRICE_USD: price }), ...env,
			},
		});
	} catch (error) {
		await provider.close();
		await facilitator.close();
		throw error;
	}
	return {
		facilitator, provider, gateway,
		url: gateway.url + CHAT,
		async stop() {
			try {
				await gateway.stop();
			} finally {
				await provider.close();
				await facilitator.close();
			}
		},
	};
}

export const newAccount = () => privateKeyToAccount(generatePrivateKey());

// The official client as x402.md 1 describes its use: OPG is no token it knows.
export function clientOf(account) {
	return new x402Client().setSpendControls(false).register(NETWORK, new UptoEvmScheme(account));
}
export function payingFetch(account = newAccount()) {
	return wrapFetchWithPayment(fetch, clientOf(account));
}

export function question(more = {}) {
	return { model: 'gpt-4.1', messages: [{ role: 'user', content: 'How are you?' }], max_tokens: 100, ...more };
}

export function completion({ prompt = 10, answer = 8, text = 'Fine.' } = {}) {
	return {
		id: 'chatcmpl-upstream', object: 'chat.completion', created: 1, model: 'gpt-4.1-2025-04-14',
		choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
		usage: { prompt_tokens: prompt, completion_tokens: answer, total_tokens: prompt + answer },
	};
}

export function chunks({ prompt = 10, answer = 8, text = ['Fi', 'ne.'], usage = true } = {}) {
	const chunk = (delta, finish_reason = null) => ({
		id: 'chatcmpl-upstream', object: 'chat.completion.chunk', created: 1, model: 'gpt-4.1-2025-04-14',
		choices: [{ index: 0, delta, finish_reason }],
	});
	return events(
		chunk({ role: 'assistant', content: '' }), ...text.map(content => chunk({ content })), chunk({}, 'stop'),
		...(usage ? [{
			id: 'chatcmpl-upstream', object: 'chat.completion.chunk', created: 1, model: 'gpt-4.1-2025-04-14', choices: [],
			usage: { prompt_tokens: prompt, completion_tokens: answer, total_tokens: prompt + answer },
		}] : []));
}

// gpt-4.1 at PRICE: 2 and 8 micro-dollars a token; 10^18 units of OPG for ten cents.
export function cost(prompt, answer) {
	return BigInt(prompt * 2 + answer * 8) * 10n ** 13n;
}

export const claims = receipt => JSON.parse(Buffer.from(receipt.split('.')[1], 'base64url').toString());
export const required = response => JSON.parse(Buffer.from(
	response.headers.get?.('payment-required') ?? response.headers['payment-required'], 'base64').toString());

// A signed payment for the offer that an unpaid request gets, as the header's value.
export async function permit(shop, account = newAccount(), body = question(), change = () => {}) {
	const answer = await post(shop.url, body);
	assert.equal(answer.status, 402);
	const offer = required(answer);
	change(offer.accepts[0]);
	const payload = await clientOf(account).createPaymentPayload(offer);
	return encode(payload);
}
export const encode = payload => Buffer.from(JSON.stringify(payload)).toString('base64');
export const decode = header => JSON.parse(Buffer.from(header, 'base64').toString());

export function pay(shop, header, body = question(), more = {}) {
	return post(shop.url, body, { 'payment-signature': header, ...more });
}
export const reuse = (shop, session, body = question(), more = {}) =>
	post(shop.url, body, { 'x-upto-session': session, ...more });

// 402 as E2 has it: an offer in the header, and our error object.
export function assertRefused(answer, code) {
	assert.equal(answer.status, 402, answer.body.toString());
	const { error } = json(answer);
	assert.equal(error.type, 'payment_required');
	if (code !== undefined)
		assert.equal(error.code, code);
	assert.equal(required(answer).x402Version, 2);
	assert.equal(answer.headers['tee-receipt'], undefined);
	assert.equal(answer.headers['x-upto-session'], undefined);
	return error;
}

// One number of /metrics; labels as they are printed.
export async function metric(gateway, name) {
	const text = (await (await fetch(`${gateway.url}/metrics`)).text());
	const line = text.split('\n').find(l => l.startsWith(`${name} `));
	return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

export async function eventually(test, what, limit_ms = 30_000) {
	const limit = Date.now() + limit_ms;
	while (!await test()) {
		if (Date.now() > limit)
			throw new Error(what);
		await pause(20);
	}
}

export { json, post, whole };
