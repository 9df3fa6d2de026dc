// A reader of what attestation documents consist of (RFC 8949), independent of the gateway's own.
export function decode(bytes) {
	let at = 0;
	const take = n => {
		if (bytes.length - at < n)
			throw new Error('cut short');
		return bytes.subarray(at, at += n);
	};
	const number = info => {
		if (info < 24)
			return info;
		if (info > 27)
			throw new Error(`additional information ${info}`);
		return Number(BigInt(`0x${take(1 << (info - 24)).toString('hex')}`));
	};
	const many = (info, one) => {
		const out = [];
		if (info === 31) {
			while (bytes[at] !== 0xff)
				out.push(one());
			at++;
		} else {
			for (let n = number(info); n > 0; n--)
				out.push(one());
		}
		return out;
	};
	const item = () => {
		const [head] = take(1);
		const info = head & 31;
		switch (head >> 5) {
		case 0: return number(info);
		case 1: return -1 - number(info);
		case 2: return Buffer.from(take(number(info)));
		case 3: return take(number(info)).toString();
		case 4: return many(info, item);
		case 5: return Object.fromEntries(many(info, () => [item(), item()]));
		default:
			if (head === 0xf6)
				return null;
			throw new Error(`head ${head}`);
		}
	};
	const value = item();
	if (at !== bytes.length)
		throw new Error('bytes behind the item');
	return value;
}
