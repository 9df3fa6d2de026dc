// How much of an upstream is taken: what is at the bound passes, one byte more is refused, and of
// all together no more than the memory there is (FLT-22; interfaces.md 13; limits.h).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { exchange, json as parse, post, startGateway } from './gateway.mjs';
import { SSE, delta, event, json, pause, sha256, startRaw, usage } from './raw-upstream.mjs';
import { parseStream, readIdentity, splitStream, textHash, verifyReceipt, verifyTeeFields } from './receipts-check.mjs';

const MIB = 1 << 20, BODY_MAX = 64 * MIB, EVENT_MAX = 16 * MIB, HEAD_MAX = 64 << 10;
const AT_ONCE = 6; // of the largest bodies: more than there is memory for, by limits.h

const answer = { id: 'u', object: 'chat.completion', created: 1, model: 'served',
	choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
	usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } };
const short = JSON.stringify(answer);
const end = delta(null, 'stop') + usage + event('[DONE]');

// Text that makes `whole(text)` exactly so long.
const fill = (whole, length) => 'x'.repeat(length - Buffer.byteLength(whole('')));
const body = text => JSON.stringify({ ...answer, choices: [{ ...answer.choices[0], message: { role: 'assistant', content: text } }] });
const data = text => delta(text).slice('data: '.length, -2);
const bodyText = fill(body, BODY_MAX), eventText = fill(data, EVENT_MAX);

const sends = bytes => async reply => {
	await reply.head(200, { 'Content-Type': 'application/json', 'Content-Length': bytes.length });
	await Promise.race([reply.raw(bytes), reply.gone]);
};
const streams = (...parts) => async reply => {
	await reply.head(200, SSE);
	for (const part of parts)
		await Promise.race([reply.chunk(part), reply.gone]);
	await reply.lastChunk();
};

