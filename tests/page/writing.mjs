/* SPDX-License-Identifier: ISC */
/* Choosing a language, writing code, and what the page remembers. */
import { assert, base, codeOf, put, ready, runIt, stdout, test, until } from "./harness.mjs";

test("picker: search and choose by keyboard alone", async (box) => {
	const page = await box.page();
	await page.locator("#language-button").focus();
	await page.keyboard.press("Enter");
	await page.locator("#picker[open]").waitFor();
	assert.equal(await page.evaluate(() => document.activeElement.id), "picker-search");
	const all = await page.locator("#picker-list [role=option]").count();
	assert.ok(all > 3);

	await page.keyboard.type("BASH");
	await until("a shorter list", async () => await page.locator("#picker-list [role=option]").count() < all);
	assert.match(await page.locator("#picker-list [aria-selected=true]").innerText(), /^Bash/);
	assert.match(await page.locator("#picker-count").innerText(), /^\d+ languages?$/);
	await page.keyboard.press("Enter");
	await page.locator("#picker").waitFor({ state: "hidden" });
	assert.match(await page.locator("#language-button").innerText(), /Bash/);
	assert.equal(await page.locator("#language").inputValue(), "bash");
	assert.equal(await page.evaluate(() => document.activeElement.id), "language-button");

	await page.keyboard.press("Enter");
	await page.locator("#picker[open]").waitFor();
	const active = () => page.locator("#picker-search").getAttribute("aria-activedescendant");
	const first = await active();
	await page.keyboard.press("ArrowDown");
	await page.keyboard.press("ArrowDown");
	assert.notEqual(await active(), first);
	await page.keyboard.press("ArrowUp");
	await page.keyboard.press("ArrowUp");
	assert.equal(await active(), first);
	await page.keyboard.type("no such language");
	await page.locator("#picker-count").getByText("No language").waitFor();
	await page.keyboard.press("Enter");
	assert.ok(await page.locator("#picker").isVisible(), "nothing to choose");
	await page.keyboard.press("Escape");
	await page.locator("#picker").waitFor({ state: "hidden" });
	assert.equal(await page.locator("#language").inputValue(), "bash", "Escape changes nothing");
});

test("picker: an alias finds its language, a click chooses it", async (box) => {
	const page = await box.page();
	const list = await (await page.request.get(`${base}api/languages`)).json();
	const entry = list.find((one) => one.aliases.length && one.id !== "python3");
	await page.locator("#language-button").click();
	await page.locator("#picker-search").fill(entry.aliases[0]);
	await page.locator("#picker-list [role=option]", { hasText: entry.name }).first().click();
	assert.equal(await page.locator("#language").inputValue(), entry.id);
});

test("examples: one for each language, replaced while untouched, kept once touched", async (box) => {
	const page = await box.page();
	const list = new Map((await (await page.request.get(`${base}api/languages`)).json()).map((one) => [one.id, one]));
	const choose = async (id) => {
		await page.locator("#language-button").click();
		await page.locator("#picker-search").fill(id);
		await page.keyboard.press("Enter");
		await until(id, async () => await page.locator("#language").inputValue() === id);
	};
	const text = (value) => typeof value === "string" ? value : Buffer.from(value.base64, "base64").toString();
	await choose("bash");
	assert.equal(await codeOf(page), text(list.get("bash").example.code));
	await choose("python3");
	assert.equal(await codeOf(page), text(list.get("python3").example.code));
	await runIt(page);
	assert.equal(await stdout(page), text(list.get("python3").example.output));

	await page.locator(".cm-content").fill("mine = 1");
	await choose("bash");
	assert.equal(await codeOf(page), "mine = 1", "one's own code stays");
	await page.locator("#example").click();
	assert.equal(await codeOf(page), text(list.get("bash").example.code));
	await page.locator(".cm-content").click();
	await page.keyboard.press("Control+z");
	assert.equal(await codeOf(page), "mine = 1", "undo brings it back");
});

