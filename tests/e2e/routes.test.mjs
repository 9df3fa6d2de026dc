// Routes, methods, limits, CORS and the operator's doors (interfaces.md 4: H1-H7, E1, E2).
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { exchange, json, post, root, startGateway } from './gateway.mjs';
import { keccak, readIdentity } from './receipts-check.mjs';

let gateway, certificate;
const chat = () => `${gateway.url}/v1/chat/completions`;
const echo = { model: 'echo', messages: [{ role: 'user', content: 'hello' }] };
const get = (where, rest) => exchange(`${gateway.url}${where}`, rest);
const getTls = (where, rest) => exchange(`${gateway.tlsUrl}${where}`, { ca: certificate, ...rest });

before(async () => {
	gateway = await startGateway();
	certificate = await gateway.certificate();
});

after(async () => {
	await gateway?.stop();
});

test('GET /health', async () => {
	for (const answer of [await get('/health'), await getTls('/health')]) {
		assert.equal(answer.status, 200);
		assert.match(answer.headers['content-type'], /^application\/json/);
		const health = json(answer);
		assert.equal(health.status, 'OK');
		assert.equal(health.tee_enabled, false);
		assert.equal(health.worker_restarts, 0);
		assert.match(health.version, /^\d+\.\d+\.\d+/);
		assert.equal(health.providers.openai, false);
	}
});

test('GET /signing-key', async () => {
	const { signing } = await readIdentity(gateway);
	assert.equal(signing.enclave_info.platform, 'local-simulation');
	assert.equal(signing.measurements, null);
	assert.match(signing.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$/);
	assert.equal(signing.seal_key.crv, 'P-256', 'P3: a provisioning may still come');
	// EIP-55: a letter is upper case where the digit of keccak(lower case) is above 7.
	const address = signing.wallet_address;
	assert.match(address, /^0x[0-9a-fA-F]{40}$/);
	const mask = keccak(Buffer.from(address.slice(2).toLowerCase())).toString('hex');
	const expected = [...address.slice(2).toLowerCase()]
		.map((digit, n) => (parseInt(mask[n], 16) > 7 ? digit.toUpperCase() : digit)).join('');
	assert.equal(address, `0x${expected}`);
});

test('GET /v1/models and /v1/models/{id}', async () => {
	const list = json(await get('/v1/models'));
	assert.equal(list.object, 'list');
	const ids = list.data.map(model => model.id);
	assert.equal(new Set(ids).size, ids.length);
	for (const model of list.data) {
		assert.equal(model.object, 'model');
		assert.ok(Number.isInteger(model.created));
		assert.equal(typeof model.owned_by, 'string');
		assert.match(model.pricing.input, /^\d+(\.\d+)?$/);
		assert.match(model.pricing.output, /^\d+(\.\d+)?$/);
		assert.deepEqual(json(await get(`/v1/models/${encodeURIComponent(model.id)}`)), model);
	}
	assert.ok(ids.includes('echo') && ids.includes('gpt-4.1'));
	const unknown = await get('/v1/models/no-such-model');
	assert.equal(unknown.status, 404);
	assert.equal(json(unknown).error.code, 'model_not_found');
});

test('F4: /metrics counts what was done', async () => {
	const read = async () => {
		const answer = await get('/metrics');
		assert.equal(answer.status, 200);
		assert.match(answer.headers['content-type'], /^text\/plain; version=0\.0\.4/);
		return answer.body.toString();
	};
	const value = (text, series) => Number(text.split('\n')
		.find(line => line.startsWith(`${series} `))?.slice(series.length + 1) ?? 0);
	const series = [
		['tee_gateway_requests_total{route="/v1/chat/completions",status="200"}', 3],
		['tee_gateway_signatures_total{kind="chat"}', 3],
		['tee_gateway_signatures_total{kind="receipt"}', 3],
		['tee_gateway_request_seconds_count', 3],
	];
	const first = await read();
	for (let n = 0; n < 3; n++)
		assert.equal((await post(chat(), { ...echo, stream: n === 0 })).status, 200);
	const second = await read();
	for (const [name, least] of series)
		assert.ok(value(second, name) - value(first, name) >= least, `${name}\n${second}`);
	for (const name of ['streams_open', 'connections_open', 'memory_bytes', 'sign_seconds_bucket', 'build_info'])
		assert.match(second, new RegExp(`^tee_gateway_${name}[ {]`, 'm'));
	assert.equal(value(second, 'tee_gateway_streams_open'), 0);
});

