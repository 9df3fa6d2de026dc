// tee-verify against a scripted enclave: what is one identity, and the name of what is not
// (interfaces.md V1-V4, R2, R3, R9).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { verifyProgram } from './gateway.mjs';
import { makeDocument, makeJwk, makeKeys, makeRoot, startFakeEnclave, userData } from './fake-enclave.mjs';

let directory, root, rootFile, enclave;
const pcrArgs = pcrs => ['--pcr', `0=${pcrs[0].toString('hex')}`];

before(async () => {
	directory = mkdtempSync(path.join(os.tmpdir(), 'identity-'));
	root = makeRoot();
	rootFile = path.join(directory, 'root.pem');
	writeFileSync(rootFile, root.pem);
	enclave = await startFakeEnclave({ root });
});

after(async () => {
	await enclave?.close();
	rmSync(directory, { recursive: true, force: true });
});

function file(name, content) {
	const full = path.join(directory, name);
	writeFileSync(full, content);
	return full;
}

// Runs tee-verify to its end: {code, stdout, stderr}.
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

function identity(of, ...more) {
	return verify('identity', '--url', of.url, '--root', rootFile, pcrArgs(enclave.pcrs), more);
}

async function refuses(result, reason) {
	const { code, stdout, stderr } = await result;
	assert.equal(code, 1, stderr);
	assert.match(stderr, new RegExp(`^not verified: ${reason}: [^\n]+\n$`));
	assert.match(stdout, /^not verified\n/);
}

// An enclave with one thing bent, for the length of one test.
async function bent(options, then) {
	const other = await startFakeEnclave({ root, ...options });
	try {
		await then(other);
	} finally {
		await other.close();
	}
}

test('V3, V4: one identity, and it says that no hardware stands behind it', async () => {
	const { code, stdout, stderr } = await identity(enclave);
	assert.equal(code, 0, stderr);
	assert.equal(stderr, '');
	assert.match(stdout, /^verified: one identity, 0x[0-9a-f]{64}\n/);
	assert.match(stdout, /^NOT HARDWARE/m);
	assert.doesNotMatch(stdout, /^(failed|not reached)/m);
});

test('V4: --json has every check with its verdict, and the root', async () => {
	const { code, stdout } = await identity(enclave, '--json');
	const report = JSON.parse(stdout);
	assert.equal(code, 0);
	assert.equal(report.verified, true);
	assert.equal(report.root, 'custom');
	assert.equal(report.document.pcr0, 'a0'.repeat(48));
	const verdicts = Object.fromEntries(report.checks.map(c => [c.name, c.verdict]));
	for (const name of ['envelope', 'members', 'chain', 'document_signature', 'age', 'document_nonce', 'pcrs',
		'debug', 'tls_certificate', 'signing_key', 'tee_id', 'receipt_key', 'attested_receipt_key',
		'published_receipt_key', 'archived_document', 'config'])
		assert.equal(verdicts[name], 'ok', name);
	assert.equal(verdicts.config_file, 'none');
});

test('V4: AWS did not sign this', () =>
	refuses(verify('identity', '--url', enclave.url, pcrArgs(enclave.pcrs)), 'untrusted-root'));

test('V4: another root', () =>
	refuses(verify('identity', '--url', enclave.url, '--root', file('other.pem', makeRoot().pem),
		pcrArgs(enclave.pcrs)), 'untrusted-root'));

test('V3: a document for another nonce', () => bent({
	bend: { attestation: () => bentDocument(Buffer.alloc(20, 7)) },
	keys: enclave.keys,
}, other => refuses(identity(other), 'nonce-mismatch')));

function bentDocument(nonce, more = {}) {
	return makeDocument(root, { pcrs: enclave.pcrs, nonce, userData: userData(enclave.keys),
		publicKey: enclave.keys.receiptSpki, ...more });
}

test('V3: a document that was genuine once, replayed', async () => {
	const held = [];
	await bent({ keys: enclave.keys, bend: { attestation: (_, genuine) => {
		held.push(genuine);
		return held[0];
	} } }, async other => {
		assert.equal((await identity(other)).code, 0);
		await refuses(identity(other), 'nonce-mismatch');
	});
});

test('3.7: the nonce is right, the document is old', () => bent({ keys: enclave.keys,
	bend: { attestation: nonce => bentDocument(nonce, { timestampMs: Date.now() - 400_000 }) },
}, async other => {
	await refuses(identity(other), 'too-old');
	assert.equal((await identity(other, '--max-age', '500')).code, 0);
}));

test('V3: another TLS certificate in the middle, relaying genuine documents', () =>
	bent({ keys: enclave.keys, tls: makeKeys() }, other => refuses(identity(other), 'tls-certificate-mismatch')));

