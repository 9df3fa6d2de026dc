// HTTP/1.1 strictness against the real program, on both listeners: each row of
// tests/vectors/http/strictness.txt, whose first lines explain it (stack.md).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { after, before, test } from 'node:test';
import { root, startGateway } from './gateway.mjs';

const PIECES = {
	get: 'GET /health HTTP/1.1\r\n',
	post: 'POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n',
};
const LAST = Buffer.from('GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');

function decode(text) {
	const parts = [];
	for (let i = 0; i < text.length; i++) {
		if (text[i] !== '\\') {
			parts.push(Buffer.from(text[i], 'latin1'));
			continue;
		}
		const kind = text[++i];
		if (kind === 'x') {
			parts.push(Buffer.from(text.slice(i + 1, i + 3), 'hex'));
			i += 2;
		} else if (kind === '{') {
			const inner = text.slice(i + 1, text.indexOf('}', i));
			i += inner.length + 1;
			const star = inner.indexOf('*');
			if (star < 0) {
				assert.ok(inner in PIECES, inner);
				parts.push(Buffer.from(PIECES[inner]));
			} else if (Number(inner.slice(0, star)) > 0) {
				const piece = decode(inner.slice(star + 1));
				parts.push(Buffer.alloc(piece.length * Number(inner.slice(0, star)), piece));
			}
		} else {
			parts.push(Buffer.from({ r: '\r', n: '\n', t: '\t' }[kind] ?? kind, 'latin1'));
		}
	}
	return Buffer.concat(parts);
}

const rows = fs.readFileSync(path.join(root, 'tests/vectors/http/strictness.txt'), 'utf8').split('\n')
	.filter(line => line !== '' && !line.startsWith('#'))
	.map(line => {
		const [status, rule, bytes] = line.split('\t');
		return { status: Number(status.slice(0, 3)), closes: status !== '200', rule, bytes: decode(bytes) };
	});

// Sends the bytes and reads to the end of the connection, which the gateway has to make.
function talk(gateway, secure, bytes) {
	return new Promise((ok, fail) => {
		const socket = secure
			? tls.connect({ port: gateway.tlsPort, host: '127.0.0.1', rejectUnauthorized: false })
			: net.connect({ port: gateway.port, host: '127.0.0.1' });
		const parts = [];
		const timer = setTimeout(() => {
			socket.destroy();
			fail(new Error(`still open after 4 s; got ${Buffer.concat(parts).toString('latin1')}`));
		}, 4000);
		socket.on('data', part => parts.push(part));
		// A reset after the answer is the client's own doing: it wrote on.
		socket.on('error', () => {});
		socket.on('close', () => {
			clearTimeout(timer);
			ok(Buffer.concat(parts).toString('latin1'));
		});
		socket.write(bytes);
	});
}

// Splits what came into answers by their lengths: nothing may be left over.
function answers(text) {
	const found = [];
	while (text !== '') {
		const end = text.indexOf('\r\n\r\n');
		assert.ok(end > 0 && text.startsWith('HTTP/1.1 '), `not an answer: ${text}`);
		const head = text.slice(0, end);
		const length = Number(/\r\nContent-Length: (\d+)/.exec(head)[1]);
		found.push({ status: Number(head.slice(9, 12)), head, body: text.slice(end + 4, end + 4 + length) });
		text = text.slice(end + 4 + length);
	}
	return found;
}

let gateway;
before(async () => { gateway = await startGateway(); });
after(() => gateway.stop());

assert.ok(rows.length > 130);
for (const secure of [false, true])
	for (const row of rows)
		test(`${secure ? 'TLS' : 'plain'}: ${row.rule}`, async () => {
			const text = await talk(gateway, secure,
				row.closes ? row.bytes : Buffer.concat([row.bytes, LAST]));
			const got = answers(text);
			assert.equal(got.length, row.closes ? 1 : 2, text);
			assert.equal(got[0].status, row.status, text);
			assert.match(got.at(-1).head, /\r\nConnection: close(\r\n|$)/);
			// H3: every answer, also the ones that no route made.
			for (const answer of got)
				assert.match(answer.head, /\r\nX-Request-Id: [A-Za-z0-9_-]{22,64}(\r\n|$)/i);
			if (row.status !== 200 && got[0].head.includes('application/json'))
				assert.equal(typeof JSON.parse(got[0].body).error.message, 'string'); // E1
			if (row.bytes.includes('POST /v1/') && row.status === 413)
				assert.ok(got[0].head.includes('application/json'), got[0].head);
		});
