/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the tests of a payload and prints their results as KTAP version 1.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ktap.h"
#include "trap.h"

extern const struct test __start_tests[], __stop_tests[];

#define MAX_REPORTED 10 /* of one test; the others are counted */

static unsigned failures; /* of the running test */
static char skip_reason[160];

void test_fail(const char *file, int line, const char *what)
{
	const char *base = strrchr(file, '/');

	if (__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) > MAX_REPORTED)
		return;
	printf("# %s:%d: %s\n", base ? base + 1 : file, line, what);
}

bool check_eq(const char *file, int line, const char *what, uint64_t got, uint64_t want)
{
	char text[256];

	if (got == want)
		return true;
	snprintf(text, sizeof(text), "%s = %#llx, expected %#llx", what, (unsigned long long)got,
		 (unsigned long long)want);
	test_fail(file, line, text);
	return false;
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skip_reason, sizeof(skip_reason), fmt, ap);
	va_end(ap);
}

static void report(unsigned nr, const char *name)
{
	if (failures > MAX_REPORTED)
		printf("# %u checks failed\n", failures);
	if (failures)
		printf("not ok %u - %s\n", nr, name);
	else if (skip_reason[0])
		printf("ok %u - %s # SKIP %s\n", nr, name, skip_reason);
	else
		printf("ok %u - %s\n", nr, name);
}

/* Programs that are not a list of tests (the benchmark) bring their own. */
__attribute__((weak)) void guest_main(void)
{
	unsigned count = (unsigned)(__stop_tests - __start_tests), failed = 0;

	printf("KTAP version 1\n1..%u\n", count);
	for (unsigned i = 0; i < count; i++) {
		failures = 0;
		skip_reason[0] = 0;
		cli();
		__start_tests[i].run();
		cli();
		trap_reset();
		report(i + 1, __start_tests[i].name);
		failed += failures != 0;
	}
	guest_exit(failed != 0);
}
