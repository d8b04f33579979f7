/* SPDX-License-Identifier: ISC */
/*
 * What a program prints, made fit to be shown: colours and type styles (SGR) are kept as
 * attributes beside the text, every other escape sequence is dropped, other control
 * characters become their pictures. Works on chunks that end anywhere.
 */

const MAX_SEQUENCE = 4096;

const FG = 0, BG = 9;
const BOLD = 1 << 18, DIM = 1 << 19, ITALIC = 1 << 20, UNDER = 1 << 21, INVERSE = 1 << 22, STRIKE = 1 << 23;
const COLOUR = 0x1ff;

/* A growing array of 32-bit numbers: a million line starts must not be a million objects. */
export class Numbers {
	constructor() {
		this.data = new Uint32Array(64);
		this.length = 0;
	}
	push(value) {
		if (this.length === this.data.length) {
			const more = new Uint32Array(this.data.length * 2);
			more.set(this.data);
			this.data = more;
		}
		this.data[this.length++] = value;
	}
	/* The index of the last number that is not above value. */
	floor(value) {
		let low = 0, high = this.length - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (this.data[middle] <= value)
				low = middle;
			else
				high = middle - 1;
		}
		return low;
	}
}

const FLAGS = new Map([
	[1, [BOLD, 0]], [2, [DIM, 0]], [3, [ITALIC, 0]], [4, [UNDER, 0]], [7, [INVERSE, 0]], [9, [STRIKE, 0]],
	[21, [UNDER, 0]], [22, [0, BOLD | DIM]], [23, [0, ITALIC]], [24, [0, UNDER]], [27, [0, INVERSE]], [29, [0, STRIKE]],
]);

const level = (value) => Math.max(0, Math.min(5, Math.round(value / 51)));

/* 38;5;n and 38;2;r;g;b: the colour (1…256, 0 for none) and how many parameters it took. */
function extended(codes, at) {
	if (codes[at] === 5)
		return [codes[at + 1] >= 0 && codes[at + 1] < 256 ? codes[at + 1] + 1 : 0, 2];
	if (codes[at] === 2) {
		const [r, g, b] = codes.slice(at + 1, at + 4).map((value) => level(value || 0));
		return [16 + 36 * (r || 0) + 6 * (g || 0) + (b || 0) + 1, 4];
	}
	return [0, 0];
}

const setColour = (attr, shift, colour) => (attr & ~(COLOUR << shift)) | (colour << shift);

function sgr(attr, parameters) {
	const codes = parameters === "" ? [0]
		: parameters.split(/[;:]/).slice(0, 64).map((word) => Number(word || 0));
	for (let i = 0; i < codes.length; i++) {
		const code = codes[i];
		const flag = FLAGS.get(code);
		if (code === 0)
			attr = 0;
		else if (flag)
			attr = (attr | flag[0]) & ~flag[1];
		else if (code >= 30 && code <= 37)
			attr = setColour(attr, FG, code - 29);
		else if (code >= 40 && code <= 47)
			attr = setColour(attr, BG, code - 39);
		else if (code >= 90 && code <= 97)
			attr = setColour(attr, FG, code - 81);
		else if (code >= 100 && code <= 107)
			attr = setColour(attr, BG, code - 91);
		else if (code === 39)
			attr = setColour(attr, FG, 0);
		else if (code === 49)
			attr = setColour(attr, BG, 0);
		else if (code === 38 || code === 48) {
			const [colour, taken] = extended(codes, i + 1);
			attr = setColour(attr, code === 38 ? FG : BG, colour);
			i += taken;
		}
	}
	return attr;
}

const SPECIAL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

export class AnsiText {
	constructor() {
		this.blocks = [];
		this.blockAt = new Numbers();
		this.length = 0;
		this.lines = new Numbers();
		this.lines.push(0);
		this.longest = 0;
		this.attrAt = new Numbers();
		this.attrs = new Numbers();
		this.attr = 0;
		this.attrAt.push(0);
		this.attrs.push(0);
		this.state = "text";
		this.sequence = "";
		this.skipped = 0;
		this.heldCr = false;
	}

	get lineCount() {
		/* A last line without text is the end of the one before it. */
		return this.lines.length - (this.lines.data[this.lines.length - 1] === this.length ? 1 : 0);
	}

	add(text) {
		let start = this.lines.data[this.lines.length - 1];
		let line = text.indexOf("\n");
		while (line !== -1) {
			const next = this.length + line + 1;
			this.longest = Math.max(this.longest, next - 1 - start);
			this.lines.push(next);
			start = next;
			line = text.indexOf("\n", line + 1);
		}
		this.longest = Math.max(this.longest, this.length + text.length - start);
		this.blockAt.push(this.length);
		this.blocks.push(text);
		this.length += text.length;
	}

	setAttr(attr) {
		if (attr === this.attr)
			return;
		this.attr = attr;
		this.attrAt.push(this.length + this.made);
		this.attrs.push(attr);
	}

	/* One character that is not plain text; returns what is shown for it. */
	special(char) {
		const code = char.charCodeAt(0);
		if (code === 0x1b)
			this.state = "escape";
		else if (code === 0x9b)
			this.enter("csi");
		else if (code === 0x90 || code === 0x98 || (code >= 0x9d && code <= 0x9f))
			this.enter("string");
		else if (code === 0x0d)
			this.heldCr = true;
		else if (code < 0x20)
			return String.fromCharCode(0x2400 + code);
		else if (code === 0x7f)
			return "\u2421";
		return "";
	}

