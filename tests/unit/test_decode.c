/* SPDX-License-Identifier: ISC */
/* Requests in every encoding, well formed and not. Each row of JSON that is JSON at
 * all is also sent as msgpack, and must mean the same. */
#include <jansson.h>
#include <msgpack/pack.h>
#include <msgpack/sbuffer.h>
#include <string.h>

#include "common/io.h"
#include "tests/tap.h"
#include "tests/unit/job_text.h"

#define JSON	   "application/json"
#define MSGPACK	   "application/msgpack"
#define FORM	   "application/x-www-form-urlencoded"
#define MULTIPART  "multipart/form-data; boundary=XX"
#define TEXT_BYTES 8192

#define BYTES(literal) { literal, sizeof(literal) - 1 }

struct row {
	const char *name;
	struct bytes body;
	const char *expected;
};

/* language and code, and then what the row is about */
#define LC "\"language\":\"c\",\"code\":\"x\""

static const struct row json_rows[] = {
	{ "the smallest request", BYTES("{\"language\":\"c\",\"code\":\"\"}"), "c " },
	{ "language and code", BYTES("{" LC "}"), "c x" },
	{ "a client of another page", BYTES("{\"language\":\"python\",\"code\":\"print(1)\","
					    "\"input\":\"3\\n\"}"),
	  "python print(1) input=3\\x0a" },
	{ "every character an id may have",
	  BYTES("{\"language\":\"aZ09_+.#-\",\"code\":\"x\"}"), "aZ09_+.#- x" },
	{ "white space around", BYTES(" \r\n\t{" LC "}\n"), "c x" },
	{ "unknown fields", BYTES("{" LC ",\"colour\":{\"a\":[1]},\"limits\":{\"luck\":\"7\"}}"),
	  "c x" },
	{ "null is absent", BYTES("{" LC ",\"input\":null,\"stdin\":\"a\",\"files\":null,"
				  "\"arguments\":null,\"timeout\":null,\"limits\":null,"
				  "\"tests\":null,\"compare\":null,\"collect\":null}"),
	  "c x input=a" },
	{ "empty lists", BYTES("{" LC ",\"files\":[],\"arguments\":[],\"tests\":[],"
			       "\"collect\":[]}"), "c x" },
	{ "NUL in code", BYTES("{\"language\":\"c\",\"code\":\"a\\u0000b\"}"), "c a\\x00b" },
	{ "characters beyond the first plane",
	  BYTES("{\"language\":\"c\",\"code\":\"\\ud83d\\ude00\"}"), "c \\xf0\\x9f\\x98\\x80" },
	{ "code in base 64", BYTES("{\"language\":\"c\",\"code\":{\"base64\":\"/wD+\"}}"),
	  "c \\xff\\x00\\xfe" },
	{ "base 64 without padding", BYTES("{\"language\":\"c\",\"code\":{\"base64\":\"YQ\"}}"),
	  "c a" },
	{ "stdin is input", BYTES("{" LC ",\"stdin\":\"a\"}"), "c x input=a" },
	{ "args are arguments", BYTES("{" LC ",\"args\":[\"a\",\"b c\",\"\"]}"),
	  "c x arguments=[a|b c|]" },
	{ "arguments in base 64", BYTES("{" LC ",\"arguments\":[{\"base64\":\"/w==\"}]}"),
	  "c x arguments=[\\xff]" },
	{ "shell characters stay", BYTES("{" LC ",\"arguments\":[\"; rm -rf /\",\"$(id)\"]}"),
	  "c x arguments=[; rm -rf /|$(id)]" },
	{ "options", BYTES("{" LC ",\"options\":[\"-O3\"]}"), "c x options=[-O3]" },
	{ "timeout", BYTES("{" LC ",\"timeout\":2}"), "c x run.wall_ms=2000" },
	{ "timeout in fractions", BYTES("{" LC ",\"timeout\":0.25}"), "c x run.wall_ms=250" },
	{ "timeout by default", BYTES("{" LC ",\"timeout\":-1}"), "c x" },
	{ "timeout beyond every number", BYTES("{" LC ",\"timeout\":1e300}"),
	  "c x run.wall_ms=1000000000000000" },
	{ "limits", BYTES("{" LC ",\"limits\":{\"wall_ms\":1,\"cpu_ms\":2,\"memory_bytes\":3,"
			  "\"processes\":4,\"output_bytes\":5,\"disk_bytes\":6,\"cpu_percent\":7,"
			  "\"total_ms\":8,\"compile\":{\"wall_ms\":9}}}"),
	  "c x run.wall_ms=1 run.cpu_ms=2 run.memory_bytes=3 run.output_bytes=5 run.disk_bytes=6 "
	  "run.processes=4 run.cpu_percent=7 build.wall_ms=9 total_ms=8" },
	{ "limits by default",
	  BYTES("{" LC ",\"limits\":{\"wall_ms\":-1,\"cpu_ms\":null,\"compile\":null}}"), "c x" },
	{ "a limit beside timeout", BYTES("{" LC ",\"timeout\":1,\"limits\":{\"cpu_ms\":5}}"),
	  "c x run.wall_ms=1000 run.cpu_ms=5" },
	{ "a whole number written as a real one",
	  BYTES("{" LC ",\"limits\":{\"wall_ms\":2.0e3}}"), "c x run.wall_ms=2000" },
	{ "a number of thirty digits",
	  BYTES("{" LC ",\"limits\":{\"memory_bytes\":100000000000000000000000000000}}"),
	  "c x run.memory_bytes=1000000000000000" },
	{ "files", BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"m.c\",\"content\":\"1\"},"
			 "{\"name\":\"d/a.h\",\"content\":\"2\"}]}"),
	  "c file m.c=1 file d/a.h=2" },
	{ "files with encodings",
	  BYTES("{\"language\":\"c\",\"files\":["
		"{\"name\":\"a\",\"content\":\"YQ==\",\"encoding\":\"utf8\"},"
		"{\"name\":\"b\",\"content\":\"YQ==\",\"encoding\":\"base64\"},"
		"{\"name\":\"c\",\"content\":{\"base64\":\"YQ==\"}}]}"),
	  "c file a=YQ== file b=a file c=a" },
	{ "tests", BYTES("{" LC ",\"input\":\"i\",\"tests\":[{\"input\":\"1\",\"expected\":\"2\"},"
			 "{\"stdin\":\"\",\"args\":[\"a\"],\"name\":\"n\"},{}]}"),
	  "c x input=i test(;1;=2) test(n;;args 1) test(;i)" },
	{ "compare exact", BYTES("{" LC ",\"compare\":\"exact\"}"), "c x compare=exact:0" },
	{ "compare tokens", BYTES("{" LC ",\"compare\":\"tokens\"}"), "c x compare=tokens:0" },
	{ "compare float", BYTES("{" LC ",\"compare\":\"float:1e-6\"}"),
	  "c x compare=float:1e-06" },
	{ "compare as always", BYTES("{" LC ",\"compare\":\"trailing-space\"}"), "c x" },
	{ "collect", BYTES("{" LC ",\"collect\":[\"a.txt\",\"d/b\"]}"),
	  "c x collect=[a.txt|d/b]" },
	{ "thirty-two levels", BYTES("{" LC ",\"z\":"
				     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"),
	  "c x" },

	{ "no language", BYTES("{\"code\":\"x\"}"), "400 missing language" },
	{ "language is null", BYTES("{\"language\":null,\"code\":\"x\"}"),
	  "400 missing language" },
	{ "empty language", BYTES("{\"language\":\"\",\"code\":\"x\"}"), "400 invalid language" },
	{ "a path as language", BYTES("{\"language\":\"../../x\",\"code\":\"x\"}"),
	  "400 invalid language" },
	{ "a language with NUL", BYTES("{\"language\":\"c\\u0000\",\"code\":\"x\"}"),
	  "400 invalid language" },
	{ "a language of 65 bytes",
	  BYTES("{\"language\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
		"\"code\":\"x\"}"), "400 invalid language" },
	{ "a number as language", BYTES("{\"language\":1,\"code\":\"x\"}"),
	  "400 invalid language" },
	{ "no code", BYTES("{\"language\":\"c\"}"), "400 missing code" },
	{ "a number as code", BYTES("{\"language\":\"c\",\"code\":1}"), "400 invalid code" },
	{ "a truth value as code", BYTES("{\"language\":\"c\",\"code\":true}"),
	  "400 invalid code" },
	{ "a list as code", BYTES("{\"language\":\"c\",\"code\":[]}"), "400 invalid code" },
	{ "a map as code", BYTES("{\"language\":\"c\",\"code\":{}}"), "400 invalid code" },
	{ "base 64 and more", BYTES("{\"language\":\"c\",\"code\":{\"base64\":\"\",\"a\":1}}"),
	  "400 invalid code" },
	{ "base 64 that is none", BYTES("{\"language\":\"c\",\"code\":{\"base64\":\"a!b=\"}}"),
	  "400 invalid code" },
	{ "base 64 with a rest", BYTES("{\"language\":\"c\",\"code\":{\"base64\":\"YR==\"}}"),
	  "400 invalid code" },
	{ "code and files", BYTES("{" LC ",\"files\":[{\"name\":\"a\",\"content\":\"\"}]}"),
	  "400 invalid files" },
	{ "input and stdin", BYTES("{" LC ",\"input\":\"\",\"stdin\":\"\"}"),
	  "400 invalid stdin" },
	{ "arguments and args", BYTES("{" LC ",\"arguments\":[],\"args\":[]}"),
	  "400 invalid args" },
	{ "arguments as one string", BYTES("{" LC ",\"arguments\":\"a b\"}"),
	  "400 invalid arguments" },
	{ "a number among arguments", BYTES("{" LC ",\"arguments\":[\"a\",1]}"),
	  "400 invalid arguments[1]" },
	{ "NUL in an argument", BYTES("{" LC ",\"arguments\":[\"a\\u0000\"]}"),
	  "400 invalid arguments[0]" },
	{ "NUL in an option", BYTES("{" LC ",\"options\":[\"a\\u0000\"]}"),
	  "400 invalid options[0]" },
	{ "NUL in an argument in base 64", BYTES("{" LC ",\"args\":[{\"base64\":\"AA==\"}]}"),
	  "400 invalid args[0]" },
	{ "timeout of zero", BYTES("{" LC ",\"timeout\":0}"), "400 out_of_range timeout" },
	{ "timeout below zero", BYTES("{" LC ",\"timeout\":-2}"), "400 out_of_range timeout" },
	{ "timeout below a millisecond", BYTES("{" LC ",\"timeout\":1e-9}"),
	  "400 out_of_range timeout" },
	{ "timeout as a string", BYTES("{" LC ",\"timeout\":\"10\"}"), "400 invalid timeout" },
	{ "timeout and wall_ms", BYTES("{" LC ",\"timeout\":1,\"limits\":{\"wall_ms\":1000}}"),
	  "400 invalid timeout" },
	{ "limits as a list", BYTES("{" LC ",\"limits\":[]}"), "400 invalid limits" },
	{ "a limit as a string", BYTES("{" LC ",\"limits\":{\"wall_ms\":\"1\"}}"),
	  "400 invalid limits.wall_ms" },
	{ "a limit of zero", BYTES("{" LC ",\"limits\":{\"processes\":0}}"),
	  "400 out_of_range limits.processes" },
	{ "a limit below zero", BYTES("{" LC ",\"limits\":{\"memory_bytes\":-5}}"),
	  "400 out_of_range limits.memory_bytes" },
	{ "a limit in fractions", BYTES("{" LC ",\"limits\":{\"cpu_ms\":1.5}}"),
	  "400 invalid limits.cpu_ms" },
	{ "a compile limit in fractions",
	  BYTES("{" LC ",\"limits\":{\"compile\":{\"cpu_ms\":1.5}}}"),
	  "400 invalid limits.compile.cpu_ms" },
	{ "compile limits as a number", BYTES("{" LC ",\"limits\":{\"compile\":1}}"),
	  "400 invalid limits.compile" },
	{ "total_ms as a truth value", BYTES("{" LC ",\"limits\":{\"total_ms\":true}}"),
	  "400 invalid limits.total_ms" },
	{ "files as a map", BYTES("{\"language\":\"c\",\"files\":{}}"), "400 invalid files" },
	{ "files of strings", BYTES("{\"language\":\"c\",\"files\":[\"a\"]}"),
	  "400 invalid files[0]" },
	{ "a file without name", BYTES("{\"language\":\"c\",\"files\":[{\"content\":\"\"}]}"),
	  "400 missing files[0].name" },
	{ "a file without content", BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"a\"}]}"),
	  "400 missing files[0].content" },
	{ "a file outside",
	  BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"../a\",\"content\":\"\"}]}"),
	  "400 invalid files[0].name" },
	{ "an absolute file",
	  BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"/a\",\"content\":\"\"}]}"),
	  "400 invalid files[0].name" },
	{ "a file name with NUL",
	  BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"a\\u0000\",\"content\":\"\"}]}"),
	  "400 invalid files[0].name" },
	{ "a file twice", BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"a\",\"content\":\"\"},"
				"{\"name\":\"a\",\"content\":\"\"}]}"),
	  "400 invalid files[1].name" },
	{ "a file as a folder",
	  BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"a/b\",\"content\":\"\"},"
		"{\"name\":\"a\",\"content\":\"\"}]}"),
	  "400 invalid files[1].name" },
	{ "a file of no known encoding",
	  BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"a\",\"content\":\"\","
		"\"encoding\":\"utf16\"}]}"), "400 invalid files[0].content" },
	{ "a file with two encodings",
	  BYTES("{\"language\":\"c\",\"files\":[{\"name\":\"a\",\"content\":{\"base64\":\"\"},"
		"\"encoding\":\"base64\"}]}"), "400 invalid files[0].content" },
	{ "tests as a map", BYTES("{" LC ",\"tests\":{}}"), "400 invalid tests" },
	{ "tests of strings", BYTES("{" LC ",\"tests\":[\"a\"]}"), "400 invalid tests[0]" },
	{ "a test's input as a number", BYTES("{" LC ",\"tests\":[{\"input\":1}]}"),
	  "400 invalid tests[0].input" },
	{ "a test's stdin beside input",
	  BYTES("{" LC ",\"tests\":[{\"input\":\"\",\"stdin\":\"\"}]}"),
	  "400 invalid tests[0].stdin" },
	{ "NUL in a test's argument",
	  BYTES("{" LC ",\"tests\":[{},{\"arguments\":[\"\",\"\\u0000\"]}]}"),
	  "400 invalid tests[1].arguments[1]" },
	{ "a test's name as a number", BYTES("{" LC ",\"tests\":[{\"name\":1}]}"),
	  "400 invalid tests[0].name" },
	{ "no way to compare", BYTES("{" LC ",\"compare\":\"roughly\"}"),
	  "400 invalid compare" },
	{ "a tolerance below zero", BYTES("{" LC ",\"compare\":\"float:-1\"}"),
	  "400 invalid compare" },
	{ "a tolerance without number", BYTES("{" LC ",\"compare\":\"float:\"}"),
	  "400 invalid compare" },
	{ "collect outside", BYTES("{" LC ",\"collect\":[\"a\",\"..\"]}"),
	  "400 invalid collect[1]" },
	{ "collect twice", BYTES("{" LC ",\"collect\":[\"a\",\"a\"]}"),
	  "400 invalid collect[1]" },
	{ "collect as a string", BYTES("{" LC ",\"collect\":\"a\"}"), "400 invalid collect" },
	{ "a list", BYTES("[]"), "400 malformed body" },
	{ "a string", BYTES("\"x\""), "400 malformed body" },
	{ "null", BYTES("null"), "400 malformed body" },
	{ "an empty map", BYTES("{}"), "400 missing language" },
};

