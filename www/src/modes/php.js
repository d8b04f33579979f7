/* SPDX-License-Identifier: ISC */
export { phpLanguage as mode } from "@codemirror/lang-php";
