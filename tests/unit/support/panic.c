/* SPDX-License-Identifier: BSD-2-Clause */
/* panic() of the hosted tests: abort with the message, or jump back to a test that expects it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/support/panic.h"

jmp_buf panic_jump;
bool panic_expected;
char panic_message[256];
void (*panic_says)(void);

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(panic_message, sizeof(panic_message), fmt, ap);
	va_end(ap);
	if (panic_expected)
		longjmp(panic_jump, 1);
	fprintf(stderr, "panic: %s\n", panic_message);
	if (panic_says)
		panic_says();
	abort();
}
