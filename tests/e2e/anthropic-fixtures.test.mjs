// Recorded exchanges with Anthropic: OpenAI's wording of each request becomes the recorded one, and
// each recorded answer arrives with its text, calls, finish reason and counts. What differs on
// purpose is listed, with its reason.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { root, startGateway } from './gateway.mjs';
import { startFakeOpenAI, stream, whole } from './fake-openai.mjs';

const dir = path.join(root, 'tests/fixtures/anthropic');
const exchange = id => JSON.parse(fs.readFileSync(path.join(dir, `${id}.json`), 'utf8'));
let fake, gateway, client, tables;

before(async () => {
	// Recordings of models that are not in our table, or are there under another name.
	const table = JSON.parse(fs.readFileSync(path.join(root, 'models.json'), 'utf8'));
	const like = (name, api_name, model) => ({ ...table.models.find(m => m.name === model), name, api_name, aliases: [] });
	table.models.push(like('haiku-undated', 'claude-haiku-4-5', 'claude-haiku-4-5'),
		like('sonnet-dated', 'claude-sonnet-4-5-20250929', 'claude-sonnet-4-5'),
		like('misspelt', 'claude-sonet-4-5', 'claude-sonnet-4-5'),
		like('sonnet-3-5', 'claude-3-5-sonnet-20240620', 'claude-3-5-haiku'));
	tables = fs.mkdtempSync(path.join(os.tmpdir(), 'models-'));
	fs.writeFileSync(path.join(tables, 'models.json'), JSON.stringify(table));
	fake = await startFakeOpenAI();
	gateway = await startGateway({ args: ['--models', path.join(tables, 'models.json')], env: { TEE_GATEWAY_CA_FILE: fake.caFile,
		ANTHROPIC_API_KEY: 'sk-ant-test-of-the-gateway', ANTHROPIC_BASE_URL: `https://localhost:${fake.port}` } });
	client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
	if (tables)
		fs.rmSync(tables, { recursive: true });
});

const user = content => ({ role: 'user', content });
const fn = (name, description, parameters) => ({ type: 'function', function: { name, description, parameters } });
const schema = s => ({ type: 'json_schema', json_schema: { name: 'answer', schema: s } });
const recorded = id => exchange(id).request.body;
const family = () => ({ model: 'haiku-undated', max_tokens: 4096,
	messages: [{ role: 'system', content: recorded('msg-tools-parallel').system },
		user('Alice, Bob, Charlie and Daisy are a family. Who is the youngest?')],
	tools: recorded('msg-tools-parallel').tools.map(t => fn(t.name, t.description, t.input_schema)) });

// id: what an OpenAI client would have sent; differs: the members of ours that are not the recorded
// ones, and why.
const STREAM_FALSE = body => { delete body.stream; }; // false is what comes unasked
// One text without anything to be cached is sent as a string.
const SYSTEM_TEXT = body => { body.system = body.system[0].text; };
const cached = id => ({ model: 'sonnet-3-5', max_tokens: 1024,
	messages: [{ role: 'system', content: recorded(id).system }, ...recorded(id).messages] });
