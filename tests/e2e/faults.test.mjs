// Every way an upstream can fail has one clear, signed outcome: status, type, code, receipt, and
// how often it was asked. Rules: interfaces.md section 4; attacks.md section 2 (FLT rows).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { exchange, json as parse, post, root, startGateway } from './gateway.mjs';
import { SSE, SSE_UNTIL_CLOSE, delta, event, json, pause, sha256, startRaw, usage } from './raw-upstream.mjs';
import { parseStream, readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

const GAP_MS = 2000, KEEP_ALIVE_MS = 500, TOTAL_MS = 1500;
const error = (code, type, more = {}) => ({ error: { message: 'said by the provider', type, param: null, code, ...more } });
const answer = { id: 'u', object: 'chat.completion', created: 1, model: 'served',
	choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
	usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } };
const megabyte = Buffer.alloc(1 << 20, 'x');
const ten = Array.from({ length: 10 }, (_, i) => delta(`w${i} `)).join('');

const stream = (...parts) => async reply => {
	await reply.head(200, SSE);
	for (const part of parts)
		await reply.chunk(part);
};
const finished = (...parts) => async reply => {
	await stream(...parts)(reply);
	await reply.lastChunk();
};

/*
 * What is asked and what must come. status 200 with a code: an error event in the stream.
 * plain, streamed	which kinds of request; both by default
 * calls	requests that reach the provider; -1: not looked at
 */
const refusals = [
	['E2: 400 keeps the code', json(400, error('context_length_exceeded', 'invalid_request_error')),
		400, 'invalid_request_error', 'context_length_exceeded'],
	['E2: 401', json(401, error('invalid_api_key', 'invalid_request_error', { message: 'Incorrect: sk-marker-of-the-gateway' })),
		502, 'upstream_error', 'upstream_authentication'],
	['E2: 402 with its own x402', json(402, { x402Version: 1, error: 'Payment required', accepts: [] }, { 'PAYMENT-REQUIRED': 'e30=' }),
		502, 'upstream_error', 'upstream_quota_exhausted'],
	['E2: 403', json(403, 'Forbidden', { 'Content-Type': 'text/plain' }), 502, 'upstream_error', 'upstream_authentication'],
	['E2: 404', json(404, error('model_not_found', 'invalid_request_error')), 404, 'not_found_error', 'upstream_model_not_found'],
	['E2: 408', json(408, ''), 504, 'upstream_timeout', 'upstream_timeout'],
	['E2: 409', json(409, error(null, 'invalid_request_error')), 429, 'rate_limit_error', 'rate_limit_exceeded', '5'],
	['E2: 413', json(413, '<html>too large</html>', { 'Content-Type': 'text/html' }), 413, 'invalid_request_error', null],
	['E2: 422', json(422, error('unprocessable', 'invalid_request_error')), 400, 'invalid_request_error', 'unprocessable'],
	['E2: any other status', json(418, error('teapot', 'invalid_request_error')), 502, 'upstream_error', 'upstream_error'],
	['FLT-01: 429 with Retry-After', json(429, error('rate_limit_exceeded', 'tokens'), { 'Retry-After': '2' }),
		429, 'rate_limit_error', 'rate_limit_exceeded', '2'],
	['FLT-01: 429 with retry-after-ms', json(429, error(null, 'requests'), { 'retry-after-ms': '6500' }),
		429, 'rate_limit_error', 'rate_limit_exceeded', '7'],
	['FLT-02: 429 without a hint', json(429, ''), 429, 'rate_limit_error', 'rate_limit_exceeded', '5'],
	['FLT-02: 429 that is quota', json(429, error('insufficient_quota', 'insufficient_quota')),
		502, 'upstream_error', 'upstream_quota_exhausted'],
	['FLT-03: 500', json(500, error(null, 'server_error')), 502, 'upstream_error', 'upstream_error'],
	['FLT-03: 503', json(503, '', { 'Retry-After': '9' }), 503, 'overloaded_error', 'overloaded', '9'],
	['E2: 504', json(504, '<html>gateway timeout</html>', { 'Content-Type': 'text/html' }), 504, 'upstream_timeout', 'upstream_timeout'],
	['E2: 529', json(529, error(null, 'overloaded_error')), 503, 'overloaded_error', 'overloaded', '5'],
	['FLT-23: a redirect is not followed', json(302, '', { Location: '/elsewhere' }), 502, 'upstream_error', 'upstream_error'],
	['FLT-23: HTML with 200', json(200, '<html>', { 'Content-Type': 'text/html' }), 502, 'upstream_error', 'upstream_error'],
	['FLT-23: nothing with 200', json(200, ''), 502, 'upstream_error', 'upstream_error'],
	['FLT-23: half a character', json(200, Buffer.from('{"error":"\xe2\x82', 'latin1').toString('latin1')),
		502, 'upstream_error', 'upstream_error'],
	['FLT-14: an error as JSON with 200', json(200, error('rate_limit_exceeded', 'tokens')),
		429, 'rate_limit_error', 'rate_limit_exceeded', '5'],
	['a refusal without an end', async reply => {
		await reply.head(400, { 'Content-Type': 'application/json', 'Content-Length': 1 << 30 });
		await reply.raw('x'.repeat(1 << 20));
	}, 400, 'invalid_request_error', null],
	['a refusal that breaks off', async reply => {
		await reply.head(503, { 'Content-Length': 100 });
		await reply.body('x');
		await reply.end();
	}, 503, 'overloaded_error', 'overloaded', '5'],
	['FLT-04: reset before the head', reply => reply.reset(), 502, 'upstream_error', 'upstream_error'],
	['FLT-04: closed before the head', reply => reply.end(), 502, 'upstream_error', 'upstream_error'],
	['FLT-04: cut in the head', async reply => { await reply.raw('HTTP/1.1 200 OK\r\nContent-'); await reply.end(); },
		502, 'upstream_error', 'upstream_error'],
	['garbage in place of a head', async reply => { await reply.raw('\x16\x03\x01\x02\x00\r\n\r\n'); await reply.end(); },
		502, 'upstream_error', 'upstream_error'],
	['FLT-05: silence', reply => reply.gone, 504, 'upstream_timeout', 'upstream_timeout'],
	['FLT-05: silence in the head', async reply => { await reply.raw('HTTP/1.1 200 OK\r\n'); await reply.gone; },
		504, 'upstream_timeout', 'upstream_timeout'],
];

