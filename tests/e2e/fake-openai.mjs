// A look-alike of OpenAI's API over TLS, with a certificate authority made for this run. Tests say
// what it answers; it remembers every byte it got and sent, and what certificate it showed.
import { createHash, X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { root } from './gateway.mjs';

export function sha256(bytes) {
	return createHash('sha256').update(bytes).digest('base64url');
}

export function fixture(name) {
	return fs.readFileSync(path.join(root, 'tests/fixtures/openai', name));
}

// A CA and one leaf for localhost under it, as files in a new directory.
export function makeCertificates() {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fake-openai-'));
	const file = name => path.join(dir, name);
	const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

	openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=Test CA', '-keyout', file('ca.key'),
		'-out', file('ca.pem'), '-addext', 'keyUsage=critical,keyCertSign');
	openssl('req', ...key, '-subj', '/CN=localhost', '-keyout', file('leaf.key'), '-out', file('leaf.csr'));
	fs.writeFileSync(file('leaf.ext'),
		'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n');
	openssl('x509', '-req', '-days', '2', '-in', file('leaf.csr'), '-CA', file('ca.pem'),
		'-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file('leaf.ext'), '-out', file('leaf.pem'));
	return { dir, caFile: file('ca.pem'), key: fs.readFileSync(file('leaf.key')), cert: fs.readFileSync(file('leaf.pem')) };
}

/*
 * startFakeOpenAI({http1}): speaks HTTP/2 and HTTP/1.1 by ALPN, or HTTP/1.1 alone.
 * answer(...)	queues one answer: a function (reply) => ..., or one made by whole() or stream()
 * drop()	forgets what is still queued
 * kill()	ends every connection at once, as when the process dies; new ones are taken
 * calls	what came, in order: {method, path, headers, body, sent, closed}
 * env		what the gateway needs to find it
 */
export async function startFakeOpenAI({ http1 = false } = {}) {
	const certificates = makeCertificates();
	const leaf = new X509Certificate(certificates.cert);
	const queue = [];
	const calls = [];
	const sessions = new Set(), sockets = new Set();
	const { key, cert } = certificates;
	const server = http1 ? https.createServer({ key, cert })
		: http2.createSecureServer({ key, cert, allowHTTP1: true });
	server.on('session', session => sessions.add(session));
	server.on('connection', socket => {
		sessions.add(socket);
		sockets.add(socket);
		socket.on('close', () => sockets.delete(socket));
		socket.on('error', () => {});
	});
	server.on('request', (request, response) => {
		const parts = [];
		request.on('data', part => parts.push(part));
		request.on('end', () => {
			let closed;
			const call = {
				method: request.method, path: request.url, headers: request.headers,
				version: request.httpVersion, body: Buffer.concat(parts), sent: Buffer.alloc(0),
				closed: new Promise(ok => { closed = ok; }),
			};
			calls.push(call);
			response.on('close', () => closed());
			response.on('error', () => {});
			const answer = queue.shift() ?? whole({ error: { message: 'nothing was queued' } }, { status: 500 });
			answer({
				call,
				head: (status, headers) => response.writeHead(status, headers),
				// Resolves once the bytes were taken, so that they leave as their own piece.
				write: bytes => {
					const piece = Buffer.from(bytes);
					call.sent = Buffer.concat([call.sent, piece]);
					const taken = new Promise(ok => response.write(piece, () => ok()));
					return Promise.race([taken, call.closed]);
				},
				end: () => response.end(),
				cut: () => (response.stream ? response.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
					: request.socket.destroy()),
			});
		});
	});
	await new Promise(ok => server.listen(0, '127.0.0.1', ok));
	const { port } = server.address();
	return {
		calls, port,
		host: 'localhost',
		cert: sha256(leaf.raw),
		spki: sha256(leaf.publicKey.export({ type: 'spki', format: 'der' })),
		caFile: certificates.caFile,
		env: {
			OPENAI_API_KEY: 'sk-test-of-the-gateway',
			OPENAI_BASE_URL: `https://localhost:${port}/v1`,
			TEE_GATEWAY_CA_FILE: certificates.caFile,
		},
		answer: (...answers) => queue.push(...answers),
		last: () => calls.at(-1),
		drop: () => queue.splice(0), // answers that nobody came for
		kill() {
			for (const socket of sockets)
				socket.resetAndDestroy();
		},
		async close() {
			const over = new Promise(ok => server.close(ok));
			for (const session of sessions)
				session.destroy();
			await over;
			fs.rmSync(certificates.dir, { recursive: true });
		},
	};
}

const HEADERS = { 'x-request-id': 'req_0123456789abcdef', 'openai-organization': 'org-test' };

// One JSON body; objects are printed, text and bytes are sent as they are.
export function whole(body, { status = 200, headers = {} } = {}) {
	return async reply => {
		const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
		reply.head(status, { 'content-type': 'application/json', ...HEADERS, ...headers });
		await reply.write(bytes);
		reply.end();
	};
}

/*
 * An event stream. `body` is all of it; `step` cuts it into pieces of so many bytes, so that events
 * and characters arrive split. `hold` (a promise) is waited for before the last `tail` bytes.
 */
export function stream(body, { step = 0, hold, tail = 0, cut = false } = {}) {
	return async reply => {
		const bytes = Buffer.from(body);
		const first = hold ? bytes.length - tail : bytes.length;
		reply.head(200, { 'content-type': 'text/event-stream; charset=utf-8', ...HEADERS });
		for (let at = 0; at < first; at += step || first)
			await reply.write(bytes.subarray(at, Math.min(first, at + (step || first))));
		if (hold) {
			await hold;
			await reply.write(bytes.subarray(first));
		}
		if (cut)
			reply.cut();
		else
			reply.end();
	};
}

// Events as OpenAI writes them, [DONE] last.
export function events(...list) {
	return list.map(event => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`)
		.join('') + 'data: [DONE]\n\n';
}
