// A client that asks for a long stream and reads nothing of it: memory stays flat, the write stall
// ends it at 30 s, and the receipt says so (stack.md "Flow control"; R6).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { exchange, gatewayProgram, startGateway } from './gateway.mjs';

const sanitized = /__(asan|tsan)_init/.test(fs.readFileSync(gatewayProgram, 'latin1'));
const id = 'stalled-reader-0123456789';
const STALL_MS = 30_000, FLAT_KB = 2048;

function residentKb(pid) {
	const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(/\s+/);
	return [pid, ...children].reduce((sum, one) =>
		sum + Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${one}/status`, 'utf8'))[1]), 0);
}

describe('a reader that stops', () => {
	let gateway;
	before(async () => { gateway = await startGateway(); });
	after(() => gateway.stop());

	test('holds no memory, and is cut at 30 s', async () => {
		// 100,000 words are a stream of 16 MB: more than both kernels' buffers take.
		const body = JSON.stringify({ model: 'echo', stream: true,
			messages: [{ role: 'user', content: 'word '.repeat(100_000) }] });
		const socket = net.connect(gateway.port, '127.0.0.1');
		socket.on('error', () => {});
		socket.pause();
		const began = process.hrtime.bigint();
		socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Request-Id: ${id}\r\n`
			+ `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);

		// Sampled until the receipt exists: the request is over then.
		const sizes = [];
		let receipt;
		while (receipt?.status !== 200) {
			assert.ok(process.hrtime.bigint() - began < 60_000_000_000n, 'never cut');
			receipt = await exchange(`${gateway.url}/v1/receipts/${id}`);
			sizes.push(residentKb(gateway.pid));
			await new Promise(ok => setTimeout(ok, 100));
		}
		const took = Number((process.hrtime.bigint() - began) / 1_000_000n);
		assert.ok(took >= STALL_MS - 1000 && took < STALL_MS + 5000, `cut after ${took} ms`);
		const claims = JSON.parse(Buffer.from(receipt.body.toString().split('.')[1], 'base64url'));
		assert.equal(claims.outcome, 'truncated');
		assert.ok(claims.res_len > 0 && claims.res_len < 16e6);
		assert.equal(claims.finish_reason, null);
		socket.destroy();
		// From the moment it stands still (a second in) to the last sample before it is let go.
		const still = sizes.slice(10, -2);
		assert.ok(still.length > 100);
		if (!sanitized)
			assert.ok(Math.max(...still) - Math.min(...still) <= FLAT_KB,
				`${Math.min(...still)} to ${Math.max(...still)} KiB`);
	});
});
