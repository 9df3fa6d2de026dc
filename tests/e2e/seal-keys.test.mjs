// scripts/seal-keys: seals for the gateway that tee-verify finds to be the right one, and for no other
// (interfaces.md P3, F1).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { exchange, json, post, root, startGateway, verifyProgram } from './gateway.mjs';

const KEY = 'sk-from-a-file-0123456789abcdef';
const PCRS = Object.fromEntries([0, 1, 2].map(i => [`PCR${i}`, `c${i}`.repeat(48)]));
let directory, measurements, gateway, verify;

const file = (name, content) => {
	const full = path.join(directory, name);
	writeFileSync(full, content);
	return full;
};

async function rootOf(of, name) {
	return file(name, (await exchange(`${of.url}/enclave/soft-root.pem`)).body);
}

before(async () => {
	directory = mkdtempSync(path.join(os.tmpdir(), 'seal-keys-'));
	measurements = file('measurements.json', JSON.stringify(PCRS));
	gateway = await startGateway({ loops: 1, args: ['--soft-pcrs', measurements] });
	verify = ['--pcrs', measurements, '--root', await rootOf(gateway, 'root.pem')];
});

after(async () => {
	await gateway?.stop();
	rmSync(directory, { recursive: true, force: true });
});

function sealKeys(args, input = '') {
	const child = spawn(process.execPath, [path.join(root, 'scripts/seal-keys'), ...args.flat(Infinity)],
		{ env: { ...process.env, TEE_VERIFY: verifyProgram }, stdio: ['pipe', 'pipe', 'pipe'] });
	let stdout = '', stderr = '';
	child.stdout.setEncoding('utf8').on('data', part => { stdout += part; });
	child.stderr.setEncoding('utf8').on('data', part => { stderr += part; });
	child.stdin.on('error', () => {});
	child.stdin.end(input);
	return new Promise((ok, fail) => {
		child.once('error', fail);
		child.once('close', code => ok({ code, stdout, stderr }));
	});
}

const provisioning = async () => json(await exchange(`${gateway.url}/.well-known/tee-config`)).config.provisioning;

test('what is no such file is a usage error, and no value of it is shown', async () => {
	for (const [rule, text, what] of [
		['a name that nobody is told', `OPENAI_API_KEY=${KEY}\nEXA_API_KEY=${KEY}`, /line 2: EXA_API_KEY/],
		['a line that is none', `OPENAI_API_KEY=${KEY}\n${KEY}`, /line 2 is not NAME=VALUE/],
		['a name twice', `XAI_API_KEY=${KEY}\nexport XAI_API_KEY=x`, /line 2: XAI_API_KEY stands there twice/],
		['nothing but comments', '# OPENAI_API_KEY=x\n\n', /nothing is set/],
		['the example as it is', readFileSync(path.join(root, '.env.example')), /nothing is set/],
	]) {
		const { code, stdout, stderr } = await sealKeys(['--url', gateway.tlsUrl, '--env', file('bad.env', text), verify]);
		assert.equal(code, 2, `${rule}: ${stderr}`);
		assert.match(stderr, what, rule);
		assert.equal(stdout, '');
		assert.ok(!stderr.includes(KEY), rule);
	}
	assert.equal((await sealKeys(['--env', 'x', verify])).code, 2, 'no --url');
	assert.equal((await sealKeys(['--url', gateway.tlsUrl, '--env', path.join(directory, 'absent'), verify])).code, 3);
});

test('nothing is sealed for another than the expected one', async () => {
	const good = file('good.env', `OPENAI_API_KEY=${KEY}\n`);
	const other = await startGateway({ loops: 1, args: ['--soft-pcrs', measurements] });
	try {
		for (const [rule, args, code] of [
			['other measurements', ['--url', gateway.tlsUrl, '--pcr', `0=${'00'.repeat(48)}`, verify.slice(2)], 1],
			['another gateway', ['--url', other.tlsUrl, verify], 1],
			['no expectation', ['--url', gateway.tlsUrl, verify.slice(2)], 2],
			['nobody there', ['--url', 'https://127.0.0.1:1', verify], 3],
		]) {
			const result = await sealKeys([args, '--env', good, '--post', gateway.url]);
			assert.equal(result.code, code, `${rule}: ${result.stderr}`);
			assert.equal(result.stdout, '', rule);
			assert.match(result.stderr, /nothing was sealed/, rule);
		}
	} finally {
		await other.stop();
	}
	assert.equal(await provisioning(), 'none');
});

test('seals, posts, and the gateway takes it, once', async () => {
	const text = `# of the operator\n\nexport OPENAI_API_KEY="${KEY}"\r\nARK_API_KEY='b'\nXAI_API_KEY=\n`
		+ 'EVM_PAYMENT_ADDRESS = 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\nTEE_HEARTBEAT_INTERVAL=60\n';
	const printed = await sealKeys(['--url', gateway.tlsUrl, '--env', '-', verify], text);
	assert.equal(printed.code, 0, printed.stderr);
	assert.match(printed.stdout, /^[\w-]+\.\.[\w-]{16}\.[\w-]+\.[\w-]{22}\n$/);
	assert.ok(!printed.stdout.includes(KEY) && !printed.stderr.includes(KEY));
	assert.equal(await provisioning(), 'none', 'printed only');

	const posted = await sealKeys([`--url=${gateway.tlsUrl}`, '--env', file('all.env', text), '--post', gateway.url, verify]);
	assert.equal(posted.code, 0, posted.stderr);
	assert.deepEqual(JSON.parse(posted.stdout).providers_initialized, ['openai', 'bytedance']);
	const { config } = json(await exchange(`${gateway.url}/.well-known/tee-config`));
	assert.deepEqual([config.provisioning, config.providers, config.pay_to], ['sealed', ['openai', 'bytedance'],
		'0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed']);
	assert.match(posted.stderr, new RegExp(`^provisioner: ${config.provisioner}$`, 'm'));

	const jose = { 'content-type': 'application/jose' };
	assert.equal((await post(`${gateway.url}/v1/keys`, printed.stdout, jose)).status, 409);
	const again = await sealKeys(['--url', gateway.tlsUrl, '--env', file('all.env', text), verify]);
	assert.equal(again.code, 1);
	assert.match(again.stderr, /shows no seal key/);
});