static const struct row broken_json_rows[] = {
	{ "thirty-three levels", BYTES("{" LC ",\"z\":"
				       "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"),
	  "400 malformed body" },
	{ "an empty body", BYTES(""), "400 malformed body" },
	{ "cut short", BYTES("{\"language\":"), "400 malformed body" },
	{ "cut inside a string", BYTES("{\"language\":\"c\\"), "400 malformed body" },
	{ "something behind the end", BYTES("{" LC "}x"), "400 malformed body" },
	{ "a key twice", BYTES("{" LC ",\"code\":\"y\"}"), "400 malformed body" },
	{ "a comma too many", BYTES("{" LC ",}"), "400 malformed body" },
	{ "single quotes", BYTES("{'language':'c'}"), "400 malformed body" },
	{ "a comment", BYTES("{/**/" LC "}"), "400 malformed body" },
	{ "not a number", BYTES("{" LC ",\"timeout\":NaN}"), "400 malformed body" },
	{ "a number beyond a double", BYTES("{" LC ",\"timeout\":1e999}"), "400 malformed body" },
	{ "bytes that are no UTF-8", BYTES("{\"language\":\"c\",\"code\":\"\xff\"}"),
	  "400 malformed body" },
	{ "an overlong NUL", BYTES("{\"language\":\"c\",\"code\":\"\xc0\x80\"}"),
	  "400 malformed body" },
	{ "a lone surrogate", BYTES("{\"language\":\"c\",\"code\":\"\\ud800\"}"),
	  "400 malformed body" },
	{ "a surrogate in UTF-8", BYTES("{\"language\":\"c\",\"code\":\"\xed\xa0\x80\"}"),
	  "400 malformed body" },
	{ "a raw line end in a string", BYTES("{\"language\":\"c\",\"code\":\"a\nb\"}"),
	  "400 malformed body" },
	{ "a raw NUL", BYTES("{\"language\":\"c\",\"code\":\"a\0b\"}"), "400 malformed body" },
	{ "NUL in a key", BYTES("{\"a\\u0000\":1," LC "}"), "400 malformed body" },
	{ "a byte order mark", BYTES("\xef\xbb\xbf{" LC "}"), "400 malformed body" },
	{ "UTF-16", BYTES("\xff\xfe{\0\"\0c\0\"\0}\0"), "400 malformed body" },
};