for (const [where, type] of [['/v1/nothing', /^application\/json/], ['/v1/', /^application\/json/],
	['/', /^text\/plain/], ['/nothing', /^text\/plain/], ['/v1', /./], ['/health/', /^text\/plain/],
	// H7, and what arrives with later features.
	['/v1/ohttp', /json/], ['/v1/ohttp/config', /json/], ['/v1/web_search', /json/], ['/v1/moderations', /json/],
	['/v1/embeddings', /json/], ['/enclave/', /^text/], ['/enclave/ready', /^text/]])
	test(`H4: ${where} is not found`, async () => {
		const answer = await get(where);
		assert.equal(answer.status, 404);
		assert.match(answer.headers['content-type'], type);
		if (where.startsWith('/v1/'))
			assert.equal(json(answer).error.type, 'not_found_error');
	});

test('H3, H6: every answer names its request and must not be stored', async () => {
	for (const answer of [await get('/health'), await get('/nothing'), await post(chat(), echo),
		await post(chat(), '{'), await get('/v1/chat/completions'), await getTls('/metrics')]) {
		assert.match(answer.headers['x-request-id'], /^[A-Za-z0-9_-]{22,64}$/);
		assert.equal(answer.headers['cache-control'], 'no-store, no-transform');
		assert.ok(answer.headers.date);
	}
	const offered = await get('/v1/models', { headers: { 'accept-encoding': 'gzip, br' } });
	assert.ok(!('content-encoding' in offered.headers), 'H6: never compressed');
});

const contract = () => parse(fs.readFileSync(path.join(root, 'openapi.yaml'), 'utf8'));
const sample = where => where.replace('{id}', 'echo');
const operator = ['/metrics', '/v1/shutdown', '/v1/keys'];
const methodsOf = entry => Object.keys(entry).filter(key => ['get', 'post', 'put', 'delete', 'patch'].includes(key))
	.map(key => key.toUpperCase());

test('H4, F1: openapi.yaml lists the served routes, and their methods are the ones allowed', async () => {
	for (const [where, entry] of Object.entries(contract().paths)) {
		if (entry.servers)
			continue; // another listener's: internal.test.mjs
		const answer = await get(sample(where), { method: 'DELETE' });
		assert.equal(answer.status, 405, where);
		const allowed = answer.headers.allow.split(', ').sort();
		const methods = methodsOf(entry);
		const want = [...methods, ...(methods.includes('GET') && !where.startsWith('/enclave') ? ['HEAD'] : []),
			...(operator.includes(where) ? [] : ['OPTIONS'])].sort();
		assert.deepEqual(allowed, want, where);
	}
});

test('F1: openapi.yaml misses no route that the source names', () => {
	const paths = Object.keys(contract().paths).map(where => where.replace(/\{id\}$/, ''));
	const named = new Set();
	for (const file of fs.readdirSync(path.join(root, 'src/gateway')).filter(name => name.endsWith('.c')))
		for (const [, route] of fs.readFileSync(path.join(root, 'src/gateway', file), 'utf8')
			.matchAll(/"(\/(?:v1|enclave|\.well-known|health|signing-key|metrics|heartbeat)[^"%]*)"/g))
			named.add(route);
	assert.ok(named.size >= 8, `the route table was found: ${[...named]}`);
	for (const route of named)
		assert.ok(paths.includes(route) || paths.some(where => where.startsWith(route)), route);
});

