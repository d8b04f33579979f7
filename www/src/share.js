/* SPDX-License-Identifier: ISC */
/* A program and its result, in the forms that people paste elsewhere. */
import { makeRequest, codeBytes } from "./request.js";
import { t } from "./words.js";

/* A fence longer than any run of back-ticks inside. */
function fenced(text, info) {
	const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
	const fence = "`".repeat(longest + 1);
	return `${fence}${info}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}\n`;
}

const word = (text) => text.replace(/[\\`*_[\]<>&#]/g, "\\$&").replace(/\s+/g, " ");

export function markdown({ state, name, mode, url, result }) {
	let text = `**${word(name)}**\n\n${fenced([state.header, state.code.text, state.footer].filter(Boolean).join("\n"), mode)}`;
	if (state.input.text)
		text += `\n${t("input")}:\n\n${fenced(state.input.text, "")}`;
	if (result)
		text += `\n${t("result")}:\n\n${fenced(result, "")}`;
	return `${text}\n[${t("golf.try")}](${url})\n`;
}

export function golf({ state, name, mode, url }) {
	const title = `# ${word(name)}, ${t("golf.bytes", { n: codeBytes(state) })}`;
	return `${title}\n\n${fenced(state.code.text, mode)}\n[${t("golf.try")}](${url})\n`;
}

/* Single quotes: the shell reads nothing inside; a quote itself is closed, escaped, opened. */
const quoted = (text) => `'${text.replace(/'/g, "'\\''")}'`;

export function curl({ state, base, withTests }) {
	const body = JSON.stringify(makeRequest(state, withTests));
	return `curl -sS ${quoted(new URL("run", base).href)} -H 'Content-Type: application/json' --data-binary ${quoted(body)}\n`;
}
