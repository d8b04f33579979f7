/* SPDX-License-Identifier: ISC */
/* Small helpers over the DOM. Nothing here or elsewhere takes a string as markup. */
import { t } from "./words.js";

export const $ = (id) => document.getElementById(id);

/* el("button.quiet", {type: "button", onclick: f}, "text", child…) */
export function el(what, attributes, ...children) {
	const [tag, ...classes] = what.split(".");
	const node = document.createElement(tag);
	if (classes.length)
		node.className = classes.join(" ");
	for (const [name, value] of Object.entries(attributes || {})) {
		if (name.startsWith("on"))
			node.addEventListener(name.slice(2), value);
		else if (value === true)
			node.setAttribute(name, "");
		else if (value !== false && value !== null && value !== undefined)
			node.setAttribute(name, value);
	}
	node.append(...children.filter((child) => child !== null && child !== undefined));
	return node;
}

/* Said once to a screen reader, and shown to nobody. */
export function say(text) {
	$("said").textContent = "";
	setTimeout(() => { $("said").textContent = text; }, 50);
}

export function notice(text) {
	$("notice").textContent = text || "";
	$("notice").hidden = !text;
}

export function download(bytes, name) {
	const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
	const link = el("a", { href: url, download: safeName(name) });
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 60000);
}

/* Older ways remain for pages that come by plain HTTP, where there is no clipboard object. */
export async function copyText(text) {
	let done = false;
	try {
		await navigator.clipboard.writeText(text);
		done = true;
	} catch {
		const field = el("textarea.vh", { readonly: true, "aria-hidden": "true" });
		const before = document.activeElement;
		field.value = text;
		document.body.append(field);
		field.select();
		done = document.execCommand("copy");
		field.remove();
		before?.focus();
	}
	say(t(done ? "copied" : "copy.failed"));
	flash(t(done ? "copied" : "copy.failed"));
	return done;
}

let flashTimer = 0;

/* A word at the lower edge for a moment. The live region has said it already. */
export function flash(text) {
	$("flash").textContent = text;
	$("flash").hidden = false;
	clearTimeout(flashTimer);
	flashTimer = setTimeout(() => { $("flash").hidden = true; }, 2500);
}

/* The last part of a path, without what a file system or a shell may take amiss. */
function safeName(name) {
	const last = String(name).split(/[/\\]/).pop();
	const plain = last.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069"*:<>?|]/g, "_")
		.replace(/^\.+/, "_").slice(0, 120).trim();
	return plain || "file";
}

export function debounce(ms, work) {
	let timer = 0;
	return (...rest) => {
		clearTimeout(timer);
		timer = setTimeout(work, ms, ...rest);
	};
}
