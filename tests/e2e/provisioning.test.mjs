// POST /v1/keys: who may tell the gateway its keys, in which form, and that it counts once
// (interfaces.md section 9, K3, R9, H2).
import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify, constants } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CompactEncrypt, calculateJwkThumbprint, generateKeyPair, importJWK } from 'jose';
import { exchange, json, post, root, startGateway } from './gateway.mjs';
import { fixture, startFakeOpenAI, whole } from './fake-openai.mjs';
import { alive, processes, until } from './processes.mjs';
import { readIdentity } from './receipts-check.mjs';

const KEY = 'sk-provisioned-0123456789abcdef', OTHER = 'sk-the-other-one-0123456789abcdef';
const PAY_TO = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
const chat = { model: 'gpt-4.1', messages: [{ role: 'user', content: 'hello' }] };
const b64 = bytes => createHash('sha256').update(bytes).digest('base64url');

let fake, environment;
before(async () => {
	fake = await startFakeOpenAI();
	const { OPENAI_API_KEY, ...rest } = fake.env;
	environment = rest;
});
after(() => fake?.close());

const keys = (gateway, body, headers) => post(`${gateway.url}/v1/keys`, body, headers);
const jose = { 'content-type': 'application/jose' };
const ask = gateway => post(`${gateway.url}/v1/chat/completions`, chat);
const get = async (gateway, where) => exchange(`${gateway.url}${where}`);

// All that a provisioning could change, as the outside sees it.
async function state(gateway) {
	const signing = json(await get(gateway, '/signing-key'));
	delete signing.timestamp;
	return {
		signing,
		health: json(await get(gateway, '/health')),
		config: json(await get(gateway, '/.well-known/tee-config')).config,
		jwks: json(await get(gateway, '/.well-known/jwks.json')).keys.map(({ attestation, ...key }) => key),
		inference: json(await ask(gateway)).error?.code,
	};
}

// Runs with a fresh gateway that knows where the provider is, and no key for it.
const withGateway = (body, options = {}) => async t => {
	const gateway = await startGateway({ ...options, env: { ...environment, ...options.env } });
	try {
		await body(gateway, t);
	} finally {
		fake.drop();
		await gateway.stop();
	}
};

async function sealFor(gateway, body, header = {}, jwk) {
	const { seal_key } = json(await get(gateway, '/signing-key'));
	const text = typeof body === 'string' ? body : JSON.stringify(body);
	return new CompactEncrypt(new TextEncoder().encode(text))
		.setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', ...header })
		.encrypt(jwk ?? await importJWK(seal_key, 'ECDH-ES'));
}

async function assertServesWith(gateway, key) {
	fake.answer(whole(fixture('chat-text.body.json')));
	const answer = await ask(gateway);
	assert.equal(answer.status, 200, answer.body.toString());
	assert.equal(fake.last().headers.authorization, `Bearer ${key}`);
	return answer;
}

// The claim `config` of an answer's receipt.
const configOf = answer =>
	JSON.parse(Buffer.from(answer.headers['tee-receipt'].split('.')[1], 'base64url')).config;

async function configNamed(gateway, sha256) {
	const answer = await get(gateway, `/.well-known/tee-config?sha256=${sha256}`);
	if (answer.status !== 200)
		return null;
	const bytes = answer.body.toString();
	const text = bytes.slice('{"config":'.length, bytes.lastIndexOf(',"jws":'));
	assert.equal(b64(text), sha256);
	return JSON.parse(text);
}

