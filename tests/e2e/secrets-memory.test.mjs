// K4, P3: where provider keys are in memory and in what is written, while they are served with and
// after the end; and that the seal key is gone once it has served.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { CompactEncrypt, importJWK } from 'jose';
import { exchange, gatewayProgram, json, post, startGateway } from './gateway.mjs';
import { fixture, startFakeOpenAI, stream, whole } from './fake-openai.mjs';
import { alive, asRoot, findScalar, memory, memoryHas, processes, sanitized, until } from './processes.mjs';

const atExit = path.resolve(path.dirname(realpathSync(gatewayProgram)), '../../tests/e2e/at-exit');
const KEYS = { openai_api_key: 'sk-Kq7ZzW0/of+OpenAI_4f1c9e2b7a6d', anthropic_api_key: 'sk-ant-Xr5TtY8/of+Anthropic_8e0b3d' };
const EARLIER = { OPENAI_API_KEY: 'sk-Bw3NnM9/of+Environment_6d2a7f1c', ANTHROPIC_API_KEY: 'sk-ant-Gh4LlP2/of+Environment_95e1' };
const CONTENT = 'a prompt that 7c1f9b names';

// Holds a process where its code has ended: {stopped, release}.
async function holdAtExit(pid) {
	const child = spawn(atExit, [String(pid)], { stdio: ['pipe', 'pipe', 'inherit'] });
	let said = '';
	child.stdout.setEncoding('utf8').on('data', part => { said += part; });
	await until('at-exit is armed', () => said.includes('armed\n'));
	return {
		stopped: () => until(`process ${pid} ends`, () => said.includes('stopped\n'), 60_000),
		release: () => child.stdin.end(),
	};
}

// How often these bytes lie in a process, in pieces too: any 16 of them would be too many.
function count(pid, text) {
	const bytes = Buffer.from(text), parts = [];
	for (let at = 0; at + 16 <= bytes.length; at += 8)
		parts.push(bytes.subarray(at, at + 16));
	let most = 0;
	const found = new Map(parts.map(part => [part, 0]));
	for (const block of memory(pid))
		for (const part of parts)
			for (let at = block.indexOf(part); at !== -1; at = block.indexOf(part, at + 1))
				found.set(part, found.get(part) + 1);
	for (const n of found.values())
		most = Math.max(most, n);
	return most;
}

async function serve(gateway, fake) {
	const chat = (model, more) => post(`${gateway.url}/v1/chat/completions`,
		{ model, messages: [{ role: 'user', content: CONTENT }], ...more });
	const bodies = [];
	for (let i = 0; i < 8; i++) {
		fake.answer(whole(fixture('chat-text.body.json')));
		assert.equal((await chat('gpt-4.1')).status, 200);
		assert.equal(fake.last().headers.authorization, `Bearer ${KEYS.openai_api_key}`);
	}
	fake.answer(stream(fixture('chat-text-stream-usage.sse')));
	bodies.push((await chat('gpt-4.1', { stream: true })).body);
	// A provider that repeats the key it was shown, in its own words.
	fake.answer(whole({ error: { message: `Incorrect API key: ${KEYS.openai_api_key}`, type: 'invalid_request_error' } },
		{ status: 401 }));
	bodies.push((await chat('gpt-4.1')).body);
	for (const status of [401, 400]) {
		fake.answer(whole({ type: 'error', error: { type: 'authentication_error',
			message: `invalid x-api-key ${KEYS.anthropic_api_key}` } }, { status }));
		const answer = await chat('claude-sonnet-4-5');
		assert.notEqual(answer.status, 200);
		assert.equal(fake.last().headers['x-api-key'], KEYS.anthropic_api_key);
		bodies.push(answer.body);
	}
	fake.answer(async reply => reply.cut());
	bodies.push((await chat('gpt-4.1')).body);
	return bodies;
}

async function provision(gateway, sealed) {
	if (!sealed)
		return post(`${gateway.url}/v1/keys`, KEYS);
	const { seal_key } = json(await exchange(`${gateway.url}/signing-key`));
	const jwe = await new CompactEncrypt(Buffer.from(JSON.stringify(KEYS)))
		.setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' }).encrypt(await importJWK(seal_key, 'ECDH-ES'));
	return post(`${gateway.url}/v1/keys`, jwe, { 'content-type': 'application/jose' });
}

