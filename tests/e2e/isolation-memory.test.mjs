// K2, K4: where private keys are, searched for in the memory of the three processes.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { test } from 'node:test';
import { json, post, startGateway } from './gateway.mjs';
import { asRoot, findScalar, memory, memoryHas, number, processes, sanitized, WORD } from './processes.mjs';
import { keccak, readIdentity } from './receipts-check.mjs';

// Little-endian bytes, as OpenSSL's numbers lie in memory on the machines we run on.
const littleEndian = (n, length) =>
	Buffer.from(n.toString(16).padStart(2 * length, '0'), 'hex').reverse();

// Both orders: a number may lie there as limbs or as an encoding has it.
const spellings = (n, length) => [littleEndian(n, length), littleEndian(n, length).reverse()];

function inverse(a, m) {
	let [r, next, x, then] = [m, a % m, 0n, 1n];
	for (; next !== 0n;) {
		const q = r / next;
		[r, next] = [next, r - q * next];
		[x, then] = [then, x - q * then];
	}
	return ((x % m) + m) % m;
}

// A prime factor of the public modulus, if it lies anywhere in that memory.
function findPrime(pid, modulus) {
	const bytes = 128;
	for (const block of memory(pid))
		for (let at = 0; at + bytes <= block.length; at += WORD) {
			// A factor of 1024 bits has its highest bit, and is odd.
			if (block[at + bytes - 1] < 0x80 || (block[at] & 1) === 0)
				continue;
			const p = number(block.subarray(at, at + bytes));
			if (modulus % p === 0n)
				return p;
		}
	return null;
}

const base64url = text => BigInt(`0x${Buffer.from(text, 'base64url').toString('hex')}`);

test('K2: signing, receipt and wallet key are in the key holder, and in no other process', asRoot, async t => {
	const gateway = await startGateway({ loops: 1 });
	try {
		if (sanitized(gateway.pid)) {
			t.skip('a sanitizer\'s build: gigabytes are mapped');
			return;
		}
		const identity = await readIdentity(gateway);
		// It has signed, and whatever that copies is there.
		const body = { model: 'echo', messages: [{ role: 'user', content: 'copy it' }] };
		for (let i = 0; i < 20; i++)
			assert.match(json(await post(`${gateway.url}/v1/chat/completions`, body)).tee_signature, /./);

		const { keyholder, worker, supervisor } = processes(gateway);
		const modulus = base64url(identity.rsa.export({ format: 'jwk' }).n);
		const p = findPrime(keyholder, modulus);
		assert.notEqual(p, null, 'the search finds the RSA key where it is');
		const q = modulus / p, d = inverse(65537n, (p - 1n) * (q - 1n));

		const wanted = Buffer.concat([Buffer.from([4]), Buffer.from(identity.jwk.x, 'base64url'),
			Buffer.from(identity.jwk.y, 'base64url')]);
		const receipt = findScalar(keyholder, 'prime256v1', point => point.equals(wanted));
		assert.notEqual(receipt, null, 'the search finds the receipt key where it is');

		const address = identity.signing.wallet_address.slice(2).toLowerCase();
		const wallet = findScalar(keyholder, 'secp256k1', point =>
			keccak(point.subarray(1)).subarray(12).toString('hex') === address);
		assert.notEqual(wallet, null, 'the search finds the wallet key where it is');

		const secrets = {
			'RSA p': spellings(p, 128), 'RSA q': spellings(q, 128), 'RSA d': spellings(d, 256),
			'RSA d mod p-1': spellings(d % (p - 1n), 128), 'RSA d mod q-1': spellings(d % (q - 1n), 128),
			'receipt key': spellings(receipt, 32), 'wallet key': spellings(wallet, 32),
		};
		for (const [name, forms] of Object.entries(secrets))
			for (const pid of [worker, supervisor])
				for (const form of forms)
					assert.ok(!memoryHas(pid, form), `${name} in process ${pid}`);
		assert.equal(findPrime(worker, modulus), null);

		// The worker's memory can be searched: the TLS key is in it, as the threat model says.
		const tls = new crypto.X509Certificate(await gateway.certificate()).publicKey.export({ format: 'jwk' });
		const tlsPoint = Buffer.concat([Buffer.from([4]), Buffer.from(tls.x, 'base64url'),
			Buffer.from(tls.y, 'base64url')]);
		assert.notEqual(findScalar(worker, 'prime256v1', point => point.equals(tlsPoint)), null,
			'the search finds the TLS key in the worker');
	} finally {
		await gateway.stop();
	}
});
