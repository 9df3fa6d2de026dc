// The OpenAI-compatible providers through the official client: each with its own key and base URL.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { root, startGateway } from './gateway.mjs';
import { events, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { readIdentity, textHash, verifyTeeFields } from './receipts-check.mjs';

const recorded = name => fs.readFileSync(path.join(root, 'tests/fixtures', name));
const messages = [{ role: 'user', content: 'Say a single word.' }];
let fake, gateway, client, identity;

before(async () => {
	fake = await startFakeOpenAI();
	const base = `https://localhost:${fake.port}`;
	gateway = await startGateway({ env: { TEE_GATEWAY_CA_FILE: fake.caFile,
		XAI_API_KEY: 'xai-test', XAI_BASE_URL: `${base}/v1`,
		ARK_API_KEY: 'ark-test', ARK_BASE_URL: `${base}/api/v3/` } });
	identity = await readIdentity(gateway);
	client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

test('xAI: reasoning is passed on and counted', async () => {
	fake.answer(whole(recorded('xai/chat-text.body.json')));
	const answer = await client.chat.completions.create({ model: 'xai/grok-3-mini', messages });
	assert.equal(answer.choices[0].message.content, 'Hello');
	assert.match(answer.choices[0].message.reasoning_content, /^First, the user said/);
	assert.equal(answer.usage.completion_tokens, 229);
	assert.equal(answer.usage.total_tokens, 241);
	assert.equal(fake.last().headers.authorization, 'Bearer xai-test');
	assert.equal(fake.last().path, '/v1/chat/completions');
	verifyTeeFields(identity, answer, { outputHash: textHash('Hello') });
});

test('xAI: the same, streamed', async () => {
	fake.answer(stream(recorded('xai/chat-text-stream.sse'), { step: 50 }));
	const chunks = [];
	for await (const chunk of await client.chat.completions.create({ model: 'grok-3-mini', messages, stream: true }))
		chunks.push(chunk);
	assert.ok(chunks.some(chunk => chunk.choices[0].delta.reasoning_content));
	assert.equal(chunks.map(chunk => chunk.choices[0].delta.content ?? '').join(''), 'Hello');
	const { usage } = chunks.at(-1);
	assert.equal(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens);
	verifyTeeFields(identity, chunks.at(-1), { outputHash: textHash('Hello') });
});

test('xAI: what is left out is declared, what cannot be is refused', async () => {
	fake.answer(whole(recorded('xai/chat-text.body.json')));
	const { response } = await client.chat.completions.create({ model: 'grok-3-mini', messages,
		presence_penalty: 1, reasoning_effort: 'medium' }).withResponse();
	assert.equal(response.headers.get('tee-adjusted'), 'presence_penalty, reasoning_effort');
	const sent = JSON.parse(fake.last().body);
	assert.equal(sent.reasoning_effort, 'low');
	assert.ok(!('presence_penalty' in sent));
	await assert.rejects(client.chat.completions.create({ model: 'grok-3-mini', messages, stop: ['a'] }),
		error => error instanceof OpenAI.BadRequestError && error.param === 'stop');
});

test('ModelArk: its path, its switch for thinking', async () => {
	fake.answer(whole(recorded('doc-derived/ark-chat-reasoning.body.json')));
	const answer = await client.chat.completions.create(
		{ model: 'seed-1.6', messages, thinking: { type: 'enabled' } });
	assert.equal(answer.choices[0].message.content, 'Paris.');
	assert.equal(answer.usage.completion_tokens, 31);
	assert.equal(fake.last().path, '/api/v3/chat/completions');
	assert.deepEqual(JSON.parse(fake.last().body).thinking, { type: 'enabled' });
	await assert.rejects(client.chat.completions.create({ model: 'seed-1.6', messages, n: 2 }),
		error => error instanceof OpenAI.BadRequestError && error.param === 'n');
});

test('logprobs and structured output travel as they are', async () => {
	const logprobs = { content: [{ token: '{', logprob: -1e-7, bytes: [123], top_logprobs: [] }] };
	fake.answer(whole({ choices: [{ index: 0, message: { role: 'assistant', content: '{}' }, logprobs, finish_reason: 'stop' }] }));
	const response_format = { type: 'json_schema', json_schema: { name: 'n', strict: true,
		schema: { type: 'object', properties: {}, additionalProperties: false } } };
	const answer = await client.chat.completions.create({ model: 'grok-3', messages, response_format, logprobs: true });
	assert.deepEqual(answer.choices[0].logprobs, logprobs);
	assert.equal(answer.usage.estimated, true);
	assert.deepEqual(JSON.parse(fake.last().body).response_format, response_format);
});

test('tool calls without an index arrive as two', async () => {
	const call = (id, name, args) => ({ choices: [{ index: 0, delta: { role: 'assistant', tool_calls: [
		{ id, type: 'function', function: { name, arguments: args } }] }, finish_reason: null }] });
	fake.answer(stream(events(call('a', 'f', '{}'), call('b', 'g', '{"x":1}'),
		{ choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] })));
	const answer = await client.chat.completions.stream({ model: 'grok-3', messages,
		tools: ['f', 'g'].map(name => ({ type: 'function', function: { name, parameters: {} } })) }).finalChatCompletion();
	assert.deepEqual(answer.choices[0].message.tool_calls.map(c => [c.id, c.function.name, c.function.arguments]),
		[['a', 'f', '{}'], ['b', 'g', '{"x":1}']]);
});

test('the client knows a rate limit when it sees one', async () => {
	fake.answer(whole(recorded('doc-derived/xai-429.body.json'), { status: 429, headers: { 'retry-after': '3' } }));
	await assert.rejects(client.chat.completions.create({ model: 'grok-3', messages }), error => {
		assert.ok(error instanceof OpenAI.RateLimitError);
		assert.equal(error.code, 'rate_limit_exceeded');
		assert.equal(error.headers.get('retry-after'), '3');
		return true;
	});
});

test('no key: 503 for that provider only', async () => {
	for (const model of ['hermes-4-70b', 'gpt-4.1'])
		await assert.rejects(client.chat.completions.create({ model, messages }), error => {
			assert.equal(error.status, 503);
			assert.equal(error.code, 'provider_not_configured');
			return true;
		});
});
