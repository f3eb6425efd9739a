/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The address types. Each kind of address is a struct of its own, so that handing a
 * guest-physical address to a function that wants a host-physical one does not compile.
 * The structs are passed in a register like the integer they hold.
 */
#ifndef LIB_TYPES_H
#define LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ull
#define PAGE_MASK  (~(PAGE_SIZE - 1))

typedef struct {
	uint64_t v;
} hpa_t; /* host-physical address, bytes */
typedef struct {
	uint64_t v;
} gpa_t; /* guest-physical address, bytes */
typedef struct {
	uint64_t v;
} gva_t; /* guest-virtual (linear) address, bytes */
typedef struct {
	uint64_t v;
} pfn_t; /* host-physical page frame number, 4K units */
typedef struct {
	uint64_t v;
} gfn_t; /* guest page frame number, 4K units */

#define HPA(x) ((hpa_t){(x)})
#define GPA(x) ((gpa_t){(x)})
#define GVA(x) ((gva_t){(x)})
#define PFN(x) ((pfn_t){(x)})
#define GFN(x) ((gfn_t){(x)})

static inline gfn_t gpa_to_gfn(gpa_t gpa)
{
	return GFN(gpa.v >> PAGE_SHIFT);
}
static inline gpa_t gfn_to_gpa(gfn_t gfn)
{
	return GPA(gfn.v << PAGE_SHIFT);
}
static inline pfn_t hpa_to_pfn(hpa_t hpa)
{
	return PFN(hpa.v >> PAGE_SHIFT);
}
static inline hpa_t pfn_to_hpa(pfn_t pfn)
{
	return HPA(pfn.v << PAGE_SHIFT);
}

#endif
