/* SPDX-License-Identifier: ISC */
/*
 * What the tests stand on: a browser, a fresh context for each test, and a watch over all of
 * them for errors, broken policy and requests to strangers.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { deflateRawSync } from "node:zlib";
import { join } from "node:path";

const require = createRequire(join(process.env.SANDPOOL_PAGE_TOOLS, "x"));
const { chromium } = require("playwright-core");

export { assert };
export const axePath = require.resolve("axe-core/axe.min.js");
export const base = process.env.SANDPOOL_TEST_URL.replace(/\/?$/, "/");
export const origin = new URL(base).origin;
export const pictures = process.env.SANDPOOL_ARTIFACTS;

/* Slow and shared machines: nothing here says how fast anything has to be. */
const PATIENCE_MS = 60000;
const TEST_MS = 240000;

const ARGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update",
	"--disable-sync", "--no-first-run", "--disable-dev-shm-usage"];

const tests = [];
export const test = (name, work, options) => tests.push({ name, work, options: options || {} });

export const note = (text) => console.log(String(text).split("\n").map((line) => `# ${line}`).join("\n"));

/* Only some of the tests were asked for. */
export const filtered = process.argv.length > 2;

/* What was seen over all tests; the last tests judge it. */
export const seen = { violations: [], strangers: [], errors: [], pages: 0 };

let browser = null;

async function openBrowser() {
	if (!browser || !browser.isConnected())
		browser = await chromium.launch({
			executablePath: process.env.SANDPOOL_CHROMIUM, args: ARGS, timeout: PATIENCE_MS,
		});
	return browser;
}

/* Runs in the page, before anything of the page does. */
function watchPolicy() {
	document.addEventListener("securitypolicyviolation", (event) => {
		console.error(`POLICY ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
	});
}

function watch(context, name, expected) {
	context.on("request", (request) => {
		const url = request.url();
		if (expected.strangers || /^(data|blob|about|chrome-error):/.test(url))
			return;
		if (new URL(url).origin !== (expected.origin || origin))
			seen.strangers.push(`${name}: ${url}`);
	});
	context.on("page", () => { seen.pages++; });
	context.on("console", (message) => {
		const text = message.text();
		if (/^POLICY|Content Security Policy/.test(text)) {
			if (!expected.policy)
				seen.violations.push(`${name}: ${text}`);
		} else if (message.type() === "error" && !expected.errors?.test(text) && !/\/favicon\.ico$/.test(message.location().url)) {
			seen.errors.push(`${name}: ${text}`);
		}
	});
	context.on("weberror", (error) => {
		seen.errors.push(`${name}: ${error.error().stack || error.error()}`);
	});
}

export class Box {
	constructor(name, options) {
		this.name = name;
		this.options = options;
		this.contexts = [];
		this.closers = [];
	}
	/* A fresh context: nothing kept of any other. */
	async context(more = {}) {
		const { expected = {}, ...rest } = more;
		const context = await (await openBrowser()).newContext({
			viewport: { width: 1440, height: 900 }, serviceWorkers: "block", locale: "en-GB", acceptDownloads: true, ...rest,
		});
		context.setDefaultTimeout(PATIENCE_MS);
		context.setDefaultNavigationTimeout(PATIENCE_MS);
		watch(context, this.name, { ...this.options.expected, ...expected });
		if (rest.javaScriptEnabled !== false)
			await context.addInitScript(watchPolicy);
		this.contexts.push(context);
		return context;
	}
	/* The page, ready to be used. state opens it by a link. */
	async page(state, more) {
		const context = await this.context(more);
		const page = await context.newPage();
		await page.goto(state ? `${base}#${linkOf(state)}` : base);
		await ready(page);
		return page;
	}
	async close() {
		for (const closer of this.closers)
			await closer();
		for (const context of this.contexts)
			await context.close().catch(() => {});
	}
}

export async function ready(page) {
	await page.locator("#language-button").waitFor();
	await page.locator(".cm-content").waitFor();
}

/* Made here, by other means than the page's own: what a link is has to stay what it is. */
export function linkOf(state) {
	return `1${deflateRawSync(Buffer.from(JSON.stringify(state))).toString("base64url")}`;
}

/* Puts a program into an open page, the way that a pasted link does. */
export async function put(page, state) {
	await page.evaluate((hash) => { location.hash = hash; }, linkOf(state));
	const code = Array.isArray(state.c) ? state.c[1] : state.c || "";
	await page.waitForFunction((text) => document.getElementById("code").value === text, code);
}

/* The run has ended, and what came of it is drawn. */
export async function finished(page) {
	await page.locator('#sections[aria-busy="false"]').waitFor({ state: "attached" });
	await page.evaluate(() => new Promise((resolve) =>
		requestAnimationFrame(() => requestAnimationFrame(resolve))));
}

export async function runIt(page) {
	await page.locator("#run").click();
	await finished(page);
}

export const stdout = (page) => page.locator(".stream.stdout pre.out").textContent();
export const stderr = (page) => page.locator(".stream.stderr pre.out").textContent();
export const verdict = (page) => page.locator("#verdict .chip").textContent();

/* The text of the editor, as it will be run. */
export const codeOf = (page) => page.evaluate(() => new Promise((resolve) =>
	setTimeout(() => resolve(document.getElementById("code").value), 400)));

export async function until(what, check) {
	const end = Date.now() + PATIENCE_MS;
	for (;;) {
		const value = await check();
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`waited in vain: ${what}`);
		await new Promise((resume) => setTimeout(resume, 100));
	}
}

const yaml = (text) => String(text).split("\n").map((line) => `#   ${line}`).join("\n");

function within(promise, ms) {
	let timer;
	const end = new Promise((resolve, reject) => {
		timer = setTimeout(() => reject(new Error(`not done after ${ms / 1000} s`)), ms);
	});
	return Promise.race([promise, end]).finally(() => clearTimeout(timer));
}

export async function runAll(words) {
	const wanted = tests.filter(({ name, options }) =>
		options.last || !words.length || words.some((word) => name.includes(word)));
	wanted.sort((a, b) => Boolean(a.options.last) - Boolean(b.options.last));
	let failed = 0;
	for (const [i, { name, work, options }] of wanted.entries()) {
		const box = new Box(name, options);
		const errorsBefore = seen.errors.length;
		let problem = null;
		try {
			await within(work(box), TEST_MS);
			if (seen.errors.length > errorsBefore)
				throw new Error(`the page complained:\n${seen.errors.slice(errorsBefore).join("\n")}`);
		} catch (error) {
			problem = error;
			const open = box.contexts.at(-1)?.pages().at(-1);
			await open?.screenshot({ path: join(pictures, `failed-${i + 1}.png`), timeout: 10000 }).catch(() => {});
		}
		await within(box.close(), PATIENCE_MS).catch(() => {});
		console.log(`${problem ? "not ok" : "ok"} ${i + 1} - page: ${name}`);
		if (problem) {
			failed++;
			console.log(yaml(problem.stack || problem));
		}
	}
	console.log(`1..${wanted.length}`);
	await browser?.close();
	return failed;
}
