/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code at privilege level 3.
 */
#ifndef GUEST_USER_H
#define GUEST_USER_H

#include "trap.h"

/*
 * A piece of user code: a label and its instructions. It may use any register, has a stack, finds
 * `user_arg` in memory, and ends at the INT3 the macro adds.
 */
#define USER_CODE(label, code)                                                                     \
	extern const uint8_t label[];                                                              \
	USER_CODE_SHARED(label, code)

/* The same for one that a header has declared. */
#define USER_CODE_SHARED(label, code)                                                              \
	__asm__(".pushsection .text\n.globl " #label "\n" #label ":\n" code "\nint3\n.popsection")

extern unsigned long user_arg;

/* Run it: the vector it raised, or NO_FAULT when it came to its end. */
int try_user(const uint8_t *code);

/* With IOPL, IF or other flags set in `flags`. */
int try_user_flags(const uint8_t *code, unsigned long flags);

#ifdef __x86_64__
/* As 32-bit code in compatibility mode. */
int try_user32(const uint8_t *code);
#endif

#endif
