// K1, K3, K4: three processes; what the death of each costs.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { exchange, gatewayProgram, json, post, startGateway } from './gateway.mjs';
import { fixture, startFakeOpenAI, stream } from './fake-openai.mjs';
import { alive, asRoot, children, memoryHas, processes, sanitized, status, until } from './processes.mjs';
import { readIdentity, splitStream, verifyReceipt } from './receipts-check.mjs';

let fake;
before(async () => { fake = await startFakeOpenAI(); });
after(async () => { await fake?.close(); });

const streamed = model => JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'x' }] });

async function metric(gateway, name) {
	const text = (await exchange(`${gateway.url}/metrics`)).body.toString();
	return Number(text.match(new RegExp(`^${name} (\\d+)$`, 'm'))?.[1]);
}

async function publicFaces(gateway) {
	const { signing, jwk } = await readIdentity(gateway);
	return { tee_id: signing.tee_id, wallet: signing.wallet_address, kid: jwk.kid,
		certificate: await gateway.certificate() };
}

test('K1: kill -9 of the worker under load costs its connections and nothing else', async () => {
	const gateway = await startGateway({ env: fake.env });
	const identity = await readIdentity(gateway);
	const known = await publicFaces(gateway);
	const hold = new Promise(() => {}); // never: these streams end with their worker
	let begun = 0;
	const running = Array.from({ length: 200 }, () => {
		fake.answer(stream(fixture('chat-text-stream-usage.sse'), { hold, tail: 600 }));
		let seen = false;
		return post(`${gateway.url}/v1/chat/completions`, streamed('gpt-4.1'), {}, { until: bytes => {
			if (!seen && bytes.includes('This')) {
				seen = true;
				begun++;
			}
			return false;
		} }).catch(() => ({ complete: false }));
	});
	await until('200 streams run', () => begun === 200, 60_000);

	process.kill(processes(gateway).worker, 'SIGKILL');
	const killed = Date.now();
	let answer;
	await until('a new worker serves', async () => {
		answer = await post(`${gateway.url}/v1/chat/completions`, streamed('echo')).catch(() => null);
		return answer?.status === 200;
	});
	const took = Date.now() - killed;
	assert.ok(took < 1000 * (process.env.ASAN_OPTIONS ? 5 : 1), `served again after ${took} ms`);
	const { content, jws } = splitStream(answer.body);
	await verifyReceipt(identity, jws, { request: streamed('echo'), content });
	for (const { complete } of await Promise.all(running))
		assert.ok(!complete, 'the client sees that its answer is cut');
	assert.deepEqual(await publicFaces(gateway), known);
	assert.equal(await metric(gateway, 'tee_gateway_worker_restarts_total'), 1);
	assert.equal(json(await exchange(`${gateway.url}/health`)).worker_restarts, 1);

	// K3: the provider's key came from the key holder, for this worker too.
	fake.answer(stream(fixture('chat-text-stream-usage.sse')));
	const relayed = await post(`${gateway.url}/v1/chat/completions`, streamed('gpt-4.1'));
	assert.equal(relayed.status, 200);
	const relayedParts = splitStream(relayed.body);
	const claims = await verifyReceipt(identity, relayedParts.jws,
		{ request: streamed('gpt-4.1'), content: relayedParts.content });
	assert.equal(claims.outcome, 'complete');
	assert.match(gateway.stderr(), /worker died: signal 9 \(Killed\)/);
	await gateway.stop();
});

test('K1: the sixth death in ten minutes ends everything, with 1', async () => {
	const gateway = await startGateway({ loops: 1 });
	const { keyholder } = processes(gateway);
	const seen = new Set([keyholder]);
	for (let death = 1; death <= 6; death++) {
		let worker;
		await until(`worker ${death} is there`, () =>
			(worker = children(gateway.pid).find(pid => !seen.has(pid))) !== undefined);
		seen.add(worker);
		process.kill(worker, 'SIGKILL');
	}
	assert.deepEqual(await gateway.ended, { code: 1, signal: null }, gateway.stderr());
	assert.ok(!alive(keyholder));
	assert.match(gateway.stderr(), /6 workers died in 10 minutes: giving up/);
	gateway.check();
});

test('K1: kill -9 of the key holder ends everything within a second, with 1', async () => {
	const gateway = await startGateway();
	const { keyholder, worker } = processes(gateway);
	const started = Date.now();
	process.kill(keyholder, 'SIGKILL');
	assert.deepEqual(await gateway.ended, { code: 1, signal: null }, gateway.stderr());
	assert.ok(Date.now() - started < 1000, `${Date.now() - started} ms`);
	assert.ok(!alive(worker));
	assert.match(gateway.stderr(), /key holder died: signal 9/);
	gateway.check();
});

test('kill -9 of the supervisor ends its children too', async () => {
	const gateway = await startGateway();
	const { keyholder, worker } = processes(gateway);
	process.kill(gateway.pid, 'SIGKILL');
	await gateway.ended;
	await until('both are gone', () => !alive(keyholder) && !alive(worker));
});

