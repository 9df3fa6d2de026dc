// make demo-paid: the gateway between the official x402 client and a facilitator of the official
// packages, all on loopback, with every message that moved printed. Nothing real is paid or asked.
// Exits 1 unless what was settled is what the receipts say.
import { stream, whole } from './fake-openai.mjs';
import { payingFetch } from './fake-facilitator.mjs';
import * as p from './payment.mjs';

const long = process.argv.includes('--long'); // JSON Schemas too
const out = text => process.stdout.write(`${text}\n`);
const title = text => out(`\n== ${text}`);

// JSON as people read it; the schema in every offer and payment is the same 1.5 KB.
function pretty(value) {
	const short = (name, member) => (name === 'schema' && !long ? '(a JSON Schema; --long shows it)' : member);
	return JSON.stringify(value, short, 2).replace(/^/gm, '    ');
}
const parsed = text => {
	try {
		return pretty(JSON.parse(text));
	} catch {
		return text.trim().replace(/^/gm, '    ');
	}
};
const fromBase64 = text => pretty(JSON.parse(Buffer.from(text, 'base64')));

function show(way, first, headers, body) {
	out(`\n${way} ${first}`);
	for (const [name, value] of headers)
		out(`  ${name}: ${/^payment-|-data$/.test(name) ? `base64 of\n${fromBase64(value)}` : value}`);
	if (body)
		out(body);
}
const shown = ([name]) => /^(payment-|x-upto-session|x-settlement-|tee-receipt)/.test(name);
const asked = (input, headers, body) => show('client -> gateway', `POST ${new URL(input.url ?? input).pathname}`,
	[...headers].filter(shown), parsed(body));

// A fetch that prints both ways.
async function printingFetch(input, init) {
	const request = new Request(input, init);
	asked(request, request.headers, await request.clone().text());
	const answer = await fetch(request);
	show('client <- gateway', String(answer.status), [...answer.headers].filter(shown),
		parsed(await answer.clone().text()));
	return answer;
}

function printCalls(shop, from) {
	for (const call of shop.facilitator.calls.slice(from)) {
		show('gateway -> facilitator', `${call.method} ${call.path}`, Object.entries(call.headers).filter(shown),
			call.text && parsed(call.text));
		show('gateway <- facilitator', String(call.status), [], call.answer && parsed(JSON.stringify(call.answer)));
	}
	return shop.facilitator.calls.length;
}
function printProvider(shop, from) {
	for (const call of shop.provider.calls.slice(from)) {
		show('gateway -> provider', `${call.method} ${call.path}`, [], parsed(call.body.toString()));
		show('gateway <- provider', '200', [], parsed(call.sent.toString()));
	}
	return shop.provider.calls.length;
}

const wallet = p.newWallet();
const shop = await p.startShop({});
let calls = 0, provided = 0;
const receipts = [];
try {
	title(`gateway ${shop.gateway.url}, facilitator ${shop.facilitator.url}, payer ${wallet.address}; 1 OPG = 0.1 USD`);
	calls = printCalls(shop, calls);

	title('1. The official client asks, is told the price, pays, and gets a stream');
	shop.provider.answer(stream(p.chunks({ prompt: 10, answer: 8, text: ['Fi', 'ne, ', 'thank you.'] })));
	const first = await payingFetch(wallet, printingFetch)(shop.url, {
		method: 'POST', headers: { 'content-type': 'application/json' },
		body: JSON.stringify(p.question({ stream: true })),
	});
	receipts.push(p.claims(p.lastEvent(await first.text()).tee_receipt));
	calls = printCalls(shop, calls);
	provided = printProvider(shop, provided);

	title('2. The same session again, by its token: no signature, no question to the facilitator');
	shop.provider.answer(whole(p.completion({ prompt: 100, answer: 50, text: 'Still fine.' })));
	const second = await printingFetch(shop.url, {
		method: 'POST', body: JSON.stringify(p.question()),
		headers: { 'content-type': 'application/json', 'x-upto-session': first.headers.get('x-upto-session') },
	});
	receipts.push(p.claims(second.headers.get('tee-receipt')));
	calls = printCalls(shop, calls);
	provided = printProvider(shop, provided);

	title('3. What the signed receipts say was charged');
	for (const { jti, payment } of receipts)
		out(`  ${jti}\n${pretty(payment)}`);

	title('4. The gateway stops, and settles what is open');
	await shop.gateway.stop();
	printCalls(shop, calls);
} finally {
	await shop.stop();
}
const charged = receipts.reduce((sum, { payment }) => sum + BigInt(payment.charged), 0n);
const [settled, ...more] = shop.settled();
title(`charged by receipts: ${charged}, settled: ${settled} atomic units of OPG (10^-18)`);
if (settled !== charged || more.length > 0 || shop.facilitator.chain.transfers[0].payer !== wallet.address) {
	out('They differ.');
	process.exit(1);
}
process.exit(0);
