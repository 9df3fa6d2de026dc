// The routes of nitriding, row by row: statuses, bodies and the order of checks
// (nitro-attestation.md 5.3, 5.4; interfaces.md 4, H4, H5).
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { after, before, test } from 'node:test';
import { exchange, json, startGateway } from './gateway.mjs';
import { decode } from './cbor.mjs';

const NONCE = 'aabbccddeeff00112233445566778899AABBCCDD';
const where = '/enclave/attestation';
const MISSING = 'could not find nonce in URL query parameters\n';
const FORMAT = 'unexpected nonce format; must be 40-digit hex string\n';
const LENGTH = 'slice is not of same length as nonce\n';
const QUERY = 'failed to parse POST form data\n';

let gateway, ca;
before(async () => {
	gateway = await startGateway();
	ca = await gateway.certificate();
});
after(() => gateway?.stop());

const get = (path, rest = {}) => exchange(`${gateway.url}${path}`, rest);

// The fields of a Base64 document, unverified.
function fields(response) {
	assert.match(response.body.toString(), /^[A-Za-z0-9+/]+={0,2}\n$/, 'one line of padded Base64');
	const [, , payload] = decode(Buffer.from(response.body.toString(), 'base64'));
	return decode(payload);
}

for (const [rule, query, body] of [
	['no query', '', MISSING],
	['an empty query', '?', MISSING],
	['an empty nonce', '?nonce=', MISSING],
	['a nonce without value', '?nonce', MISSING],
	['another parameter only', `?nonse=${NONCE}`, MISSING],
	['names differ by case', `?Nonce=${NONCE}`, MISSING],
	['the first of two nonces is empty', `?nonce=&nonce=${NONCE}`, MISSING],
	['no hex', `?nonce=${'z'.repeat(40)}`, FORMAT],
	['an odd number of digits', `?nonce=${NONCE.slice(1)}`, FORMAT],
	['a sign', `?nonce=0x${NONCE.slice(2)}`, FORMAT],
	['a plus is a space', `?nonce=+${NONCE.slice(1)}`, FORMAT],
	['an escaped NUL', `?nonce=%00${NONCE.slice(1)}`, FORMAT],
	['no hex counts before the length', '?nonce=zz', FORMAT],
	['one byte', '?nonce=aa', LENGTH],
	['19 bytes', `?nonce=${NONCE.slice(2)}`, LENGTH],
	['21 bytes', `?nonce=${NONCE}00`, LENGTH],
	['the first of two nonces is short', `?nonce=aa&nonce=${NONCE}`, LENGTH],
	['a bad escape in the nonce', '?nonce=%zz', QUERY],
	['half an escape', `?nonce=${NONCE}%4`, QUERY],
	['a bad escape in another parameter', `?nonce=${NONCE}&x=%`, QUERY],
	['a bad escape in a name', `?nonce=${NONCE}&%g0=1`, QUERY],
	['a semicolon', `?a=1;nonce=${NONCE}`, QUERY],
	['a semicolon behind the nonce', `?nonce=${NONCE}&a;b`, QUERY],
	['the query counts before the nonce', '?nonce=zz&%', QUERY],
])
	test(`5.4: ${rule} is 400`, async () => {
		const answer = await get(where + query);
		assert.equal(answer.status, 400);
		assert.equal(answer.body.toString(), body);
		assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
		assert.equal(answer.headers['x-content-type-options'], 'nosniff');
		assert.equal(answer.headers['access-control-allow-origin'], '*');
	});

for (const [rule, query, nonce = NONCE] of [
	['upper and lower case', `?nonce=${NONCE}`],
	['the first of two nonces', `?nonce=${NONCE}&nonce=zz`],
	['an escaped name', `?%6eonc%65=${NONCE}`],
	['escaped digits', `?nonce=%61a${NONCE.slice(2)}`],
	['other parameters and empty ones', `?&a=b&&nonce=${NONCE}&c`],
	['an equals sign in another value', `?a=b=c&nonce=${NONCE}`],
	['zeros', `?nonce=${'0'.repeat(40)}`, '0'.repeat(40)],
])
	test(`5.4: ${rule}: a document over that nonce`, async () => {
		const answer = await get(where + query);
		assert.equal(answer.status, 200, answer.body.toString());
		assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
		assert.equal(answer.headers['cache-control'], 'no-store, no-transform');
		assert.deepEqual(fields(answer).nonce, Buffer.from(nonce, 'hex'));
	});

for (const [path, methods] of [
	['/enclave', ['HEAD', 'POST', 'PUT']],
	[`${where}?nonce=${NONCE}`, ['HEAD', 'POST', 'DELETE']],
	['/enclave/config', ['HEAD', 'PATCH']],
	['/enclave/soft-root.pem', ['HEAD', 'POST']],
])
	for (const method of methods)
		test(`5.3: ${method} ${path.split('?')[0]} is 405 without a body`, async () => {
			const answer = await get(path, { method });
			assert.equal(answer.status, 405);
			assert.equal(answer.headers.allow, 'GET, OPTIONS');
			assert.equal(answer.body.length, 0);
		});

for (const path of ['/enclave/', `${where}/?nonce=${NONCE}`, '/enclave%2Fattestation', '/enclave/debug/pprof',
	'/enclave/state', '/enclave/hash', '/Enclave'])
	test(`5.3: ${path.split('?')[0]} is 404`, async () => {
		const answer = await get(path);
		assert.equal(answer.status, 404);
		assert.match(answer.headers['content-type'], /^text\/plain/);
	});

