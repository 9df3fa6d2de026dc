// --enclave-internal: nitriding's internal interface, served by the gateway itself to programs beside
// it (interfaces.md 4; nitro-attestation.md 5.5). The rows of its table: tests/unit/gateway/internal.c.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { exchange, freePorts, json, runGateway, startGateway } from './gateway.mjs';
import { decode } from './cbor.mjs';
import { processes, until } from './processes.mjs';

const INSIDE = 'http://127.0.0.1:8080'; // the contract's, and nitriding's
let gateway, certificate;

before(async () => {
	gateway = await startGateway({ args: ['--enclave-internal'] });
	certificate = await gateway.certificate();
});

after(() => gateway?.stop());

const post = hash => exchange(`${INSIDE}/enclave/hash`, { method: 'POST', body: hash });

// What a client's document names second.
async function attestedHash() {
	const answer = await exchange(`${gateway.url}/enclave/attestation?nonce=${'ab'.repeat(20)}`);
	const [, , payload] = decode(Buffer.from(answer.body.toString(), 'base64'));
	const fields = decode(payload), userData = Buffer.from(fields.user_data ?? fields.get('user_data'));
	assert.equal(userData.length, 68);
	return userData.subarray(36).toString('base64');
}

async function ownHash() {
	const { public_key: pem } = json(await exchange(`${gateway.url}/signing-key`));
	return createHash('sha256').update(createPublicKey(pem).export({ type: 'spki', format: 'der' }))
		.digest('base64');
}

test('5.5: the gateway\'s own hash is taken, and changes nothing', async () => {
	const answer = await post(await ownHash());
	assert.equal(answer.status, 200);
	assert.equal(answer.body.length, 0);
	assert.equal(await attestedHash(), await ownHash());
});

test('5.5: in local mode another program\'s hash is what documents name from then on', async () => {
	const other = randomBytes(32).toString('base64');
	assert.equal((await post(`${other}\n`)).status, 200);
	assert.equal(await attestedHash(), other);
	assert.equal((await post('A'.repeat(46))).status, 400);
	assert.equal(await attestedHash(), other, 'what is refused changes nothing');
	assert.equal((await post(await ownHash())).status, 200);
	assert.equal(await attestedHash(), await ownHash());
});

test('5.5, K1: ready is said once, to whichever worker', async () => {
	const ready = () => exchange(`${INSIDE}/enclave/ready`);
	assert.equal((await ready()).status, 200);
	assert.equal((await ready()).status, 410);
	const { worker } = processes(gateway);
	process.kill(worker, 'SIGKILL');
	await until('a new worker', async () => {
		const answer = await exchange(`${gateway.url}/health`).catch(() => ({ status: 0 }));
		return answer.status === 200 && json(answer).worker_restarts === 1;
	});
	assert.equal((await ready()).status, 410);
});

test('4: the interface is on that listener alone, and nothing else is', async () => {
	for (const [method, where] of [['POST', '/enclave/hash'], ['GET', '/enclave/ready']]) {
		assert.equal((await exchange(`${gateway.url}${where}`, { method })).status, 404);
		assert.equal((await exchange(`${gateway.tlsUrl}${where}`, { method, ca: certificate })).status, 404);
		assert.equal((await exchange(`${INSIDE}${where}`, { method, headers: { via: '1.1 proxy' } })).status, 404);
	}
	assert.equal(json(await exchange(`${gateway.url}/enclave/config`)).IntPort, 8080);
	for (const where of ['/health', '/metrics', '/enclave/attestation', '/v1/models'])
		assert.equal((await exchange(`${INSIDE}${where}`)).status, 404);
});

test('A1: not beside nitriding, and not twice', async () => {
	const both = await runGateway(['--enclave-internal', '--nitriding', INSIDE, '--check-config']);
	assert.equal(both.code, 2);
	assert.match(both.stderr, /^tee-gateway: --enclave-internal: [^\n]+\n$/);
	const word = await runGateway(['--check-config'], { TEE_GATEWAY_ENCLAVE_INTERNAL: 'yes' });
	assert.equal(word.code, 2);
	assert.match(word.stderr, /TEE_GATEWAY_ENCLAVE_INTERNAL: "yes" is not true or false/);
	const [port] = await freePorts(1);
	const second = await runGateway(['--listen', `127.0.0.1:${port}`, '--tls-listen', 'none'],
		{ TEE_GATEWAY_ENCLAVE_INTERNAL: 'true' });
	assert.equal(second.code, 1);
	assert.match(second.stderr, /cannot listen on 127\.0\.0\.1:8080/);
});
