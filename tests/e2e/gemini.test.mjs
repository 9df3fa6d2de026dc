// Gemini through the official client: conversations with tools against an upstream that checks the
// second turn as the real one does, and what a client is told when something fails.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { post, startGateway } from './gateway.mjs';
import { fixture, KEY, SENTINEL, startFakeGemini } from './fake-gemini.mjs';
import { callsHash, readIdentity, textHash, verifyTeeFields } from './receipts-check.mjs';

let fake, gateway, client, identity;

before(async () => {
	fake = await startFakeGemini();
	gateway = await startGateway({ env: fake.env });
	identity = await readIdentity(gateway);
	client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

const tools = ['weather', 'time'].map(name => ({ type: 'function', function: { name, description: `The ${name} there`,
	parameters: { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object',
		properties: { place: { $ref: '#/$defs/place', description: 'where' } }, required: ['place'],
		$defs: { place: { type: 'string' } } } } }));
const question = { role: 'user', content: 'Weather in Paris and Rome, and the time?' };
const calls = signature => [
	{ functionCall: { name: 'weather', args: { place: 'Paris', exact: 1.5 } }, ...(signature ? { thoughtSignature: signature } : {}) },
	{ functionCall: { name: 'weather', args: { place: 'Rome' } } },
	{ functionCall: { name: 'time', args: {} } },
];

async function ask(body, streamed) {
	if (!streamed)
		return (await client.chat.completions.create(body)).choices[0];
	return (await client.chat.completions.stream(body).finalChatCompletion()).choices[0];
}

// The results arrive in another order than the calls were made; one of them is an error.
function results(list) {
	const content = ['{"degrees": 21.50}', '{"error":"no such station"}', 'noon'];
	return list.map((call, i) => ({ role: 'tool', tool_call_id: call.id, content: content[i] })).reverse();
}

for (const model of ['gemini-3-pro-preview', 'gemini-2.5-flash'])
	for (const streamed of [false, true])
		test(`${model}: two turns with parallel calls, ${streamed ? 'streamed' : 'whole'}`, async () => {
			fake.says(calls('c2ln+/=='));
			const first = await ask({ model, messages: [question], tools }, streamed);
			assert.equal(first.finish_reason, 'tool_calls');
			assert.deepEqual(first.message.tool_calls.map(call => [call.function.name, call.function.arguments]),
				[['weather', '{"place":"Paris","exact":1.5}'], ['weather', '{"place":"Rome"}'], ['time', '{}']]);
			assert.equal(new Set(first.message.tool_calls.map(call => call.id)).size, 3);

			fake.says([{ text: 'Warm; ' }, { text: 'noon.' }]);
			const second = await ask({ model, tools,
				messages: [question, first.message, ...results(first.message.tool_calls)] }, streamed);
			assert.deepEqual(fake.refusals, []);
			assert.equal(second.message.content, 'Warm; noon.');
			assert.equal(second.finish_reason, 'stop');
			const [, turn, answers] = fake.requests.at(-1).body.contents;
			assert.equal(turn.parts[0].thoughtSignature, 'c2ln+/==');
			assert.deepEqual(answers.parts.map(part => part.functionResponse.response),
				[{ degrees: 21.5 }, { error: 'no such station' }, { result: 'noon' }]);
			assert.match(fake.last().body.toString(), /\{"degrees": 21\.50\}/, 'numbers keep their spelling');
		});

test('a client that rebuilds its calls loses the signature, and gets on all the same', async () => {
	fake.says(calls('c2ln'));
	const first = await ask({ model: 'gemini-3-flash-preview', messages: [question], tools }, false);
	const bare = { role: 'assistant', content: null, tool_calls: first.message.tool_calls.map(call =>
		({ id: call.id, type: 'function', function: { name: call.function.name, arguments: call.function.arguments } })) };
	fake.says([{ text: 'ok' }]);
	const second = await ask({ model: 'gemini-3-flash-preview', tools, messages: [question, bare, ...results(bare.tool_calls)] }, false);
	assert.deepEqual(fake.refusals, []);
	assert.equal(second.message.content, 'ok');
	assert.deepEqual(fake.requests.at(-1).body.contents[1].parts.map(part => part.thoughtSignature),
		[SENTINEL, undefined, undefined]);
});

test('the signature of text comes back with the text', async () => {
	for (const streamed of [false, true]) {
		fake.says([{ text: 'Once' }, { text: '', thoughtSignature: 'dGV4dA==' }]);
		const first = await ask({ model: 'gemini-3.5-flash', messages: [question] }, streamed);
		assert.equal(first.message.content, 'Once');
		fake.says([{ text: 'more' }]);
		await ask({ model: 'gemini-3.5-flash', messages: [question, first.message, { role: 'user', content: 'And?' }] }, streamed);
		assert.deepEqual(fake.requests.at(-1).body.contents[1].parts, [{ text: 'Once', thoughtSignature: 'dGV4dA==' }]);
	}
});

test('the look-alike is strict', async () => {
	const url = `https://localhost:${fake.port}/v1beta/models/gemini-3-pro-preview:generateContent`;
	const turn = (role, ...parts) => ({ role, parts });
	const call = { functionCall: { name: 'f', args: {} } }, response = { functionResponse: { name: 'f', response: {} } };
	for (const [what, contents] of [
		[/missing a thought_signature/, [turn('user', { text: 'a' }), turn('model', call), turn('user', response)]],
		[/number of function response parts/, [turn('user', { text: 'a' }), turn('model', call), turn('user', { text: 'b' })]],
		[/turns alternate/, [turn('user', { text: 'a' }), turn('user', { text: 'b' })]],
		[/must not be empty/, [turn('user')]],
	]) {
		fake.says([{ text: 'never' }]);
		const answer = await post(url, { contents }, { 'x-goog-api-key': KEY }, { ca: fs.readFileSync(fake.caFile) });
		assert.equal(answer.status, 400);
		assert.match(fake.refusals.pop(), what);
	}
	assert.deepEqual(fake.refusals, []);
});

test('a loop of one call at a time keeps each signature in its place', async () => {
	const model = 'gemini-3.1-pro-preview', messages = [question];
	for (const [i, sign] of ['b25l', 'dHdv', 'dGhyZWU='].entries()) {
		fake.says([{ functionCall: { name: 'weather', args: { i } }, thoughtSignature: sign }]);
		const { message } = await ask({ model, tools, messages }, i % 2 === 1);
		messages.push(message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'ok' });
	}
	fake.says([{ text: 'done' }]);
	assert.equal((await ask({ model, tools, messages }, false)).message.content, 'done');
	assert.deepEqual(fake.refusals, []);
});

test('streamed and whole say the same, and both are signed', async () => {
	const parts = [{ text: 'hm', thought: true }, { text: 'Sch\u00f6n ' }, { text: '\ud83d\ude00\u0000 "' }, ...calls('c2ln')];
	const body = { model: 'gemini-3.5-flash', messages: [question], tools };
	fake.says(parts);
	const whole = await client.chat.completions.create(body);
	fake.says(parts);
	const chunks = [];
	for await (const chunk of await client.chat.completions.create({ ...body, stream: true }))
		chunks.push(chunk);
	const last = chunks.at(-1), deltas = chunks.map(chunk => chunk.choices[0].delta);
	assert.equal(deltas.map(delta => delta.content ?? '').join(''), whole.choices[0].message.content);
	assert.equal(deltas.map(delta => delta.reasoning_content ?? '').join(''), 'hm');
	assert.equal(whole.choices[0].message.reasoning_content, 'hm');
	assert.equal(deltas.filter(delta => delta.role).length, 1);
	assert.equal(last.choices[0].finish_reason, whole.choices[0].finish_reason);
	assert.deepEqual(last.usage, whole.usage);
	assert.deepEqual([whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens,
		whole.usage.completion_tokens_details.reasoning_tokens], [5, 5, 10, 2]);
	verifyTeeFields(identity, whole, { outputHash: callsHash(whole.choices[0].message.tool_calls) });
	const streamedCalls = [];
	for (const { index, id, function: { name, arguments: text } } of deltas.flatMap(delta => delta.tool_calls ?? [])) {
		const call = streamedCalls[index] ??= { type: 'function', function: { arguments: '' } };
		call.id ??= id;
		call.function.name ??= name;
		call.function.arguments += text;
	}
	verifyTeeFields(identity, last, { outputHash: callsHash(streamedCalls) });
	assert.deepEqual(streamedCalls.map(call => call.function),
		whole.choices[0].message.tool_calls.map(call => call.function));
});

test('the key is in a field, never in the address', async () => {
	fake.says([{ text: 'hi' }]);
	const answer = await client.chat.completions.create({ model: 'google/gemini-2.5-flash', messages: [question] });
	verifyTeeFields(identity, answer, { outputHash: textHash('hi') });
	assert.equal(fake.last().headers['x-goog-api-key'], KEY);
	assert.equal(fake.last().headers.authorization, undefined);
	assert.ok(!fake.last().path.includes(KEY));
});

test('a blocked prompt is an answer', async () => {
	for (const streamed of [false, true]) {
		const body = fixture('doc-derived/google-prompt-blocked.body.json');
		fake.replay(streamed ? `data: ${JSON.stringify(JSON.parse(body))}\r\n\r\n` : body);
		const { finish_reason, message } = await ask({ model: 'gemini-2.5-flash', messages: [question] }, streamed);
		assert.equal(finish_reason, 'content_filter');
		assert.equal(message.content, '');
	}
});

test('a picture from a model of text is a failure, not a gap', async () => {
	fake.says([{ text: 'Here: ' }, { inlineData: { mimeType: 'image/png', data: 'aGk=' } }]);
	await assert.rejects(client.chat.completions.create({ model: 'gemini-2.5-flash', messages: [question] }),
		error => error.status === 502 && error.code === 'upstream_error');
});

const ERRORS = [
	['google/error-404-model.body.json', 404, 404, 'not_found_error', 'upstream_model_not_found'],
	['google/error-429-retryinfo.body.json', 429, 429, 'rate_limit_error', 'rate_limit_exceeded', '35'],
	['doc-derived/google-400-key.body.json', 400, 502, 'upstream_error', 'upstream_authentication'],
	['doc-derived/google-503.body.json', 503, 503, 'overloaded_error', 'overloaded', '5'],
];

for (const [name, upstream, status, type, code, retryAfter] of ERRORS)
	for (const streamed of [false, true])
		test(`${name}: ${status} ${code}, ${streamed ? 'streamed' : 'whole'}`, async () => {
			// With a stream that is no SSE the error object comes in an array (providers.md 2.1).
			const body = fixture(name).toString();
			fake.bytes(upstream, streamed ? `[${body}]` : body);
			await assert.rejects(client.chat.completions.create(
				{ model: 'gemini-2.5-flash', messages: [question], stream: streamed }), error => {
				assert.equal(error.status, status);
				assert.equal(error.type, type);
				assert.equal(error.code, code);
				assert.equal(error.headers.get('retry-after'), retryAfter ?? null);
				assert.ok(!error.message.includes(KEY) && !error.message.includes('Paris'));
				return true;
			});
		});

test('an error in the middle of a stream ends it as failed', async () => {
	const text = `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text: 'Once' }] } }] })}\r\n\r\n` +
		'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\r\n\r\n';
	fake.replay(text, 'text/event-stream');
	const seen = [];
	await assert.rejects(async () => {
		for await (const chunk of await client.chat.completions.create({ model: 'gemini-2.5-flash', messages: [question], stream: true }))
			seen.push(chunk.choices[0].delta.content);
	}, error => error instanceof OpenAI.APIError && error.code === 'overloaded');
	assert.deepEqual(seen, ['Once']);
});

test('a stream that ends without a reason is a failure', async () => {
	fake.replay(`data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text: 'Once' }] } }] })}\r\n\r\n`, 'text/event-stream');
	await assert.rejects(client.chat.completions.stream({ model: 'gemini-2.5-flash', messages: [question] }).finalChatCompletion());
});

test('what is left out is declared, what cannot be is refused', async () => {
	fake.says([{ text: 'hi' }]);
	const { response } = await client.chat.completions.create({ model: 'gemini-2.5-pro', messages: [question],
		presence_penalty: 1, user: 'u', reasoning_effort: 'none', temperature: 0 }).withResponse();
	assert.equal(response.headers.get('tee-adjusted'), 'presence_penalty, reasoning_effort, user');
	assert.deepEqual(fake.requests.at(-1).body.generationConfig,
		{ temperature: 0, thinkingConfig: { thinkingBudget: 128 } });
	for (const [param, value] of [['n', 2], ['logprobs', true], ['top_k', 1], ['service_tier', 'flex']])
		await assert.rejects(client.chat.completions.create({ model: 'gemini-2.5-pro', messages: [question], [param]: value }),
			error => error instanceof OpenAI.BadRequestError && error.param === param && error.code === 'unsupported_parameter');
});
