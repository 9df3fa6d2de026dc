/*
 * An enclave for tests of a verifier: a root, a chain and documents of the shape that the hypervisor
 * gives them (nitro-attestation.md 2), keys, a configuration, and a TLS server that shows them. All
 * made here, byte by byte, so that a test can bend one thing and leave the rest genuine.
 */
import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign, constants, X509Certificate }
	from 'node:crypto';
import https from 'node:https';
import { keccak_256 } from '@noble/hashes/sha3.js';

const sha256 = bytes => createHash('sha256').update(bytes).digest();
const b64url = bytes => Buffer.from(bytes).toString('base64url');

/* DER. */
const der = (tag, ...parts) => {
	const body = Buffer.concat(parts), n = body.length;
	const length = n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255];
	return Buffer.concat([Buffer.from([tag, ...length]), body]);
};
const seq = (...parts) => der(0x30, ...parts);
const oid = hex => der(0x06, Buffer.from(hex, 'hex'));
const ECDSA = { 256: seq(oid('2a8648ce3d040302')), 384: seq(oid('2a8648ce3d040303')) };
const name = cn => seq(der(0x31, seq(oid('550403'), der(0x0c, Buffer.from(cn)))));
const time = seconds => der(0x18, Buffer.from(new Date(seconds * 1000).toISOString()
	.replace(/[-:T]|\.\d+/g, '')));
const extension = (id, critical, value) =>
	seq(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));
const basicConstraints = (ca, pathLen) => extension('551d13', true, seq(
	...(ca ? [der(0x01, Buffer.from([0xff]))] : []),
	...(pathLen === undefined ? [] : [der(0x02, Buffer.from([pathLen]))])));
const keyUsage = (critical, bits, unused) =>
	extension('551d0f', critical, der(0x03, Buffer.from([unused, bits])));
const SIGN = [0x80, 7], CERT_SIGN = [0x04, 2];

function certificate({ subject, issuer, key, issuerKey, from, until, extensions, hash = 384 }) {
	const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
	const serial = Buffer.concat([Buffer.from([0x40]), randomBytes(15)]);
	const tbs = seq(der(0xa0, der(0x02, Buffer.from([2]))), der(0x02, serial), ECDSA[hash], name(issuer),
		seq(time(from), time(until)), name(subject), spki, der(0xa3, seq(...extensions)));
	return seq(tbs, ECDSA[hash], der(0x03, Buffer.from([0]), sign(`sha${hash}`, tbs, issuerKey)));
}

