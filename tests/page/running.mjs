/* SPDX-License-Identifier: ISC */
/* A run and what is shown of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
	assert, finished, note, pictures, put, runIt, stderr, stdout, test, until, verdict,
} from "./harness.mjs";

const python = (c, more) => ({ l: "python3", c, ...more });

async function savedBytes(page, button) {
	const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
	return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
}

test("Ctrl+Enter runs, from the editor and from any field", async (box) => {
	const page = await box.page(python("print('run', input())", { i: "one\n" }));
	await page.locator(".cm-content").click();
	await page.keyboard.press("Control+Enter");
	await finished(page);
	assert.equal(await stdout(page), "run one\n");
	assert.equal(await page.locator("#code").inputValue(), "print('run', input())", "no line end was typed");
	await page.locator("#input").fill("two");
	await page.keyboard.press("Control+Enter");
	await until("the second answer", async () => await stdout(page).catch(() => "") === "run two\n");
});

test("output is shown as it comes, while the program still runs", async (box) => {
	const page = await box.page(python(
		"import sys, time\nprint('first', end='', flush=True)\ntime.sleep(12)\nprint(' second')\nsys.exit(0)", { w: "50" }));
	await page.locator("#run").click();
	await page.locator(".stream.stdout pre.out").getByText("first").waitFor();
	assert.ok(await page.locator("#cancel").isVisible(), "still running when the first word is there");
	assert.equal(await stdout(page), "first");
	await page.locator("#clock").getByText(/ s$/).waitFor();
	await finished(page);
	assert.equal(await stdout(page), "first second\n");
	assert.ok(await page.locator("#run").isVisible());
});

test("Cancel ends the run, keeps what was printed, and the next run works", async (box) => {
	const page = await box.page(python(
		"import itertools, time\nfor i in itertools.count():\n    print('line', i, flush=True)\n    time.sleep(0.2)\n", { w: "60" }));
	await page.locator("#run").click();
	await page.locator(".stream.stdout pre.out").getByText("line 2").waitFor();
	await page.locator("#cancel").click();
	await finished(page);
	assert.equal(await verdict(page), "Cancelled");
	assert.match(await stdout(page), /line 0\nline 1\nline 2/);
	await put(page, python("print('after')"));
	await runIt(page);
	assert.equal(await stdout(page), "after\n");
});

test("the verdict in words, with times, memory and exit code", async (box) => {
	const page = await box.page(python("print(1)"));
	await runIt(page);
	assert.equal(await verdict(page), "Finished");
	const figures = await page.locator(".figures").innerText();
	for (const word of ["time", "CPU", "memory", "in all"])
		assert.match(figures, new RegExp(`${word}\\s+[0-9.]+ (µs|ms|s|KiB|MiB)`), figures);
	await page.locator(".all summary").click();
	assert.match(await page.locator(".all").innerText(), /Limits[^]*Request/);

	await put(page, python("import sys\nsys.exit(3)"));
	await runIt(page);
	assert.equal(await verdict(page), "Failed");
	assert.match(await page.locator("#verdict").innerText(), /exit code 3/);

	await put(page, python("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"));
	await runIt(page);
	assert.equal(await verdict(page), "Failed");
	assert.match(await page.locator("#verdict").innerText(), /SIGSEGV/);

	await put(page, python(""));
	await runIt(page);
	assert.match(await page.locator("#sections").innerText(), /printed nothing/);
});

test("a time limit of one's own ends the run and is named", async (box) => {
	const page = await box.page(python("print('began', flush=True)\nwhile True: pass", { w: "4" }));
	await runIt(page);
	assert.equal(await verdict(page), "Out of time");
	assert.equal(await stdout(page), "began\n");
	assert.match(await page.locator("#verdict").innerText(), /\b4(000|\.0|\b)/);
});

test("a limit above what the server allows is refused with the field", async (box) => {
	const page = await box.page(python("print(1)", { w: "100000" }), { expected: { errors: /400/ } });
	await runIt(page);
	assert.equal(await verdict(page), "Not run");
	assert.equal(await page.locator("#wall").getAttribute("aria-invalid"), "true");
	await put(page, python("print(2)"));
	await runIt(page);
	assert.equal(await stdout(page), "2\n");
	assert.equal(await page.locator("#wall").getAttribute("aria-invalid"), null);
});

test("too much output is cut with a notice, and the page stays usable", async (box) => {
	const page = await box.page(python("import sys\nwhile True:\n    sys.stdout.write('x' * 79 + '\\n')\n"));
	await runIt(page);
	assert.equal(await verdict(page), "Too much output");
	await page.locator(".stream.stdout .vlist").waitFor();
	assert.match(await page.locator(".stream.stdout .note:not(.plain)").innerText(), /Long output/);
	assert.ok(await page.locator(".vlist .rows div").count() < 300);
	await put(page, python("print('fine')"));
	await runIt(page);
	assert.equal(await stdout(page), "fine\n");
});

test("long lines are wrapped or not, as chosen", async (box) => {
	const page = await box.page(python("print('word ' * 200)"));
	await runIt(page);
	const wide = () => page.locator(".stream.stdout pre.out").evaluate((node) => node.scrollWidth > node.clientWidth);
	assert.equal(await wide(), false);
	await page.locator("#settings summary").click();
	await page.getByRole("checkbox", { name: "Wrap long lines" }).uncheck();
	assert.equal(await wide(), true);
	await put(page, python("print('0123456789' * 30000 + 'END')"));
	await runIt(page);
	const rows = () => page.locator(".stream.stdout .rows div").count();
	await page.locator(".stream.stdout .vlist").waitFor();
	const long = await rows();
	await page.locator("#settings summary").click();
	await page.getByRole("checkbox", { name: "Wrap long lines" }).check();
	const first = page.locator(".stream.stdout .rows div").first();
	await until("shorter rows", () => first.evaluate((node) => node.textContent.length < 1000));
	assert.ok(long > 0 && await rows() > 0);
});

test("standard output and standard error are told apart", async (box) => {
	const page = await box.page(python("import sys\nprint('out')\nprint('err', file=sys.stderr)"));
	await runIt(page);
	assert.equal(await stdout(page), "out\n");
	assert.equal(await stderr(page), "err\n");
	assert.equal(await page.locator(".stream.stdout h3").innerText(), "Standard output");
	assert.equal(await page.locator(".stream.stderr h3").innerText(), "Standard error");
	const colour = (name) => page.locator(`.stream.${name} .out`).evaluate((node) => getComputedStyle(node).borderLeftColor);
	assert.notEqual(await colour("stdout"), await colour("stderr"));
	assert.deepEqual(await page.locator("#sections h3").allInnerTexts(), ["Standard output", "Standard error"]);
});

test("a program that does not compile shows the compiler's words", async (box) => {
	const page = await box.page({ l: "c", c: "int main(void) { return oops; }\n" });
	await runIt(page);
	assert.equal(await verdict(page), "Did not compile");
	assert.match(await page.locator(".stream.compiler pre.out").innerText(), /oops/);
	assert.equal(await page.locator(".stream.stdout, .stream.stderr").count(), 0, "said once");
	await put(page, { l: "c", c: "#include <stdio.h>\nint main(void) { puts(\"compiled\"); return 0; }\n" });
	await runIt(page);
	assert.equal(await stdout(page), "compiled\n");
	assert.match(await page.locator(".figures").innerText(), /compile/);
});

test("binary output is shown as hex, and the download holds every byte", async (box) => {
	const page = await box.page(python("import sys\nsys.stdout.buffer.write(bytes(range(256)))"));
	await runIt(page);
	const hex = page.locator(".stream.stdout .vlist .rows");
	await hex.getByText("000000f0").waitFor();
	assert.match(await hex.innerText(), /00000000 {2}00 01 02 03[^]*fc fd fe ff/);
	const { name, bytes } = await savedBytes(page, page.getByRole("button", { name: "Download Standard output" }));
	assert.equal(name, "stdout.bin");
	assert.deepEqual([...bytes], [...Array(256).keys()]);
	await page.locator(".stream.stdout select").selectOption("text");
	await page.locator(".stream.stdout pre.out").waitFor();
	assert.ok((await stdout(page)).includes(" !\"#$%&'()*+,-./0123456789"));
});

const pngProgram = `import sys, zlib, struct
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\\0" + bytes((y * 20, y * 20, 128)) for y in range(7))
sys.stdout.buffer.write(b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 7, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
`;

test("pictures that a program prints are shown when asked for", async (box) => {
	const page = await box.page(python(pngProgram));
	const natural = async () => {
		const image = page.locator(".stream.stdout img");
		await image.waitFor();
		return until("the picture", () => image.evaluate((node) => node.complete && node.naturalWidth > 0
			? [node.naturalWidth, node.naturalHeight] : null));
	};
	await runIt(page);
	assert.equal(await page.locator(".stream.stdout img").count(), 0, "not before it is asked for");
	await page.getByRole("button", { name: "Show it" }).click();
	assert.deepEqual(await natural(), [1, 7]);
	assert.ok(await page.locator(".stream.stdout img").getAttribute("alt"));

	await put(page, python("print('P3 2 2 255  255 0 0  0 255 0  0 0 255  9 9 9')"));
	await runIt(page);
	await page.locator(".stream.stdout select").selectOption("picture");
	assert.deepEqual(await natural(), [2, 2]);

	await put(page, python("print('<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"30\" height=\"20\" onload=\"top.pwned=1\">"
		+ "<script>top.pwned=1</script><rect width=\"9\" height=\"9\"/></svg>')"));
	await runIt(page);
	await page.locator(".stream.stdout select").selectOption("picture");
	assert.deepEqual(await natural(), [30, 20]);
	assert.equal(await page.evaluate(() => window.pwned), undefined, "a picture runs nothing");

	await put(page, python("import sys\nsys.stdout.buffer.write(b'\\x89PNG\\r\\n\\x1a\\n and then nothing of the kind')"));
	await runIt(page);
	await page.locator(".stream.stdout select").selectOption("picture");
	await page.locator(".stream.stdout .note:not(.plain)").getByText("not a picture").waitFor();
});

test("input, arguments and options reach the program", async (box) => {
	const page = await box.page(python("import sys\nprint(sys.argv[1:], __debug__)\nprint(repr(sys.stdin.read()))"));
	await page.locator("#input").fill("héllo\n\tworld");
	await page.locator("#tab-arguments").click();
	await page.locator("#arguments").fill("two words\n\n'quoted' $HOME `x` ☃\n");
	await page.locator("#tab-options").click();
	await page.locator("#options").fill("-O");
	await runIt(page);
	assert.equal(await stdout(page), "['two words', '', \"'quoted' $HOME `x` ☃\"] False\n'héllo\\n\\tworld'\n");
	for (const tab of ["tab-input", "tab-arguments", "tab-options"])
		assert.equal(await page.locator(`#${tab} .dot`).count(), 1, `${tab} is marked as filled`);
	assert.equal(await page.locator("#tab-tests .dot").count(), 0);
});

test("header and footer go around the code", async (box) => {
	const page = await box.page(python("print(x)"));
	await page.locator("#header-fold summary").click();
	await page.locator("#header").fill("x = 'from the header'");
	await page.locator("#footer-fold summary").click();
	await page.locator("#footer").fill("print('from the footer')");
	await runIt(page);
	assert.equal(await stdout(page), "from the header\nfrom the footer\n");
	assert.match(await page.locator("#count").innerText(), /^8 bytes/);
});

test("files that a program leaves can be had", async (box) => {
	const program = "open('data.bin', 'wb').write(bytes(range(256)))\nopen('note.txt', 'w').write('über\\n')\n";
	const page = await box.page(python(program, { k: "data.bin\nnote.txt\nabsent.txt\n" }));
	await runIt(page);
	const rows = page.locator(".file-list li");
	assert.equal(await rows.count(), 3);
	const data = await savedBytes(page, page.getByRole("button", { name: "Download data.bin" }));
	assert.equal(data.name, "data.bin");
	assert.deepEqual([...data.bytes], [...Array(256).keys()]);
	const text = await savedBytes(page, page.getByRole("button", { name: "Download note.txt" }));
	assert.equal(text.bytes.toString("utf8"), "über\n");
	assert.ok((await rows.nth(2).locator(".error").innerText()).length > 0, "the missing one says so");
});

/* Tests */

