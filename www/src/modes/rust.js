/* SPDX-License-Identifier: ISC */
export { rustLanguage as mode } from "@codemirror/lang-rust";
