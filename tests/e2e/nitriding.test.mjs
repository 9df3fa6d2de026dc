// Behind a nitriding daemon: what it is told and when, who sees what through it, and that a client
// still finds one identity (interfaces.md H1, H2, R2; nitro-attestation.md 5.5; identity.json's rule).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { exchange, freePorts, json, post, runGateway, startGateway, verifyProgram } from './gateway.mjs';
import { startNitriding } from './fake-nitriding.mjs';
import { processes } from './processes.mjs';

const echo = { model: 'echo', messages: [{ role: 'user', content: 'hello' }] };
let directory, daemon, gateway, front;

const health = async of => json(await exchange(`${of.url}/health`));
const told = of => of.seen.map(({ method, path: where, status }) => `${method} ${where} ${status}`);

// Asks until the gateway's health fits; the test runner bounds it.
async function until(of, fits) {
	for (;;) {
		const { nitriding } = await health(of);
		if (fits(nitriding))
			return nitriding;
		await new Promise(ok => setTimeout(ok, 10));
	}
}
const ready = ({ state }) => state === 'ready';

before(async () => {
	directory = mkdtempSync(path.join(os.tmpdir(), 'nitriding-'));
	daemon = await startNitriding({ app: () => gateway.url });
	gateway = await startGateway({ args: ['--nitriding', daemon.url], tls: false });
	await until(gateway, ready);
	front = await daemon.open();
});

after(async () => {
	await gateway?.stop();
	await daemon?.close();
	rmSync(directory, { recursive: true, force: true });
});

const through = (where, rest) => exchange(`${front}${where}`, { ca: daemon.certificate, ...rest });

function verify(...args) {
	const child = spawn(verifyProgram, args.flat(), { stdio: ['ignore', 'pipe', 'pipe'] });
	let stdout = '', stderr = '';
	child.stdout.setEncoding('utf8').on('data', part => { stdout += part; });
	child.stderr.setEncoding('utf8').on('data', part => { stderr += part; });
	return new Promise((ok, fail) => {
		child.once('error', fail);
		child.once('close', code => ok({ code, stdout, stderr }));
	});
}

async function keyHash(of) {
	const { public_key: pem } = json(await exchange(`${of.url}/signing-key`));
	return createHash('sha256').update(createPublicKey(pem).export({ type: 'spki', format: 'der' }))
		.digest('base64');
}

test('H1: the hash is that of the signing key, in 44 characters; then it is ready', async () => {
	assert.deepEqual(told(daemon), ['POST /enclave/hash 200', 'GET /enclave/ready 200']);
	assert.equal(daemon.seen[0].body.toString(), await keyHash(gateway));
	assert.equal(daemon.seen[0].headers['content-length'], '44');
	assert.equal(daemon.seen[1].body.length, 0);
	assert.deepEqual((await health(gateway)).nitriding, { state: 'ready', errors: 0, last_error: null });
});

test('H1: when ready is said, clients are let in', async () => {
	const ports = await freePorts(2), asked = [];
	const other = await startNitriding({ answer: (method, where) => {
		if (where === '/enclave/ready')
			asked.push(exchange(`http://127.0.0.1:${ports[0]}/health`));
	} });
	const behind = await startGateway({ args: ['--nitriding', other.url], tls: false, ports });
	await until(behind, ready);
	assert.equal(asked.length, 1);
	assert.equal((await asked[0]).status, 200);
	await behind.stop();
	await other.close();
});

test('H1: it serves while the daemon is down, and registers when it comes', async () => {
	const [port] = await freePorts(1);
	const behind = await startGateway({ args: ['--nitriding', `http://127.0.0.1:${port}/`], tls: false });
	const before = await until(behind, ({ errors }) => errors >= 3);
	assert.deepEqual([before.state, before.last_error], ['registering', 'the daemon cannot be reached']);
	assert.equal((await post(`${behind.url}/v1/chat/completions`, echo)).status, 200);
	// It comes, and refuses for a while: ready is not said before the hash was taken.
	const late = await startNitriding({ port, answer: (_, where, n) => (n <= 2 ? 503 : n === 4 ? 500 : undefined) });
	const afterwards = await until(behind, ready);
	assert.deepEqual(told(late), ['POST /enclave/hash 503', 'POST /enclave/hash 503', 'POST /enclave/hash 200',
		'GET /enclave/ready 500', 'GET /enclave/ready 200']);
	assert.equal(late.seen[2].body.toString(), await keyHash(behind));
	assert.equal(afterwards.last_error, null);
	assert.ok(afterwards.errors >= before.errors + 3);
	await behind.stop();
	await late.close();
});

