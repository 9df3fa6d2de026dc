// Heartbeats: the bytes that the network's contract verifies, failures, and that nothing waits for
// them (opengradient.md 3, 7; vectors/signing/heartbeat.json; interfaces.md K3, F4). What three failed
// attempts look like without waiting for them: tests/unit/gateway/heartbeat.c.
import assert from 'node:assert/strict';
import { constants, verify } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { exchange, json, post, root, startGateway } from './gateway.mjs';
import { startFacilitator } from './fake-heartbeat.mjs';
import { processes, until } from './processes.mjs';
import { keccak } from './receipts-check.mjs';

const CONTRACT = '0x4e72238852f3c918f4E4e57AeC9280dDB0c80248';
const echo = { model: 'echo', messages: [{ role: 'user', content: 'hello' }] };

const status = async gateway => json(await exchange(`${gateway.url}/heartbeat/status`));
const metric = async (gateway, series) => Number((await exchange(`${gateway.url}/metrics`)).body.toString()
	.split('\n').find(line => line.startsWith(`${series} `))?.slice(series.length + 1) ?? 0);

// The contract's check: RSA-PSS over keccak-256(teeId || uint256(timestamp)), hashed once more.
function isSigned(pem, { teeId, timestamp, signature }) {
	const preimage = Buffer.concat([Buffer.from(teeId.slice(2), 'hex'),
		Buffer.from(BigInt(timestamp).toString(16).padStart(64, '0'), 'hex')]);
	return verify('sha256', keccak(preimage), { key: pem, padding: constants.RSA_PKCS1_PSS_PADDING,
		saltLength: 32 }, Buffer.from(signature, 'base64'));
}

async function withHeartbeat(facilitator, body, settings = {}) {
	const gateway = await startGateway();
	try {
		assert.deepEqual(await status(gateway), { enabled: false });
		const answer = await post(`${gateway.url}/v1/keys`, { facilitator_url: facilitator.url,
			heartbeat_contract_address: CONTRACT, ...settings });
		assert.equal(answer.status, 200, answer.body.toString());
		assert.equal(json(answer).heartbeat_enabled, true);
		await body(gateway);
	} finally {
		await gateway.stop();
		await facilitator.close();
	}
}

test('the check below is the one of the published vectors', () => {
	const read = name => JSON.parse(fs.readFileSync(path.join(root, 'tests/vectors/signing', name)));
	const { public_key_pem: pem } = read('responses.json'), { vectors } = read('heartbeat.json');
	assert.equal(vectors.length, 2);
	for (const { relay_body: body } of vectors) {
		assert.ok(isSigned(pem, body));
		assert.ok(!isSigned(pem, { ...body, timestamp: `${Number(body.timestamp) + 1}` }));
	}
});

test('each beat is signed for a time that lies back, and sent again after an interval', async () => {
	const facilitator = await startFacilitator();
	await withHeartbeat(facilitator, async gateway => {
		const { public_key: pem, tee_id: teeId, wallet_address: wallet } =
			json(await exchange(`${gateway.url}/signing-key`));
		await facilitator.count(3);
		for (const { at, path: where, headers, body } of facilitator.beats) {
			const beat = JSON.parse(body);
			assert.equal(where, 'POST /heartbeat');
			assert.equal(headers['content-type'], 'application/json');
			assert.deepEqual(Object.keys(beat), ['teeId', 'timestamp', 'signature', 'contractAddress']);
			assert.equal(beat.teeId, teeId);
			assert.equal(beat.contractAddress, CONTRACT);
			assert.match(beat.timestamp, /^[1-9]\d*$/);
			assert.ok(Math.abs(at / 1000 - 120 - Number(beat.timestamp)) < 5, 'buffer of 120 s');
			assert.ok(isSigned(pem, beat));
		}
		const gaps = facilitator.beats.slice(1).map(({ at }, i) => at - facilitator.beats[i].at);
		for (const gap of gaps) // as they arrive here: one that is late is close to the next
			assert.ok(gap > 500, `the interval is 1 s: ${gaps}`);
		await until('three were counted', async () => (await status(gateway)).total_sent >= 3);
		const { total_sent: sent, last_success_timestamp: success, last_tx_hash: tx, ...rest } =
			await status(gateway);
		assert.ok(Math.abs(success - Date.now() / 1000) < 10);
		assert.equal(tx, `0x${sent}`);
		assert.deepEqual(rest, { enabled: true, running: true, tee_id: teeId, registry: CONTRACT, wallet,
			relay_mode: 'facilitator', facilitator_url: facilitator.url,
			heartbeat_endpoint: `${facilitator.url}/heartbeat`, interval_seconds: 1, total_errors: 0,
			last_error: null });
		assert.ok(await metric(gateway, 'tee_gateway_signatures_total{kind="heartbeat"}') >= 3);
	}, { tee_heartbeat_interval: 1, tee_heartbeat_buffer: 120 });
});

