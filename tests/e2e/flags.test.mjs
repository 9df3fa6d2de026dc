// Flags, their environment twins, exit codes and the log (interfaces.md 2: A1-A2; F3).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { exchange, freePorts, post, runGateway, startGateway } from './gateway.mjs';

for (const [rule, args, env, named] of [
	['an unknown flag', ['--frobnicate'], {}, /--frobnicate/],
	['a word that is no flag', ['serve'], {}, /serve/],
	['a missing value', ['--listen'], {}, /--listen/],
	['an address without port', ['--listen', '127.0.0.1'], {}, /--listen.*127\.0\.0\.1.*ADDR:PORT/],
	['a port above 65535', ['--listen', '127.0.0.1:65536'], {}, /--listen/],
	['no loops', ['--loops', '0'], {}, /--loops/],
	['loops with a sign', ['--loops', '+2'], {}, /--loops/],
	['a mode nobody has', ['--mode', 'cloud'], {}, /--mode.*cloud/],
	['a level nobody has', ['--log-level', 'loud'], {}, /--log-level/],
	['a format nobody has', ['--log-format', 'xml'], {}, /--log-format/],
	['a malformed environment twin', [], { TEE_GATEWAY_LOOPS: 'many' }, /TEE_GATEWAY_LOOPS/],
	['a malformed API_SERVER_PORT', [], { API_SERVER_PORT: 'http' }, /API_SERVER_PORT/],
	['a base URL that is none', [], { OPENAI_BASE_URL: 'ftp://x' }, /OPENAI_BASE_URL/],
	['an address that is none', [], { EVM_PAYMENT_ADDRESS: '0x12' }, /EVM_PAYMENT_ADDRESS.*0x12/],
	['an address whose checksum does not fit', [],
		{ EVM_PAYMENT_ADDRESS: '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD' }, /EVM_PAYMENT_ADDRESS/],
	['a facilitator that is none', [], { FACILITATOR_URL: 'facilitator.example' }, /FACILITATOR_URL/],
	['a public URL with a query', [], { PUBLIC_URL: 'https://a.example/?x' }, /PUBLIC_URL/],
	['neither on nor off', [], { TEE_GATEWAY_PAYMENTS: 'yes' }, /TEE_GATEWAY_PAYMENTS.*yes.*on or off/],
	['a price source that is none', [], { TEE_GATEWAY_PRICE_URL: 'x' }, /TEE_GATEWAY_PRICE_URL/],
	['a price in words', [], { TEE_GATEWAY_FIXED_PRICE_USD: '5 cents' }, /TEE_GATEWAY_FIXED_PRICE_USD/],
	['a price below nothing', [], { TEE_GATEWAY_FIXED_PRICE_USD: '-1' }, /TEE_GATEWAY_FIXED_PRICE_USD/],
	['a price of nothing', [], { TEE_GATEWAY_FIXED_PRICE_USD: '0.000' }, /TEE_GATEWAY_FIXED_PRICE_USD/],
	['a host\'s proxy beside a daemon on loopback', ['--nitriding', 'http://127.0.0.1:8080', '--egress', 'vsock:3:1080'], {}, /--egress.*--nitriding/],
])
	test(`A1: ${rule} is exit 2 and one line that names it`, async () => {
		const { code, stdout, stderr } = await runGateway(args, env);
		assert.equal(code, 2, stderr);
		assert.equal(stdout, '');
		assert.match(stderr, named);
		assert.equal(stderr.trimEnd().split('\n').length, 1);
	});

for (const [rule, args, env] of [
	['a model table that is not there', ['--models', '/nonexistent/models.json'], {}],
	['a policy that is not there', ['--policy', '/nonexistent/policy.json'], {}],
	['CA roots that are not there', [], { TEE_GATEWAY_CA_FILE: '/nonexistent/ca.pem' }],
	['enclave mode without a security module', ['--mode', 'enclave'], {}],
])
	test(`A1: ${rule} is exit 1`, async () => {
		const [port, tlsPort] = await freePorts(2);
		const { code, stderr } = await runGateway(
			['--listen', `127.0.0.1:${port}`, '--tls-listen', `127.0.0.1:${tlsPort}`, ...args], env);
		assert.equal(code, 1, stderr);
		assert.notEqual(stderr, '');
	});

