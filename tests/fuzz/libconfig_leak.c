/* SPDX-License-Identifier: ISC */
/* libconfig's scanner loses the buffer of a string that ends in an error. The files
 * are root's and read once; the sanitizer need not stop for that. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:strbuf_append\nleak:libconfig_yylex\n";
}
