/* SPDX-License-Identifier: ISC */
/* What this browser remembers. A browser may refuse to: then nothing is remembered. */

export function load(name, otherwise) {
	try {
		return JSON.parse(localStorage.getItem(`sandpool.${name}`)) ?? otherwise;
	} catch {
		return otherwise;
	}
}

export function save(name, value) {
	try {
		localStorage.setItem(`sandpool.${name}`, JSON.stringify(value));
		return true;
	} catch {
		return false;
	}
}
