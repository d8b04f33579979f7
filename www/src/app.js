/* SPDX-License-Identifier: ISC */
/* The page: what stands in the form, what happens to it, and what is shown of it. */
import { $, debounce, el, flash, notice, say, copyText } from "./dom.js";
import { BadText, characters, encodings, fieldBytes, writeAs } from "./bytes.js";
import { MAX_LINK, canCompress, fromLink, toLink } from "./link.js";
import { findLanguage, languages, loadLanguages } from "./languages.js";
import { lastUsed, remember, showLanguage, startPicker } from "./picker.js";
import { change, drawSettings, loadSettings, modifier, onSetting, settings } from "./settings.js";
import { addRun, drawHistory, startHistory } from "./history.js";
import { clearResults, getTests, setTests, showTest, startTests } from "./tests.js";
import { curl, golf, markdown } from "./share.js";
import { loadWords, t } from "./words.js";
import { makeRequest } from "./request.js";
import { Result } from "./result.js";
import { RunError, run } from "./run.js";

const PLAIN_FIELDS = ["header", "footer", "arguments", "options", "wall", "memory", "collect"];
const FIELDS = new Map([["language", "language"], ["code", "code"], ["input", "input"], ["stdin", "input"],
	["arguments", "arguments"], ["args", "arguments"], ["options", "options"], ["collect", "collect"],
	["timeout", "wall"], ["limits.wall_ms", "wall"], ["limits.memory_bytes", "memory"]]);

let editor = null;
let language = null;
let example = "";
let running = null;
let lastLink = "";
let lastResult = null;
let codeEncoding = "utf8";
let inputEncoding = "utf8";

/* The form, read and written as one value */

const codeText = () => editor ? editor.text : $("code").value;

function setCode(text) {
	$("code").value = text;
	if (editor)
		editor.text = text;
}

function readState() {
	return {
		language: language ? language.id : $("language").value.trim(),
		code: { text: codeText(), encoding: codeEncoding },
		input: { text: $("input").value, encoding: inputEncoding },
		...Object.fromEntries(PLAIN_FIELDS.map((name) => [name, $(name).value])),
		compare: $("compare").value === "trailing-space" ? "" : $("compare").value,
		tests: getTests(),
	};
}

function writeState(state) {
	setLanguage(state.language, false);
	codeEncoding = $("code-encoding").value = state.code.encoding;
	inputEncoding = $("input-encoding").value = state.input.encoding;
	setCode(state.code.text);
	$("input").value = state.input.text;
	for (const name of PLAIN_FIELDS)
		$(name).value = state[name];
	$("compare").value = state.compare || "trailing-space";
	if (!$("compare").value)
		$("compare").value = "trailing-space";
	setTests(state.tests);
	for (const name of ["header", "footer"])
		$(`${name}-fold`).open = state[name] !== "";
	clearErrors();
	count();
	dots();
	mode();
}

/* The language */

function setLanguage(id, withExample) {
	const before = language;
	language = findLanguage(id);
	$("language").value = language ? language.id : id;
	showLanguage(language, id);
	if (withExample && language && language !== before && isUntouched())
		useExample();
	mode();
}

const isUntouched = () => codeEncoding === "utf8" && (codeText().trim() === "" || codeText() === example);

function useExample() {
	if (!language || !language.example.code)
		return;
	codeEncoding = $("code-encoding").value = "utf8";
	setCode(language.example.code);
	/* As the field gives it back: line ends may have become others. */
	example = codeText();
	if (inputEncoding === "utf8" && ($("input").value === "" || $("input").value === exampleInput)) {
		$("input").value = language.example.input;
		exampleInput = $("input").value;
	}
	count();
	dots();
}

let exampleInput = "";

function mode() {
	editor?.setMode(codeEncoding === "hex" ? "" : language?.mode || "");
}

/* The counters and the marks on tabs */

function count() {
	const text = codeText();
	try {
		const bytes = fieldBytes({ text, encoding: codeEncoding }).length;
		const chars = characters(text);
		$("count").textContent = codeEncoding === "hex" ? t("count.bytes", { bytes })
			: bytes === 1 ? t("count.one") : t("count", { bytes, chars });
		invalid("code", false);
	} catch (error) {
		if (!(error instanceof BadText))
			throw error;
		$("count").textContent = t(error.word, error.values);
	}
}

const MARKS = [
	["tab-input", () => $("input").value !== ""],
	["tab-arguments", () => $("arguments").value !== ""],
	["tab-options", () => ["options", "wall", "memory", "collect"].some((name) => $(name).value !== "")],
	["tab-tests", () => $("tests").childElementCount > 0],
];

