// make demo-paid: it ends well, and what it prints is what moved.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { gatewayProgram, root } from './gateway.mjs';

test('the demonstration pays, settles what its receipts say, and prints every message', () => {
	const run = spawnSync(path.join(root, 'scripts/demo-paid'), ['--long'],
		{ encoding: 'utf8', env: { ...process.env, TEE_GATEWAY_BIN: gatewayProgram } });

	assert.equal(run.status, 0, run.stdout + run.stderr);
	for (const line of ['client <- gateway 402', 'gateway -> facilitator GET /supported', 'gateway -> facilitator POST /verify',
		'gateway -> provider POST /v1/chat/completions', 'gateway -> facilitator POST /settle_data', 'gateway -> facilitator POST /settle',
		'charged by receipts: 6840000000000000, settled: 6840000000000000'])
		assert.ok(run.stdout.includes(line), `${line} is missing`);
	assert.match(run.stdout, /payment-signature: base64 of\n {4}\{\n {6}"x402Version": 2/);
	assert.equal(run.stderr, '');
});