static const struct row msgpack_rows[] = {
	{ "str and bin", BYTES("\x82\xa8language\xc4\x01" "c\xa4" "code\xc4\x02\xff\x00"),
	  "c \\xff\\x00" },
	{ "str of 8, 16 and 32 bits",
	  BYTES("\x82\xd9\x08language\xda\x00\x01" "c\xdb\x00\x00\x00\x04" "code\xa1x"), "c x" },
	{ "map of 16 and 32 bits",
	  BYTES("\xdf\x00\x00\x00\x03\xa8language\xa1" "c\xa4" "code\xa1x\xa6limits\xde\x00\x01"
		"\xa7wall_ms\xcd\x03\xe8"), "c x run.wall_ms=1000" },
	{ "float32", BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa7timeout\xca\x3f\x00\x00\x00"),
	  "c x run.wall_ms=500" },
	{ "a negative number", BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa7timeout\xd0\xff"),
	  "c x" },
	{ "the largest number",
	  BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa7timeout"
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "c x run.wall_ms=1000000000000000" },
	{ "not a number", BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa7timeout"
				"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
	  "400 out_of_range timeout" },
	{ "infinity as a limit", BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa6limits\x81"
				       "\xa7wall_ms\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),
	  "c x run.wall_ms=1000000000000000" },
	{ "not a number as a limit", BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa6limits\x81"
					   "\xa7wall_ms\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
	  "400 out_of_range limits.wall_ms" },
	{ "only nil", BYTES("\xc0"), "400 malformed body" },
	{ "cut in a header", BYTES("\xde\x00"), "400 malformed body" },
	{ "cut in a string", BYTES("\x81\xa8lang"), "400 malformed body" },
	{ "cut before a value", BYTES("\x81\xa8language"), "400 malformed language" },
	{ "thirty-three levels",
	  BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa1z"
		"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
		"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01"),
	  "400 malformed z" },
	{ "something behind the end",
	  BYTES("\x82\xa8language\xa1" "c\xa4" "code\xa1x\xc0"), "400 malformed body" },
	{ "a list of 4 billion", BYTES("\xdd\xff\xff\xff\xff"), "400 malformed body" },
	{ "a map of 4 billion", BYTES("\xdf\xff\xff\xff\xff"), "400 malformed body" },
	{ "a map that would just fit by pairs", BYTES("\x82\xa0\xc0"), "400 malformed body" },
	{ "a string of 4 GiB", BYTES("\xdb\xff\xff\xff\xff"), "400 malformed body" },
	{ "4 GiB of bytes", BYTES("\xc6\xff\xff\xff\xff"), "400 malformed body" },
	{ "an extension", BYTES("\x81\xa1" "a\xd4\x01\x00"), "400 malformed a" },
	{ "an extension of 8 bits", BYTES("\x81\xa1" "a\xc7\x01\x01\x00"), "400 malformed a" },
	{ "an extension of 4 GiB", BYTES("\xc9\xff\xff\xff\xff\x00"), "400 malformed body" },
	{ "the byte that means nothing", BYTES("\x81\xa1" "a\xc1"), "400 malformed a" },
	{ "a number as key", BYTES("\x81\x01\xa1" "a"), "400 malformed body" },
	{ "bin as key", BYTES("\x81\xc4\x01" "a\xa1" "a"), "400 malformed body" },
	{ "a map as key", BYTES("\x81\x80\xa1" "a"), "400 malformed body" },
	{ "a key twice", BYTES("\x83\xa8language\xa1" "c\xa4" "code\xa1x\xa4" "code\xa1y"),
	  "400 malformed body" },
};

