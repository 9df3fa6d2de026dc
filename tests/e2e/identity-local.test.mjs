// tee-verify against the real gateway and its software module: one identity, a relay in the middle,
// and receipts that outlive the gateway (interfaces.md A4, R3, V1-V4).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { exchange, post, startGateway, verifyProgram } from './gateway.mjs';
import { makeKeys } from './fake-enclave.mjs';

const PCRS = Object.fromEntries([0, 1, 2].map(i => [`PCR${i}`, `c${i}`.repeat(48)]));
let directory, measurements, gateway, other;

const file = (name, content) => {
	const full = path.join(directory, name);
	writeFileSync(full, content);
	return full;
};

async function fetched(name, url) {
	const answer = await exchange(url);
	assert.equal(answer.status, 200);
	return file(name, answer.body);
}

before(async () => {
	directory = mkdtempSync(path.join(os.tmpdir(), 'identity-local-'));
	measurements = file('measurements.json', JSON.stringify({ Measurements:
		{ HashAlgorithm: 'Sha384 { ... }', ...PCRS } }));
	gateway = await startGateway({ args: ['--soft-pcrs', measurements] });
	other = await startGateway();
	for (const [name, of] of [['one', gateway], ['other', other]]) {
		await fetched(`${name}.pem`, `${of.url}/enclave/soft-root.pem`);
		await fetched(`${name}.jwks`, `${of.url}/.well-known/jwks.json`);
		await fetched(`${name}.config`, `${of.url}/.well-known/tee-config`);
	}
});

after(async () => {
	await gateway?.stop();
	await other?.stop();
	rmSync(directory, { recursive: true, force: true });
});

function verify(...args) {
	const child = spawn(verifyProgram, args.flat(2), { stdio: ['ignore', 'pipe', 'pipe'] });
	let stdout = '', stderr = '';
	child.stdout.setEncoding('utf8').on('data', part => { stdout += part; });
	child.stderr.setEncoding('utf8').on('data', part => { stderr += part; });
	return new Promise((ok, fail) => {
		child.once('error', fail);
		child.once('close', code => ok({ code, stdout, stderr }));
	});
}

const held = name => path.join(directory, name);
const identity = (url, ...more) =>
	verify('identity', '--url', url, '--root', held('one.pem'), '--pcrs', measurements, more);

async function refuses(result, reason) {
	const { code, stderr } = await result;
	assert.equal(code, 1, stderr);
	assert.ok(stderr.startsWith(`not verified: ${reason}: `), stderr);
}

test('A4, V4: one identity under the soft root, and NOT HARDWARE', async () => {
	const { code, stdout, stderr } = await identity(gateway.tlsUrl, '--config', held('one.config'));
	assert.equal(code, 0, stderr);
	assert.match(stdout, /^verified: one identity, 0x[0-9a-f]{64}\nNOT HARDWARE/);
	assert.match(stdout, /^ {2}module_id: local-simulation-/m);
	for (const name of ['pcrs', 'tls_certificate', 'signing_key', 'attested_receipt_key', 'archived_document',
		'config', 'config_file'])
		assert.match(stdout, new RegExp(`^ok: ${name}: `, 'm'));
});

test('V4: AWS did not sign it, and no other gateway did', async () => {
	await refuses(verify('identity', '--url', gateway.tlsUrl, '--pcrs', measurements), 'untrusted-root');
	await refuses(verify('identity', '--url', gateway.tlsUrl, '--pcrs', measurements, '--root',
		held('other.pem')), 'untrusted-root');
});

test('V2: other measurements; PCR1 alone', async () => {
	await refuses(verify('identity', '--url', gateway.tlsUrl, '--root', held('one.pem'), '--pcr',
		`0=${'00'.repeat(48)}`), 'pcr-mismatch');
	const alone = await verify('identity', '--url', gateway.tlsUrl, '--root', held('one.pem'), '--pcr',
		`1=${PCRS.PCR1}`);
	assert.equal(alone.code, 2);
});

test('A4, V4: without --soft-pcrs it is a debug enclave', async () => {
	const args = ['identity', '--url', other.tlsUrl, '--root', held('other.pem'), '--allow-skip', 'pcrs'];
	await refuses(verify(args), 'debug-mode');
	assert.equal((await verify(args, '--allow-debug')).code, 0);
});

test('R9: the configuration of another gateway', () =>
	refuses(identity(gateway.tlsUrl, '--config', file('changed',
		'{"config":{"mode":"enclave"},"jws":""}')), 'config-mismatch'));

test('V3: a TLS proxy in the middle that relays the genuine document', async () => {
	const { tlsKey, tls } = makeKeys();
	let relayed = 0;
	const proxy = https.createServer({
		key: tlsKey.export({ type: 'pkcs8', format: 'pem' }),
		cert: `-----BEGIN CERTIFICATE-----\n${tls.toString('base64')}\n-----END CERTIFICATE-----\n`,
	}, async (request, response) => {
		const answer = await exchange(`${gateway.url}${request.url}`);
		relayed += answer.status === 200;
		response.writeHead(answer.status, { 'content-length': answer.body.length });
		response.end(answer.body);
	});
	await new Promise(ok => proxy.listen(0, '127.0.0.1', ok));
	try {
		await refuses(identity(`https://127.0.0.1:${proxy.address().port}`), 'tls-certificate-mismatch');
		assert.equal(relayed, 1);
	} finally {
		await new Promise(ok => proxy.close(ok));
	}
});

test('R3: a receipt archived with its key set, once the gateway is gone', async () => {
	const gone = await startGateway({ args: ['--soft-pcrs', measurements] });
	const request = JSON.stringify({ model: 'echo', stream: true,
		messages: [{ role: 'user', content: 'one two three' }] });
	const answer = await post(`${gone.url}/v1/chat/completions`, request);
	await fetched('gone.pem', `${gone.url}/enclave/soft-root.pem`);
	await fetched('gone.jwks', `${gone.url}/.well-known/jwks.json`);
	const args = ['--request', file('request', request), '--response', file('response', answer.body)];
	const live = await verify('receipt', args, '--url', gone.tlsUrl, '--root', held('gone.pem'), '--pcrs',
		measurements, '--require-complete');
	assert.equal(live.code, 0, live.stderr);
	await gone.stop();

	const archived = ['receipt', args, '--root', held('gone.pem'), '--pcrs', measurements,
		'--require-complete'];
	const { code, stdout, stderr } = await verify(archived, '--jwks', held('gone.jwks'));
	assert.equal(code, 0, stderr);
	assert.match(stdout, /^verified: outcome complete/);
	assert.match(stdout, /^NOT HARDWARE/m);
	assert.match(stdout, /^ok: attested_receipt_key: /m);
	const wrong = await verify(archived, '--jwks', held('one.jwks'));
	assert.equal(wrong.code, 1);
	assert.match(wrong.stderr, /no such key in the key set/);
	await refuses(verify('receipt', args, '--root', held('one.pem'), '--pcrs', measurements, '--jwks',
		held('gone.jwks')), 'untrusted-root');
	const unreachable = await verify('receipt', args, '--url', gone.tlsUrl, '--root', held('gone.pem'),
		'--pcrs', measurements);
	assert.equal(unreachable.code, 3);
});
