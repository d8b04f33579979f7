/* SPDX-License-Identifier: ISC */
/* The runs of this browser, newest first. Each is a link, so one opens without a server. */
import { $, el, say } from "./dom.js";
import { chip } from "./result.js";
import { load, save } from "./store.js";
import { settings } from "./settings.js";
import { t } from "./words.js";

const MAX_RUNS = 40;
const MAX_CHARS = 20000;
let open = () => {};

function kept() {
	const list = load("history", []);
	return (Array.isArray(list) ? list : []).filter((one) => one && typeof one.link === "string");
}

export function addRun(link, name, code, status) {
	if (!settings.history || link.length > MAX_CHARS)
		return;
	const first = code.trim().split("\n", 1)[0].slice(0, 80);
	const list = [{ link, name, first, status, at: Date.now() }, ...kept().filter((one) => one.link !== link)];
	/* A full store takes a shorter list. */
	for (let n = MAX_RUNS; n > 0 && !save("history", list.slice(0, n)); n >>= 1)
		;
}

export function drawHistory() {
	const list = kept();
	$("history-list").replaceChildren(...list.map((one) => el("li", {}, el("button", {
		type: "button",
		title: new Date(Number(one.at) || 0).toLocaleString(),
		onclick: () => open(one.link),
	}, chip(String(one.status)), el("span", {}, String(one.name)), el("span.what", {}, String(one.first))))));
	$("history-empty").hidden = list.length > 0;
	$("history-clear").hidden = list.length === 0;
}

export function startHistory(onOpen) {
	open = onOpen;
	$("history-clear").addEventListener("click", () => {
		save("history", []);
		drawHistory();
		$("history").querySelector("summary").focus();
		say(t("history.cleared"));
	});
	$("history").addEventListener("toggle", drawHistory);
}
