/* SPDX-License-Identifier: ISC */
/* For everyone: themes, sizes, keyboard, screen readers, languages, and no network. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert, axePath, base, finished, linkOf, pictures, ready, runIt, stdout, test, until } from "./harness.mjs";

const PROGRAM = "import sys\nprint('\\x1b[1;32mgreen\\x1b[0m and \\x1b[31mred\\x1b[0m')\n"
	+ "print('warning', file=sys.stderr)\nsys.exit(1)\n";

async function findings(page) {
	if (!await page.evaluate(() => "axe" in window)) {
		const session = await page.context().newCDPSession(page);
		await session.send("Runtime.evaluate", { expression: readFileSync(axePath, "utf8") });
	}
	return page.evaluate(async () => (await window.axe.run(document)).violations
		.filter((one) => ["serious", "critical"].includes(one.impact))
		.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.html} ${node.any.map((any) => any.message)}`).join("\n")}`));
}

for (const theme of ["light", "dark"])
	test(`axe finds nothing serious, ${theme} theme`, async (box) => {
		const page = await box.page({ l: "python3", c: PROGRAM, t: [{ i: "", x: "other\n" }] });
		await page.locator("#settings summary").click();
		await page.getByRole("radio", { name: theme, exact: false }).check();
		assert.deepEqual(await findings(page), [], "settings open");
		await page.keyboard.press("Escape");
		assert.deepEqual(await findings(page), [], "before a run");
		await runIt(page);
		await page.locator(".all summary").first().click();
		assert.deepEqual(await findings(page), [], "with a result");
		await page.screenshot({ path: join(pictures, `result-1440-${theme}.png`), fullPage: true });
		await page.locator("#tab-tests").click();
		await page.locator("#tests-run").click();
		await finished(page);
		assert.deepEqual(await findings(page), [], "with tests");
		for (const tab of ["arguments", "options"]) {
			await page.locator(`#tab-${tab}`).click();
			assert.deepEqual(await findings(page), [], tab);
		}
		await page.locator("#history summary").click();
		assert.deepEqual(await findings(page), [], "history open");
		await page.locator("#share summary").click();
		assert.deepEqual(await findings(page), [], "share open");
		await page.keyboard.press("Escape");
		await page.locator("#language-button").click();
		await page.locator("#picker[open]").waitFor();
		assert.deepEqual(await findings(page), [], "picker open");
		await page.screenshot({ path: join(pictures, `picker-1440-${theme}.png`) });
		await page.keyboard.press("Escape");
		await page.locator("#header-fold summary").click();
		await page.locator("#header").fill("import sys; sys.stdout.buffer.write(bytes(range(256)) * 99)");
		await runIt(page);
		await page.locator(".vlist").waitFor();
		assert.deepEqual(await findings(page), [], "with hex");
	});

test("themes: the system's, light, dark; the choice is kept", async (box) => {
	const page = await box.page();
	const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	const light = await ground();
	await page.emulateMedia({ colorScheme: "dark" });
	const dark = await ground();
	assert.notEqual(light, dark, "follows the system");
	await page.locator("#settings summary").click();
	await page.getByRole("radio", { name: "Light" }).check();
	assert.equal(await ground(), light);
	await page.reload();
	await ready(page);
	assert.equal(await ground(), light);
	await page.emulateMedia({ colorScheme: "light" });
	await page.locator("#settings summary").click();
	await page.getByRole("radio", { name: "Dark" }).check();
	assert.equal(await ground(), dark);
	await page.getByRole("radio", { name: "System" }).check();
	assert.equal(await ground(), light);
});

for (const [width, height] of [[360, 760], [1440, 900]])
	for (const colorScheme of ["light", "dark"])
		test(`${width} px wide, ${colorScheme}: everything fits; pictures kept`, async (box) => {
			const page = await box.page(null, { viewport: { width, height }, colorScheme, hasTouch: width < 500 });
			const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth);
			const shoot = async (name) => {
				await page.evaluate(() => window.scrollTo(0, 0));
				await page.screenshot({ path: join(pictures, `${name}-${width}-${colorScheme}.png`), fullPage: true });
			};
			assert.ok(await fits());
			await shoot("page");
			await runIt(page);
			assert.ok(await fits());
			await page.evaluate((hash) => { location.hash = hash; }, linkOf({
				l: "python3", c: `${PROGRAM}# ${"a long remark ".repeat(20)}`, h: "x = 1", a: "one", t: [{ i: "1", x: "2\n" }],
			}));
			await page.locator("#header-fold[open]").waitFor();
			await runIt(page);
			assert.ok(await fits());
			for (const tab of ["arguments", "options", "tests"]) {
				await page.locator(`#tab-${tab}`).click();
				assert.ok(await fits(), tab);
			}
			await page.locator("#tests-run").click();
			await finished(page);
			assert.ok(await fits());
			await shoot("tests");
			for (const menu of ["share", "history", "settings"]) {
				await page.locator(`#${menu} summary`).click();
				const sheet = await page.locator(`#${menu} .sheet`).boundingBox();
				assert.ok(sheet.x >= 0 && sheet.x + sheet.width <= width, menu);
				assert.ok(await fits(), menu);
			}
			await page.screenshot({ path: join(pictures, `settings-${width}-${colorScheme}.png`) });
			await page.keyboard.press("Escape");
			await page.locator("#language-button").click();
			const picker = await page.locator("#picker").boundingBox();
			assert.ok(picker.x >= 0 && picker.x + picker.width <= width);
			await page.screenshot({ path: join(pictures, `picker-${width}-${colorScheme}.png`) });
		});

test("keyboard: every control is reached by Tab, in order, and none holds the focus", async (box) => {
	const page = await box.page({ l: "python3", c: "print(1)" });
	await page.locator("#tab-switch").click();
	await runIt(page);
	await page.locator(".skip").focus();
	const reached = [];
	for (let i = 0; i < 60; i++) {
		await page.keyboard.press("Tab");
		const name = await page.evaluate(() => {
			const node = document.activeElement;
			return node === document.body ? "" : node.closest(".cm-editor") ? "editor"
				: node.id || node.closest("[id]")?.id + ":" + node.textContent.trim().slice(0, 20);
		});
		if (!name || (i > 0 && name === reached[0]))
			break;
		reached.push(name);
	}
	const wanted = ["language-button", "run", "share:Share", "history:History", "settings:Settings", "example",
		"header-fold:", "editor", "footer-fold:", "code-encoding", "tab-switch", "tab-input", "input-encoding", "input"];
	let at = -1;
	for (const name of wanted) {
		const next = reached.findIndex((one, i) => i > at && one.startsWith(name));
		assert.ok(next > at, `${name} after ${reached[at] || "the start"}: ${reached.join(", ")}`);
		at = next;
	}
	assert.equal(new Set(reached).size, reached.length, `no circle: ${reached.join(", ")}`);
	assert.ok(reached.length < 60);
});

test("keyboard: tabs by arrows, menus by Enter and Escape, the skip link to the code", async (box) => {
	const page = await box.page();
	const active = () => page.evaluate(() => document.activeElement.id);
	await page.locator("#tab-input").focus();
	await page.keyboard.press("ArrowRight");
	assert.equal(await active(), "tab-arguments");
	assert.ok(await page.locator("#panel-arguments").isVisible() && !await page.locator("#panel-input").isVisible());
	await page.keyboard.press("End");
	assert.equal(await active(), "tab-tests");
	await page.keyboard.press("ArrowRight");
	assert.equal(await active(), "tab-input");
	await page.locator("#settings summary").focus();
	await page.keyboard.press("Enter");
	assert.ok(await page.locator("#settings-sheet").isVisible());
	await page.keyboard.press("Tab");
	await page.keyboard.press("Escape");
	assert.ok(!await page.locator("#settings-sheet").isVisible());
	assert.equal(await page.evaluate(() => document.activeElement.textContent), "Settings");
	await page.locator(".skip").focus();
	await page.keyboard.press("Enter");
	assert.ok(await page.evaluate(() => Boolean(document.activeElement.closest(".cm-editor"))));
});

test("screen readers: names for all fields, and the end of a run is said", async (box) => {
	const page = await box.page({ l: "python3", c: "print('x')" });
	for (const [role, name] of [["textbox", "Code"], ["textbox", "Input"], ["button", "Run"], ["tab", "Tests"],
		["button", /^Language: Python/], ["combobox", "How the code is written"], ["region", "Output"]])
		assert.ok(await page.getByRole(role, { name }).first().isVisible(), `${role} ${name}`);
	assert.equal(await page.locator("#verdict").getAttribute("role"), "status");
	await runIt(page);
	assert.match(await page.locator("[role=status]#verdict").innerText(), /^Finished/);
	assert.equal(await page.locator(".stream.stdout").getAttribute("aria-label"), "Standard output");
	/* What is printed is not read out unasked. */
	const live = "[aria-live], [role=status], [role=log]";
	assert.equal(await page.locator("#sections").evaluate((node, list) => Boolean(node.closest(list)), live), false);
});

