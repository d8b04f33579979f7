/* SPDX-License-Identifier: ISC */
export { javaLanguage as mode } from "@codemirror/lang-java";
