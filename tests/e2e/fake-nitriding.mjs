/*
 * The nitriding daemon, as far as an application sees it (nitro-attestation.md 5): its internal
 * interface, and in front a TLS server that attests and passes the rest on.
 */
import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { makeDocument, makeKeys, makeRoot } from './fake-enclave.mjs';

const sha256 = bytes => createHash('sha256').update(bytes).digest();
const listen = (server, port = 0) => new Promise((ok, fail) => {
	server.once('error', fail);
	server.listen(port, '127.0.0.1', () => ok(server.address().port));
});

/*
 * startNitriding({port, app, answer}): internal interface on `port` (0: any).
 * app		where requests are passed on to, http://...; asked for when a request comes
 * answer	(method, path, n) -> status or undefined, instead of the daemon's own; n counts from 1
 * seen		{method, path, headers, body, status} of every internal request, in order
 * open()	starts the TLS server, as -wait-for-app does after /enclave/ready; resolves to its URL
 * certificate	that it shows, PEM
 */
export async function startNitriding({ port = 0, app, answer = () => undefined, root = makeRoot(),
	pcrs = Object.fromEntries([0, 1, 2].map(i => [i, Buffer.alloc(48, 0xb0 + i)])) } = {}) {
	const keys = makeKeys(), seen = [];
	let hash = Buffer.alloc(32), ready = false;

	const own = (method, path, body) => {
		if (method === 'POST' && path === '/enclave/hash') {
			if (body.length > 45)
				return [400, 'reached read limit\n'];
			const bytes = Buffer.from(body.toString().trim(), 'base64');
			if (bytes.length !== 32)
				return [400, 'given hash is of invalid size\n'];
			hash = bytes;
			return [200, ''];
		}
		if (method === 'GET' && path === '/enclave/ready') {
			const first = !ready;
			ready = true;
			return [first ? 200 : 410, ''];
		}
		return [404, '404 page not found\n'];
	};
	const inside = http.createServer((request, response) => {
		const parts = [];
		request.on('data', part => parts.push(part));
		request.on('end', () => {
			const { method, url: path, headers } = request, body = Buffer.concat(parts);
			const forced = answer(method, path, seen.length + 1);
			const [status, text] = forced === undefined ? own(method, path, body) : [forced, ''];
			seen.push({ method, path, headers, body, status });
			response.writeHead(status, { 'content-length': text.length });
			response.end(text);
		});
	});
	const internalPort = await listen(inside, port);

	// Go's single-host proxy: keeps Host, adds the peer to X-Forwarded-For.
	const pass = (request, response) => {
		const to = new URL(app());
		const forwarded = [request.headers['x-forwarded-for'], '192.168.127.1'].filter(Boolean).join(', ');
		const onward = http.request({ host: to.hostname, port: to.port, path: request.url, agent: false,
			method: request.method, headers: { ...request.headers, 'x-forwarded-for': forwarded } }, answered => {
			response.writeHead(answered.statusCode, answered.rawHeaders);
			answered.pipe(response);
		});
		onward.once('error', () => { response.writeHead(502); response.end(); });
		request.pipe(onward);
	};
	const documentFor = nonce => {
		const prefix = Buffer.from([0x12, 0x20]);
		return makeDocument(root, { pcrs, nonce, publicKey: Buffer.from('dummy'),
			userData: Buffer.concat([prefix, sha256(keys.tls), prefix, hash]) });
	};
	const certificate = `-----BEGIN CERTIFICATE-----\n${keys.tls.toString('base64')}\n-----END CERTIFICATE-----\n`;
	const front = https.createServer({ key: keys.tlsKey.export({ type: 'pkcs8', format: 'pem' }),
		cert: certificate }, (request, response) => {
		const url = new URL(request.url, 'https://localhost');
		if (request.method !== 'GET' || url.pathname !== '/enclave/attestation')
			return pass(request, response);
		const body = `${documentFor(Buffer.from(url.searchParams.get('nonce') ?? '', 'hex')).toString('base64')}\n`;
		response.writeHead(200, { 'content-length': body.length });
		response.end(body);
	});

	return {
		root, pcrs, keys, seen, certificate,
		url: `http://127.0.0.1:${internalPort}`,
		port: internalPort,
		async open() {
			return `https://127.0.0.1:${await listen(front)}`;
		},
		async close() {
			for (const server of [inside, front]) {
				server.closeAllConnections();
				await new Promise(ok => server.close(ok));
			}
		},
	};
}
