/* SPDX-License-Identifier: ISC */
/* The language picker: a search field over a list, all of it by keyboard. */
import { $, el } from "./dom.js";
import { findLanguage, languages, search } from "./languages.js";
import { load, save } from "./store.js";
import { t } from "./words.js";

const RECENT = 4;
let choose = () => {};
let shown = [];
let active = 0;

function recent() {
	const kept = load("recent", []);
	return (Array.isArray(kept) ? kept : []).map((id) => findLanguage(id)).filter(Boolean).slice(0, RECENT);
}

export function remember(id) {
	const kept = load("recent", []);
	save("recent", [id, ...(Array.isArray(kept) ? kept : []).filter((one) => one !== id)].slice(0, RECENT));
}

export const lastUsed = () => recent()[0] || null;

function option(language, i) {
	return el("li", { role: "option", id: `option-${i}`, "aria-selected": "false", onclick: () => pick(language) },
		el("span", {}, language.name), el("span.version", {}, language.version || language.id));
}

function draw() {
	const query = $("picker-search").value;
	const lately = query.trim() ? [] : recent();
	shown = [...lately, ...search(query)];
	const nodes = shown.map(option);
	if (lately.length) {
		nodes.splice(lately.length, 0, el("li.group", { role: "presentation" }, t("languages.all")));
		nodes.unshift(el("li.group", { role: "presentation" }, t("picker.recent")));
	}
	$("picker-list").replaceChildren(...nodes);
	const n = shown.length - lately.length;
	$("picker-count").textContent = n === 0 ? t("picker.none") : n === 1 ? t("picker.one") : t("picker.count", { n });
	move(0);
}

function move(to) {
	$(`option-${active}`)?.setAttribute("aria-selected", "false");
	active = Math.max(0, Math.min(shown.length - 1, to));
	const node = $(`option-${active}`);
	if (node) {
		node.setAttribute("aria-selected", "true");
		node.scrollIntoView({ block: "nearest" });
		$("picker-search").setAttribute("aria-activedescendant", node.id);
	} else {
		$("picker-search").removeAttribute("aria-activedescendant");
	}
}

function pick(language) {
	$("picker").close();
	choose(language);
}

const KEYS = new Map([
	["ArrowDown", () => move(active + 1)],
	["ArrowUp", () => move(active - 1)],
	["PageDown", () => move(active + 8)],
	["PageUp", () => move(active - 8)],
	["Enter", () => shown[active] && pick(shown[active])],
]);

export function showLanguage(language, id) {
	const button = $("language-button");
	const name = language ? language.name : id;
	button.replaceChildren(el("span.vh", {}, t("picker.button")), el("span", {}, name),
		el("span.version", {}, language ? language.version : ""));
}

function openPicker() {
	$("picker-search").value = "";
	draw();
	$("picker").showModal();
	$("picker-search").focus();
	const box = $("language-button").getBoundingClientRect();
	$("picker").style.left = `${Math.max(12, Math.min(box.left, innerWidth - $("picker").offsetWidth - 12))}px`;
}

export function startPicker(onChoose) {
	choose = onChoose;
	$("language").hidden = true;
	$("language-button").hidden = false;
	if (!languages().length)
		return;
	$("language-button").addEventListener("click", openPicker);
	$("picker-close").addEventListener("click", () => $("picker").close());
	$("picker-search").addEventListener("input", draw);
	$("picker-search").addEventListener("keydown", (event) => {
		const work = KEYS.get(event.key);
		if (!work)
			return;
		event.preventDefault();
		work();
	});
	$("picker").addEventListener("click", (event) => {
		if (event.target === $("picker"))
			$("picker").close();
	});
	$("picker").addEventListener("close", () => $("language-button").focus());
}
