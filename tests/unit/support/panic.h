/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests that want a panic. assert_panics(statement) fails the test if the statement returns.
 * Locks that the statement held stay held: use what it touched no more.
 */
#ifndef TESTS_UNIT_SUPPORT_PANIC_H
#define TESTS_UNIT_SUPPORT_PANIC_H

#include <setjmp.h>
#include <stdbool.h>

#include "lib/panic.h"

extern jmp_buf panic_jump;
extern bool panic_expected;
extern char panic_message[256]; /* of the panic that was caught last */

/* If not NULL, called before a panic that nobody expects ends the program. */
extern void (*panic_says)(void);

#define assert_panics(statement)                                                                   \
	do {                                                                                       \
		panic_expected = true;                                                             \
		if (setjmp(panic_jump) == 0) {                                                     \
			statement;                                                                 \
			panic_expected = false;                                                    \
			fail_msg("no panic: %s", #statement);                                      \
		}                                                                                  \
		panic_expected = false;                                                            \
	} while (0)

#endif
