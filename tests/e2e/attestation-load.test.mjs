// A crowd that asks for documents, and who must not notice it (issue rule: bounded queue, 503 with
// Retry-After, key set and completions unaffected; R3). And what enclave mode refuses (A1, A5).
import assert from 'node:assert/strict';
import http from 'node:http';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { decode } from './cbor.mjs';
import { exchange, json, post, runGateway, startGateway } from './gateway.mjs';

const CROWD = 1000;

test('1,000 requests at once: documents or 503 with Retry-After, and nobody else waits', async () => {
	const gateway = await startGateway();
	const agent = new http.Agent({ keepAlive: true, maxSockets: CROWD });
	try {
		const ask = i => new Promise((ok, fail) => {
			const nonce = i.toString(16).padStart(40, '0');
			http.get({ port: gateway.port, host: '127.0.0.1', agent, path: `/enclave/attestation?nonce=${nonce}` },
				response => {
					const parts = [];
					response.on('data', part => parts.push(part));
					response.on('end', () => ok({ nonce, status: response.statusCode, headers: response.headers,
						body: Buffer.concat(parts) }));
				}).on('error', fail);
		});
		const crowd = Array.from({ length: CROWD }, (_, i) => ask(i));
		const others = [];
		for (let i = 0; i < 5; i++) {
			others.push(exchange(`${gateway.url}/.well-known/jwks.json`));
			others.push(post(`${gateway.url}/v1/chat/completions`,
				{ model: 'echo', messages: [{ role: 'user', content: 'undisturbed' }] }));
		}
		for (const answer of await Promise.all(others)) {
			assert.equal(answer.status, 200, answer.body.toString());
			const { keys, tee_signature: signature } = json(answer);
			assert.ok(keys?.[0].attestation || signature);
		}
		let served = 0, refused = 0;
		for (const answer of await Promise.all(crowd)) {
			if (answer.status === 200) {
				const [, , payload] = decode(Buffer.from(answer.body.toString(), 'base64'));
				assert.equal(decode(payload).nonce.toString('hex'), answer.nonce, 'everybody gets his own');
				served++;
			} else {
				assert.equal(answer.status, 503);
				assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
				assert.match(answer.headers['content-type'], /^text\/plain/);
				refused++;
			}
		}
		assert.equal(served + refused, CROWD);
		assert.ok(served >= 32, `what fits into the queue is served: ${served}`);
		assert.equal((await ask(CROWD)).status, 200, 'and then there is room again');
	} finally {
		agent.destroy();
		await gateway.stop();
	}
});

test('A4: --soft-pcrs in the form of nitro-cli, whole or inner object', async () => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'soft-pcrs-'));
	const file = path.join(dir, 'measurements.json');
	const inner = { HashAlgorithm: 'Sha384 { ... }', PCR0: '01'.repeat(48), PCR1: '02'.repeat(48),
		PCR2: 'AB'.repeat(48) };
	for (const form of [{ Measurements: inner }, inner]) {
		fs.writeFileSync(file, JSON.stringify(form));
		const gateway = await startGateway({ args: ['--soft-pcrs', file], loops: 1 });
		const [key] = json(await exchange(`${gateway.url}/.well-known/jwks.json`)).keys;
		const { pcrs } = decode(decode(Buffer.from(key.attestation, 'base64'))[2]);
		const keys = json(await exchange(`${gateway.url}/signing-key`));
		await gateway.stop();
		assert.equal(pcrs[0].toString('hex'), inner.PCR0);
		assert.equal(pcrs[1].toString('hex'), inner.PCR1);
		assert.equal(pcrs[2].toString('hex'), inner.PCR2.toLowerCase());
		assert.ok(pcrs[3].equals(Buffer.alloc(48)));
		assert.equal(keys.measurements, null, 'a simulation measures nothing');
	}
	for (const [rule, text] of [['no JSON', '{'], ['a name misspelt', JSON.stringify({ ...inner, PCR_3: inner.PCR2 })],
		['a short PCR', JSON.stringify({ ...inner, PCR1: '00' })]]) {
		fs.writeFileSync(file, text);
		const { code, stderr } = await runGateway(['--soft-pcrs', file]);
		assert.equal(code, 1, `${rule}: ${stderr}`);
		assert.ok(stderr.includes(file), stderr);
	}
	fs.rmSync(dir, { recursive: true });
});

for (const [rule, args, env, named] of [
	['another model table', ['--models', 'models.json'], {}, /--models/],
	['the same by its twin', [], { TEE_GATEWAY_MODELS: 'models.json' }, /TEE_GATEWAY_MODELS/],
	['PCRs of a file', ['--soft-pcrs', 'x.json'], {}, /--soft-pcrs/],
	...['OPENAI_API_KEY', 'ANTHROPIC_API_KEY', 'GOOGLE_API_KEY', 'XAI_API_KEY', 'ARK_API_KEY', 'NOUS_API_KEY',
		'OPENAI_BASE_URL', 'ANTHROPIC_BASE_URL', 'GOOGLE_BASE_URL', 'XAI_BASE_URL', 'ARK_BASE_URL', 'NOUS_BASE_URL',
		'TEE_GATEWAY_CA_FILE', 'EVM_PAYMENT_ADDRESS', 'FACILITATOR_URL', 'PUBLIC_URL', 'TEE_GATEWAY_PAYMENTS',
		'TEE_GATEWAY_PRICE_URL', 'TEE_GATEWAY_FIXED_PRICE_USD']
		.map(name => [name, [], { [name]: 'https://x' }, new RegExp(name)]),
])
	test(`A5: enclave mode with ${rule} is exit 2 and one line`, async () => {
		const { code, stdout, stderr } = await runGateway(['--mode', 'enclave', ...args], env);
		assert.equal(code, 2, stderr);
		assert.equal(stdout, '');
		assert.match(stderr, named);
		assert.equal(stderr.trimEnd().split('\n').length, 1);
	});

test('A5: enclave mode without a module is exit 1 and one line', { skip: fs.existsSync('/dev/nsm') }, async () => {
	const { code, stdout, stderr } = await runGateway(['--mode', 'enclave']);
	assert.equal(code, 1, stderr);
	assert.equal(stdout, '');
	assert.match(stderr, /\/dev\/nsm/);
	assert.equal(stderr.trimEnd().split('\n').length, 1);
});

// Whoever may write to /dev can plant a file there; this test can where it runs as root.
test('A5: what is at /dev/nsm and no device of a module does not pass',
	{ skip: process.getuid() !== 0 || fs.existsSync('/dev/nsm') }, async () => {
		try {
			fs.writeFileSync('/dev/nsm', 'a file');
			const { code, stderr } = await runGateway(['--mode', 'enclave']);
			assert.equal(code, 1, stderr);
			assert.match(stderr, /\/dev\/nsm: not the device/);
			assert.equal(fs.readFileSync('/dev/nsm', 'utf8'), 'a file', 'nothing was written to it');
		} finally {
			fs.rmSync('/dev/nsm');
		}
	});
