// Receipts and responses of attested keys: archived with their key set, and against a gateway
// (interfaces.md R3, V2, V3). The answers are the published vectors; the documents are made here.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { root as tree, verifyProgram } from './gateway.mjs';
import { makeDocument, makeKeys, makeRoot, startFakeEnclave, userData } from './fake-enclave.mjs';

const vector = name => path.join(tree, 'tests/vectors/receipt', name);
const STREAM = ['--request', vector('stream.request.json'), '--response', vector('stream.response.sse')];
const BODY = ['--request', vector('nonstream.request.json'), '--response', vector('nonstream.response.json')];
const set = JSON.parse(readFileSync(vector('jwks.json')));
const signingSpki = Buffer.from(set.keys[0].signing_key, 'base64url');
const receiptSpki = createPublicKey({ key: set.keys[0], format: 'jwk' }).export({ type: 'spki', format: 'der' });
const pcrs = Object.fromEntries([0, 1, 2].map(i => [i, Buffer.alloc(48, 0xb0 + i)]));
const EXPECTED = ['--pcr', `0=${pcrs[0].toString('hex')}`];

let directory, root, keys;

before(() => {
	directory = mkdtempSync(path.join(os.tmpdir(), 'attested-'));
	root = makeRoot();
	writeFileSync(path.join(directory, 'root.pem'), root.pem);
	keys = { ...makeKeys(), signingSpki, receiptSpki };
});

after(() => rmSync(directory, { recursive: true, force: true }));

function verify(...args) {
	const child = spawn(verifyProgram, [...args.flat(2), '--root', path.join(directory, 'root.pem')],
		{ stdio: ['ignore', 'pipe', 'pipe'] });
	let stdout = '', stderr = '';
	child.stdout.setEncoding('utf8').on('data', part => { stdout += part; });
	child.stderr.setEncoding('utf8').on('data', part => { stderr += part; });
	return new Promise((ok, fail) => {
		child.once('error', fail);
		child.once('close', code => ok({ code, stdout, stderr }));
	});
}

// The vectors' key set with a document, as a client archives it.
function archive(more = {}) {
	const document = makeDocument(root, { pcrs, userData: userData(keys), publicKey: receiptSpki, ...more });
	const full = path.join(directory, 'jwks.json');
	writeFileSync(full, JSON.stringify({ keys: [{ ...set.keys[0], attestation: document.toString('base64') }] }));
	return ['--jwks', full];
}

async function refuses(result, reason, status = 1) {
	const { code, stderr } = await result;
	assert.equal(code, status, stderr);
	assert.ok(stderr.startsWith(status === 1 ? `not verified: ${reason}` : `tee-verify: ${reason}`), stderr);
	assert.equal(stderr.split('\n').length, 2);
}

