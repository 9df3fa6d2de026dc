// Receipts, the key set and the published configuration, verified with jose (interfaces.md 7).
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { exchange, json, post, root, startGateway } from './gateway.mjs';
import { startFakeOpenAI } from './fake-openai.mjs';
import { parseStream, readConfig, readIdentity, splitStream, verifyReceipt, verifyTeeFields }
	from './receipts-check.mjs';

let fake, gateway, identity, certificate;
const chat = () => `${gateway.url}/v1/chat/completions`;
const echo = { model: 'echo', messages: [{ role: 'user', content: 'one two thrée' }] };

before(async () => {
	fake = await startFakeOpenAI();
	gateway = await startGateway({ env: fake.env });
	identity = await readIdentity(gateway);
	certificate = await gateway.certificate();
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

for (const [where, base] of [['plain', () => gateway.url], ['TLS', () => gateway.tlsUrl]])
	for (const route of ['chat/completions', 'completions'])
		for (const streamed of [false, true])
			test(`R4, R5: /v1/${route} ${streamed ? 'streamed' : 'whole'} over ${where}`, async () => {
				const request = JSON.stringify({ model: 'echo', stream: streamed,
					...(route === 'completions' ? { prompt: 'one two thrée' } : { messages: echo.messages }) });
				const answer = await post(`${base()}/v1/${route}`, request, {}, { ca: certificate });
				assert.equal(answer.status, 200, answer.body.toString());
				const { content, jws } = streamed ? splitStream(answer.body)
					: { content: answer.body, jws: answer.headers['tee-receipt'] };
				const claims = await verifyReceipt(identity, jws, { request, content });
				const fields = streamed ? parseStream(answer.body).at(-1) : json(answer);
				verifyTeeFields(identity, fields, {});
				assert.equal(claims.jti, fields.id);
				assert.equal(claims.path, `/v1/${route}`);
				assert.equal(claims.status, 200);
				assert.equal(claims.model, 'echo');
				assert.equal(claims.provider, 'echo');
				assert.equal(claims.outcome, 'complete');
				assert.equal(claims.finish_reason, 'stop');
				assert.deepEqual(claims.usage, fields.usage);
				assert.deepEqual(claims.hash, { request: fields.tee_request_hash, output: fields.tee_output_hash });
				for (const absent of ['fwd', 'up', 'upstream', 'payment', 'limit', 'nonce', 'adjusted'])
					assert.ok(!(absent in claims), absent);
			});

test('R9: the published configuration is canonical, signed, and what receipts point at', async () => {
	const { config, hash, bytes } = await readConfig(gateway, identity);
	const sorted = value => (value && typeof value === 'object' && !Array.isArray(value)
		? Object.fromEntries(Object.keys(value).sort().map(key => [key, sorted(value[key])])) : value);
	assert.equal(bytes.toString(), JSON.stringify(sorted(config)), 'RFC 8785');
	assert.equal(config.mode, 'local');
	assert.equal(config.platform, 'local-simulation');
	assert.equal(config.provisioning, 'environment');
	assert.equal(config.provisioner, null);
	for (const member of ['models_sha256', 'policy_sha256', 'ca_sha256', 'providers', 'egress', 'version', 'build_id'])
		assert.ok(member in config, member);
	assert.equal(config.build_id, execFileSync(path.join(root, 'scripts/build-id'), { encoding: 'utf8' }).trim());
	assert.ok(!/time|date/.test(Object.keys(config).join()), 'no timestamps');

	const receipt = (await post(chat(), echo)).headers['tee-receipt'];
	assert.equal(JSON.parse(Buffer.from(receipt.split('.')[1], 'base64url')).config, hash);
	const again = await readConfig(gateway, identity, `?sha256=${hash}`);
	assert.equal(again.hash, hash);
	assert.equal((await exchange(`${gateway.url}/.well-known/tee-config?sha256=${'A'.repeat(43)}`)).status, 404);
});

test('S1: TEE-Signature none leaves out the signature, nothing else', async () => {
	const request = JSON.stringify(echo);
	const answer = await post(chat(), request, { 'tee-signature': 'none' });
	verifyTeeFields(identity, json(answer), { signed: false });
	await verifyReceipt(identity, answer.headers['tee-receipt'], { request, content: answer.body });
	const streamed = await post(chat(), { ...echo, stream: true }, { 'tee-signature': 'none' });
	verifyTeeFields(identity, parseStream(streamed.body).at(-1), { signed: false });
	verifyTeeFields(identity, json(await post(chat(), echo, { 'tee-signature': 'rsa' })), {});
});

test('R7: TEE-Nonce comes back in the receipt', async () => {
	for (const nonce of ['bm9uY2Utbm9uY2Ut', '_-'.repeat(32)]) {
		const request = JSON.stringify(echo);
		const answer = await post(chat(), request, { 'tee-nonce': nonce });
		const claims = await verifyReceipt(identity, answer.headers['tee-receipt'], { request, content: answer.body });
		assert.equal(claims.nonce, nonce);
	}
});

for (const [rule, headers] of [
	['S1: a signature nobody offers', { 'tee-signature': 'ecdsa' }],
	['S1: an empty TEE-Signature', { 'tee-signature': '' }],
	['S1: a nonce of 15', { 'tee-nonce': 'a'.repeat(15) }],
	['S1: a nonce of 65', { 'tee-nonce': 'a'.repeat(65) }],
	['S1: a nonce with padding', { 'tee-nonce': 'bm9uY2Utbm9uY2Utbm9uY2U=' }],
	['S1: a nonce with a blank', { 'tee-nonce': 'aaaaaaaaaaaaaaaa aaaaaaaa' }],
])
	test(`${rule} is a 400`, async () => {
		const answer = await post(chat(), echo, headers);
		assert.equal(answer.status, 400, answer.body.toString());
		assert.equal(json(answer).error.type, 'invalid_request_error');
		assert.ok(!('tee-receipt' in answer.headers), 'E2: before admission there is no receipt');
	});

async function fetchReceipt(id) {
	const answer = await exchange(`${gateway.url}/v1/receipts/${id}`);
	return answer.status === 200 ? answer.body.toString().trim() : null;
}

test('H3, R6: receipts are kept under the response id and the request id', async () => {
	const id = 'test-request_0123456789ABCDEF';
	const answer = await post(chat(), echo, { 'x-request-id': id });
	assert.equal(answer.headers['x-request-id'], id);
	const receipt = answer.headers['tee-receipt'];
	assert.equal(await fetchReceipt(id), receipt);
	assert.equal(await fetchReceipt(json(answer).id), receipt);

	const second = await post(chat(), { ...echo, stream: true }, { 'x-request-id': id });
	assert.equal(second.headers['x-request-id'], id);
	assert.equal(await fetchReceipt(id), receipt, 'first use wins');
	const { jws } = splitStream(second.body);
	assert.equal(await fetchReceipt(parseStream(second.body).at(-1).id), jws);
});

test('H3: any other X-Request-Id is replaced by a fresh UUIDv4', async () => {
	for (const id of ['short', 'a'.repeat(65), 'has blanks in it, and a comma....']) {
		const answer = await post(chat(), echo, { 'x-request-id': id });
		assert.match(answer.headers['x-request-id'],
			/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
		assert.equal(await fetchReceipt(answer.headers['x-request-id']), answer.headers['tee-receipt']);
	}
});

test('R6: receipts nobody has are 404', async () => {
	for (const id of ['chatcmpl-00000000-0000-4000-8000-000000000000', 'x', '..%2f..', 'a'.repeat(4000)]) {
		const answer = await exchange(`${gateway.url}/v1/receipts/${id}`);
		assert.equal(answer.status, 404, id);
		assert.equal(json(answer).error.type, 'not_found_error');
	}
});

test('R6: a client that leaves has a truncated receipt to fetch', async () => {
	const id = 'truncated-request_0123456789';
	// The fake goes on talking until its connection is given up; a silent one would not be noticed.
	let left = false;
	fake.answer(async reply => {
		reply.call.closed.then(() => { left = true; });
		reply.head(200, { 'content-type': 'text/event-stream' });
		for (let n = 0; !left; n++) {
			await reply.write(`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":`
				+ `[{"index":0,"delta":{"content":"word ${n} "},"finish_reason":null}]}\n\n`);
			await new Promise(ok => setTimeout(ok, 1));
		}
	});
	const request = JSON.stringify({ ...echo, model: 'gpt-4.1', stream: true });
	const answer = await post(chat(), request, { 'x-request-id': id }, { until: bytes => bytes.includes('word 5') });
	assert.equal(answer.status, 200);
	await fake.last().closed;
	let jws;
	for (const deadline = Date.now() + 20_000; (jws = await fetchReceipt(id)) === null;) {
		assert.ok(Date.now() < deadline, 'no receipt');
		await new Promise(ok => setTimeout(ok, 20));
	}
	const claims = await verifyReceipt(identity, jws, { request, content: null });
	assert.equal(claims.outcome, 'truncated');
	assert.ok(claims.res_len >= answer.body.length, 'over the bytes that were queued');
	assert.equal(claims.status, 200);
});

test('A7: parameters without effect on echo are declared', async () => {
	for (const streamed of [false, true]) {
		const request = JSON.stringify({ ...echo, stream: streamed, temperature: 0.5, seed: 7 });
		const answer = await post(chat(), request);
		const named = answer.headers['tee-adjusted'].split(', ').sort();
		assert.deepEqual(named, ['seed', 'temperature']);
		const { content, jws } = streamed ? splitStream(answer.body)
			: { content: answer.body, jws: answer.headers['tee-receipt'] };
		const claims = await verifyReceipt(identity, jws, { request, content });
		assert.deepEqual([...claims.adjusted].sort(), named);
	}
});

test('R7: white space and member order of the request are in req, not in the legacy hash', async () => {
	const a = '{"model":"echo","messages":[{"role":"user","content":"x"}]}';
	const b = ' { "messages" : [ { "content":"x", "role":"user" } ],\n"model":"echo" } ';
	const [first, second] = await Promise.all([a, b].map(request => post(chat(), request)));
	await verifyReceipt(identity, first.headers['tee-receipt'], { request: a, content: first.body });
	await verifyReceipt(identity, second.headers['tee-receipt'], { request: b, content: second.body });
	assert.equal(json(first).tee_request_hash, json(second).tee_request_hash);
});

test('signatures hold under many requests at once', async () => {
	const answers = await Promise.all(Array.from({ length: 40 }, async (_, n) => {
		const request = JSON.stringify({ ...echo, stream: n % 2 === 1, messages: [{ role: 'user', content: `number ${n}` }] });
		return { request, n, answer: await post(n % 4 < 2 ? chat() : `${gateway.tlsUrl}/v1/chat/completions`,
			request, {}, { ca: certificate }) };
	}));
	for (const { request, n, answer } of answers) {
		assert.equal(answer.status, 200);
		const { content, jws } = n % 2 ? splitStream(answer.body)
			: { content: answer.body, jws: answer.headers['tee-receipt'] };
		await verifyReceipt(identity, jws, { request, content });
		verifyTeeFields(identity, n % 2 ? parseStream(answer.body).at(-1) : json(answer), {});
	}
});
