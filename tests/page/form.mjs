/* SPDX-License-Identifier: ISC */
/* The page without JavaScript, and while JavaScript is on its way. */
import { readFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { assert, axePath, base, linkOf, pictures, ready, runIt, stdout, test } from "./harness.mjs";

const PROGRAM = "import sys\nprint(sys.stdin.read().upper() + '|'.join(sys.argv[1:]), __debug__)\n";

test("JavaScript off: the form runs, and the answer gives the form back as it was", async (box) => {
	const context = await box.context({ javaScriptEnabled: false });
	const page = await context.newPage();
	await page.goto(base);
	await page.screenshot({ path: join(pictures, "without-javascript-1440.png"), fullPage: true });
	for (const id of ["language", "code", "input", "arguments", "options", "run"])
		assert.ok(await page.locator(`#${id}`).isVisible(), id);
	for (const id of ["result", "cancel", "share", "collect", "language-button", "tab-input", "panel-tests"])
		assert.ok(!await page.locator(`#${id}`).isVisible(), `${id} is of no use here`);
	assert.ok(await page.locator("#languages option").count() > 5);

	await page.locator("#language").fill("python3");
	await page.locator("#code").fill(PROGRAM);
	await page.locator("#input").fill("é <b>\n</textarea>\n");
	await page.locator("#arguments").fill("one two\n\"three\"");
	await page.locator("#options").fill("-O");
	await Promise.all([page.waitForEvent("load"), page.locator("#run").click()]);
	assert.match(page.url(), /\/run$/);
	const text = await page.locator("body").innerText();
	assert.ok(text.includes("É <B>\n</TEXTAREA>\none two|\"three\" False"), text);
	await page.screenshot({ path: join(pictures, "without-javascript-answer-1440.png"), fullPage: true });

	/* The way back: the same form, filled in, which runs again. */
	assert.equal(await page.locator("[name=language]").inputValue(), "python3");
	assert.equal(await page.locator("[name=code]").inputValue(), PROGRAM);
	assert.equal(await page.locator("[name=input]").inputValue(), "é <b>\n</textarea>\n");
	assert.equal(await page.locator("[name=arguments]").first().inputValue(), "one two\n\"three\"");
	assert.equal(await page.locator("[name=options]").first().inputValue(), "-O");
	await page.goBack();
	assert.equal(await page.locator("#code").inputValue(), PROGRAM, "going back keeps what was typed");
	await Promise.all([page.waitForEvent("load"), page.locator("#run").click()]);
	await page.locator("[name=code]").fill("print('a' + 'gain')");
	await Promise.all([page.waitForEvent("load"), page.locator("form [type=submit], form button").first().click()]);
	assert.ok((await page.locator("body").innerText()).includes("again"));
});

test("JavaScript off: the first visit runs by one press", async (box) => {
	const context = await box.context({ javaScriptEnabled: false, viewport: { width: 360, height: 760 } });
	const page = await context.newPage();
	await page.goto(base);
	await page.screenshot({ path: join(pictures, "without-javascript-360.png"), fullPage: true });
	assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
	await Promise.all([page.waitForEvent("load"), page.locator("#run").click()]);
	assert.ok((await page.locator("body").innerText()).includes("Hello, world!"));
	await page.screenshot({ path: join(pictures, "without-javascript-answer-360.png"), fullPage: true });
});

for (const colorScheme of ["light", "dark"])
	test(`JavaScript off: no serious finding by axe, ${colorScheme}`, async (box) => {
		/* axe is a script itself: the page's own is kept away instead. */
		const context = await box.context({ colorScheme, expected: { errors: /ERR_FAILED|Failed to load/ } });
		const page = await context.newPage();
		await page.route("**/*.js", (route) => route.abort());
		await page.goto(base);
		const check = async () => {
			const session = await context.newCDPSession(page);
			await session.send("Runtime.evaluate", { expression: readFileSync(axePath, "utf8") });
			const found = await page.evaluate(async () => (await axe.run(document)).violations
				.filter((one) => ["serious", "critical"].includes(one.impact))
				.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`));
			assert.deepEqual(found, []);
		};
		await check();
		await page.locator("#language").fill("python3");
		await Promise.all([page.waitForEvent("load"), page.locator("#run").click()]);
		await check();
	});

test("first paint needs no script: the page stands and works while scripts do not come", async (box) => {
	const context = await box.context();
	const page = await context.newPage();
	const held = [];
	await page.route("**/*.js", (route) => { held.push(route); });
	await page.goto(base, { waitUntil: "commit" });
	await page.locator("#code").waitFor();
	const painted = await page.evaluate(() => new Promise((resolve) => {
		const have = performance.getEntriesByName("first-contentful-paint");
		if (have.length)
			return resolve(true);
		return new PerformanceObserver((list) => {
			if (list.getEntriesByName("first-contentful-paint").length)
				resolve(true);
		}).observe({ type: "paint", buffered: true });
	}));
	assert.ok(painted);
	assert.ok(await page.locator("#run").isVisible());
	await page.locator("#code").fill("print('typed early')");
	for (const route of held)
		await route.continue();
	await page.unroute("**/*.js");
	await ready(page);
	assert.ok((await page.locator(".cm-content").innerText()).includes("typed early"), "what was typed is kept");
	await runIt(page);
	assert.equal(await stdout(page), "typed early\n");
});

test("without the editor's file the plain field does the same", async (box) => {
	const context = await box.context({ expected: { errors: /ERR_FAILED|Failed to/ } });
	const page = await context.newPage();
	await page.route("**/editor/*", (route) => route.abort());
	await page.goto(base);
	await page.locator("#language-button").waitFor();
	await page.locator("#code").fill("print(6 * 7)");
	await page.locator("#code").press("Control+Enter");
	await page.locator(".figures").waitFor();
	assert.equal(await stdout(page), "42\n");
});

test("without the list of languages a name can be typed", async (box) => {
	const context = await box.context({ expected: { errors: /500|Failed to load/ } });
	const page = await context.newPage();
	await page.route("**/api/languages", (route) => route.fulfill({ status: 500, body: "no" }));
	await page.goto(base);
	await page.locator("#notice").getByText("could not be loaded").waitFor();
	await page.locator("#language").fill("bash");
	await page.locator(".cm-content").fill("echo from bash");
	await runIt(page);
	assert.equal(await stdout(page), "from bash\n");
});

/* A shared host: the whole of it below somebody's folder. */
async function below(box, prefix) {
	const server = http.createServer((request, response) => {
		if (!request.url.startsWith(prefix)) {
			response.writeHead(404).end("outside");
			return;
		}
		const onward = http.request(base + request.url.slice(prefix.length),
			{ method: request.method, headers: { ...request.headers, host: new URL(base).host } }, (answer) => {
				response.writeHead(answer.statusCode, answer.headers);
				answer.pipe(response);
			});
		onward.on("error", () => response.destroy());
		response.on("close", () => onward.destroy());
		request.pipe(onward);
	});
	await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
	box.closers.push(() => new Promise((resolve) => {
		server.closeAllConnections();
		server.close(resolve);
	}));
	return `http://127.0.0.1:${server.address().port}`;
}

test("below a path such as /~user/ everything finds its place", async (box) => {
	const origin = await below(box, "/~user/box/");
	const context = await box.context({ expected: { origin } });
	const page = await context.newPage();
	await page.goto(`${origin}/~user/box/#${linkOf({ l: "python3", c: "print('below')" })}`);
	await ready(page);
	await runIt(page);
	assert.equal(await stdout(page), "below\n");

	const plain = await box.context({ javaScriptEnabled: false, expected: { origin } });
	const form = await plain.newPage();
	await form.goto(`${origin}/~user/box/`);
	assert.equal(await form.locator("#form").evaluate((node) => node.action), `${origin}/~user/box/run`);
});
