/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "sandbox/ahead_rooms.h"
#include "tests/tap.h"

/* Whether the end of such a Python program can be seen: where in doubt, it can. */
static const struct {
	const char *text;
	bool harmless;
} rows[] = {
	{ "", true },
	{ "print(1)", true },
	{ "import sys\nfor line in sys.stdin:\n    print(f\"Hello, {line.strip()}!\")\n", true },
	{ "def f(n):\n\treturn n and f(n - 1)\nif __name__ == \"__main__\":\n\tf(3)\n", true },
	{ "classes = 1; my_class = 2; subclass = 3", true },
	{ "class A: pass", false },
	{ "class A:\n\tdef f(self): pass", false },
	{ "x = 1;class A: pass", false },
	{ "if 1:\n\tclass\\\n\tA: pass", false },
	{ "def g():\n\tyield 1", false },
	{ "x = (yield)", false },
	{ "print((i for i in [1]))", true },
	{ "async def f(): pass", false },
	{ "f = open(\"x\", \"w\")", false },
	{ "import os\nos.fdopen(1)", false },
	{ "import os\nos.popen(\"ls\")", false },
	{ "from os import popen as p", false },
	{ "eval(input())", false },
	{ "exec(\"x = 1\")", false },
	{ "print(().__class__)", false },
	{ "f.__del__ = 1", false },
	{ "__import__(\"gc\")", false },
	{ "print(__file__, __name__)", true },
	{ "print(__builtins__)", false },
	{ "import math", true },
	{ "import math as m, sys, os.path as p; import re", true },
	{ "import math,gc", false },
	{ "import math as gc, gc", false },
	{ "import gc", false },
	{ "import math; import gc", false },
	{ "import math\nimport gc", false },
	{ "import math\rimport gc", false },
	{ "import\tgc", false },
	{ "import math, \\\n\tgc", false },
	{ "import gc.math", false },
	{ "import  collections . abc", false },
	{ "from math import sqrt", true },
	{ "from math import (sqrt,\n\tpi as p)", true },
	{ "from os.path import *", true },
	{ "from collections.abc import Mapping", true },
	{ "from gc import collect", false },
	{ "from gc.math import collect", false },
	{ "from . import math", false },
	{ "from .math import x", false },
	{ "from \\\n\tgc import collect", false },
	{ "from math import pi; from gc import collect", false },
	{ "from math import pi\nfrom gc import collect", false },
	{ "raise ValueError from None", true },
	{ "raise ValueError from e\nimport math", true },
	{ "raise ValueError from e; import gc", false },
	{ "raise ValueError from math\nimport gc", false },
	{ "# what one may import from here", false },
	{ "print(\"\xc3\xa4\xe2\x98\x83\")", true },
	{ "\xc3\xa4" "class = 1", true },
	{ "import sys\nsys.stdout.detach()", false },
	{ "import sys\nsys.settrace(print)", false },
	{ "import sys\nsys.exit(3)", false },
	{ "exit()", false },
	{ "raise SystemExit", false },
};

int main(void)
{
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		tap_ok(ahead_python_harmless(rows[i].text, strlen(rows[i].text)) == rows[i].harmless,
		       "its end can%s be seen: program %zu", rows[i].harmless ? "not" : "", i + 1);
	return tap_done();
}
