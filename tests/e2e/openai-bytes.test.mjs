// Byte for byte: what the upstream sent is what the client gets and what the receipt says.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { freePorts, json, post, startGateway } from './gateway.mjs';
import { events, fixture, makeCertificates, sha256, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { parseStream, readConfig, readIdentity, splitStream, textHash, verifyReceipt, verifyTeeFields }
	from './receipts-check.mjs';

let fake, gateway, identity, config;
const chat = () => `${gateway.url}/v1/chat/completions`;

before(async () => {
	fake = await startFakeOpenAI();
	gateway = await startGateway({ env: fake.env });
	identity = await readIdentity(gateway);
	config = await readConfig(gateway, identity);
});

after(async () => {
	await gateway?.stop();
	await fake?.close();
});

const ask = { model: 'gpt-4.1', messages: [{ role: 'user', content: 'Say this is a test' }] };

// R7: what is said of the upstream equals what the fake sent and showed.
function checkUpstream(claims, call) {
	assert.equal(claims.fwd, sha256(call.body));
	assert.equal(claims.up, sha256(call.sent));
	assert.equal(claims.upstream.host, fake.host);
	assert.equal(claims.upstream.tls, 'TLSv1.3');
	assert.equal(claims.upstream.spki, fake.spki);
	assert.equal(claims.upstream.cert, fake.cert);
	assert.equal(claims.upstream.request_id, 'req_0123456789abcdef');
	assert.equal(claims.upstream.account, 'org-test');
	assert.equal(claims.provider, 'openai');
	assert.equal(claims.model, 'gpt-4.1');
	assert.equal(claims.path, '/v1/chat/completions');
	assert.equal(claims.config, config.hash);
}

test('R4, R7: the receipt of a whole answer', async () => {
	fake.answer(whole(fixture('chat-text.body.json')));
	const request = JSON.stringify(ask);
	const answer = await post(chat(), request);
	assert.equal(answer.status, 200, answer.body.toString());
	const claims = await verifyReceipt(identity, answer.headers['tee-receipt'], { request, content: answer.body });
	const body = json(answer);
	checkUpstream(claims, fake.last());
	assert.equal(claims.outcome, 'complete');
	assert.equal(claims.status, 200);
	assert.equal(claims.jti, body.id);
	assert.equal(claims.served_model, 'gpt-4o-mini-2024-07-18');
	assert.equal(claims.finish_reason, 'stop');
	assert.deepEqual(claims.usage, body.usage);
	assert.deepEqual(claims.hash, { request: body.tee_request_hash, output: body.tee_output_hash });
	verifyTeeFields(identity, body, { outputHash: textHash('This is a test.') });
});

test('R5, R7: the receipt of a stream', async () => {
	fake.answer(stream(fixture('chat-text-stream-usage.sse'), { step: 50 }));
	const request = JSON.stringify({ ...ask, stream: true });
	const answer = await post(chat(), request);
	assert.equal(answer.status, 200, answer.body.toString());
	assert.match(answer.headers['content-type'], /^text\/event-stream/);
	assert.ok(!('tee-receipt' in answer.headers));
	const { content, jws, done } = splitStream(answer.body);
	assert.ok(done);
	const claims = await verifyReceipt(identity, jws, { request, content });
	const final = parseStream(answer.body).at(-1);
	checkUpstream(claims, fake.last());
	assert.equal(claims.outcome, 'complete');
	assert.equal(claims.jti, final.id);
	assert.equal(claims.served_model, 'gpt-4-0613');
	assert.deepEqual(claims.usage, final.usage);
	assert.deepEqual(claims.hash, { request: final.tee_request_hash, output: final.tee_output_hash });
	assert.doesNotMatch(content.toString(), /"usage":\s*null|"choices":\s*\[\]|obfuscation/, 'S2');
});

test('what goes upstream: key, API name, members as they came', async () => {
	fake.answer(whole(fixture('chat-text.body.json')));
	const tools = '[{"type":"function","function":{"name":"f","parameters":{"type":"object",'
		+ '"properties":{"z":{"maximum":7.0,"minimum":1e5,"const":12345678901234567890},"a":{}}}}}]';
	const request = `{"top_p":0.10, "messages":[{"role":"user","content":"\\u00e9 \\ud83d\\ude00"}],`
		+ `"model":" OpenAI/GPT-4.1","tools":${tools},"x_unknown":{"b":1.0,"a":[1E+2]}}`;
	const answer = await post(chat(), request, { authorization: 'Bearer 0x1234' });
	assert.equal(answer.status, 200, answer.body.toString());
	const call = fake.last();
	const sent = JSON.parse(call.body);
	assert.equal(call.method, 'POST');
	assert.equal(call.path, '/v1/chat/completions');
	assert.equal(call.headers.authorization, 'Bearer sk-test-of-the-gateway');
	assert.match(call.headers['content-type'], /^application\/json/);
	assert.match(call.headers['accept-encoding'] ?? 'identity', /^identity$/);
	assert.equal(sent.model, 'gpt-4.1-2025-04-14');
	assert.ok(call.body.includes(tools), 'tools are spliced byte for byte');
	assert.ok(call.body.includes('{"b":1.0,"a":[1E+2]}'), 'C5: unknown members pass');
	assert.match(call.body.toString(), /"top_p":\s*0\.10/);
	assert.ok(!('temperature' in sent), 'C6: absent is not sent');
	assert.ok(!('max_tokens' in sent) && !('max_completion_tokens' in sent), 'C7');
	const claims = await verifyReceipt(identity, answer.headers['tee-receipt'], { request, content: answer.body });
	assert.equal(claims.fwd, sha256(call.body));
	assert.equal(claims.model, ' OpenAI/GPT-4.1');
});

test('numbers, Unicode, order and white space of what the client wrote arrive as sent', async () => {
	const written = {
		temperature: '1e-7', top_p: '0.1',
		messages: '[ {"content" : "\\u00e9 é \\ud83d\\ude00 😀 \\/\\u0041", "role":"user"},\n\t{"role": "user","content":[ {"text":"b","type" :"text"} ]} ]',
		response_format: '{ "json_schema":{"schema":{"z":{"const" : 12345678901234567890,"maximum":0.1 },"a":[1e-7, -0,1E+2]}, "name":"é"},"type":"json_schema"}',
		metadata: '{"b" : "\\u00e9","a":"é"}',
	};
	const request = '{"model":"gpt-4.1"' + Object.entries(written).map(([name, value]) => ` ,\n"${name}" : ${value}`).join('') + '}';
	for (const streamed of [false, true]) {
		const body = streamed ? `${request.slice(0, -1)},"stream":true}` : request;
		fake.answer(streamed ? stream(fixture('chat-text-stream-usage.sse')) : whole(fixture('chat-text.body.json')));
		const answer = await post(chat(), body);
		assert.equal(answer.status, 200, answer.body.toString());
		const call = fake.last();
		for (const [name, value] of Object.entries(written))
			assert.ok(call.body.includes(`"${name}":${value}`), `${name}: ${call.body}`);
		const { content, jws } = streamed ? splitStream(answer.body)
			: { content: answer.body, jws: answer.headers['tee-receipt'] };
		const claims = await verifyReceipt(identity, jws, { request: body, content });
		assert.equal(claims.fwd, sha256(call.body));
		assert.equal(claims.up, sha256(call.sent));
		assert.equal(claims.adjusted, undefined);
	}
});

test('a stream asks the provider for usage, whatever the client said', async () => {
	fake.answer(stream(fixture('chat-text-stream-usage.sse')));
	await post(chat(), { ...ask, stream: true, stream_options: { include_usage: false } });
	assert.equal(JSON.parse(fake.last().body).stream_options.include_usage, true);
});

const ODD = '{"a":1.0,"b":1e5,"c":12345678901234567890,"d":-0,"e":1E+2,"f":"\\u0041\\ud83d\\ude00\\/"}';
const oddArguments = JSON.stringify('{"n": 1.0, "m": 1e5, "big": 12345678901234567890, "é": "\\u00e9"}');

test('odd numbers arrive as sent, whole', async () => {
	const message = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",`
		+ `"function":{"name":"f","arguments":${oddArguments}}}],"x_odd":${ODD}}`;
	fake.answer(whole(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","x_top":${ODD},`
		+ `"choices":[{"index":0,"message":${message},"logprobs":null,"finish_reason":"tool_calls"}],`
		+ `"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"x_cost":1.0}}`));
	const request = JSON.stringify(ask);
	const answer = await post(chat(), request);
	assert.ok(answer.body.includes(`"x_top":${ODD}`));
	assert.ok(answer.body.includes(message));
	assert.ok(answer.body.includes('"x_cost":1.0'));
	await verifyReceipt(identity, answer.headers['tee-receipt'], { request, content: answer.body });
});

test('odd numbers arrive as sent, streamed', async () => {
	const delta = `{"role":"assistant","tool_calls":[{"index":0,"id":"call_1","type":"function",`
		+ `"function":{"name":"f","arguments":${oddArguments}}}],"x_odd":${ODD}}`;
	const head = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"';
	fake.answer(stream(events(
		`{${head},"x_top":${ODD},"choices":[{"index":0,"delta":${delta},"finish_reason":null}]}`,
		`{${head},"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`,
		`{${head},"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"x_cost":1.0}}`),
	{ step: 33 }));
	const request = JSON.stringify({ ...ask, stream: true });
	const answer = await post(chat(), request);
	assert.ok(answer.body.includes(`"x_top":${ODD}`));
	assert.ok(answer.body.includes(delta));
	assert.ok(answer.body.includes('"x_cost":1.0'));
	const { content, jws } = splitStream(answer.body);
	await verifyReceipt(identity, jws, { request, content });
});

test('S2: members that only the gateway may write are removed', async () => {
	const body = JSON.parse(fixture('chat-text.body.json'));
	fake.answer(whole({ ...body, tee_signature: 'forged', tee_anything: 1, opengradient: {}, estimated: true }));
	const answer = json(await post(chat(), ask));
	assert.ok(!('tee_anything' in answer) && !('opengradient' in answer) && !('estimated' in answer));
	verifyTeeFields(identity, answer, {});
});

test('S4: usage that the provider did not give is estimated, and says so', async () => {
	const body = JSON.parse(fixture('chat-text.body.json'));
	delete body.usage;
	fake.answer(whole(body));
	const { usage } = json(await post(chat(), ask));
	assert.deepEqual(usage, { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9, estimated: true });
});

test('E3, S6: a stream that ends without its finish reason has failed', async () => {
	const all = fixture('chat-text-stream-usage.sse').toString();
	const cut = all.slice(0, all.indexOf('"finish_reason":"stop"') - 200);
	const begun = cut.slice(0, cut.lastIndexOf('\n\n') + 2);
	assert.ok(begun.includes('This'));
	for (const how of [{ cut: true }, { cut: false }]) {
		fake.answer(stream(begun, how));
		const request = JSON.stringify({ ...ask, stream: true });
		const answer = await post(chat(), request);
		assert.equal(answer.status, 200);
		const { content, jws, done } = splitStream(answer.body);
		assert.ok(!done, 'no [DONE] after a failure');
		const claims = await verifyReceipt(identity, jws, { request, content });
		assert.equal(claims.outcome, 'failed');
		assert.equal(claims.status, 200);
		assert.ok(!('hash' in claims));
		const error = parseStream(answer.body).at(-1);
		assert.equal(error.error.type, 'upstream_error');
		assert.equal(error.id, claims.jti);
		assert.ok(!('tee_signature' in error));
	}
});

test('S6: a stream whose choices are finished is complete, however the connection ends', async () => {
	const text = fixture('chat-text-stream-usage.sse').toString();
	fake.answer(stream(text.replace('data: [DONE]\n\n', ''), { cut: true }));
	const request = JSON.stringify({ ...ask, stream: true });
	const answer = await post(chat(), request);
	const { content, jws, done } = splitStream(answer.body);
	assert.ok(done);
	assert.equal((await verifyReceipt(identity, jws, { request, content })).outcome, 'complete');
});

// E2: failures before the first byte have a status, the error object and a failed receipt.
async function checkFailure(url, name, want) {
	const request = JSON.stringify(ask);
	const answer = await post(url, request);
	assert.equal(answer.status, want.status, `${name}: ${answer.body}`);
	const { error } = json(answer);
	assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type']);
	assert.equal(error.type, want.type);
	assert.equal(error.code, want.code);
	assert.doesNotMatch(error.message, /sk-test|Say this/, 'E1: neither key nor prompt');
	return { request, answer };
}

for (const [name, fault, want] of [
	['an upstream 500', whole({ error: { message: 'boom sk-test-of-the-gateway' } }, { status: 500 }),
		{ status: 502, type: 'upstream_error', code: 'upstream_error' }],
	['an answer that is no JSON', whole('<html>'), { status: 502, type: 'upstream_error', code: 'upstream_error' }],
	['an answer without choices', whole('{}'), { status: 502, type: 'upstream_error', code: 'upstream_error' }],
])
	test(`E2: ${name} is a 502 with a failed receipt`, async () => {
		fake.answer(fault);
		const { request, answer } = await checkFailure(chat(), name, want);
		const claims = await verifyReceipt(identity, answer.headers['tee-receipt'], { request, content: answer.body });
		assert.equal(claims.outcome, 'failed');
		assert.equal(claims.status, 502);
		assert.equal(claims.up, sha256(fake.last().sent));
		assert.ok(!('hash' in claims));
	});

test('E2: an upstream nobody answers at', async () => {
	const [port] = await freePorts(1);
	const other = await startGateway({ env: { ...fake.env, OPENAI_BASE_URL: `https://localhost:${port}/v1` } });
	try {
		const { request, answer } = await checkFailure(`${other.url}/v1/chat/completions`, 'refused',
			{ status: 502, type: 'upstream_error', code: 'upstream_error' });
		const claims = await verifyReceipt(await readIdentity(other), answer.headers['tee-receipt'],
			{ request, content: answer.body });
		assert.equal(claims.outcome, 'failed');
		assert.ok(!('upstream' in claims), 'there was no connection to speak of');
	} finally {
		await other.stop();
	}
});

test('E2: an upstream whose certificate nobody vouches for gets nothing', async () => {
	const stranger = makeCertificates();
	const calls = fake.calls.length;
	const other = await startGateway({ env: { ...fake.env, TEE_GATEWAY_CA_FILE: stranger.caFile } });
	try {
		await checkFailure(`${other.url}/v1/chat/completions`, 'unknown CA',
			{ status: 502, type: 'upstream_error', code: 'upstream_tls' });
		assert.equal(fake.calls.length, calls, 'no request was sent');
	} finally {
		await other.stop();
	}
});

test('HTTP/1.1 upstreams serve as well', async () => {
	const old = await startFakeOpenAI({ http1: true });
	const other = await startGateway({ env: old.env });
	try {
		old.answer(stream(fixture('chat-text-stream-usage.sse'), { step: 500 }), whole(fixture('chat-text.body.json')));
		const request = JSON.stringify({ ...ask, stream: true });
		const streamed = await post(`${other.url}/v1/chat/completions`, request);
		const { content, jws } = splitStream(streamed.body);
		const claims = await verifyReceipt(await readIdentity(other), jws, { request, content });
		assert.equal(claims.up, sha256(old.last().sent));
		assert.equal(old.last().version, '1.1');
		assert.equal((await post(`${other.url}/v1/chat/completions`, ask)).status, 200);
	} finally {
		await other.stop();
		await old.close();
	}
});
