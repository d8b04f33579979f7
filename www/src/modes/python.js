/* SPDX-License-Identifier: ISC */
export { pythonLanguage as mode } from "@codemirror/lang-python";
