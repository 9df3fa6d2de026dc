// Whom the gateway talks to: an upstream that cannot prove its name gets no byte of a request, and
// the receipt shows the connection that carried this one, as openssl sees it (FLT-24, R7).
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { exchange, json as parse, post, startGateway } from './gateway.mjs';
import { sha256 } from './fake-openai.mjs';
import { delta, event, usage } from './raw-upstream.mjs';
import { parseStream, readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

const run = promisify(execFile);
const answer = JSON.stringify({ id: 'u', object: 'chat.completion', created: 1, model: 'served',
	choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
	usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });
const events = delta('hi') + delta(null, 'stop') + usage + event('[DONE]');

const DAY = 86400e3;
const ca = name => ({ ca: name });
const LEAVES = {
	good: { names: 'DNS:localhost', ...ca('ours') },
	other: { names: 'DNS:localhost', ...ca('ours') },
	rsa: { names: 'DNS:localhost', rsa: true, ...ca('ours') },
	stranger: { names: 'DNS:localhost', ...ca('theirs') },
	'wrong name': { names: 'DNS:api.example.com', ...ca('ours') },
	'address only': { names: 'IP:127.0.0.1', ...ca('ours') },
	expired: { names: 'DNS:localhost', from: -10 * DAY, to: -DAY, ...ca('ours') },
	'not yet valid': { names: 'DNS:localhost', from: DAY, to: 10 * DAY, ...ca('ours') },
	'a client\'s': { names: 'DNS:localhost', use: 'clientAuth', ...ca('ours') },
};

// "YYYYMMDDHHMMSSZ", as openssl ca takes it.
const stamp = ms => new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '');

function makeIdentities(dir) {
	const file = name => path.join(dir, name.replaceAll(/\W/g, '-'));
	const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
	const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
	const pem = name => `${file(name)}.pem`, key = name => `${file(name)}.key`;
	const made = {};

	for (const name of ['ours', 'theirs']) {
		openssl('req', '-x509', ...ec, '-days', '30', '-subj', `/CN=${name}`, '-keyout', key(name),
			'-out', pem(name), '-addext', 'keyUsage=critical,keyCertSign');
		fs.writeFileSync(`${file(name)}.txt`, '');
	}
	for (const [name, { names, rsa, ca, from = -DAY, to = DAY, use = 'serverAuth' }] of Object.entries(LEAVES)) {
		const config = `${file(name)}.cnf`, request = `${file(name)}.csr`;

		openssl('req', ...(rsa ? ['-newkey', 'rsa:2048', '-nodes'] : ec), '-subj', '/CN=localhost',
			'-keyout', key(name), '-out', request);
		fs.writeFileSync(config, `[ca]\ndefault_ca=a\n[a]\ndatabase=${file(ca)}.txt\nnew_certs_dir=${dir}\n`
			+ 'rand_serial=yes\ndefault_md=sha256\nunique_subject=no\npolicy=p\n[p]\ncommonName=supplied\n'
			+ `[e]\nsubjectAltName=${names}\nextendedKeyUsage=${use}\nbasicConstraints=CA:FALSE\n`);
		openssl('ca', '-batch', '-notext', '-config', config, '-extensions', 'e', '-in', request, '-cert', pem(ca),
			'-keyfile', key(ca), '-startdate', stamp(Date.now() + from), '-enddate', stamp(Date.now() + to),
			'-out', pem(name));
		made[name] = { pem: pem(name), key: fs.readFileSync(key(name)), cert: fs.readFileSync(pem(name)) };
	}
	return { leaf: made, caFile: pem('ours') };
}

function respond(request, response) {
	const parts = [];

	request.on('data', part => parts.push(part));
	request.on('end', () => {
		const streamed = JSON.parse(Buffer.concat(parts)).stream === true;

		upstream.requests.push({ version: request.httpVersion, socket: request.socket ?? request.stream.session });
		response.writeHead(200, { 'content-type': streamed ? 'text/event-stream' : 'application/json' });
		response.end(streamed ? events : answer);
	});
}

