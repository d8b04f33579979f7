/* SPDX-License-Identifier: ISC */
/* The page in an address, and the forms in which it is copied elsewhere. */
import { spawnSync } from "node:child_process";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import {
	assert, base, codeOf, finished, linkOf, note, origin, put, ready, runIt, stdout, test, until,
} from "./harness.mjs";

const hashOf = (page) => page.evaluate(() => location.hash.slice(1));
const unpack = (hash) => {
	assert.equal(hash[0], "1");
	assert.match(hash, /^[A-Za-z0-9_-]+$/);
	return JSON.parse(inflateRawSync(Buffer.from(hash.slice(1), "base64url")).toString("utf8"));
};

test("permalink: kept current while typing, without a new entry in the browser's history", async (box) => {
	const page = await box.page({ l: "python3", c: "a" });
	const before = await page.evaluate(() => history.length);
	await page.locator(".cm-content").fill("b = 'ünïcödé ☃ 😀'");
	await until("the code", async () => unpack(await hashOf(page)).c === "b = 'ünïcödé ☃ 😀'");
	await page.locator("#input").fill("typed");
	await until("the input", async () => unpack(await hashOf(page)).i === "typed");
	await page.locator("#tab-options").click();
	await page.locator("#wall").fill("2.5");
	await until("the limit", async () => unpack(await hashOf(page)).w === "2.5");
	assert.equal(await page.evaluate(() => history.length), before);
});

test("permalink: everything in the form comes back, and nothing runs (threat 170)", async (box) => {
	const state = {
		l: "bash", c: "echo\n", i: "in\n\n", h: "head", f: "foot", a: "one\n two", o: "-e", w: "3", m: "64",
		k: "out.txt", p: "exact", t: [{ n: "name", i: "1\n", a: "x", x: "y\n" }, { i: "2" }],
	};
	const context = await box.context();
	const page = await context.newPage();
	let posts = 0;
	page.on("request", (request) => { posts += request.method() === "POST" ? 1 : 0; });
	await page.goto(`${base}#${linkOf(state)}`);
	await ready(page);
	const expected = {
		code: "echo\n", input: "in\n\n", header: "head", footer: "foot", arguments: "one\n two", options: "-e",
		wall: "3", memory: "64", collect: "out.txt", compare: "exact",
	};
	for (const [id, value] of Object.entries(expected))
		assert.equal(await page.locator(`#${id}`).inputValue(), value, id);
	assert.equal(await page.locator("#language").inputValue(), "bash");
	assert.equal(await page.locator(".case").count(), 2);
	await page.locator("#input").evaluate((node) => node.dispatchEvent(new Event("input", { bubbles: true })));
	await page.waitForTimeout(600);
	assert.deepEqual(unpack(await hashOf(page)), state, "and the page makes the same link of it");

	await page.reload();
	await ready(page);
	await page.evaluate((hash) => { location.hash = hash; }, linkOf({ l: "python3", c: "print('other')" }));
	await until("the other link", async () => await page.locator("#code").inputValue() === "print('other')");
	await page.waitForTimeout(500);
	assert.equal(posts, 0, "opening, reloading and changing a link never runs it");
	assert.match(await page.locator("#notice").innerText(), /Nothing has run/);
});

test("permalink: every byte value, in code and in input, there and back and through a run", async (box) => {
	const hex = [...Array(256).keys()].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
	const page = await box.page({ l: "bash", c: "od -An -v -tx1", i: ["hex", hex] });
	await runIt(page);
	assert.equal((await stdout(page)).replace(/\s+/g, " ").trim(), hex);

	/* By the page's own hand: typed, linked, opened elsewhere. */
	await page.locator("#code-encoding").selectOption("hex");
	await page.locator(".cm-content").fill(hex);
	await until("the link", async () => unpack(await hashOf(page)).c?.[1] === hex);
	const link = await hashOf(page);
	const other = await box.context();
	const opened = await other.newPage();
	await opened.goto(`${base}#${link}`);
	await ready(opened);
	assert.equal(await opened.locator("#code-encoding").inputValue(), "hex");
	assert.equal(await codeOf(opened), hex);
	assert.equal(await opened.locator("#input").inputValue(), hex);
	let sent = null;
	await opened.route("**/run", (route) => {
		sent = JSON.parse(route.request().postData());
		return route.fulfill({ status: 503, contentType: "application/json", body: '{"error":{"message":"only looked at"}}' });
	});
	box.options.expected = { errors: /503/ };
	await opened.evaluate(() => { console.clear(); });
	await opened.locator("#run").click();
	await finished(opened);
	const all = Buffer.from([...Array(256).keys()]);
	assert.ok(Buffer.from(sent.code.base64, "base64").equals(all), "code as it is sent");
	assert.ok(Buffer.from(sent.input.base64, "base64").equals(all), "input as it is sent");
}, { expected: { errors: /503/ } });