test('R3: a receipt archived with its key set, the gateway gone', async () => {
	const { code, stdout, stderr } = await verify('receipt', STREAM, archive(), EXPECTED);
	assert.equal(code, 0, stderr);
	assert.match(stdout, /^verified: outcome complete, receipt chatcmpl-/);
	assert.match(stdout, /^NOT HARDWARE: the document's root/m);
	for (const name of ['chain', 'document_signature', 'pcrs', 'attested_signing_key', 'attested_receipt_key'])
		assert.match(stdout, new RegExp(`^ok: ${name}: `, 'm'));
	assert.doesNotMatch(stdout, /^skipped: /m);
});

test('V3: the document is judged at its own time, which the chain must cover', async () => {
	const hour = 3_600_000;
	const old = await verify('receipt', STREAM, archive({ timestampMs: Date.now() - hour / 2 }), EXPECTED);
	assert.equal(old.code, 0, old.stderr);
	await refuses(verify('receipt', STREAM, archive({ timestampMs: Date.now() - 2 * hour }), EXPECTED),
		'cert-not-yet-valid: ');
	await refuses(verify('receipt', STREAM, archive({ timestampMs: Date.now() + 3 * hour }), EXPECTED),
		'cert-expired: ');
});

test('R3: with the key set of another enclave', async () => {
	const other = makeKeys();
	await refuses(verify('receipt', STREAM, archive({ userData: userData(other) }), EXPECTED),
		'signing-key-mismatch: ');
	await refuses(verify('receipt', STREAM, archive({ publicKey: other.receiptSpki }), EXPECTED),
		'receipt-key-mismatch: ');
	await refuses(verify('receipt', STREAM, archive({ publicKey: null }), EXPECTED), 'receipt-key-mismatch: ');
	await refuses(verify('receipt', STREAM, archive({ userData: null }), EXPECTED), 'user_data: ');
});

test('V2: other code, no expectation, half of one', async () => {
	await refuses(verify('receipt', STREAM, archive(), '--pcr', `0=${'00'.repeat(48)}`), 'pcr-mismatch: ');
	await refuses(verify('receipt', STREAM, archive()), '--pcrs or --pcr is missing', 2);
	await refuses(verify('receipt', STREAM, archive(), '--pcr', `1=${'00'.repeat(48)}`),
		'--pcrs or --pcr must fix', 2);
	const waived = await verify('receipt', STREAM, archive(), '--allow-skip', 'pcrs');
	assert.equal(waived.code, 0, waived.stderr);
	assert.match(waived.stdout, /^skipped: pcrs: /m);
});

test('V2: a key set without a document', () =>
	refuses(verify('receipt', STREAM, '--jwks', vector('jwks.json'), EXPECTED), 'interfaces.md V2: attestation'));

test('V4: a debug enclave made the receipt', async () => {
	const zero = Buffer.alloc(48), debug = { 0: zero, 1: zero, 2: zero };
	await refuses(verify('receipt', STREAM, archive({ pcrs: debug }), '--allow-skip', 'pcrs'), 'debug-mode: ');
	const allowed = await verify('receipt', STREAM, archive({ pcrs: debug }), '--allow-skip', 'pcrs',
		'--allow-debug');
	assert.equal(allowed.code, 0, allowed.stderr);
});

// A gateway that has the vectors' keys.
function gateway(more = {}) {
	const pem = `-----BEGIN PUBLIC KEY-----\n${signingSpki.toString('base64').replace(/.{1,64}/g, '$&\n')}` +
		'-----END PUBLIC KEY-----\n';
	return startFakeEnclave({ root, pcrs, keys: { ...keys, signingKey: makeKeys().signingKey }, bend: {
		jwks: () => set, signingKey: answer => ({ ...answer, public_key: pem }), ...more } });
}

test('V3: receipt and response against a gateway', async () => {
	const live = await gateway();
	try {
		for (const args of [['receipt', STREAM], ['response', STREAM], ['response', BODY],
			['receipt', BODY, '--receipt', vector('nonstream.receipt.jws')]]) {
			const { code, stdout, stderr } = await verify(args, '--url', live.url, EXPECTED);
			assert.equal(code, 0, stderr);
			assert.match(stdout, /^verified: outcome complete/);
			assert.match(stdout, /^ok: tls_certificate: /m);
			assert.match(stdout, /^ok: attested_signing_key: /m);
		}
		await refuses(verify('response', STREAM, '--url', live.url, '--pcr', `0=${'00'.repeat(48)}`),
			'pcr-mismatch: ');
		await refuses(verify('receipt', STREAM, '--url', live.url), '--pcrs or --pcr is missing', 2);
	} finally {
		await live.close();
	}
});

test('V3: against a gateway with other keys', async () => {
	const other = await startFakeEnclave({ root, pcrs });
	try {
		await refuses(verify('receipt', STREAM, '--url', other.url, EXPECTED), 'RFC 7517 4.5: no such key');
		await refuses(verify('response', STREAM, '--url', other.url, EXPECTED), '');
	} finally {
		await other.close();
	}
	const swapped = await gateway({ attestation: nonce => makeDocument(root, { pcrs, nonce,
		userData: userData({ ...keys, signingSpki: makeKeys().signingSpki }), publicKey: receiptSpki }) });
	try {
		await refuses(verify('receipt', STREAM, '--url', swapped.url, EXPECTED), 'signing-key-mismatch: ');
		await refuses(verify('response', STREAM, '--url', swapped.url, EXPECTED), 'signing-key-mismatch: ');
	} finally {
		await swapped.close();
	}
});

test('section 8: behind nitriding the document says "dummy", and the signing key alone vouches', async () => {
	const behind = await gateway({ attestation: nonce => makeDocument(root, { pcrs, nonce,
		userData: userData(keys), publicKey: Buffer.from('dummy') }) });
	try {
		const { code, stdout, stderr } = await verify('receipt', STREAM, '--url', behind.url, EXPECTED);
		assert.equal(code, 0, stderr);
		assert.match(stdout, /^none: attested_receipt_key: /m);
	} finally {
		await behind.close();
	}
});