	enter(state) {
		this.state = state;
		this.sequence = "";
		this.skipped = 0;
	}

	/* One character inside a sequence; returns false when it is not part of it. */
	inside(char) {
		const code = char.charCodeAt(0);
		if (this.state === "escape") {
			if (char === "[")
				this.enter("csi");
			else if ("]P^_X".includes(char))
				this.enter("string");
			else if (code >= 0x20 && code <= 0x2f)
				this.state = "escape";
			else {
				this.state = "text";
				return code >= 0x30 && code <= 0x7e;
			}
			return true;
		}
		if (this.state === "csi") {
			if (code >= 0x40 && code <= 0x7e) {
				if (char === "m" && /^[0-9;:]*$/.test(this.sequence))
					this.setAttr(sgr(this.attr, this.sequence));
				this.state = "text";
				return true;
			}
			this.sequence += char;
			if (code >= 0x20 && code <= 0x3f && this.sequence.length < 256)
				return true;
			this.state = "text";
			return false;
		}
		/* A string (a title, a link) ends with BEL, ST, a line end, or when it grows too long. */
		if (this.state === "stringEscape") {
			this.state = char === "\\" ? "text" : "escape";
			return char === "\\" || this.inside(char);
		}
		if (code === 0x1b)
			this.state = "stringEscape";
		else if (code === 0x07 || code === 0x9c)
			this.state = "text";
		else if (code === 0x0a || ++this.skipped > MAX_SEQUENCE) {
			this.state = "text";
			return false;
		}
		return true;
	}

	feed(text) {
		let made = "";
		this.made = 0;
		let at = 0;
		while (at < text.length) {
			if (this.state !== "text") {
				if (this.inside(text[at]))
					at++;
				continue;
			}
			if (this.heldCr) {
				if (text[at] !== "\n")
					made += "\u240d";
				this.heldCr = false;
			}
			SPECIAL.lastIndex = at;
			const found = SPECIAL.exec(text);
			const end = found ? found.index : text.length;
			if (end > at)
				made += text.slice(at, end);
			this.made = made.length;
			if (found)
				made += this.special(found[0]);
			this.made = made.length;
			at = end + (found ? 1 : 0);
		}
		if (made)
			this.add(made);
		this.made = 0;
	}

	/* Nothing more comes: what was held back is shown. */
	finish() {
		if (this.heldCr)
			this.add("\u240d");
		this.heldCr = false;
	}

	/* The characters from one place to another. */
	slice(from, to) {
		if (from >= to)
			return "";
		let block = this.blockAt.floor(from);
		let out = "";
		while (block < this.blocks.length && this.blockAt.data[block] < to) {
			const start = this.blockAt.data[block];
			out += this.blocks[block].slice(Math.max(0, from - start), to - start);
			block++;
		}
		return out;
	}

	/* Where line i begins and ends (its line end left out). */
	line(i) {
		const last = i + 1 >= this.lines.length;
		return [this.lines.data[i], last ? this.length : this.lines.data[i + 1] - 1];
	}

	/* Puts the text between two places into a node, a span for each change of attribute. */
	render(node, from, to) {
		let run = this.attrAt.floor(from);
		let at = from;
		while (at < to) {
			const next = run + 1 < this.attrAt.length ? this.attrAt.data[run + 1] : this.length;
			const end = Math.min(to, next);
			if (end > at) {
				const text = this.slice(at, end);
				node.append(this.attrs.data[run] ? styled(text, this.attrs.data[run]) : text);
				at = end;
			}
			run++;
		}
	}
}

function rgb(index) {
	if (index < 16)
		return `var(--ansi-${index})`;
	if (index >= 232) {
		const grey = 8 + 10 * (index - 232);
		return `rgb(${grey} ${grey} ${grey})`;
	}
	const part = (value) => value ? 55 + 40 * value : 0;
	const cube = index - 16;
	return `rgb(${part(Math.floor(cube / 36))} ${part(Math.floor(cube / 6) % 6)} ${part(cube % 6)})`;
}

function styled(text, attr) {
	const span = document.createElement("span");
	let fg = (attr >> FG) & COLOUR;
	let bg = (attr >> BG) & COLOUR;
	if (attr & INVERSE) {
		span.style.color = bg ? rgb(bg - 1) : "var(--sunk)";
		span.style.backgroundColor = fg ? rgb(fg - 1) : "var(--text)";
	} else {
		if (fg && fg <= 16)
			span.classList.add(`f${fg - 1}`);
		else if (fg)
			span.style.color = rgb(fg - 1);
		if (bg)
			span.style.backgroundColor = rgb(bg - 1);
		/* Coloured ground under text without a colour of its own: take the readable one. */
		if (bg && !fg)
			span.style.color = "var(--card)";
	}
	for (const [flag, name] of [[BOLD, "bo"], [DIM, "di"], [ITALIC, "it"], [UNDER, "un"], [STRIKE, "st"]])
		if (attr & flag)
			span.classList.add(name);
	span.textContent = text;
	return span;
}
