// What Anthropic's Messages API is documented to refuse, for tests that must not pass with a request
// that the real one would not take. Source: providers.md 5.1, 5.2, 5.5, 5.6.
import assert from 'node:assert/strict';
import { whole } from './fake-openai.mjs';

const KNOWN = ['model', 'max_tokens', 'messages', 'system', 'tools', 'tool_choice', 'stop_sequences', 'output_config',
	'thinking', 'temperature', 'top_p', 'metadata', 'stream'];
const PREFILL_REFUSED = /opus-4-[678]|sonnet-4-6|fable-5/;
const SAMPLING_REFUSED = /opus-4-[78]|fable-5/;
const FORCING_REFUSED = /fable-5/;

function checkText(block) {
	assert.equal(typeof block.text, 'string');
	assert.notEqual(block.text.trim(), '', 'text content blocks must be non-empty');
}

function checkToolTurn(uses, message) {
	const results = message?.content.filter(block => block.type === 'tool_result') ?? [];
	assert.equal(message?.role, 'user', 'tool_use without tool_result in the next message');
	assert.deepEqual(results.map(result => result.tool_use_id).sort(), uses.map(use => use.id).sort());
	assert.ok(message.content.slice(0, results.length).every(block => block.type === 'tool_result'),
		'tool_result blocks come first');
}

function checkMessages(body) {
	const ids = new Set();
	assert.ok(Array.isArray(body.messages) && body.messages.length > 0);
	assert.equal(body.messages[0].role, 'user', 'first message must use the user role');
	body.messages.forEach((message, i) => {
		assert.ok(['user', 'assistant'].includes(message.role));
		assert.notEqual(message.role, body.messages[i - 1]?.role, 'roles must alternate');
		assert.ok(message.content.length > 0);
		message.content.filter(block => block.type === 'text').forEach(checkText);
		const uses = message.content.filter(block => block.type === 'tool_use');
		for (const use of uses) {
			assert.match(use.id, /^[a-zA-Z0-9_-]+$/);
			assert.ok(!ids.has(use.id), 'tool_use ids must be unique');
			ids.add(use.id);
			assert.equal(Object.prototype.toString.call(use.input), '[object Object]');
			assert.ok(body.tools?.length > 0, 'tools must be defined while the history uses them');
		}
		if (uses.length > 0)
			checkToolTurn(uses, body.messages[i + 1]);
		else
			assert.ok(!body.messages[i + 1]?.content.some(block => block.type === 'tool_result'),
				'tool_result without tool_use in the message before');
	});
	const last = body.messages.at(-1);
	if (last.role === 'assistant') {
		assert.doesNotMatch(body.model, PREFILL_REFUSED, 'no assistant message prefill');
		assert.doesNotMatch(last.content.at(-1).text, /\s$/, 'must not end with trailing whitespace');
	}
}

export function checkRequest(call) {
	const body = JSON.parse(call.body);
	assert.equal(call.method, 'POST');
	assert.equal(call.path, '/v1/messages');
	assert.equal(call.headers['anthropic-version'], '2023-06-01');
	assert.equal(call.headers['x-api-key'], 'sk-ant-test-of-the-gateway');
	assert.equal(call.headers.authorization, undefined);
	for (const name of Object.keys(body))
		assert.ok(KNOWN.includes(name), `${name}: Extra inputs are not permitted`);
	assert.ok(Number.isInteger(body.max_tokens) && body.max_tokens > 0);
	checkMessages(body);
	for (const tool of body.tools ?? [])
		assert.equal(tool.input_schema.type, 'object');
	if (['any', 'tool'].includes(body.tool_choice?.type)) {
		assert.doesNotMatch(body.model, FORCING_REFUSED);
		assert.equal(body.thinking, undefined, 'thinking may not be enabled when tool_choice forces tool use');
	}
	if (body.thinking) {
		assert.ok(body.thinking.type === 'adaptive' ||
			(body.thinking.budget_tokens >= 1024 && body.thinking.budget_tokens < body.max_tokens));
		assert.ok([undefined, 1].includes(body.temperature));
	}
	if (SAMPLING_REFUSED.test(body.model))
		assert.deepEqual([body.temperature, body.top_p], [undefined, undefined]);
	assert.ok(body.temperature === undefined || body.temperature <= 1);
	return body;
}

// An answer that is given only to a request the real API would take.
export function strict(answer, look = () => {}) {
	return reply => {
		try {
			look(checkRequest(reply.call));
		} catch (error) {
			return whole({ type: 'error', error: { type: 'invalid_request_error', message: error.message } },
				{ status: 400 })(reply);
		}
		return answer(reply);
	};
}

// Events as Anthropic writes them: named, with padding in front of a closing brace.
export function events(...list) {
	return list.map(event => `event: ${event.type}\ndata: ${JSON.stringify(event).slice(0, -1)}   }\n\n`).join('');
}

export function message(content, { stop_reason = 'end_turn', usage = { input_tokens: 3, output_tokens: 2 } } = {}) {
	return { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-test', content, stop_reason,
		stop_sequence: null, usage };
}

// The same message as a stream, each string cut in two.
export function streamed(whole) {
	const cut = text => [text.slice(0, text.length / 2), text.slice(text.length / 2)];
	const list = [{ type: 'message_start', message: { ...whole, content: [], stop_reason: null,
		usage: { ...whole.usage, output_tokens: 1 } } }, { type: 'ping' }];
	whole.content.forEach((block, index) => {
		const delta = more => list.push({ type: 'content_block_delta', index, delta: more });
		if (block.type === 'text') {
			list.push({ type: 'content_block_start', index, content_block: { type: 'text', text: '' } });
			cut(block.text).forEach(text => delta({ type: 'text_delta', text }));
		} else if (block.type === 'thinking') {
			list.push({ type: 'content_block_start', index, content_block: { type: 'thinking', thinking: '', signature: '' } });
			cut(block.thinking).forEach(thinking => delta({ type: 'thinking_delta', thinking }));
			delta({ type: 'signature_delta', signature: block.signature });
		} else if (block.type === 'tool_use') {
			list.push({ type: 'content_block_start', index, content_block: { ...block, input: {} } });
			delta({ type: 'input_json_delta', partial_json: '' });
			if (Object.keys(block.input).length > 0)
				cut(JSON.stringify(block.input)).forEach(partial_json => delta({ type: 'input_json_delta', partial_json }));
		} else {
			list.push({ type: 'content_block_start', index, content_block: block });
		}
		list.push({ type: 'content_block_stop', index });
	});
	list.push({ type: 'message_delta', delta: { stop_reason: whole.stop_reason, stop_details: whole.stop_details ?? null },
		usage: { output_tokens: whole.usage.output_tokens } }, { type: 'message_stop' });
	return events(...list);
}