const requests = {
	'msg-text': { ask: () => ({ model: 'claude-opus-4-6', messages: [user('What is 2+2?')] }), differs: STREAM_FALSE },
	'msg-text-stream': { ask: () => ({ model: 'claude-haiku-4-5', messages: [user('Say just hello')], temperature: 1.0,
		max_tokens: 8192, stream: true }) },
	'msg-image-url': { ask: () => ({ model: 'haiku-undated', messages: [user([{ type: 'text', text: 'What is this vegetable?' },
		{ type: 'image_url', image_url: { url: recorded('msg-image-url').messages[0].content[1].source.url } }])] }), differs: STREAM_FALSE },
	'msg-json-schema': { ask: () => ({ model: 'claude-sonnet-4-5', messages: [user('Tell me about London')],
		response_format: schema(recorded('msg-json-schema').output_config.format.schema) }), differs: STREAM_FALSE },
	'msg-json-schema-stream': { ask: () => ({ model: 'claude-opus-4-6', messages: [user('Invent a good dog')], temperature: 1.0,
		max_tokens: 8192, stream: true, response_format: schema(recorded('msg-json-schema-stream').output_config.format.schema) }) },
	'msg-stop-sequence-stream': { ask: () => ({ model: 'claude-haiku-4-5', max_tokens: 8192, temperature: 1.0, stream: true, stop: '```',
		messages: [user('Very short function describing a pelican'), { role: 'assistant', content: '```python' }] }) },
	// Our budgets are our own; a temperature of 1 is all that thinking takes, so it is not sent.
	'msg-thinking': { ask: () => ({ model: 'claude-sonnet-4-5', messages: [user('How do I cross the street?')],
		reasoning_effort: 'low' }), differs: body => { STREAM_FALSE(body); body.thinking.budget_tokens = 2048; } },
	'msg-thinking-redacted-stream': { ask: () => ({ model: 'sonnet-dated', stream: true, reasoning_effort: 'low',
		messages: [user(recorded('msg-thinking-redacted-stream').messages[0].content[0].text)] }),
	differs: body => { body.thinking.budget_tokens = 2048; } },
	'msg-thinking-stream': { ask: () => ({ model: 'claude-haiku-4-5', stream: true, reasoning_effort: 'low', max_tokens: 8192,
		temperature: 1.0, messages: [user('Two names for a pet pelican, be brief')] }),
	differs: body => { body.thinking.budget_tokens = 2048; delete body.temperature; } },
	'msg-tool-stream': { ask: () => ({ model: 'claude-haiku-4-5', stream: true, max_tokens: 8192, temperature: 1.0,
		messages: [user('Generate one name for a pet pelican')], tools: [fn('pelican_name_generator', '', { type: 'object', properties: {} })] }) },
	// "auto" is what comes unasked beside tools (C2).
	'msg-tools-parallel': { ask: family, differs: body => { STREAM_FALSE(body); delete body.tool_choice; } },
	// OpenAI has no is_error; false is what comes unasked.
	'msg-tools-results': { ask: () => {
		const request = family(), [, said, results] = recorded('msg-tools-results').messages;
		return { ...request, messages: [...request.messages,
			{ role: 'assistant', content: said.content[0].text, tool_calls: said.content.slice(1).map(use => ({ id: use.id,
				type: 'function', function: { name: use.name, arguments: JSON.stringify(use.input) } })) },
			...results.content.map(r => ({ role: 'tool', tool_call_id: r.tool_use_id, content: r.content }))] };
	}, differs: body => {
		STREAM_FALSE(body);
		delete body.tool_choice;
		body.messages[2].content.forEach(result => delete result.is_error);
	} },
	// A string is a single block of text.
	'msg-tools-stream-old': { ask: () => ({ model: 'sonnet-3-5', max_tokens: 1024, stream: true,
		messages: [user('What is the weather and current time in San Francisco?')],
		tools: recorded('msg-tools-stream-old').tools.map(t => fn(t.name, t.description, t.input_schema)) }),
	differs: body => { body.messages[0].content = [{ type: 'text', text: body.messages[0].content }]; } },
	'msg-cache-write': { ask: () => cached('msg-cache-write'), differs: SYSTEM_TEXT },
	'msg-cache-read': { ask: () => cached('msg-cache-read'), differs: SYSTEM_TEXT },
};
// Answers whose request was not recorded.
const answers = ['msg-refusal', 'msg-refusal-stream', 'msg-tool-no-args-stream'];
const ERRORS = ['error-400-effort', 'error-404-model'];

test('every recording is looked at', () => {
	const ids = fs.readdirSync(dir).filter(name => name.endsWith('.json') && !name.endsWith('.body.json')).map(name => name.slice(0, -5));
	assert.deepEqual(ids.sort(), [...Object.keys(requests), ...answers, ...ERRORS].sort());
});

// What a recorded answer says, read without any of the gateway's code.
function readRecorded(bytes, streamed) {
	const said = { text: '', reasoning: '', calls: [], usage: {} };
	if (!streamed) {
		const body = JSON.parse(bytes);
		for (const block of body.content) {
			said.text += block.type === 'text' ? block.text : '';
			said.reasoning += block.type === 'thinking' ? block.thinking : '';
			if (block.type === 'tool_use')
				said.calls.push([block.id, block.name, block.input]);
		}
		return { ...said, reason: body.stop_reason, usage: body.usage };
	}
	const open = [];
	for (const line of bytes.toString().split('\n').filter(l => l.startsWith('data:'))) {
		const event = JSON.parse(line.slice(5));
		if (event.type === 'message_start')
			Object.assign(said.usage, event.message.usage);
		if (event.type === 'content_block_start' && event.content_block.type === 'tool_use')
			said.calls.push(open[event.index] = [event.content_block.id, event.content_block.name, '']);
		if (event.type === 'content_block_delta') {
			said.text += event.delta.text ?? '';
			said.reasoning += event.delta.thinking ?? '';
			if (event.delta.partial_json)
				open[event.index][2] += event.delta.partial_json;
		}
		if (event.type === 'message_delta') {
			said.reason = event.delta.stop_reason;
			Object.assign(said.usage, event.usage);
		}
	}
	said.calls = said.calls.map(([id, name, input]) => [id, name, JSON.parse(input || '{}')]);
	return said;
}

const FINISH = { end_turn: 'stop', stop_sequence: 'stop', tool_use: 'tool_calls', max_tokens: 'length', refusal: 'content_filter' };