static const struct row form_rows[] = {
	{ "a plain form", BYTES("language=c&code=int+x%3B&input=a%0D%0Ab%0D%0A"),
	  "c int x; input=a\\x0ab\\x0a" },
	{ "empty fields", BYTES("language=c&code=x&input=&arguments=&options=&timeout=&compare="),
	  "c x" },
	{ "an empty program", BYTES("language=c&code="), "c " },
	{ "bytes", BYTES("language=c&code=%00%FF%0d"), "c \\x00\\xff\\x0d" },
	{ "arguments by line", BYTES("language=c&code=x&arguments=a%0D%0Ab+c%0D%0A%0D%0A"),
	  "c x arguments=[a|b c]" },
	{ "an empty argument between", BYTES("language=c&code=x&args=a%0A%0Ab"),
	  "c x arguments=[a||b]" },
	{ "arguments by field", BYTES("language=c&code=x&arguments=a&arguments=&arguments=b%0Ac"),
	  "c x arguments=[a||b\\x0ac]" },
	{ "options and collect", BYTES("language=c&code=x&options=-g&collect=a%0Ab"),
	  "c x options=[-g] collect=[a|b]" },
	{ "timeout", BYTES("language=c&code=x&timeout=1.5"), "c x run.wall_ms=1500" },
	{ "limits", BYTES("language=c&code=x&limits.wall_ms=5&limits.compile.cpu_ms=6&"
			  "limits.total_ms=7&limits.luck=8"),
	  "c x run.wall_ms=5 build.cpu_ms=6 total_ms=7" },
	{ "unknown fields", BYTES("language=c&code=x&submit=Run&_charset_=utf-8"), "c x" },
	{ "no values, and empty pieces", BYTES("&language=c&&code&x"), "c " },
	{ "compare", BYTES("language=c&code=x&compare=tokens"), "c x compare=tokens:0" },
	{ "an empty file box without its encoding", BYTES("language=c&code=x&files="), "c x" },
	{ "a file's name without its content", BYTES("language=c&code=x&files=a.c"),
	  "400 invalid files" },
	{ "no language", BYTES("code=x"), "400 missing language" },
	{ "an empty language", BYTES("language=&code=x"), "400 invalid language" },
	{ "no code", BYTES("language=c"), "400 missing code" },
	{ "code twice", BYTES("language=c&code=x&code=y"), "400 invalid code" },
	{ "input and stdin", BYTES("language=c&code=x&input=a&stdin=b"), "400 invalid stdin" },
	{ "a broken escape", BYTES("language=c&code=%4"), "400 malformed body" },
	{ "a broken escape in a name", BYTES("language=c&co%zze=x"), "400 malformed body" },
	{ "a timeout in words", BYTES("language=c&code=x&timeout=soon"), "400 invalid timeout" },
	{ "a hexadecimal limit", BYTES("language=c&code=x&limits.wall_ms=0x10"),
	  "400 invalid limits.wall_ms" },
	{ "a limit of zero", BYTES("language=c&code=x&limits.compile.wall_ms=0"),
	  "400 out_of_range limits.compile.wall_ms" },
	{ "timeout and wall_ms", BYTES("language=c&code=x&timeout=1&limits.wall_ms=9"),
	  "400 invalid timeout" },
	{ "NUL in an argument", BYTES("language=c&code=x&args=a%00"), "400 invalid args[0]" },
};