test('a refused one is tried again 10 s later, however short the interval', async () => {
	const facilitator = await startFacilitator(n => [null, { status: 500, body: '{"txHash":"0x1"}' },
		{ status: 200, body: '{"txHash":"0x2"}' }][n] ?? null);
	await withHeartbeat(facilitator, async gateway => {
		await facilitator.count(1);
		await until('it was noticed', async () => (await status(gateway)).total_errors === 1);
		assert.equal((await status(gateway)).last_error, 'the facilitator answered 500');
		await facilitator.count(2);
		const [first, second] = facilitator.beats;
		assert.ok(second.at - first.at >= 9900, `${second.at - first.at} ms`);
		assert.notEqual(JSON.parse(first.body).timestamp, JSON.parse(second.body).timestamp,
			'a new time, a new signature');
		await until('it worked', async () => (await status(gateway)).total_sent === 1);
		const { last_tx_hash: tx, last_error: error, total_errors: errors } = await status(gateway);
		assert.deepEqual({ tx, error, errors }, { tx: '0x2', error: null, errors: 1 });
	}, { tee_heartbeat_interval: 1 });
});

for (const [rule, said, error] of [
	['no txHash', { status: 200, body: '{"ok":true}' }, 'the facilitator answered 200 without a txHash'],
	['a txHash that is no string', { status: 200, body: '{"txHash":1}' },
		'the facilitator answered 200 without a txHash'],
	['202', { status: 202, body: '{"txHash":"0x1"}' }, 'the facilitator answered 202'],
	['more than 16 KiB', { status: 200, body: `{"txHash":"0x1","x":"${'x'.repeat(17000)}"}` },
		'the facilitator\'s answer is too large'],
])
	test(`an answer that is none: ${rule}`, async () => {
		const facilitator = await startFacilitator(() => said);
		await withHeartbeat(facilitator, async gateway => {
			await until('it was noticed', async () => (await status(gateway)).total_errors === 1);
			const { total_sent: sent, last_error: why } = await status(gateway);
			assert.deepEqual({ sent, why }, { sent: 0, why: error });
		});
	});

test('nothing waits for a facilitator that never answers: no request, not the end', async () => {
	const facilitator = await startFacilitator(() => null);
	let stopping;
	await withHeartbeat(facilitator, async gateway => {
		await facilitator.count(1);
		for (let i = 0; i < 20; i++)
			assert.equal((await post(`${gateway.url}/v1/chat/completions`, echo)).status, 200);
		assert.equal(facilitator.beats.length, 1);
		assert.equal((await status(gateway)).total_errors, 0, 'its 20 s are not over');
		stopping = Date.now();
	});
	assert.ok(Date.now() - stopping < 5000, 'its deadline was not waited for');
});

test('K3: a new worker goes on without the operator', async () => {
	const facilitator = await startFacilitator();
	await withHeartbeat(facilitator, async gateway => {
		await facilitator.count(1);
		process.kill(processes(gateway).worker, 'SIGKILL');
		await facilitator.count(2);
		assert.equal(JSON.parse(facilitator.beats[1].body).teeId, JSON.parse(facilitator.beats[0].body).teeId);
		assert.equal((await status(gateway)).enabled, true);
	});
});
