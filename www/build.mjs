/* SPDX-License-Identifier: ISC */
/* Makes the page from its sources. Called by the script build, which brings the tools. */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [, , toolsDir, outDir] = process.argv;
const here = dirname(fileURLToPath(import.meta.url));
const tools = resolve(toolsDir, "node_modules");
const out = resolve(outDir);

/* The names of built files depend on where sources and packages lie to each other, so the
 * sources go to where the packages are. */
const stage = resolve(toolsDir, "stage");
const src = join(stage, "src");
rmSync(stage, { recursive: true, force: true });
for (const name of ["src", "lang"])
	cpSync(join(here, name), join(stage, name), { recursive: true });
const { default: esbuild } = await import(pathToFileURL(createRequire(join(tools, "x")).resolve("esbuild")));

function parseWords(text) {
	return new Map(text.split("\n").filter((line) => !line.startsWith("#") && line.indexOf("=") > 0)
		.map((line) => [line.slice(0, line.indexOf("=")).trim(), line.slice(line.indexOf("=") + 1).trim()]));
}

const langFiles = readdirSync(join(here, "lang")).filter((name) => name.endsWith(".txt")).sort();
const wordsOf = (name) => parseWords(readFileSync(join(here, "lang", name), "utf8"));
const english = wordsOf("en.txt");
for (const name of langFiles)
	for (const key of wordsOf(name).keys())
		if (!english.has(key))
			throw new Error(`lang/${name}: no word is called ${key}`);

const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

function word(key) {
	if (!english.has(key))
		throw new Error(`index.html: lang/en.txt has no word ${key}`);
	return escape(english.get(key));
}

/* English stands in the page itself: it is read before any script, and without one. */
function page() {
	return readFileSync(join(src, "index.html"), "utf8")
		.replace(/ data-t-(title|placeholder|aria-label)="([^"]+)"/g, (all, name, key) => `${all} ${name}="${word(key)}"`)
		.replace(/( data-t="([^"]+)"[^>]*>)</g, (all, tag, key) => `${tag}${word(key)}<`)
		.replace(/\n\t+/g, "\n");
}

const languagesOfThePage = {
	name: "languages-of-the-page",
	setup(build) {
		build.onResolve({ filter: /^languages-of-the-page$/ }, () => ({ path: "languages", namespace: "page" }));
		build.onLoad({ filter: /.*/, namespace: "page" }, () => ({
			contents: JSON.stringify(langFiles.map((name) =>
				({ id: basename(name, ".txt"), name: wordsOf(name).get("lang.name") || basename(name, ".txt") }))),
			loader: "json",
		}));
		/* One style module stands before the other: see style-mod.js. */
		build.onResolve({ filter: /^style-mod$/ }, () => ({ path: join(src, "style-mod.js") }));
		build.onResolve({ filter: /^style-mod-itself$/ }, () => ({ path: join(tools, "style-mod/src/style-mod.js") }));
		/* The words go in without the remarks and the empty lines. */
		build.onLoad({ filter: /\.txt$/ }, ({ path }) => ({
			contents: [...wordsOf(basename(path))].map(([key, text]) => `${key}=${text}`).join("\n"),
			loader: "text",
		}));
	},
};

const common = {
	absWorkingDir: resolve(toolsDir),
	bundle: true,
	minify: true,
	format: "esm",
	target: ["es2022"],
	charset: "utf8",
	legalComments: "none",
	nodePaths: [tools],
	preserveSymlinks: true,
	logLevel: "warning",
	metafile: true,
	write: true,
};

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "lang"), { recursive: true });

const built = await esbuild.build({
	...common,
	entryPoints: [{ in: "stage/src/app.js", out: "app" }],
	splitting: true,
	outdir: out,
	chunkNames: "editor/[name]-[hash]",
	plugins: [languagesOfThePage],
});
await esbuild.build({
	...common,
	entryPoints: [{ in: "stage/src/style.css", out: "style" }, { in: "stage/src/noscript.css", out: "noscript" }],
	outdir: out,
	target: ["chrome111", "firefox114", "safari16.4"],
});
writeFileSync(join(out, "index.html"), page());
cpSync(join(src, "icon.svg"), join(out, "icon.svg"));
for (const name of langFiles)
	writeFileSync(join(out, "lang", name), `${[...wordsOf(name)].map(([key, text]) => `${key} = ${text}`).join("\n")}\n`);

/* What the editor is made of is other people's work: their terms go with it. */
const packages = new Set(Object.values(built.metafile.outputs)
	.flatMap(({ inputs }) => Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0))
	.map(([path]) => path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1]).filter(Boolean));
const terms = new Map();
for (const name of [...packages].sort()) {
	const { version, license } = JSON.parse(readFileSync(join(tools, name, "package.json"), "utf8"));
	const file = readdirSync(join(tools, name)).find((one) => /^licen[sc]e/i.test(one));
	if (!file)
		throw new Error(`${name}: no licence file`);
	const text = readFileSync(join(tools, name, file), "utf8").trim();
	terms.set(text, [...terms.get(text) || [], `${name} ${version} (${license})`]);
}
writeFileSync(join(out, "LICENSES.txt"), `The files under editor/ hold parts of these packages.\n\n${
	[...terms].map(([text, names]) => `${names.join("\n")}\n\n${text}\n`).join("\n----\n\n")}`);

/* The worker that keeps files for later knows them by what they hold. */
function everything(dir, prefix) {
	const entries = readdirSync(dir, { withFileTypes: true }).sort((a, b) => a.name < b.name ? -1 : 1);
	return entries.flatMap((entry) => entry.isDirectory()
		? everything(join(dir, entry.name), `${prefix}${entry.name}/`) : [`${prefix}${entry.name}`]);
}
const files = everything(out, "");
const hash = createHash("sha256");
for (const name of files)
	hash.update(name).update("\0").update(readFileSync(join(out, name)));

/* Ahead of use: the page and the editor's core; a mode is kept when it was first used. */
const core = new Set();
const outputs = new Map(Object.entries(built.metafile.outputs).map(([path, about]) => [basename(path), about]));
function take(name) {
	if (core.has(name))
		return;
	core.add(name);
	for (const { path, kind } of outputs.get(name).imports)
		if (kind === "import-statement" || /\/editor-/.test(path))
			take(basename(path));
}
take("app.js");
core.delete("app.js");
const kept = ["./", "app.js", "style.css", "noscript.css", "icon.svg",
	...[...core].sort().map((name) => `editor/${name}`)];
await esbuild.build({
	...common,
	entryPoints: [{ in: "stage/src/sw.js", out: "sw" }],
	outdir: out,
	define: {
		PAGE_VERSION: JSON.stringify(hash.digest("hex").slice(0, 12)),
		PAGE_FILES: JSON.stringify(kept),
	},
});
