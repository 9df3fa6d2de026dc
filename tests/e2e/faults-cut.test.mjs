// One answer, cut at every byte of the wire: each cut ends, with one clear outcome that is signed,
// and is complete only where the provider had said how every choice ended (FLT-07, FLT-08, FLT-21, S6).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { exchange, json as parse, post, startGateway } from './gateway.mjs';
import { delta, event, sha256, startRaw, usage } from './raw-upstream.mjs';
import { parseStream, readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

const AT_ONCE = 16;
const TEXT = 'Grüße 世界😀';
const finish = delta(null, 'stop');
const said = Buffer.from(': hello\r\n\r\n' + delta('Grüße ') + delta('世界😀').replaceAll('\n', '\r\n') + finish);
const stream = Buffer.concat([said, Buffer.from(usage + event('[DONE]'))]);
const body = Buffer.from(JSON.stringify({ id: 'u', object: 'chat.completion', created: 1, model: 'served',
	choices: [{ index: 0, message: { role: 'assistant', content: TEXT }, finish_reason: 'stop' }],
	usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } }));

const head = fields => Buffer.from(`HTTP/1.1 200 OK\r\n${fields.map(field => `${field}\r\n`).join('')}\r\n`);
const events = 'Content-Type: text/event-stream', object = 'Content-Type: application/json';
const inChunks = (bytes, size) => {
	const parts = [];
	for (let at = 0; at < bytes.length; at += size) {
		const piece = bytes.subarray(at, at + size);
		parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
	}
	return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
};
// Bytes of the wire that carry the first `n` bytes of the content.
const wireOf = (n, size) => n + Math.ceil(n / size) * `${size.toString(16)}\r\n`.length + (Math.ceil(n / size) - 1) * 2;

/*
 * How it travels. whole	cuts of so many bytes or more are complete
 * content(n)	what of the content a cut after n bytes of the wire holds; undefined: not looked at
 */
const forms = {
	'stream, in chunks': { head: head([events, 'Transfer-Encoding: chunked']), rest: inChunks(stream, 64), streamed: true,
		whole: wireOf(said.length, 64) },
	// A last event without its blank line counts where the end is a proper one (providers.md 12).
	'stream, to the end': { head: head([events, 'Connection: close']), rest: stream, streamed: true,
		whole: said.length - 2, content: n => stream.subarray(0, n) },
	'stream, with a length': { head: head([events, `Content-Length: ${stream.length}`]), rest: stream, streamed: true,
		whole: said.length, content: n => stream.subarray(0, n) },
	'body, in chunks': { head: head([object, 'Transfer-Encoding: chunked']), rest: inChunks(body, 64), streamed: false,
		whole: inChunks(body, 64).length - 1 }, // the very last LF is not waited for
	'body, to the end': { head: head([object, 'Connection: close']), rest: body, streamed: false,
		whole: body.length, content: n => body.subarray(0, n) },
	'body, with a length': { head: head([object, `Content-Length: ${body.length}`]), rest: body, streamed: false,
		whole: body.length, content: n => body.subarray(0, n) },
};

let raw, gateway, identity;

before(async () => {
	// "FORM|N": so many bytes of it, then the end of the connection.
	const scripts = new Proxy({}, { get: (_, name) => async reply => {
		const [form, n] = name.split('|');
		const { head, rest } = forms[form];
		await reply.raw(Buffer.concat([head, rest]).subarray(0, Number(n)));
		reply.end();
	} });
	raw = await startRaw(scripts);
	gateway = await startGateway({ env: raw.env });
	identity = await readIdentity(gateway);
});

after(async () => {
	await gateway?.stop();
	await raw?.close();
});

async function check(name, n) {
	const form = forms[name], { streamed } = form;
	const request = JSON.stringify({ model: 'gpt-4.1', stream: streamed, messages: [{ role: 'user', content: `${name}|${n}` }] });
	const response = await post(`${gateway.url}/v1/chat/completions`, request, { 'TEE-Signature': 'none' });
	const came = n - form.head.length, complete = came >= form.whole;
	let jws = response.headers['tee-receipt'], content = response.body, text = '';

	assert.ok(response.complete, 'the answer ends');
	assert.equal(raw.calls[`${name}|${n}`].length, 1, 'E4: one attempt');
	if (response.status === 200 && streamed) {
		let done;
		({ content, jws, done } = splitStream(response.body));
		const list = parseStream(response.body);
		assert.equal(done, complete);
		assert.equal(list.at(-1).error?.code, complete ? undefined : 'upstream_error');
		text = list.map(e => e.choices?.[0].delta.content ?? '').join('');
		assert.ok(TEXT.startsWith(text), 'what is delivered is what was said');
	} else if (response.status === 200) {
		text = parse(response).choices[0].message.content;
	} else {
		assert.equal(response.status, 502);
		assert.equal(parse(response).error.code, 'upstream_error');
	}
	if (complete)
		assert.equal(text, TEXT);
	const claims = await verifyReceipt(identity, jws, { request, content });
	assert.equal(claims.outcome, complete ? 'complete' : 'failed');
	assert.equal(claims.status, response.status);
	if (came < 0)
		assert.equal(claims.up, undefined);
	else if (form.content)
		assert.equal(claims.up, sha256(form.content(came)));
	return claims.outcome;
}

for (const [name, form] of Object.entries(forms))
	test(`FLT-21: ${name}`, async () => {
		const length = form.head.length + form.rest.length, outcomes = {};
		let next = 0;
		await Promise.all(Array.from({ length: AT_ONCE }, async () => {
			while (next <= length) {
				const n = next++;
				const outcome = await check(name, n).catch(error => {
					throw new Error(`cut after ${n} of ${length} bytes`, { cause: error });
				});
				outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
			}
		}));
		assert.deepEqual(outcomes, { failed: form.head.length + form.whole, complete: form.rest.length - form.whole + 1 });
	});

test('nothing is left behind', async () => {
	const metrics = (await exchange(`${gateway.url}/metrics`)).body.toString();
	assert.match(metrics, /^tee_gateway_streams_open 0$/m);
	assert.match(metrics, /^tee_gateway_memory_bytes 0$/m);
});