test("reduced motion: nothing moves", async (box) => {
	const page = await box.page({ l: "python3", c: "import time\ntime.sleep(60)", w: "60" }, { reducedMotion: "reduce" });
	await page.locator("#run").click();
	await page.locator("#verdict .busy").waitFor();
	const sign = page.locator("#verdict .busy");
	assert.equal(await sign.evaluate((node) => getComputedStyle(node, "::before").animationName), "none");
	assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
	await page.locator("#cancel").click();
	await finished(page);
	const moving = await box.page({ l: "python3", c: "import time\ntime.sleep(60)", w: "60" });
	await moving.locator("#run").click();
	await moving.locator("#verdict .busy").waitFor();
	assert.ok(await moving.evaluate(() => document.getAnimations().length) > 0, "without the wish there is a sign of life");
	await moving.locator("#cancel").click();
	await finished(moving);
});

test("words: a reader of German gets German, and may choose English", async (box) => {
	const page = await box.page({ l: "python3", c: "print('x')" }, { locale: "de-DE" });
	assert.equal(await page.locator("html").getAttribute("lang"), "de");
	assert.equal(await page.locator("#run").innerText(), "Ausführen");
	await runIt(page);
	assert.equal(await page.locator("#verdict .chip").innerText(), "Fertig");
	await page.locator("#settings summary").click();
	await page.getByRole("radio", { name: "English" }).check();
	await page.locator("#run").getByText("Run").waitFor();
	await page.reload();
	await ready(page);
	assert.equal(await page.locator("html").getAttribute("lang"), "en");
});

