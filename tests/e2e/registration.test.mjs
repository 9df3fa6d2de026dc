// tee-verify registration against a scripted enclave: what the network's registry is told, read back
// with viem (interfaces.md 10; opengradient.md 2).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate, createHash, createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { concatHex, decodeFunctionData, encodeFunctionData, getAddress, keccak256, parseAbi, toFunctionSelector }
	from 'viem';
import { exchange, json, startGateway, verifyProgram } from './gateway.mjs';
import { makeDocument, makeKeys, makeRoot, startFakeEnclave, userData } from './fake-enclave.mjs';

const FUNCTION = 'registerTEEWithAttestation(bytes,bytes,bytes,address,string,uint8)';
const ABI = parseAbi(['function registerTEEWithAttestation(bytes attestation, bytes signingKey, ' +
	'bytes tlsCertificate, address paymentAddress, string endpoint, uint8 teeType)']);
const REGISTRY = '0x4e72238852f3c918f4E4e57AeC9280dDB0c80248';
const PAY_TO = '0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf';
const hex = bytes => `0x${Buffer.from(bytes).toString('hex')}`;

let directory, root, rootFile;

before(() => {
	directory = mkdtempSync(path.join(os.tmpdir(), 'registration-'));
	root = makeRoot();
	rootFile = path.join(directory, 'root.pem');
	writeFileSync(rootFile, root.pem);
});

after(() => rmSync(directory, { recursive: true, force: true }));

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

const registration = (of, ...more) => verify('registration', '--url', of.url, '--root', rootFile,
	'--pcr', `0=${of.pcrs[0].toString('hex')}`, more);

// An enclave whose configuration has these members too, for the length of one test.
async function publishing(members, then, options = {}) {
	const config = () => {
		const text = JSON.stringify({ mode: 'enclave', platform: 'aws-nitro', version: '0.1.0', ...members });
		return { text, signed: text };
	};
	const enclave = await startFakeEnclave({ root, ...options, bend: { config, ...options.bend } });
	try {
		await then(enclave);
	} finally {
		await enclave.close();
	}
}

async function refuses(result, reason) {
	const { code, stdout, stderr } = await result;
	assert.equal(code, 1, stderr);
	assert.match(stderr, new RegExp(`^not verified: ${reason}: [^\n]+\n$`));
	assert.match(stdout, /^not verified\n/);
	assert.doesNotMatch(stdout, /calldata/);
}

function checkResult(result, enclave, endpoint) {
	const { functionName, args } = decodeFunctionData({ abi: ABI, data: result.calldata });
	const [attestation, signingKey, tlsCertificate, paymentAddress, endpointArgument, teeType] = args;

	assert.equal(functionName, 'registerTEEWithAttestation');
	assert.equal(result.function, FUNCTION);
	assert.equal(result.calldata.slice(0, 10), toFunctionSelector(FUNCTION));
	// What is encoded is what is named, and both are the enclave's.
	assert.equal(signingKey, hex(enclave.keys.signingSpki));
	assert.equal(tlsCertificate, hex(enclave.keys.tls));
	assert.equal(paymentAddress, PAY_TO);
	assert.equal(endpointArgument, endpoint);
	assert.equal(teeType, 0);
	assert.deepEqual([result.attestation, result.signing_key, result.tls_certificate, result.payment_address,
		result.endpoint, result.tee_type], [...args]);
	// The document is untagged, for a fresh nonce, and binds the two hashes at the offsets the chain reads.
	const document = Buffer.from(attestation.slice(2), 'hex');
	assert.equal(document[0], 0x84);
	assert.ok(document.includes(userData(enclave.keys)));
	const sha256 = bytes => createHash('sha256').update(bytes).digest();
	assert.ok(document.includes(sha256(enclave.keys.tls)));
	assert.equal(result.tee_id, keccak256(signingKey));
	assert.equal(result.pcr_hash, keccak256(concatHex([0, 1, 2].map(i => hex(enclave.pcrs[i])))));
	assert.equal(Date.parse(result.register_before) - Date.parse(result.attested_at), 300_000);
	assert.ok(Math.abs(Date.now() - Date.parse(result.attested_at)) < 60_000);
	// And no other encoding of the same values is longer or shorter.
	assert.equal(result.calldata, encodeFunctionData({ abi: ABI, args }));
}

test('the call decodes to what is named; the last line is JSON', () => publishing(
	{ pay_to: PAY_TO, public_url: 'https://tee.example.com:8443/gate%20way' }, async enclave => {
		const { code, stdout, stderr } = await registration(enclave);
		const lines = stdout.trimEnd().split('\n');
		assert.equal(code, 0, stderr);
		assert.match(lines[0], /^verified: registration of 0x[0-9a-f]{64}$/);
		assert.match(stdout, /^NOT HARDWARE/m);
		assert.match(stdout, /^ok: config: /m);
		const result = JSON.parse(lines.at(-1));
		assert.equal(result.registry, REGISTRY);
		checkResult(result, enclave, 'https://tee.example.com:8443/gate%20way');
	}));

