/* SPDX-License-Identifier: ISC */
/*
 * A whole page in the part of an address that no server sees: JSON, raw deflate, base64url.
 * The first character says which: 1 is deflated, 0 is not (a browser that cannot compress).
 */
import { BadText, concat, encodings, fieldBytes, fromBase64, fromUtf8, toBase64, utf8 } from "./bytes.js";

/* Beyond this, browsers and what people paste links into begin to cut. */
export const MAX_LINK = 200000;
/* A short link must not unfold into something that fills the memory. */
const MAX_UNFOLDED = 8 << 20;

const toUrl = (bytes) => toBase64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const fromUrl = (text) => fromBase64(text.replace(/-/g, "+").replace(/_/g, "/"));

async function through(bytes, transform, most) {
	const reader = new Blob([bytes]).stream().pipeThrough(transform).getReader();
	const parts = [];
	let size = 0;
	for (;;) {
		const { done, value } = await reader.read();
		if (done)
			return concat(parts);
		size += value.length;
		if (size > most) {
			await reader.cancel();
			throw new Error("too long");
		}
		parts.push(value);
	}
}

export const canCompress = () => typeof CompressionStream === "function";

/* Short names, because they stand in every link. */
const BYTES = [["c", "code"], ["i", "input"]];
const TEXTS = [["l", "language"], ["h", "header"], ["f", "footer"], ["a", "arguments"], ["o", "options"],
	["w", "wall"], ["m", "memory"], ["k", "collect"], ["p", "compare"]];
const TEST = [["n", "name"], ["i", "input"], ["a", "arguments"], ["x", "expected"]];

function pack(state) {
	const packed = {};
	for (const [short, name] of TEXTS)
		if (state[name])
			packed[short] = state[name];
	for (const [short, name] of BYTES) {
		const { text, encoding } = state[name];
		if (encoding !== "utf8")
			packed[short] = [encoding, text];
		else if (text)
			packed[short] = text;
	}
	if (state.tests.length)
		packed.t = state.tests.map((test) => Object.fromEntries(TEST
			.filter(([, name]) => test[name]).map(([short, name]) => [short, test[name]])));
	return packed;
}

const own = (object, name) => Object.hasOwn(object, name) ? object[name] : undefined;
const text = (value) => typeof value === "string" ? value : "";
const isMap = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/* A field of the page would turn a CR into LF: such text is shown as the bytes that it is. */
function fit(field) {
	if (!field.text.includes("\r") || field.encoding === "hex")
		return field;
	try {
		return { text: encodings.get("hex").write(fieldBytes(field)), encoding: "hex" };
	} catch (error) {
		if (error instanceof BadText)
			return field;
		throw error;
	}
}

function unpack(packed) {
	if (!isMap(packed))
		throw new Error("not a link of ours");
	const state = { tests: [] };
	for (const [short, name] of TEXTS)
		state[name] = text(own(packed, short));
	for (const [short, name] of BYTES) {
		const value = own(packed, short);
		state[name] = fit(Array.isArray(value)
			? { text: text(value[1]), encoding: ["latin1", "hex"].includes(value[0]) ? value[0] : "utf8" }
			: { text: text(value), encoding: "utf8" });
	}
	const tests = own(packed, "t");
	if (Array.isArray(tests))
		for (const test of tests.slice(0, 64).filter(isMap))
			state.tests.push(Object.fromEntries(TEST.map(([short, name]) => [name, text(own(test, short))])));
	return state;
}

export async function toLink(state) {
	const plain = utf8(JSON.stringify(pack(state)));
	if (!canCompress())
		return `0${toUrl(plain)}`;
	return `1${toUrl(await through(plain, new CompressionStream("deflate-raw"), Infinity))}`;
}

export async function fromLink(link) {
	let bytes = fromUrl(link.slice(1));
	if (link[0] === "1") {
		if (typeof DecompressionStream !== "function")
			throw Object.assign(new Error("cannot decompress"), { word: "share.cannot" });
		bytes = await through(bytes, new DecompressionStream("deflate-raw"), MAX_UNFOLDED);
	} else if (link[0] !== "0") {
		throw new Error("unknown kind of link");
	}
	return unpack(JSON.parse(fromUtf8(bytes)));
}
