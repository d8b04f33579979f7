/* SPDX-License-Identifier: ISC */
/* What differs between two texts, line by line. */

const MAX_CELLS = 4e6;

/* Entries [kind, line], kind one of " ", "-", "+". same() tells whether two lines count as equal. */
export function diffLines(a, b, same) {
	let start = 0;
	while (start < a.length && start < b.length && same(a[start], b[start]))
		start++;
	let endA = a.length, endB = b.length;
	while (endA > start && endB > start && same(a[endA - 1], b[endB - 1])) {
		endA--;
		endB--;
	}
	return [
		...b.slice(0, start).map((line) => [" ", line]),
		...middle(a.slice(start, endA), b.slice(start, endB), same),
		...b.slice(endB).map((line) => [" ", line]),
	];
}

function middle(a, b, same) {
	const wide = b.length + 1;
	/* Too much for a table: all of one, then all of the other, is still true. */
	if (!a.length || !b.length || (a.length + 1) * wide > MAX_CELLS)
		return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
	const best = new Uint32Array((a.length + 1) * wide);
	for (let i = a.length - 1; i >= 0; i--)
		for (let j = b.length - 1; j >= 0; j--)
			best[i * wide + j] = same(a[i], b[j]) ? best[(i + 1) * wide + j + 1] + 1
				: Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
	const out = [];
	let i = 0, j = 0;
	while (i < a.length && j < b.length) {
		if (same(a[i], b[j])) {
			out.push([" ", b[j++]]);
			i++;
		} else if (best[(i + 1) * wide + j] >= best[i * wide + j + 1]) {
			out.push(["-", a[i++]]);
		} else {
			out.push(["+", b[j++]]);
		}
	}
	while (i < a.length)
		out.push(["-", a[i++]]);
	while (j < b.length)
		out.push(["+", b[j++]]);
	return out;
}

const words = (line) => line.trim().split(/\s+/);

function close(a, b, within) {
	const [left, right] = [words(a), words(b)];
	return left.length === right.length && left.every((one, i) => {
		if (one === right[i])
			return true;
		const [x, y] = [Number(one), Number(right[i])];
		return one !== "" && right[i] !== "" && Math.abs(x - y) <= within * Math.max(1, Math.abs(x), Math.abs(y));
	});
}

/* Whether two lines are equal by the rule that the server was asked to compare by. */
export function lineRule(compare) {
	if (compare === "exact")
		return (a, b) => a === b;
	if (compare === "tokens")
		return (a, b) => words(a).join(" ") === words(b).join(" ");
	if (compare.startsWith("float:"))
		return (a, b) => close(a, b, Number(compare.slice(6)) || 0);
	return (a, b) => a.trimEnd() === b.trimEnd();
}
