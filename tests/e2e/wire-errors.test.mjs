// What the wire refuses is answered like everything else: shape and fields of the route, the same
// request id, and a log line with the status that was sent (interfaces.md H3, H5, H6, F3).
import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { startGateway } from './gateway.mjs';

let gateway;

before(async () => {
	gateway = await startGateway();
});

after(async () => {
	await gateway?.stop();
});

// Sends bytes, reads until the gateway closes.
function raw(bytes) {
	return new Promise((ok, fail) => {
		const socket = net.connect(gateway.port, '127.0.0.1', () => socket.write(bytes));
		let text = '';
		socket.setEncoding('latin1').on('data', part => { text += part; });
		socket.once('error', fail);
		socket.once('close', () => ok(text));
	});
}

const id = 'wire-error-0123456789abcdef';
const head = (path, rest) => `POST ${path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n`
	+ `Content-Type: application/json\r\n${rest}\r\n\r\n`;

const rows = [
	{ rule: 'a body that breaks while it comes', status: 400, code: 'bad_request',
		bytes: head('/v1/chat/completions', 'Transfer-Encoding: chunked') + 'zz\r\n' },
	{ rule: 'a chunked body above 20 MiB', status: 413, code: 'too_large',
		bytes: head('/v1/chat/completions', 'Transfer-Encoding: chunked') + '1400001\r\n'
			+ 'x'.repeat(0x1400001) },
];

for (const { rule, status, code, bytes } of rows)
	test(rule, async () => {
		const seen = gateway.stderr().length;
		const text = await raw(bytes);
		assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
		assert.match(text, new RegExp(`\r\nX-Request-Id: ${id}\r\n`));
		assert.match(text, /\r\nAccess-Control-Allow-Origin: \*\r\n/);
		assert.match(text, /\r\nCache-Control: no-store, no-transform\r\n/);
		assert.match(text, /\r\nConnection: close\r\n/);
		assert.equal(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)).error.code, code);
		const line = gateway.stderr().slice(seen).split('\n').find(l => l.includes(id));
		assert.match(line ?? '', new RegExp(` status=${status} .*outcome=refused error=${code}`));
	});

test('a head that is no HTTP on an unknown path: text, no CORS', async () => {
	const text = await raw('GET /nowhere HTTP/1.1\r\nHost: x\r\nBad Field: 1\r\n\r\n');
	assert.match(text, /^HTTP\/1\.1 400 /);
	assert.match(text, /\r\nContent-Type: text\/plain/);
	assert.match(text, /\r\nX-Request-Id: [0-9a-f-]{36}\r\n/);
	assert.doesNotMatch(text, /Access-Control/);
});