function dots() {
	for (const [id, filled] of MARKS) {
		const dot = $(id).querySelector(".dot");
		if (filled() && !dot)
			$(id).append(el("span.dot", { "aria-hidden": "true" }));
		else if (!filled())
			dot?.remove();
	}
}

/* The link in the address bar */

function setHash(link) {
	lastLink = link;
	try {
		history.replaceState(null, "", `#${link}`);
	} catch {
		/* A browser takes only so many a minute: the next change tries again. */
		lastLink = "";
	}
}

/*
 * Making and opening links takes turns: what began earlier must not win over what came later,
 * and what is being opened wins over what stands there.
 */
let linkTurn = 0;
let opening = 0;

async function updateLink() {
	if (opening)
		return;
	const turn = ++linkTurn;
	const link = await toLink(readState());
	if (turn !== linkTurn)
		return;
	if (link.length > MAX_LINK) {
		notice(t("share.long"));
		return;
	}
	unnotice("share.long");
	if (link === lastLink)
		return;
	setHash(link);
	unnotice("share.opened");
}

/* Takes back what is no longer so. */
function unnotice(word) {
	if ($("notice").textContent === t(word))
		notice("");
}

const linkSoon = debounce(200, updateLink);

function touched() {
	count();
	dots();
	linkSoon();
}

async function openLink(link) {
	const turn = ++linkTurn;
	opening++;
	try {
		const state = await fromLink(link);
		if (turn !== linkTurn)
			return false;
		writeState(state);
		setHash(link);
		notice(t("share.opened"));
		return true;
	} catch (error) {
		notice(t(error.word || "share.broken"));
		return false;
	} finally {
		opening--;
	}
}

/* Running */

function invalid(id, wrong) {
	const field = id === "code" && editor ? editor.view.contentDOM : $(id);
	if (wrong)
		field.setAttribute("aria-invalid", "true");
	else
		field.removeAttribute("aria-invalid");
}

function clearErrors() {
	for (const id of new Set(FIELDS.values()))
		invalid(id, false);
}

function setRunning(controller) {
	running = controller;
	$("run").hidden = Boolean(controller);
	$("cancel").hidden = !controller;
	$("tests-run").disabled = Boolean(controller);
	$("sections").setAttribute("aria-busy", String(Boolean(controller)));
}

function describe(result, error) {
	if (error.name === "AbortError")
		return result.fail("cancelled", "");
	if (error instanceof BadText)
		return result.fail("error", t(error.word, error.values));
	if (error instanceof RunError) {
		const { code, message, field, request_id: id } = error.error;
		const more = [];
		if (error.retry)
			more.push(t("result.retry", { n: error.retry }));
		const known = FIELDS.get(field);
		if (known)
			invalid(known, true);
		else if (field)
			more.push(t("result.field", { field }));
		if (id)
			more.push(t("result.id", { id }));
		result.fail("error", code === "lost" && !message ? t("result.lost") : message, more);
		if (error.error.status === 401 || error.error.status === 403) {
			$("settings").open = true;
			drawSettings();
			$("api-key").focus();
		}
		return undefined;
	}
	if (error instanceof SyntaxError)
		return result.fail("error", t("result.bad"));
	return result.fail("error", t(result.stage ? "result.lost" : "result.offline"));
}

async function start(withTests) {
	if (running)
		return;
	const state = readState();
	if (withTests && !state.tests.length) {
		showTab("tests");
		say(t("tests.empty"));
		flash(t("tests.empty"));
		$("tests-add").focus();
		return;
	}
	updateLink();
	unnotice("share.opened");
	clearErrors();
	clearResults();
	const controller = new AbortController();
	const hadFocus = document.activeElement === $("run");
	setRunning(controller);
	if (hadFocus)
		$("cancel").focus();
	lastResult?.stop();
	const result = new Result();
	lastResult = result;
	/* On a narrow screen the result stands below what is in view. */
	if ($("result").getBoundingClientRect().top > innerHeight - 120)
		$(withTests ? "panels" : "result").scrollIntoView({ block: "start" });
	result.testCount = state.tests.length;
	result.onTest = showTest;
	try {
		await run(makeRequest(state, withTests), {
			key: settings.key,
			signal: controller.signal,
			onEvent: (event) => result.onEvent(event),
		});
		if (withTests)
			(result.done.tests || []).forEach((test, index) =>
				showTest({ index, ...test }, result.testOutput.get(index)));
	} catch (error) {
		describe(result, error);
	}
	const cancelFocus = document.activeElement === $("cancel");
	setRunning(null);
	if (cancelFocus)
		$("run").focus();
	if (result.done) {
		remember(state.language);
		addRun(await toLink(state), language?.name || state.language, state.code.text, result.done.status);
		if ($("history").open)
			drawHistory();
	}
}

