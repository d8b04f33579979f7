/* SPDX-License-Identifier: ISC */
/* The files themselves: their sizes, where they come from, what they may not hold. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { assert, base, filtered, note, seen, test } from "./harness.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const www = join(root, "www");

const walk = (dir) => readdirSync(dir, { withFileTypes: true })
	.flatMap((entry) => entry.isDirectory() ? walk(join(dir, entry.name)) : [join(dir, entry.name)]);

const PAGE_LIMIT = 30000;
const EDITOR_LIMIT = 140000;

test("sizes: the page without editor, the editor with its first language", async (box) => {
	const context = await box.context();
	const page = await context.newPage();
	const asked = [];
	page.on("request", (request) => asked.push(request.url()));
	await page.goto(base);
	await page.locator(".cm-content .tok-keyword, .cm-content .tok-string, .cm-content .tok-variableName").first().waitFor();
	let without = 0, editor = 0;
	const rows = [];
	for (const url of new Set(asked)) {
		const path = url.slice(base.length).replace(/#.*/, "") || "index.html";
		if (path.startsWith("api/"))
			continue;
		const answer = await context.request.get(url);
		assert.equal(answer.status(), 200, url);
		const bytes = await answer.body();
		const size = gzipSync(bytes, { level: 6 }).length;
		rows.push([path, bytes.length, size]);
		if (path.startsWith("editor/"))
			editor += size;
		else
			without += size;
	}
	for (const [path, plain, size] of rows)
		note(`${String(plain).padStart(8)} ${String(size).padStart(8)}  ${path}`);
	note(`page without editor: ${without} bytes compressed (at most ${PAGE_LIMIT})`);
	note(`editor, first language: ${editor} bytes compressed (at most ${EDITOR_LIMIT})`);
	assert.ok(rows.some(([path]) => path === "app.js") && editor > 10000, "both were measured");
	assert.ok(without <= PAGE_LIMIT, `page: ${without}`);
	assert.ok(editor <= EDITOR_LIMIT, `editor: ${editor}`);
});

test("the server compresses the page's files", async (box) => {
	const context = await box.context();
	for (const path of ["", "app.js", "style.css"]) {
		const answer = await context.request.get(base + path, { headers: { "Accept-Encoding": "gzip" } });
		assert.equal(answer.headers()["content-encoding"], "gzip", path || "index.html");
	}
});

test("built files: a new build from the sources gives the same", async () => {
	const out = mkdtempSync(join(process.env.SANDPOOL_CACHE, "page-rebuilt-"));
	try {
		const built = spawnSync(join(www, "build"), [out], { encoding: "utf8" });
		assert.equal(built.status, 0, built.stdout + built.stderr);
		const list = (dir) => walk(dir).map((path) => relative(dir, path)).sort();
		assert.deepEqual(list(out), list(join(www, "dist")));
		for (const name of list(out))
			assert.ok(readFileSync(join(out, name)).equals(readFileSync(join(www, "dist", name))), name);
	} finally {
		rmSync(out, { recursive: true, force: true });
	}
});

test("served files: they are the built ones", async (box) => {
	const context = await box.context();
	for (const path of walk(join(www, "dist")).map((one) => relative(join(www, "dist"), one))) {
		const answer = await context.request.get(base + path);
		assert.equal(answer.status(), 200, path);
		assert.ok((await answer.body()).equals(readFileSync(join(www, "dist", path))), path);
	}
});

