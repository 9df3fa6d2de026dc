// A look-alike of Gemini's API, as strict about a request as the real one is documented to be
// (providers.md 6): what it would refuse is refused here, with the same shape of error.
import fs from 'node:fs';
import path from 'node:path';
import { root } from './gateway.mjs';
import { startFakeOpenAI, stream, whole } from './fake-openai.mjs';

export const KEY = 'AIza-test-of-the-gateway';
export const SENTINEL = 'skip_thought_signature_validator';

export function fixture(name) {
	return fs.readFileSync(path.join(root, 'tests/fixtures', name));
}

class Invalid extends Error {}

function must(holds, what) {
	if (!holds)
		throw new Invalid(what);
}

const isObject = value => typeof value === 'object' && value !== null && !Array.isArray(value);

function known(object, names, where) {
	must(isObject(object), `${where} is no object`);
	for (const name of Object.keys(object))
		must(names.includes(name), `Invalid JSON payload received. Unknown name "${name}" at '${where}'`);
}

function checkSchema(schema, where) {
	if (!isObject(schema))
		return;
	must(!('$schema' in schema), `${where}: $schema`);
	if ('$ref' in schema)
		must(Object.keys(schema).every(name => name.startsWith('$')), `${where}: neighbours of $ref`);
	for (const member of ['properties', '$defs'])
		for (const [name, inner] of Object.entries(schema[member] ?? {}))
			checkSchema(inner, `${where}.${member}.${name}`);
	for (const member of ['items', 'additionalProperties'])
		checkSchema(schema[member], `${where}.${member}`);
	for (const inner of schema.anyOf ?? [])
		checkSchema(inner, `${where}.anyOf`);
}

const DATA = ['text', 'inlineData', 'functionCall', 'functionResponse'];

function checkPart(part, role, where) {
	known(part, [...DATA, 'thoughtSignature'], where);
	must(DATA.filter(name => name in part).length === 1, `${where}: exactly one kind of data`);
	if ('text' in part)
		must(typeof part.text === 'string', `${where}.text`);
	if ('inlineData' in part)
		known(part.inlineData, ['mimeType', 'data'], `${where}.inlineData`);
	if ('functionCall' in part) {
		known(part.functionCall, ['id', 'name', 'args'], `${where}.functionCall`);
		must(role === 'model' && isObject(part.functionCall.args), `${where}: a call is the model's, with an object`);
	}
	if ('functionResponse' in part) {
		known(part.functionResponse, ['id', 'name', 'response'], `${where}.functionResponse`);
		must(role === 'user' && isObject(part.functionResponse.response), `${where}: a response is the user's, an object`);
	}
}

// A turn of calls follows the user's, and the next one answers each call, in order, by name.
function checkCalls(contents, at, fake, model) {
	const calls = contents[at].parts.filter(part => part.functionCall);
	if (calls.length === 0)
		return;
	const answers = (contents[at + 1]?.parts ?? []).filter(part => part.functionResponse);
	must(at > 0 && contents[at - 1].role === 'user', 'function call turn comes immediately after a user turn or after a function response turn');
	must(answers.length === calls.length, 'the number of function response parts is equal to the number of function call parts of the function call turn');
	for (const [i, { functionCall: call }] of calls.entries()) {
		must(answers[i].functionResponse.name === call.name, `function response ${i} is of another function`);
		must(answers[i].functionResponse.id === call.id, `function response ${i} has another id`);
	}
	if (!/gemini-3/.test(model))
		return;
	for (const [i, part] of calls.entries()) {
		const issued = fake.signatures.get(`${at} ${i}`);
		if (i === 0)
			must(part.thoughtSignature, `Function call is missing a thought_signature in functionCall parts (position ${at + 1})`);
		if (part.thoughtSignature !== SENTINEL)
			must(part.thoughtSignature === issued, `Thought signature is not valid (position ${at + 1}, call ${i})`);
	}
}

const CONFIG = ['temperature', 'topP', 'maxOutputTokens', 'stopSequences', 'seed', 'presencePenalty',
	'frequencyPenalty', 'responseMimeType', 'responseJsonSchema', 'thinkingConfig'];

