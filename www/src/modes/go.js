/* SPDX-License-Identifier: ISC */
export { goLanguage as mode } from "@codemirror/lang-go";