test("permalink: every byte value by itself, and every character that a field can hold", async (box) => {
	const page = await box.page({ l: "python3", c: "start" });
	for (let byte = 0; byte < 256; byte += 1) {
		const code = ["hex", byte.toString(16).padStart(2, "0")];
		await put(page, { l: "python3", c: code, i: code });
		if (byte % 16 === 0) {
			await page.locator("#header").evaluate((node) => node.dispatchEvent(new Event("input", { bubbles: true })));
			await until("the link", async () => JSON.stringify(unpack(await hashOf(page)).c) === JSON.stringify(code));
		}
	}
	/* As text: everything but CR, which a field turns into LF; lone halves of pairs as well. */
	let text = "";
	for (let code = 0; code < 0x3000; code += 1)
		if (code !== 0x0d)
			text += String.fromCharCode(code);
	text += "😀\u{10ffff}\ufeff\uffff";
	await put(page, { l: "python3", c: text, i: text });
	await page.locator("#header").evaluate((node) => {
		node.value = "now";
		node.dispatchEvent(new Event("input", { bubbles: true }));
	});
	const packed = await until("the link", async () => {
		const now = unpack(await hashOf(page));
		return now.h === "now" ? now : null;
	});
	assert.ok(packed.c === text, "code");
	assert.ok(packed.i === text, "input");
});

test("permalink: line ends that a field cannot hold open as bytes", async (box) => {
	const page = await box.page({ l: "bash", c: "od -An -v -tx1\n", i: "a\r\nb\rc" });
	assert.equal(await page.locator("#input-encoding").inputValue(), "hex");
	assert.equal(await page.locator("#input").inputValue(), "61 0d 0a 62 0d 63");
	await runIt(page);
	assert.equal((await stdout(page)).trim(), "61 0d 0a 62 0d 63");
	await put(page, { l: "bash", c: ["latin1", "echo \u00ff\n"], i: ["latin1", "\u00e9\r"] });
	assert.equal(await page.locator("#code-encoding").inputValue(), "latin1");
	assert.equal(await page.locator("#input").inputValue(), "e9 0d");
});

test("permalink: a browser without compression writes and reads plain links, and says so", async (box) => {
	const context = await box.context();
	await context.addInitScript(() => {
		delete window.CompressionStream;
		delete window.DecompressionStream;
	});
	const page = await context.newPage();
	await page.goto(base);
	await ready(page);
	await page.locator(".cm-content").fill("print('no streams')");
	const hash = await until("a plain link", async () => {
		const now = await hashOf(page);
		return now.startsWith("0") ? now : null;
	});
	assert.equal(JSON.parse(Buffer.from(hash.slice(1), "base64url")).c, "print('no streams')");
	await page.goto("about:blank");
	await page.goto(`${base}#${hash}`);
	await ready(page);
	assert.equal(await codeOf(page), "print('no streams')");
	await page.goto("about:blank");
	await page.goto(`${base}#${linkOf({ l: "python3", c: "x" })}`);
	await page.locator("#notice").getByText("cannot open compressed links").waitFor();
	const modern = await box.page();
	await modern.evaluate((link) => { location.hash = link; }, hash);
	await until("the plain link", async () => await modern.locator("#code").inputValue() === "print('no streams')");
});

test("permalink: those of sandpool run --link open here", async (box) => {
	const linked = (code, options = [], words = []) => {
		const ran = spawnSync("sandpool",
			["run", "--link", "--url", base, "-l", "bash", ...options, "-", ...words], { input: code });
		assert.equal(ran.status, 0, String(ran.stderr));
		return String(ran.stdout).trimEnd();
	};
	const opened = async (link) => {
		assert.ok(link.startsWith(`${base}#`), link);
		const page = await (await box.context()).newPage();
		await page.goto(link);
		await ready(page);
		return page;
	};
	const code = "echo 'ünïcödé ☃ 😀 ??>>~~' \"$@\"\n";
	const page = await opened(linked(code, ["-o", "-e", "-o", "-u", "-C", "out.txt"], ["a b", "c"]));
	const expected = { code, language: "bash", arguments: "a b\nc", options: "-e\n-u", collect: "out.txt", input: "" };
	for (const [id, value] of Object.entries(expected))
		assert.equal(await page.locator(`#${id}`).inputValue(), value, id);
	assert.match(await page.locator("#notice").innerText(), /Nothing has run/);
	await runIt(page);
	assert.equal(await stdout(page), "ünïcödé ☃ 😀 ??>>~~ a b c\n");

	/* No UTF-8, and what a field would change. */
	const bytes = Buffer.from([...Buffer.from("# "), ...[...Array(256).keys()].filter((byte) => byte !== 10)]);
	const other = await opened(linked(bytes));
	assert.equal(await other.locator("#code-encoding").inputValue(), "hex");
	assert.ok(Buffer.from((await codeOf(other)).replace(/\s/g, ""), "hex").equals(bytes), "every byte but LF");
});

