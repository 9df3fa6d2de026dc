// A facilitator on loopback made of the official packages (@x402/core, @x402/evm): signatures,
// amounts, times and addresses are judged by their code. There is no chain behind it; `chain` is what
// they would have asked one: who spent which nonce, who has how much. Tests script what else can go wrong.
//
// Also a client's wallet and the official fetch wrapper, as users have them.
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import { x402Facilitator } from '@x402/core/facilitator';
import { UptoEvmScheme } from '@x402/evm/upto/facilitator';
import { UptoEvmScheme as UptoEvmClient } from '@x402/evm/upto/client';
import { wrapFetchWithPayment, x402Client } from '@x402/fetch';
import { keccak256, toHex } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';

export const NETWORK = 'eip155:8453';
export const FACILITATOR_ADDRESS = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';
export const PERMIT2 = '0x000000000022D473030F116dDEE9F6B43aC78BA3';
export const UPTO_PROXY = '0x4020A4f3b7b90ccA423B9fabCc0CE57C6C240002';
const ROUTES = [['GET', /^\/supported$/, 'supported'], ['POST', /^\/verify$/, 'verify'],
	['POST', /^\/settle$/, 'settle'], ['GET', /^\/settle\/([\w-]+)$/, 'job'],
	['POST', /^\/settle_data$/, 'settle_data'], ['POST', /^\/heartbeat$/, 'heartbeat']];

// What the packages ask of a chain. It refuses what the real contracts refuse of one settlement.
class Chain {
	constructor(addresses) {
		this.addresses = addresses;
		this.spent = new Set();     // `payer nonce`
		this.balance = new Map();   // payer, lower case: what he has; absent is plenty
		this.wallets = new Set();   // lower-case addresses with code: contract wallets
		this.transfers = [];        // {payer, to, amount, nonce, transaction}, in order
		this.reverts = false;       // settlements are mined, and fail
	}
	getAddresses() {
		return this.addresses;
	}
	check([permit, amount, payer]) {
		if (this.spent.has(`${payer.toLowerCase()} ${permit.nonce}`))
			throw new Error('InvalidNonce()');
		if (amount > (this.balance.get(payer.toLowerCase()) ?? 2n ** 255n))
			throw new Error('TRANSFER_FROM_FAILED');
	}
	async getCode({ address }) {
		const contract = this.wallets.has(address.toLowerCase()) || /^0x(fbc2051a|0000|4020)/i.test(address);
		return contract ? '0x60' : '0x';
	}
	async readContract({ functionName, args }) {
		if (functionName === 'settle')
			this.check(args);
		if (functionName === 'isValidSignature') // any contract wallet agrees
			return '0x1626ba7e';
		return functionName === 'aggregate3' ? [] : 2n ** 255n;
	}
	async verifyTypedData() {
		return true;
	}
	async writeContract({ args }) {
		const [permit, amount, payer, witness] = args;

		this.check(args);
		const transaction = keccak256(toHex(`transfer ${this.transfers.length} ${permit.nonce}`));
		if (!this.reverts) {
			this.spent.add(`${payer.toLowerCase()} ${permit.nonce}`);
			this.transfers.push({ payer, to: witness.to, amount: amount.toString(),
				nonce: permit.nonce.toString(), transaction });
		}
		return transaction;
	}
	async sendTransaction() {
		throw new Error('no chain');
	}
	async waitForTransactionReceipt() {
		return { status: this.reverts ? 'reverted' : 'success' };
	}
}

/*
 * Answers for script(): each is called with {call, honest, socket} and resolves to {status, body} or to
 * null when it dealt with the socket itself. honest() does the work and says what it would have said.
 */
export const says = (status, body, headers = {}) => async () => ({ status, body, headers });
export const malformed = text => says(200, text);
// The work is done, its answer is lost.
export const lost = async ({ honest, socket }) => {
	await honest();
	socket.destroy();
	return null;
};
// Nothing is done and nothing is said.
export const dropped = async ({ socket }) => {
	socket.destroy();
	return null;
};
// Waits until release() is called, then goes on honestly. {answer, arrived, release}
export function held() {
	let arrive, release;
	const arrived = new Promise(ok => { arrive = ok; });
	const go = new Promise(ok => { release = ok; });

	return { arrived, release, answer: async ({ honest }) => {
		arrive();
		await go;
		return honest();
	} };
}