test('F1: openapi.yaml lists the statuses of completions that the source can answer', () => {
	// Where a status of an answer is written: the tables, and the calls that refuse. Tables of
	// providers' statuses (switches, ranges) are what comes in, not what goes out.
	const written = [/\bHTTP_FAULT\(\s*(\d{3}),/g, /\brq_fail\(\s*rq, (\d{3}),/g, /\bno->status = (\d{3});/g,
		/\bcall_fail\(\s*c, (\d{3}),/g, /^\s*(?:\[KIND_\w+\] = )?\{ (\d{3}), "/gm];
	const answered = new Set(['200']);
	for (const folder of ['gateway', 'http', 'provider'])
		for (const name of fs.readdirSync(path.join(root, 'src', folder)).filter(name => name.endsWith('.c'))) {
			const text = fs.readFileSync(path.join(root, 'src', folder, name), 'utf8');
			for (const pattern of written)
				for (const [, status] of text.matchAll(pattern))
					answered.add(status);
		}
	for (const where of ['/v1/chat/completions', '/v1/completions'])
		assert.deepEqual(Object.keys(contract().paths[where].post.responses).sort(), [...answered].sort(), where);
});

test('F1: openapi.yaml documents every answer that the gateway gave here', async () => {
	const { paths } = contract();
	const check = (where, method, answer) => {
		const known = paths[where][method].responses;
		const found = known[answer.status] ?? known.default;
		assert.ok(found, `${method} ${where} ${answer.status}`);
	};
	for (const [where, entry] of Object.entries(paths))
		if (entry.get)
			check(where, 'get', await get(sample(where)));
	check('/v1/chat/completions', 'post', await post(chat(), echo));
	check('/v1/chat/completions', 'post', await post(chat(), '{'));
	check('/v1/completions', 'post', await post(`${gateway.url}/v1/completions`, { model: 'x', prompt: 'x' }));
});

test('H4: HEAD is GET without the body', async () => {
	for (const where of ['/health', '/v1/models', '/v1/models/echo', '/.well-known/jwks.json', '/v1/nothing']) {
		const [head, whole] = [await get(where, { method: 'HEAD' }), await get(where)];
		assert.equal(head.status, whole.status);
		assert.equal(head.headers['content-type'], whole.headers['content-type']);
		assert.equal(head.headers['content-length'], whole.headers['content-length']);
		assert.equal(head.body.length, 0);
	}
});

test('H5: public routes may be called from any page', async () => {
	const answer = await post(chat(), echo, { origin: 'https://app.example' });
	assert.equal(answer.status, 200);
	assert.equal(answer.headers['access-control-allow-origin'], '*');
	assert.ok(!('access-control-allow-credentials' in answer.headers));
	const exposed = answer.headers['access-control-expose-headers'].split(/,\s*/);
	for (const name of ['TEE-Receipt', 'TEE-Adjusted', 'X-Request-Id', 'X-Upto-Session', 'PAYMENT-REQUIRED',
		'PAYMENT-RESPONSE', 'Retry-After'])
		assert.ok(exposed.includes(name), name);

	const flight = await exchange(chat(), { method: 'OPTIONS', headers: { origin: 'https://app.example',
		'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type,tee-nonce' } });
	assert.ok([200, 204].includes(flight.status));
	assert.equal(flight.headers['access-control-allow-origin'], '*');
	assert.match(flight.headers['access-control-allow-methods'], /POST/);
	const allowed = flight.headers['access-control-allow-headers'].toLowerCase().split(/,\s*/);
	for (const name of ['authorization', 'content-type', 'payment-signature', 'x-upto-session', 'x-settlement-type',
		'x-request-id', 'tee-signature', 'tee-nonce'])
		assert.ok(allowed.includes(name), name);
	assert.equal(flight.body.length, 0);

	const wrong = await post(chat(), '{', { origin: 'https://app.example' });
	assert.equal(wrong.headers['access-control-allow-origin'], '*', 'a page may read the error too');
});

test('H2: operator routes hide from whatever came through a proxy or a browser', async () => {
	const nothing = await get('/nothing');
	const nothingV1 = await get('/v1/nothing');
	for (const [where, method] of [['/metrics', 'GET'], ['/v1/shutdown', 'POST'], ['/v1/keys', 'POST']])
		for (const name of ['x-forwarded-for', 'forwarded', 'via', 'origin']) {
			const answer = await get(where, { method, headers: { [name]: 'x', 'content-length': '0' } });
			assert.equal(answer.status, 404, `${method} ${where} with ${name}`);
			// Nothing tells it from a path that nobody serves.
			const other = where === '/metrics' ? nothing : nothingV1;
			assert.deepEqual(answer.body, other.body);
			assert.deepEqual(Object.keys(answer.headers).sort(), Object.keys(other.headers).sort());
		}
	const clean = await get('/metrics');
	assert.equal(clean.status, 200);
	assert.ok(!('access-control-allow-origin' in clean.headers));
});

test('operator routes are not served to the public', async () => {
	for (const [where, method] of [['/metrics', 'GET'], ['/v1/shutdown', 'POST'], ['/v1/keys', 'POST']])
		assert.equal((await getTls(where, { method, headers: { 'content-length': '0' } })).status, 404, where);
	assert.equal((await getTls('/v1/models')).status, 200);
	assert.equal((await getTls('/signing-key')).status, 200);
});

// One raw request; resolves to everything that came until the connection closed.
function raw(text) {
	return new Promise((ok, fail) => {
		const parts = [];
		const socket = net.connect(gateway.port, '127.0.0.1', () => socket.write(text));
		socket.on('data', part => parts.push(part));
		socket.on('error', error => (parts.length ? ok(Buffer.concat(parts).toString()) : fail(error)));
		socket.on('close', () => ok(Buffer.concat(parts).toString()));
	});
}

test('H4: a body above 20 MiB is refused before it is sent', async () => {
	const answer = await raw('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
		+ 'Content-Length: 20971521\r\n\r\n');
	assert.match(answer, /^HTTP\/1\.1 413 /);
	const { error } = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
	assert.equal(error.type, 'invalid_request_error');
});

test('H4: a head above 64 KiB is a 431', async () => {
	const answer = await raw(`GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(70_000)}\r\n\r\n`);
	assert.match(answer, /^HTTP\/1\.1 431 /);
});

test('H4: Expect: 100-continue is honoured after the head was judged', async () => {
	const body = JSON.stringify(echo);
	const head = type => 'POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
		+ `Content-Type: ${type}\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`;
	const answer = await new Promise((ok, fail) => {
		let got = '';
		const socket = net.connect(gateway.port, '127.0.0.1', () => socket.write(head('application/json')));
		socket.setEncoding('utf8').on('data', text => {
			if (got === '' && text.startsWith('HTTP/1.1 100 '))
				socket.write(body);
			got += text;
		}).on('error', fail).on('close', () => ok(got));
	});
	assert.match(answer, /^HTTP\/1\.1 100 [^\r]*\r\n\r\nHTTP\/1\.1 200 /);
	assert.match(await raw(head('text/plain')), /^HTTP\/1\.1 415 /, 'no 100 for what will be refused');
});

for (const [rule, headers, status] of [
	['another media type', { 'content-type': 'text/plain' }, 415],
	['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 415],
	['a compressed body', { 'content-encoding': 'gzip' }, 415],
	['any Content-Encoding', { 'content-encoding': 'identity' }, 415],
	['a charset', { 'content-type': 'application/json; charset=utf-8' }, 200],
	['upper case', { 'content-type': 'Application/JSON' }, 200],
])
	test(`H4: ${rule} is ${status}`, async () => {
		const answer = await post(chat(), echo, headers);
		assert.equal(answer.status, status, answer.body.toString());
		if (status === 415)
			assert.equal(json(answer).error.type, 'invalid_request_error');
	});

test('requests need no Authorization, and any is ignored', async () => {
	assert.equal((await post(chat(), echo)).status, 200);
	assert.equal((await post(chat(), echo, { authorization: 'Bearer 0x1234' })).status, 200);
});
