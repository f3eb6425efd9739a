/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What newlib and the compiler want from below: no heap (formatted output into a caller's buffer
 * never needs one), and 64-bit division for 32-bit code.
 */
#include <stddef.h>
#include <stdint.h>

struct _reent;
void *_malloc_r(struct _reent *r, size_t size);
void *_realloc_r(struct _reent *r, void *p, size_t size);
void _free_r(struct _reent *r, void *p);

void *_malloc_r(struct _reent *r, size_t size)
{
	return NULL;
}

void *_realloc_r(struct _reent *r, void *p, size_t size)
{
	return NULL;
}

void _free_r(struct _reent *r, void *p) {}

#ifndef __x86_64__
uint64_t __udivmoddi4(uint64_t n, uint64_t d, uint64_t *rem);
uint64_t __udivdi3(uint64_t n, uint64_t d);
uint64_t __umoddi3(uint64_t n, uint64_t d);

/* Shift and subtract, one bit at a time. */
uint64_t __udivmoddi4(uint64_t n, uint64_t d, uint64_t *rem)
{
	uint64_t quotient = 0, left = 0;

	for (int bit = 63; bit >= 0; bit--) {
		left = left << 1 | (n >> bit & 1);
		if (left >= d) {
			left -= d;
			quotient |= 1ull << bit;
		}
	}
	if (rem)
		*rem = left;
	return quotient;
}

uint64_t __udivdi3(uint64_t n, uint64_t d)
{
	return __udivmoddi4(n, d, NULL);
}

uint64_t __umoddi3(uint64_t n, uint64_t d)
{
	uint64_t rem;

	__udivmoddi4(n, d, &rem);
	return rem;
}
#endif