test("offline: the page's files come back without a network", async (box) => {
	const context = await box.context({ serviceWorkers: "allow", expected: { errors: /ERR_INTERNET_DISCONNECTED|Failed to/ } });
	const page = await context.newPage();
	await page.goto(base);
	await ready(page);
	await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
	await until("the worker to take over", () => page.evaluate(() => Boolean(navigator.serviceWorker.controller)));
	await page.reload();
	await page.locator(".cm-content .tok-string, .cm-content .tok-keyword").first().waitFor();
	await context.setOffline(true);
	await page.evaluate((hash) => { location.hash = hash; }, linkOf({ l: "python3", c: "print('kept')" }));
	await page.reload();
	await ready(page);
	assert.equal(await page.locator("#code").inputValue(), "print('kept')");
	assert.match(await page.locator("#language-button").innerText(), /Python/);
	await page.locator(".cm-content .tok-string").first().waitFor();
	await runIt(page);
	assert.match(await page.locator("#verdict").innerText(), /cannot be reached/);
	await context.setOffline(false);
	await runIt(page);
	assert.equal(await stdout(page), "kept\n");
	const kept = await page.evaluate(async () => {
		const urls = [];
		for (const name of await caches.keys())
			for (const request of await (await caches.open(name)).keys())
				urls.push(request.url);
		return urls;
	});
	assert.ok(kept.length > 5);
	assert.ok(kept.every((url) => !/\/run\b/.test(url)), "no answer to a run is kept");
});