describe('plain', () => {
	test('P2: before it 503 not_provisioned, then it serves; 409 ever after', withGateway(async gateway => {
		const first = json(await ask(gateway));
		assert.deepEqual([first.error.type, first.error.code], ['server_error', 'not_provisioned']);
		assert.equal((await ask(gateway)).status, 503);
		const echo = await post(`${gateway.url}/v1/chat/completions`, { ...chat, model: 'echo' });
		assert.equal(echo.status, 200, 'A7: echo needs no key');

		const answer = await keys(gateway, { openai_api_key: KEY, xai_api_key: 'x', nous_api_key: '',
			heartbeat_contract_address: null });
		assert.equal(answer.status, 200, answer.body.toString());
		assert.deepEqual(json(answer),
			{ status: 'ok', providers_initialized: ['openai', 'xai'], heartbeat_enabled: false });
		assert.match(answer.headers['content-type'], /^application\/json/);
		assert.ok(!('access-control-allow-origin' in answer.headers));
		await assertServesWith(gateway, KEY);
		const { providers } = json(await get(gateway, '/health'));
		assert.deepEqual([providers.openai, providers['x-ai'], providers.nous], [true, true, false]);
		const missing = json(await post(`${gateway.url}/v1/chat/completions`, { ...chat, model: 'hermes-4-70b' }));
		assert.equal(missing.error.code, 'provider_not_configured');

		for (const [body, headers] of [[{ openai_api_key: OTHER }], ['{'], ['a.b', jose], ['x', { 'content-type': 'text/plain' }]]) {
			const again = await keys(gateway, body, headers);
			assert.equal(again.status, 409);
			assert.match(json(again).error.message, /have already been initialized/);
			assert.equal(json(again).error.code, 'already_provisioned');
		}
		await assertServesWith(gateway, KEY);
	}));

	test('H2: not there for the public, nor through a proxy or a browser', withGateway(async gateway => {
		const ca = await gateway.certificate();
		const before = await state(gateway);
		const body = { openai_api_key: KEY };
		const nothing = await post(`${gateway.url}/v1/nothing`, body);
		for (const name of ['x-forwarded-for', 'forwarded', 'via', 'origin']) {
			const answer = await keys(gateway, body, { [name]: 'x' });
			assert.equal(answer.status, 404, name);
			assert.deepEqual(answer.body, nothing.body);
		}
		assert.equal((await post(`${gateway.tlsUrl}/v1/keys`, body, {}, { ca })).status, 404);
		assert.equal((await exchange(`${gateway.tlsUrl}/v1/keys`, { method: 'OPTIONS', ca })).status, 404);
		assert.equal((await get(gateway, '/v1/keys')).status, 405);
		assert.deepEqual(await state(gateway), before);
		assert.equal((await keys(gateway, body)).status, 200);
	}));

	const bad = [
		['no JSON', '{"openai_api_key":', 400, null],
		['nothing', '', 400, null],
		['no object', '["openai_api_key"]', 400, null],
		['an object that sets nothing', '{}', 400, null],
		['only what is unset', { openai_api_key: '', pay_to: null }, 400, null],
		['an unknown member beside a good one', { openai_api_key: KEY, openrouter_api_key: 'x' }, 400, 'openrouter_api_key'],
		['an unknown member that is empty', { openai_api_key: KEY, zai_api_key: '' }, 400, 'zai_api_key'],
		['a member twice', `{"openai_api_key":"${KEY}","openai_api_key":"${OTHER}"}`, 400, null],
		['twice by an escape', `{"openai_api_key":"${KEY}","openai_api_ke\\u0079":"${OTHER}"}`, 400, null],
		['a key with a line end', { openai_api_key: `${KEY}\r\nx: y` }, 400, 'openai_api_key'],
		['a key that is a number', { openai_api_key: 5 }, 400, 'openai_api_key'],
		['a key above its bound', { openai_api_key: 'k'.repeat(1025) }, 400, 'openai_api_key'],
		['a good key and a bad address', { openai_api_key: KEY, pay_to: '0x12' }, 400, 'pay_to'],
		['a mistyped address', { openai_api_key: KEY, pay_to: PAY_TO.replace('d', 'D') }, 400, 'pay_to'],
		['nobody to pay', { openai_api_key: KEY, pay_to: `0x${'0'.repeat(40)}` }, 400, 'pay_to'],
		['a URL that is none', { openai_api_key: KEY, public_url: 'node.example' }, 400, 'public_url'],
		['a facilitator with a query', { openai_api_key: KEY, facilitator_url: 'https://a.example/?x' }, 400,
			'facilitator_url'],
		['a contract that is none', { openai_api_key: KEY, heartbeat_contract_address: PAY_TO.slice(2) }, 400,
			'heartbeat_contract_address'],
		['no interval', { openai_api_key: KEY, tee_heartbeat_interval: 0 }, 400, 'tee_heartbeat_interval'],
		['half a second', { openai_api_key: KEY, tee_heartbeat_interval: 0.5 }, 400, 'tee_heartbeat_interval'],
		['a buffer above K3', { openai_api_key: KEY, tee_heartbeat_buffer: '1501' }, 400, 'tee_heartbeat_buffer'],
		['a body above its bound', { openai_api_key: KEY, public_url: `https://${'a'.repeat(17000)}` }, 413, null],
		['another media type', JSON.stringify({ openai_api_key: KEY }), 415, null, { 'content-type': 'text/plain' }],
		['an encoding', JSON.stringify({ openai_api_key: KEY }), 415, null, { 'content-encoding': 'identity' }],
	];
	test('P1: what is not whole changes nothing, and is said to be so', withGateway(async gateway => {
		const before = await state(gateway);
		assert.equal(before.inference, 'not_provisioned');
		assert.ok(before.signing.seal_key);
		for (const [rule, body, status, param, headers] of bad) {
			const answer = await keys(gateway, body, headers);
			assert.equal(answer.status, status, `${rule}: ${answer.body}`);
			const { error } = json(answer);
			assert.equal(error.type, 'invalid_request_error', rule);
			assert.equal(error.param, param, rule);
			if (param)
				assert.ok(error.message.includes(param), `${rule}: ${error.message}`);
			assert.ok(!answer.body.includes(KEY), `${rule}: no key comes back`);
			assert.deepEqual(await state(gateway), before, rule);
		}
		assert.equal((await keys(gateway, { openai_api_key: KEY })).status, 200);
		await assertServesWith(gateway, KEY);
	}));

	test('K3: of calls that race, exactly one wins, and its key is used', withGateway(async gateway => {
		const all = Array.from({ length: 24 }, (_, i) => `sk-racer-${i}-0123456789abcdef`);
		const sealed = await Promise.all(all.map(key => sealFor(gateway, { openai_api_key: key })));
		const answers = await Promise.all(all.map((key, i) =>
			(i % 3 === 0 ? keys(gateway, sealed[i], jose) : keys(gateway, { openai_api_key: key }))));
		const won = answers.flatMap((answer, i) => (answer.status === 200 ? [i] : []));
		assert.equal(won.length, 1, answers.map(answer => answer.status).join());
		assert.ok(answers.every(answer => answer.status === 200 || answer.status === 409),
			answers.map(answer => answer.status).join());
		for (let i = 0; i < 4; i++) // on whichever loop
			await assertServesWith(gateway, all[won[0]]);
	}, { loops: 4 }));
});