test("editor: comes by itself after the page, with the language's colours", async (box) => {
	const page = await box.page({ l: "python3", c: "def f(x):\n    return 'text' # remark\n" });
	for (const name of ["keyword", "string", "comment"])
		await page.locator(`.cm-content .tok-${name}`).first().waitFor();
	assert.equal(await page.locator(".cm-lineNumbers .cm-gutterElement").filter({ hasText: /^2$/ }).count(), 1);
	const colour = await page.locator(".tok-keyword").first().evaluate((node) => getComputedStyle(node).color);
	const plain = await page.locator(".cm-content").evaluate((node) => getComputedStyle(node).color);
	assert.notEqual(colour, plain);
	await put(page, { l: "bash", c: "if true; then echo \"$HOME\"; fi\n" });
	await page.locator(".cm-content .tok-keyword, .cm-content .tok-string").first().waitFor();
});

test("editor: typing over coloured text, by keys and by words at once, keeps to the policy", async (box) => {
	const page = await box.page({ l: "python3", c: "def f(x):\n    return 'text' # remark\n" });
	await page.locator(".cm-content .tok-keyword").first().waitFor();
	await page.locator(".cm-content").click();
	await page.keyboard.press("Control+a");
	await page.keyboard.type("import os");
	assert.equal(await codeOf(page), "import os");
	await page.keyboard.press("Control+z");
	await page.keyboard.press("Shift+Control+Home");
	await page.keyboard.insertText("whole words ☃");
	await until("the words", async () => (await page.locator("#code").inputValue()).includes("whole words ☃"));
	await page.locator(".cm-content").fill("x = 'filled'");
	assert.equal(await codeOf(page), "x = 'filled'");
	assert.equal(await page.locator(".cm-content [style*=color]").count(), 0);
});

test("editor: every mode that a language here names can be loaded", async (box) => {
	const failed = [];
	const context = await box.context();
	const page = await context.newPage();
	page.on("requestfailed", (request) => failed.push(request.url()));
	page.on("response", (response) => {
		if (response.status() >= 400)
			failed.push(`${response.status()} ${response.url()}`);
	});
	await page.goto(base);
	await ready(page);
	const list = await (await page.request.get(`${base}api/languages`)).json();
	const byMode = new Map(list.map((one) => [one.editor, one.id]));
	for (const id of byMode.values()) {
		const code = `x ${id}`;
		await put(page, { l: id, c: code });
		await until(id, async () => (await page.locator(".cm-content").innerText()).includes(code));
	}
	assert.deepEqual(failed, []);
});

test("editor: can be switched off for the plain field, and on again", async (box) => {
	const page = await box.page({ l: "python3", c: "print('kept')" });
	await page.locator("#settings summary").click();
	await page.getByRole("radio", { name: "Plain field" }).check();
	await page.locator("#code").waitFor();
	assert.equal(await page.locator(".cm-content").count(), 0);
	assert.equal(await page.locator("#code").inputValue(), "print('kept')");
	await page.locator("#code").fill("print('changed')");
	await runIt(page);
	assert.equal(await stdout(page), "changed\n");
	await page.reload();
	await page.locator("#language-button").waitFor();
	assert.ok(await page.locator("#code").isVisible(), "the choice is kept");
	await page.locator("#settings summary").click();
	await page.getByRole("radio", { name: "With colours" }).check();
	await page.locator(".cm-content").getByText("changed").waitFor();
});

test("counter: bytes and characters", async (box) => {
	const page = await box.page({ l: "python3", c: "aé☃😀\n" });
	assert.equal(await page.locator("#count").innerText(), "11 bytes, 5 characters");
	await page.locator(".cm-content").fill("x");
	await page.locator("#count").getByText("1 byte, 1 character").waitFor();
	await page.locator("#code-encoding").selectOption("latin1");
	await page.locator(".cm-content").fill("é÷");
	await page.locator("#count").getByText("2 bytes, 2 characters").waitFor();
	await page.locator("#code-encoding").selectOption("hex");
	await page.locator(".cm-content").getByText("e9 f7").waitFor();
	assert.equal(await page.locator("#count").innerText(), "2 bytes");
});

