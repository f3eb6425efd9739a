/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses that may fault. */
#include "access.h"
#include "flaws.h"

#include <stdio.h>

#include "paging.h"

#ifdef __x86_64__
#define AX    "%rax"
#define STORE "movq"
#else
#define AX    "%eax"
#define STORE "movl"
#endif

USER_CODE_SHARED(user_read, "mov user_arg, " AX "; mov (" AX "), " AX);
USER_CODE_SHARED(user_write, "mov user_arg, " AX "; " STORE " $-1, (" AX ")");
USER_CODE_SHARED(user_fetch, "mov user_arg, " AX "; call *" AX);

int try_read(unsigned long va)
{
	return TRY(*(volatile unsigned long *)va);
}

int try_write(unsigned long va)
{
	return TRY(*(volatile unsigned long *)va = WRITE_PATTERN);
}

int try_fetch(unsigned long va)
{
	return TRY(((void (*)(void))va)());
}

int try_as_user(const uint8_t *code, unsigned long va)
{
	user_arg = va;
	return try_user(code);
}

static unsigned long missing; /* in the error codes of reserved bits */

bool find_reserved_error(void)
{
	missing = IS_ABLE(fault()->error & PF_P) ? 0 : PF_P;
	return !missing;
}

bool is_pf(int vector, unsigned long error, unsigned long va)
{
	if (error & PF_RSVD)
		error &= ~missing;
	if (vector == PF_VECTOR && fault()->error == error && fault()->cr2 == va)
		return true;
	printf("# vector %d error %#lx cr2 %#lx, expected error %#lx cr2 %#lx\n", vector,
	       fault()->error, fault()->cr2, error, va);
	return false;
}

void flush(void)
{
	write_cr3(read_cr3());
}
