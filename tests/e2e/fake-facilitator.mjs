// A facilitator whose checks are the official packages' own; of the chain it has only a set of spent
// nonces. Tests script single answers; it remembers every request.
import http from 'node:http';
import { randomBytes } from 'node:crypto';
import { UptoEvmScheme } from '@x402/evm/upto/facilitator';
import { verifyTypedData } from 'viem';

export const NETWORK = 'eip155:8453';
export const ADDRESS = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';

// Balance, allowance and simulation always succeed; signatures of accounts are really checked.
function signer(address) {
	return {
		getAddresses: () => [address],
		verifyTypedData: args => verifyTypedData(args),
		getCode: async ({ address: at }) => (/^0x4020a4f3|^0x0000000000|^0xfbc2051a/i.test(at) ? '0x60' : '0x'),
		readContract: async call => (call.functionName === 'aggregate3' ? [] : 2n ** 255n),
		writeContract: async () => { throw new Error('no chain'); },
		sendTransaction: async () => { throw new Error('no chain'); },
		waitForTransactionReceipt: async () => { throw new Error('no chain'); },
	};
}

// What a scripted answer may be: made by these, or a function (response, call) => ....
export const status = (code, body = { error: 'scripted' }, headers = {}) => response => {
	const text = typeof body === 'string' ? body : JSON.stringify(body);
	response.writeHead(code, { 'content-type': 'application/json', ...headers });
	response.end(text);
};
export const refuse = reason => (response, call) => status(200, call.path === '/verify'
	? { isValid: false, invalidReason: reason }
	: { success: false, errorReason: reason, transaction: '', network: NETWORK })(response);
export const drop = response => response.socket.destroy();

/*
 * startFacilitator({address, jobs, extensions}): jobs: /settle answers 202, and each job is open until
 * finish(id) or fail(id, reason).
 * calls		{method, path, headers, body} of every request, in order
 * on(path, ...)	the next answers to this path, one a request
 * always(path, f)	every answer to it from now on; null: its own again
 * settled		[{payer, nonce, amount}]: what moved
 */
export async function startFacilitator({ address = ADDRESS, jobs = false, extensions = [] } = {}) {
	const scheme = new UptoEvmScheme(signer(address));
	const calls = [], settled = [], scripted = new Map(), fixed = new Map(), waiting = [];
	const open = new Map(), sockets = new Set();
	const permit = body => body.paymentPayload.payload.permit2Authorization;
	const key = body => `${permit(body).from}:${BigInt(permit(body).nonce)}`.toLowerCase();
	const spent = new Set();
	const self = { calls, settled, jobs: open, answersJobs: jobs, address };

	function move(body) {
		const { amount, network } = body.paymentRequirements;
		if (spent.has(key(body)))
			return { success: false, errorReason: 'permit2_invalid_nonce', transaction: '', network };
		if (BigInt(amount) > BigInt(permit(body).permitted.amount))
			return {
				success: false, errorReason: 'invalid_upto_evm_payload_settlement_exceeds_amount',
				transaction: '', network,
			};
		spent.add(key(body));
		settled.push({ payer: permit(body).from, nonce: BigInt(permit(body).nonce), amount: BigInt(amount) });
		return { success: true, transaction: `0x${randomBytes(32).toString('hex')}`, network,
			payer: permit(body).from, amount };
	}

	async function verify(body) {
		if (spent.has(key(body)))
			return { isValid: false, invalidReason: 'permit2_simulation_failed', payer: permit(body).from };
		return scheme.verify(body.paymentPayload, body.paymentRequirements);
	}

	function job(id, statusWord, rest = {}) {
		const now = new Date().toISOString();
		return { jobId: id, queue: 'payments', status: statusWord, createdAt: now, updatedAt: now, ...rest };
	}

	async function answer(call, response) {
		const { path, body } = call;
		if (path === '/supported')
			return status(200, {
				kinds: [{ x402Version: 2, scheme: 'upto', network: NETWORK, extra: { facilitatorAddress: self.address } }],
				extensions, signers: { 'eip155:*': [self.address] },
			})(response);
		if (path === '/verify')
			return status(200, await verify(body))(response);
		if (path === '/settle' && self.answersJobs) {
			const id = `payment-${randomBytes(8).toString('hex')}`;
			open.set(id, { body, state: job(id, 'queued') });
			return status(202, { paymentJob: job(id, 'queued') })(response);
		}
		if (path === '/settle')
			return status(200, move(body))(response);
		if (path.startsWith('/settle/') && open.has(path.slice(8)))
			return status(200, open.get(path.slice(8)).state)(response);
		if (path === '/settle_data')
			return status(202, { settlementJob: null })(response);
		return status(404)(response);
	}

	const server = http.createServer((request, response) => {
		const parts = [];
		request.on('data', part => parts.push(part));
		request.on('end', async () => {
			const text = Buffer.concat(parts).toString('utf8');
			const call = {
				method: request.method, path: request.url, headers: request.headers,
				body: text === '' ? undefined : JSON.parse(text), text,
			};
			calls.push(call);
			for (const waiter of waiting.splice(0))
				waiter();
			const next = scripted.get(call.path)?.shift() ?? fixed.get(call.path) ?? null;
			try {
				await (next === null ? answer(call, response) : next(response, call, () => answer(call, response)));
			} catch (error) {
				status(500, { error: String(error.message) })(response);
			}
		});
	});
	server.on('connection', socket => {
		sockets.add(socket);
		socket.on('close', () => sockets.delete(socket));
		socket.on('error', () => {});
	});
	await new Promise(ok => server.listen(0, '127.0.0.1', ok));
	const { port } = server.address();
	return Object.assign(self, {
		port, url: `http://127.0.0.1:${port}`,
		to: path => calls.filter(call => call.path === path),
		on(path, ...answers) {
			scripted.set(path, [...(scripted.get(path) ?? []), ...answers]);
		},
		always(path, f) {
			fixed.set(path, f);
		},
		// Resolves once `done()` is true; looked at after every request.
		async until(done, what = 'the facilitator was not asked') {
			const limit = Date.now() + 30_000;
			while (!done()) {
				if (Date.now() > limit)
					throw new Error(`${what}; it got: ${calls.map(c => c.path).join(' ')}`);
				await new Promise(ok => {
					waiting.push(ok);
					setTimeout(ok, 200);
				});
			}
		},
		finish(id) {
			const entry = open.get(id);
			entry.state = job(id, 'succeeded', { result: move(entry.body) });
		},
		fail(id, reason = 'transaction_failed') {
			open.get(id).state = job(id, 'failed', { error: reason });
		},
		async close() {
			const over = new Promise(ok => server.close(ok));
			for (const socket of sockets)
				socket.destroy();
			await over;
		},
	});
}