describe('what is published (R9)', () => {
	const told = { openai_api_key: KEY, google_api_key: 'g', pay_to: PAY_TO.toLowerCase(),
		public_url: 'https://node.example/', facilitator_url: 'http://127.0.0.1:9/f/',
		heartbeat_contract_address: PAY_TO, tee_heartbeat_interval: '60', tee_heartbeat_buffer: 300 };

	test('all that arrived is in the configuration; the earlier one stays', withGateway(async gateway => {
		const identity = await readIdentity(gateway);
		const before = await get(gateway, '/.well-known/tee-config');
		const first = json(before).config;
		assert.deepEqual([first.provisioning, first.provisioner, first.providers, first.public_url,
			first.heartbeat_contract], ['none', null, [], null, null]);
		const echo = await post(`${gateway.url}/v1/chat/completions`, { ...chat, model: 'echo' });
		const old = configOf(echo);

		const answer = json(await keys(gateway, told));
		assert.deepEqual([answer.providers_initialized, answer.heartbeat_enabled], [['openai', 'google'], true]);
		const { config } = json(await get(gateway, '/.well-known/tee-config'));
		assert.deepEqual({ ...config }, { ...first, providers: ['openai', 'google'], provisioning: 'plain',
			provisioner: null, pay_to: PAY_TO, public_url: 'https://node.example',
			facilitator_url: 'http://127.0.0.1:9/f', heartbeat_contract: PAY_TO });

		const served = await assertServesWith(gateway, KEY);
		assert.notEqual(configOf(served), old);
		assert.deepEqual(await configNamed(gateway, configOf(served)), config);
		assert.deepEqual(await configNamed(gateway, old), first);
		assert.equal(await configNamed(gateway, b64('another')), null);
		const after = await readIdentity(gateway);
		assert.equal(after.jwk.kid, identity.jwk.kid);
		assert.ok(!('seal_key' in after.signing) && !('seal_key_signature' in after.signing));
	}));

	test('a request keeps what it was admitted with', withGateway(async gateway => {
		let release;
		const held = new Promise(ok => { release = ok; });
		fake.answer(async reply => {
			await held;
			await whole(fixture('chat-text.body.json'))(reply);
		});
		const calls = fake.calls.length;
		const running = ask(gateway);
		await until('the provider was asked', () => fake.calls.length > calls);
		assert.equal((await keys(gateway, { openai_api_key: OTHER })).status, 200);
		await assertServesWith(gateway, OTHER);
		release();
		const answer = await running;
		assert.equal(answer.status, 200);
		assert.equal((await configNamed(gateway, configOf(answer))).provisioning, 'environment');
	}, { env: { OPENAI_API_KEY: KEY } }));

	test('P2: keys of the environment count, and one call may replace them, as a whole', withGateway(async gateway => {
		await assertServesWith(gateway, KEY);
		const first = json(await get(gateway, '/.well-known/tee-config')).config;
		assert.deepEqual([first.provisioning, first.providers, first.pay_to, first.public_url],
			['environment', ['openai', 'nous'], PAY_TO, 'https://env.example']);
		assert.equal((await keys(gateway, { openai_api_key: OTHER, public_url: 'https://told.example' })).status, 200);
		await assertServesWith(gateway, OTHER);
		const { config } = json(await get(gateway, '/.well-known/tee-config'));
		assert.deepEqual([config.provisioning, config.providers, config.pay_to, config.public_url],
			['plain', ['openai'], PAY_TO, 'https://told.example']);
		assert.equal((await keys(gateway, { openai_api_key: KEY })).status, 409);
	}, { env: { OPENAI_API_KEY: KEY, NOUS_API_KEY: 'n', EVM_PAYMENT_ADDRESS: PAY_TO, PUBLIC_URL: 'https://env.example/' } }));
});

