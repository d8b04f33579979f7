/* SPDX-License-Identifier: ISC */
/* The result of one run, from the first event to the last, and the card that shows it. */
import { $, download, el } from "./dom.js";
import { fromBase64, memoryText, sizeText, timeText, utf8 } from "./bytes.js";
import { pictureOf } from "./picture.js";
import { Stream } from "./stream.js";
import { has, t } from "./words.js";

const GOOD = new Set(["success"]);
const WARN = new Set(["timeout", "memory_limit", "output_limit", "cancelled", "skipped"]);

export function chip(status) {
	const kind = GOOD.has(status) ? "good" : WARN.has(status) ? "warn" : "bad";
	const key = `status.${status}`;
	return el(`span.chip.${kind}`, {}, has(key) ? t(key) : status);
}

/* A byte field of an event: its text, and its bytes where the text is not all of it. */
export function bytesOf(holder, name) {
	const value = holder[name];
	const twin = holder[`${name}_base64`];
	if (typeof twin === "string")
		return { text: typeof value === "string" ? value : "", bytes: fromBase64(twin) };
	if (value && typeof value === "object" && typeof value.base64 === "string") {
		const bytes = fromBase64(value.base64);
		return { text: new TextDecoder().decode(bytes), bytes };
	}
	return { text: typeof value === "string" ? value : "", bytes: null };
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

const FIGURES = [
	["figure.wall", (done) => done.usage?.wall_ms ?? done.time?.run_ms, timeText],
	["figure.cpu", (done) => done.usage?.cpu_ms, timeText],
	["figure.memory", (done) => done.usage?.memory_peak_bytes, memoryText],
	["figure.compile", (done) => done.time?.compile_ms || undefined, timeText],
	["figure.total", (done) => done.time?.total_ms, timeText],
];

function figures(done) {
	const shown = FIGURES.map(([word, get, write]) => [word, get(done), write])
		.filter(([, value]) => isNumber(value));
	return el("dl.figures", {}, ...shown.map(([word, value, write]) =>
		el("div", {}, el("dt", {}, t(word)), el("dd", {}, write(value)))));
}

function figureText(name, value) {
	if (value === null || value === undefined)
		return "–";
	if (typeof value === "object")
		return Object.entries(value).map(([key, one]) => `${figureName(key)} ${figureText(key, one)}`).join(", ");
	if (isNumber(value) && name.endsWith("_ms"))
		return timeText(value);
	if (isNumber(value) && name.endsWith("_bytes"))
		return memoryText(value);
	return String(value);
}

function figureName(name) {
	const plain = name.replace(/_(ms|bytes)$/, "");
	return has(`name.${plain}`) ? t(`name.${plain}`) : plain.replace(/_/g, " ");
}

/* How each limit was held stands beside it. */
function table(word, values) {
	if (!values || typeof values !== "object")
		return null;
	const held = values.enforced && typeof values.enforced === "object" ? new Map(Object.entries(values.enforced)) : new Map();
	return el("table", {}, el("caption", {}, t(word)), el("tbody", {}, ...Object.entries(values)
		.filter(([name]) => name !== "enforced")
		.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, figureName(name)),
			el("td", {}, figureText(name, value), held.has(name) ? el("small.co", {}, ` ${held.get(name)}`) : null)))));
}

function allFigures(done) {
	return el("details.all", {}, el("summary", {}, t("figures")),
		table("figures.time", done.time), table("figures.usage", done.usage), table("figures.limits", done.limits),
		el("p.hint", {}, [done.language, done.version].filter(Boolean).join(" ")),
		done.id ? el("p.hint", {}, t("result.id", { id: done.id })) : null);
}

function fileRow(file) {
	const name = String(file.name);
	if (file.error)
		return el("li", {}, el("span.name", {}, name), el("span.error", {},
			typeof file.error === "string" ? file.error : file.error.message || file.error.code || ""));
	const { text, bytes } = bytesOf(file, "content");
	const content = bytes || utf8(text);
	const row = el("li", {}, el("span.name", {}, name), el("span.count", {}, sizeText(file.size ?? content.length)),
		el("button.quiet", {
			type: "button", "aria-label": t("download.what", { what: name }),
			onclick: () => download(content, name),
		}, t("download")));
	const picture = pictureOf(content);
	if (picture)
		row.append(el("button.quiet", {
			type: "button",
			onclick: async (event) => {
				event.target.hidden = true;
				const image = el("img", { alt: t("picture", { what: name }) });
				image.src = await picture.url(content);
				row.append(image);
			},
		}, t("view.picture")));
	return row;
}