async function addCase(page, n, input, expected) {
	await page.locator("#tests-add").click();
	await page.locator(".case").nth(n).locator("[data-field=input]").fill(input);
	await page.locator(".case").nth(n).locator("[data-field=expected]").fill(expected);
}

test("tests: each case by itself, the difference line by line", async (box) => {
	const page = await box.page(python("for i in range(int(input())):\n    print('line', i)\n"));
	await page.locator("#tab-tests").click();
	await addCase(page, 0, "3", "line 0\nline 1\nline 2\n");
	await addCase(page, 1, "4", "line 0\nline one\nline 2\nline 3\nline 4\n");
	await addCase(page, 2, "x", "never");
	await page.locator("#tests-run").click();
	await finished(page);
	assert.match(await page.locator("#verdict").innerText(), /1 of 3 tests passed/);
	const verdicts = page.locator(".case .verdict");
	assert.deepEqual(await verdicts.allInnerTexts(), ["passed", "Wrong answer", "Failed"]);
	assert.equal(await page.locator(".case").nth(0).locator(".diff").count(), 0);
	const lines = (kind) => page.locator(".case").nth(1).locator(`.diff .${kind}`)
		.evaluateAll((nodes) => nodes.map((node) => node.lastChild.textContent));
	assert.deepEqual(await lines("minus"), ["line one", "line 4"]);
	assert.deepEqual(await lines("plus"), ["line 1"]);
	assert.match(await page.locator(".case").nth(2).locator(".result").innerText(), /ValueError/);
	/* A control character that makes the difference can be seen. */
	await put(page, python("print('a\\x1b[0mb')", { t: [{ x: "ab\n" }] }));
	await page.locator("#tests-run").click();
	await finished(page);
	assert.equal(await page.locator(".diff .plus").evaluate((node) => node.lastChild.textContent), "a␛[0mb");
});

