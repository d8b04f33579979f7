/* SPDX-License-Identifier: ISC */
/* What a reader may choose for this browser, and the sheet to choose it on. */
import { $, el } from "./dom.js";
import { load, save } from "./store.js";
import { loadWords, t, wordsLanguage, wordsLanguages } from "./words.js";

const choices = [
	{ name: "theme", word: "theme", values: ["system", "light", "dark"] },
	{ name: "tab", word: "tabkey", values: ["indents", "moves"] },
	{ name: "editor", word: "editor", values: ["rich", "plain"] },
];
const switches = [
	{ name: "wrap", word: "wrap", otherwise: true },
	{ name: "history", word: "history.keep", otherwise: true },
];

export const settings = { key: "" };
const listeners = [];

export const onSetting = (listener) => listeners.push(listener);

export function loadSettings() {
	const kept = load("settings", {}) || {};
	for (const { name, values } of choices)
		settings[name] = values.includes(kept[name]) ? kept[name] : values[0];
	for (const { name, otherwise } of switches)
		settings[name] = typeof kept[name] === "boolean" ? kept[name] : otherwise;
	settings.words = typeof kept.words === "string" ? kept.words : "";
	try {
		settings.key = sessionStorage.getItem("sandpool.key") || "";
	} catch { /* no storage, no key */ }
	show();
}

function show() {
	const root = document.documentElement;
	if (settings.theme === "system")
		delete root.dataset.theme;
	else
		root.dataset.theme = settings.theme;
	root.classList.toggle("wrap", settings.wrap);
}

export function change(name, value) {
	settings[name] = value;
	if (name === "key") {
		try {
			sessionStorage.setItem("sandpool.key", value);
		} catch { /* kept for this page only */ }
	} else {
		save("settings", Object.fromEntries([...choices, ...switches, { name: "words" }]
			.map((one) => [one.name, settings[one.name]])));
	}
	show();
	drawSettings();
	for (const listener of listeners)
		listener(name, value);
}

function choice({ name, word, values }) {
	return el("fieldset", {}, el("legend", {}, t(word)), el("div.choices", {}, ...values.map((value) =>
		el("label", {}, el("input", {
			type: "radio", name: `set-${name}`, value, checked: settings[name] === value,
			onchange: () => change(name, value),
		}), t(`${word}.${value}`)))));
}

function wordsChoice() {
	const all = wordsLanguages();
	if (all.length < 2)
		return null;
	return el("fieldset", {}, el("legend", {}, t("words")), el("div.choices", {}, ...all.map(({ id, name }) =>
		el("label", { lang: id }, el("input", {
			type: "radio", name: "set-words", value: id, checked: wordsLanguage() === id,
			onchange: async () => {
				await loadWords(id);
				change("words", id);
			},
		}), name))));
}

export const modifier = () => /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

export function drawSettings() {
	const focused = document.activeElement?.closest?.("#settings-sheet") ? document.activeElement : null;
	const [name, value] = focused ? [focused.name, focused.value] : [];
	const sheet = $("settings-sheet");
	sheet.replaceChildren(...choices.map(choice),
		el("fieldset", {}, ...switches.map((one) => el("label", {}, el("input", {
			type: "checkbox", name: `set-${one.name}`, checked: settings[one.name],
			onchange: (event) => change(one.name, event.target.checked),
		}), t(one.word)))),
		...[wordsChoice()].filter(Boolean),
		el("form", { onsubmit: (event) => event.preventDefault() }, el("fieldset", {},
			el("legend", {}, el("label", { for: "api-key" }, t("key"))),
			el("input", {
				type: "password", id: "api-key", value: settings.key, autocomplete: "off",
				"aria-describedby": "api-key-hint", onchange: (event) => change("key", event.target.value.trim()),
			}),
			el("p.hint", { id: "api-key-hint" }, t("key.hint")))),
		el("p.hint", {}, t("shortcuts", { run: `${modifier()}+Enter`, tests: `${modifier()}+Shift+Enter` })));
	if (name)
		[...sheet.querySelectorAll("input")].find((one) => one.name === name
			&& (one.type !== "radio" || one.value === value))?.focus();
}
