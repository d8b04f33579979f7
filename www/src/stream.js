/* SPDX-License-Identifier: ISC */
/*
 * One stream of a program (standard output, standard error, a compiler's words): its bytes
 * as they came, and the card that shows them as text, as hex, or as a picture.
 */
import { copyText, download, el, say } from "./dom.js";
import { AnsiText, Numbers } from "./ansi.js";
import { VirtualList } from "./virtual.js";
import { concat, fromUtf8, sizeText, utf8 } from "./bytes.js";
import { pictureOf } from "./picture.js";
import { settings } from "./settings.js";
import { t } from "./words.js";

/* Up to here the whole text is in the page, where the browser can search and select it. */
const WHOLE_CHARS = 100000;
const WHOLE_LINES = 2000;
const WHOLE_COLOURS = 4000;

/* A row that is not wrapped ends somewhere too. */
const UNWRAPPED_COLUMNS = 2000;

class Rows {
	constructor(text, columns) {
		this.text = text;
		this.columns = columns;
		this.from = new Numbers();
		this.to = new Numbers();
		this.done = 0;
	}
	/* Takes in the lines that came since; the last line may still grow. */
	update() {
		const { text } = this;
		if (this.done > 0 && this.done <= text.lines.length) {
			this.done--;
			while (this.from.length && this.from.data[this.from.length - 1] >= text.lines.data[this.done])
				this.from.length--;
			this.to.length = this.from.length;
		}
		for (; this.done < text.lines.length; this.done++) {
			const [from, to] = text.line(this.done);
			if (from === text.length && this.done > 0)
				continue;
			this.split(from, to);
		}
	}
	split(from, to) {
		while (to - from > this.columns) {
			let end = from + this.columns;
			/* A character beyond the first plane is two places: not cut in half. */
			if (/[\udc00-\udfff]/.test(this.text.slice(end, end + 1)))
				end--;
			this.from.push(from);
			this.to.push(end);
			from = end;
		}
		this.from.push(from);
		this.to.push(to);
	}
}

class TextSource {
	constructor(text) {
		this.text = text;
		this.layout = new Rows(text, UNWRAPPED_COLUMNS);
	}
	attach(list) {
		this.list = list;
	}
	resized() {
		const width = this.list.box.clientWidth - 24;
		const columns = settings.wrap ? Math.max(20, Math.floor(width / charWidth(this.list.box))) : UNWRAPPED_COLUMNS;
		if (columns !== this.layout.columns)
			this.layout = new Rows(this.text, columns);
	}
	/* As long as every line fits, lines are rows, and millions of them cost nothing. */
	get fits() {
		return this.text.longest <= this.layout.columns;
	}
	rows() {
		if (this.fits)
			return Math.max(1, this.text.lineCount);
		this.layout.update();
		return this.layout.from.length;
	}
	row(i) {
		const node = el("div");
		const [from, to] = this.fits ? this.text.line(i) : [this.layout.from.data[i], this.layout.to.data[i]];
		this.text.render(node, from, to);
		return node;
	}
}

function charWidth(box) {
	const probe = el("span", {}, "0".repeat(50));
	box.querySelector(".rows").append(probe);
	const width = probe.getBoundingClientRect().width / 50;
	probe.remove();
	return width || 8;
}

class HexSource {
	constructor(bytes) {
		this.bytes = bytes;
		this.wide = 16;
	}
	attach(list) {
		this.list = list;
	}
	resized() {
		this.wide = this.list.box.clientWidth < 640 ? 8 : 16;
	}
	rows() {
		return Math.ceil(this.bytes.length / this.wide);
	}
	row(i) {
		const at = i * this.wide;
		const part = [...this.bytes.subarray(at, at + this.wide)];
		const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(this.wide * 3 - 1);
		const text = part.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·").join("");
		return el("div", {}, el("span.co", {}, at.toString(16).padStart(8, "0")), `  ${hex}  `,
			el("span.co", {}, text));
	}
}

export class Stream {
	/* One that is not shown only keeps what comes. */
	constructor(name, title, shown = true) {
		this.kept = !shown;
		this.name = name;
		this.title = title;
		this.parts = [];
		this.size = 0;
		this.exact = true;
		this.text = new AnsiText();
		this.mode = "text";
		this.card = null;
	}

	/* bytes only where the text is not exactly what was printed. */
	feed(text, bytes) {
		const part = bytes || utf8(text);
		if (bytes)
			this.exact = false;
		this.parts.push(part);
		this.size += part.length;
		this.text.feed(text);
		this.update();
	}

	finish(dropped) {
		this.text.finish();
		this.dropped = dropped || 0;
		this.finished = true;
		/* What no text could have held is shown as what it is. */
		if (!this.exact && this.mode === "text")
			this.mode = "hex";
		if (this.size || this.dropped)
			this.update();
	}

	bytes() {
		if (this.parts.length > 1)
			this.parts = [concat(this.parts)];
		return this.parts[0] || new Uint8Array(0);
	}

	/* For tests and for copying: the text as printed, colours and all. */
	plain() {
		return fromUtf8(this.bytes()) ?? this.parts.map((part) => new TextDecoder().decode(part)).join("");
	}