// One port whose next connection meets whatever upstream.show() says. Nothing listens behind.
const upstream = {
	requests: [], sockets: new Set(), shown: null, connections: 0,
	show(handler) {
		upstream.shown = handler;
	},
	tls(leaf, options = {}) {
		const { key, cert } = identities.leaf[leaf];
		const server = options.http1 ? https.createServer({ key, cert, ...options }, respond)
			: http2.createSecureServer({ key, cert, allowHTTP1: true, ...options }, respond);

		server.on('tlsClientError', () => {});
		server.on('sessionError', () => {});
		upstream.show(socket => server.emit('connection', socket));
	},
	forget() {
		for (const socket of upstream.sockets)
			socket.destroy();
		upstream.requests.length = 0;
		upstream.connections = 0;
	},
};

let directory, identities, listener, gateway, identity;

before(async () => {
	directory = fs.mkdtempSync(path.join(os.tmpdir(), 'upstream-tls-'));
	identities = makeIdentities(directory);
	listener = net.createServer(socket => {
		upstream.connections++;
		upstream.sockets.add(socket);
		socket.on('error', () => {});
		socket.on('close', () => upstream.sockets.delete(socket));
		upstream.shown(socket);
	});
	await new Promise(ok => listener.listen(0, '127.0.0.1', ok));
	gateway = await startGateway({ loops: 1, env: { OPENAI_API_KEY: 'sk-marker', TEE_GATEWAY_CA_FILE: identities.caFile,
		OPENAI_BASE_URL: `https://localhost:${listener.address().port}/v1` } });
	identity = await readIdentity(gateway);
});

after(async () => {
	await gateway?.stop();
	upstream.forget();
	await new Promise(ok => listener?.close(ok));
	fs.rmSync(directory, { recursive: true, force: true });
});

const ask = streamed => JSON.stringify({ model: 'gpt-4.1', stream: streamed, messages: [{ role: 'user', content: 'hi' }] });
const send = request => post(`${gateway.url}/v1/chat/completions`, request);

// What openssl says of the listener and of the certificate file, for the claims of a receipt.
async function opensslView(leaf, protocol) {
	const { pem } = identities.leaf[leaf];
	const der = (...args) => run('openssl', args, { encoding: 'buffer' }).then(done => done.stdout);
	const asked = run('openssl', ['s_client', '-brief', '-connect', `localhost:${listener.address().port}`,
		'-servername', 'localhost', '-verify_hostname', 'localhost', '-verify_return_error',
		'-CAfile', identities.caFile, ...(protocol ? ['-alpn', protocol] : [])]);

	asked.child.stdin.end();
	const { stderr } = await asked;
	assert.match(stderr, /^Verification: OK$/m);
	assert.match(stderr, /^Verified peername: localhost$/m);
	const publicKey = path.join(directory, 'public.pem');
	fs.writeFileSync(publicKey, await der('x509', '-in', pem, '-noout', '-pubkey'));
	return {
		host: 'localhost',
		tls: /^Protocol version: (\S+)$/m.exec(stderr)[1],
		cert: sha256(await der('x509', '-in', pem, '-outform', 'DER')),
		spki: sha256(await der('pkey', '-pubin', '-in', publicKey, '-outform', 'DER')),
	};
}

async function claimsOf(streamed) {
	const request = ask(streamed);
	const response = await send(request);

	assert.equal(response.status, 200, response.body.toString());
	const { content, jws } = streamed ? splitStream(response.body)
		: { content: response.body, jws: response.headers['tee-receipt'] };
	const claims = await verifyReceipt(identity, jws, { request, content });
	assert.equal(claims.outcome, 'complete');
	if (streamed)
		assert.equal(parseStream(response.body).at(-1).usage.total_tokens, 5);
	return claims;
}

