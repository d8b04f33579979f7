/* SPDX-License-Identifier: ISC */
/* What strangers may try against a reader of the page. The numbers are those of the list of threats. */
import http from "node:http";
import { readFileSync } from "node:fs";
import {
	assert, base, finished, linkOf, note, put, ready, runIt, stderr, stdout, test, until, verdict,
} from "./harness.mjs";

const HOSTILE = "<img src=x onerror=\"window.pwned=1\"><svg onload=\"window.pwned=1\"></svg></textarea></pre>"
	+ "<script>window.pwned=1</script><a href=\"javascript:window.pwned=1\">x</a>{{pwned}}${pwned}";

const quoted = (text) => JSON.stringify(text);

async function unharmed(page, where) {
	assert.equal(await page.evaluate(() => window.pwned), undefined, where);
	assert.equal(await page.locator("img[src=x], svg[onload], a[href^=javascript]").count(), 0, where);
	assert.equal(await page.locator("script").count(), 1, where);
}

const events = (...list) => list.map((one) => `${JSON.stringify(one)}\n`).join("");

test("threat 166: markup in output, errors and file names is shown as text", async (box) => {
	const page = await box.page({
		l: "python3", k: `${HOSTILE.replaceAll("/", "|").slice(0, 60)}\nplain`,
		c: `import sys\nprint(${quoted(HOSTILE)})\nprint(${quoted(HOSTILE)}, file=sys.stderr)\n`
			+ `open(${quoted(HOSTILE.replaceAll("/", "|").slice(0, 60))}, 'w').write('x')\n`,
	});
	await runIt(page);
	assert.equal(await stdout(page), `${HOSTILE}\n`);
	assert.equal(await stderr(page), `${HOSTILE}\n`);
	assert.ok((await page.locator(".file-list").innerText()).includes("<img src=x onerror"));
	await unharmed(page, "output");
	await page.locator("#tab-tests").click();
	await page.locator("#tests-add").click();
	await page.locator("[data-field=expected]").fill(HOSTILE.replace("img", "IMG"));
	await page.locator("#tests-run").click();
	await finished(page);
	assert.equal(await page.locator(".diff .plus").evaluate((node) => node.lastChild.textContent), HOSTILE);
	await unharmed(page, "difference");
	await page.locator("#history summary").click();
	await unharmed(page, "history");
});

test("threat 166: markup in the server's own words, in language names and in links is shown as text", async (box) => {
	const context = await box.context({ expected: { errors: /400/ } });
	const page = await context.newPage();
	await page.route("**/api/languages", (route) => route.fulfill({
		contentType: "application/json",
		body: JSON.stringify([{
			id: "python3", name: HOSTILE, aliases: [HOSTILE], version: HOSTILE, extension: HOSTILE, editor: HOSTILE,
			example: { code: HOSTILE, input: HOSTILE, output: "" },
		}]),
	}));
	await page.goto(`${base}#${linkOf({ l: HOSTILE, c: HOSTILE, i: HOSTILE, a: HOSTILE, h: HOSTILE, t: [{ n: HOSTILE, x: HOSTILE }] })}`);
	await ready(page);
	await page.locator("#language-button").click();
	assert.ok((await page.locator("#picker-list").innerText()).includes("<img src=x"));
	await page.locator("#picker-list [role=option]").first().click();
	await page.locator("#example").click();
	await unharmed(page, "languages");
	await page.route("**/run", (route) => route.fulfill({
		status: 400, contentType: "application/json",
		body: JSON.stringify({ error: { code: HOSTILE, message: HOSTILE, field: HOSTILE, request_id: HOSTILE } }),
	}));
	await runIt(page);
	assert.ok((await page.locator("#verdict").innerText()).includes("<img src=x"));
	await unharmed(page, "error");
	await page.unroute("**/run");
	await page.route("**/run", (route) => route.fulfill({
		contentType: "application/x-ndjson",
		body: events({ start: { id: HOSTILE } }, { stage: HOSTILE }, { stdout: HOSTILE }, {
			done: {
				id: HOSTILE, language: HOSTILE, version: HOSTILE, status: HOSTILE, message: HOSTILE, signal: HOSTILE, exit_code: 1,
				usage: { [HOSTILE]: HOSTILE }, limits: { x: HOSTILE },
				files: [{ name: HOSTILE, content: HOSTILE }, { name: HOSTILE, error: HOSTILE }],
			},
		}),
	}));
	await runIt(page);
	await page.locator(".all summary").click();
	await unharmed(page, "result");
});