test('V3: the document over the genuine connection, the rest over another', async () => {
	const proxy = await startFakeEnclave({ root, keys: enclave.keys, tls: makeKeys() });
	let connections = 0;
	const open = new Set();
	const split = net.createServer(socket => {
		const target = new URL(connections++ === 0 ? enclave.url : proxy.url);
		const upstream = net.connect(Number(target.port), '127.0.0.1');
		for (const end of [socket, upstream]) {
			open.add(end);
			end.on('error', () => {});
		}
		socket.pipe(upstream).pipe(socket);
	});
	await new Promise(ok => split.listen(0, '127.0.0.1', ok));
	try {
		await refuses(identity({ url: `https://127.0.0.1:${split.address().port}` }), 'tls-certificate-mismatch');
	} finally {
		for (const end of open)
			end.destroy();
		await new Promise(ok => split.close(ok));
		await proxy.close();
	}
});

test('opengradient.md 2: a swapped signing key', () => {
	const other = makeKeys();
	return bent({ keys: { ...enclave.keys, signingKey: other.signingKey },
		bend: { attestation: nonce => bentDocument(nonce) } },
	served => refuses(identity(served), 'signing-key-mismatch'));
});

test('opengradient.md 1: tee_id of another key', () => bent({ keys: enclave.keys,
	bend: { signingKey: answer => ({ ...answer, tee_id: `0x${'ab'.repeat(32)}` }) },
}, other => refuses(identity(other), 'tee-id-mismatch')));

test('R2 b: a swapped receipt key, vouched for, but not in the document', () => {
	const { receiptKey, receiptSpki } = makeKeys();
	return bent({ keys: { ...enclave.keys, receiptKey, receiptSpki }, bend: { attestation: nonce => bentDocument(nonce) } },
		other => refuses(identity(other), 'receipt-key-mismatch'));
});

test('R2 a: a receipt key that the signing key does not vouch for', () => bent({ keys: enclave.keys,
	bend: { jwks: () => ({ keys: [{ ...makeJwk(makeKeys()), signing_key: enclave.jwk.signing_key }] }) },
}, async other => {
	const { code, stderr } = await identity(other);
	assert.equal(code, 1);
	assert.match(stderr, /^not verified: interfaces\.md R2: receipt_key_signature/);
}));

test('section 4: /signing-key shows another receipt key than the key set', () => bent({ keys: enclave.keys,
	bend: { signingKey: answer => ({ ...answer, receipt_key: makeJwk(makeKeys()) }) },
}, other => refuses(identity(other), 'receipt-key-mismatch')));

test('R3: the key set carries the document of another enclave', () => {
	const other = makeKeys();
	const theirs = makeDocument(root, { pcrs: enclave.pcrs, userData: userData(other),
		publicKey: other.receiptSpki });
	return bent({ keys: enclave.keys,
		bend: { jwks: () => ({ keys: [makeJwk(enclave.keys, theirs)] }) } },
	served => refuses(identity(served), 'signing-key-mismatch'));
});

test('R9: a changed configuration', () => bent({ keys: enclave.keys,
	bend: { config: ({ text, signed }) => ({ text: text.replace('0.1.0', '0.1.1'), signed }) },
}, other => refuses(identity(other), 'config-mismatch')));

test('R9: a configuration that another key signed', () => {
	const other = makeKeys();
	return bent({ keys: { ...enclave.keys, receiptKey: other.receiptKey },
		bend: { attestation: nonce => bentDocument(nonce),
			signingKey: answer => ({ ...answer, receipt_key: makeJwk(enclave.keys) }),
			jwks: () => ({ keys: [enclave.jwk] }) } },
	served => refuses(identity(served), 'config-signature'));
});

