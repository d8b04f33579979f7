/* SPDX-License-Identifier: ISC */
/*
 * Pictures that a program prints. Known by their first bytes; shown only through an img
 * element, where an SVG runs no script and loads nothing.
 */

const blobUrl = (type) => async (bytes) => {
	const url = URL.createObjectURL(new Blob([bytes], { type }));
	setTimeout(() => URL.revokeObjectURL(url), 60000);
	return url;
};

const starts = (...signature) => (bytes) => signature.every((byte, i) => byte === null || bytes[i] === byte);

/* Portable anymaps have no support in browsers: drawn here. P1…P3 are words, P4…P6 bytes. */
async function anymapUrl(bytes) {
	const kind = bytes[1] - 0x30;
	let at = 2;
	const space = (byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
	function number(digits) {
		for (; at < bytes.length; at++) {
			if (bytes[at] === 0x23)
				while (at < bytes.length && bytes[at] !== 0x0a)
					at++;
			else if (!space(bytes[at]))
				break;
		}
		let value = 0, count = 0;
		for (; at < bytes.length && bytes[at] >= 0x30 && bytes[at] <= 0x39 && count < digits; at++, count++)
			value = value * 10 + bytes[at] - 0x30;
		if (!count)
			throw new Error("anymap");
		return value;
	}
	const width = number(9), height = number(9);
	const most = kind === 1 || kind === 4 ? 1 : number(9);
	if (!width || !height || !most || most > 65535 || width * height > 16e6)
		throw new Error("anymap");
	at++;
	const pixels = new Uint8ClampedArray(width * height * 4);
	const channels = kind === 3 || kind === 6 ? 3 : 1;
	const wide = most > 255 ? 2 : 1;
	const words = kind <= 3;
	if (words)
		at--;
	const need = kind === 4 ? Math.ceil(width / 8) * height : width * height * channels * wide;
	if (!words && bytes.length - at < need)
		throw new Error("anymap");

	function sample(x, y) {
		if (kind === 4)
			return bytes[at + y * Math.ceil(width / 8) + (x >> 3)] >> (7 - (x & 7)) & 1 ? 0 : 255;
		if (kind === 1)
			return number(1) ? 0 : 255;
		if (words)
			return number(9) * 255 / most;
		const value = wide === 2 ? bytes[at] * 256 + bytes[at + 1] : bytes[at];
		at += wide;
		return value * 255 / most;
	}
	for (let y = 0, p = 0; y < height; y++)
		for (let x = 0; x < width; x++, p += 4) {
			pixels[p] = sample(x, y);
			pixels[p + 1] = channels === 3 ? sample(x, y) : pixels[p];
			pixels[p + 2] = channels === 3 ? sample(x, y) : pixels[p];
			pixels[p + 3] = 255;
		}
	const canvas = document.createElement("canvas");
	canvas.width = width;
	canvas.height = height;
	canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
	return canvas.toDataURL("image/png");
}

const png = starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const webp = starts(0x52, 0x49, 0x46, 0x46, null, null, null, null, 0x57, 0x45, 0x42, 0x50);
const avif = starts(null, null, null, null, 0x66, 0x74, 0x79, 0x70, 0x61, 0x76, 0x69, 0x66);
const bmp = starts(0x42, 0x4d, null, null, null, null, 0, 0, 0, 0);
const svg = /^\s*(<\?xml[^>]*>\s*)?(<!--[^]*?-->\s*|<!doctype svg[^>]*>\s*)*<svg[\s>]/i;

const isAnymap = (bytes) => bytes[0] === 0x50 && bytes[1] >= 0x31 && bytes[1] <= 0x36
	&& (bytes[2] <= 0x20 || bytes[2] === 0x23);
const isSvg = (bytes) => svg.test(new TextDecoder().decode(bytes.subarray(0, 1024)));

const kinds = [
	{ extension: "png", test: png, url: blobUrl("image/png") },
	{ extension: "jpg", test: starts(0xff, 0xd8, 0xff), url: blobUrl("image/jpeg") },
	{ extension: "gif", test: starts(0x47, 0x49, 0x46, 0x38), url: blobUrl("image/gif") },
	{ extension: "webp", test: webp, url: blobUrl("image/webp") },
	{ extension: "avif", test: avif, url: blobUrl("image/avif") },
	{ extension: "bmp", test: bmp, url: blobUrl("image/bmp") },
	{ extension: "pnm", test: isAnymap, url: anymapUrl },
	{ extension: "svg", test: isSvg, url: blobUrl("image/svg+xml") },
];

export const pictureOf = (bytes) => kinds.find((kind) => kind.test(bytes)) || null;