test("encodings: what does not fit stays, and is named", async (box) => {
	const page = await box.page({ l: "python3", c: "☃" });
	await page.locator("#code-encoding").selectOption("latin1");
	await page.locator("#flash").getByText("Latin-1 has no character").waitFor();
	assert.equal(await page.locator("#code-encoding").inputValue(), "utf8");
	await put(page, { l: "python3", c: ["hex", "0d 0a ff"] });
	for (const encoding of ["utf8", "latin1"]) {
		await page.locator("#code-encoding").selectOption(encoding);
		await page.locator("#flash").getByText("cannot be written").waitFor();
		assert.equal(await page.locator("#code-encoding").inputValue(), "hex");
	}
	await put(page, { l: "python3", c: ["hex", "0"] });
	await runIt(page);
	assert.match(await page.locator("#verdict").innerText(), /not hex/);
});

test("Latin-1 code is run as one byte for each character", async (box) => {
	const page = await box.page({ l: "bash", c: ["latin1", "printf '%s' 'é÷' | od -An -tx1"] });
	await runIt(page);
	assert.equal((await stdout(page)).trim(), "e9 f7");
});

test("Tab key: indents or moves on, as chosen; Escape, then Tab always moves on", async (box) => {
	const page = await box.page({ l: "python3", c: "x" });
	const inEditor = () => page.evaluate(() => Boolean(document.activeElement.closest(".cm-editor")));
	await page.locator(".cm-content").click();
	await page.keyboard.press("Control+Home");
	await page.keyboard.press("Tab");
	assert.ok(await inEditor());
	assert.match(await codeOf(page), /^\s+x$/);
	await page.keyboard.press("Escape");
	await page.keyboard.press("Tab");
	assert.ok(!await inEditor(), "no trap");

	await page.locator("#tab-switch").click();
	assert.equal(await page.locator("#tab-switch").innerText(), "Tab: moves on");
	const before = await codeOf(page);
	await page.locator(".cm-content").click();
	await page.keyboard.press("Tab");
	assert.ok(!await inEditor());
	assert.equal(await codeOf(page), before);
	await page.reload();
	await ready(page);
	assert.equal(await page.locator("#tab-switch").innerText(), "Tab: moves on", "the choice is kept");
});

test("history: runs are listed, one opens without running, the list can be cleared", async (box) => {
	const page = await box.page({ l: "python3", c: "print('first')" });
	await runIt(page);
	await put(page, { l: "python3", c: "import sys; sys.exit(1)" });
	await runIt(page);
	await page.reload();
	await ready(page);
	let posts = 0;
	page.on("request", (request) => { posts += request.method() === "POST" ? 1 : 0; });
	await page.locator("#history summary").click();
	const rows = page.locator("#history-list li");
	await until("both runs", async () => await rows.count() === 2);
	assert.match(await rows.nth(0).innerText(), /Failed[^]*sys\.exit/);
	assert.match(await rows.nth(1).innerText(), /Finished[^]*first/);
	await rows.nth(1).locator("button").click();
	await until("the first program", async () => await page.locator("#code").inputValue() === "print('first')");
	assert.equal(posts, 0);
	await page.locator("#history summary").click();
	await page.locator("#history-clear").click();
	assert.equal(await rows.count(), 0);
	assert.ok(await page.locator("#history-empty").isVisible());
});

test("history: can be switched off", async (box) => {
	const page = await box.page({ l: "python3", c: "print('unseen')" });
	await page.locator("#settings summary").click();
	await page.getByRole("checkbox", { name: "Keep a list of runs" }).uncheck();
	await page.keyboard.press("Escape");
	await runIt(page);
	assert.equal(await page.evaluate(() => localStorage.getItem("sandpool.history")), null);
});

test("the page works where a browser refuses to remember anything", async (box) => {
	const context = await box.context();
	await context.addInitScript(() => {
		for (const name of ["localStorage", "sessionStorage"])
			Object.defineProperty(window, name, { get() { throw new DOMException("refused", "SecurityError"); } });
	});
	const page = await context.newPage();
	await page.goto(base);
	await ready(page);
	await page.locator(".cm-content").fill("print('forgetful')");
	await runIt(page);
	assert.equal(await stdout(page), "forgetful\n");
});
