// A provider that does exactly what a test says, byte by byte, over a plain socket: what an HTTP
// library would never send. The text of the first message names the script that answers.
import net from 'node:net';
import { sha256 } from './fake-openai.mjs';

const pause = ms => new Promise(ok => setTimeout(ok, ms));

function reader(socket, onRequest) {
	let held = Buffer.alloc(0), busy = false;
	const look = async () => {
		const end = held.indexOf('\r\n\r\n');
		if (busy || end < 0)
			return;
		const head = held.subarray(0, end).toString('latin1');
		const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
		if (held.length < end + 4 + length)
			return;
		const body = held.subarray(end + 4, end + 4 + length);
		held = held.subarray(end + 4 + length);
		busy = true;
		await onRequest(head, body);
		busy = false;
		look();
	};
	socket.on('data', bytes => {
		held = Buffer.concat([held, bytes]);
		look();
	});
}

/*
 * startRaw(scripts): {name: async reply => ...}
 * calls		{name: [{body, sent, closed, connection}]}: every request that came
 * connections	how many were made
 */
export async function startRaw(scripts) {
	const calls = {};
	const sockets = new Set();
	const raw = { calls, connections: 0, port: 0, env: {} };
	const server = net.createServer(socket => {
		const connection = ++raw.connections;
		let closed;
		const over = new Promise(ok => { closed = ok; });
		sockets.add(socket);
		socket.setNoDelay(true);
		socket.on('error', () => {});
		socket.on('close', () => { sockets.delete(socket); closed(performance.now()); });
		reader(socket, async (head, body) => {
			const name = JSON.parse(body).messages[0].content;
			const call = { head, body, sent: Buffer.alloc(0), closed: over, connection };
			(calls[name] ??= []).push(call);
			const send = bytes => new Promise(ok => {
				if (socket.writable)
					socket.write(bytes, () => ok());
				else
					ok();
			});
			const counted = bytes => {
				call.sent = Buffer.concat([call.sent, Buffer.from(bytes)]);
				return Buffer.from(bytes);
			};
			await scripts[name]({
				call, socket, pause, raw: send,
				nth: calls[name].length,
				head: (status, fields = {}) => send(`HTTP/1.1 ${status} X\r\n` +
					Object.entries(fields).map(([k, v]) => `${k}: ${v}\r\n`).join('') + '\r\n'),
				body: bytes => send(counted(bytes)),
				chunk: bytes => send(Buffer.concat([Buffer.from(Buffer.byteLength(bytes).toString(16) + '\r\n'),
					counted(bytes), Buffer.from('\r\n')])),
				lastChunk: () => send('0\r\n\r\n'),
				end: () => socket.end(),
				reset: () => socket.resetAndDestroy(),
				gone: over,
			});
		});
	});
	await new Promise(ok => server.listen(0, '127.0.0.1', ok));
	raw.port = server.address().port;
	raw.env = {
		OPENAI_API_KEY: 'sk-marker-of-the-gateway', OPENAI_BASE_URL: `http://127.0.0.1:${raw.port}/v1`,
	};
	raw.open = () => sockets.size;
	raw.close = async () => {
		const over = new Promise(ok => server.close(ok));
		for (const socket of sockets)
			socket.destroy();
		await over;
	};
	return raw;
}

export const SSE = { 'Content-Type': 'text/event-stream', 'Transfer-Encoding': 'chunked' };
export const SSE_UNTIL_CLOSE = { 'Content-Type': 'text/event-stream', Connection: 'close' };
export const event = value => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
export const delta = (content, finish_reason = null) => event({ id: 'u', object: 'chat.completion.chunk',
	created: 1, model: 'served', choices: [{ index: 0, delta: content === null ? {} : { content }, finish_reason }] });
export const usage = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });

// A whole JSON answer with its length.
export const json = (status, body, fields = {}) => async reply => {
	const text = typeof body === 'string' ? body : JSON.stringify(body);
	await reply.head(status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), ...fields });
	await reply.body(text);
};
export { pause, sha256 };
