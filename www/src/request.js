/* SPDX-License-Identifier: ISC */
/* From what stands in the form to the request that the server reads. */
import { concat, fieldBytes, jsonBytes } from "./bytes.js";

/* One a line; the line end after the last one begins no further one. */
export function lines(text) {
	if (text === "")
		return [];
	return text.replace(/\n$/, "").split("\n");
}

/* The program as it is run: the header and the footer around the code. */
export function program(state) {
	const encoding = state.code.encoding === "latin1" ? "latin1" : "utf8";
	const parts = [];
	if (state.header)
		parts.push(fieldBytes({ text: `${state.header}\n`, encoding }));
	parts.push(fieldBytes(state.code));
	if (state.footer)
		parts.push(fieldBytes({ text: `\n${state.footer}`, encoding }));
	return concat(parts);
}

export function makeRequest(state, withTests) {
	const request = { language: state.language, code: jsonBytes(program(state)) };
	const input = fieldBytes(state.input);
	if (input.length && !withTests)
		request.input = jsonBytes(input);
	for (const name of ["arguments", "options"])
		if (state[name])
			request[name] = lines(state[name]);
	const limits = {};
	if (state.wall)
		limits.wall_ms = Math.round(Number(state.wall) * 1000);
	if (state.memory)
		limits.memory_bytes = Math.round(Number(state.memory) * 1048576);
	if (Object.keys(limits).length)
		request.limits = limits;
	if (withTests) {
		request.tests = state.tests.map((test) => ({
			input: test.input,
			...(test.arguments ? { arguments: lines(test.arguments) } : {}),
			...(test.expected ? { expected: test.expected } : {}),
			...(test.name ? { name: test.name } : {}),
		}));
		request.compare = state.compare || "trailing-space";
	} else if (lines(state.collect).some(Boolean)) {
		request.collect = lines(state.collect).filter(Boolean);
	}
	return request;
}

export const codeBytes = (state) => fieldBytes(state.code).length;
