// What is accepted and what is refused, by name (interfaces.md 5: C1-C8; E1, E2).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { json, post, startGateway } from './gateway.mjs';
import { fixture, startFakeOpenAI, whole } from './fake-openai.mjs';

let fake, gateway, bare;
const SECRET = 'PROMPT-THAT-NO-ERROR-MAY-QUOTE';
const messages = [{ role: 'user', content: SECRET }];
const base = { model: 'echo', messages };

before(async () => {
	fake = await startFakeOpenAI();
	gateway = await startGateway({ env: fake.env });
	bare = await startGateway({ loops: 1, env: { NOUS_API_KEY: 'of-another' } });
});

after(async () => {
	await gateway?.stop();
	await bare?.stop();
	await fake?.close();
});

async function refused(where, body, want) {
	const answer = await post(`${gateway.url}${where}`, body);
	assert.equal(answer.status, want.status ?? 400, answer.body.toString());
	assert.match(answer.headers['content-type'], /^application\/json/);
	const { error, ...rest } = json(answer);
	assert.deepEqual(rest, {}, 'E1: the error and nothing else');
	assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
	assert.equal(error.type, want.type ?? 'invalid_request_error');
	if (want.code !== undefined)
		assert.equal(error.code, want.code);
	if (want.param !== undefined) {
		assert.equal(error.param, want.param);
		if (want.param)
			assert.ok(error.message.includes(want.param), `E1: the message names the field: ${error.message}`);
	}
	assert.ok(!answer.body.includes(SECRET), 'E1: no prompt text');
	assert.ok(!('tee-receipt' in answer.headers), 'E2: no receipt before admission');
}

for (const [rule, body] of [
	['nothing', ''],
	['half an object', '{"model":"echo","messages":['],
	['bytes after the object', '{"model":"echo","messages":[{"role":"user","content":"x"}]} x'],
	['an array', '[]'],
	['a string', '"x"'],
	['single quotes', "{'model':'echo'}"],
	['NaN', '{"model":"echo","temperature":NaN,"messages":[{"role":"user","content":"x"}]}'],
	['a trailing comma', '{"model":"echo","messages":[{"role":"user","content":"x"}],}'],
	['bytes that are not UTF-8', Buffer.from('{"model":"echo","messages":[{"role":"user","content":"\xff"}]}', 'latin1')],
	['nesting beyond 64', `{"model":"echo","x":${'['.repeat(100)}${']'.repeat(100)}}`],
])
	test(`E2: ${rule} is invalid JSON`, () => refused('/v1/chat/completions', body, { code: 'invalid_json', param: null }));

for (const [rule, change, want] of [
	['no model', { model: undefined }, { param: 'model' }],
	['an empty model', { model: '' }, { param: 'model' }],
	['a model that is a number', { model: 7 }, { param: 'model' }],
	['a model nobody has', { model: 'no-such-model' },
		{ status: 404, type: 'not_found_error', code: 'model_not_found', param: 'model' }],
	["C8: another provider's prefix", { model: 'anthropic/gpt-4.1' },
		{ status: 404, type: 'not_found_error', code: 'model_not_found' }],
	['no messages', { messages: undefined }, { param: 'messages' }],
	['empty messages', { messages: [] }, { param: 'messages' }],
	['messages that are text', { messages: 'hello' }, { param: 'messages' }],
	['a message that is text', { messages: ['hello'] }, {}],
	['a message without role', { messages: [{ content: 'x' }] }, {}],
	['a role nobody knows', { messages: [{ role: 'wizard', content: 'x' }] }, {}],
	['content that is a number', { messages: [{ role: 'user', content: 5 }] }, {}],
	['a part without type', { messages: [{ role: 'user', content: [{ text: 'x' }] }] }, {}],
	['a tool answer without its call', { messages: [...messages, { role: 'tool', content: 'x' }] }, {}],
	['temperature as text', { temperature: 'hot' }, { param: 'temperature' }],
	['temperature above 2', { temperature: 2.1 }, { param: 'temperature' }],
	['temperature below 0', { temperature: -0.1 }, { param: 'temperature' }],
	['top_p above 1', { top_p: 1.5 }, { param: 'top_p' }],
	['presence_penalty above 2', { presence_penalty: 3 }, { param: 'presence_penalty' }],
	['frequency_penalty below -2', { frequency_penalty: -3 }, { param: 'frequency_penalty' }],
	['max_tokens below 0', { max_tokens: -1 }, { param: 'max_tokens' }],
	['max_tokens as a fraction', { max_tokens: 1.5 }, { param: 'max_tokens' }],
	['max_completion_tokens as text', { max_completion_tokens: '5' }, { param: 'max_completion_tokens' }],
	['n of 0', { n: 0 }, { param: 'n' }],
	['n of 129', { n: 129 }, { param: 'n' }],
	['five stops', { stop: ['a', 'b', 'c', 'd', 'e'] }, { param: 'stop' }],
	['a stop that is a number', { stop: 5 }, { param: 'stop' }],
	['stream as text', { stream: 'yes' }, { param: 'stream' }],
	['stream_options as text', { stream: true, stream_options: 'usage' }, { param: 'stream_options' }],
	['top_logprobs of 21', { logprobs: true, top_logprobs: 21 }, { param: 'top_logprobs' }],
	['a bias of 101', { logit_bias: { 1: 101 } }, { param: 'logit_bias' }],
	['seed as text', { seed: 'x' }, { param: 'seed' }],
	['tools as an object', { tools: {} }, { param: 'tools' }],
	['a tool without function', { tools: [{ type: 'function' }] }, {}],
	['a tool choice without tools', { tool_choice: 'required' }, { param: 'tool_choice' }],
	['a format nobody knows', { response_format: { type: 'yaml' } }, { param: 'response_format' }],
	['an effort nobody knows', { reasoning_effort: 'heroic' }, { param: 'reasoning_effort' }],
	['C4: store', { store: true }, { param: 'store', code: 'unsupported_parameter' }],
	['H7: web_search', { web_search: true }, { param: 'web_search', code: 'unsupported_parameter' }],
	['C5: members nobody knows, where no provider could', { x_unknown: 1 }, { param: 'x_unknown' }],
	['C4: several choices of echo', { n: 2 }, { param: 'n', code: 'unsupported_parameter' }],
	['C4: a format echo cannot keep', { response_format: { type: 'json_object' } }, { param: 'response_format' }],
	['C4: logprobs of echo', { logprobs: true }, { param: 'logprobs' }],
	['C4: images to echo', { messages: [{ role: 'user', content: [
		{ type: 'image_url', image_url: { url: 'https://example.com/x.png' } }] }] }, {}],
])
	test(`${rule} is refused`, () => refused('/v1/chat/completions', { ...base, ...change }, want));