/* Sharing */

async function share(kind) {
	await updateLink();
	const state = readState();
	const link = await toLink(state);
	if (link.length > MAX_LINK) {
		say(t("share.long"));
		flash(t("share.long"));
		return;
	}
	const url = new URL(`#${link}`, location.href).href;
	const name = language ? [language.name, language.version].filter(Boolean).join(" ") : state.language;
	const base = { state, url, base: location.href.split("#")[0], name,
		mode: language?.mode || "", withTests: !$("panel-tests").hidden && state.tests.length > 0,
		result: lastResult?.done ? lastResult.streams.get("stdout")?.plain().slice(0, 5000) : "" };
	const writers = new Map([["link", () => url], ["markdown", () => markdown(base)],
		["curl", () => curl(base)], ["golf", () => golf(base)]]);
	let text;
	try {
		text = writers.get(kind)();
	} catch (error) {
		if (!(error instanceof BadText))
			throw error;
		say(t(error.word, error.values));
		flash(t(error.word, error.values));
		return;
	}
	await copyText(text);
	if (!canCompress())
		notice(t("share.plain"));
	$("share").open = false;
	$("share").querySelector("summary").focus();
}

/* Tabs, menus and switches */

const TABS = ["input", "arguments", "options", "tests"];

function showTab(name, focus) {
	for (const one of TABS) {
		const selected = one === name;
		$(`tab-${one}`).setAttribute("aria-selected", String(selected));
		$(`tab-${one}`).tabIndex = selected ? 0 : -1;
		$(`panel-${one}`).hidden = !selected;
	}
	if (focus)
		$(`tab-${name}`).focus();
}

function startTabs() {
	const moves = new Map([["ArrowRight", 1], ["ArrowLeft", -1]]);
	for (const [i, name] of TABS.entries()) {
		$(`panel-${name}`).setAttribute("role", "tabpanel");
		$(`tab-${name}`).addEventListener("click", () => showTab(name));
		$(`tab-${name}`).addEventListener("keydown", (event) => {
			const to = event.key === "Home" ? 0 : event.key === "End" ? TABS.length - 1
				: moves.has(event.key) ? (i + moves.get(event.key) + TABS.length) % TABS.length : -1;
			if (to < 0)
				return;
			event.preventDefault();
			showTab(TABS[to], true);
		});
	}
}

function startMenus() {
	const menus = [...document.querySelectorAll(".menu")];
	document.addEventListener("click", (event) => {
		for (const menu of menus)
			if (!event.composedPath().includes(menu))
				menu.open = false;
	});
	for (const menu of menus) {
		menu.addEventListener("keydown", (event) => {
			if (event.key === "Escape" && menu.open) {
				menu.open = false;
				menu.querySelector("summary").focus();
			}
		});
		menu.addEventListener("focusout", (event) => {
			if (event.relatedTarget && !menu.contains(event.relatedTarget))
				menu.open = false;
		});
	}
	for (const button of document.querySelectorAll("[data-share]"))
		button.addEventListener("click", () => share(button.dataset.share));
}

/* Between two kinds of text the characters stay; from and to hex the bytes do. */
function rewritten(text, before, after) {
	if (before === "hex" || after === "hex")
		return writeAs(encodings.get(before).read(text), after);
	encodings.get(after).read(text);
	return text;
}

function startEncoding(id, read, write) {
	const select = $(id);
	select.addEventListener("change", () => {
		const [text, before] = read();
		const after = select.value;
		try {
			const written = rewritten(text, before, after);
			if (written === null)
				throw new BadText("encoding.bad.to", { encoding: t(`encoding.${after}`) });
			write(written, after);
			touched();
		} catch (error) {
			if (!(error instanceof BadText))
				throw error;
			select.value = before;
			flash(t(error.word, error.values));
			say(t(error.word, error.values));
		}
	});
}

function tabSwitch() {
	$("tab-switch").textContent = t(`tab.${settings.tab}`);
	$("tab-switch").hidden = !editor;
	editor?.setTab(settings.tab === "indents");
}

const onKey = (event) => {
	if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.defaultPrevented)
		return;
	event.preventDefault();
	if (!$("picker").open)
		start(event.shiftKey);
};

/* The editor comes when the page stands; until then, and without it, the field does. */

