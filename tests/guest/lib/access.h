/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to memory that may fault, and the page faults that are expected of them. */
#ifndef GUEST_ACCESS_H
#define GUEST_ACCESS_H

#include "user.h"

/* What try_write() writes, as wide as a register. */
#define WRITE_PATTERN ((unsigned long)0xc3c3c3c3c3c3c3c3ull)

/* Read, write, call: the vector that it raised, or NO_FAULT. */
int try_read(unsigned long va);
int try_write(unsigned long va);
int try_fetch(unsigned long va);

/* The same at CPL 3: these pieces of code find the address in user_arg. A write is of all ones. */
extern const uint8_t user_read[], user_write[], user_fetch[];
int try_as_user(const uint8_t *code, unsigned long va);

/*
 * To be called after a page fault by a reserved bit: whether its error code has P, too, as the
 * manual says. From then on is_pf() expects of such faults what this one had. (On an Intel CPU
 * always P: flaws.h.)
 */
bool find_reserved_error(void);

/* A page fault with this error code at this address? If not, what it was is said. */
bool is_pf(int vector, unsigned long error, unsigned long va);

/* Forget all translations that are not global. */
void flush(void);

#endif