test("tests: cases can be removed and changed, and run by keyboard", async (box) => {
	const page = await box.page(python("for i in range(int(input())):\n    print('line', i)\n"));
	await page.locator("#tab-tests").click();
	await addCase(page, 0, "3", "line 0\nline 1\nline 2\n");
	await addCase(page, 1, "4", "other");
	await addCase(page, 2, "x", "never");

	await page.locator(".case").nth(2).getByRole("button", { name: "Remove test 3" }).click();
	await page.locator(".case").nth(1).locator("[data-field=expected]").fill("line 0  \nline 1\nline 2\nline 3\n");
	await page.locator(".cm-content").click();
	await page.keyboard.press("Control+Shift+Enter");
	await finished(page);
	await page.locator("#verdict").getByText("2 of 2 tests passed").waitFor();
	assert.equal(await verdict(page), "Finished");

	await page.locator("#compare").selectOption("exact");
	await page.locator("#tests-run").click();
	await finished(page);
	await page.locator("#verdict").getByText("1 of 2 tests passed").waitFor();
	assert.equal(await verdict(page), "Wrong answer");
});

test("tests: compiled once for all of them, with arguments of their own", async (box) => {
	const program = "#include <stdio.h>\nint main(int argc, char **argv) { puts(argc > 1 ? argv[1] : \"none\"); return 0; }\n";
	const page = await box.page({ l: "c", c: program, t: [{ x: "none" }, { a: "second word", x: "second word" }] });
	let posts = 0;
	let answer = "";
	await page.route("**/run", async (route) => {
		posts++;
		const response = await route.fetch();
		answer = await response.text();
		return route.fulfill({ response, body: answer });
	});
	await page.locator("#tab-tests").click();
	await page.locator("#tests-run").click();
	await finished(page);
	await page.locator("#verdict").getByText("2 of 2 tests passed").waitFor();
	const stages = answer.split("\n").filter((line) => line.startsWith("{"))
		.map((line) => JSON.parse(line)).filter((event) => event.stage).map((event) => event.stage);
	assert.equal(posts, 1);
	assert.deepEqual(stages, ["compile", "run", "run"]);
});

