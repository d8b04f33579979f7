/* SPDX-License-Identifier: ISC */
/* The tests tab: cases with expected output, and what came of them. */
import { $, el } from "./dom.js";
import { diffLines, lineRule } from "./diff.js";
import { timeText } from "./bytes.js";
import { bytesOf, chip } from "./result.js";
import { t } from "./words.js";

const MAX_CASES = 64;
const CONTEXT_LINES = 3;
const MAX_SHOWN = 400;
const MAX_DIFF_CHARS = 2000000;

let cases = [];
let changed = () => {};

function field(name, word, rows, value, classes) {
	const input = el("textarea", {
		rows, spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off",
		"data-field": name, oninput: () => changed(),
	});
	input.value = value;
	return [el(`div${classes || ""}`, {}, el("label", {}, t(word), input)), input];
}

function addCase(values) {
	const [inputBox, input] = field("input", "tests.input", 3, values.input || "");
	const [expectedBox, expected] = field("expected", "tests.expected", 3, values.expected || "");
	const [argumentsBox, argumentsInput] = field("arguments", "tests.arguments", 1, values.arguments || "", ".wide");
	const name = el("input.name", { type: "text", oninput: () => changed() });
	name.value = values.name || "";
	const verdict = el("span.verdict", {});
	const remove = el("button.quiet", {
		type: "button", onclick: () => {
			cases = cases.filter((other) => other !== one);
			one.node.remove();
			number();
			changed();
			(cases[0]?.name || $("tests-add")).focus();
		},
	}, "×");
	const result = el("div.result");
	const node = el("li.case", {}, el("div.head", {}, name, verdict, remove),
		el("div.fields", {}, inputBox, expectedBox, argumentsBox), result);
	const one = { node, name, input, expected, arguments: argumentsInput, verdict, remove, result };
	cases.push(one);
	$("tests").append(node);
	return one;
}

function number() {
	cases.forEach((one, i) => {
		one.remove.setAttribute("aria-label", t("tests.remove", { n: i + 1 }));
		one.name.placeholder = t("tests.case", { n: i + 1 });
		one.name.setAttribute("aria-label", `${t("tests.case", { n: i + 1 })}: ${t("tests.name")}`);
	});
	$("tests-add").disabled = cases.length >= MAX_CASES;
}

export const getTests = () => cases.map((one) => ({
	name: one.name.value, input: one.input.value, arguments: one.arguments.value, expected: one.expected.value,
}));

export function setTests(tests) {
	cases = [];
	$("tests").replaceChildren();
	for (const test of tests.slice(0, MAX_CASES))
		addCase(test);
	number();
}

export function startTests(onChange) {
	changed = onChange;
	$("tests-add").addEventListener("click", () => {
		const one = addCase({});
		number();
		changed();
		one.input.focus();
	});
	$("compare").addEventListener("change", () => changed());
}

export function clearResults() {
	for (const one of cases) {
		one.verdict.replaceChildren();
		one.result.replaceChildren();
	}
}

/* Equal stretches are folded to a few lines around what differs. */
function fold(entries) {
	const near = new Uint8Array(entries.length);
	entries.forEach(([kind], i) => {
		if (kind !== " ")
			near.fill(1, Math.max(0, i - CONTEXT_LINES), i + CONTEXT_LINES + 1);
	});
	const out = [];
	for (let i = 0; i < entries.length; i++) {
		if (near[i]) {
			out.push(entries[i]);
			continue;
		}
		let end = i;
		while (end < entries.length && !near[end])
			end++;
		out.push(["skip", t("tests.diff.same", { n: end - i })]);
		i = end - 1;
	}
	return out;
}

const KINDS = new Map([["-", ["minus", "tests.diff.expected"]], ["+", ["plus", "tests.diff.printed"]]]);

/* In a comparison every control character has to be seen. */
const visible = (line) => line.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (char) =>
	String.fromCharCode(char === "\u007f" ? 0x2421 : 0x2400 + char.charCodeAt(0)));

function diffRow([kind, line]) {
	if (kind === "skip")
		return el("li.skip-note", {}, line);
	const [name, word] = KINDS.get(kind) || ["", ""];
	return el("li", { class: name || null }, word ? el("span.vh", {}, `${t(word)}: `) : null, visible(line));
}

const toLines = (text) => {
	const list = text.slice(0, MAX_DIFF_CHARS).split("\n");
	if (list[list.length - 1] === "")
		list.pop();
	return list;
};

function difference(expected, printed) {
	const rule = lineRule($("compare").value);
	const entries = diffLines(toLines(expected), toLines(printed), rule);
	/* Only the line end at the very end differs: by the exact rule that counts too. */
	if (entries.every(([kind]) => kind === " ") && expected !== printed)
		entries.push(["-", JSON.stringify(expected.slice(-20))], ["+", JSON.stringify(printed.slice(-20))]);
	const folded = fold(entries);
	const rows = folded.slice(0, MAX_SHOWN).map(diffRow);
	if (folded.length > MAX_SHOWN)
		rows.push(el("li.skip-note", {}, t("tests.diff.more", { n: folded.length - MAX_SHOWN })));
	return el("ul.diff", { tabindex: "0", "aria-label": t("tests.diff") }, ...rows);
}

/* One test has ended. Its output came as events before, or stands in the answer. */
export function showTest(test, streams) {
	const one = cases[test.index];
	if (!one)
		return;
	const printed = streams?.stdout.size ? streams.stdout.plain() : bytesOf(test, "stdout").text;
	const complaints = streams?.stderr.size ? streams.stderr.plain() : bytesOf(test, "stderr").text;
	const passed = test.passed === true;
	const wrong = test.status === "wrong_answer" || (test.passed === false && test.status === "success");
	one.verdict.replaceChildren(
		passed ? el("span.chip.good", {}, t("tests.pass"))
			: wrong ? chip("wrong_answer")
			: test.status === "success" ? el("span.chip", {}, t("tests.norule")) : chip(test.status));
	const usage = test.usage && typeof test.usage.wall_ms === "number" ? timeText(test.usage.wall_ms) : "";
	one.result.replaceChildren(...[
		usage ? el("p.hint", {}, `${t("figure.wall")} ${usage}`) : null,
		test.passed === false && test.status !== "skipped" ? difference(one.expected.value, printed) : null,
		typeof test.passed !== "boolean" && printed ? el("details.all", {}, el("summary", {}, t("tests.printed")),
			el("pre.diff", { tabindex: "0" }, visible(printed.slice(0, 20000)))) : null,
		complaints ? el("details.all", { open: !passed }, el("summary", {}, t("stderr")),
			el("pre.diff", { tabindex: "0" }, visible(complaints.slice(0, 20000)))) : null,
	].filter(Boolean));
}
