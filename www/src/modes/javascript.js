/* SPDX-License-Identifier: ISC */
export { javascriptLanguage as javascript, typescriptLanguage as typescript } from "@codemirror/lang-javascript";