async function startEditor() {
	if (settings.editor !== "rich" || editor || !("adoptedStyleSheets" in document))
		return;
	const field = $("code");
	try {
		const { Editor } = await import("./editor.js");
		if (settings.editor !== "rich" || editor)
			return;
		const hadFocus = document.activeElement === field;
		const { selectionStart, selectionEnd } = field;
		editor = new Editor({
			parent: $("code-box"), field, label: t("code"), onChange: onCode,
			keys: [["Mod-Enter", () => start(false)], ["Shift-Mod-Enter", () => start(true)]],
			tabIndents: settings.tab === "indents",
		});
		field.hidden = true;
		if (hadFocus) {
			editor.focus();
			editor.view.dispatch({ selection: { anchor: selectionStart, head: selectionEnd } });
		}
		mode();
		tabSwitch();
	} catch {
		flash(t("editor.failed"));
	}
}

function stopEditor() {
	if (!editor)
		return;
	$("code").value = editor.text;
	$("code").hidden = false;
	editor.close();
	editor = null;
	tabSwitch();
}

const keepField = debounce(300, () => {
	if (editor)
		$("code").value = editor.text;
});

function onCode() {
	keepField();
	touchedSoon();
}

const touchedSoon = debounce(60, touched);

function onSettingChange(name) {
	if (name === "editor")
		settings.editor === "rich" ? startEditor() : stopEditor();
	if (name === "tab")
		tabSwitch();
	if (name === "words") {
		showLanguage(language, $("language").value);
		count();
		tabSwitch();
	}
	if (name === "wrap" && lastResult)
		for (const stream of lastResult.streams.values())
			if (stream.list)
				stream.show(stream.mode);
}

function startForm() {
	/* The browser would complain about a field that the picker stands in for. */
	$("form").noValidate = true;
	$("form").addEventListener("submit", (event) => {
		event.preventDefault();
		start(false);
	});
	$("cancel").addEventListener("click", () => running?.abort());
	$("tests-run").addEventListener("click", () => start(true));
	$("example").addEventListener("click", () => {
		useExample();
		linkSoon();
	});
	$("code").addEventListener("input", touched);
	for (const name of ["input", ...PLAIN_FIELDS])
		$(name).addEventListener("input", touched);
	startEncoding("code-encoding", () => [codeText(), codeEncoding], (text, encoding) => {
		codeEncoding = encoding;
		setCode(text);
		mode();
	});
	startEncoding("input-encoding", () => [$("input").value, inputEncoding], (text, encoding) => {
		inputEncoding = encoding;
		$("input").value = text;
	});
	$("tab-switch").addEventListener("click", () => {
		change("tab", settings.tab === "indents" ? "moves" : "indents");
		say(t(`tab.${settings.tab}`));
	});
	document.addEventListener("keydown", onKey);
	document.querySelector(".skip").addEventListener("click", (event) => {
		if (!editor)
			return;
		event.preventDefault();
		editor.focus();
	});
}

function chooseLanguage(one) {
	setLanguage(one.id, true);
	invalid("language", false);
	linkSoon();
}

async function main() {
	loadSettings();
	document.documentElement.classList.add("script");
	await loadWords(settings.words);
	example = $("code").defaultValue;
	drawSettings();
	startForm();
	startTabs();
	startMenus();
	startTests(touched);
	startHistory(async (link) => {
		$("history").open = false;
		if (await openLink(link))
			$("run").focus();
	});
	onSetting(onSettingChange);
	const key = `${modifier()}+Enter`;
	$("verdict").replaceChildren(el("span", {}, t("result.idle", { key })));
	$("run").title = key;
	$("run").setAttribute("aria-keyshortcuts", "Control+Enter");
	tabSwitch();

	const link = location.hash.slice(1);
	const opened = link !== "" && await openLink(link);
	count();
	dots();
	addEventListener("hashchange", (event) => {
		const now = new URL(event.newURL).hash.slice(1);
		if (now && now !== lastLink)
			openLink(now);
	});

	try {
		await loadLanguages();
		startPicker(chooseLanguage);
		if (opened)
			setLanguage($("language").value, false);
		else
			firstLanguage();
	} catch {
		$("language").addEventListener("input", () => {
			language = null;
			linkSoon();
		});
		if (!opened)
			notice(t("languages.failed"));
	}
	count();
	await startEditor();
	offline();
}

/* A first visit begins with something that runs. */
function firstLanguage() {
	const field = $("language");
	const typed = field.value !== field.defaultValue && findLanguage(field.value);
	const one = typed || lastUsed() || findLanguage(field.value) || languages()[0];
	if (!one)
		return;
	setLanguage(one.id, true);
	if (isUntouched())
		useExample();
}

/* The page's own files, kept for a time without a network. */
function offline() {
	if ("serviceWorker" in navigator && window.isSecureContext)
		navigator.serviceWorker.register("sw.js").catch(() => {});
}

main();