test("tests: without a case there is a hint, not a run", async (box) => {
	const page = await box.page(python("print(1)"));
	let posts = 0;
	page.on("request", (request) => { posts += request.method() === "POST" ? 1 : 0; });
	await page.keyboard.press("Control+Shift+Enter");
	await page.locator("#flash").getByText("Add a test").waitFor();
	assert.ok(await page.locator("#panel-tests").isVisible());
	assert.equal(posts, 0);
});

/* What a server says that does not run anything. Made up here, where it comes at will. */

const refuse = (page, status, error, headers) => page.route("**/run", (route) => route.fulfill({
	status, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify({ error }),
}));

test("busy: the wait is named; a key that is asked for can be given", async (box) => {
	const page = await box.page(python("print(1)"), { expected: { errors: /503|401/ } });
	await refuse(page, 503, { code: "busy", message: "every box is taken" }, { "Retry-After": "2" });
	await runIt(page);
	assert.equal(await verdict(page), "Not run");
	assert.match(await page.locator("#verdict").innerText(), /every box is taken[^]*Try again in 2 s/);

	await page.unroute("**/run");
	await refuse(page, 401, { code: "unauthorized", message: "a key is needed" });
	await runIt(page);
	await page.locator("#api-key").fill("secret-key");
	await page.keyboard.press("Escape");
	await page.unroute("**/run");
	let key = null;
	await page.route("**/run", (route) => {
		key = route.request().headers()["x-api-key"];
		return route.continue({ headers: { ...route.request().headers(), "x-api-key": undefined } });
	});
	await runIt(page);
	assert.equal(key, "secret-key");
	assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("secret-key")), false);
});