test("permalink: damaged, foreign and bloated links are refused, and the page works on", async (box) => {
	const page = await box.page({ l: "python3", c: "print('still here')" });
	const bomb = deflateRawSync(Buffer.from(`{"l":"python3","c":"${"x".repeat(30 << 20)}"}`)).toString("base64url");
	note(`a link of ${bomb.length} characters that unfolds to 30 MiB`);
	for (const link of ["1AAAA", "9abc", "1", "!!!", `1${bomb}`, "0bm90IGpzb24",
		`0${Buffer.from("[1,2]").toString("base64url")}`, `0${Buffer.from("null").toString("base64url")}`]) {
		await page.evaluate(() => { document.getElementById("notice").hidden = true; });
		await page.evaluate((hash) => { location.hash = hash; }, link);
		await page.locator("#notice").getByText("damaged").waitFor();
	}
	/* Right in form, wrong in every type. */
	await page.evaluate((hash) => { location.hash = hash; },
		linkOf({ l: 7, c: { a: 1 }, i: ["other", 5], t: [1, null, { i: 3 }], w: [] }));
	await page.locator("#notice").getByText("Opened from a link").waitFor();
	await put(page, { l: "python3", c: "print('still here')" });
	await runIt(page);
	assert.equal(await stdout(page), "still here\n");
	assert.ok(await page.locator("#notice").isHidden(), "something has run now");
});

test("permalink: too long for a link is said, and the rest works", async (box) => {
	const page = await box.page({ l: "python3", c: "x" });
	await page.locator("#input").evaluate((node) => {
		let text = "";
		for (let seed = 1, i = 0; i < 400000; i++) {
			seed = (seed * 48271) % 2147483647;
			text += String.fromCharCode(33 + seed % 90);
		}
		node.value = text;
		node.dispatchEvent(new Event("input", { bubbles: true }));
	});
	await page.locator("#notice").getByText("Too long for a link").waitFor();
	await page.locator("#input").fill("");
	await until("the notice to go", async () => page.locator("#notice").isHidden());
});

async function copied(page, word) {
	await page.evaluate(() => navigator.clipboard.writeText(""));
	await page.locator("#share summary").click();
	await page.getByRole("button", { name: word }).click();
	await page.locator("#flash").getByText("Copied").waitFor();
	return until("the clipboard", () => page.evaluate(() => navigator.clipboard.readText()));
}

async function withClipboard(box, state) {
	const context = await box.context();
	await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
	const page = await context.newPage();
	await page.goto(`${base}#${linkOf(state)}`);
	await ready(page);
	return page;
}

test("copy: as link and as Markdown", async (box) => {
	const code = "print('``` <b> ☃')\n";
	const page = await withClipboard(box, { l: "python3", c: code, i: "in" });
	await runIt(page);
	const link = await copied(page, "Copy link");
	assert.ok(link.startsWith(`${base}#1`), link);
	assert.equal(unpack(link.split("#")[1]).c, code);
	const markdown = await copied(page, "Copy as Markdown");
	assert.ok(markdown.includes(`\n\`\`\`\`python\n${code}\`\`\`\`\n`), markdown);
	assert.ok(markdown.includes("\n````\n``` <b> ☃\n````\n"), "with the output");
	assert.ok(markdown.includes(`](${base}#1`));
});

test("copy: as curl, which really runs", async (box) => {
	const page = await withClipboard(box, {
		l: "python3", c: "import sys\nprint(sys.argv[1:], 'it''s', \"$HOME `id`\", input())\n", i: "☃ 'in'\n", a: "a b\n'c'",
	});
	const command = await copied(page, "Copy as curl");
	assert.ok(command.startsWith("curl "), command);
	const ran = spawnSync("bash", ["-c", command], { encoding: "utf8" });
	assert.equal(ran.status, 0, ran.stderr);
	assert.equal(JSON.parse(ran.stdout).stdout, "['a b', \"'c'\"] its $HOME `id` ☃ 'in'\n");
});

test("copy: as code-golf post, with the count of the code alone", async (box) => {
	const page = await withClipboard(box, { l: "python3", c: "print('é')", h: "# head" });
	const post = await copied(page, "Copy as code-golf post");
	assert.match(post, /^# Python[^\n]*, 11 bytes\n\n```python\nprint\('é'\)\n```\n/);
	assert.ok(post.includes(`](${base}#1`));
});

test("copy: works without the clipboard object, as on a page by plain HTTP", async (box) => {
	const context = await box.context();
	await context.addInitScript(() => {
		Object.defineProperty(navigator, "clipboard", { value: undefined });
		document.addEventListener("copy", () => { window.copiedText = String(document.activeElement.value); });
	});
	const page = await context.newPage();
	await page.goto(`${base}#${linkOf({ l: "python3", c: "x" })}`);
	await ready(page);
	await page.locator("#share summary").click();
	await page.getByRole("button", { name: "Copy link" }).click();
	const text = await until("the copy", () => page.evaluate(() => window.copiedText));
	assert.ok(text.startsWith(`${base}#1`), text);
});
