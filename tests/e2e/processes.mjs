// The gateway's processes, seen from outside through /proc.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';

// The children in order of birth: the key holder is the first for life, the worker the last.
export function children(pid) {
	const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
	return text === '' ? [] : text.split(' ').map(Number);
}

export function processes(gateway) {
	const [keyholder, worker] = children(gateway.pid);
	return { supervisor: gateway.pid, keyholder, worker };
}

export async function until(what, condition, ms = 10_000) {
	for (const deadline = Date.now() + ms; !await condition();) {
		assert.ok(Date.now() < deadline, what);
		await new Promise(ok => setTimeout(ok, 5));
	}
}

export function alive(pid) {
	try {
		return !/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
	} catch {
		return false;
	}
}

export const asRoot = { skip: process.getuid() !== 0 };

export function status(pid) {
	const fields = fs.readFileSync(`/proc/${pid}/status`, 'utf8').split('\n').map(line => line.split(/:\s*/));
	return Object.fromEntries(fields);
}

export function sanitized(pid) {
	return /lib[atu]\w*san\.so/.test(fs.readFileSync(`/proc/${pid}/maps`, 'utf8'));
}

/*
 * Every mapping that can be read, as one Buffer each; needs root. Reads what the kernel reads for
 * process_vm_readv(2). Pages that are guarded or were never there end a mapping early.
 */
export function* memory(pid) {
	const file = fs.openSync(`/proc/${pid}/mem`, 'r');
	try {
		for (const line of fs.readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
			const map = line.match(/^([0-9a-f]+)-([0-9a-f]+) r.*?(\[\w+\])?$/);
			if (map === null || map[3] === '[vsyscall]' || map[3] === '[vvar]')
				continue;
			const [from, to] = [Number.parseInt(map[1], 16), Number.parseInt(map[2], 16)];
			if (to - from > 256 << 20)
				continue; // reserved by a sanitizer
			const block = Buffer.alloc(to - from);
			let n = 0;
			try {
				for (let got; n < block.length; n += got)
					if ((got = fs.readSync(file, block, n, block.length - n, from + n)) === 0)
						break;
			} catch {
				// guard pages: what came before them counts
			}
			yield block.subarray(0, n);
		}
	} finally {
		fs.closeSync(file);
	}
}

export function memoryHas(pid, bytes) {
	for (const block of memory(pid))
		if (block.includes(bytes))
			return true;
	return false;
}

export const WORD = 8; // numbers in memory begin at multiples of it
// As OpenSSL's numbers lie in memory on the machines we run on: little-endian.
export const number = bytes => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);

// Scalars of a curve whose public point satisfies `isIt`; windows that hold small numbers are passed over.
export function findScalar(pid, curve, isIt) {
	const ecdh = crypto.createECDH(curve), bytes = 32, seen = new Set();
	for (const block of memory(pid))
		for (let at = 0; at + bytes <= block.length; at += WORD) {
			const window = block.subarray(at, at + bytes);
			// Random words have bits everywhere; pointers, text and counters have not.
			if (block[at + 7] === 0 || block[at + 15] === 0 || block[at + 23] === 0 ||
				new Set(window).size < 20)
				continue;
			const scalar = Buffer.from(window).reverse(), name = scalar.toString('latin1');
			if (seen.has(name))
				continue;
			seen.add(name);
			try {
				ecdh.setPrivateKey(scalar);
			} catch {
				continue; // not below the order
			}
			if (isIt(ecdh.getPublicKey()))
				return number(window);
		}
	return null;
}