// What the client got, in the same words.
async function readDelivered(request) {
	const said = { text: '', reasoning: '', calls: [] };
	if (!request.stream) {
		const { choices: [{ message, finish_reason }], usage } = await client.chat.completions.create(request);
		return { text: message.content ?? '', reasoning: message.reasoning_content ?? '', finish: finish_reason, usage,
			calls: (message.tool_calls ?? []).map(call => [call.id, call.function.name, JSON.parse(call.function.arguments)]) };
	}
	for await (const { choices: [choice], usage } of await client.chat.completions.create(request)) {
		said.text += choice.delta.content ?? '';
		said.reasoning += choice.delta.reasoning_content ?? '';
		for (const call of choice.delta.tool_calls ?? [])
			if (call.id)
				said.calls[call.index] = [call.id, call.function.name, call.function.arguments];
			else
				said.calls[call.index][2] += call.function.arguments;
		if (choice.finish_reason !== null)
			Object.assign(said, { finish: choice.finish_reason, usage });
	}
	said.calls = said.calls.map(([id, name, input]) => [id, name, JSON.parse(input)]);
	return said;
}

for (const id of [...Object.keys(requests), ...answers])
	test(`${id}: the request as recorded, the answer as recorded`, async () => {
		const { request, response } = exchange(id), streamed = response.body_file.endsWith('.sse');
		const bytes = fs.readFileSync(path.join(dir, response.body_file));
		const ask = requests[id]?.ask() ?? { model: 'claude-fable-5', messages: [user('x')], stream: streamed };
		for (const step of streamed ? [0, 1, 7, 100] : [0]) {
			fake.answer(streamed ? stream(bytes, { step }) : whole(bytes));
			const got = await readDelivered(ask);
			if (requests[id]) {
				const want = structuredClone(request.body);
				requests[id].differs?.(want);
				assert.deepEqual(JSON.parse(fake.last().body), want);
			}
			const { usage, reason, ...said } = readRecorded(bytes, streamed);
			assert.deepEqual({ text: got.text, reasoning: got.reasoning, calls: got.calls }, said);
			assert.equal(got.finish, FINISH[reason]);
			assert.equal(got.usage.prompt_tokens,
				usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0));
			assert.equal(got.usage.completion_tokens, usage.output_tokens);
			assert.equal(got.usage.prompt_tokens_details.cached_tokens, usage.cache_read_input_tokens ?? 0);
		}
	});

// Every refusal, as the contract's table has it.
const derived = name => fs.readFileSync(path.join(root, 'tests/fixtures/doc-derived', `${name}.body.json`));
for (const [name, status, bytes, want] of [
	['error-400-effort', 400, () => fs.readFileSync(path.join(dir, 'error-400-effort.body.json')), [400, 'invalid_request_error', null]],
	['error-404-model', 404, () => fs.readFileSync(path.join(dir, 'error-404-model.body.json')), [404, 'not_found_error', 'upstream_model_not_found']],
	['anthropic-400-temperature', 400, () => derived('anthropic-400-temperature'), [400, 'invalid_request_error', null]],
	['anthropic-401', 401, () => derived('anthropic-401'), [502, 'upstream_error', 'upstream_authentication']],
	['anthropic-429', 429, () => derived('anthropic-429'), [429, 'rate_limit_error', 'rate_limit_exceeded']],
	['anthropic-529', 529, () => derived('anthropic-529'), [503, 'overloaded_error', 'overloaded']],
])
	for (const streamed of [false, true])
		test(`${name}${streamed ? ', of a stream' : ''}`, async () => {
			fake.answer(whole(bytes(), { status, headers: { 'retry-after': '7' } }));
			await assert.rejects(client.chat.completions.create({ model: 'misspelt', messages: [user('PROMPT-TEXT')], stream: streamed }), error => {
				assert.deepEqual([error.status, error.type, error.code], want);
				assert.equal(error.headers.get('retry-after'), [429, 503].includes(want[0]) ? '7' : null);
				assert.doesNotMatch(JSON.stringify(error.error), /PROMPT-TEXT|sk-ant/);
				return true;
			});
		});

test('an error in the middle of a stream ends it as failed (E3)', async () => {
	fake.answer(stream(fs.readFileSync(path.join(root, 'tests/fixtures/doc-derived/anthropic-stream-overloaded.sse'))));
	const got = [];
	await assert.rejects(async () => {
		for await (const chunk of await client.chat.completions.create({ model: 'claude-sonnet-4-6', stream: true, messages: [user('x')] }))
			got.push(chunk.choices[0].delta.content);
	}, error => error.code === 'overloaded' && error.type === 'overloaded_error');
	assert.deepEqual(got, ['Hello']);
});