#define CD   "Content-Disposition: form-data; name="
#define NEXT "\r\n--XX\r\n"
#define LANG "--XX\r\n" CD "\"language\"\r\n\r\nc"
#define END  "\r\n--XX--\r\n"

static const struct row multipart_rows[] = {
	{ "a plain form", BYTES(LANG NEXT CD "code\r\n\r\na\r\nb" END), "c a\\x0ab" },
	{ "a file as code", BYTES(LANG NEXT CD "\"code\"; filename=\"m.c\"\r\n"
				  "Content-Type: text/x-c\r\n\r\na\r\n\0\xff" END),
	  "c file m.c=a\\x0d\\x0a\\x00\\xff" },
	{ "the main file is the one named code",
	  BYTES(LANG NEXT CD "\"files\"; filename=\"d.txt\"\r\n\r\n1" NEXT CD
		"\"code\"; filename=\"m.c\"\r\n\r\n2" NEXT CD
		"\"files\"; filename=\"e\"\r\n\r\n3" END),
	  "c file m.c=2 file d.txt=1 file e=3" },
	{ "an empty text box beside a file",
	  BYTES(LANG NEXT CD "\"code\"\r\n\r\n" NEXT CD "\"files\"; filename=\"m.c\"\r\n\r\n2" END),
	  "c file m.c=2" },
	{ "a file box without a file",
	  BYTES(LANG NEXT CD "\"code\"\r\n\r\nx" NEXT CD "\"files\"; filename=\"\"\r\n"
		"Content-Type: application/octet-stream\r\n\r\n" END), "c x" },
	{ "input from a file", BYTES(LANG NEXT CD "\"code\"\r\n\r\nx" NEXT CD
				     "\"input\"; filename=\"i\"\r\n\r\na\r\n" END),
	  "c x input=a\\x0d\\x0a" },
	{ "something before the first boundary",
	  BYTES("hello\r\n" LANG NEXT CD "code\r\n\r\nx" END), "c x" },
	{ "something behind the last", BYTES(LANG NEXT CD "code\r\n\r\nx" END "bye\r\n--XX\r\n"),
	  "c x" },
	{ "spaces behind a boundary",
	  BYTES(LANG "\r\n--XX \t\r\n" CD "code\r\n\r\nx\r\n--XX--"), "c x" },
	{ "a boundary's beginning in the content",
	  BYTES(LANG NEXT CD "code\r\n\r\nx\r\n--X\r\n--xx" END),
	  "c x\\x0a--X\\x0a--xx" },
	{ "an empty part with its boundary at once",
	  BYTES(LANG NEXT CD "code\r\n\r\n--XX--\r\n"), "c " },
	{ "escapes in a name", BYTES(LANG NEXT CD "\"co\\\"de\"\r\n\r\ny" NEXT CD
				     "\"code\"\r\n\r\nx" END), "c x" },
	{ "header names of any case",
	  BYTES(LANG NEXT "content-disposition:form-data;NAME=code\r\n\r\nx" END), "c x" },
	{ "arguments by field", BYTES(LANG NEXT CD "code\r\n\r\nx" NEXT CD "args\r\n\r\na" NEXT CD
				      "args\r\n\r\nb" END), "c x arguments=[a|b]" },
	{ "bytes sent as they are", BYTES(LANG NEXT CD "code\r\n"
					  "Content-Transfer-Encoding: 8bit\r\n\r\nx" END), "c x" },
	{ "a file outside", BYTES(LANG NEXT CD "\"files\"; filename=\"../../x\"\r\n\r\n1" END),
	  "400 invalid files[0].name" },
	{ "a file with a whole path of Windows",
	  BYTES(LANG NEXT CD "\"files\"; filename=\"C:\\x.c\"\r\n\r\n1" END),
	  "400 invalid files[0].name" },
	{ "a file without a name", BYTES(LANG NEXT CD "\"files\"; filename=\"\"\r\n\r\n1" END),
	  "400 invalid files[0].name" },
	{ "a program as text and as a file",
	  BYTES(LANG NEXT CD "\"code\"\r\n\r\nx" NEXT CD "\"files\"; filename=\"m\"\r\n\r\n1" END),
	  "400 invalid files" },
	{ "two files of one name", BYTES(LANG NEXT CD "\"files\"; filename=\"m\"\r\n\r\n1" NEXT CD
					 "\"files\"; filename=\"m\"\r\n\r\n1" END),
	  "400 invalid files[1].name" },
	{ "no boundary in the body", BYTES("hello"), "400 malformed body" },
	{ "only the last boundary", BYTES("--XX--\r\n"), "400 missing language" },
	{ "never closed", BYTES(LANG NEXT CD "code\r\n\r\nx"), "400 malformed body" },
	{ "closed without its dashes", BYTES(LANG NEXT CD "code\r\n\r\nx\r\n--XX"),
	  "400 malformed body" },
	{ "letters behind a boundary", BYTES(LANG "\r\n--XXY\r\n" CD "code\r\n\r\nx" END),
	  "400 malformed body" },
	{ "no disposition", BYTES(LANG NEXT "Content-Type: text/plain\r\n\r\nx" END),
	  "400 malformed body" },
	{ "two dispositions", BYTES(LANG NEXT CD "a\r\n" CD "b\r\n\r\nx" END), "400 malformed body" },
	{ "no name", BYTES(LANG NEXT "Content-Disposition: form-data\r\n\r\nx" END),
	  "400 malformed body" },
	{ "two names", BYTES(LANG NEXT CD "a; name=b\r\n\r\nx" END), "400 malformed body" },
	{ "two file names", BYTES(LANG NEXT CD "files; filename=a; filename=b\r\n\r\nx" END),
	  "400 malformed body" },
	{ "a quote that never ends", BYTES(LANG NEXT CD "\"code\r\n\r\nx" END),
	  "400 malformed body" },
	{ "an attachment", BYTES(LANG NEXT "Content-Disposition: attachment; name=a\r\n\r\nx" END),
	  "400 malformed body" },
	{ "a header without colon", BYTES(LANG NEXT "Content\r\n\r\nx" END), "400 malformed body" },
	{ "a folded header", BYTES(LANG NEXT CD "code;\r\n x=y\r\n\r\nx" END), "400 malformed body" },
	{ "NUL in a header", BYTES(LANG NEXT CD "\"co\0de\"\r\n\r\nx" END), "400 malformed body" },
	{ "a transfer encoding", BYTES(LANG NEXT CD "code\r\n"
				       "Content-Transfer-Encoding: base64\r\n\r\nYQ==" END),
	  "400 malformed body" },
};