function check(call, fake) {
	const url = new URL(call.path, 'https://localhost');
	const match = /^\/v1beta\/models\/([\w.-]+):(generateContent|streamGenerateContent)$/.exec(url.pathname);
	must(match, `no such path: ${call.path}`);
	must(url.search === (match[2] === 'generateContent' ? '' : '?alt=sse'), `query ${url.search}`);
	must(call.headers['x-goog-api-key'] === KEY, 'API key not valid');
	must(call.headers['content-type'] === 'application/json', 'content-type');
	const body = JSON.parse(call.body);
	known(body, ['contents', 'systemInstruction', 'tools', 'toolConfig', 'generationConfig'], 'request');
	known(body.generationConfig ?? {}, CONFIG, 'generation_config');
	const thinking = body.generationConfig?.thinkingConfig ?? {};
	must(!('thinkingBudget' in thinking && 'thinkingLevel' in thinking), 'budget and level together');
	must(Array.isArray(body.contents) && body.contents.length > 0, 'contents is not specified');
	for (const [at, turn] of body.contents.entries()) {
		known(turn, ['role', 'parts'], `contents[${at}]`);
		must(turn.role === (at % 2 ? 'model' : 'user'), `contents[${at}].role: turns alternate, the user begins`);
		must(turn.parts.length > 0, `contents[${at}].parts must not be empty`);
		for (const [i, part] of turn.parts.entries())
			checkPart(part, turn.role, `contents[${at}].parts[${i}]`);
		checkCalls(body.contents, at, fake, match[1]);
	}
	for (const declaration of body.tools?.[0].functionDeclarations ?? []) {
		known(declaration, ['name', 'description', 'parametersJsonSchema'], 'function_declarations');
		must(/^[a-zA-Z_][\w.:-]{0,63}$/.test(declaration.name), 'Invalid function name');
		checkSchema(declaration.parametersJsonSchema, declaration.name);
	}
	checkSchema(body.generationConfig?.responseJsonSchema, 'response_json_schema');
	must(!(body.tools && body.generationConfig?.responseMimeType && /gemini-2/.test(match[1])),
		'Function calling with a response mime type: \'application/json\' is unsupported');
	return { body, streamed: match[2] !== 'generateContent', model: match[1] };
}

/*
 * startFakeGemini(): as startFakeOpenAI(), and
 * says(parts, {finish, usage})		queues an answer of these parts, in the form that is asked for
 * bytes(status, body, headers)		queues these bytes, whatever is asked
 * requests				bodies that came and were found right
 * refusals				what was found wrong
 */
export async function startFakeGemini() {
	const fake = await startFakeOpenAI();
	const requests = [], refusals = [], signatures = new Map();
	fake.signatures = signatures;

	function checked(respond) {
		return async reply => {
			try {
				const seen = check(reply.call, fake);
				requests.push({ path: reply.call.path, ...seen });
				await respond(reply, seen);
			} catch (error) {
				refusals.push(error.message);
				await whole({ error: { code: 400, message: error.message, status: 'INVALID_ARGUMENT' } }, { status: 400 })(reply);
			}
		};
	}

	return {
		...fake, requests, refusals, signatures,
		env: { TEE_GATEWAY_CA_FILE: fake.caFile, GOOGLE_API_KEY: KEY, GOOGLE_BASE_URL: `https://localhost:${fake.port}` },
		says(parts, { finish = 'STOP', usage = { promptTokenCount: 5, candidatesTokenCount: 3, thoughtsTokenCount: 2, totalTokenCount: 10 } } = {}) {
			fake.answer(checked(async (reply, { body, streamed, model }) => {
				// Where these calls will stand when they come back.
				for (const [i, part] of parts.filter(part => part.functionCall).entries())
					if (part.thoughtSignature)
						signatures.set(`${body.contents.length} ${i}`, part.thoughtSignature);
				const answer = (some, more) => ({ candidates: [{ content: { parts: some, role: 'model' }, index: 0, ...more }],
					usageMetadata: usage, modelVersion: model, responseId: 'r' });
				if (!streamed)
					return whole(answer(parts, { finishReason: finish }))(reply);
				const list = [...parts.map(part => answer([part])), answer([{ text: '' }], { finishReason: finish })];
				return stream(list.map(one => `data: ${JSON.stringify(one)}\r\n\r\n`).join(''), { step: 50 })(reply);
			}));
		},
		replay(bytes, type = 'application/json') {
			fake.answer(checked((reply, { streamed }) => (type === 'application/json' && !streamed
				? whole(bytes) : stream(bytes, { step: 37 }))(reply)));
		},
		bytes: (status, body) => fake.answer(whole(body, { status })),
	};
}
