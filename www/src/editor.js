/* SPDX-License-Identifier: ISC */
/* CodeMirror over the field for the code. A file of its own, fetched once the page stands. */
import { Compartment, EditorState, Prec } from "@codemirror/state";
import {
	EditorView, drawSelection, dropCursor, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers,
} from "@codemirror/view";
import { defaultKeymap, history, historyKeymap, indentWithTab, isolateHistory } from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { classHighlighter } from "@lezer/highlight";
import { loadMode } from "./modes.js";

const UNITS = new Map([["go", "\t"], ["python", "    "], ["rust", "    "], ["java", "    "], ["csharp", "    "]]);

export class Editor {
	constructor({ parent, field, label, onChange, keys, tabIndents }) {
		this.mode = new Compartment();
		this.tab = new Compartment();
		this.modeName = "";
		this.view = new EditorView({
			parent,
			state: EditorState.create({
				doc: field.value,
				extensions: [
					Prec.highest(keymap.of(keys.map(([key, work]) => ({ key, run: () => (work(), true) })))),
					lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(),
					drawSelection(), dropCursor(), indentOnInput(), bracketMatching(), highlightSelectionMatches(),
					syntaxHighlighting(classHighlighter),
					EditorState.allowMultipleSelections.of(true),
					EditorView.contentAttributes.of({ "aria-label": label, autocapitalize: "off", spellcheck: "false" }),
					EditorView.updateListener.of((update) => {
						if (update.docChanged)
							onChange();
					}),
					EditorView.domEventHandlers({ beforeinput: typeOver }),
					this.mode.of([]),
					this.tab.of(tabKeys(tabIndents)),
					keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap]),
				],
			}),
		});
	}

	get text() {
		return this.view.state.doc.toString();
	}

	/* One change, and one of its own however soon after another, so that undo brings back
	 * what was there. */
	set text(text) {
		if (text !== this.text)
			this.view.dispatch({
				changes: { from: 0, to: this.view.state.doc.length, insert: text },
				selection: { anchor: 0 },
				annotations: isolateHistory.of("full"),
			});
	}

	async setMode(name) {
		if (name === this.modeName)
			return;
		this.modeName = name;
		let mode = null;
		try {
			mode = await loadMode(name);
		} catch { /* without its colours the program is still there */ }
		if (this.modeName === name)
			this.view.dispatch({ effects: this.mode.reconfigure([mode || [], indentUnit.of(UNITS.get(name) || "  ")]) });
	}

	setTab(indents) {
		this.view.dispatch({ effects: this.tab.reconfigure(tabKeys(indents)) });
	}

	focus() {
		this.view.focus();
	}

	close() {
		this.view.destroy();
	}
}

/*
 * Typing over a selection: left to itself a browser carries the colours of what stood there
 * into style attributes, which the page's policy would have to forbid.
 */
function typeOver(event, view) {
	if (event.inputType !== "insertText" || event.data === null || event.isComposing || view.composing)
		return false;
	/* A selection that a script has just made is not in the editor's state yet. */
	if (view.state.selection.main.empty) {
		const selection = document.getSelection();
		const range = event.getTargetRanges()[0] || (selection.rangeCount && selection.getRangeAt(0));
		if (!range || range.collapsed || !view.contentDOM.contains(range.commonAncestorContainer))
			return false;
		view.dispatch({ selection: {
			anchor: view.posAtDOM(range.startContainer, range.startOffset),
			head: view.posAtDOM(range.endContainer, range.endOffset),
		} });
	}
	event.preventDefault();
	view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
	return true;
}

const tabKeys = (indents) => indents ? keymap.of([indentWithTab]) : [];
