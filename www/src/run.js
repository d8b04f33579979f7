/* SPDX-License-Identifier: ISC */
/* One run: posts the request and hands on the events as they come. */

export class RunError extends Error {
	constructor(error, retry) {
		super(error.message || "");
		this.error = error;
		this.retry = retry;
	}
}

/* So often the page may draw and listen, however fast a stream comes. */
const PAUSE_MS = 40;
const pause = () => new Promise((resume) => setTimeout(resume));

async function failure(answer) {
	let error = {};
	try {
		const body = await answer.json();
		error = body.error && typeof body.error === "object" ? body.error : { message: String(body.error || "") };
	} catch { /* not ours: the status has to do */ }
	if (!error.message)
		error = { ...error, message: `HTTP ${answer.status}` };
	return new RunError({ ...error, status: answer.status }, Number(answer.headers.get("Retry-After")) || 0);
}

async function readLines(body, signal, onLine) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = [];
	let last = performance.now();
	for (;;) {
		const { done, value } = await reader.read();
		if (done)
			break;
		let from = 0;
		for (let at = value.indexOf("\n"); at !== -1; at = value.indexOf("\n", from)) {
			rest.push(value.slice(from, at));
			onLine(rest.join(""));
			rest = [];
			from = at + 1;
			if (performance.now() - last > PAUSE_MS) {
				await pause();
				signal.throwIfAborted();
				last = performance.now();
			}
		}
		rest.push(value.slice(from));
	}
	onLine(rest.join(""));
}

/* Resolves when the stream has ended; throws RunError for an error in our shape. */
export async function run(request, { key, signal, onEvent }) {
	const answer = await fetch("run", {
		method: "POST",
		headers: {
			"Content-Type": "application/json",
			Accept: "application/x-ndjson",
			...(key ? { "X-API-Key": key } : {}),
		},
		body: JSON.stringify(request),
		signal,
	});
	if (!answer.ok)
		throw await failure(answer);
	let closed = false;
	await readLines(answer.body, signal, (line) => {
		if (line.trim() === "")
			return;
		const event = JSON.parse(line);
		if (event.error)
			throw new RunError(event.error, 0);
		if (event.done)
			closed = true;
		onEvent(event);
	});
	if (!closed)
		throw new RunError({ code: "lost", message: "" }, 0);
}