test("threat 166: the answer to a plain form holds output as text", async (box) => {
	const context = await box.context();
	const page = await context.newPage();
	await page.route("**/app.js", (route) => route.fulfill({ contentType: "text/javascript", body: "" }));
	await page.goto(base);
	await page.locator("#language").fill("python3");
	await page.locator("#code").fill(`import sys\nprint(${quoted(HOSTILE)})\nprint(${quoted(HOSTILE)}, file=sys.stderr)`);
	await page.locator("#input").evaluate((node, text) => { node.value = text; }, HOSTILE);
	await Promise.all([page.waitForEvent("load"), page.locator("#run").click()]);
	assert.ok((await page.locator("body").innerText()).includes("<img src=x onerror"));
	assert.equal(await page.evaluate(() => window.pwned), undefined);
	assert.equal(await page.locator("img[src=x], svg[onload], a[href^=javascript], script").count(), 0);
	assert.equal(await page.locator("[name=input]").inputValue(), HOSTILE);
});

/* Longer than any server lets a program print: made here, in chunks as they would come. */
async function printed(page, parts) {
	await page.route("**/run", (route) => route.fulfill({
		contentType: "application/x-ndjson",
		body: events({ start: { id: "x", language: "python3", version: "3" } }, { stage: "run" },
			...parts.map((text) => ({ stdout: text })),
			{ done: { id: "x", language: "python3", status: "success", message: "made up", exit_code: 0 } }),
	}));
	await page.evaluate(() => {
		window.longest = 0;
		let last = performance.now();
		const beat = () => {
			const now = performance.now();
			window.longest = Math.max(window.longest, now - last);
			last = now;
			requestAnimationFrame(beat);
		};
		requestAnimationFrame(beat);
	});
	await runIt(page);
	await page.locator(".stream.stdout .vlist").waitFor();
	note(`longest time between two frames: ${Math.round(await page.evaluate(() => window.longest))} ms`);
}

const chunks = (text, size) => {
	const list = [];
	for (let at = 0; at < text.length; at += size)
		list.push(text.slice(at, at + size));
	return list;
};

async function usable(page, last) {
	const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
	assert.ok(nodes < 3000, `${nodes} elements`);
	await page.locator("#settings summary").click();
	assert.ok(await page.locator("#settings-sheet").isVisible());
	await page.keyboard.press("Escape");
	const list = page.locator(".stream.stdout .vlist");
	await list.evaluate((node) => { node.scrollTop = node.scrollHeight; });
	await until("the last row", async () => (await list.locator(".rows div").last().textContent()).endsWith(last));
	await list.evaluate((node) => { node.scrollTop = node.scrollHeight / 2; });
	await page.waitForTimeout(300);
	assert.ok(await list.locator(".rows div").count() > 5);
	const rows = await list.evaluate((node) => {
		const box = node.getBoundingClientRect();
		return [...node.querySelectorAll(".rows div")].filter((row) => {
			const at = row.getBoundingClientRect();
			return at.bottom > box.top && at.top < box.bottom;
		}).length;
	});
	assert.ok(rows > 5, "rows are where the eye is");
	await page.locator(".stream.stdout select").selectOption("hex");
	await list.locator(".rows div").first().waitFor({ state: "attached" });
	await page.locator(".stream.stdout select").selectOption("text");
	await list.locator(".rows div").first().waitFor({ state: "attached" });
	await page.locator(".cm-content").fill("typed after");
	await until("typing", async () => await page.locator("#code").inputValue() === "typed after");
}

