// K1, K4: calls that code under a stranger's control would make, made by the real processes.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { exchange, gatewayProgram, json, startGateway } from './gateway.mjs';
import { alive, asRoot, processes, sanitized, until } from './processes.mjs';

// The registers of the calls are those of x86-64.
const planted = process.arch === 'x64' ? asRoot : { skip: 'registers of another machine' };
const program = path.resolve(path.dirname(gatewayProgram), '../../tests/e2e/plant');
const EACCES = '-13';

// What the kernel answered, or `SIGNAL n`.
const plant = (pid, ...call) => execFileSync(program, [String(pid), ...call], { encoding: 'utf8' }).trim();

// Sanitizers need calls and files of their own: such builds have neither lists nor rules.
async function startPlain(t, options) {
	const gateway = await startGateway(options);
	if (!sanitized(gateway.pid))
		return gateway;
	await gateway.stop();
	t.skip('a sanitizer\'s build');
	return null;
}

const named = (who, call) => new RegExp(`${who}: system call \\d+ \\(${call}\\) is not on its list`);

for (const [call, name, ...argument] of [['open', 'openat', '/etc/hosts'], ['socket', 'socket'],
	['execve', 'execve', '/bin/true'], ['kill', 'kill'], ['ptrace', 'ptrace'], ['readv', 'process_vm_readv']])
	test(`K4: ${name} in the key holder ends everything, and is named`, planted, async t => {
		const gateway = await startPlain(t, { loops: 1 });
		if (gateway === null)
			return;
		const { keyholder, worker } = processes(gateway);
		assert.equal(plant(keyholder, call, ...argument), `SIGNAL ${os.constants.signals.SIGSYS}`);
		assert.deepEqual(await gateway.ended, { code: 1, signal: null }, gateway.stderr());
		assert.match(gateway.stderr(), named('key holder', name));
		assert.match(gateway.stderr(), /key holder died: signal 31/);
		assert.ok(!alive(keyholder) && !alive(worker));
	});

// Few deaths of one gateway, whose pauses grow.
for (const calls of [[['execve', 'execve', '/bin/true'], ['packet', 'socket'], ['kill', 'kill']],
	[['ptrace', 'ptrace'], ['readv', 'process_vm_readv']]])
	test(`K4: ${calls.map(([, name]) => name).join(', ')} end a worker, and are named`, planted, async t => {
		const gateway = await startPlain(t, { loops: 1 });
		if (gateway === null)
			return;
		const { keyholder } = processes(gateway);
		for (const [call, name, ...argument] of calls) {
			const { worker } = processes(gateway);
			const served = gateway.stderr().match(/ready:/g).length;
			assert.equal(plant(worker, call, ...argument), `SIGNAL ${os.constants.signals.SIGSYS}`, name);
			await until('a new worker', () => gateway.stderr().match(/ready:/g).length > served, 30_000);
			assert.match(gateway.stderr(), named('worker', name));
			assert.ok(!alive(worker));
			assert.equal(processes(gateway).keyholder, keyholder, name);
		}
		assert.equal((await exchange(`${gateway.url}/health`)).status, 200);
		await gateway.stop();
	});

test('K1, K4: a worker opens the resolver\'s files, and no others', planted, async t => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'isolation-'));
	const open = path.join(dir, 'open'), device = path.join(dir, 'nsm');
	fs.chmodSync(dir, 0o755);
	fs.writeFileSync(open, 'for everybody', { mode: 0o644 });
	fs.writeFileSync(device, '', { mode: 0o600 }); // as /dev/nsm is (K2), where there is none
	const gateway = await startPlain(t, { loops: 1 });
	try {
		if (gateway === null)
			return;
		const { worker, keyholder } = processes(gateway);
		const landlock = /Landlock \d+: /.test(gateway.stderr());
		assert.ok(landlock || /no Landlock here/.test(gateway.stderr()), 'the log says which');
		assert.match(plant(worker, 'open', '/etc/hosts'), /^\d+$/);
		for (const file of [device, '/dev/nsm', `/proc/${keyholder}/mem`, `/proc/${keyholder}/maps`,
			`/proc/${gateway.pid}/environ`, '/etc/shadow'])
			if (fs.existsSync(file))
				assert.equal(plant(worker, 'open', file), EACCES, file);
		// Here users and modes allow it: that it is refused is Landlock's work.
		if (landlock)
			for (const file of [open, '/proc/self/environ', '/proc/version', '/usr/bin/env', dir])
				assert.equal(plant(worker, 'open', file), EACCES, file);
		else
			t.diagnostic('no Landlock in this kernel: what everybody may read is open to the worker');
		assert.equal(processes(gateway).worker, worker, 'nobody died of it');
		assert.equal(json(await exchange(`${gateway.url}/health`)).status, 'OK');
		// A user of the worker's number, without lists and rules, cannot open them either.
		const cat = file => spawnSync('/bin/cat', [file], { uid: 61101, gid: 61101 }).status;
		assert.notEqual(cat(device), 0);
		assert.equal(cat(open), 0);
	} finally {
		await gateway?.stop();
		fs.rmSync(dir, { recursive: true });
	}
});
