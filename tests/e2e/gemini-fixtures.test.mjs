// Recorded exchanges with Gemini, replayed: our request is the recorded one, and the client gets
// what the recording says, whole and streamed, under OpenAI's names.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startGateway } from './gateway.mjs';
import { fixture, startFakeGemini } from './fake-gemini.mjs';

const user = content => ({ role: 'user', content });
const system = content => ({ role: 'system', content });
const tool = (name, description, parameters) => ({ type: 'function', function: { name, description, parameters } });
const NOTHING = { additionalProperties: false, properties: {}, type: 'object' };
const CITY = { description: 'A city and its country.', type: 'object', title: 'CityLocation', required: ['city', 'country'],
	properties: { city: { type: 'string' }, country: { type: 'string' } } };
const SIGNED = JSON.parse(fixture('google/gen-tool-gemini3-stream-followup.json')).request.body.contents[1].parts[0];

// What an OpenAI client would have said.
const ASKED = {
	'gen-text': { messages: [system('You are a chatbot.'), user('Hello!')] },
	'gen-text-stream-crlf': { temperature: 0, messages: [system('You are a helpful chatbot.'), user('What is the capital of France?')] },
	'gen-usage-midstream': { messages: [user('Count from 1 to 30, one number per line, digits only.')] },
	'gen-max-tokens': { max_tokens: 5, reasoning_effort: 'none', messages: [system('You are a helpful chatbot.'), user('What is the capital of France?')] },
	'gen-max-tokens-empty': { max_completion_tokens: 5, messages: [system('You are a helpful chatbot.'), user('What is the capital of France?')] },
	'gen-safety': { messages: [system('You hate the world!'), user('Tell me a joke about a Brazilians.')] },
	'gen-thinking': { messages: [system('You are a helpful assistant.'), user('How do I cross the street?')], tools: [tool('dummy', '', NOTHING)] },
	'gen-json-schema': { messages: [user('What is the largest city in Mexico?')],
		response_format: { type: 'json_schema', json_schema: { name: 'city', strict: true, schema: CITY } } },
	'gen-tool-any': { messages: [user('What\'s the weather in Paris?')], tool_choice: 'required',
		tools: [tool('get_weather', 'Get weather for a city', { properties: { city: { type: 'string' } }, required: ['city'], type: 'object' })] },
	'gen-tools-parallel': { messages: [system('Tell three jokes. Generate topics with the generate_topic tool.'), user('')],
		tools: [tool('generate_topic', '', NOTHING), tool('final_result', 'The final response which ends this conversation',
			{ properties: { response: { items: { type: 'string' }, type: 'array' } }, required: ['response'], type: 'object' })],
		tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'required',
			tools: ['generate_topic', 'final_result'].map(name => ({ type: 'function', function: { name } })) } } },
	'gen-tool-gemini3-stream': { messages: [user('What is the capital of the user country? Call the tool')], tools: [tool('get_country', '', NOTHING)] },
	'gen-tool-gemini3-stream-followup': { tools: [tool('get_country', '', NOTHING)],
		messages: [user('What is the capital of the user country? Call the tool'),
			{ role: 'assistant', content: null, tool_calls: [{ id: SIGNED.functionCall.id, type: 'function',
				extra_content: { google: { thought_signature: SIGNED.thoughtSignature } }, function: { name: 'get_country', arguments: '{}' } }] },
			{ role: 'tool', tool_call_id: SIGNED.functionCall.id, content: '{"return_value":"Mexico"}' }] },
	'gen-json-array-stream': { messages: [user('Name for a pet pelican, just the name')] },
	'gen-tool-json-array-stream': { messages: [user('Two names for a pet pelican')], tools: [tool('pelican_name_generator', undefined, { properties: {}, type: 'object' })] },
	'error-404-model': { messages: [user('hello')] },
};

// Where we differ from the recording, and why.
const JUSTIFIED = {
	'snake case is camel case: both are names of the same field': body => JSON.parse(JSON.stringify(body)
		.replaceAll('"parameters_json_schema"', '"parametersJsonSchema"').replaceAll('"thinking_budget"', '"thinkingBudget"')
		.replaceAll('"include_thoughts"', '"includeThoughts"')),
	'safetySettings, includeThoughts: no client of OpenAI can ask for them': body => {
		delete body.safetySettings;
		delete body.generationConfig?.thinkingConfig?.includeThoughts;
	},
	'responseModalities TEXT, an empty thinkingConfig: what is so anyway is not sent': body => {
		if (String(body.generationConfig?.responseModalities) === 'TEXT')
			delete body.generationConfig.responseModalities;
		if (body.generationConfig?.thinkingConfig && Object.keys(body.generationConfig.thinkingConfig).length === 0)
			delete body.generationConfig.thinkingConfig;
	},
	'parameters is parametersJsonSchema: the one that loses nothing; description null is none': body => {
		for (const declaration of body.tools?.[0].functionDeclarations ?? []) {
			if (declaration.parameters)
				declaration.parametersJsonSchema = declaration.parameters;
			delete declaration.parameters;
			if (declaration.description === null)
				delete declaration.description;
		}
	},
};