	update() {
		if (this.kept)
			return;
		if (!this.card)
			this.makeCard();
		this.frame ??= requestAnimationFrame(() => {
			this.frame = undefined;
			this.draw();
		});
	}

	makeCard() {
		this.count = el("span.count");
		this.view = el("select.quiet", {
			"aria-label": t("view", { what: this.title }),
			onchange: () => this.show(this.view.value),
		});
		const button = (word, work) => el("button.quiet", {
			type: "button", "aria-label": t(`${word}.what`, { what: this.title }), onclick: work,
		}, t(word));
		this.body = el("div.body");
		this.note = el("p.note", { hidden: true });
		this.offer = el("p.note.plain", { hidden: true }, t("picture.offer"), " ", el("button.quiet", {
			type: "button", onclick: () => this.show("picture"),
		}, t("picture.show")));
		this.card = el(`section.stream.${this.name}`, { "aria-label": this.title },
			el("div.head", {}, el("h3", {}, this.title), this.count, this.view,
				button("copy", () => copyText(this.plain())),
				button("download", () => this.save())),
			this.offer, this.body, this.note);
		this.options();
	}

	options() {
		const picture = pictureOf(this.finished ? this.bytes() : this.parts[0] || new Uint8Array(0));
		const modes = ["text", "hex", ...(picture ? ["picture"] : [])];
		if (this.view.options.length === modes.length)
			return;
		this.view.replaceChildren(...modes.map((mode) => el("option", { value: mode }, t(`view.${mode}`))));
		this.view.value = this.mode;
	}

	save() {
		const bytes = this.bytes();
		const picture = pictureOf(bytes);
		download(bytes, `${this.name}.${picture ? picture.extension : this.exact ? "txt" : "bin"}`);
	}

	show(mode) {
		this.mode = mode;
		this.clear();
		this.draw();
	}

	clear() {
		this.list?.close();
		this.list = null;
		this.pre = null;
		this.shown = null;
		this.body.replaceChildren();
	}

	notes() {
		const notes = [];
		if (this.dropped)
			notes.push(t("result.dropped", { n: sizeText(this.dropped) }));
		if (this.list && this.mode === "text")
			notes.push(t("long"));
		this.offer.hidden = this.mode === "picture" || this.view.options.length < 3;
		this.note.textContent = notes.join(" ");
		this.note.hidden = !notes.length;
	}

	draw() {
		const lines = this.text.lineCount;
		const bytes = sizeText(this.size);
		this.count.textContent = lines === 1 ? t("lines.one", { bytes }) : t("lines", { bytes, n: lines });
		this.options();
		this.view.value = this.mode;
		if (this.shown && this.shown !== this.mode)
			this.clear();
		if (this.mode === "text")
			this.drawText();
		else if (this.mode === "hex")
			this.drawHex();
		else if (!this.shown)
			this.drawPicture();
		this.shown = this.mode;
		this.notes();
	}

	drawText() {
		const { text } = this;
		if (text.length > WHOLE_CHARS || text.lines.length > WHOLE_LINES || text.attrs.length > WHOLE_COLOURS) {
			if (!this.list)
				this.startList(new TextSource(text));
			else
				this.list.changed(text.length !== this.drawn && this.list.end >= this.list.count);
			this.drawn = text.length;
			return;
		}
		if (!this.pre) {
			this.pre = el("pre.out", { tabindex: "0", role: "group", "aria-label": this.title });
			this.drawn = 0;
			this.body.replaceChildren(this.pre);
		}
		const follow = this.pre.scrollTop > 0
			&& this.pre.scrollTop + this.pre.clientHeight >= this.pre.scrollHeight - 4;
		text.render(this.pre, this.drawn, text.length);
		this.drawn = text.length;
		if (follow)
			this.pre.scrollTop = this.pre.scrollHeight;
	}

	drawHex() {
		if (this.list && this.list.source.bytes.length === this.size)
			return;
		if (this.list) {
			this.list.source.bytes = this.bytes();
			this.list.changed(true);
			return;
		}
		this.startList(new HexSource(this.bytes()));
	}

	startList(source) {
		this.clear();
		this.list = new VirtualList(this.title, source);
		source.attach(this.list);
		this.body.append(this.list.box);
		/* A short list takes no more room than it needs. */
		source.resized();
		if (source.rows() < 25)
			this.list.box.style.height = `${source.rows() * 20 + 18}px`;
		this.list.changed(true);
	}

	async drawPicture() {
		const what = pictureOf(this.bytes());
		const image = el("img", { alt: t("picture", { what: `${what.extension}, ${sizeText(this.size)}` }) });
		this.body.replaceChildren(image);
		try {
			image.src = await what.url(this.bytes());
			await image.decode();
			if (image.naturalWidth < 128)
				image.classList.add("small");
		} catch {
			this.mode = "hex";
			this.clear();
			this.draw();
			say(t("picture.bad"));
			this.note.textContent = t("picture.bad");
			this.note.hidden = false;
		}
	}
}