static const struct row execute_rows[] = {
	{ "all of it", BYTES("{" LC ",\"input\":\"i\",\"timeout\":1500}"),
	  "c x input=i run.wall_ms=1500" },
	{ "what else there is means nothing here",
	  BYTES("{" LC ",\"stdin\":\"i\",\"tests\":5,\"limits\":{\"cpu_ms\":3}}"), "c x" },
	{ "timeout below a millisecond", BYTES("{" LC ",\"timeout\":0.5}"),
	  "400 out_of_range timeout" },
	{ "timeout below zero", BYTES("{" LC ",\"timeout\":-5}"), "400 out_of_range timeout" },
	{ "no language", BYTES("{\"code\":\"x\"}"), "400 missing language" },
};

/* ---- how rows are run ---- */

static void check(const char *kind, const char *name, enum codec_shape shape, const char *type,
		  struct bytes body, const char *expected)
{
	static char text[TEXT_BYTES];

	decode_text(shape, type, body, text, sizeof text);
	if (!tap_ok(strcmp(text, expected) == 0, "%s: %s", kind, name))
		tap_note("%s, and not %s", text, expected);
}

static void pack(msgpack_packer *pk, json_t *json)
{
	const char *key;
	json_t *each;
	size_t i;

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		msgpack_pack_map(pk, json_object_size(json));
		json_object_foreach(json, key, each) {
			msgpack_pack_str_with_body(pk, key, strlen(key));
			pack(pk, each);
		}
		return;
	case JSON_ARRAY:
		msgpack_pack_array(pk, json_array_size(json));
		json_array_foreach(json, i, each)
			pack(pk, each);
		return;
	case JSON_STRING:
		msgpack_pack_str_with_body(pk, json_string_value(json),
					   json_string_length(json));
		return;
	case JSON_INTEGER:
		msgpack_pack_int64(pk, json_integer_value(json));
		return;
	case JSON_REAL:
		msgpack_pack_double(pk, json_real_value(json));
		return;
	case JSON_TRUE:
		msgpack_pack_true(pk);
		return;
	case JSON_FALSE:
		msgpack_pack_false(pk);
		return;
	case JSON_NULL:
		msgpack_pack_nil(pk);
		return;
	}
}

static void check_as_msgpack(const struct row *row)
{
	json_t *json = json_loadb(row->body.data, row->body.size,
				  JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL);
	msgpack_sbuffer buffer;
	msgpack_packer pk;

	if (!json) /* a number that only fits a double */
		json = json_loadb(row->body.data, row->body.size,
				  JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	if (!tap_ok(json != NULL, "%s: can be sent as msgpack", row->name))
		return;
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&pk, &buffer, msgpack_sbuffer_write);
	pack(&pk, json);
	check("msgpack like JSON", row->name, SHAPE_RUN, MSGPACK,
	      (struct bytes){ buffer.data, buffer.size }, row->expected);
	msgpack_sbuffer_destroy(&buffer);
	json_decref(json);
}

static void check_rows(const char *kind, const char *type, enum codec_shape shape,
		       const struct row *rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		check(kind, rows[i].name, shape, type, rows[i].body, rows[i].expected);
}

/* Each beginning of a good body is refused or means a whole request; none crashes.
 * In a copy of its exact size, so that a sanitizer sees one byte too many. */
static void check_cuts(const char *kind, const char *type, const struct row *rows, size_t count)
{
	char text[TEXT_BYTES];
	bool all = true;
	size_t i, size;

	for (i = 0; i < count; i++) {
		for (size = 0; size < rows[i].body.size; size++) {
			char *copy = malloc(size + 1);

			if (!copy)
				abort();
			memcpy(copy, rows[i].body.data, size);
			copy = realloc(copy, size ? size : 1);
			decode_text(SHAPE_RUN, type, (struct bytes){ copy, size }, text,
				    sizeof text);
			all = all && text[0];
			free(copy);
		}
	}
	tap_ok(all, "%s: every beginning of every row gets an answer", kind);
}

/* ---- what does not fit into a row ---- */

static const struct {
	const char *name, *type, *encoding;
	int status;
} types[] = {
	{ "JSON", "application/json", NULL, 0 },
	{ "JSON with a charset", "Application/JSON; charset=utf-8", NULL, 0 },
	{ "no type", NULL, NULL, 0 },
	{ "an empty type", "", NULL, 0 },
	{ "text", "text/plain;charset=UTF-8", NULL, 0 },
	{ "not compressed", "application/json", "identity", 0 },
	{ "compressed", "application/json", "gzip", 415 },
	{ "XML", "application/xml", NULL, 415 },
	{ "HTML", "text/html", NULL, 415 },
	{ "JSON that is called a form", "application/x-www-form-urlencoded", NULL, 415 },
	{ "JSON with more behind it", "application/jsonx", NULL, 415 },
	{ "msgpack that is JSON", "application/x-msgpack", NULL, 400 },
	{ "multipart without boundary", "multipart/form-data", NULL, 400 },
	{ "multipart with an empty boundary", "multipart/form-data; boundary=", NULL, 400 },
	{ "multipart with a boundary of 71 characters",
	  "multipart/form-data; boundary="
	  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, 400 },
	{ "multipart of another kind", "multipart/mixed; boundary=XX", NULL, 415 },
};

static int decode_status(const char *type, const char *encoding, struct bytes body,
			 uint64_t body_max_bytes)
{
	struct codec_request request = { SHAPE_RUN, type, encoding, body, body_max_bytes,
					 2 * body_max_bytes };
	struct failure failure = { 0 };
	struct codec_echo echo;
	struct arena arena;
	struct job job;

	arena_init(&arena, CODEC_ARENA_BYTES(body.size));
	if (codec_decode(&request, &arena, &job, &echo, &failure) == 0)
		failure.http_status = 0;
	arena_reset(&arena);
	return failure.http_status;
}