test("sources: text only ever becomes text", async () => {
	const files = [...walk(join(www, "src")), join(www, "dist/app.js"), join(www, "dist/index.html")];
	assert.ok(files.length > 20);
	for (const file of files) {
		const text = readFileSync(file, "utf8");
		for (const bad of [/\b(inner|outer)HTML\b/, /insertAdjacentHTML/, /document\.write/, /\beval\(/, /new Function/,
			/createContextualFragment/, /\bsrcdoc\b/, /javascript:/i])
			assert.ok(!bad.test(text), `${relative(root, file)}: ${bad}`);
		if (file.endsWith(".html"))
			for (const bad of [/<style/i, /\sstyle=/i, /<script(?![^>]*\ssrc=)/i, /\son\w+=/i])
				assert.ok(!bad.test(text), `${relative(root, file)}: ${bad}`);
	}
});

test("the plain list of languages names such as there are", async () => {
	const html = readFileSync(join(www, "src/index.html"), "utf8");
	const ids = [...html.match(/<datalist[^]*?<\/datalist>/)[0].matchAll(/value="([^"]+)"/g)].map((match) => match[1]);
	const known = new Set(readdirSync(join(root, "languages"))
		.filter((name) => name.endsWith(".lang")).map((name) => name.slice(0, -5)));
	assert.ok(ids.length > 10);
	for (const id of ids)
		assert.ok(known.has(id), id);
});

test("every address in the page is relative and on this server", async () => {
	const html = readFileSync(join(www, "dist/index.html"), "utf8");
	const found = [...html.matchAll(/\s(?:href|src|action)="([^"]*)"/g)].map((match) => match[1]);
	assert.ok(found.includes("run") && found.includes("app.js"));
	for (const address of found)
		assert.ok(!/^(\/|[a-z]+:)/i.test(address), address);
	for (const name of ["app.js", "style.css", "sw.js"])
		assert.ok(!/https?:\/\/(?!www\.w3\.org)/.test(readFileSync(join(www, "dist", name), "utf8")), name);
});

test("words: all of them stand in the file of words", async () => {
	const words = new Set(readFileSync(join(www, "lang/en.txt"), "utf8").split("\n")
		.filter((line) => line && !line.startsWith("#")).map((line) => line.slice(0, line.indexOf("=")).trim()));
	const used = new Set();
	const html = readFileSync(join(www, "src/index.html"), "utf8");
	for (const match of html.matchAll(/data-t(?:-[a-z-]+)?="([^"]+)"/g))
		used.add(match[1]);
	for (const file of walk(join(www, "src")).filter((name) => name.endsWith(".js")))
		for (const match of readFileSync(file, "utf8").matchAll(/(?:\bt\(|word: |BadText\(|^\t\[)"([a-z0-9.:-]+)"/gm))
			if (match[1].includes(".") || words.has(match[1]))
				used.add(match[1]);
	assert.ok(used.size > 100, `${used.size} words used`);
	for (const word of used)
		assert.ok(words.has(word), `no word "${word}"`);
	/* And each stands there for a use: by its name, or as one of a kind that is put together. */
	const sources = walk(join(www, "src")).map((file) => readFileSync(file, "utf8")).join("\n");
	const kinds = /^(status|name|tab|view|theme|editor|tabkey|encoding|compare)\.|^(copy|download)\.what$|^lang\.name$/;
	for (const word of words)
		assert.ok(sources.includes(`"${word}"`) || kinds.test(word), `the word "${word}" is of no use`);
	for (const name of readdirSync(join(www, "lang"))) {
		const others = readFileSync(join(www, "lang", name), "utf8").split("\n")
			.filter((line) => line && !line.startsWith("#")).map((line) => line.slice(0, line.indexOf("=")).trim());
		assert.deepEqual([...others].sort(), [...words].sort(), name);
	}
	/* Left in the page's own text: names of languages in the plain list, and the example. */
	const text = html.replace(/<!--[^]*?-->|<datalist[^]*?<\/datalist>|<textarea id="code"[^]*?<\/textarea>|<[^>]+>/g, "").trim();
	assert.equal(text, "");
});

test("policy: the header says what the page keeps to", async (box) => {
	const context = await box.context();
	const headers = (await context.request.get(base)).headers();
	const policy = new Map((headers["content-security-policy"] || "").split(";").map((one) => {
		const [name, ...values] = one.trim().split(/\s+/);
		return [name, values.join(" ")];
	}));
	assert.equal(policy.get("default-src"), "'none'");
	assert.equal(policy.get("script-src"), "'self'");
	assert.equal(policy.get("style-src"), "'self'");
	assert.equal(policy.get("connect-src"), "'self'");
	assert.equal(policy.get("form-action"), "'self'");
	assert.equal(policy.get("base-uri"), "'none'");
	assert.equal(policy.get("frame-ancestors"), "'none'");
	assert.ok(policy.get("img-src").split(" ").every((one) => ["'self'", "data:", "blob:"].includes(one)));
	assert.equal(headers["x-content-type-options"], "nosniff");
});

test("over all tests: zero violations of the policy", async () => {
	assert.ok(seen.pages > 0 || filtered);
	assert.deepEqual(seen.violations, []);
}, { last: true });

test("over all tests: zero requests to another origin", async () => {
	assert.ok(seen.pages > 0 || filtered);
	assert.deepEqual(seen.strangers, []);
}, { last: true });

test("over all tests: zero errors in the console", async () => {
	assert.deepEqual(seen.errors, []);
}, { last: true });