/* The server's words, and what they leave out. */
function verdictWords(done) {
	const message = typeof done.message === "string" ? done.message : "";
	if (Array.isArray(done.tests))
		return [t("tests.passed", { n: done.tests.filter((one) => one.passed === true).length, all: done.tests.length })];
	const words = [message];
	/* Of a run that was stopped for a limit, the limit is what matters. */
	if (done.status !== "runtime_error")
		return words.filter(Boolean);
	if (isNumber(done.exit_code) && done.exit_code !== 0 && !message.includes(String(done.exit_code)))
		words.push(t("result.exit", { code: done.exit_code }));
	if (done.signal && !message.includes(done.signal))
		words.push(String(done.signal));
	return words.filter(Boolean);
}

export class Result {
	constructor() {
		this.stage = "";
		this.test = null;
		this.streams = new Map();
		this.testOutput = new Map();
		this.done = null;
		this.began = performance.now();
		$("figures").replaceChildren();
		$("sections").replaceChildren();
		this.busy(t("result.running"));
		this.clock = setInterval(() => {
			$("clock").textContent = `${((performance.now() - this.began) / 1000).toFixed(1)} s`;
		}, 100);
	}

	busy(text) {
		if (this.said === text)
			return;
		this.said = text;
		$("verdict").replaceChildren(el("span.chip.busy", {}, text));
	}

	stream(name) {
		let stream = this.streams.get(name);
		if (!stream) {
			stream = new Stream(name, t(name));
			this.streams.set(name, stream);
		}
		return stream;
	}

	feed(name, { text, bytes }) {
		if (!text && !bytes?.length)
			return;
		const stream = this.stream(name);
		stream.feed(text, bytes);
		if (!stream.card.isConnected)
			this.place(stream.card, name);
	}

	/* The compiler's words first, then what was printed, then the complaints. */
	place(card, name) {
		const order = ["compiler", "stdout", "stderr"];
		const later = order.slice(order.indexOf(name) + 1)
			.map((one) => this.streams.get(one)?.card).find((one) => one?.isConnected);
		$("sections").insertBefore(card, later || null);
	}

	output(name, event) {
		const part = bytesOf(event, name);
		if (this.stage === "compile")
			return this.feed("compiler", part);
		if (this.test === null)
			return this.feed(name, part);
		if (!this.testOutput.has(this.test))
			this.testOutput.set(this.test, { stdout: new Stream("stdout", "", false), stderr: new Stream("stderr", "", false) });
		const stream = this.testOutput.get(this.test)[name];
		if (part.text || part.bytes?.length)
			stream.feed(part.text, part.bytes);
	}

	onEvent(event) {
		if (event.stage) {
			this.stage = event.stage;
			this.test = isNumber(event.test) ? event.test : null;
			this.busy(this.stage === "compile" ? t("result.compiling")
				: this.test === null ? t("result.running")
				: t("result.testing", { n: this.test + 1, all: this.testCount }));
		}
		for (const name of ["stdout", "stderr"])
			if (Object.hasOwn(event, name))
				this.output(name, event);
		if (event.test && typeof event.test === "object")
			this.onTest?.(event.test, this.testOutput.get(event.test.index));
		if (event.done)
			this.finish(event.done);
	}

	stop() {
		clearInterval(this.clock);
		$("clock").textContent = "";
	}

	finish(done) {
		this.stop();
		this.done = done;
		if (done.compile && !this.streams.has("compiler"))
			for (const name of ["stdout", "stderr"])
				this.feed("compiler", bytesOf(done.compile, name));
		if (done.status === "compile_error" && !this.streams.has("compiler"))
			this.feed("compiler", bytesOf(done, "stderr"));
		this.settle(done);

		$("verdict").replaceChildren(chip(done.status), ...verdictWords(done).map((text) => el("span", {}, text)));
		$("figures").replaceChildren(figures(done), allFigures(done));
		if (!this.streams.size && !Array.isArray(done.tests))
			$("sections").append(el("p.hint.stream", {}, t("result.nothing")));
		if (Array.isArray(done.files) && done.files.length)
			$("sections").append(el("section.stream.files", { "aria-label": t("files") },
				el("div.head", {}, el("h3", {}, t("files"))), el("ul.file-list", {}, ...done.files.map(fileRow))));
	}

	settle(done) {
		for (const [name, stream] of this.streams) {
			const holder = name === "compiler" ? done?.compile : done;
			const cut = holder?.truncated || {};
			stream.finish(name === "compiler" ? (cut.stdout || 0) + (cut.stderr || 0) : cut[name]);
		}
		for (const { stdout, stderr } of this.testOutput.values()) {
			stdout.finish(0);
			stderr.finish(0);
		}
	}

	/* Ended without a verdict: cancelled, refused, or lost. What came stays. */
	fail(status, message, more) {
		this.stop();
		this.settle(null);
		$("verdict").replaceChildren(chip(status), el("span", {}, message),
			...(more || []).map((text) => el("span", {}, text)));
	}
}