test("a connection that ends midway is said to have ended", async (box) => {
	const page = await box.page(python("print(1)"));
	await page.route("**/run", (route) => route.fulfill({
		headers: { "Content-Type": "application/x-ndjson" },
		body: '{"start":{"id":"x","language":"python3","version":"3"}}\n{"stage":"run"}\n{"stdout":"half"}\n',
	}));
	await runIt(page);
	assert.match(await page.locator("#verdict").innerText(), /may have run/);
	assert.equal(await stdout(page), "half");
});

test("an error inside the stream, and an answer that is none, are shown as such", async (box) => {
	const page = await box.page(python("print(1)"));
	await page.route("**/run", (route) => route.fulfill({
		headers: { "Content-Type": "application/x-ndjson" },
		body: '{"start":{"id":"x"}}\n\n{"error":{"code":"internal","message":"the box broke","request_id":"r77"}}\n',
	}));
	await runIt(page);
	assert.match(await page.locator("#verdict").innerText(), /the box broke[^]*r77/);
	await page.unroute("**/run");
	await page.route("**/run", (route) => route.fulfill({ headers: { "Content-Type": "text/html" }, body: "<h1>hello</h1>" }));
	await runIt(page);
	assert.match(await page.locator("#verdict").innerText(), /could not be read/);
	note("the page took both without an error of its own");
});