test("threat 167: 10 MiB in a single line leave the page responsive", async (box) => {
	const page = await box.page({ l: "python3", c: "print()" });
	await printed(page, chunks(`${"0123456789".repeat((10 << 20) / 10)}END`, 65536));
	assert.match(await page.locator(".stream.stdout .count").innerText(), /10\.5 MB, 1 line/);
	await usable(page, "END");
});

test("threat 167: a million lines leave the page responsive", async (box) => {
	const page = await box.page({ l: "python3", c: "print()" });
	const lines = Array.from({ length: 1000000 }, (_, i) => `line ${i}\n`).join("");
	await printed(page, chunks(lines, 65536));
	assert.match(await page.locator(".stream.stdout .count").innerText(), /1000000 lines/);
	await usable(page, "line 999999");
});

test("threat 167: ten thousand short events, and eight million empty lines", async (box) => {
	const page = await box.page({ l: "python3", c: "print()" });
	await printed(page, Array.from({ length: 10000 }, (_, i) => `event ${i}\n`));
	await usable(page, "event 9999");
	await page.unroute("**/run");
	await printed(page, chunks(`${"\n".repeat(8 << 20)}x`, 65536));
	assert.match(await page.locator(".stream.stdout .count").innerText(), /8388609 lines/);
	await usable(page, "x");
});

test("threat 167: half a million changes of colour leave the page responsive", async (box) => {
	const page = await box.page({ l: "python3", c: "print()" });
	await printed(page, chunks(`${"\x1b[31ma\x1b[42mb".repeat(250000)}END`, 65536));
	assert.match(await page.locator(".stream.stdout .count").innerText(), /1 line$/);
	const list = page.locator(".stream.stdout .vlist");
	await list.evaluate((node) => { node.scrollTop = node.scrollHeight; });
	await until("the last row", async () => (await list.locator(".rows div").last().textContent()).endsWith("END"));
	assert.ok(await page.evaluate(() => document.querySelectorAll("*").length) < 20000);
});

test("threat 168: colours are shown; links, titles and cursor moves are dropped", async (box) => {
	const E = "\\x1b";
	const page = await box.page({
		l: "python3",
		c: `print('${E}[31mred${E}[0m ${E}[1;4;38;5;208mfancy${E}[m ${E}[48;2;0;0;255mground${E}[49m')\n`
			+ `print('${E}]0;title\\x07A${E}]8;;https://example.com/${E}\\\\link${E}]8;;${E}\\\\B')\n`
			+ `print('C${E}[2J${E}[H${E}[10A${E}[?25l${E}[6nD${E}7${E}8${E}(BE${E}c')\n`
			+ `print('F${E}P1$r${E}\\\\G${E}_secret${E}\\\\H${E}^x${E}\\\\I')\n`
			+ "print('J\\x9b31mK\\x9d0;t\\x9cL')\n"
			+ `print('bell\\x07 nul\\x00 back\\x08 cr\\rx')\n`
			+ `print('open ${E}]0;never closed')\nprint('after')\n`
			+ `print('cut ${E}[', end='')\n`,
	});
	await runIt(page);
	assert.equal(await stdout(page), "red fancy ground\nAlinkB\nCDE\nFGHI\nJKL\nbell␇ nul␀ back␈ cr␍x\nopen \nafter\ncut ");
	const red = page.locator(".stream.stdout span", { hasText: /^red$/ });
	assert.equal(await red.getAttribute("class"), "f1");
	const fancy = page.locator(".stream.stdout span", { hasText: /^fancy$/ });
	assert.equal(await fancy.evaluate((node) => getComputedStyle(node).color), "rgb(255, 135, 0)");
	assert.equal(await fancy.evaluate((node) => getComputedStyle(node).fontWeight), "700");
	const ground = page.locator(".stream.stdout span", { hasText: /^ground$/ });
	assert.equal(await ground.evaluate((node) => getComputedStyle(node).backgroundColor), "rgb(0, 0, 255)");
	assert.equal(await page.locator(".stream.stdout a").count(), 0);
	assert.equal(await page.title(), "Sandpool: run code");
});