for (const [rule, change, want] of [
	['no prompt', { prompt: undefined }, { param: 'prompt' }],
	['a prompt that is a number', { prompt: 5 }, { param: 'prompt' }],
	['a model nobody has', { model: 'x' }, { status: 404, type: 'not_found_error', code: 'model_not_found' }],
	['C4: a suffix echo cannot honour', { suffix: 'end' }, { param: 'suffix' }],
])
	test(`completions: ${rule} is refused`, () => refused('/v1/completions',
		{ model: 'echo', prompt: SECRET, ...change }, want));

for (const [rule, change] of [
	['n 1', { n: 1 }], ['stream false', { stream: false }], ['store false', { store: false }],
	['parallel_tool_calls true', { parallel_tool_calls: true }],
	['logprobs false', { logprobs: false, top_logprobs: 0 }],
	['no penalties', { presence_penalty: 0, frequency_penalty: 0.0 }],
	['no bias', { logit_bias: {} }], ['no tools', { tools: [], tool_choice: 'auto' }],
	['tool_choice none', { tool_choice: 'none' }],
	['no stop', { stop: [] }], ['empty stop', { stop: '' }], ['null stop', { stop: null }],
	['text format', { response_format: { type: 'text' } }], ['text modality', { modalities: ['text'] }],
	['tier auto', { service_tier: 'auto' }], ['tier default', { service_tier: 'default' }],
	['no search', { web_search: false }], ['usage of a stream', { stream: true, stream_options: { include_usage: true } }],
	['nulls', { temperature: null, tools: null, user: null, audio: null, prediction: null, x_unknown: null }],
])
	test(`C2: ${rule} counts as absent`, async () => {
		const answer = await post(`${gateway.url}/v1/chat/completions`, { ...base, ...change });
		assert.equal(answer.status, 200, answer.body.toString());
		assert.ok(!('tee-adjusted' in answer.headers), answer.headers['tee-adjusted']);
	});

for (const model of ['echo', ' ECHO ', 'Echo', 'gpt-4.1', ' GPT-4.1', 'openai/gpt-4.1', 'gpt-4.1-2025-04-14'])
	test(`C8: ${JSON.stringify(model)} is found, and answered under the name asked for`, async () => {
		const upstream = /gpt/i.test(model);
		if (upstream)
			fake.answer(whole(fixture('chat-text.body.json')));
		const answer = await post(`${gateway.url}/v1/chat/completions`, { ...base, model });
		assert.equal(answer.status, 200, answer.body.toString());
		assert.equal(json(answer).model, model);
		if (upstream)
			assert.equal(JSON.parse(fake.last().body).model, 'gpt-4.1-2025-04-14');
	});

test('C3: what a reasoning model refuses is left out and declared', async () => {
	fake.answer(whole(fixture('chat-text.body.json')));
	const answer = await post(`${gateway.url}/v1/chat/completions`,
		{ ...base, model: 'o4-mini', temperature: 0.0, max_tokens: 100 });
	assert.equal(answer.status, 200, answer.body.toString());
	assert.equal(answer.headers['tee-adjusted'], 'temperature');
	const sent = JSON.parse(fake.last().body);
	assert.ok(!('temperature' in sent) || sent.temperature === 1);
	assert.equal(sent.max_completion_tokens, 100);
	assert.ok(!('max_tokens' in sent));
});

test('E2: a provider without a key', async () => {
	const answer = await post(`${bare.url}/v1/chat/completions`, { ...base, model: 'gpt-4.1' });
	assert.equal(answer.status, 503, answer.body.toString());
	const { error } = json(answer);
	assert.equal(error.type, 'server_error');
	assert.equal(error.code, 'provider_not_configured');
	assert.ok(!('tee-receipt' in answer.headers));
});

test('E2: models of providers that are not served are said to be so', async () => {
	const answer = await post(`${gateway.url}/v1/chat/completions`, { ...base, model: 'claude-sonnet-4-5' });
	assert.ok([404, 503].includes(answer.status), answer.body.toString());
});