test('5.4: the index begins with nitriding\'s line, and says what local mode is', async () => {
	const answer = await get('/enclave');
	assert.equal(answer.status, 200);
	assert.match(answer.body.toString(), /^This host runs inside an AWS Nitro Enclave\.\n.*simulated.*\n\n$/s);
});

test('5.4: the configuration has Go\'s names in Go\'s order, indented by two', async () => {
	const answer = await get('/enclave/config');
	const config = json(answer);
	assert.deepEqual(Object.keys(config), ['FQDN', 'FQDNLeader', 'ExtPubPort', 'ExtPrivPort', 'IntPort',
		'UseVsockForExtPort', 'DisableKeepAlives', 'HostProxyPort', 'PrometheusPort', 'PrometheusNamespace',
		'UseProfiling', 'UseACME', 'Debug', 'FdCur', 'FdMax', 'AppURL', 'AppWebSrv', 'WaitForApp', 'MockCertFp']);
	assert.equal(config.ExtPubPort, gateway.tlsPort);
	assert.ok(config.FdCur > 0 && config.FdMax >= config.FdCur);
	assert.equal(answer.body.toString(), `${JSON.stringify(config, null, 2)}\n`);
});

test('A4: user_data and public_key are this gateway\'s, and the shape is the real one', async () => {
	const answer = await exchange(`${gateway.tlsUrl}${where}?nonce=${NONCE}`, { ca });
	const document = Buffer.from(answer.body.toString(), 'base64');
	const doc = fields(answer);
	const sha256 = bytes => crypto.createHash('sha256').update(bytes).digest();
	const keys = json(await get('/signing-key'));
	const spki = crypto.createPublicKey(keys.public_key).export({ type: 'spki', format: 'der' });
	const { kty, crv, x, y } = keys.receipt_key;
	const receipt = crypto.createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' });

	assert.equal(document.subarray(0, 8).toString('hex'), '8444a1013822a059');
	const [, , payload, signature] = decode(document);
	assert.equal(payload[0], 0xbf, 'a map of indefinite length');
	assert.equal(signature.length, 96);
	assert.deepEqual(Object.keys(doc), ['module_id', 'digest', 'timestamp', 'pcrs', 'certificate', 'cabundle',
		'public_key', 'user_data', 'nonce']);
	assert.deepEqual(doc.user_data, Buffer.concat([Buffer.from('1220', 'hex'),
		sha256(new crypto.X509Certificate(ca).raw), Buffer.from('1220', 'hex'), sha256(spki)]));
	assert.deepEqual(doc.public_key, receipt.export({ type: 'spki', format: 'der' }));
	assert.match(doc.module_id, /^local-simulation-i-[0-9a-f]{17}-enc[0-9a-f]{16}$/);
	assert.equal(doc.digest, 'SHA384');
	assert.ok(Math.abs(doc.timestamp - Date.now()) < 60_000);
	assert.deepEqual(Object.keys(doc.pcrs), Array.from({ length: 16 }, (_, i) => String(i)));
	assert.ok(Object.values(doc.pcrs).every(pcr => pcr.equals(Buffer.alloc(48))));
	assert.equal(doc.cabundle.length, 4);
});

test('A4: the chain leads to the soft root, link by link', async () => {
	const root = await get('/enclave/soft-root.pem');
	assert.equal(root.status, 200);
	const doc = fields(await get(`${where}?nonce=${NONCE}`));
	const chain = [...doc.cabundle, doc.certificate].map(der => new crypto.X509Certificate(der));
	assert.deepEqual(chain[0].raw, new crypto.X509Certificate(root.body).raw);
	for (let i = 1; i < chain.length; i++) {
		assert.ok(chain[i].verify(chain[i - 1].publicKey), `link ${i}`);
		assert.equal(chain[i].issuer, chain[i - 1].subject);
	}
	const [header, , payload, signature] = decode(Buffer.from(
		(await get(`${where}?nonce=${NONCE}`)).body.toString(), 'base64'));
	const length = Buffer.alloc(2);
	length.writeUInt16BE(payload.length);
	const signed = Buffer.concat([Buffer.from('846a', 'hex'), Buffer.from('Signature1'), Buffer.from([0x44]), header,
		Buffer.from('4059', 'hex'), length, payload]);
	assert.ok(crypto.verify('sha384', signed, { key: chain[4].publicKey, dsaEncoding: 'ieee-p1363' }, signature));
});

test('R3: the key set carries a document of its own, without a nonce, and its age is bounded', async () => {
	const [key] = json(await get('/.well-known/jwks.json')).keys;
	const [, , payload] = decode(Buffer.from(key.attestation, 'base64'));
	const doc = decode(payload);
	assert.equal(doc.nonce, null);
	assert.ok(Date.now() - doc.timestamp < 600_000);
	const { kty, crv, x, y } = key;
	assert.deepEqual(doc.public_key, crypto.createPublicKey({ key: { kty, crv, x, y }, format: 'jwk' })
		.export({ type: 'spki', format: 'der' }));
	assert.equal(json(await get('/health')).tee_enabled, false, 'a simulation is no TEE');
});
