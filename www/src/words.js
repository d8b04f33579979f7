/* SPDX-License-Identifier: ISC */
/*
 * The words of the interface. English comes with the script; another language is fetched
 * when the reader prefers it. Words reach the page as text only.
 */
import english from "../lang/en.txt";
import languages from "languages-of-the-page";

function parseWords(text) {
	const words = new Map();
	for (const line of text.split("\n")) {
		const at = line.indexOf("=");
		if (line.startsWith("#") || at < 1)
			continue;
		words.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
	}
	return words;
}

const fallback = parseWords(english);
let words = fallback;
let current = "en";

export function t(key, values) {
	const text = words.get(key) ?? fallback.get(key) ?? key;
	if (!values)
		return text;
	return text.replace(/\{(\w+)\}/g, (all, name) =>
		Object.hasOwn(values, name) ? String(values[name]) : all);
}

export const has = (key) => fallback.has(key);
export const wordsLanguage = () => current;
export const wordsLanguages = () => languages;

function apply(root) {
	for (const node of root.querySelectorAll("[data-t]"))
		node.textContent = t(node.dataset.t);
	for (const name of ["title", "placeholder", "aria-label"])
		for (const node of root.querySelectorAll(`[data-t-${name}]`))
			node.setAttribute(name, t(node.getAttribute(`data-t-${name}`)));
}

function preferred(chosen) {
	for (const tag of [chosen, ...(navigator.languages || [])])
		for (const one of languages)
			if (tag && tag.toLowerCase().split("-")[0] === one.id)
				return one.id;
	return "en";
}

export async function loadWords(chosen) {
	const id = preferred(chosen);
	if (id !== current) {
		try {
			const answer = await fetch(`lang/${id}.txt`);
			if (!answer.ok)
				return;
			words = parseWords(await answer.text());
		} catch {
			return;
		}
		current = id;
		document.documentElement.lang = id;
		apply(document);
		document.title = t("title");
	}
}