const refused = [
	['unknown CA', () => upstream.tls('stranger')],
	['wrong name', () => upstream.tls('wrong name')],
	['its address is not its name', () => upstream.tls('address only')],
	['expired', () => upstream.tls('expired')],
	['not yet valid', () => upstream.tls('not yet valid')],
	['a certificate for clients', () => upstream.tls('a client\'s')],
	['only TLS 1.1', () => upstream.tls('good', { minVersion: 'TLSv1', maxVersion: 'TLSv1.1',
		ciphers: 'DEFAULT@SECLEVEL=0' })],
	['plain HTTP in place of TLS', () => upstream.show(socket => {
		socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`);
	})],
	['a fatal alert in place of a handshake', () => upstream.show(socket => {
		socket.end(Buffer.from('15030300020228', 'hex'));
	})],
];

for (const [name, show] of refused)
	test(`FLT-24: ${name}`, async () => {
		upstream.forget();
		show();
		for (const streamed of [false, true]) {
			const request = ask(streamed);
			const response = await send(request);
			const { error } = parse(response);

			assert.equal(response.status, 502);
			assert.equal(error.type, 'upstream_error');
			assert.equal(error.code, 'upstream_tls');
			assert.ok(!JSON.stringify(error).includes('sk-marker'));
			const claims = await verifyReceipt(identity, response.headers['tee-receipt'],
				{ request, content: response.body });
			assert.equal(claims.outcome, 'failed');
			assert.equal(claims.status, 502);
			assert.equal(claims.upstream, undefined, 'nobody was verified');
			assert.equal(claims.up, undefined);
			assert.equal(claims.hash, undefined);
		}
		assert.equal(upstream.requests.length, 0, 'no request was sent');
	});

const shown = [
	['HTTP/2, TLS 1.3', 'good', {}, 'h2', false, '2.0'],
	['HTTP/2, TLS 1.2', 'good', { maxVersion: 'TLSv1.2' }, 'h2', false, '2.0'],
	['HTTP/1.1, TLS 1.3', 'other', { http1: true }, '', false, '1.1'],
	['HTTP/1.1, an RSA certificate', 'rsa', { http1: true }, '', false, '1.1'],
	['a stream, TLS 1.3', 'good', {}, 'http/1.1', true, '1.1'],
	['a stream, TLS 1.2', 'rsa', { maxVersion: 'TLSv1.2' }, 'http/1.1', true, '1.1'],
];

for (const [name, leaf, options, protocol, streamed, version] of shown)
	test(`R7: the upstream of ${name}, as openssl sees it`, async () => {
		upstream.forget();
		upstream.tls(leaf, options);
		const want = await opensslView(leaf, protocol);
		upstream.forget();
		// Twice on one connection; new ones would meet somebody else.
		const first = await claimsOf(streamed);
		upstream.tls('stranger');
		const second = await claimsOf(streamed);

		assert.deepEqual(first.upstream, want);
		assert.deepEqual(second.upstream, want);
		assert.equal(upstream.connections, 1);
		assert.deepEqual(upstream.requests.map(request => request.version), [version, version]);
	});

test('FLT-24: another key after a reconnect', async () => {
	upstream.forget();
	upstream.tls('good');
	const before = await opensslView('good', 'h2');
	assert.deepEqual((await claimsOf(false)).upstream, before);
	upstream.forget();
	upstream.tls('other');
	const after = await opensslView('other', 'h2');
	assert.notEqual(before.spki, after.spki);
	for (const streamed of [false, true])
		assert.deepEqual((await claimsOf(streamed)).upstream, after);
});

test('after all refusals nothing is open', async () => {
	upstream.forget();
	upstream.tls('good');
	assert.equal((await claimsOf(true)).outcome, 'complete');
	const { body } = await exchange(`${gateway.url}/metrics`);
	assert.match(body.toString(), /^tee_gateway_streams_open 0$/m);
	assert.match(body.toString(), /^tee_gateway_memory_bytes 0$/m);
	assert.ok(!gateway.stderr().includes('sk-marker'));
});
