// Claude through the official OpenAI client, against an upstream that is as strict as the real one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startGateway } from './gateway.mjs';
import { startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { message, strict, streamed } from './fake-anthropic.mjs';
import { readIdentity, textHash, verifyTeeFields } from './receipts-check.mjs';

let fake, gateway, client, identity;

before(async () => {
	fake = await startFakeOpenAI();
	gateway = await startGateway({ env: { TEE_GATEWAY_CA_FILE: fake.caFile,
		ANTHROPIC_API_KEY: 'sk-ant-test-of-the-gateway', ANTHROPIC_BASE_URL: `https://localhost:${fake.port}/` } });
	identity = await readIdentity(gateway);
	client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

const tools = ['weather', 'clock'].map(name => ({ type: 'function', function: { name, description: `the ${name}`,
	parameters: { type: 'object', properties: { city: { type: 'string' } } } } }));
const calls = [{ type: 'text', text: 'Let me look. ' },
	{ type: 'tool_use', id: 'toolu_01A', name: 'weather', input: { city: 'Zürich "1"' } },
	{ type: 'tool_use', id: 'toolu_01B', name: 'clock', input: {} }];
const usage = { input_tokens: 10, output_tokens: 7, cache_read_input_tokens: 5, cache_creation_input_tokens: 2 };

async function finished(streamed, request) {
	if (!streamed)
		return client.chat.completions.create(request);
	// The client joins the strings it knows; reasoning is not among them.
	const helper = client.chat.completions.stream(request);
	let reasoning = '';
	helper.on('chunk', chunk => { reasoning += chunk.choices[0].delta.reasoning_content ?? ''; });
	const answer = await helper.finalChatCompletion();
	if (reasoning !== '')
		answer.choices[0].message.reasoning_content = reasoning;
	return answer;
}

for (const kind of ['whole', 'stream']) {
	const answer = content => (kind === 'stream' ? stream(streamed(content), { step: 7 }) : whole(content));

	test(`two turns with parallel calls, one of which failed (${kind})`, async () => {
		const messages = [{ role: 'system', content: 'Be brief.' }, { role: 'developer', content: 'Use tools.' },
			{ role: 'user', content: 'Weather and time?' }];
		fake.answer(strict(answer(message(calls, { stop_reason: 'tool_use', usage }))));
		const first = await finished(kind === 'stream', { model: 'claude-sonnet-4-6', messages, tools, temperature: 0 });
		const [choice] = first.choices;
		assert.equal(choice.finish_reason, 'tool_calls');
		assert.equal(choice.message.content, 'Let me look. ');
		assert.deepEqual(choice.message.tool_calls.map(call => [call.id, call.type, call.function.name, JSON.parse(call.function.arguments)]),
			[['toolu_01A', 'function', 'weather', { city: 'Zürich "1"' }], ['toolu_01B', 'function', 'clock', {}]]);
		assert.equal(first.usage.prompt_tokens, 17);
		assert.equal(first.usage.completion_tokens, 7);
		assert.equal(first.usage.total_tokens, 24);
		assert.equal(first.usage.prompt_tokens_details.cached_tokens, 5);
		assert.equal(first.model, 'claude-sonnet-4-6');

		fake.answer(strict(answer(message([{ type: 'text', text: 'Sunny; ' }, { type: 'text', text: 'no clock.' }])), body => {
			assert.equal(body.system, 'Be brief.\n\nUse tools.');
			assert.equal(body.temperature, 0);
			assert.deepEqual(body.messages[1], { role: 'assistant', content: calls });
			assert.deepEqual(body.messages[2], { role: 'user', content: [
				{ type: 'tool_result', tool_use_id: 'toolu_01B', content: 'Error: no clock' },
				{ type: 'tool_result', tool_use_id: 'toolu_01A', content: [{ type: 'text', text: 'sunny' }] },
				{ type: 'text', text: 'Go on.' }] });
			assert.deepEqual(body.tools.map(tool => tool.name), ['weather', 'clock']);
		}));
		const second = await finished(kind === 'stream', { model: 'claude-sonnet-4-6', tools, temperature: 0, messages: [
			...messages, { role: 'assistant', content: choice.message.content, tool_calls: choice.message.tool_calls },
			{ role: 'tool', tool_call_id: 'toolu_01B', content: 'Error: no clock' },
			{ role: 'tool', tool_call_id: 'toolu_01A', content: [{ type: 'text', text: 'sunny' }] },
			{ role: 'user', content: 'Go on.' }] });
		assert.equal(second.choices[0].message.content, 'Sunny; no clock.');
		assert.equal(second.choices[0].finish_reason, 'stop');
	});

	test(`thinking, then a refusal that says why (${kind})`, async () => {
		fake.answer(strict(answer(message([{ type: 'thinking', thinking: 'Hm, well', signature: 's' },
			{ type: 'redacted_thinking', data: 'x' }, { type: 'text', text: 'Yes.' }])), body => {
			assert.deepEqual(body.thinking, { type: 'adaptive' });
			assert.deepEqual(body.output_config, { effort: 'high' });
			assert.equal(body.temperature, undefined);
		}));
		const thought = await finished(kind === 'stream', { model: 'claude-opus-4-6', reasoning_effort: 'high', temperature: 0,
			messages: [{ role: 'user', content: 'Well?' }] });
		assert.equal(thought.choices[0].message.content, 'Yes.');
		assert.equal(thought.choices[0].message.reasoning_content, 'Hm, well');

		fake.answer(strict(answer({ ...message([], { stop_reason: 'refusal' }),
			stop_details: { type: 'refusal', category: 'cyber', explanation: 'Not that.' } })));
		const refused = await finished(kind === 'stream', { model: 'claude-fable-5', messages: [{ role: 'user', content: 'Bad.' }] });
		assert.equal(refused.choices[0].finish_reason, 'content_filter');
		assert.equal(refused.choices[0].message.refusal, 'Not that.');
	});
}

test('the legacy signature covers what was delivered', async () => {
	fake.answer(strict(whole(message([{ type: 'text', text: 'Grüezi' }]))));
	const answer = await client.chat.completions.create({ model: 'anthropic/claude-haiku-4-5',
		messages: [{ role: 'user', content: 'Hi' }] });
	verifyTeeFields(identity, answer, { outputHash: textHash('Grüezi') });
	assert.equal(JSON.parse(fake.last().body).model, 'claude-haiku-4-5-20251001');
});

test('a legacy completion is a message of the user', async () => {
	fake.answer(strict(whole(message([{ type: 'text', text: ' world' }], { stop_reason: 'max_tokens' })), body => {
		assert.deepEqual(body.messages, [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }]);
		assert.equal(body.max_tokens, 5);
	}));
	const answer = await client.completions.create({ model: 'claude-haiku-4-5', prompt: 'hello', max_tokens: 5 });
	assert.equal(answer.choices[0].text, ' world');
	assert.equal(answer.choices[0].finish_reason, 'length');
});

test('a schema is kept by models of either kind', async () => {
	const response_format = { type: 'json_schema', json_schema: { name: 'dog', schema: { type: 'object',
		properties: { age: { type: 'integer', minimum: 0 } }, required: ['age'] } } };
	const messages = [{ role: 'user', content: 'A dog.' }];
	fake.answer(strict(whole(message([{ type: 'text', text: '{"age":4}' }])), body => {
		assert.deepEqual(body.output_config, { format: { type: 'json_schema', schema: { type: 'object',
			properties: { age: { type: 'integer', description: '(minimum: 0)' } }, required: ['age'],
			additionalProperties: false } } });
	}));
	const native = await client.chat.completions.create({ model: 'claude-sonnet-4-5', messages, response_format });
	assert.equal(native.choices[0].message.content, '{"age":4}');
	for (const kind of [whole, body => stream(streamed(body))]) {
		fake.answer(strict(kind(message([{ type: 'tool_use', id: 'toolu_1', name: 'dog', input: { age: 4 } }],
			{ stop_reason: 'tool_use' })), body => {
			assert.deepEqual(body.tool_choice, { type: 'tool', name: 'dog' });
			assert.equal(body.output_config, undefined);
		}));
		const old = await finished(kind !== whole, { model: 'claude-sonnet-4-0', messages, response_format });
		assert.equal(old.choices[0].message.content, '{"age":4}');
		assert.equal(old.choices[0].finish_reason, 'stop');
		assert.equal(old.choices[0].message.tool_calls, undefined);
	}
});

test('what is left out is declared, what cannot be is refused by name', async () => {
	const messages = [{ role: 'user', content: 'Hi' }];
	fake.answer(strict(whole(message([{ type: 'text', text: 'Hi' }]))));
	const { response } = await client.chat.completions.create({ model: 'claude-opus-4-8', messages, temperature: 0,
		top_p: 0.5, seed: 1, presence_penalty: 1, reasoning_effort: 'minimal' }).withResponse();
	assert.equal(response.headers.get('tee-adjusted'), 'temperature, top_p, seed, presence_penalty, reasoning_effort');
	for (const [param, more] of [['n', { n: 2 }], ['logprobs', { logprobs: true }], ['response_format', { response_format: { type: 'json_object' } }],
		['tool_choice', { tools, tool_choice: 'required', model: 'claude-fable-5' }], ['top_k', { top_k: 3 }],
		['messages', { messages: [...messages, { role: 'assistant', content: 'Well' }] }]])
		await assert.rejects(client.chat.completions.create({ model: 'claude-opus-4-8', messages, ...more }),
			error => error instanceof OpenAI.BadRequestError && error.param === param);
});
