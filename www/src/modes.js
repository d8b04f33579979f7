/* SPDX-License-Identifier: ISC */
/*
 * The editor's modes, by the name that a language file gives ("editor"), each a file of its
 * own that is fetched when a program in it is first opened. A name that is not here means
 * plain text.
 */
import { StreamLanguage } from "@codemirror/language";

const legacy = (load, name) => async () => StreamLanguage.define((await load())[name]);
const parsed = (load, name) => async () => (await load())[name || "mode"];

const clike = () => import("@codemirror/legacy-modes/mode/clike");
const mllike = () => import("@codemirror/legacy-modes/mode/mllike");
const css = () => import("@codemirror/legacy-modes/mode/css");
const sql = () => import("@codemirror/legacy-modes/mode/sql");
const cpp = () => import("./modes/cpp.js");
const javascript = () => import("./modes/javascript.js");

const modes = new Map([
	["apl", legacy(() => import("@codemirror/legacy-modes/mode/apl"), "apl")],
	["asm", legacy(() => import("@codemirror/legacy-modes/mode/gas"), "gas")],
	["brainfuck", legacy(() => import("@codemirror/legacy-modes/mode/brainfuck"), "brainfuck")],
	["c", parsed(cpp)],
	["clojure", legacy(() => import("@codemirror/legacy-modes/mode/clojure"), "clojure")],
	["cmake", legacy(() => import("@codemirror/legacy-modes/mode/cmake"), "cmake")],
	["cobol", legacy(() => import("@codemirror/legacy-modes/mode/cobol"), "cobol")],
	["coffeescript", legacy(() => import("@codemirror/legacy-modes/mode/coffeescript"), "coffeeScript")],
	["commonlisp", legacy(() => import("@codemirror/legacy-modes/mode/commonlisp"), "commonLisp")],
	["cpp", parsed(cpp)],
	["crystal", legacy(() => import("@codemirror/legacy-modes/mode/crystal"), "crystal")],
	["csharp", legacy(clike, "csharp")],
	["css", legacy(css, "css")],
	["cython", legacy(() => import("@codemirror/legacy-modes/mode/python"), "cython")],
	["d", legacy(() => import("@codemirror/legacy-modes/mode/d"), "d")],
	["dart", legacy(clike, "dart")],
	["diff", legacy(() => import("@codemirror/legacy-modes/mode/diff"), "diff")],
	["ebnf", legacy(() => import("@codemirror/legacy-modes/mode/ebnf"), "ebnf")],
	["eiffel", legacy(() => import("@codemirror/legacy-modes/mode/eiffel"), "eiffel")],
	["elm", legacy(() => import("@codemirror/legacy-modes/mode/elm"), "elm")],
	["erlang", legacy(() => import("@codemirror/legacy-modes/mode/erlang"), "erlang")],
	["factor", legacy(() => import("@codemirror/legacy-modes/mode/factor"), "factor")],
	["forth", legacy(() => import("@codemirror/legacy-modes/mode/forth"), "forth")],
	["fortran", legacy(() => import("@codemirror/legacy-modes/mode/fortran"), "fortran")],
	["fsharp", legacy(mllike, "fSharp")],
	["gas", legacy(() => import("@codemirror/legacy-modes/mode/gas"), "gas")],
	["go", parsed(() => import("./modes/go.js"))],
	["groovy", legacy(() => import("@codemirror/legacy-modes/mode/groovy"), "groovy")],
	["haskell", legacy(() => import("@codemirror/legacy-modes/mode/haskell"), "haskell")],
	["haxe", legacy(() => import("@codemirror/legacy-modes/mode/haxe"), "haxe")],
	["java", parsed(() => import("./modes/java.js"))],
	["javascript", parsed(javascript, "javascript")],
	["json", legacy(() => import("@codemirror/legacy-modes/mode/javascript"), "json")],
	["julia", legacy(() => import("@codemirror/legacy-modes/mode/julia"), "julia")],
	["kotlin", legacy(clike, "kotlin")],
	["latex", legacy(() => import("@codemirror/legacy-modes/mode/stex"), "stex")],
	["less", legacy(css, "less")],
	["livescript", legacy(() => import("@codemirror/legacy-modes/mode/livescript"), "liveScript")],
	["lua", legacy(() => import("@codemirror/legacy-modes/mode/lua"), "lua")],
	["mathematica", legacy(() => import("@codemirror/legacy-modes/mode/mathematica"), "mathematica")],
	["modelica", legacy(() => import("@codemirror/legacy-modes/mode/modelica"), "modelica")],
	["mumps", legacy(() => import("@codemirror/legacy-modes/mode/mumps"), "mumps")],
	["objectivec", legacy(clike, "objectiveC")],
	["objectivecpp", legacy(clike, "objectiveCpp")],
	["ocaml", legacy(mllike, "oCaml")],
	["octave", legacy(() => import("@codemirror/legacy-modes/mode/octave"), "octave")],
	["oz", legacy(() => import("@codemirror/legacy-modes/mode/oz"), "oz")],
	["pascal", legacy(() => import("@codemirror/legacy-modes/mode/pascal"), "pascal")],
	["perl", legacy(() => import("@codemirror/legacy-modes/mode/perl"), "perl")],
	["php", parsed(() => import("./modes/php.js"))],
	["powershell", legacy(() => import("@codemirror/legacy-modes/mode/powershell"), "powerShell")],
	["properties", legacy(() => import("@codemirror/legacy-modes/mode/properties"), "properties")],
	["python", parsed(() => import("./modes/python.js"))],
	["r", legacy(() => import("@codemirror/legacy-modes/mode/r"), "r")],
	["ruby", legacy(() => import("@codemirror/legacy-modes/mode/ruby"), "ruby")],
	["rust", parsed(() => import("./modes/rust.js"))],
	["sass", legacy(() => import("@codemirror/legacy-modes/mode/sass"), "sass")],
	["scala", legacy(clike, "scala")],
	["scheme", legacy(() => import("@codemirror/legacy-modes/mode/scheme"), "scheme")],
	["scss", legacy(css, "sCSS")],
	["shell", legacy(() => import("@codemirror/legacy-modes/mode/shell"), "shell")],
	["smalltalk", legacy(() => import("@codemirror/legacy-modes/mode/smalltalk"), "smalltalk")],
	["sml", legacy(mllike, "sml")],
	["sql", legacy(sql, "sqlite")],
	["stex", legacy(() => import("@codemirror/legacy-modes/mode/stex"), "stex")],
	["swift", legacy(() => import("@codemirror/legacy-modes/mode/swift"), "swift")],
	["tcl", legacy(() => import("@codemirror/legacy-modes/mode/tcl"), "tcl")],
	["troff", legacy(() => import("@codemirror/legacy-modes/mode/troff"), "troff")],
	["typescript", parsed(javascript, "typescript")],
	["vb", legacy(() => import("@codemirror/legacy-modes/mode/vb"), "vb")],
	["verilog", legacy(() => import("@codemirror/legacy-modes/mode/verilog"), "verilog")],
	["vhdl", legacy(() => import("@codemirror/legacy-modes/mode/vhdl"), "vhdl")],
	["wast", legacy(() => import("@codemirror/legacy-modes/mode/wast"), "wast")],
	["xml", legacy(() => import("@codemirror/legacy-modes/mode/xml"), "xml")],
	["xquery", legacy(() => import("@codemirror/legacy-modes/mode/xquery"), "xQuery")],
	["yacas", legacy(() => import("@codemirror/legacy-modes/mode/yacas"), "yacas")],
	["yaml", legacy(() => import("@codemirror/legacy-modes/mode/yaml"), "yaml")],
	["z80", legacy(() => import("@codemirror/legacy-modes/mode/z80"), "z80")],
]);

/* Other names for the same. */
const also = new Map([
	/* Near relations, where there is no mode of their own. */
	["ada", "vhdl"], ["elixir", "ruby"],
	["assembly", "asm"], ["nasm", "asm"], ["bash", "shell"], ["sh", "shell"], ["c++", "cpp"], ["clike", "c"],
	["c#", "csharp"], ["f#", "fsharp"], ["basic", "vb"], ["lisp", "commonlisp"], ["elisp", "commonlisp"],
	["js", "javascript"], ["ts", "typescript"], ["mllike", "ocaml"], ["objc", "objectivec"],
	["objective-c", "objectivec"], ["tex", "latex"], ["wasm", "wast"], ["wat", "wast"], ["sqlite", "sql"],
	["matlab", "octave"], ["golang", "go"], ["python3", "python"], ["nroff", "troff"], ["racket", "scheme"],
]);

/* The mode's extension, or null for plain text. */
export async function loadMode(name) {
	const mode = modes.get(also.get(name) || name);
	return mode ? mode() : null;
}
