// Pictures in and pictures out, through the official client: recorded answers replayed, requests
// compared, every byte under the receipt, and what is refused.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { exchange, json, post, root, startGateway } from './gateway.mjs';
import { sha256, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { KEY } from './fake-gemini.mjs';
import { parseStream, readIdentity, splitStream, textHash, verifyReceipt, verifyTeeFields } from './receipts-check.mjs';

const fixture = name => fs.readFileSync(path.join(root, 'tests/fixtures', name));
const recorded = name => JSON.parse(fixture(`${name}.json`));
const user = content => [{ role: 'user', content }];
const shows = url => ({ type: 'image_url', image_url: { url } });
const says = text => ({ type: 'text', text });
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const png = `data:image/png;base64,${PNG}`;
let fake, gateway, client, identity;

before(async () => {
	fake = await startFakeOpenAI();
	const base = `https://localhost:${fake.port}`;
	gateway = await startGateway({ env: { ...fake.env, GOOGLE_API_KEY: KEY, GOOGLE_BASE_URL: base, ANTHROPIC_API_KEY: 'ant-test', ANTHROPIC_BASE_URL: base,
		XAI_API_KEY: 'xai-test', XAI_BASE_URL: `${base}/v1`, ARK_API_KEY: 'ark-test', ARK_BASE_URL: `${base}/api/v3` } });
	identity = await readIdentity(gateway);
	client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

const bytesOf = image => Buffer.from(image.image_url.url.split(',')[1], 'base64');
const ask = body => post(`${gateway.url}/v1/chat/completions`, body);

// One answer, whole and streamed; both verified to the last byte. Returns the message of each.
async function both(body, answer) {
	fake.answer(whole(answer));
	const plain = await ask(body);
	assert.equal(plain.status, 200, plain.body.toString());
	const message = json(plain).choices[0].message;
	const request = Buffer.from(JSON.stringify(body));
	let claims = await verifyReceipt(identity, plain.headers['tee-receipt'], { request, content: plain.body });
	assert.equal(claims.outcome, 'complete');
	assert.equal(claims.fwd, sha256(fake.last().body));
	assert.equal(claims.up, sha256(fake.last().sent));
	verifyTeeFields(identity, json(plain), { outputHash: textHash(message.content) });

	fake.answer(whole(answer));
	const events = await ask({ ...body, stream: true });
	assert.match(events.headers['content-type'], /^text\/event-stream/);
	const { content, jws, done } = splitStream(events.body);
	assert.ok(done);
	claims = await verifyReceipt(identity, jws, { request: Buffer.from(JSON.stringify({ ...body, stream: true })), content });
	assert.equal(claims.outcome, 'complete');
	const chunks = parseStream(events.body);
	const last = chunks.at(-1);
	verifyTeeFields(identity, last, { outputHash: textHash(message.content) });
	assert.ok(chunks.slice(0, -1).every(chunk => !chunk.choices[0].delta.images), 'C9: in the final chunk');
	assert.equal(chunks.map(chunk => chunk.choices[0].delta.content ?? '').join(''), message.content);
	assert.deepEqual(last.choices[0].delta.images, message.images);
	assert.deepEqual(last.usage, json(plain).usage);
	assert.equal(last.choices[0].finish_reason, 'stop');
	return { message, usage: last.usage, headers: plain.headers };
}

test('ModelArk: the recorded request and answer, whole and streamed', async () => {
	const { request } = recorded('doc-derived/ark-image');
	const { message, usage } = await both({ model: 'seedream-4.0', messages: user('a red balloon'), size: '2K' }, fixture('doc-derived/ark-image.body.json'));
	assert.equal(fake.last().path, new URL(request.url).pathname);
	assert.deepEqual(JSON.parse(fake.last().body), request.body);
	assert.equal(fake.last().headers.authorization, 'Bearer ark-test');
	const [{ b64_json }] = JSON.parse(fixture('doc-derived/ark-image.body.json')).data;
	assert.equal(message.images.length, 1);
	assert.equal(sha256(bytesOf(message.images[0])), sha256(Buffer.from(b64_json, 'base64')));
	assert.match(message.images[0].image_url.url, /^data:image\/jpeg;base64,/);
	assert.equal(usage.completion_tokens, 16384);
});

test('xAI: the recorded request and answer, whole and streamed', async () => {
	const { request } = recorded('doc-derived/xai-image');
	const { message, usage } = await both({ model: 'grok-2-image', messages: user('A cat in a tree') }, fixture('doc-derived/xai-image.body.json'));
	assert.equal(fake.last().path, new URL(request.url).pathname);
	assert.deepEqual(JSON.parse(fake.last().body), request.body);
	const [{ b64_json, revised_prompt }] = JSON.parse(fixture('doc-derived/xai-image.body.json')).data;
	assert.equal(message.content, revised_prompt);
	assert.equal(sha256(bytesOf(message.images[0])), sha256(Buffer.from(b64_json, 'base64')));
	assert.equal(usage.total_tokens, 0);
	assert.ok(!('estimated' in usage));
});

test('the official client saves a picture; what means nothing for one is declared', async () => {
	fake.answer(whole(fixture('doc-derived/xai-image.body.json')));
	const { data, response } = await client.chat.completions.create({ model: 'grok-2-image', temperature: 0.0, max_tokens: 100,
		messages: [{ role: 'system', content: 'In oil.' }, ...user([says('A cat'), says(' in a tree')])] }).withResponse();
	assert.equal(response.headers.get('tee-adjusted'), 'max_tokens, temperature');
	assert.equal(JSON.parse(fake.last().body).prompt, 'In oil.\n\nA cat in a tree');
	assert.deepEqual([...bytesOf(data.choices[0].message.images[0]).subarray(0, 3)], [0xff, 0xd8, 0xff]);
});

const gemini = body => ({ model: 'gemini-2.5-flash-image', ...body });

for (const id of ['gen-image-and-text', 'gen-vertex-image'])
	test(`Gemini: ${id}, whole`, async () => {
		const { request } = recorded(`google/${id}`);
		const [{ parts }] = request.body.contents;
		const answer = JSON.parse(fixture(`google/${id}.body.json`));
		fake.answer(whole(answer));
		const body = gemini({ messages: user(parts[0].text) });
		const got = await ask(body);
		const { message, finish_reason } = json(got).choices[0];
		// Pictures are always asked for by name; their compression is nothing that OpenAI's clients can ask for.
		const { generationConfig } = JSON.parse(fake.last().body);
		assert.deepEqual({ ...JSON.parse(fake.last().body), generationConfig: undefined }, { ...request.body, generationConfig: undefined });
		assert.deepEqual(generationConfig, { responseModalities: ['TEXT', 'IMAGE'] });
		const said = answer.candidates[0].content.parts;
		assert.equal(message.content, said.map(part => part.text ?? '').join(''));
		assert.deepEqual(message.images.map(image => image.image_url.url),
			said.filter(part => part.inlineData).map(({ inlineData }) => `data:${inlineData.mimeType};base64,${inlineData.data}`));
		assert.equal(finish_reason, 'stop');
		assert.equal(json(got).usage.completion_tokens, answer.usageMetadata.candidatesTokenCount);
		await verifyReceipt(identity, got.headers['tee-receipt'], { request: Buffer.from(JSON.stringify(body)), content: got.body });
	});

for (const step of [0, 1, 37])
	test(`Gemini: the stream, ${step === 0 ? 'in one piece' : `in pieces of ${step}`}: pictures in the final chunk (C9)`, async () => {
		fake.answer(stream(fixture('doc-derived/google-image-stream.sse'), { step }));
		const body = gemini({ messages: user('a red dot'), stream: true });
		const got = await ask(body);
		const { content, jws } = splitStream(got.body);
		await verifyReceipt(identity, jws, { request: Buffer.from(JSON.stringify(body)), content });
		const chunks = parseStream(got.body);
		assert.equal(chunks.map(chunk => chunk.choices[0].delta.content ?? '').join(''), 'Here it is. ');
		assert.deepEqual(chunks.flatMap(chunk => chunk.choices[0].delta.images ?? []), [shows(png)]);
		assert.deepEqual(chunks.at(-1).choices[0].delta.images, [shows(png)]);
		assert.equal(chunks.at(-1).usage.completion_tokens, 1296);
		assert.equal(fake.last().path, '/v1beta/models/gemini-2.5-flash-image:streamGenerateContent?alt=sse');
	});

test('Gemini: what it drew goes back to it', async () => {
	fake.answer(whole(fixture('google/gen-image-and-text.body.json')), whole(fixture('google/gen-image-and-text.body.json')));
	const first = await client.chat.completions.create(gemini({ messages: user('an axolotl') }));
	await client.chat.completions.create(gemini({ messages: [...user('an axolotl'), first.choices[0].message, ...user('now blue')], modalities: ['image'] }));
	const sent = JSON.parse(fake.last().body);
	assert.deepEqual(sent.contents[1].parts.at(-1), { inlineData: { mimeType: 'image/png', data: PNG } });
	assert.deepEqual(sent.generationConfig.responseModalities, ['IMAGE']);
});

// --- pictures in ---

test('OpenAI and xAI get the client\'s bytes, address or data', async () => {
	const reply = { choices: [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }] };
	for (const model of ['gpt-4.1', 'grok-4-fast', 'seed-1.6']) {
		fake.answer(whole(reply));
		const content = [says('What is it?'), shows(png), { type: 'image_url', image_url: { url: 'https://example.com/a.png', detail: 'low' } }];
		const text = `{"messages": [ {"content":${JSON.stringify(content)}, "role":"user"}], "model":"${model}"}`;
		const got = await exchange(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text });
		assert.equal(got.status, 200, got.body.toString());
		assert.ok(fake.last().body.includes(JSON.stringify(content)), 'byte for byte');
		const claims = await verifyReceipt(identity, got.headers['tee-receipt'], { request: Buffer.from(text), content: got.body });
		assert.equal(claims.fwd, sha256(fake.last().body));
	}
});

test('Anthropic: the recorded request with a picture by its address', async () => {
	const { request } = recorded('anthropic/msg-image-url');
	const [{ content }] = request.body.messages;
	fake.answer(whole(fixture('anthropic/msg-image-url.body.json')));
	await client.chat.completions.create({ model: 'claude-haiku-4-5', messages: user([says(content[0].text), shows(content[1].source.url)]) });
	assert.deepEqual(JSON.parse(fake.last().body).messages, [{ role: 'user', content: [
		{ type: 'text', text: content[0].text }, { type: 'image', source: content[1].source }] }]);
});

test('Anthropic: a file is a document', async () => {
	fake.answer(whole(fixture('anthropic/msg-image-url.body.json')));
	await client.chat.completions.create({ model: 'claude-haiku-4-5', messages: user([says('x'),
		{ type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' } }]) });
	assert.deepEqual(JSON.parse(fake.last().body).messages[0].content[1],
		{ type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBERi0=' }, title: 'a.pdf' });
});

// --- what is refused, and what fails ---

const part = content => ({ messages: user([says('x'), content]) });
const refusals = [
	['bad base64', 'gpt-4.1', part(shows('data:image/png;base64,a!b=')), 'messages[0].content[1].image_url.url'],
	['another type', 'gpt-4.1', part(shows('data:image/bmp;base64,Qk0=')), 'messages[0].content[1].image_url.url'],
	['plain http', 'gpt-4.1', part(shows('http://example.com/a.png')), 'messages[0].content[1].image_url.url'],
	['an address, where nobody fetches', 'gemini-2.5-flash', part(shows('https://example.com/a.png')), 'messages[0].content[1]'],
	['a picture for a model of text', 'grok-3-mini', part(shows(png)), 'messages[0].content[1]'],
	['a picture for a model that takes none', 'grok-2-image', part(shows(png)), 'messages[0].content[1]'],
	['a picture for Hermes', 'hermes-4-70b', part(shows(png)), 'messages[0].content[1]'],
	['a picture for echo', 'echo', part(shows(png)), 'messages[0].content[1]'],
	['sound', 'claude-haiku-4-5', part({ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }), 'messages[0].content[1]'],
	['somebody\'s file', 'gpt-4.1', part({ type: 'file', file: { file_id: 'file-1' } }), 'messages[0].content[1].file.file_id'],
	['too many', 'gpt-4.1', { messages: user([says('x'), ...Array(101).fill(shows(png))]) }, 'messages'],
	['a part nobody knows', 'gpt-4.1', part({ type: 'video_url', video_url: { url: png } }), 'messages[0].content[1].type'],
	['nothing to draw', 'seedream-4.0', { messages: user('') }, 'messages'],
	['tools', 'seedream-4.0', { messages: user('x'), tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools'],
	['a size that xAI refuses', 'grok-2-image', { messages: user('x'), size: '1024x1024' }, 'size'],
	['words for pictures, to a model of text', 'gpt-4.1', { messages: user('x'), size: '1024x1024' }, 'size'],
];

for (const [what, model, body, param] of refusals)
	test(`refused: ${what}`, async () => {
		const before = fake.calls.length;
		const got = await ask({ model, ...body });
		assert.equal(got.status, 400, got.body.toString());
		const { error } = json(got);
		assert.equal(error.type, 'invalid_request_error');
		assert.equal(error.param, param);
		assert.ok(error.message.includes(param), error.message);
		assert.ok(!error.message.includes(PNG.slice(0, 20)));
		assert.equal(fake.calls.length, before, 'nothing was asked');
		assert.ok(!('tee-receipt' in got.headers));
	});

test('refused: pictures on the older endpoint', async () => {
	const got = await post(`${gateway.url}/v1/completions`, { model: 'grok-2-image', prompt: 'a cat' });
	assert.equal(got.status, 400);
	assert.equal(json(got).error.param, 'model');
});

const blockedPrompt = { promptFeedback: { blockReason: 'SAFETY' }, usageMetadata: { promptTokenCount: 5 } };
const failures = [
	['ModelArk does not like the words', 'seedream-4.0', fixture('doc-derived/ark-image-400.body.json'), 400, 400, 'content_policy_violation'],
	['ModelArk does not like the picture', 'seedream-4.0', { data: [{ error: { code: 'OutputImageSensitiveContentDetected', message: 'x' } }] }, 200, 400, 'content_policy_violation'],
	['xAI does not like the picture', 'grok-2-image', { data: [{ url: '', respect_moderation: false }] }, 200, 400, 'content_policy_violation'],
	['Gemini does not like the words', 'gemini-2.5-flash-image', blockedPrompt, 200, 400, 'content_policy_violation'],
	['Gemini does not like the picture', 'gemini-2.5-flash-image', { candidates: [{ finishReason: 'IMAGE_SAFETY' }] }, 200, 400, 'content_policy_violation'],
	['Gemini draws nothing', 'gemini-2.5-flash-image', { candidates: [{ finishReason: 'NO_IMAGE' }] }, 200, 502, 'upstream_error'],
	['an address in place of the picture', 'seedream-4.0', fixture('doc-derived/ark-image-partial.body.json'), 200, 502, 'upstream_error'],
	['an address of OpenAI\'s', 'grok-2-image', fixture('openai/images-generation.body.json'), 200, 502, 'upstream_error'],
	['a parameter that is not known', 'grok-2-image', fixture('openai/images-generation-400.body.json'), 400, 400, 'unknown_parameter'],
	['a picture that is none', 'grok-2-image', { data: [{ b64_json: 'aGVsbG8gd29ybGQhIQ==' }] }, 200, 502, 'upstream_error'],
	['a provider that is busy', 'grok-2-image', { error: 'busy' }, 429, 429, 'rate_limit_exceeded'],
	['a provider that broke', 'grok-2-image', '<html>', 500, 502, 'upstream_error'],
];

for (const [what, model, answer, upstream, status, code] of failures)
	for (const streams of [false, true])
		test(`fails: ${what}${streams ? ', streamed' : ''}`, async () => {
			const before = fake.calls.length;
			fake.answer(streams && upstream === 200 && model.startsWith('gemini') ? stream(`data: ${JSON.stringify(answer)}\r\n\r\n`)
				: whole(answer, { status: upstream }));
			const body = { model, messages: user('a cat'), stream: streams };
			const got = await ask(body);
			assert.equal(got.status, status, got.body.toString());
			assert.equal(json(got).error.code, code);
			const claims = await verifyReceipt(identity, got.headers['tee-receipt'], { request: Buffer.from(JSON.stringify(body)), content: got.body });
			assert.equal(claims.outcome, 'failed');
			assert.equal(fake.calls.length, before + 1, 'never asked again: each picture costs');
		});

test('a refused download is the client\'s to mend', async () => {
	fake.answer(whole(fixture('openai/error-400-image-download.body.json'), { status: 400 }));
	await assert.rejects(client.chat.completions.create({ model: 'gpt-4.1', messages: user([says('x'), shows('https://example.com/a.png')]) }),
		error => error instanceof OpenAI.BadRequestError && error.code === 'invalid_image_url');
});

test('15 MB pass, and the receipt covers each of them', async () => {
	const url = `data:image/png;base64,${PNG.slice(0, -4)}${'A'.repeat(15_000_000)}`;
	const body = { model: 'gpt-4.1', messages: user([says('x'), shows(url)]) };
	fake.answer(whole({ choices: [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }] }));
	const got = await ask(body);
	assert.equal(got.status, 200, got.body.toString());
	const claims = await verifyReceipt(identity, got.headers['tee-receipt'], { request: Buffer.from(JSON.stringify(body)), content: got.body });
	assert.equal(claims.fwd, sha256(fake.last().body));
	assert.ok(fake.last().body.includes(url));
});

test('a body above 20 MiB is 413', async () => {
	const got = await ask({ model: 'gpt-4.1', messages: user([shows(`data:image/png;base64,${'A'.repeat(20 << 20)}`)]) });
	assert.equal(got.status, 413);
});

test('a picture of 40 MiB arrives whole, streamed too', async () => {
	const b64 = '/9j/4AAQSkZJRgABAQAAAQABAAD/'.padEnd(40 << 20, 'A');
	for (const streams of [false, true]) {
		fake.answer(whole({ data: [{ b64_json: b64 }] }));
		const body = { model: 'grok-2-image', messages: user('a wall'), stream: streams };
		const got = await ask(body);
		assert.equal(got.status, 200, got.body.subarray(0, 300).toString());
		const { content, jws } = streams ? splitStream(got.body) : { content: got.body, jws: got.headers['tee-receipt'] };
		await verifyReceipt(identity, jws, { request: Buffer.from(JSON.stringify(body)), content });
		const [choice] = streams ? parseStream(got.body).at(-1).choices : json(got).choices;
		assert.equal((choice.message ?? choice.delta).images[0].image_url.url, `data:image/jpeg;base64,${b64}`);
	}
});
