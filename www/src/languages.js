/* SPDX-License-Identifier: ISC */
/* The languages that the server has, as it lists them. Keys are never property names. */

const byId = new Map();
const byAlias = new Map();
let all = [];

const text = (value) => typeof value === "string" ? value : "";

/* A byte field of the list: a string, or {base64}. */
function bytesText(value) {
	if (typeof value === "string")
		return value;
	if (value && typeof value.base64 === "string")
		try {
			return new TextDecoder().decode(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)));
		} catch { /* then there is none */ }
	return "";
}

function read(entry) {
	if (typeof entry !== "object" || entry === null || !text(entry.id))
		return null;
	const example = typeof entry.example === "object" && entry.example !== null ? entry.example : {};
	return {
		id: entry.id,
		name: text(entry.name) || entry.id,
		version: text(entry.version),
		aliases: Array.isArray(entry.aliases) ? entry.aliases.filter((one) => text(one)) : [],
		mode: text(entry.editor),
		extension: text(entry.extension),
		example: { code: bytesText(example.code), input: bytesText(example.input) },
	};
}

export async function loadLanguages() {
	const answer = await fetch("api/languages", { headers: { Accept: "application/json" } });
	if (!answer.ok)
		throw new Error(`languages: ${answer.status}`);
	const list = await answer.json();
	all = (Array.isArray(list) ? list : []).map(read).filter(Boolean)
		.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true, sensitivity: "base" }));
	byId.clear();
	byAlias.clear();
	for (const language of all) {
		byId.set(language.id, language);
		for (const alias of language.aliases)
			byAlias.set(alias, language);
	}
	return all;
}

export const languages = () => all;
export const findLanguage = (id) => byId.get(id) || byAlias.get(id) || null;

/* Those that fit what was typed, the best first. */
export function search(query) {
	const wanted = query.trim().toLowerCase();
	if (!wanted)
		return all;
	const found = [];
	for (const language of all) {
		const names = [language.id, language.name, ...language.aliases].map((one) => one.toLowerCase());
		const rank = names.includes(wanted) ? 0
			: names.some((one) => one.startsWith(wanted)) ? 1
			: names.some((one) => one.includes(wanted)) ? 2 : 3;
		if (rank < 3)
			found.push([rank, language]);
	}
	return found.sort((a, b) => a[0] - b[0]).map(([, language]) => language);
}