test('K1: a new worker registers the same key again', async () => {
	const other = await startNitriding();
	const behind = await startGateway({ args: ['--nitriding', other.url], tls: false });
	await until(behind, ready);
	process.kill(processes(behind).worker, 'SIGKILL');
	while (other.seen.length < 4)
		await new Promise(ok => setTimeout(ok, 10));
	assert.deepEqual(told(other).slice(2), ['POST /enclave/hash 200', 'GET /enclave/ready 410']);
	assert.equal(other.seen[2].body.toString(), other.seen[0].body.toString());
	await until(behind, ready);
	await behind.stop();
	await other.close();
});

test('R2, V3: tee-verify finds one identity through the daemon, by (a) alone', async () => {
	writeFileSync(path.join(directory, 'root.pem'), daemon.root.pem);
	const { code, stdout, stderr } = await verify('identity', '--url', front, '--root',
		path.join(directory, 'root.pem'), '--pcr', `0=${daemon.pcrs[0].toString('hex')}`);
	assert.equal(code, 0, stderr);
	for (const name of ['tls_certificate', 'signing_key', 'receipt_key', 'config'])
		assert.match(stdout, new RegExp(`^ok: ${name}: `, 'm'));
	for (const name of ['attested_receipt_key', 'archived_document'])
		assert.match(stdout, new RegExp(`^none: ${name}: `, 'm'));
	const { keys: [jwk] } = json(await exchange(`${gateway.url}/.well-known/jwks.json`));
	assert.ok(!('attestation' in jwk), 'R2: the JWK has no attestation');
	assert.ok('receipt_key_signature' in jwk);
});

test('H1: the public part is served through it, and on the plain listener', async () => {
	for (const answer of [
		await post(`${front}/v1/chat/completions`, echo, {}, { ca: daemon.certificate }),
		await post(`${gateway.url}/v1/chat/completions`, echo)]) {
		assert.equal(answer.status, 200);
		assert.ok(answer.headers['tee-receipt']);
	}
	assert.equal((await through('/heartbeat/status')).status, 200);
});

test('H2: operator routes are not there through the daemon', async () => {
	for (const [method, where] of [['GET', '/metrics'], ['POST', '/v1/shutdown'], ['POST', '/v1/keys']])
		assert.equal((await through(where, { method })).status, 404, where);
	assert.equal((await exchange(`${gateway.url}/metrics`)).status, 200);
});

test('H1: the paths that are the daemon\'s own are not ours', async () => {
	for (const where of ['/enclave', `/enclave/attestation?nonce=${'ab'.repeat(20)}`, '/enclave/config',
		'/enclave/soft-root.pem', '/enclave/hash', '/enclave/ready'])
		assert.equal((await exchange(`${gateway.url}${where}`)).status, 404, where);
});

test('A3: a daemon that never answers does not hold up the end', async () => {
	const sockets = [];
	const silent = net.createServer(socket => { sockets.push(socket); socket.resume(); socket.on('error', () => {}); });
	await new Promise(ok => silent.listen(0, '127.0.0.1', ok));
	const behind = await startGateway({ tls: false,
		args: ['--nitriding', `http://127.0.0.1:${silent.address().port}`] });
	while (sockets.length === 0)
		await new Promise(ok => setTimeout(ok, 10));
	const began = Date.now();
	await behind.stop();
	assert.ok(Date.now() - began < 4000, 'its deadline of 5 s was not waited for');
	for (const socket of sockets)
		socket.destroy();
	await new Promise(ok => silent.close(ok));
});

test('H1, A1: there is no TLS listener, and none may be asked for', async () => {
	const { code, stderr } = await runGateway(['--nitriding', daemon.url, '--tls-listen', '127.0.0.1:8443']);
	assert.equal(code, 2);
	assert.match(stderr, /^tee-gateway: --tls-listen: [^\n]*--nitriding\n$/);
	assert.doesNotMatch(gateway.stderr(), /https:\/\//);
	assert.equal((await runGateway(['--nitriding', daemon.url, '--tls-listen', 'none', '--check-config'])).code, 0);
});

for (const [rule, url] of [['a name', 'http://localhost:8080'], ['another machine', 'http://10.0.0.1:8080'],
	['https', 'https://127.0.0.1:8080'], ['no port', 'http://127.0.0.1'], ['a path', 'http://127.0.0.1:8080/x'],
	['a user', 'http://u@127.0.0.1:8080'], ['no address', 'http://'], ['no URL', '127.0.0.1:8080']])
	test(`A1: --nitriding takes loopback alone: ${rule}`, async () => {
		for (const [args, env] of [[['--nitriding', url], {}], [[], { TEE_GATEWAY_NITRIDING: url }]]) {
			const { code, stderr } = await runGateway([...args, '--check-config'], env);
			assert.equal(code, 2, stderr);
			assert.match(stderr, /^tee-gateway: (--nitriding|TEE_GATEWAY_NITRIDING): [^\n]+\n$/);
		}
	});