/*
 * startFakeFacilitator({tls, jobs, sponsoring, address})
 * tls		{key, cert} of fake-openai.mjs's makeCertificates(); plain HTTP without
 * jobs		settle answers 202, as OpenGradient's does; the job is done when it is asked for the
 *		second time. `failJobs` makes it fail instead
 * sponsoring	/supported lists erc20ApprovalGasSponsoring
 *
 * url, chain	where it is; what the chain saw
 * calls	what came, in order: {method, path, route, headers, body, text, status, answer}
 * script(route, ...answers)	the next answers on 'supported', 'verify', 'settle', 'job', ...
 * always(route, answer)	every answer from now on; null: honest again
 * arrived(route, n)	resolves when the n-th call on a route has been answered
 * close()
 */
export async function startFakeFacilitator(options = {}) {
	const { tls, sponsoring = true, address = FACILITATOR_ADDRESS } = options;
	const chain = new Chain([address]);
	const official = new x402Facilitator().register(NETWORK, new UptoEvmScheme(chain));
	const calls = [], waiting = [], queues = new Map(), fixed = new Map(), jobs = new Map();
	const self = { chain, calls, jobs: options.jobs ?? false, failJobs: false };

	function offer() {
		const supported = official.getSupported();
		if (sponsoring)
			supported.extensions = ['eip2612GasSponsoring', 'erc20ApprovalGasSponsoring'];
		return { status: 200, body: supported };
	}
	async function judge(name, { paymentPayload, paymentRequirements }) {
		if (paymentPayload === undefined || paymentRequirements === undefined)
			return { status: 400, body: { error: 'Missing paymentPayload or paymentRequirements' } };
		try {
			return { status: 200, body: await official[name](paymentPayload, paymentRequirements) };
		} catch (error) {
			return { status: 500, body: { error: error.message } };
		}
	}
	function queue(body) {
		const job = { jobId: `payment-${randomBytes(8).toString('hex')}`, queue: 'payments',
			status: 'queued', createdAt: Date.now(), updatedAt: Date.now() };

		jobs.set(job.jobId, { job, body, asked: 0 });
		return { status: 202, body: { paymentJob: job } };
	}
	async function progress(id) {
		const entry = jobs.get(id);

		if (entry === undefined)
			return { status: 404, body: { error: 'unknown job' } };
		if (++entry.asked === 1)
			entry.job = { ...entry.job, status: 'active', updatedAt: Date.now() };
		else if (entry.asked === 2) {
			const result = self.failJobs ? null : (await judge('settle', entry.body)).body;
			entry.job = { ...entry.job, updatedAt: Date.now(), result,
				status: self.failJobs ? 'failed' : 'completed',
				error: self.failJobs ? 'execution reverted' : null };
		}
		return { status: 200, body: entry.job };
	}
	async function honestly(call) {
		switch (call.route) {
		case 'supported': return offer();
		case 'verify': return judge('verify', call.body);
		case 'settle': return self.jobs ? queue(call.body) : judge('settle', call.body);
		case 'job': return progress(call.argument);
		case 'settle_data': return { status: 202, body: { settlementJob: null } };
		case 'heartbeat': return { status: 200, body: { txHash: keccak256(toHex(call.text)) } };
		default: return { status: 404, body: { error: 'not found' } };
		}
	}
	async function serve(request, response) {
		const parts = [];
		for await (const part of request)
			parts.push(part);
		const call = { method: request.method, path: request.url, headers: request.headers,
			text: Buffer.concat(parts).toString() };
		const [, pattern, route] = ROUTES.find(([method, where]) =>
			method === call.method && where.test(call.path)) ?? [];
		call.route = route ?? 'unknown';
		call.argument = pattern?.exec(call.path)[1];
		try {
			call.body = call.text === '' ? undefined : JSON.parse(call.text);
		} catch {
			call.body = undefined;
		}
		calls.push(call);
		const answer = queues.get(call.route)?.shift() ?? fixed.get(call.route);
		let done;
		const honest = () => (done ??= honestly(call));
		const said = await (answer === undefined ? honest() : answer({ call, honest, socket: request.socket }));
		if (said !== null) {
			const text = typeof said.body === 'string' ? said.body : JSON.stringify(said.body);
			response.writeHead(said.status, { 'content-type': 'application/json', ...said.headers });
			response.end(text);
			call.status = said.status;
			call.answer = said.body;
		}
		call.answered = true;
		for (const one of waiting.splice(0))
			if (!one())
				waiting.push(one);
	}
	const failures = [];
	const handler = (request, response) => serve(request, response).catch(error => {
		// A client that hung up while it sent is its own business.
		if (error.code !== 'ECONNRESET')
			failures.push(error);
		response.destroy();
	});
	const server = tls ? https.createServer({ key: tls.key, cert: tls.cert }, handler)
		: http.createServer(handler);
	await new Promise((ok, fail) => server.once('error', fail).listen(options.port ?? 0, '127.0.0.1', ok));
	const { port } = server.address();

	return Object.assign(self, {
		port,
		url: tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`,
		script(route, ...answers) {
			queues.set(route, [...queues.get(route) ?? [], ...answers]);
		},
		always(route, answer) {
			if (answer === null)
				fixed.delete(route);
			else
				fixed.set(route, answer);
		},
		of: route => calls.filter(call => call.route === route),
		arrived(route, n = 1) {
			const there = () => calls.filter(call => call.route === route && call.answered).length >= n;

			return there() ? Promise.resolve() : new Promise(ok => {
				waiting.push(() => there() && (ok(), true));
			});
		},
		async close() {
			server.closeAllConnections();
			await new Promise(ok => server.close(ok));
			if (failures.length > 0)
				throw failures[0];
		},
	});
}

// A wallet that nobody used before.
export function newWallet() {
	return privateKeyToAccount(generatePrivateKey());
}

// The official client: `fetch` that answers a 402 with a payment. OPG is not in its list of tokens.
export function payingFetch(wallet, fetchFunction = fetch) {
	const client = new x402Client().setSpendControls(false)
		.register(NETWORK, new UptoEvmClient(wallet));

	return wrapFetchWithPayment(fetchFunction, client);
}

// One PAYMENT-SIGNATURE for a PAYMENT-REQUIRED, for tests that bend it or send it twice. `change`
// edits the payload before it is signed again.
export async function payFor(required, wallet, change) {
	const offer = typeof required === 'string'
		? JSON.parse(Buffer.from(required, 'base64').toString()) : required;
	const client = new x402Client().setSpendControls(false)
		.register(NETWORK, new UptoEvmClient(wallet));
	const payload = await client.createPaymentPayload(offer);

	if (change !== undefined) {
		change(payload);
		payload.payload.signature = await wallet.signTypedData(typedData(payload));
	}
	return { payload, header: encodePayment(payload) };
}

export function encodePayment(payload) {
	return Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)).toString('base64');
}

// What is signed in a payload of `upto` (x402.md 4.2).
export function typedData({ payload, accepted }) {
	const { permitted, spender, nonce, deadline, witness } = payload.permit2Authorization;

	return {
		domain: { name: 'Permit2', chainId: Number(accepted.network.split(':')[1]), verifyingContract: PERMIT2 },
		primaryType: 'PermitWitnessTransferFrom',
		types: {
			PermitWitnessTransferFrom: [{ name: 'permitted', type: 'TokenPermissions' },
				{ name: 'spender', type: 'address' }, { name: 'nonce', type: 'uint256' },
				{ name: 'deadline', type: 'uint256' }, { name: 'witness', type: 'Witness' }],
			TokenPermissions: [{ name: 'token', type: 'address' }, { name: 'amount', type: 'uint256' }],
			Witness: [{ name: 'to', type: 'address' }, { name: 'facilitator', type: 'address' },
				{ name: 'validAfter', type: 'uint256' }],
		},
		message: { permitted, spender, nonce, deadline, witness },
	};
}