static void check_types(void)
{
	static const struct bytes body = BYTES("{" LC "}");
	static const struct bytes other = BYTES(" {" LC "}");
	static const char form[] = "multipart/form-data; boundary=\"a b\"";
	static const struct bytes parts =
		BYTES("--a b\r\n" CD "language\r\n\r\nc\r\n--a b\r\n" CD "code\r\n\r\n\r\n--a b--");
	size_t i;

	for (i = 0; i < ARRAY_LEN(types); i++)
		tap_ok(decode_status(types[i].type, types[i].encoding, body, 1000) ==
			       types[i].status,
		       "type: %s gives %d", types[i].name, types[i].status);
	tap_ok(decode_status(NULL, NULL, other, 1000) == 415,
	       "type: no type and no { in front gives 415");
	tap_ok(decode_status(form, NULL, parts, 1000) == 0, "type: a boundary in quotes");
	tap_ok(decode_status(JSON, NULL, body, body.size) == 0, "size: as large as allowed");
	tap_ok(decode_status(JSON, NULL, body, body.size - 1) == 413, "size: one byte more");
	tap_ok(decode_status(form, NULL, parts, parts.size / 2 + 1) == 0,
	       "size: multipart has a maximum of its own");
	tap_ok(codec_body_max("multipart/form-data; boundary=x", 1, 2) == 2 &&
		       codec_body_max(JSON, 1, 2) == 1 && codec_body_max(NULL, 1, 2) == 1,
	       "size: known before the body is read");
}

/* Text before, count times the same, text behind. */
static struct bytes repeat(const char *before, const char *each, size_t count,
			   const char *behind)
{
	size_t size = strlen(before) + strlen(each) * count + strlen(behind), n = 0, i;
	char *text = malloc(size + 1);

	if (!text)
		abort();
	n += (size_t)sprintf(text, "%s", before);
	for (i = 0; i < count; i++)
		n += (size_t)sprintf(text + n, "%s", each);
	sprintf(text + n, "%s", behind);
	return (struct bytes){ text, size };
}

static const struct {
	const char *name, *type, *before, *each;
	size_t count;
	const char *behind, *expected;
} repeats[] = {
	{ "a million brackets", JSON, "", "[", 1000000, "", "400 malformed body" },
	{ "a million values", JSON, "{" LC ",\"a\":[0", ",0", 500000, "]}", "400 malformed body" },
	{ "brackets in a string", JSON, "{" LC ",\"a\":\"", "[{", 1000, "\"}", "c x" },
	{ "1024 arguments", JSON, "{" LC ",\"a\":[0],\"options\":[\"\"", ",\"\"", 1023,
	  "],\"options2\":0,\"compare\":\"?\"}", "400 invalid compare" },
	{ "1025 arguments", JSON, "{" LC ",\"arguments\":[\"\"", ",\"\"", 1024, "]}",
	  "400 out_of_range arguments" },
	{ "128 KiB of arguments", JSON, "{" LC ",\"arguments\":[\"", "aaaaaaaa", 16384, "\"]}",
	  "400 out_of_range arguments" },
	{ "128 KiB of options", JSON, "{" LC ",\"options\":[\"", "aaaaaaaa", 16384, "\"]}",
	  "400 out_of_range options" },
	{ "65 tests", JSON, "{" LC ",\"tests\":[{}", ",{}", 64, "]}", "400 out_of_range tests" },
	{ "65 files", JSON, "{\"language\":\"c\",\"files\":[{}", ",{}", 64, "]}",
	  "400 out_of_range files" },
	{ "65 names to collect", JSON, "{" LC ",\"collect\":[\"a\"", ",\"a\"", 64, "]}",
	  "400 out_of_range collect" },
	{ "a test's name of 201 bytes", JSON, "{" LC ",\"tests\":[{\"name\":\"", "a", 201, "\"}]}",
	  "400 invalid tests[0].name" },
	{ "lists in lists a million deep", MSGPACK, "", "\x91", 1000000, "", "400 malformed body" },
	{ "lists of 65535 in lists", MSGPACK, "", "\xdc\xff\xff", 24000, "", "400 malformed body" },
	{ "more values than any request has", MSGPACK, "\xdd\x01\x01\x01\x01", "\x01",
	  0x01010101 % 1000000, "", "400 malformed body" },
	{ "a hundred thousand fields", FORM, "language=c&code=x", "&a=b", 100000, "",
	  "400 out_of_range" },
	{ "a hundred thousand arguments", FORM, "language=c&code=x", "&args=b", 100000, "",
	  "400 out_of_range" },
	{ "1024 arguments by field and no more", FORM, "language=c&code=x", "&args=b", 1025, "",
	  "400 out_of_range args" },
	{ "32 fields", FORM, "language=c&code=x", "&a=b", 30, "", "c x" },
	{ "33 fields", FORM, "language=c&code=x", "&a=b", 31, "", "400 out_of_range" },
	{ "33 parts", MULTIPART, LANG NEXT CD "code\r\n\r\nx", NEXT CD "a\r\n\r\ny", 31, END,
	  "400 out_of_range" },
	{ "32 parts", MULTIPART, LANG NEXT CD "code\r\n\r\nx", NEXT CD "a\r\n\r\ny", 30, END,
	  "c x" },
	{ "65 file parts", MULTIPART, LANG, NEXT CD "files; filename=a\r\n\r\ny", 65, END,
	  "400 out_of_range files" },
	{ "a hundred thousand empty parts", MULTIPART, LANG, NEXT, 100000, END,
	  "400 malformed body" },
	{ "a part's header of 1 MiB", MULTIPART, LANG NEXT CD "code\r\nX: ", "aaaaaaaa", 131072,
	  "\r\n\r\nx" END, "400 malformed body" },
	{ "a part's header of many lines", MULTIPART, LANG NEXT CD "code\r\n", "X: y\r\n", 2000,
	  "\r\nx" END, "400 malformed body" },
	{ "a part's header of nearly 8 KiB", MULTIPART, LANG NEXT CD "code\r\n", "X: y\r\n", 1300,
	  "\r\nx" END, "c x" },
	{ "a name of a million quotes", MULTIPART, LANG NEXT CD "code", ";a=\"\"", 1000,
	  "\r\n\r\nx" END, "c x" },
};

