/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's virtual address space:
 *
 *   0xffff800000000000  direct map: physical address + this; RAM, and device registers on request
 *   0xffffc00000000000  stacks of the CPUs, each below an unmapped page
 *   0xffffffff80200000  the image (linker.ld); in physical memory it is linked to 2 MiB, and may
 *                       have been loaded higher
 *
 * The lower half stays empty. Assembler files include this too.
 */
#ifndef ARCH_X86_LAYOUT_H
#define ARCH_X86_LAYOUT_H

#define IMAGE_VBASE     0xffffffff80000000
#define DIRECT_MAP_BASE 0xffff800000000000
#define STACKS_BASE     0xffffc00000000000

#define IMAGE_ALIGN 0x200000 /* of where it is loaded: the boot page tables' large pages */

/* Where a symbol of the image is linked to in physical memory. */
#define LINKED_HPA(sym) ((sym)-IMAGE_VBASE)

/* struct cpu_stacks: a guard page, then the stack that a CPU runs on. */
#define STACK_GUARD    0x1000
#define STACK_SIZE     0x4000
#define IST_STACK_SIZE 0x2000
#define STACK_TOP      (STACK_GUARD + STACK_SIZE) /* offset */

#ifndef __ASSEMBLY__

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/types.h"

/* The stacks of one CPU: the one it runs on, then the interrupt stacks (enum ist, from 1). */
struct cpu_stacks {
	uint8_t guard[STACK_GUARD];
	uint8_t stack[STACK_SIZE];
	struct {
		uint8_t guard[STACK_GUARD];
		uint8_t stack[IST_STACK_SIZE];
	} ist[3];
};
static_assert(offsetof(struct cpu_stacks, ist) == STACK_TOP, "assembler offset");

extern struct cpu_stacks boot_stacks; /* the boot CPU's */

/* Bounds of the image's parts, all on page boundaries (linker.ld). */
extern char image_start[], image_end[];
extern char text_start[], text_end[];
extern char rodata_start[], rodata_end[];
extern char ro_after_init_start[], ro_after_init_end[];
extern char data_end[], bss_end[];

/*
 * How far above its linked physical address the image was loaded, in bytes: a multiple of 2 MiB,
 * and the image ends below 4 GiB. Const; boot/entry.S sets it.
 */
extern const uint64_t image_load_offset;

static inline void *direct_map(hpa_t hpa)
{
	return (void *)(DIRECT_MAP_BASE + hpa.v);
}

/* The physical address of something in the image or in the direct map, not on a stack. */
static inline hpa_t direct_map_hpa(const void *va)
{
	uint64_t a = (uint64_t)va;

	return HPA(a >= IMAGE_VBASE ? LINKED_HPA(a) + image_load_offset : a - DIRECT_MAP_BASE);
}

#endif
#endif
