/* SPDX-License-Identifier: ISC */
/* Bytes and the ways to write them. A field of the form is {text, encoding}. */

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const utf8 = (text) => encoder.encode(text);

/* The text, or null where the bytes are not UTF-8. */
export function fromUtf8(bytes) {
	try {
		return strict.decode(bytes);
	} catch {
		return null;
	}
}

export function toBase64(bytes) {
	let binary = "";
	for (let i = 0; i < bytes.length; i += 8192)
		binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(binary);
}

export function fromBase64(text) {
	const binary = atob(text);
	const bytes = new Uint8Array(binary.length);
	for (let i = 0; i < binary.length; i++)
		bytes[i] = binary.charCodeAt(i);
	return bytes;
}

export function concat(parts) {
	const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
	let at = 0;
	for (const part of parts) {
		all.set(part, at);
		at += part.length;
	}
	return all;
}

export class BadText extends Error {
	constructor(word, values) {
		super(word);
		this.word = word;
		this.values = values;
	}
}

function fromHexText(text) {
	const digits = text.replace(/\s+/g, "");
	if (digits.length % 2 || /[^0-9a-f]/i.test(digits))
		throw new BadText("encoding.bad.hex");
	const bytes = new Uint8Array(digits.length / 2);
	for (let i = 0; i < bytes.length; i++)
		bytes[i] = parseInt(digits.substr(2 * i, 2), 16);
	return bytes;
}

function fromLatin1Text(text) {
	const bytes = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i++) {
		const code = text.charCodeAt(i);
		if (code > 255)
			throw new BadText("encoding.bad.latin1",
				{ char: String.fromCodePoint(text.codePointAt(i)) });
		bytes[i] = code;
	}
	return bytes;
}

function toLatin1Text(bytes) {
	let text = "";
	for (let i = 0; i < bytes.length; i += 8192)
		text += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return text;
}

function toHexText(bytes) {
	const lines = [];
	for (let i = 0; i < bytes.length; i += 16)
		lines.push([...bytes.subarray(i, i + 16)]
			.map((byte) => byte.toString(16).padStart(2, "0")).join(" "));
	return lines.join("\n");
}

export const encodings = new Map([
	["utf8", { read: utf8, write: fromUtf8 }],
	["latin1", { read: fromLatin1Text, write: toLatin1Text }],
	["hex", { read: fromHexText, write: toHexText }],
]);

/* Throws BadText where the text is not what its encoding says. */
export const fieldBytes = ({ text, encoding }) => encodings.get(encoding).read(text);

/* A text field turns every kind of line end into LF: bytes with a CR cannot be text in one. */
export function writeAs(bytes, encoding) {
	const text = encodings.get(encoding).write(bytes);
	return text === null || text.includes("\r") ? null : text;
}

/* How a byte field of a JSON request is sent. */
export function jsonBytes(bytes) {
	const text = fromUtf8(bytes);
	return text === null ? { base64: toBase64(bytes) } : text;
}

export function characters(text) {
	let count = text.length;
	for (const pair of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g))
		count -= pair.length;
	return count;
}

export function sizeText(bytes) {
	if (bytes < 1000)
		return `${bytes} B`;
	if (bytes < 1e6)
		return `${(bytes / 1000).toPrecision(3)} kB`;
	return `${(bytes / 1e6).toPrecision(3)} MB`;
}

export function memoryText(bytes) {
	if (bytes < 1048576)
		return `${Math.round(bytes / 1024)} KiB`;
	return `${(bytes / 1048576).toPrecision(3)} MiB`;
}

export function timeText(ms) {
	if (ms < 1)
		return `${Math.round(ms * 1000)} µs`;
	if (ms < 1000)
		return `${Number(ms.toPrecision(3))} ms`;
	return `${(ms / 1000).toFixed(2)} s`;
}