static void check_repeats(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(repeats); i++) {
		struct bytes body = repeat(repeats[i].before, repeats[i].each, repeats[i].count,
					   repeats[i].behind);

		check("many", repeats[i].name, SHAPE_RUN, repeats[i].type, body,
		      repeats[i].expected);
		free((char *)(size_t)body.data);
	}
}

static void check_keys(void)
{
	static char body[16384], text[TEXT_BYTES];
	int count;

	for (count = 256; count <= 257; count++) {
		size_t n = (size_t)sprintf(body, "{" LC);
		int i;

		for (i = 2; i < count; i++)
			n += (size_t)sprintf(body + n, ",\"k%d\":0", i);
		n += (size_t)sprintf(body + n, "}");
		decode_text(SHAPE_RUN, JSON, (struct bytes){ body, n }, text, sizeof text);
		tap_ok(strcmp(text, count == 256 ? "c x" : "400 malformed body") == 0,
		       "many: a map of %d keys: %s", count, text);
	}
}

/* ---- limits in the client's words ---- */

static const struct {
	const char *body, *field, *part; /* NULL field: accepted */
} limit_rows[] = {
	{ "{" LC "}", NULL, NULL },
	{ "{" LC ",\"timeout\":60}", NULL, NULL },
	{ "{" LC ",\"timeout\":61}", "timeout", "at most 60 seconds" },
	{ "{" LC ",\"timeout\":0.001}", "timeout", "at least 0.01 " },
	{ "{" LC ",\"limits\":{\"wall_ms\":60001}}", "limits.wall_ms", "at most 60000" },
	{ "{" LC ",\"limits\":{\"memory_bytes\":2147483649}}", "limits.memory_bytes",
	  "at most 2147483648" },
	{ "{" LC ",\"limits\":{\"memory_bytes\":1}}", "limits.memory_bytes", "at least 8388608" },
	{ "{" LC ",\"limits\":{\"compile\":{\"cpu_ms\":70000}}}", "limits.compile.cpu_ms",
	  "at most 60000" },
	{ "{" LC ",\"limits\":{\"total_ms\":120001}}", "limits.total_ms", "at most 120000" },
	{ "{" LC ",\"limits\":{\"total_ms\":120000}}", NULL, NULL },
	{ "{" LC ",\"limits\":{\"processes\":1e30}}", "limits.processes", "at most 256" },
};

static void check_limits(void)
{
	static const struct language language;
	size_t i;

	for (i = 0; i < ARRAY_LEN(limit_rows); i++) {
		struct codec_request request = {
			SHAPE_RUN, JSON, NULL, { limit_rows[i].body, strlen(limit_rows[i].body) },
			1000, 1000
		};
		struct failure failure = { 0 };
		struct codec_echo echo;
		struct limits run, build;
		struct arena arena;
		struct job job;
		uint64_t total_ms;
		int rc;

		arena_init(&arena, 1 << 20);
		if (codec_decode(&request, &arena, &job, &echo, &failure) < 0)
			abort();
		rc = codec_limits(&limits_policy_default, &language, &job, &echo, &run, &build,
				  &total_ms, &failure);
		tap_ok(limit_rows[i].field ?
			       rc < 0 && failure.http_status == 400 &&
				       strcmp(failure.code, "out_of_range") == 0 &&
				       strcmp(failure.field, limit_rows[i].field) == 0 &&
				       strstr(failure.message, limit_rows[i].part) :
			       rc == 0 && run.wall_ms && build.memory_bytes && total_ms,
		       "limits: %s: %s", limit_rows[i].body, failure.message);
		arena_reset(&arena);
	}
}

/* What was asked comes back as text, also when the request is refused. */
static void check_echo(void)
{
	static const struct bytes body =
		BYTES("language=c&code=%3Cx%3E&args=a%0Ab&timeout=-9&input=i");
	struct codec_request request = { SHAPE_RUN, FORM, NULL, body, 1000, 1000 };
	struct failure failure = { 0 };
	struct codec_echo echo;
	struct arena arena;
	struct job job;

	arena_init(&arena, 1 << 20);
	tap_ok(codec_decode(&request, &arena, &job, &echo, &failure) < 0 &&
		       failure.message[0] && strstr(failure.message, "timeout"),
	       "echo: the request is refused: %s", failure.message);
	tap_ok(echo.language.size == 1 && echo.code.size == 3 && echo.input.size == 1 &&
		       echo.arguments.size == 3 && memcmp(echo.arguments.data, "a\nb", 3) == 0 &&
		       echo.timeout.size == 2 && memcmp(echo.timeout.data, "-9", 2) == 0,
	       "echo: and its fields are there all the same");
	arena_reset(&arena);
}

int main(void)
{
	size_t i;

	codec_init();
	check_rows("JSON", JSON, SHAPE_RUN, json_rows, ARRAY_LEN(json_rows));
	for (i = 0; i < ARRAY_LEN(json_rows); i++)
		check_as_msgpack(&json_rows[i]);
	check_rows("broken JSON", JSON, SHAPE_RUN, broken_json_rows,
		   ARRAY_LEN(broken_json_rows));
	check_rows("msgpack", MSGPACK, SHAPE_RUN, msgpack_rows, ARRAY_LEN(msgpack_rows));
	check_rows("form", FORM, SHAPE_RUN, form_rows, ARRAY_LEN(form_rows));
	check_rows("multipart", MULTIPART, SHAPE_RUN, multipart_rows,
		   ARRAY_LEN(multipart_rows));
	check_rows("execute", JSON, SHAPE_EXECUTE, execute_rows, ARRAY_LEN(execute_rows));
	check_cuts("JSON", JSON, json_rows, ARRAY_LEN(json_rows));
	check_cuts("msgpack", MSGPACK, msgpack_rows, ARRAY_LEN(msgpack_rows));
	check_cuts("form", FORM, form_rows, ARRAY_LEN(form_rows));
	check_cuts("multipart", MULTIPART, multipart_rows, ARRAY_LEN(multipart_rows));
	check_types();
	check_repeats();
	check_keys();
	check_limits();
	check_echo();
	return tap_done();
}
