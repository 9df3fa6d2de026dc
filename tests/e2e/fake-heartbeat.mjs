/*
 * A facilitator as far as heartbeats go: POST /heartbeat, answered as the test says.
 * answer(n) -> {status, body} or null (never answered); n counts from 1
 * beats	{at, headers, body, path} of each request, in order
 */
import http from 'node:http';

export async function startFacilitator(answer = n => ({ status: 200, body: `{"txHash":"0x${n}"}` })) {
	const beats = [], waiting = [];
	const server = http.createServer((request, response) => {
		const parts = [];
		request.on('data', part => parts.push(part));
		request.on('end', () => {
			beats.push({ at: Date.now(), path: `${request.method} ${request.url}`, headers: request.headers,
				body: Buffer.concat(parts).toString() });
			const said = answer(beats.length);
			if (said !== null) {
				response.writeHead(said.status, { 'content-type': 'application/json' });
				response.end(said.body);
			}
			while (waiting.length > 0)
				waiting.pop()();
		});
	});
	await new Promise(ok => server.listen(0, '127.0.0.1', ok));
	return {
		beats,
		url: `http://127.0.0.1:${server.address().port}`,
		// Resolves once there were so many; the test runner bounds it.
		async count(n) {
			while (beats.length < n)
				await new Promise(ok => waiting.push(ok));
		},
		async close() {
			server.closeAllConnections();
			await new Promise(ok => server.close(ok));
		},
	};
}