// Heads of any number of lines, and what must come of them.
const many = n => Object.fromEntries(Array.from({ length: n }, (_, i) => [`x-${i}`, 'v']));
const plainHead = { 'Content-Type': 'application/json' };
const refused = [
	['FLT-22: a head of 10,000 lines', async reply => { await reply.head(200, { ...plainHead, ...many(10_000) }); await reply.gone; }],
	['FLT-22: a line of 1 MB in the head', async reply => { await reply.head(200, { 'x-long': 'v'.repeat(MIB) }); await reply.gone; }],
	['FLT-22: interim heads without an end', async reply => {
		for (let over = false; !over;)
			over = await Promise.race([reply.raw('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(100)).then(() => pause(0)).then(() => false),
				reply.gone.then(() => true)]);
	}],
	['FLT-22: an interim head without an end', async reply => {
		await reply.raw('HTTP/1.1 100 Continue\r\n');
		for (let over = false; !over;)
			over = await Promise.race([reply.raw(`x: ${'v'.repeat(1000)}\r\n`.repeat(64)).then(() => pause(0)).then(() => false),
				reply.gone.then(() => true)]);
	}],
	['FLT-22: a status line without an end', async reply => {
		await reply.raw(`HTTP/1.1 200 ${'x'.repeat(MIB)}`);
		await reply.gone;
	}],
	['RFC 9112 6.3: two lengths that differ', reply => reply.raw(
		`HTTP/1.1 200 OK\r\nContent-Length: ${short.length}\r\nContent-Length: 3\r\n\r\n${short}`)],
	['RFC 9112 6.3: a length that is none', reply => reply.raw(`HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n${short}`)],
	['RFC 9112 6.1: another coding', reply => reply.raw(
		`HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n${short.length.toString(16)}\r\n${short}\r\n0\r\n\r\n`)],
	['RFC 9112 7.1: a chunk size that is none', reply => reply.raw(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n${short}`)],
	['FLT-22: gzip that nobody asked for', reply => reply.raw(Buffer.concat([
		Buffer.from('HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n'), Buffer.from('1f8b0800', 'hex')]))],
	['RFC 9110 15.2: a switch of protocols', reply => reply.raw('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nx')],
	['HTTP/0.9', async reply => { await reply.raw(short); await reply.end(); }],
	['FLT-22: a body of 64 MiB and a byte', sends(Buffer.from(body(`${bodyText}x`)))],
	['FLT-22: a body that says it is larger', async reply => {
		await reply.head(200, { ...plainHead, 'Content-Length': 1 << 30 });
		for (let i = 0; i < 100; i++)
			await Promise.race([reply.raw(Buffer.alloc(MIB, ' ')), reply.gone]);
		await reply.gone;
	}],
	['FLT-22: a body that nests without an end', sends(Buffer.from('['.repeat(MIB)))],
	['FLT-22: 200,000 tool calls', sends(Buffer.from(JSON.stringify({ ...answer, choices: [{ index: 0, finish_reason: 'tool_calls',
		message: { role: 'assistant', tool_calls: Array.from({ length: 200_000 }, (_, i) =>
			({ id: `c${i}`, type: 'function', function: { name: 'f', arguments: '{}' } })) } }] })))],
	['FLT-08: a body that is too short', async reply => {
		await reply.head(200, { ...plainHead, 'Content-Length': short.length + 1 });
		await reply.raw(short);
		await reply.end();
	}],
	['FLT-08: a body that is longer than it says', reply => reply.raw(
		`HTTP/1.1 200 OK\r\nContent-Length: ${short.length - 1}\r\n\r\n${short}`)],
];

// Odd, and fine all the same.
const taken = [
	['RFC 9112 5.2: a folded line', reply => reply.raw(
		`HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: ${short.length}\r\n\r\n${short}`)],
	['RFC 9110 15.2: a few interim heads', reply => reply.raw(
		`${'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(3)}HTTP/1.1 200 OK\r\nContent-Length: ${short.length}\r\n\r\n${short}`)],
	['RFC 9112 6.3: chunks and a length', async reply => {
		await reply.raw(`HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`
			+ `${short.length.toString(16)}\r\n${short}\r\n0\r\n\r\n`);
	}],
	['FLT-29: a byte behind the answer', async reply => {
		await reply.raw(`HTTP/1.1 200 OK\r\nContent-Length: ${short.length}\r\n\r\n${short}x`);
	}],
	['FLT-29: two answers to one request', reply => reply.raw(
		`HTTP/1.1 200 OK\r\nContent-Length: ${short.length}\r\n\r\n${short}`
		+ `HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"evil":1}`)],
];

let raw, gateway, identity, together;

before(async () => {
	const scripts = { fine: json(200, answer), body: sends(Buffer.from(body(bodyText))),
		event: streams(delta('a'), delta(eventText), end),
		'event and a byte': streams(delta('a'), delta(`${eventText}x`), end) };
	for (const [name, script] of [...refused, ...taken])
		scripts[name] = script;
	// Each sends all but its end, and waits until none goes on: so all are there at the same time.
	// White space is as long as text, and costs a sanitized hash nothing.
	const bytes = Buffer.from(short.slice(0, -1).padEnd(BODY_MAX - 1) + '}');
	scripts.together = async reply => {
		await reply.head(200, { ...plainHead, 'Content-Length': bytes.length });
		await Promise.race([reply.raw(bytes.subarray(0, -2)), reply.gone]);
		together.arrived();
		await Promise.race([together.all, reply.gone]);
		await reply.raw(bytes.subarray(-2));
	};
	raw = await startRaw(scripts);
	gateway = await startGateway({ env: raw.env });
	identity = await readIdentity(gateway);
});

after(async () => {
	await gateway?.stop();
	await raw?.close();
});

const ask = (name, stream = false) => JSON.stringify({ model: 'gpt-4.1', stream, messages: [{ role: 'user', content: name }] });
const send = request => post(`${gateway.url}/v1/chat/completions`, request);

async function checkFailed(request, response, status, type, code) {
	const { error } = parse(response);
	assert.equal(response.status, status, response.body.subarray(0, 500).toString());
	assert.equal(error.type, type);
	assert.equal(error.code, code);
	const claims = await verifyReceipt(identity, response.headers['tee-receipt'], { request, content: response.body });
	assert.equal(claims.outcome, 'failed');
	return claims;
}

async function checkComplete(request, response, text) {
	assert.equal(response.status, 200, response.body.subarray(0, 500).toString());
	const claims = await verifyReceipt(identity, response.headers['tee-receipt'], { request, content: response.body });
	assert.equal(claims.outcome, 'complete');
	const got = parse(response);
	assert.ok(got.choices[0].message.content === text, 'the text');
	return { got, claims };
}

describe('what is too much, or makes no sense', { concurrency: 4 }, () => {
	for (const [name] of refused)
		test(name, async () => {
			const request = ask(name);
			await checkFailed(request, await send(request), 502, 'upstream_error', 'upstream_error');
			assert.equal(raw.calls[name].length, 1, 'E4: one attempt');
		});
});

describe('what is odd', { concurrency: 1 }, () => {
	for (const [name] of taken)
		test(name, async () => {
			const request = ask(name);
			await checkComplete(request, await send(request), 'hi');
			// FLT-29: whatever came behind it is nobody's answer.
			await checkComplete(ask('fine'), await send(ask('fine')), 'hi');
			assert.equal(raw.calls[name].length, 1);
		});
});

test('a body of 64 MiB passes', async () => {
	const request = ask('body');
	const { got, claims } = await checkComplete(request, await send(request), bodyText);
	assert.equal(claims.up, sha256(body(bodyText)));
	verifyTeeFields(identity, got, { outputHash: textHash(bodyText) });
});

test('an event of 16 MiB passes', async () => {
	const request = ask('event', true);
	const response = await send(request);
	assert.equal(response.status, 200);
	const { content, jws, done } = splitStream(response.body);
	assert.ok(done);
	const claims = await verifyReceipt(identity, jws, { request, content });
	assert.equal(claims.outcome, 'complete');
	const text = parseStream(response.body).map(e => e.choices[0].delta.content ?? '').join('');
	assert.ok(text === `a${eventText}`, 'the text');
});

test('an event of 16 MiB and a byte does not', async () => {
	const request = ask('event and a byte', true);
	const response = await send(request);
	const { content, jws, done } = splitStream(response.body);
	const events = parseStream(response.body);
	assert.ok(!done);
	assert.equal(events.length, 2);
	assert.equal(events[1].error.code, 'upstream_error');
	const claims = await verifyReceipt(identity, jws, { request, content });
	assert.equal(claims.outcome, 'failed');
});

test('the largest bodies at once: as many as there is memory for', async () => {
	let count = 0, arrived;
	together = { all: new Promise(ok => { arrived = ok; }), arrived: () => { if (++count === AT_ONCE) arrived(); } };
	const request = ask('together');
	const responses = await Promise.all(Array.from({ length: AT_ONCE }, () => send(request)));
	const passed = responses.filter(response => response.status === 200);
	assert.ok(passed.length >= 1 && passed.length < AT_ONCE,
		responses.map(response => response.body.subarray(0, 300).toString()).join(" "));
	for (const response of responses)
		if (response.status === 200) {
			await checkComplete(request, response, 'hi');
		} else {
			await checkFailed(request, response, 503, 'overloaded_error', 'overloaded');
			assert.equal(response.headers['retry-after'], '1');
		}
	const worker = fs.readFileSync(`/proc/${gateway.pid}/task/${gateway.pid}/children`, 'utf8').trim().split(' ').at(-1);
	const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${worker}/status`, 'utf8'))[1]) / 1024;
	console.log(`# ${passed.length} of ${AT_ONCE} passed; the worker had ${peak.toFixed(0)} MiB at most`);
	await checkComplete(ask('fine'), await send(ask('fine')), 'hi');
});

test('nothing is left behind', async () => {
	const metrics = (await exchange(`${gateway.url}/metrics`)).body.toString();
	assert.match(metrics, /^tee_gateway_streams_open 0$/m);
	assert.match(metrics, /^tee_gateway_memory_bytes 0$/m);
});