function expectedRequest(body) {
	return Object.values(JUSTIFIED).reduce((kept, change) => change(kept) ?? kept, structuredClone(body));
}

// What the recording says, by rules that know nothing of our code (providers.md 6.4 to 6.9).
function expectedAnswer(responses) {
	const want = { text: '', reasoning: '', calls: [], usage: {}, finish: null };
	for (const { candidates: [candidate] = [], usageMetadata } of responses) {
		for (const part of candidate?.content?.parts ?? []) {
			if (part.functionCall)
				want.calls.push([part.functionCall.name, part.functionCall.args, part.thoughtSignature]);
			else if (part.thought)
				want.reasoning += part.text;
			else
				want.text += part.text;
		}
		want.finish = candidate?.finishReason ?? want.finish;
		Object.assign(want.usage, usageMetadata);
	}
	const { promptTokenCount: prompt = 0, candidatesTokenCount: said = 0, thoughtsTokenCount: thought = 0 } = want.usage;
	want.usage = [prompt, said + thought, want.usage.totalTokenCount, thought];
	want.finish = { MAX_TOKENS: 'length', SAFETY: 'content_filter' }[want.finish] ?? (want.calls.length ? 'tool_calls' : 'stop');
	return want;
}

function responsesOf(name, exchange) {
	const text = fixture(`google/${exchange.response.body_file}`).toString();
	if (exchange.response.body_file.endsWith('.sse'))
		return text.split('\r\n\r\n').filter(event => event).map(event => JSON.parse(event.replace(/^data: /, '')));
	return [JSON.parse(text)].flat();
}

let fake, gateway, client, dir;

before(async () => {
	fake = await startFakeGemini();
	// Models that are not ours, and those of the recordings under the names they had then.
	const models = Object.fromEntries(Object.keys(ASKED).map(id => {
		const model = JSON.parse(fixture(`google/${id}.json`)).request.url.match(/models\/([^:]+):/)[1];
		return [model, { name: model, provider: 'google', api_name: model, kind: 'chat', input_usd_per_token: '0',
			output_usd_per_token: '0', reasoning_effort: ['none', 'high'], thinking: /gemini-3/.test(model) ? 'level' : 'budget' }];
	}));
	dir = fs.mkdtempSync(path.join(os.tmpdir(), 'gemini-fixtures-'));
	fs.writeFileSync(path.join(dir, 'models.json'), JSON.stringify({ schema: 1, models: Object.values(models) }));
	gateway = await startGateway({ env: fake.env, args: ['--models', path.join(dir, 'models.json')] });
	fake.signatures.set('1 0', SIGNED.thoughtSignature); // as if this run had issued it
	client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
	fs.rmSync(dir, { recursive: true });
});

for (const [id, asked] of Object.entries(ASKED)) {
	const exchange = JSON.parse(fixture(`google/${id}.json`));
	const [, model, method] = exchange.request.url.match(/models\/([^:]+):(\w+)/);

	test(`${id}: the recorded request`, async () => {
		const streamed = method === 'streamGenerateContent';
		fake.answer(async reply => { reply.head(500, {}); reply.end(); });
		await assert.rejects(client.chat.completions.create({ model, stream: streamed, ...asked }), { status: 502 });
		assert.deepEqual(JSON.parse(fake.last().body), expectedRequest(exchange.request.body));
		// The array form is never asked for: providers.md 6.8.
		assert.equal(fake.last().path, `/v1beta/models/${model}:${method}${streamed ? '?alt=sse' : ''}`);
	});

	if (exchange.response.status !== 200)
		continue;
	for (const streamed of [false, true])
		test(`${id}: the recorded answer, ${streamed ? 'streamed' : 'whole'}`, async () => {
			const responses = responsesOf(id, exchange), want = expectedAnswer(responses);
			if (streamed)
				fake.replay(responses.map(one => `data: ${JSON.stringify(one)}\r\n\r\n`).join(''), 'text/event-stream');
			else
				fake.replay(JSON.stringify(responses.length === 1 ? responses[0] : responses));
			let reasoning = '';
			const answer = streamed
				? await client.chat.completions.stream({ model, ...asked })
					.on('chunk', chunk => { reasoning += chunk.choices[0].delta.reasoning_content ?? ''; }).finalChatCompletion()
				: await client.chat.completions.create({ model, ...asked });
			const [{ message, finish_reason }] = answer.choices, { usage } = answer;
			assert.equal(finish_reason, want.finish);
			assert.equal(message.content ?? '', want.text);
			assert.equal(streamed ? reasoning : message.reasoning_content ?? '', want.reasoning);
			assert.deepEqual((message.tool_calls ?? []).map(call => [call.function.name, JSON.parse(call.function.arguments),
				call.extra_content?.google.thought_signature]), want.calls);
			assert.deepEqual([usage.prompt_tokens, usage.completion_tokens, usage.total_tokens,
				usage.completion_tokens_details.reasoning_tokens], want.usage);
		});
}
