/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a payload is written: a file of TEST()s. Each prints one KTAP line; CHECK() notes a failure
 * and goes on, REQUIRE() notes it and leaves the test, SKIP() leaves it with a reason.
 *
 *	TEST(rdtsc_moves)
 *	{
 *		uint64_t t = rdtsc();
 *
 *		CHECK(rdtsc() > t);
 *	}
 */
#ifndef GUEST_KTAP_H
#define GUEST_KTAP_H

#include <stdio.h> /* printf() goes to the UART, see console.c */

#include "x86.h"

struct test {
	const char *name;
	void (*run)(void);
};

/* The tests of a payload, in the order of the file: the linker collects them. */
#define TEST(id)                                                                                   \
	static void test_##id(void);                                                               \
	static const struct test entry_##id                                                        \
		__attribute__((section("tests"), used, aligned(sizeof(void *)))) = {#id,           \
										    test_##id};    \
	static void test_##id(void)

#define CHECK(cond)                                                                                \
	({                                                                                         \
		bool _ok = (cond);                                                                 \
		if (!_ok)                                                                          \
			test_fail(__FILE__, __LINE__, #cond);                                      \
		_ok;                                                                               \
	})

/* Two numbers that should be equal; prints both when they are not. */
#define CHECK_EQ(got, want) check_eq(__FILE__, __LINE__, #got, (uint64_t)(got), (uint64_t)(want))

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!CHECK(cond))                                                                  \
			return;                                                                    \
	} while (0)

#define SKIP(...)                                                                                  \
	do {                                                                                       \
		test_skip(__VA_ARGS__);                                                            \
		return;                                                                            \
	} while (0)

#define SKIP_UNLESS(cond, reason)                                                                  \
	do {                                                                                       \
		if (!(cond))                                                                       \
			SKIP(reason);                                                              \
	} while (0)

void putchar_raw(char c);
void test_fail(const char *file, int line, const char *what);
bool check_eq(const char *file, int line, const char *what, uint64_t got, uint64_t want);
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* End the machine: 0 = all passed, 1 = some failed. Does not return. */
_Noreturn void guest_exit(unsigned code);

/* "Bail out!" with a reason: no test after this one can be trusted. */
_Noreturn void bail_out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What runs after set-up: ktap.c runs the tests; a program that is no test has its own. */
void guest_main(void);

#endif
