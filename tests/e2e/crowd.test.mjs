// Two hundred streams at once, and something ends in their middle: the provider, and then every
// client has an error event (E3); or the gateway is told to stop, and then every stream is finished
// (A3). Each receipt of each stream is verified.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, describe, test } from 'node:test';
import { exchange, post, startGateway } from './gateway.mjs';
import { events, sha256, startFakeOpenAI, stream } from './fake-openai.mjs';
import { parseStream, readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

const STREAMS = 200, PER_CONNECTION = 100;
const words = Array.from({ length: 10 }, (_, i) => `w${i} `);
const chunk = (delta, finish_reason = null) => ({ id: 'u', object: 'chat.completion.chunk', created: 1,
	model: 'served', choices: [{ index: 0, delta, finish_reason }] });
const end = events(chunk({}, 'stop'), { id: 'u', choices: [], usage: { prompt_tokens: 3, completion_tokens: 10, total_tokens: 13 } });
const body = events(...words.map(content => chunk({ content }))).replace('data: [DONE]\n\n', '') + end;

const request = i => JSON.stringify({ model: 'gpt-4.1', stream: true, messages: [{ role: 'user', content: `number ${i}` }] });

async function nothingHeld(gateway) {
	for (const until = Date.now() + 10_000; ;) {
		const metrics = (await exchange(`${gateway.url}/metrics`)).body.toString();
		if (['streams_open', 'memory_bytes'].every(name => metrics.includes(`\ntee_gateway_${name} 0\n`)))
			return;
		assert.ok(Date.now() < until, metrics);
	}
}

// One connection a stream.
function connect1(gateway, ca) {
	return {
		ask: (text, seen) => post(`${gateway.tlsUrl}/v1/chat/completions`, text, {}, { ca, until: seen }),
		told: async () => {},
		close: () => {},
	};
}

// A hundred of them share one.
function connect2(gateway, ca) {
	const sessions = Array.from({ length: STREAMS / PER_CONNECTION }, () =>
		http2.connect(gateway.tlsUrl, { ca, checkServerIdentity: () => undefined }).on('error', () => {}));
	const goaways = sessions.map(session => new Promise(ok => session.once('goaway', ok)));
	let next = 0;
	return {
		ask: (text, seen) => new Promise((ok, fail) => {
			const sent = sessions[next++ % sessions.length].request({ ':method': 'POST',
				':path': '/v1/chat/completions', 'content-type': 'application/json' });
			const parts = [];
			let status, complete = false;
			sent.on('response', fields => { status = fields[':status']; });
			sent.on('data', part => { parts.push(part); seen(Buffer.concat(parts)); });
			sent.on('end', () => { complete = !sent.aborted; });
			sent.on('error', fail);
			sent.on('close', () => ok({ status, complete, body: Buffer.concat(parts) }));
			sent.end(text);
		}),
		told: async () => assert.deepEqual(await Promise.all(goaways), goaways.map(() => http2.constants.NGHTTP2_NO_ERROR)),
		close: () => sessions.forEach(session => session.destroy()),
	};
}

for (const [form, connect, http1] of [['HTTP/1.1', connect1, true], ['HTTP/2', connect2, false]])
	describe(`${STREAMS} streams over ${form}`, () => {
		let fake, gateway, identity, client, release, answers;

		// Every client has all the words, and none has its end.
		async function inTheMiddle() {
			const hold = new Promise(ok => { release = ok; });
			fake.answer(...Array.from({ length: STREAMS }, () => stream(body, { hold, tail: end.length })));
			client = connect(gateway, await gateway.certificate());
			let missing = STREAMS, all;
			const there = new Promise(ok => { all = ok; });
			answers = Array.from({ length: STREAMS }, (_, i) => {
				let waits = true;
				return client.ask(request(i), bytes => {
					if (waits && bytes.includes(words.at(-1))) {
						waits = false;
						if (--missing === 0)
							all();
					}
					return false;
				});
			});
			await Promise.race([there, Promise.all(answers)]);
			assert.equal(missing, 0, 'all are in the middle');
		}

		// Every answer, whole on the wire, with a receipt that verifies: calls judge(claims, events, done).
		async function judgeAll(outcome, judge) {
			const sent = new Map(fake.calls.map(call => [JSON.parse(call.body).messages[0].content, call]));
			const ids = new Set();
			for (const [i, answer] of (await Promise.all(answers)).entries()) {
				assert.equal(answer.status, 200);
				assert.ok(answer.complete, 'it ends in order');
				const { content, jws, done } = splitStream(answer.body);
				const claims = await verifyReceipt(identity, jws, { request: request(i), content });
				const list = parseStream(answer.body), call = sent.get(`number ${i}`);
				assert.equal(claims.outcome, outcome);
				assert.equal(claims.status, 200);
				assert.equal(claims.fwd, sha256(call.body));
				assert.equal(claims.up, sha256(call.sent));
				assert.equal(claims.jti, list.at(-1).id);
				assert.equal(list.slice(0, words.length).map(e => e.choices[0].delta.content).join(''), words.join(''));
				judge(claims, list, done);
				ids.add(claims.jti);
			}
			assert.equal(ids.size, STREAMS, 'each has a receipt of its own');
		}

		before(async () => {
			fake = await startFakeOpenAI({ http1 });
			gateway = await startGateway({ env: fake.env });
			identity = await readIdentity(gateway);
		});

		after(async () => {
			client?.close();
			await gateway?.stop();
			await fake?.close();
		});

		test('E3: the provider dies in their middle', async () => {
			await inTheMiddle();
			fake.kill();
			await judgeAll('failed', (claims, list, done) => {
				assert.ok(!done, 'no [DONE]');
				assert.equal(list.length, words.length + 1);
				assert.deepEqual(Object.keys(list.at(-1)), ['error', 'id', 'tee_receipt']);
				assert.equal(list.at(-1).error.type, 'upstream_error');
				assert.equal(claims.hash, undefined);
			});
			release();
			client.close();
			await nothingHeld(gateway);
		});

		test('A3: the gateway is told to stop in their middle', async () => {
			fake.calls.length = 0;
			await inTheMiddle();
			gateway.signal('SIGTERM');
			await client.told();
			release();
			await judgeAll('complete', (claims, list, done) => {
				assert.ok(done);
				assert.equal(list.at(-1).choices[0].finish_reason, 'stop');
				assert.equal(claims.usage.total_tokens, 13);
			});
			assert.deepEqual(await gateway.ended, { code: 0, signal: null }, gateway.stderr());
			gateway.check();
		});
	});
