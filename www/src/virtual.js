/* SPDX-License-Identifier: ISC */
/*
 * A list of which only the rows in view exist. Browsers limit how high a box can be, so
 * beyond that the scroll bar stands for more rows than it has pixels.
 */
import { el } from "./dom.js";

const ROW_PX = 20;
const MAX_PX = 12000000;
const SPARE_ROWS = 10;

export class VirtualList {
	constructor(label, source) {
		this.source = source;
		this.rows = el("pre.rows");
		this.space = el("div.space", {}, this.rows);
		this.box = el("div.vlist.out", { tabindex: "0", role: "group", "aria-label": label }, this.space);
		this.first = -1;
		this.box.addEventListener("scroll", () => this.schedule(), { passive: true });
		this.watch = new ResizeObserver(() => {
			this.source.resized?.();
			this.first = -1;
			this.schedule();
		});
		this.watch.observe(this.box);
	}

	close() {
		this.watch.disconnect();
	}

	schedule() {
		this.frame ??= requestAnimationFrame(() => {
			this.frame = undefined;
			this.draw();
		});
	}

	/* More rows, or other rows. */
	changed(all) {
		if (all)
			this.first = -1;
		this.schedule();
	}

	draw() {
		const count = this.source.rows();
		this.count = count;
		const height = Math.min(count * ROW_PX, MAX_PX);
		const view = this.box.clientHeight;
		const shown = Math.ceil(view / ROW_PX);
		this.space.style.height = `${height}px`;

		const top = this.box.scrollTop;
		const room = Math.max(1, height - view);
		const exact = height < MAX_PX ? top / ROW_PX
			: Math.min(1, top / room) * (count - shown + 1);
		const wanted = Math.max(0, Math.floor(exact) - SPARE_ROWS);
		const end = Math.min(count, wanted + shown + 2 * SPARE_ROWS);
		if (wanted === this.first && end === this.end)
			return;
		this.first = wanted;
		this.end = end;

		const fragment = document.createDocumentFragment();
		for (let i = wanted; i < end; i++)
			fragment.append(this.source.row(i));
		this.rows.replaceChildren(fragment);
		const offset = height < MAX_PX ? wanted * ROW_PX
			: top - (Math.floor(exact) - wanted) * ROW_PX;
		this.rows.style.transform = `translateY(${Math.max(0, Math.min(offset, height - (end - wanted) * ROW_PX))}px)`;
	}
}
