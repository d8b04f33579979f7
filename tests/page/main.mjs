/* SPDX-License-Identifier: ISC */
import { runAll } from "./harness.mjs";
import "./files.mjs";
import "./form.mjs";
import "./running.mjs";
import "./writing.mjs";
import "./links.mjs";
import "./everyone.mjs";
import "./threats.mjs";

process.exit(await runAll(process.argv.slice(2)) ? 1 : 0);
