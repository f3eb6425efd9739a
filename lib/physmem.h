/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a parser of firmware's structures looks at physical memory. It follows pointers that
 * somebody else wrote, so each look says where and how far, and may be refused. In hosted tests
 * the memory is an array.
 */
#ifndef LIB_PHYSMEM_H
#define LIB_PHYSMEM_H

#include <stdint.h>

struct phys_memory {
	/* [hpa, hpa + len) readable, or NULL. `len` is not 0; the sum may wrap: refuse that. */
	const void *(*map)(void *ctx, uint64_t hpa, uint64_t len);
	void *ctx;
};

static inline const void *phys_map(const struct phys_memory *mem, uint64_t hpa, uint64_t len)
{
	return mem->map(mem->ctx, hpa, len);
}

#endif