for (const [rule, { sealed, http1, environment, replaced }] of [
	['told sealed, used over HTTP/2', { sealed: true }],
	['told plain, used over HTTP/1.1', { http1: true }],
	['of the environment', { environment: { OPENAI_API_KEY: KEYS.openai_api_key, ANTHROPIC_API_KEY: KEYS.anthropic_api_key } }],
	['that replaced those of the environment', { environment: EARLIER, sealed: true, replaced: true }],
])
	test(`K4: keys ${rule}: in no log, error or metric, and in no memory at the end`, asRoot, async t => {
		const fake = await startFakeOpenAI({ http1 });
		const env = { ...fake.env, ANTHROPIC_BASE_URL: `https://localhost:${fake.port}`, OPENAI_API_KEY: '',
			...environment };
		const gateway = await startGateway({ loops: 2, env, args: ['--log-level', 'debug'] });
		const held = [];
		try {
			if (sanitized(gateway.pid)) {
				t.skip('a sanitizer\'s build: its allocator keeps what was freed');
				return;
			}
			if (replaced) {
				fake.answer(whole(fixture('chat-text.body.json')));
				assert.equal((await post(`${gateway.url}/v1/chat/completions`,
					{ model: 'gpt-4.1', messages: [{ role: 'user', content: CONTENT }] })).status, 200);
				assert.equal(fake.last().headers.authorization, `Bearer ${EARLIER.OPENAI_API_KEY}`);
			}
			if (!environment || replaced)
				assert.equal((await provision(gateway, sealed)).status, 200);
			const bodies = await serve(gateway, fake);
			assert.equal(fake.last().version, http1 ? '1.1' : '2.0');
			bodies.push((await exchange(`${gateway.url}/metrics`)).body);
			for (const where of ['/health', '/signing-key', '/.well-known/tee-config'])
				bodies.push((await exchange(`${gateway.url}${where}`)).body);
			for (const key of Object.values(KEYS))
				for (const body of bodies)
					assert.ok(!body.includes(key), body.toString());

			const { supervisor, keyholder, worker } = processes(gateway);
			for (const key of Object.values(KEYS)) {
				assert.ok(count(worker, key) >= 1, 'the search finds what is served with');
				assert.equal(count(keyholder, key), 1, 'and what is kept for a new worker, once');
				assert.equal(count(supervisor, key), 0);
			}
			if (replaced) // the worker's requests may still have them
				assert.equal(count(keyholder, EARLIER.OPENAI_API_KEY), 0, 'nobody asks for those any more');
			held.push(await holdAtExit(worker), await holdAtExit(keyholder));
			gateway.signal('SIGTERM');
			for (const [i, pid] of [worker, keyholder].entries()) {
				await held[i].stopped();
				assert.ok(alive(pid));
				for (const secret of [...Object.values(KEYS), ...Object.values(EARLIER), CONTENT])
					assert.equal(count(pid, secret), 0, `process ${i} at its end: ${secret}`);
				held[i].release();
			}
			for (const key of Object.values(KEYS))
				assert.ok(!gateway.stderr().includes(key.slice(0, 16)));
		} finally {
			for (const one of held)
				one.release();
			await gateway.stop();
			await fake.close();
		}
	});

test('P3: the seal key is in the key holder alone, and gone with the provisioning', asRoot, async t => {
	const gateway = await startGateway({ loops: 1 });
	try {
		if (sanitized(gateway.pid)) {
			t.skip('a sanitizer\'s build: gigabytes are mapped');
			return;
		}
		const { seal_key: jwk } = json(await exchange(`${gateway.url}/signing-key`));
		const wanted = Buffer.concat([Buffer.from([4]), Buffer.from(jwk.x, 'base64url'), Buffer.from(jwk.y, 'base64url')]);
		const { keyholder, worker, supervisor } = processes(gateway);
		const scalar = findScalar(keyholder, 'prime256v1', point => point.equals(wanted));
		assert.notEqual(scalar, null, 'the search finds it where it is');
		const bytes = Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex');
		const has = pid => memoryHas(pid, bytes) || memoryHas(pid, Buffer.from(bytes).reverse());
		assert.deepEqual([keyholder, worker, supervisor].map(has), [true, false, false]);
		// It serves first, so that whatever that copies is there, too.
		const jwe = await new CompactEncrypt(Buffer.from(JSON.stringify({ ...KEYS, x: 1 })))
			.setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM' }).encrypt(await importJWK(jwk, 'ECDH-ES'));
		assert.equal((await post(`${gateway.url}/v1/keys`, jwe, { 'content-type': 'application/jose' })).status, 400);
		assert.ok(has(keyholder));
		assert.equal((await post(`${gateway.url}/v1/keys`, KEYS)).status, 200, 'a plain one, even');
		assert.deepEqual([keyholder, worker, supervisor].map(has), [false, false, false],
			'whoever has all its memory cannot open what was sealed before');
	} finally {
		await gateway.stop();
	}
});