test('a stop while no worker runs is a stop, with 0', async () => {
	const gateway = await startGateway({ loops: 1 });
	const { keyholder, worker: first } = processes(gateway);
	process.kill(first, 'SIGKILL');
	let second;
	await until('a second worker', () => (second = processes(gateway).worker) > 0 && second !== first);
	process.kill(second, 'SIGKILL');
	await until('a third is planned', () => /death 2 of 6/.test(gateway.stderr()));
	await gateway.stop();
	assert.ok(!alive(keyholder));
});

test('K1: the supervisor has no provider key in its memory', asRoot, async t => {
	const key = `sk-${'marker'.repeat(6)}`;
	const gateway = await startGateway({ env: { OPENAI_API_KEY: key } });
	if (sanitized(gateway.pid)) { // their runtime keeps a copy of the environment
		await gateway.stop();
		t.skip('a sanitizer\'s build');
		return;
	}
	const { keyholder } = processes(gateway);
	assert.ok(memoryHas(keyholder, key), 'this test can find a key where there is one');
	assert.ok(!memoryHas(gateway.pid, key));
	assert.equal(json(await exchange(`${gateway.url}/health`)).providers.openai, true);
	await gateway.stop();
});

test('K1, K4: every process has its user and no right that it does not need', asRoot, async () => {
	const gateway = await startGateway();
	// CAP_KILL, CAP_SETGID, CAP_SETUID: to stop and start its children.
	const expected = { supervisor: [0, 'e0'], keyholder: [61100, '0'], worker: [61101, '0'] };
	for (const [name, pid] of Object.entries(processes(gateway))) {
		const [id, capabilities] = expected[name], seen = status(pid);
		assert.equal(seen.Uid, Array(4).fill(id).join('\t'), name);
		assert.equal(seen.Gid, Array(4).fill(id).join('\t'), name);
		if (id !== 0)
			assert.equal(seen.Groups.trim(), '', name);
		for (const set of ['CapEff', 'CapPrm'])
			assert.equal(seen[set], capabilities.padStart(16, '0'), `${name} ${set}`);
		for (const set of ['CapInh', 'CapAmb', 'CapBnd'])
			assert.equal(seen[set], '0'.repeat(16), `${name} ${set}`);
		assert.equal(seen.NoNewPrivs, '1', name);
		// A list of allowed calls; a child has its own on top of the supervisor's.
		if (sanitized(pid))
			continue; // such a build has no lists
		assert.equal(seen.Seccomp, '2', name);
		assert.equal(seen.Seccomp_filters, name === 'supervisor' ? '1' : '2', name);
		assert.match(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m, name);
	}
	await gateway.stop();
});

test('K4: who becomes the worker\'s user cannot touch the key holder', asRoot, async () => {
	const gateway = await startGateway();
	const { keyholder, supervisor } = processes(gateway);
	const attempts = [supervisor, keyholder].flatMap(pid => [`kill -0 ${pid}`,
		...['mem', 'maps', 'environ', 'syscall'].map(file => `head -c 1 /proc/${pid}/${file}`),
		`ls /proc/${pid}/fd`]);
	for (const attempt of attempts) {
		const { status: code } = spawnSync('/bin/sh', ['-c', attempt], { uid: 61101, gid: 61101 });
		assert.notEqual(code, 0, attempt);
	}
	assert.equal(spawnSync('/bin/sh', ['-c', 'true'], { uid: 61101, gid: 61101 }).status, 0);
	await gateway.stop();
});

// Nobody's number, for processes that are not root's.
const user = { uid: 65534, gid: 65534 };

test('K4: started as somebody else, that user cannot touch the processes either', asRoot, async t => {
	if (spawnSync(gatewayProgram, ['--version'], user).status !== 0) {
		t.skip('this build lies where nobody else may go');
		return;
	}
	const gateway = await startGateway({ user });
	const all = processes(gateway);
	assert.match(gateway.stderr(), /not root: key holder and worker share its user/);
	for (const [name, pid] of Object.entries(all)) {
		const seen = status(pid);
		assert.equal(seen.Uid, Array(4).fill(user.uid).join('\t'), name);
		for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb'])
			assert.equal(seen[set], '0'.repeat(16), `${name} ${set}`);
		assert.equal(seen.NoNewPrivs, '1', name);
		if (sanitized(pid))
			continue; // stays dumpable, for LeakSanitizer
		assert.equal(seen.Seccomp_filters, name === 'supervisor' ? '1' : '2', name);
		for (const file of ['mem', 'maps', 'environ', 'syscall']) {
			const { status: code } = spawnSync('/bin/sh', ['-c', `head -c 1 /proc/${pid}/${file}`], user);
			assert.notEqual(code, 0, `${name} ${file}`);
		}
	}
	assert.equal((await post(`${gateway.url}/v1/chat/completions`, streamed('echo'))).status, 200);
	await gateway.stop();
});