// A seal key and the signing key's word for it, bent.
function withSealKey({ context = 'tee-sealing-key-v1', signer = enclave.keys.signingKey, bend = jwk => jwk } = {}) {
	const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
	const spki = key.export({ type: 'spki', format: 'der' });
	const signature = sign('sha256', Buffer.concat([Buffer.from(context), spki]),
		{ key: signer, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
	const jwk = key.export({ format: 'jwk' });
	return { jwk, options: { keys: enclave.keys, bend: { signingKey: shown =>
		({ ...shown, seal_key: bend({ ...jwk, use: 'enc' }), seal_key_signature: signature.toString('base64') }) } } };
}

test('P3: the key to seal for is vouched for, and told', async () => {
	const { jwk: { kty, crv, x, y }, options } = withSealKey();
	await bent(options, async other => {
		const { code, stdout, stderr } = await identity(other, '--json');
		assert.equal(code, 0, stderr);
		assert.equal(JSON.parse(stdout).seal_key, JSON.stringify({ crv, kty, x, y }));
	});
	const another = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
	for (const change of [{ context: 'tee-receipt-key-v1' }, { signer: another },
		{ bend: ({ y: _, ...jwk }) => jwk }, { bend: jwk => ({ ...jwk, x: jwk.y }) }])
		await bent(withSealKey(change).options, other => refuses(identity(other), 'seal-key'));
	await bent({ keys: enclave.keys, bend: { signingKey: shown => ({ ...shown, seal_key: withSealKey().jwk }) } },
		other => refuses(identity(other), 'seal-key'));
	assert.ok(!('seal_key' in JSON.parse((await identity(enclave, '--json')).stdout)), 'none is shown, none is told');
});

test('R9: --config', async () => {
	assert.equal((await identity(enclave, '--config', file('config', enclave.config))).code, 0);
	assert.equal((await identity(enclave, '--config',
		file('answer', `{"config":${enclave.config},"jws":"x"}`))).code, 0);
	const members = Object.entries(JSON.parse(enclave.config));
	assert.equal((await identity(enclave, '--config',
		file('printed', JSON.stringify(Object.fromEntries(members.toReversed()), null, 2)))).code, 0, 'in any spelling');
	for (const [name, changed, member] of [
		['changed', enclave.config.replace('0.1.0', '9'), 'version'],
		['less', JSON.stringify(Object.fromEntries(members.slice(1))), members[0][0]],
		['more', JSON.stringify({ ...Object.fromEntries(members), pay_to: null }), 'pay_to'],
		['null', JSON.stringify({ ...Object.fromEntries(members), platform: null }), 'platform'],
	]) {
		const result = await identity(enclave, '--config', file(name, changed));
		await refuses(result, 'config-mismatch');
		assert.match(result.stdout, new RegExp(`^  config_differs_in: ${member}$`, 'm'), name);
	}
	await refuses(identity(enclave, '--config', file('twice', '{"config":{"mode":1,"mode":1}}')), 'config');
});

test('V4: a debug enclave, and --allow-debug', () => {
	const zero = Buffer.alloc(48);
	return bent({ pcrs: { 0: zero, 1: zero, 2: zero, 4: Buffer.alloc(48, 1) } }, async other => {
		const args = ['identity', '--url', other.url, '--root', rootFile, '--pcr', `0=${zero.toString('hex')}`];
		await refuses(verify(args), 'debug-mode');
		const { code, stdout } = await verify(args, '--allow-debug');
		assert.equal(code, 0);
		assert.match(stdout, /^DEBUG MODE/m);
	});
});

test('V2: other measurements', () => refuses(verify('identity', '--url', enclave.url, '--root', rootFile,
	'--pcr', `0=${'00'.repeat(48)}`), 'pcr-mismatch'));

test('V2: an expectation of PCR1 alone is a usage error', async () => {
	const { code, stdout, stderr } = await verify('identity', '--url', enclave.url, '--root', rootFile,
		'--pcr', `1=${enclave.pcrs[1].toString('hex')}`);
	assert.equal(code, 2);
	assert.equal(stdout, '');
	assert.match(stderr, /V2/);
});

test('V3: attestation --url compares the certificate too', async () => {
	const args = of => ['attestation', '--url', of.url, '--root', rootFile, ...pcrArgs(enclave.pcrs)];
	const { code, stdout } = await verify(args(enclave));
	assert.equal(code, 0);
	assert.match(stdout, /^ok: tls_certificate/m);
	await bent({ keys: enclave.keys, tls: makeKeys() }, other =>
		refuses(verify(args(other)), 'tls-certificate-mismatch'));
});

test('V1: what cannot be fetched is no verdict', async () => {
	const server = net.createServer(socket => socket.destroy());
	await new Promise(ok => server.listen(0, '127.0.0.1', ok));
	const { code, stdout, stderr } = await identity({ url: `https://127.0.0.1:${server.address().port}` });
	await new Promise(ok => server.close(ok));
	assert.equal(code, 3);
	assert.equal(stdout, '');
	assert.match(stderr, /^tee-verify: could not check: \/enclave\/attestation: [^\n]+\n$/);
});

test('V1: neither is an answer with another status', () => bent({ missing: '/signing-key' }, async other => {
	const { code, stdout, stderr } = await identity(other);
	assert.equal(code, 3);
	assert.equal(stdout, '');
	assert.match(stderr, /^tee-verify: could not check: \/signing-key: [^\n]+ 200\n$/);
}));

test('a gateway by its name, an answer in chunks', () => bent({ chunked: true }, async other => {
	const { code, stderr } = await identity({ url: other.url.replace('127.0.0.1', 'localhost') });
	assert.equal(code, 0, stderr);
}));

test('V1: a body that is cut is no answer', () => bent({ cut: true }, async other => {
	const { code, stderr } = await identity(other);
	assert.equal(code, 3);
	assert.match(stderr, /could not check/);
}));
