// What slow, large and idle clients get from the real program: each deadline with its real value
// once (core/limits.h), and memory that does not follow what strangers promise.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { gatewayProgram, startGateway } from './gateway.mjs';

const SLACK_MS = 3000; // a busy machine
// Sanitizers keep freed memory and a shadow of the rest: sizes mean nothing there.
const sanitized = /__(asan|tsan)_init/.test(fs.readFileSync(gatewayProgram, 'latin1'));
const POST = 'POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n';

function open(gateway, secure) {
	return new Promise((ok, fail) => {
		const socket = secure
			? tls.connect({ port: gateway.tlsPort, host: '127.0.0.1', rejectUnauthorized: false })
			: net.connect({ port: gateway.port, host: '127.0.0.1' });
		socket.once('error', fail);
		socket.once(secure ? 'secureConnect' : 'connect', () => {
			socket.off('error', fail);
			socket.on('error', () => {});
			ok(socket);
		});
	});
}

// Resolves to what came and how long it took, once the gateway has ended the connection.
function end(socket) {
	const from = process.hrtime.bigint();
	let text = '';
	socket.setEncoding('latin1').on('data', part => { text += part; });
	return new Promise(ok => socket.once('close', () =>
		ok({ text, ms: Number((process.hrtime.bigint() - from) / 1000000n) })));
}

function between(ms, limit) {
	assert.ok(ms >= limit - 50 && ms <= limit + SLACK_MS, `${ms} ms, expected ${limit}`);
}

// Resident bytes of the gateway's processes.
function resident(pid) {
	const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/);
	return [pid, ...children.filter(child => child !== '')]
		.map(one => Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${one}/status`, 'utf8'))[1]))
		.reduce((sum, kb) => sum + kb * 1024, 0);
}

// Writes as fast as the gateway takes it; a reset ends it quietly.
async function pour(socket, bytes, over) {
	const block = Buffer.alloc(1 << 20, 'x');
	for (let sent = 0; sent < bytes && !socket.destroyed; sent += block.length)
		if (!socket.write(block))
			await Promise.race([once(socket, 'drain'), over]);
}

describe('deadlines', { concurrency: true }, () => {
	let gateway;
	before(async () => { gateway = await startGateway(); });
	after(() => gateway.stop());

	for (const secure of [false, true])
		test(`a head of one byte a second is cut at 10 s, ${secure ? 'TLS' : 'plain'}`, async () => {
			const socket = await open(gateway, secure);
			const over = end(socket);
			const bytes = 'GET /health HTTP/1.1\r\nHost: h\r\n\r\n';
			let at = 0;
			socket.write(bytes[at++]);
			const drip = setInterval(() => socket.write(bytes[at++]), 1000);
			const { text, ms } = await over;
			clearInterval(drip);
			between(ms, 10_000);
			assert.match(text, /^HTTP\/1\.1 408 /);
			assert.equal(text.match(/HTTP\/1\.1 /g).length, 1);
		});

	test('a TLS handshake that does not come is cut at 5 s', async () => {
		const socket = net.connect({ port: gateway.tlsPort, host: '127.0.0.1' });
		socket.on('error', () => {});
		const { text, ms } = await end(socket);
		between(ms, 5_000);
		assert.equal(text, '');
	});

	test('a body that stops is 408 at 5 s', async () => {
		const socket = await open(gateway, false);
		const over = end(socket);
		socket.write(`${POST}Content-Length: 100\r\n\r\n{"model"`);
		const { text, ms } = await over;
		between(ms, 5_000);
		assert.match(text, /^HTTP\/1\.1 408 /);
		assert.equal(JSON.parse(text.slice(text.indexOf('\r\n\r\n') + 4)).error.code, 'request_timeout');
	});

	test('a body below 1 KiB/s is 408 when it falls behind', async () => {
		const socket = await open(gateway, false);
		const over = end(socket);
		socket.write(`${POST}Content-Length: 100000\r\n\r\n${'x'.repeat(6 << 10)}`);
		const { text, ms } = await over;
		between(ms, 6_000);
		assert.match(text, /^HTTP\/1\.1 408 /);
	});
});

describe('order', () => {
	let gateway;
	before(async () => { gateway = await startGateway(); });
	after(() => gateway.stop());

	for (const secure of [false, true])
		test(`a hundred pipelined requests are answered in order, ${secure ? 'TLS' : 'plain'}`, async () => {
			const socket = await open(gateway, secure);
			const over = end(socket);
			const ids = Array.from({ length: 100 }, (_, i) => `pipelined-request-number-${i}`);
			socket.write(ids.map((id, i) => `GET /health HTTP/1.1\r\nHost: h\r\nX-Request-Id: ${id}\r\n`
				+ (i === 99 ? 'Connection: close\r\n\r\n' : '\r\n')).join(''));
			const { text } = await over;
			assert.deepEqual([...text.matchAll(/\r\nX-Request-Id: (.*)\r\n/gi)].map(m => m[1]), ids);
		});

	test('Expect: 100-continue is honoured after the head checks only', async () => {
		const body = '{"model":"echo","messages":[{"role":"user","content":"hi"}]}';
		const good = await open(gateway, false);
		const over = end(good);
		good.write(`${POST}Expect: 100-continue\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`);
		await new Promise(ok => good.once('data', ok));
		good.write(body);
		assert.match((await over).text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);

		const bad = await open(gateway, false);
		const refused = end(bad);
		bad.write(`${POST.replace('application/json', 'text/plain')}Expect: 100-continue\r\n`
			+ 'Content-Length: 2\r\n\r\n');
		assert.match((await refused).text, /^HTTP\/1\.1 415 /);
	});
});

describe('memory', () => {
	let gateway;
	before(async () => { gateway = await startGateway({ loops: 1 }); });
	after(() => gateway.stop());

	for (const secure of [false, true])
		for (const chunked of [false, true])
			test(`100 MB get 413 and are not held, ${secure ? 'TLS' : 'plain'}, ${
				chunked ? 'chunked' : 'with a length'}`, async () => {
				const idle = resident(gateway.pid);
				let most = idle;
				const watch = setInterval(() => { most = Math.max(most, resident(gateway.pid)); }, 5);
				const socket = await open(gateway, secure);
				const over = end(socket);
				socket.write(POST + (chunked ? 'Transfer-Encoding: chunked\r\n\r\n6400000\r\n'
					: 'Content-Length: 104857600\r\n\r\n'));
				await pour(socket, 100 << 20, over);
				const { text } = await over;
				clearInterval(watch);
				assert.match(text, /^HTTP\/1\.1 413 /);
				// A length is refused before a byte is read; chunks when 20 MiB have come, in a
				// buffer that doubles.
				const limit = chunked ? 64 << 20 : 8 << 20;
				if (!sanitized)
					assert.ok(most - idle < limit, `grew by ${(most - idle) >> 10} KiB`);
			});

	test('1,000 idle TLS connections cost less than 30 MB', { skip: sanitized && 'a sanitized build' },
		async () => {
			const idle = resident(gateway.pid), sockets = [];
			for (let i = 0; i < 1000; i += 50)
				sockets.push(...await Promise.all(Array.from({ length: 50 }, () => open(gateway, true))));
			// Idle after use, which is what keep-alive makes of them.
			await Promise.all(sockets.map(socket => new Promise(ok => {
				socket.once('data', ok);
				socket.write('GET /health HTTP/1.1\r\nHost: h\r\n\r\n');
			})));
			const grown = resident(gateway.pid) - idle;
			for (const socket of sockets)
				socket.destroy();
			assert.ok(grown < 30e6, `grew by ${grown >> 10} KiB`);
		});
});
