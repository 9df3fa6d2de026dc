// Verifies what the gateway signs, with jose and node:crypto only: nothing here comes from the
// gateway's own source. Rules: interfaces.md 6 and 7, opengradient.md 4.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { exchange, json } from './gateway.mjs';

export const keccak = bytes => Buffer.from(keccak_256(bytes));
const sha256 = bytes => crypto.createHash('sha256').update(bytes).digest('base64url');
const PSS = { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };

// Splits a streamed body at the last tee_receipt (R5): {content, jws, done}.
export function splitStream(body) {
	const text = body.toString('latin1');
	const mark = ',"tee_receipt":';
	const at = text.lastIndexOf(mark);
	assert.notEqual(at, -1, 'the stream has no receipt');
	const tail = text.slice(at + mark.length);
	const found = tail.match(/^"([A-Za-z0-9_.-]+)"\}\n\n(data: \[DONE\]\n\n)?$/);
	assert.ok(found, `R5: what follows the receipt is ${JSON.stringify(tail.slice(-80))}`);
	return { content: body.subarray(0, at), jws: found[1], done: found[2] !== undefined };
}

// The objects of a stream's events, comments skipped, [DONE] left out.
export function parseStream(body) {
	return body.toString('utf8').split('\n\n').filter(block => block.startsWith('data: '))
		.map(block => block.slice(6)).filter(data => data !== '[DONE]').map(data => JSON.parse(data));
}

// What a client knows after reading /signing-key and the key set once.
export async function readIdentity(gateway) {
	const signing = json(await exchange(`${gateway.url}/signing-key`));
	const set = json(await exchange(`${gateway.url}/.well-known/jwks.json`));
	assert.equal(set.keys.length, 1);
	const [jwk] = set.keys;
	const rsa = crypto.createPublicKey(signing.public_key);
	const rsaSpki = rsa.export({ type: 'spki', format: 'der' });

	assert.equal(rsa.asymmetricKeyType, 'rsa');
	assert.equal(rsa.asymmetricKeyDetails.modulusLength, 2048);
	assert.ok(signing.public_key.endsWith('-----END PUBLIC KEY-----\n'), 'PEM ends with a newline');
	assert.equal(signing.tee_id, '0x' + keccak(rsaSpki).toString('hex'));

	// R2 (a): the RSA key vouches for the receipt key.
	assert.equal(jwk.kid, await calculateJwkThumbprint(jwk, 'sha256'));
	assert.equal(jwk.alg, 'ES256');
	assert.equal(jwk.use, 'sig');
	assert.equal(jwk.signing_key, rsaSpki.toString('base64url'));
	const spki = crypto.createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'der' });
	const message = Buffer.concat([Buffer.from('tee-receipt-key-v1'), spki]);
	for (const signature of [jwk.receipt_key_signature, signing.receipt_key_signature])
		assert.ok(crypto.verify('sha256', message, { key: rsa, ...PSS }, Buffer.from(signature, 'base64')));
	assert.equal(await calculateJwkThumbprint(signing.receipt_key, 'sha256'), jwk.kid);

	return { signing, jwk, rsa, key: await importJWK(jwk, 'ES256') };
}

async function verifyJws(identity, jws, typ) {
	const { payload, protectedHeader } = await compactVerify(jws, identity.key, { algorithms: ['ES256'] });
	assert.deepEqual(protectedHeader, { alg: 'ES256', kid: identity.jwk.kid, typ });
	return Buffer.from(payload);
}

// The published configuration: {config, hash}; hash is the claim `config` of receipts (R9).
export async function readConfig(gateway, identity, query = '') {
	const published = json(await exchange(`${gateway.url}/.well-known/tee-config${query}`));
	const bytes = await verifyJws(identity, published.jws, 'tee-config+jwt');
	assert.deepEqual(JSON.parse(bytes), published.config);
	return { config: published.config, hash: sha256(bytes), bytes };
}

/*
 * Verifies a receipt against what the client sent and got; returns its claims.
 * request, content	bytes; content null: not compared (a truncated answer)
 */
export async function verifyReceipt(identity, jws, { request, content }) {
	assert.ok(jws.length <= 6144, 'R1: at most 6 KiB');
	const claims = JSON.parse(await verifyJws(identity, jws, 'tee-receipt+jwt'));
	assert.equal(claims.iss, identity.signing.tee_id);
	assert.equal(claims.platform, 'local-simulation');
	assert.ok(Math.abs(claims.iat - Date.now() / 1000) < 120, 'iat is now');
	assert.equal(claims.req, sha256(request));
	if (content !== null) {
		assert.equal(claims.res_len, content.length);
		assert.equal(claims.res, sha256(content));
	}
	return claims;
}

// The five tee_* fields of a body or final chunk, signature included (S1, opengradient.md 4.3).
export function verifyTeeFields(identity, fields, { outputHash, signed = true }) {
	assert.equal(fields.tee_id, identity.signing.tee_id);
	assert.match(fields.tee_request_hash, /^[0-9a-f]{64}$/);
	assert.match(fields.tee_output_hash, /^[0-9a-f]{64}$/);
	assert.ok(Number.isInteger(fields.tee_timestamp));
	if (outputHash !== undefined)
		assert.equal(fields.tee_output_hash, outputHash);
	if (!signed) {
		assert.ok(!('tee_signature' in fields), 'TEE-Signature: none leaves the signature out');
		return;
	}
	const time = Buffer.alloc(32);
	time.writeBigUInt64BE(BigInt(fields.tee_timestamp), 24);
	const message = keccak(Buffer.concat([Buffer.from(fields.tee_request_hash, 'hex'),
		Buffer.from(fields.tee_output_hash, 'hex'), time]));
	assert.ok(crypto.verify('sha256', message, { key: identity.rsa, ...PSS },
		Buffer.from(fields.tee_signature, 'base64')), 'tee_signature');
}

export const textHash = text => keccak(Buffer.from(text, 'utf8')).toString('hex');

// The hash of a list of tool calls, as clients rebuild it from the answer (ASCII arguments only).
export function callsHash(calls) {
	const list = calls.map(call => '{"function": {"arguments": ' + JSON.stringify(call.function.arguments) +
		', "name": ' + JSON.stringify(call.function.name) + '}, "id": ' + JSON.stringify(call.id) +
		', "type": "function"}');
	return textHash(`[${list.join(', ')}]`);
}