const ecKey = curve => generateKeyPairSync('ec', { namedCurve: curve }).privateKey;
const pem = (label, bytes) =>
	`-----BEGIN ${label}-----\n${bytes.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

/* CBOR, as much of it as a document needs. */
const head = (major, n) => {
	const m = major << 5;
	if (n < 24)
		return Buffer.from([m | n]);
	if (n < 256)
		return Buffer.from([m | 24, n]);
	if (n < 65536)
		return Buffer.from([m | 25, n >> 8, n & 255]);
	const b = Buffer.alloc(9);
	b[0] = m | 27;
	b.writeBigUInt64BE(BigInt(n), 1);
	return b;
};
const bytes = b => (b === null ? Buffer.from([0xf6]) : Buffer.concat([head(2, b.length), b]));
const text = s => Buffer.concat([head(3, Buffer.byteLength(s)), Buffer.from(s)]);

// A root and the chain below it: as of 2026, four levels and a leaf of three hours.
export function makeRoot(now = Math.floor(Date.now() / 1000)) {
	const keys = Array.from({ length: 5 }, () => ecKey('secp384r1'));
	const names = ['root', 'region', 'zone', 'instance', 'leaf'].map(level => `${level}.test`);
	const chain = keys.map((key, i) => certificate({
		subject: names[i], issuer: names[Math.max(i - 1, 0)], key, issuerKey: keys[Math.max(i - 1, 0)],
		from: now - 3600, until: now + 7200,
		extensions: i === 4 ? [basicConstraints(false), keyUsage(false, ...SIGN)]
			: [basicConstraints(true, i === 0 ? undefined : 3 - i), keyUsage(true, ...CERT_SIGN)],
	}));
	return { chain, leafKey: keys[4], pem: pem('CERTIFICATE', chain[0]) };
}

// One document; pcrs is {index: Buffer of 48}, the rest Buffers or null.
export function makeDocument(root, { pcrs, nonce = null, userData = null, publicKey = null,
	timestampMs = Date.now(), moduleId = 'i-0123456789abcdef0-enc0123456789abcdef' }) {
	const entries = Object.entries(pcrs);
	const payload = Buffer.concat([Buffer.from([0xbf]),
		text('module_id'), text(moduleId), text('digest'), text('SHA384'),
		text('timestamp'), head(0, timestampMs),
		text('pcrs'), head(5, entries.length), ...entries.flatMap(([i, v]) => [head(0, Number(i)), bytes(v)]),
		text('certificate'), bytes(root.chain[4]),
		text('cabundle'), head(4, 4), ...root.chain.slice(0, 4).map(bytes),
		text('public_key'), bytes(publicKey), text('user_data'), bytes(userData), text('nonce'), bytes(nonce),
		Buffer.from([0xff])]);
	const header = Buffer.from('a1013822', 'hex');
	const signed = Buffer.concat([head(4, 4), text('Signature1'), bytes(header), bytes(Buffer.alloc(0)),
		bytes(payload)]);
	const signature = sign('sha384', signed, { key: root.leafKey, dsaEncoding: 'ieee-p1363' });
	return Buffer.concat([head(4, 4), bytes(header), Buffer.from([0xa0]), bytes(payload), bytes(signature)]);
}

// Keys of one enclave and what they sign.
export function makeKeys() {
	const now = Math.floor(Date.now() / 1000);
	const tlsKey = ecKey('prime256v1'), receiptKey = ecKey('prime256v1');
	const signingKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
	const spki = key => createPublicKey(key).export({ type: 'spki', format: 'der' });
	const tls = certificate({ subject: 'localhost', issuer: 'localhost', key: tlsKey, issuerKey: tlsKey,
		from: now - 60, until: now + 86400, hash: 256,
		extensions: [basicConstraints(false), keyUsage(true, ...SIGN)] });
	return { tlsKey, tls, receiptKey, signingKey, signingSpki: spki(signingKey), receiptSpki: spki(receiptKey) };
}

export function userData(keys) {
	const prefix = Buffer.from([0x12, 0x20]);
	return Buffer.concat([prefix, sha256(keys.tls), prefix, sha256(keys.signingSpki)]);
}

export function makeJwk(keys, attestation) {
	const { kty, crv, x, y } = createPublicKey(keys.receiptKey).export({ format: 'jwk' });
	const kid = b64url(sha256(JSON.stringify({ crv, kty, x, y })));
	const voucher = sign('sha256', Buffer.concat([Buffer.from('tee-receipt-key-v1'), keys.receiptSpki]),
		{ key: keys.signingKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
	return { kty, crv, x, y, kid, use: 'sig', alg: 'ES256', signing_key: b64url(keys.signingSpki),
		receipt_key_signature: voucher.toString('base64'),
		...(attestation ? { attestation: attestation.toString('base64') } : {}) };
}

function jws(keys, typ, payload) {
	const { kid } = makeJwk(keys);
	const signed = `${b64url(JSON.stringify({ alg: 'ES256', kid, typ }))}.${b64url(payload)}`;
	return `${signed}.${b64url(sign('sha256', Buffer.from(signed),
		{ key: keys.receiptKey, dsaEncoding: 'ieee-p1363' }))}`;
}

/*
 * startFakeEnclave({root, keys, pcrs, bend}): an enclave that answers over TLS.
 * bend		functions that replace one answer: attestation(nonce, genuine) -> Buffer,
 *		signingKey(object), jwks(object), config(object, sign) -> object
 * tls		keys whose TLS certificate the connection shows, instead of the enclave's own
 * missing	a path that answers 404; chunked: without lengths; cut: a byte less than announced
 */
export async function startFakeEnclave({ root = makeRoot(), keys = makeKeys(), tls, bend = {}, missing,
	chunked = false, cut = false,
	pcrs = Object.fromEntries([0, 1, 2].map(i => [i, Buffer.alloc(48, 0xa0 + i)])) } = {}) {
	const same = value => value;
	const document = nonce => makeDocument(root,
		{ pcrs, nonce, userData: userData(keys), publicKey: keys.receiptSpki });
	const jwk = makeJwk(keys, document(null));
	const config = JSON.stringify({ mode: 'enclave', platform: 'aws-nitro', version: '0.1.0' });
	const answers = {
		'/enclave/attestation': query => {
			const nonce = Buffer.from(query.get('nonce') ?? '', 'hex');
			return `${(bend.attestation ?? ((_, d) => d))(nonce, document(nonce)).toString('base64')}\n`;
		},
		'/signing-key': () => JSON.stringify((bend.signingKey ?? same)({
			public_key: createPublicKey(keys.signingKey).export({ type: 'spki', format: 'pem' }),
			tee_id: `0x${Buffer.from(keccak_256(keys.signingSpki)).toString('hex')}`,
			receipt_key: makeJwk(keys), receipt_key_signature: jwk.receipt_key_signature,
		})),
		'/.well-known/jwks.json': () => JSON.stringify((bend.jwks ?? same)({ keys: [jwk] })),
		'/.well-known/tee-config': () => {
			const { text: shown, signed } = (bend.config ?? same)({ text: config, signed: config });
			return `{"config":${shown},"jws":"${jws(keys, 'tee-config+jwt', signed)}"}`;
		},
	};
	const server = https.createServer({
		key: (tls?.tlsKey ?? keys.tlsKey).export({ type: 'pkcs8', format: 'pem' }),
		cert: pem('CERTIFICATE', tls?.tls ?? keys.tls),
	}, (request, response) => {
		const url = new URL(request.url, 'https://localhost');
		const answer = url.pathname === missing ? undefined : answers[url.pathname];
		const body = answer ? answer(url.searchParams) : 'not found';
		response.writeHead(answer ? 200 : 404,
			chunked ? {} : { 'content-length': Buffer.byteLength(body) + (cut ? 1 : 0) });
		if (cut)
			response.write(body, () => response.destroy());
		else
			response.end(body);
	});
	await new Promise(ok => server.listen(0, '127.0.0.1', ok));
	return {
		root, keys, pcrs, document, jwk, config,
		url: `https://127.0.0.1:${server.address().port}`,
		close: () => new Promise(ok => server.close(ok)),
	};
}

// The certificates must be ones that others read too.
for (const one of makeRoot().chain)
	new X509Certificate(one);
