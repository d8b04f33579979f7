/* SPDX-License-Identifier: ISC */
/*
 * CodeMirror adds its rules to a document by a style element, which the page's policy
 * forbids; within a shadow root it uses adopted style sheets, which need no leave. This
 * hands it the document in the shape of a shadow root.
 */
import { StyleModule as Original } from "style-mod-itself";

const roots = new WeakMap();

function rootOf(root) {
	const owner = root.ownerDocument || root;
	if (!roots.has(root))
		roots.set(root, {
			ownerDocument: owner,
			get adoptedStyleSheets() {
				return root.adoptedStyleSheets;
			},
			set adoptedStyleSheets(sheets) {
				root.adoptedStyleSheets = sheets;
			},
		});
	return roots.get(root);
}

export class StyleModule extends Original {
	static mount(root, modules, options) {
		Original.mount(rootOf(root), modules, options);
	}
}