const bodies = [
	['FLT-08: a body that is cut', async reply => {
		await reply.head(200, { 'Content-Type': 'application/json', 'Content-Length': 1000 });
		await reply.body(JSON.stringify(answer));
		await reply.end();
	}, 502, 'upstream_error'],
	['FLT-08: chunks without the last one', async reply => {
		await reply.head(200, { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' });
		await reply.chunk(JSON.stringify(answer));
		await reply.end();
	}, 502, 'upstream_error'],
	['FLT-08: RST after the head', async reply => {
		await reply.head(200, { 'Content-Type': 'application/json', 'Content-Length': 1000 });
		await pause(50);
		reply.reset();
	}, 502, 'upstream_error'],
	['FLT-23: a stream nobody asked for', finished(delta('a'), delta(null, 'stop'), event('[DONE]')), 502, 'upstream_error'],
	['S6: a choice without its reason', json(200, { ...answer, choices: [{ ...answer.choices[0], finish_reason: null }] }),
		502, 'upstream_error'],
	['FLT-09: a body that stalls', async reply => {
		await reply.head(200, { 'Content-Type': 'application/json', 'Content-Length': 1000 });
		await reply.body('{');
		await reply.gone;
	}, 504, 'upstream_timeout'],
];

// Of streams. 200: an error event after what was said; else nothing was sent before.
const streams = [
	['FLT-07: no event, proper end', finished(), 502, 'upstream_error', 'upstream_error', ''],
	['FLT-07: no event, end between chunks', async reply => { await reply.head(200, SSE); await reply.end(); },
		502, 'upstream_error', 'upstream_error', ''],
	['FLT-07: RST after the head', async reply => { await reply.head(200, SSE); await pause(50); reply.reset(); },
		502, 'upstream_error', 'upstream_error', ''],
	['FLT-07: proper end without a reason', finished(ten), 200, 'upstream_error', 'upstream_error', 10],
	['FLT-07: [DONE] without a reason', finished(ten, event('[DONE]')), 200, 'upstream_error', 'upstream_error', 10],
	['FLT-07: FIN in the middle of a chunk', async reply => {
		await stream(ten)(reply);
		await pause(50);
		await reply.raw('50\r\ndata: {"cho');
		await reply.end();
	}, 200, 'upstream_error', 'upstream_error', 10],
	['FLT-07: FIN between chunks', async reply => { await stream(ten)(reply); await reply.end(); },
		200, 'upstream_error', 'upstream_error', 10],
	['FLT-07: RST', async reply => { await stream(ten)(reply); await pause(200); reply.reset(); },
		200, 'upstream_error', 'upstream_error', 10],
	['FLT-07: FIN, ended by close', async reply => {
		await reply.head(200, SSE_UNTIL_CLOSE);
		await reply.body(ten);
		await reply.end();
	}, 200, 'upstream_error', 'upstream_error', 10],
	['FLT-09: a stall', async reply => { await stream(ten)(reply); await reply.gone; },
		200, 'upstream_timeout', 'upstream_timeout', 10],
	['FLT-10: comments hide a stall', async reply => {
		await stream(ten)(reply);
		for (let over = false; !over;) {
			await reply.chunk(': ping\n\n');
			over = await Promise.race([pause(100).then(() => false), reply.gone.then(() => true)]);
		}
	}, 200, 'upstream_timeout', 'upstream_timeout', 10],
	['FLT-05: a head and then nothing', async reply => { await reply.head(200, SSE); await reply.gone; },
		200, 'upstream_timeout', 'upstream_timeout', 0],
	['FLT-11: broken JSON', async reply => { await stream(ten, 'data: {"choices":[\n\n', delta('z'))(reply); },
		200, 'upstream_error', 'upstream_error', 10],
	['FLT-11: invalid UTF-8', async reply => { await stream(ten, Buffer.from('data: {"a":"\xff"}\n\n', 'latin1'), delta('z'))(reply); },
		200, 'upstream_error', 'upstream_error', 10],
	['FLT-11: a raw NUL', async reply => { await stream(ten, 'data: {"a":"\0"}\n\n', delta('z'))(reply); },
		200, 'upstream_error', 'upstream_error', 10],
	['FLT-14: an error first', stream(event(error('rate_limit_exceeded', 'tokens'))),
		429, 'rate_limit_error', 'rate_limit_exceeded', ''],
	['FLT-14: a numeric code first', stream(event(error(503, 'server_error'))), 503, 'overloaded_error', 'overloaded', ''],
	['FLT-14: event: error', stream('event: error\ndata: {"message":"gone"}\n\n'), 502, 'upstream_error', 'upstream_error', ''],
	['FLT-14: an error later', stream(ten, event(error(null, 'server_error'))), 200, 'upstream_error', 'upstream_error', 10],
	['FLT-14: an error later, with a code', stream(ten, event(error('context_length_exceeded', 'invalid_request_error'))),
		200, 'invalid_request_error', 'context_length_exceeded', 10],
	['FLT-14: a bare line of JSON at the end', finished(ten, `${JSON.stringify(error('x', 'server_error'))}\n`),
		200, 'upstream_error', 'upstream_error', 10],
	['FLT-11: a choice nobody asked for', stream(ten, delta('z').replace('"index":0', '"index":1')),
		200, 'upstream_error', 'upstream_error', 10],
	['FLT-14: text and error in one read', stream(delta('w') + event(error(429, ''))),
		200, 'rate_limit_error', 'rate_limit_exceeded', 1],
	['providers 9: finish_reason error', stream(ten, delta(null, 'error')), 200, 'upstream_error', 'upstream_error', 10],
	['FLT-22: a line of 20 MB', async reply => {
		await stream(ten)(reply);
		await reply.raw('1400006\r\ndata: '); // a chunk of 20 MB and a few bytes
		for (let i = 0; i < 20; i++)
			await Promise.race([reply.raw(megabyte), reply.gone]);
	}, 200, 'upstream_error', 'upstream_error', 10],
];

// Streams that are whole all the same: [name, script, text, finish reason].
const whole = [
	['O8: unclean end after all reasons', async reply => {
		await stream(ten, delta(null, 'stop'), usage)(reply);
		reply.end();
	}],
	['FLT-12: proper end without [DONE]', finished(ten, delta(null, 'stop'), usage)],
	['FLT-12: [DONE] and the connection left open', async reply => {
		await stream(ten, delta(null, 'stop'), usage, event('[DONE]'))(reply);
		await reply.gone;
	}, 1000],
	['FLT-10: only comments after the finish reason', async reply => {
		await stream(ten, delta(null, 'stop'), usage)(reply);
		for (let over = false; !over;) {
			await reply.chunk(': ping\n\n');
			over = await Promise.race([pause(100).then(() => false), reply.gone.then(() => true)]);
		}
	}, 1000],
	['providers 12: no blank line after the last event', finished(ten, usage, delta(null, 'stop').trimEnd())],
	['FLT-06: a slow first event, kept alive', async reply => {
		await reply.head(200, SSE);
		await pause(3 * KEEP_ALIVE_MS - 150);
		for (const part of [ten, delta(null, 'stop'), usage, event('[DONE]')])
			await reply.chunk(part);
		await reply.lastChunk();
	}],
	['FLT-20: usage after [DONE] says nothing', finished(ten, delta(null, 'stop'), usage, event('[DONE]'),
		event({ choices: [], usage: { prompt_tokens: 900, completion_tokens: 900, total_tokens: 1800 } }))],
];

let raw, gateway, identity, directory;

before(async () => {
	const scripts = { fine: json(200, answer), 'fine stream': finished(ten, delta(null, 'stop'), usage, event('[DONE]')) };
	for (const [name, script] of [...refusals, ...bodies, ...streams, ...whole])
		scripts[name] = script;
	scripts.abort = async reply => {
		await stream(ten)(reply);
		await reply.gone;
	};
	scripts.slow = reply => reply.gone;
	// Never silent for long, and never at an end.
	const drip = send => async reply => {
		for (let over = false; !over;) {
			await send(reply);
			over = await Promise.race([pause(100).then(() => false), reply.gone.then(() => true)]);
		}
	};
	scripts.drip = async reply => {
		await reply.head(200, { 'Content-Type': 'application/json', 'Content-Length': 1000 });
		await drip(r => r.body(' '))(reply);
	};
	scripts['drip stream'] = async reply => {
		await reply.head(200, SSE);
		await drip(r => r.chunk(delta('w ')))(reply);
	};
	scripts.flapping = reply => (reply.nth <= 3 ? json(503, '') : json(200, answer))(reply);
	raw = await startRaw(scripts);
	directory = fs.mkdtempSync(path.join(os.tmpdir(), 'faults-'));
	const policy = JSON.parse(fs.readFileSync(path.join(root, 'policy.json')));
	Object.assign(policy.limits, { upstream_first_byte_ms: GAP_MS, upstream_gap_ms: GAP_MS,
		upstream_keep_alive_ms: KEEP_ALIVE_MS, upstream_connect_ms: 5000,
		upstream_reasoning_first_byte_ms: 2 * GAP_MS, upstream_reasoning_gap_ms: 2 * GAP_MS });
	fs.writeFileSync(path.join(directory, 'policy.json'), JSON.stringify(policy));
	gateway = await startGateway({ env: { ...raw.env }, args: ['--policy', path.join(directory, 'policy.json')] });
	identity = await readIdentity(gateway);
});

after(async () => {
	try {
		await gateway?.stop();
		assert.ok(!gateway.stderr().includes('sk-marker'), 'the key is in no log');
	} finally {
		await raw?.close();
		fs.rmSync(directory, { recursive: true, force: true });
	}
});

const ask = (name, streamed, model = 'gpt-4.1') =>
	JSON.stringify({ model, stream: streamed, messages: [{ role: 'user', content: name }] });
const send = request => post(`${gateway.url}/v1/chat/completions`, request);

function checkError(got, type, code) {
	assert.equal(got.type, type);
	assert.equal(got.code, code);
	assert.ok(got.message.length > 0 && Buffer.byteLength(got.message) <= 2048);
	assert.ok(!got.message.includes('sk-marker'), 'E1: our key');
}

// A failed answer that is no stream: its receipt, and what reached the provider.
async function checkRefused(request, response, [status, type, code, wait]) {
	assert.equal(response.status, status, response.body.toString());
	checkError(parse(response).error, type, code);
	assert.equal(response.headers['retry-after'], wait);
	assert.equal(response.headers['payment-required'], undefined);
	const claims = await verifyReceipt(identity, response.headers['tee-receipt'], { request, content: response.body });
	assert.equal(claims.outcome, 'failed');
	assert.equal(claims.status, status);
	assert.equal(claims.hash, undefined);
	return claims;
}

describe('upstream faults', { concurrency: 4 }, () => {
	for (const [name, , ...want] of refusals)
		test(name, async () => {
			for (const streamed of [false, true]) {
				const request = ask(name, streamed);
				const claims = await checkRefused(request, await send(request), want);
				const call = raw.calls[name].at(-1);
				assert.equal(raw.calls[name].length, streamed ? 2 : 1, 'E4: one attempt');
				assert.equal(claims.fwd, sha256(call.body));
				if (call.sent.length > 0)
					assert.equal(claims.up, sha256(call.sent));
			}
		});

	for (const [name, , status, code] of bodies)
		test(name, async () => {
			const request = ask(name, false);
			const type = status === 504 ? 'upstream_timeout' : 'upstream_error';
			await checkRefused(request, await send(request), [status, type, status === 504 ? type : code]);
			assert.equal(raw.calls[name].length, 1);
		});

	for (const [name, , status, type, code, words] of streams)
		test(name, async () => {
			const request = ask(name, true);
			const response = await send(request);
			if (status !== 200) {
				const wait = [429, 503].includes(status) ? '5' : undefined;
				await checkRefused(request, response, [status, type, code, wait]);
				return;
			}
			assert.equal(response.status, 200, response.body.toString());
			const { content, jws, done } = splitStream(response.body);
			const events = parseStream(response.body);
			assert.ok(!done, 'E3: no [DONE]');
			checkError(events.at(-1).error, type, code);
			assert.equal(events.length - 1, words);
			const claims = await verifyReceipt(identity, jws, { request, content });
			assert.equal(claims.outcome, 'failed');
			assert.equal(claims.jti, events.at(-1).id);
			assert.equal(raw.calls[name].length, 1);
			await raw.calls[name][0].closed;
		});

	for (const [name, , withinMs] of whole)
		test(name, async () => {
			const request = ask(name, true);
			const began = performance.now();
			const response = await send(request);
			if (withinMs !== undefined)
				assert.ok(performance.now() - began < withinMs + 1500, 'it does not wait');
			assert.equal(response.status, 200, response.body.toString());
			const { content, jws, done } = splitStream(response.body);
			const events = parseStream(response.body);
			assert.ok(done);
			assert.equal(events.map(e => e.choices[0].delta.content ?? '').join(''), 'w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 ');
			assert.equal(events.at(-1).choices[0].finish_reason, 'stop');
			assert.equal(events.at(-1).usage.total_tokens, 5);
			const claims = await verifyReceipt(identity, jws, { request, content });
			assert.equal(claims.outcome, 'complete');
			const comments = response.body.toString().match(/^: keep-alive$/gm)?.length ?? 0;
			if (name.startsWith('FLT-06'))
				assert.ok(comments >= 1 && comments <= 3, `${comments} comments`);
		});
});

test('a reasoning model has longer', async () => {
	const began = performance.now();
	const response = await send(ask('FLT-05: silence', false, 'gpt-5'));
	assert.equal(response.status, 504);
	assert.ok(performance.now() - began > 2 * GAP_MS - 100);
});

// The deadlines that the others do not reach: of the connection, and of all that an answer takes.
test('E4: the deadlines for connecting and in total', async () => {
	const silent = net.createServer(socket => socket.on('error', () => {}).resume());
	await new Promise(ok => silent.listen(0, '127.0.0.1', ok));
	const policy = JSON.parse(fs.readFileSync(path.join(root, 'policy.json')));
	Object.assign(policy.limits, { upstream_connect_ms: 300, upstream_total_ms: TOTAL_MS });
	fs.writeFileSync(path.join(directory, 'short.json'), JSON.stringify(policy));
	const hasty = await startGateway({ args: ['--policy', path.join(directory, 'short.json')],
		env: { ...raw.env, XAI_API_KEY: 'k', XAI_BASE_URL: `https://127.0.0.1:${silent.address().port}/v1` } });
	const who = await readIdentity(hasty);
	const late = 'upstream_timeout', unreachable = 'upstream_error';
	for (const [name, model, streamed, status, code] of [
		['x', 'grok-3', false, 502, unreachable], ['x', 'grok-3', true, 502, unreachable],
		['drip', 'gpt-4.1', false, 504, late], ['drip stream', 'gpt-4.1', true, 200, late]]) {
		const request = ask(name, streamed, model);
		const response = await post(`${hasty.url}/v1/chat/completions`, request);
		assert.equal(response.status, status, response.body.toString());
		const { content, jws, done } = status === 200 ? splitStream(response.body)
			: { content: response.body, jws: response.headers['tee-receipt'] };
		checkError(status === 200 ? parseStream(response.body).at(-1).error : parse(response).error, code, code);
		assert.ok(!done);
		assert.equal((await verifyReceipt(who, jws, { request, content })).outcome, 'failed');
	}
	assert.equal(raw.calls.drip.length + raw.calls['drip stream'].length, 2, 'what was sent is not sent again');
	await hasty.stop();
	await new Promise(ok => silent.close(ok));
});

test('FLT-15: flapping', async () => {
	for (const status of [503, 503, 503, 200, 200])
		assert.equal((await send(ask('flapping', false))).status, status);
});

test('E4: nobody listens: tried twice, 502', async () => {
	const lonely = await startGateway({ env: { OPENAI_API_KEY: 'k', OPENAI_BASE_URL: 'http://127.0.0.1:1/v1' } });
	const response = await post(`${lonely.url}/v1/chat/completions`, ask('x', false));
	assert.equal(response.status, 502);
	assert.equal(parse(response).error.code, 'upstream_error');
	await lonely.stop();
});

test('FLT-16: the provider sees that the client left', async () => {
	const request = ask('abort', true);
	const id = 'abort-in-the-middle-0123456789';
	await exchange(`${gateway.url}/v1/chat/completions`, { method: 'POST', body: request,
		headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(request), 'x-request-id': id },
		until: body => body.includes('w3') });
	const left = performance.now();
	assert.ok(await raw.calls.abort[0].closed - left < 1000, 'within a second');
	let got;
	for (let i = 0; i < 200 && (got = await exchange(`${gateway.url}/v1/receipts/${id}`)).status === 404; i++)
		await pause(10);
	assert.equal(got.status, 200);
});

test('FLT-17: and before the first byte', async () => {
	const request = ask('slow', false);
	const sent = http.request(`${gateway.url}/v1/chat/completions`, { method: 'POST', agent: false,
		headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(request) } });
	sent.on('error', () => {});
	sent.end(request);
	while (raw.calls.slow === undefined)
		await pause(5);
	sent.destroy();
	await raw.calls.slow[0].closed;
});

test('nothing is left behind: the next requests are fine', async () => {
	for (let i = 0; i < 5; i++) {
		assert.equal((await send(ask('fine', false))).status, 200);
		assert.ok(splitStream((await send(ask('fine stream', true))).body).done);
	}
	const metrics = (await exchange(`${gateway.url}/metrics`)).body.toString();
	assert.ok(metrics.includes('\ntee_gateway_streams_open 0\n'));
	assert.ok(metrics.includes('\ntee_gateway_memory_bytes 0\n'));
});