for (const [where, env] of [['none', {}], ['environment', { OPENAI_API_KEY: OTHER, NOUS_API_KEY: 'n' }]])
	test(`K1, K3: after a worker died it serves on, provisioned (before: ${where})`, withGateway(async gateway => {
		const earlier = b64(JSON.stringify(json(await get(gateway, '/.well-known/tee-config')).config));
		const jwe = await sealFor(gateway, { openai_api_key: KEY });
		assert.equal((await keys(gateway, jwe, jose)).status, 200);
		const before = await state(gateway);
		assert.equal(before.config.provisioning, 'sealed');
		const { worker } = processes(gateway);
		process.kill(worker, 'SIGKILL');
		await until('the worker is gone', () => !alive(worker));
		await assertServesWith(gateway, KEY);
		const now = await state(gateway);
		now.health.worker_restarts = 0;
		assert.deepEqual(now, before);
		assert.equal((await configNamed(gateway, earlier)).provisioning, where);
		for (const [body, headers] of [[{ openai_api_key: OTHER }], [jwe, jose]])
			assert.equal((await keys(gateway, body, headers)).status, 409);
		await assertServesWith(gateway, KEY);
	}, { env }));

describe('sealed (P3)', () => {
	test('jose seals it; the signing key vouches for whom', withGateway(async gateway => {
		const { signing, rsa } = await readIdentity(gateway);
		const spki = createPublicKey({ key: signing.seal_key, format: 'jwk' }).export({ type: 'spki', format: 'der' });
		assert.ok(verify('sha256', Buffer.concat([Buffer.from('tee-sealing-key-v1'), spki]),
			{ key: rsa, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
			Buffer.from(signing.seal_key_signature, 'base64')));
		assert.deepEqual([signing.seal_key.kty, signing.seal_key.crv], ['EC', 'P-256']);
		assert.ok(!('d' in signing.seal_key));

		const jwe = await sealFor(gateway, { openai_api_key: KEY, pay_to: PAY_TO });
		const answer = await keys(gateway, jwe, { 'content-type': 'application/jose; charset=utf-8' });
		assert.equal(answer.status, 200, answer.body.toString());
		await assertServesWith(gateway, KEY);
		const { config } = json(await get(gateway, '/.well-known/tee-config'));
		assert.equal(config.provisioning, 'sealed');
		assert.equal(config.pay_to, PAY_TO);
		const { epk } = JSON.parse(Buffer.from(jwe.split('.')[0], 'base64url'));
		assert.equal(config.provisioner, await calculateJwkThumbprint(epk), 'whose sealing it was');

		const replayed = await keys(gateway, jwe, jose);
		assert.equal(replayed.status, 409);
		assert.ok(!('seal_key' in json(await get(gateway, '/signing-key'))));
	}));

	test('what cannot be opened is refused, and a right one still works', withGateway(async gateway => {
		const before = await state(gateway);
		const good = await sealFor(gateway, { openai_api_key: KEY });
		const bend = (n, change) => good.split('.').map((part, i) => (i === n ? change(part) : part)).join('.');
		const flip = part => (part.startsWith('A') ? `B${part.slice(1)}` : `A${part.slice(1)}`);
		const header = change => bend(0, part => Buffer.from(JSON.stringify(
			change(JSON.parse(Buffer.from(part, 'base64url'))))).toString('base64url'));
		const { publicKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256' });
		const p384 = await generateKeyPair('ECDH-ES', { crv: 'P-384' });
		const wrapped = await sealFor(gateway, { openai_api_key: OTHER }, { alg: 'ECDH-ES+A256KW' });
		for (const [rule, jwe, code] of [
			['its content was changed', bend(3, flip), 'unsealing_failed'],
			['its tag was', bend(4, flip), 'unsealing_failed'],
			['its vector was', bend(2, flip), 'unsealing_failed'],
			['its header was, in spelling only', header(h => ({ epk: h.epk, enc: h.enc, alg: h.alg })), 'unsealing_failed'],
			['sealed for another key', await sealFor(gateway, { openai_api_key: OTHER }, {}, publicKey), 'unsealing_failed'],
			['sealed on another curve', await sealFor(gateway, { openai_api_key: OTHER }, {}, p384.publicKey), 'invalid_jwe'],
			['another enc', await sealFor(gateway, { openai_api_key: OTHER }, { enc: 'A128GCM' }), 'invalid_jwe'],
			['another alg', wrapped, 'invalid_jwe'],
			['zip', header(h => ({ ...h, zip: 'DEF' })), 'invalid_jwe'],
			['crit', header(h => ({ ...h, crit: ['exp'], exp: 1 })), 'invalid_jwe'],
			['a party\'s name', await sealFor(gateway, { openai_api_key: OTHER }, { kid: 'x' }), 'invalid_jwe'],
			['no JWE', 'a.b.c', 'invalid_jwe'],
			['JSON under the wrong type', JSON.stringify({ openai_api_key: OTHER }), 'invalid_jwe'],
			['content that is no JSON', await sealFor(gateway, 'hello'), 'invalid_json'],
			['content that is half valid', await sealFor(gateway, { openai_api_key: OTHER, x: 1 }), 'unsupported_parameter'],
		]) {
			const answer = await keys(gateway, jwe, jose);
			assert.equal(answer.status, 400, `${rule}: ${answer.body}`);
			assert.equal(json(answer).error.code, code, rule);
			assert.ok(!answer.body.includes(OTHER), rule);
		}
		assert.equal((await keys(gateway, 'x'.repeat(16385), jose)).status, 413);
		assert.deepEqual(await state(gateway), before);
		assert.equal((await keys(gateway, good, jose)).status, 200);
		await assertServesWith(gateway, KEY);
	}));

	test('K3: those that cannot be opened are taken one a second', withGateway(async gateway => {
		const { publicKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256' });
		const jwe = await sealFor(gateway, { openai_api_key: OTHER }, {}, publicKey);
		const began = performance.now();
		const answers = await Promise.all([1, 2, 3].map(() => keys(gateway, jwe, jose)));
		assert.deepEqual(answers.map(answer => answer.status), [400, 400, 400]);
		assert.ok(performance.now() - began > 1990, 'two seconds between the three');
	}));

	test('a client that leaves while its turn has not come has told nothing', withGateway(async gateway => {
		const { publicKey } = await generateKeyPair('ECDH-ES', { crv: 'P-256' });
		await keys(gateway, await sealFor(gateway, { openai_api_key: OTHER }, {}, publicKey), jose);
		// The next one waits for its second, but its client does not.
		const abandoned = new AbortController();
		const gone = fetch(`${gateway.url}/v1/keys`, { method: 'POST', headers: jose, signal: abandoned.signal,
			body: await sealFor(gateway, { openai_api_key: OTHER }) }).catch(error => error.name);
		setTimeout(() => abandoned.abort(), 200);
		assert.equal(await gone, 'AbortError');
		assert.equal((await keys(gateway, { openai_api_key: KEY })).status, 200);
		await assertServesWith(gateway, KEY);
	}));
});

describe('the policy', () => {
	const policy = change => {
		const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'policy-')), 'policy.json');
		fs.writeFileSync(file, JSON.stringify(change(JSON.parse(fs.readFileSync(path.join(root, 'policy.json'), 'utf8')))));
		return ['--policy', file];
	};

	test('P3: sealed only', withGateway(async gateway => {
		const plain = await keys(gateway, { openai_api_key: KEY });
		assert.equal(plain.status, 403);
		assert.equal(json(plain).error.code, 'form_not_allowed');
		assert.equal((await keys(gateway, await sealFor(gateway, { openai_api_key: KEY }), jose)).status, 200);
	}, { args: policy(p => ({ ...p, provisioning: ['sealed'] })) }));

	test('P3: plain only, and no key to seal for is shown', withGateway(async gateway => {
		assert.ok(!('seal_key' in json(await get(gateway, '/signing-key'))));
		assert.equal((await keys(gateway, 'a.b.c.d.e', jose)).status, 403);
		assert.equal((await keys(gateway, { openai_api_key: KEY })).status, 200);
	}, { args: policy(p => ({ ...p, provisioning: ['plain'] })) }));
});
