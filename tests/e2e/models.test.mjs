// The model table, /v1/models, the README and openapi.yaml tell the same.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { exchange, json, root, startGateway } from './gateway.mjs';

const read = name => fs.readFileSync(path.join(root, name), 'utf8');
const table = JSON.parse(read('models.json')).models;
let gateway, served;

before(async () => {
	gateway = await startGateway();
	served = json(await exchange(`${gateway.url}/v1/models`)).data;
});

after(() => gateway?.stop());

const million = price => String(Number((Number(price) * 1e6).toPrecision(12)));

test('/v1/models is the table, and echo', () => {
	assert.deepEqual(served.map(m => [m.id, m.provider, m.pricing]).slice(1), table.map(m => [m.name, m.provider,
		m.kind === 'image_endpoint' ? { input: '0', output: '0', per_image: m.per_image_usd }
			: { input: m.input_usd_per_token, output: m.output_usd_per_token }]));
	assert.equal(served[0].id, 'echo');
});

test("the README's table is the table", () => {
	const rows = read('README.md').split('\n').filter(line => /^\| `[^`]+`.* \| (openai|anthropic|google|x-ai|bytedance|nous) \|/.test(line))
		.map(line => line.split('|').slice(1, -1).map(cell => cell.trim()));
	assert.deepEqual(rows, table.map(m => [[m.name, ...(m.aliases ?? [])].map(name => `\`${name}\``).join(', '), m.provider,
		...m.kind === 'image_endpoint' ? ['', `${m.per_image_usd} a picture`] : [million(m.input_usd_per_token), million(m.output_usd_per_token)],
		m.retired ?? '']));
});

test('openapi.yaml describes every entry', () => {
	const { Model } = parse(read('openapi.yaml')).components.schemas;
	assert.deepEqual([...new Set(served.map(m => m.provider))].sort(), [...Model.properties.provider.enum].sort());
	for (const model of served) {
		for (const name of Model.required)
			assert.ok(name in model, `${model.id}: ${name}`);
		for (const name of Object.keys(model))
			assert.ok(name in Model.properties, `${model.id}: ${name}`);
	}
});