test('A1: an address somebody else has is exit 1', async () => {
	const holder = net.createServer();
	await new Promise(ok => holder.listen(0, '127.0.0.1', ok));
	const taken = `127.0.0.1:${holder.address().port}`;
	const { code, stderr } = await runGateway(['--listen', taken, '--tls-listen', 'none']);
	holder.close();
	assert.equal(code, 1, stderr);
	assert.ok(stderr.includes(taken), stderr);
});

test('--help, --version and --check-config say so and exit 0', async () => {
	const help = await runGateway(['--help']);
	assert.equal(help.code, 0);
	for (const flag of ['--mode', '--listen', '--tls-listen', '--loops', '--egress', '--models', '--policy', '--log-level',
		'--log-format', '--log-to', '--check-config', '--version', '--help'])
		assert.ok(help.stdout.includes(flag), flag);
	const version = await runGateway(['--version']);
	assert.equal(version.code, 0);
	assert.match(version.stdout, /^tee-gateway \d+\.\d+\.\d+\n$/);
	const check = await runGateway(['--check-config']);
	assert.equal(check.code, 0, check.stderr);
	assert.doesNotMatch(check.stdout, /offer/);
	const sells = await runGateway(['--check-config'], { TEE_GATEWAY_PAYMENTS: 'on' });
	assert.equal(sells.code, 0, sells.stderr);
	assert.deepEqual(sells.stdout.trim().split('\n').slice(1), [17, 18, 19].map(n =>
		`offer: upto 1${'0'.repeat(n)} of 0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB on eip155:8453 ` +
		'to 0x9deEBB5D1b22e4a6e027977CeAd13893A7E4cC1a'));
});

test('A1: the flag beats its environment twin', async () => {
	const gateway = await startGateway({ env: { TEE_GATEWAY_LISTEN: '127.0.0.1:1', API_SERVER_PORT: '1' } });
	await gateway.stop();
	const check = await runGateway(['--check-config', '--log-level', 'info'], { TEE_GATEWAY_LOG_LEVEL: 'loud' });
	assert.equal(check.code, 0, check.stderr);
});

test('F3: one line a request, and nothing of what was said', async () => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'gateway-log-'));
	const file = path.join(dir, 'log');
	const secret = 'a prompt that no log may hold';
	const gateway = await startGateway({ args: ['--log-format', 'json', '--log-to', file, '--log-level', 'debug'] });
	const id = 'logged-request_0123456789';
	const headers = { 'x-request-id': id, authorization: 'Bearer token-that-no-log-may-hold' };
	await post(`${gateway.url}/v1/chat/completions`,
		{ model: 'echo', stream: true, messages: [{ role: 'user', content: secret }] }, headers);
	await exchange(`${gateway.url}/no-such-path`);
	await gateway.stop();
	const text = fs.readFileSync(file, 'utf8');
	const lines = text.trimEnd().split('\n').map(line => JSON.parse(line));
	const about = lines.filter(line => line.request_id === id && 'status' in line);
	assert.equal(about.length, 1, text);
	const [line] = about;
	assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
	assert.equal(line.level, 'info');
	assert.equal(line.route, '/v1/chat/completions');
	assert.equal(line.model, 'echo');
	assert.equal(line.provider, 'echo');
	assert.equal(line.status, 200);
	assert.equal(line.outcome, 'complete');
	for (const key of ['t_admit', 't_first_byte', 't_total'])
		assert.ok(line[key] >= 0, key);
	assert.ok(lines.some(other => other.status === 404));
	assert.doesNotMatch(text, /no log may hold|token-that|no-log-may/);
	fs.rmSync(dir, { recursive: true });
});


test('K1: a provider key stays in no process\'s environment', async () => {
	const key = `sk-${'marker'.repeat(5)}`;
	const gateway = await startGateway({ env: { OPENAI_API_KEY: key } });
	try {
		const children = fs.readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8');
		const pids = [gateway.pid, ...children.trim().split(' ').map(Number)];
		assert.equal(pids.length, 3, 'supervisor, key holder, worker');
		for (const pid of pids) {
			let seen = '';
			try {
				seen = fs.readFileSync(`/proc/${pid}/environ`, 'latin1');
			} catch (error) {
				assert.equal(error.code, 'EACCES'); // not dumpable: nobody else may look
			}
			assert.ok(!seen.includes(key), `process ${pid}`);
		}
		const health = await (await fetch(`${gateway.url}/health`)).json();
		assert.equal(health.providers.openai, true);
	} finally {
		await gateway.stop();
	}
});
