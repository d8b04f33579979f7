/* SPDX-License-Identifier: ISC */
export { cppLanguage as mode } from "@codemirror/lang-cpp";