test("threat 168: sequences cut anywhere by the stream come out the same", async () => {
	const { AnsiText } = await import(new URL("../../www/src/ansi.js", import.meta.url));
	const text = "a\x1b[1;31mb\x1b[38;2;1;2;3mc\x1b[0m\x1b]8;;u\x1b\\d\x1b]0;t\x07e\x9b32mf\r\ng\rh\x1b[2Ji\x1b(Bj\x1b\x1b[7mk\x1bPq\x9cl\n\nm";
	const read = (parts) => {
		const ansi = new AnsiText();
		for (const part of parts)
			ansi.feed(part);
		ansi.finish();
		const attrs = [];
		for (let at = 0; at < ansi.length; at++)
			attrs.push(ansi.attrs.data[ansi.attrAt.floor(at)]);
		return { text: ansi.slice(0, ansi.length), attrs, lines: [...ansi.lines.data.slice(0, ansi.lines.length)] };
	};
	const whole = read([text]);
	assert.equal(whole.text, "abcdef\ng␍hijkl\n\nm");
	for (let i = 0; i <= text.length; i++)
		for (const j of [i, i + 1, i + 2, text.length])
			assert.deepEqual(read([text.slice(0, i), text.slice(i, j), text.slice(j)]), whole, `cut at ${i} and ${j}`);
	assert.deepEqual(read([...text]), whole, "one by one");
});

test("threat 169: results are never a page of their own, and others cannot read or frame them", async (box) => {
	const context = await box.context({ expected: { errors: /./, strangers: true, policy: true } });
	const post = (accept, more) => context.request.post(`${base}run`, {
		headers: { Accept: accept, "Content-Type": "application/json", ...more },
		data: { language: "python3", code: "print('<script>alert(1)</script>')" },
	});
	for (const [accept, type] of [["application/json", "application/json"], ["application/msgpack", "application/msgpack"],
		["text/plain", "text/plain"], ["application/x-ndjson", "application/x-ndjson"]]) {
		const answer = await post(accept);
		assert.equal(answer.status(), 200, accept);
		const headers = answer.headers();
		assert.ok(headers["content-type"].startsWith(type), `${accept}: ${headers["content-type"]}`);
		assert.equal(headers["x-content-type-options"], "nosniff", accept);
		assert.equal(headers["cache-control"], "no-store", accept);
		assert.equal(headers["access-control-allow-origin"], undefined, accept);
	}
	const html = await post("text/html");
	assert.match(html.headers()["content-security-policy"], /default-src 'none'/);
	assert.match(html.headers()["content-security-policy"], /frame-ancestors 'none'/);
	const foreign = await context.request.fetch(`${base}run`, {
		method: "OPTIONS", headers: { Origin: "https://other.example", "Access-Control-Request-Method": "POST" },
	});
	assert.equal(foreign.headers()["access-control-allow-origin"], undefined);
	const opened = await context.request.get(`${base}run`);
	assert.equal(opened.status(), 405);
	assert.match(opened.headers()["content-type"], /^application\/json/);

	/* A stranger's page frames ours, and asks for a run in the reader's name. */
	const stranger = http.createServer((request, response) => {
		response.writeHead(200, { "Content-Type": "text/html" });
		response.end(`<!doctype html><title>stranger</title><iframe src="${base}" width=600 height=400></iframe>`);
	});
	await new Promise((resolve) => stranger.listen(0, "127.0.0.1", resolve));
	box.closers.push(() => new Promise((resolve) => {
		stranger.closeAllConnections();
		stranger.close(resolve);
	}));
	const page = await context.newPage();
	await page.goto(`http://localhost:${stranger.address().port}/`);
	await page.waitForTimeout(1500);
	const frame = page.frames()[1];
	assert.equal(await frame.locator("#code").count().catch(() => 0), 0, "not framed");
	const read = await page.evaluate(async (url) => {
		try {
			const answer = await fetch(url, {
				method: "POST", headers: { "Content-Type": "text/plain" }, body: '{"language":"python3","code":"print(1)"}',
			});
			return await answer.text();
		} catch (error) {
			return `refused: ${error.name}`;
		}
	}, `${base}run`);
	assert.match(read, /^refused/);
});

