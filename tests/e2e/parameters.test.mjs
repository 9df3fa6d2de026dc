// docs/providers.md says what becomes of each parameter at each provider; here every parameter is
// sent to every model, and the table must say what happened (C1).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { json, post, root, startGateway } from './gateway.mjs';
import { events, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { message, streamed } from './fake-anthropic.mjs';

const table = JSON.parse(fs.readFileSync(path.join(root, 'models.json'), 'utf8')).models;
const page = fs.readFileSync(path.join(root, 'docs/providers.md'), 'utf8');
const PROVIDERS = ['openai', 'anthropic', 'google', 'x-ai', 'bytedance', 'nous'];
let fake, gateway;

before(async () => {
	fake = await startFakeOpenAI();
	const base = `https://localhost:${fake.port}`;
	const env = { TEE_GATEWAY_CA_FILE: fake.caFile };
	for (const [name, at] of [['OPENAI', '/v1'], ['ANTHROPIC', ''], ['GOOGLE', ''], ['XAI', '/v1'], ['ARK', '/api/v3'], ['NOUS', '/v1']])
		Object.assign(env, { [`${name}_API_KEY`]: 'key-of-the-gateway', [`${name}_BASE_URL`]: base + at });
	gateway = await startGateway({ env });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
const format = more => ({ response_format: more });

// What is sent for each row of the page.
const CHAT = {
	messages: {}, stream: { stream: true }, stream_options: { stream: true, stream_options: { include_usage: true } },
	max_tokens: { max_tokens: 4000 }, max_completion_tokens: { max_completion_tokens: 4000 },
	temperature: { temperature: 0.5 }, top_p: { top_p: 0.5 }, n: { n: 2 }, stop: { stop: ['a'] }, seed: { seed: 1 },
	presence_penalty: { presence_penalty: 0.5 }, frequency_penalty: { frequency_penalty: 0.5 }, logit_bias: { logit_bias: { 1: 1 } },
	logprobs: { logprobs: true }, top_logprobs: { logprobs: true, top_logprobs: 2 }, tools: { tools },
	tool_choice: { tools, tool_choice: 'required' }, parallel_tool_calls: { tools, parallel_tool_calls: false },
	'response_format: json_schema': format({ type: 'json_schema', json_schema: { name: 's', schema: { type: 'object', properties: {}, additionalProperties: false } } }),
	'response_format: json_object': format({ type: 'json_object' }),
	modalities: { modalities: ['text', 'audio'] }, reasoning_effort: { reasoning_effort: 'low' }, verbosity: { verbosity: 'low' },
	user: { user: 'u' }, metadata: { metadata: { a: 'b' } }, safety_identifier: { safety_identifier: 's' },
	prompt_cache_key: { prompt_cache_key: 'k' }, prompt_cache_retention: { prompt_cache_retention: '24h' },
	service_tier: { service_tier: 'flex' }, store: { store: true }, web_search: { web_search: true },
	web_search_options: { web_search_options: {} }, audio: { modalities: ['text'], audio: { voice: 'v', format: 'wav' } },
	prediction: { prediction: { type: 'content', content: 'x' } }, functions: { functions: [] }, function_call: { function_call: 'auto' },
	image_config: { image_config: { image_size: '2K' } }, size: { size: '2K' }, watermark: { watermark: true },
	'a member nobody knows': { top_k: 3 },
};
const COMPLETIONS = { prompt: {}, suffix: { suffix: 'x' }, echo: { echo: true }, best_of: { best_of: 2 } };
const ALIKE = ['model', ...Object.keys(CHAT).flatMap(row => row.split(':')[0])];

const PICTURE = '/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==';

function answerFor({ provider, kind }, streams) {
	if (kind === 'image_endpoint')
		return whole({ data: [{ b64_json: PICTURE }] });
	if (provider === 'anthropic')
		return streams ? stream(streamed(message([{ type: 'text', text: 'x' }]))) : whole(message([{ type: 'text', text: 'x' }]));
	if (provider === 'google') {
		const body = { candidates: [{ content: { role: 'model', parts: [{ text: 'x' }] }, finishReason: 'STOP' }] };
		return streams ? stream(`data: ${JSON.stringify(body)}\r\n\r\n`) : whole(body);
	}
	const end = { index: 0, finish_reason: 'stop' };
	return streams ? stream(events({ choices: [{ ...end, delta: { content: 'x' } }] }))
		: whole({ choices: [end, { ...end, index: 1 }].map(c => ({ ...c, message: { role: 'assistant', content: 'x' } })) });
}

// What becomes of one parameter at one model.
async function verdict(where, model, name, more) {
	const body = where === 'completions' ? { model: model.name, prompt: 'x', ...more }
		: { model: model.name, messages: [{ role: 'user', content: 'x' }], ...more };
	const before = fake.calls.length;
	fake.answer(answerFor(model, body.stream));
	const answer = await post(`${gateway.url}/v1/${where}`, body, { 'tee-signature': 'none' });
	if (fake.calls.length === before) {
		fake.drop();
		assert.equal(answer.status, 400, `${model.name} ${name}: ${answer.body}`);
		const { param } = json(answer).error;
		assert.ok(Object.keys(body).some(member => param === member || param.startsWith(`${member}.`)), `${name}: ${param}`);
		return 'refused';
	}
	if ((answer.headers['tee-adjusted'] ?? '').split(', ').includes(name))
		return 'adjusted';
	const sent = JSON.parse(fake.last().body);
	try {
		assert.deepEqual(sent[name], body[name]);
		return 'honoured';
	} catch {
		return 'translated';
	}
}

function written(heading) {
	const rows = {};
	const part = page.slice(page.indexOf(`## ${heading}`)).split('\n## ')[0];
	for (const line of part.split('\n').filter(l => l.startsWith('| `') || l.startsWith('| a member'))) {
		const cells = line.split('|').slice(1, -1).map(cell => cell.trim().replaceAll('`', ''));
		rows[cells[0]] = cells.slice(1);
	}
	delete rows.model; // always the provider's own name
	return rows;
}

const talks = PROVIDERS.map(provider => table.filter(m => m.provider === provider && m.kind === 'chat'));
const draws = ['google', 'x-ai', 'bytedance'].map(provider => table.filter(m => m.provider === provider && m.kind !== 'chat'));

for (const [heading, where, rows, columns] of [['Chat completions', 'chat/completions', CHAT, talks],
	['Legacy completions', 'completions', COMPLETIONS, talks], ['Models that make pictures', 'chat/completions', CHAT, draws]])
	test(`C1: ${heading}: the page says what becomes of each parameter`, async () => {
		const measured = {};
		for (const [row, more] of Object.entries(rows)) {
			const name = row === 'a member nobody knows' ? 'top_k' : row.split(':')[0];
			measured[row] = [];
			for (const models of columns) {
				const seen = new Set();
				for (const model of models)
					seen.add(await verdict(where, model, name, more));
				measured[row].push(['honoured', 'translated', 'adjusted', 'refused'].filter(word => seen.has(word)).join(', '));
			}
		}
		if (process.env.PRINT_TABLE)
			for (const [row, cells] of Object.entries(measured))
				console.log(`| \`${row}\` | ${cells.join(' | ')} |`);
		assert.deepEqual(written(heading), measured);
	});

test('C1: the page has a row for every parameter that the source names', () => {
	const source = fs.readFileSync(path.join(root, 'src/provider/request.h'), 'utf8');
	const names = [...source.matchAll(/PARAM\(\w+, "(\w+)"/g)].map(m => m[1]);
	assert.ok(names.length > 30);
	const known = [...ALIKE, ...Object.keys(COMPLETIONS)];
	assert.deepEqual(names.filter(name => !known.includes(name)), []);
	for (const name of names)
		assert.ok(page.includes(`| \`${name}`), name);
});
