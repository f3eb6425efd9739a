/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What newlib wants from its system, which is next to nothing: the parts we use neither allocate
 * nor do input and output, but the linker still asks for the names. Allocations fail.
 */
#include <stddef.h>
#include <stdint.h>

#include "lib/panic.h"

struct _reent;

/* Randomised by arch/x86 before the first function that checks it. */
/* The compiler refers to these when nobody else does any more. */
__attribute__((used)) uintptr_t __stack_chk_guard;

__noreturn void __stack_chk_fail(void);
void *_malloc_r(struct _reent *r, size_t size);
void *_calloc_r(struct _reent *r, size_t n, size_t size);
void *_realloc_r(struct _reent *r, void *p, size_t size);
void _free_r(struct _reent *r, void *p);
__noreturn void __assert_func(const char *file, int line, const char *func, const char *expr);
__noreturn void abort(void);

__attribute__((used)) __noreturn void __stack_chk_fail(void)
{
	panic("stack smashed in the function at %p", __builtin_return_address(0));
}

void *_malloc_r(struct _reent *r, size_t size)
{
	return NULL;
}

void *_calloc_r(struct _reent *r, size_t n, size_t size)
{
	return NULL;
}

void *_realloc_r(struct _reent *r, void *p, size_t size)
{
	return NULL;
}

void _free_r(struct _reent *r, void *p) {}

__noreturn void __assert_func(const char *file, int line, const char *func, const char *expr)
{
	panic("assertion %s failed at %s:%d", expr, file, line);
}

__noreturn void abort(void)
{
	panic("abort() called");
}