test('--json has it as a member; --registry names another contract', () => publishing(
	{ pay_to: PAY_TO.toLowerCase(), public_url: 'https://tee.example.com' }, async enclave => {
		const other = '0x703cb174aeadb35d611858369b4b1111dc9abda6';
		const { code, stdout } = await registration(enclave, '--json', '--registry', other);
		const report = JSON.parse(stdout);
		assert.equal(code, 0);
		assert.equal(report.outcome, 'registration');
		assert.equal(report.root, 'custom');
		assert.equal(report.registration.registry, getAddress(other));
		checkResult(report.registration, enclave, 'https://tee.example.com');
	}));

test('R9: without public_url the endpoint is the address that was verified, and that is said', () =>
	publishing({ pay_to: PAY_TO, public_url: null }, async enclave => {
		const { code, stdout } = await registration(enclave);
		assert.equal(code, 0);
		assert.match(stdout, /^the configuration has no public_url/m);
		checkResult(JSON.parse(stdout.trimEnd().split('\n').at(-1)), enclave, enclave.url);
	}));

test('R9: no payment address, no registration', async () => {
	for (const pay_to of [undefined, null, '', '0x7E5F', 7])
		await publishing({ pay_to }, async enclave => {
			const { code, stdout, stderr } = await registration(enclave);
			assert.equal(code, 1, stderr);
			assert.doesNotMatch(stdout, /calldata/);
		});
	await publishing({}, enclave => refuses(registration(enclave), 'no-pay-to'));
});

test('V3, R9: what identity refuses is not registered', async () => {
	await publishing({ pay_to: PAY_TO }, enclave => refuses(registration(enclave, '--pcr', `1=${'ff'.repeat(48)}`),
		'pcr-mismatch'));
	await publishing({ pay_to: PAY_TO }, enclave => refuses(registration(enclave), 'tls-certificate-mismatch'),
		{ tls: makeKeys() });
	await publishing({}, enclave => refuses(registration(enclave), 'config-mismatch'),
		{ bend: { config: () => ({ text: `{"pay_to":"${PAY_TO}"}`, signed: '{}' }) } });
});

test('opengradient.md 2: the chain wants the document untagged, and all three PCRs', async () => {
	await publishing({ pay_to: PAY_TO }, enclave => refuses(registration(enclave), 'cose-tag'),
		{ bend: { attestation: (_, genuine) => Buffer.concat([Buffer.from([0xd2]), genuine]) } });
	const keys = makeKeys();
	await publishing({ pay_to: PAY_TO }, enclave => refuses(registration(enclave), 'pcr-missing'),
		{ keys, bend: { attestation: nonce => makeDocument(root, { pcrs: { 0: Buffer.alloc(48, 0xa0),
			1: Buffer.alloc(48, 0xa1) }, nonce, userData: userData(keys), publicKey: keys.receiptSpki }) } });
});

test('a real gateway: who is paid and where it is are what it publishes', async () => {
	const gateway = await startGateway({ env: { EVM_PAYMENT_ADDRESS: PAY_TO,
		PUBLIC_URL: 'https://tee.example.com/llm' } });
	try {
		const soft = path.join(directory, 'soft.pem');
		writeFileSync(soft, (await exchange(`${gateway.url}/enclave/soft-root.pem`)).body);
		const { code, stdout, stderr } = await verify('registration', '--url', gateway.tlsUrl, '--root', soft,
			'--allow-skip', 'pcrs', '--allow-debug');
		assert.equal(code, 0, stderr);
		const result = JSON.parse(stdout.trimEnd().split('\n').at(-1));
		const { public_key: pem, tee_id: teeId } = json(await exchange(`${gateway.url}/signing-key`));
		const { args } = decodeFunctionData({ abi: ABI, data: result.calldata });
		assert.equal(args[1], hex(createPublicKey(pem).export({ type: 'spki', format: 'der' })));
		assert.equal(args[2], hex(new X509Certificate(await gateway.certificate()).raw));
		assert.deepEqual(args.slice(3), [PAY_TO, 'https://tee.example.com/llm', 0]);
		assert.equal(result.tee_id, teeId);
	} finally {
		await gateway.stop();
	}
});

test('V1: usage', async () => {
	assert.equal((await verify('registration')).code, 2);
	const bad = await verify('registration', '--url', 'https://127.0.0.1:1', '--allow-skip', 'pcrs',
		'--registry', '0x123');
	assert.equal(bad.code, 2);
	assert.match(bad.stderr, /--registry/);
	assert.equal((await verify('identity', '--url', 'https://127.0.0.1:1', '--registry', REGISTRY)).code, 2);
	assert.equal((await verify('registration', '--url', 'https://127.0.0.1:1', '--allow-skip', 'pcrs')).code, 3);
});
