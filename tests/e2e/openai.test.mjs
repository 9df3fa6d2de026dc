// The official client, base URL at the gateway: what it sends arrives, what it gets is what was said.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startGateway } from './gateway.mjs';
import { events, fixture, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { callsHash, readIdentity, textHash, verifyTeeFields } from './receipts-check.mjs';

let fake, gateway, client, identity;

before(async () => {
	fake = await startFakeOpenAI();
	gateway = await startGateway({ env: fake.env });
	identity = await readIdentity(gateway);
	client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

async function collect(iterable) {
	const chunks = [];
	for await (const chunk of iterable)
		chunks.push(chunk);
	return chunks;
}

// S2: one final chunk, which alone has finish reasons, usage and signature.
function splitFinal(chunks) {
	const final = chunks.at(-1);
	for (const chunk of chunks.slice(0, -1)) {
		assert.ok(!('usage' in chunk), 'usage in the final chunk only');
		assert.ok(!('tee_signature' in chunk));
		for (const choice of chunk.choices)
			assert.equal(choice.finish_reason ?? null, null);
	}
	assert.equal(Object.keys(final).at(-1), 'tee_receipt');
	assert.ok(final.usage);
	for (const chunk of chunks) {
		assert.equal(chunk.id, final.id);
		assert.ok(chunk.choices.length > 0, 'S2: no chunk without choices');
		assert.ok(!('obfuscation' in chunk));
	}
	return { final, deltas: chunks.slice(0, -1) };
}

const text = deltas => deltas.map(chunk => chunk.choices[0].delta.content ?? '').join('');

// As SDKs do: merged by index, arguments appended.
function mergeCalls(deltas) {
	const calls = [];
	for (const chunk of deltas)
		for (const piece of chunk.choices[0].delta.tool_calls ?? []) {
			const call = calls[piece.index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } };
			call.id = piece.id ?? call.id;
			call.function.name = piece.function?.name ?? call.function.name;
			call.function.arguments += piece.function?.arguments ?? '';
		}
	return calls;
}

const hello = { model: 'echo', messages: [{ role: 'user', content: 'Grüße aus der 世界 😀 again' }] };

test('A7: echo answers with the last user message', async () => {
	const answer = await client.chat.completions.create(hello);
	assert.match(answer.id, /^chatcmpl-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
	assert.equal(answer.object, 'chat.completion');
	assert.equal(answer.model, 'echo');
	assert.equal(answer.created, answer.tee_timestamp);
	assert.equal(answer.choices.length, 1);
	assert.equal(answer.choices[0].message.role, 'assistant');
	assert.equal(answer.choices[0].message.content, hello.messages[0].content);
	assert.equal(answer.choices[0].finish_reason, 'stop');
	assert.deepEqual(answer.usage, { prompt_tokens: 6, completion_tokens: 6, total_tokens: 12 });
	verifyTeeFields(identity, answer, { outputHash: textHash(hello.messages[0].content) });
});

test('A7: echo streams word by word', async () => {
	const chunks = await collect(await client.chat.completions.create({ ...hello, stream: true }));
	const { final, deltas } = splitFinal(chunks);
	assert.ok(deltas.filter(chunk => chunk.choices[0].delta.content).length >= 6);
	assert.equal(text(deltas), hello.messages[0].content);
	assert.equal(deltas[0].choices[0].delta.role, 'assistant');
	assert.equal(final.choices[0].finish_reason, 'stop');
	verifyTeeFields(identity, final, { outputHash: textHash(hello.messages[0].content) });
});

test('A7: echo honours max_tokens and stop', async () => {
	const cut = await client.chat.completions.create({ ...hello, max_tokens: 2 });
	assert.equal(cut.choices[0].finish_reason, 'length');
	assert.equal(cut.usage.completion_tokens, 2);
	assert.ok(hello.messages[0].content.startsWith(cut.choices[0].message.content.trimEnd()));
	const stopped = await client.chat.completions.create({ ...hello, stop: ['der'] });
	assert.equal(stopped.choices[0].finish_reason, 'stop');
	assert.equal(stopped.choices[0].message.content.trim(), 'Grüße aus');
});

test('opengradient 4.1: the request hash of a known request', async () => {
	const answer = await client.chat.completions.create(
		{ model: 'echo', messages: [{ role: 'user', content: 'Hello!' }], temperature: 0.7, max_tokens: 100 });
	const canonical = '{"max_tokens": 100, "messages": [{"content": "Hello!", "role": "user"}], '
		+ '"model": "echo", "temperature": 0.7}';
	assert.equal(answer.tee_request_hash, textHash(canonical));
});

test('S3: completions carry the text twice, streamed and not', async () => {
	const request = { model: 'echo', prompt: 'one two three' };
	const answer = await client.completions.create(request);
	assert.match(answer.id, /^cmpl-/);
	assert.equal(answer.object, 'text_completion');
	assert.equal(answer.choices[0].text, 'one two three');
	assert.equal(answer.completion, 'one two three');
	verifyTeeFields(identity, answer, { outputHash: textHash('one two three') });
	// opengradient 5: absent temperature is 1.0 and absent max_tokens 16 in the hash.
	assert.equal(answer.tee_request_hash, textHash(
		'{"max_tokens": 16, "model": "echo", "prompt": "one two three", "temperature": 1.0}'));

	const chunks = await collect(await client.completions.create({ ...request, stream: true }));
	const final = chunks.at(-1);
	assert.equal(chunks.map(chunk => chunk.choices[0].text ?? '').join(''), 'one two three');
	assert.equal(final.choices[0].finish_reason, 'stop');
	verifyTeeFields(identity, final, { outputHash: textHash('one two three') });
});

test('text through a real upstream, not streamed', async () => {
	fake.answer(whole(fixture('chat-text.body.json')));
	const answer = await client.chat.completions.create(
		{ model: 'gpt-4.1', messages: [{ role: 'user', content: 'Say this is a test' }] });
	assert.match(answer.id, /^chatcmpl-/);
	assert.equal(answer.model, 'gpt-4.1');
	assert.equal(answer.choices[0].message.content, 'This is a test.');
	assert.equal(answer.choices[0].finish_reason, 'stop');
	assert.equal(answer.usage.total_tokens, 17);
	assert.equal(answer.usage.completion_tokens_details.reasoning_tokens, 0);
	assert.equal(answer.system_fingerprint, 'fp_0ba0d124f1');
	verifyTeeFields(identity, answer, { outputHash: textHash('This is a test.') });
});

for (const step of [0, 1, 7, 1000])
	test(`text through a real upstream, streamed in pieces of ${step || 'everything'}`, async () => {
		fake.answer(stream(fixture('chat-text-stream-usage.sse'), { step }));
		const { final, deltas } = splitFinal(await collect(await client.chat.completions.create(
			{ model: 'gpt-4.1', stream: true, messages: [{ role: 'user', content: 'Say this is a test' }] })));
		assert.equal(text(deltas), '"This is a test."');
		assert.equal(final.choices[0].finish_reason, 'stop');
		assert.equal(final.usage.total_tokens, 17);
		assert.equal(final.model, 'gpt-4.1');
		verifyTeeFields(identity, final, { outputHash: textHash('"This is a test."') });
	});

const weather = {
	model: 'gpt-4.1', tool_choice: 'auto',
	messages: [{ role: 'user', content: "What's the weather in Seattle and San Francisco today?" }],
	tools: [{ type: 'function', function: { name: 'get_current_weather', parameters: {
		type: 'object', properties: { location: { type: 'string' } }, required: ['location'] } } }],
};

test('parallel tool calls, not streamed', async () => {
	fake.answer(whole(fixture('chat-tools-parallel.body.json')));
	const answer = await client.chat.completions.create(weather);
	const want = JSON.parse(fixture('chat-tools-parallel.body.json')).choices[0].message.tool_calls;
	assert.deepEqual(answer.choices[0].message.tool_calls, want);
	assert.equal(answer.choices[0].finish_reason, 'tool_calls');
	verifyTeeFields(identity, answer, { outputHash: callsHash(want) });
	const sent = JSON.parse(fake.last().body);
	assert.deepEqual(sent.tools, weather.tools);
	assert.ok(!('tool_choice' in sent), 'C2: "auto" says nothing');
});

test('parallel tool calls, streamed in fragments', async () => {
	fake.answer(stream(fixture('chat-tools-parallel-stream.sse'), { step: 100 }));
	const { final, deltas } = splitFinal(
		await collect(await client.chat.completions.create({ ...weather, stream: true })));
	const calls = mergeCalls(deltas);
	assert.deepEqual(calls.map(call => JSON.parse(call.function.arguments).location),
		['Seattle, WA', 'San Francisco, CA']);
	assert.equal(calls[0].id, 'call_fHCjJqt9Pysde6vcJcvbXGBx');
	assert.equal(final.choices[0].finish_reason, 'tool_calls');
	verifyTeeFields(identity, final, { outputHash: callsHash(calls) });
});

test('a tool call without arguments, padding dropped', async () => {
	fake.answer(stream(fixture('chat-tool-single-stream.sse')));
	const { final, deltas } = splitFinal(
		await collect(await client.chat.completions.create({ ...weather, stream: true })));
	const calls = mergeCalls(deltas);
	assert.equal(calls.length, 1);
	assert.equal(calls[0].function.name, 'get_capital');
	verifyTeeFields(identity, final, { outputHash: callsHash(calls) });
});

test('several choices: every one is delivered, choice 0 is hashed', async () => {
	fake.answer(whole(fixture('chat-n2.body.json')));
	const answer = await client.chat.completions.create({ ...hello, model: 'gpt-4.1', n: 2 });
	assert.deepEqual(answer.choices.map(choice => choice.index), [0, 1]);
	verifyTeeFields(identity, answer, { outputHash: textHash('This is a test. How can I assist you further?') });
});

test('several choices, streamed: one final chunk has every finish reason', async () => {
	const delta = (index, content, finish_reason = null) =>
		({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm',
			choices: [{ index, delta: content === null ? {} : { content }, finish_reason }] });
	fake.answer(stream(events(delta(0, 'a'), delta(1, 'b'), delta(1, null, 'length'), delta(0, 'c'),
		delta(0, null, 'stop'), { id: 'c', choices: [], usage: { prompt_tokens: 1, completion_tokens: 3, total_tokens: 4 } })));
	const { final, deltas } = splitFinal(
		await collect(await client.chat.completions.create({ ...hello, model: 'gpt-4.1', n: 2, stream: true })));
	const reasons = Object.fromEntries(final.choices.map(choice => [choice.index, choice.finish_reason]));
	assert.deepEqual(reasons, { 0: 'stop', 1: 'length' });
	const said = ['', ''];
	for (const chunk of deltas)
		for (const choice of chunk.choices)
			said[choice.index] += choice.delta.content ?? '';
	assert.deepEqual(said, ['ac', 'b']);
	verifyTeeFields(identity, final, { outputHash: textHash('ac') });
});

test('completions of a chat model are wrapped as one user message', async () => {
	fake.answer(whole(fixture('chat-text.body.json')));
	const answer = await client.completions.create({ model: 'gpt-4.1', prompt: 'Say this is a test' });
	assert.equal(answer.object, 'text_completion');
	assert.equal(answer.choices[0].text, 'This is a test.');
	assert.equal(answer.completion, 'This is a test.');
	assert.match(fake.last().path, /\/v1\/chat\/completions$/);
	assert.deepEqual(JSON.parse(fake.last().body).messages, [{ role: 'user', content: 'Say this is a test' }]);
	verifyTeeFields(identity, answer, { outputHash: textHash('This is a test.') });
});

test('errors arrive as the client expects them', async () => {
	await assert.rejects(client.chat.completions.create({ ...hello, model: 'ecco' }), error => {
		assert.ok(error instanceof OpenAI.NotFoundError);
		assert.equal(error.code, 'model_not_found');
		assert.match(error.message, /echo/); // near names
		return true;
	});
	await assert.rejects(client.chat.completions.create({ ...hello, store: true }), error => {
		assert.ok(error instanceof OpenAI.BadRequestError);
		assert.equal(error.param, 'store');
		return true;
	});
});

test('the model list reads as OpenAI writes it', async () => {
	const models = await collect(client.models.list());
	assert.ok(models.some(model => model.id === 'echo'));
	const model = await client.models.retrieve('gpt-4.1');
	assert.equal(model.object, 'model');
	assert.equal(model.provider, 'openai');
	assert.deepEqual(model.pricing, { input: '0.000002', output: '0.000008' });
});