test("threat 169: what is downloaded has a harmless name", async (box) => {
	const page = await box.page({ l: "python3", c: "1" });
	const names = ["../../etc/passwd", "a/b\\c.txt", ".bashrc", "x\u0000\u202eexe.txt", "con<>:\"|?*.html", "", "..", "é ☃.txt"];
	await page.route("**/run", (route) => route.fulfill({
		contentType: "application/x-ndjson",
		body: events({ done: { status: "success", files: names.map((name) => ({ name, content: "<script>", size: 8 })) } }),
	}));
	await runIt(page);
	const buttons = page.locator(".file-list button");
	assert.equal(await buttons.count(), names.length);
	const saved = [];
	for (let i = 0; i < names.length; i++) {
		const [download] = await Promise.all([page.waitForEvent("download"), buttons.nth(i).click()]);
		saved.push(download.suggestedFilename());
		assert.equal(readFileSync(await download.path(), "utf8"), "<script>");
		assert.match(download.url(), /^blob:/);
	}
	note(saved.join("  "));
	for (const name of saved)
		assert.ok(name && !/[/\\<>:"|?*\u0000-\u001f\u202a-\u202e]|^\./.test(name), name);
	assert.equal(saved[0], "passwd");
	assert.equal(saved[7], "é ☃.txt");
});

test("threat 170: __proto__ and constructor are names like any other", async (box) => {
	const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "prototype"];
	const context = await box.context({ expected: { errors: /422|400/ } });
	const page = await context.newPage();
	let posts = 0;
	page.on("request", (request) => { posts += request.method() === "POST" ? 1 : 0; });
	await page.route("**/api/languages", (route) => route.fulfill({
		contentType: "application/json",
		body: `[${names.map((name) => `{"id":"${name}","name":"Name ${name}","aliases":["${name}"],"version":"1","editor":"${name}",`
			+ `"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"example":{"code":"code of ${name}","__proto__":{"polluted":1}}}`)
			.join(",")}]`,
	}));
	const nasty = '{"l":"__proto__","c":"x","__proto__":{"polluted":1,"h":"evil"},"constructor":{"prototype":{"polluted":1}},'
		+ '"t":[{"__proto__":{"polluted":1},"i":"1"}]}';
	await page.goto(`${base}#0${Buffer.from(nasty).toString("base64url")}`);
	await ready(page);
	assert.equal(await page.locator("#header").inputValue(), "");
	assert.match(await page.locator("#language-button").innerText(), /Name __proto__/);
	for (const name of names) {
		await page.locator("#language-button").click();
		await page.locator("#picker-search").fill(name);
		await page.keyboard.press("Enter");
		await until(name, async () => await page.locator("#language").inputValue() === name);
		await page.locator("#example").click();
		await until(name, async () => await page.locator("#code").inputValue() === `code of ${name}`);
	}
	assert.equal(posts, 0);
	/* The real server's word on such an id. */
	for (const name of names) {
		await put(page, { l: name, c: "1" });
		await runIt(page);
		assert.equal(await verdict(page), "Not run");
		assert.equal(await page.locator("#language").getAttribute("aria-invalid"), "true", name);
	}
	assert.deepEqual(await page.evaluate(() => [
		{}.polluted, [].polluted, "".polluted, Object.prototype.polluted, Object.keys(Object.prototype).length,
	]), [null, null, null, null, 0].map((one) => one ?? undefined));
});
