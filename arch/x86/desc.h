/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GDT, IDT and TSS of the hypervisor (Intel SDM volume 3, chapters 3, 6 and 7). One GDT and one
 * TSS for each CPU, one IDT for all. There is no ring 3: the segments are only what long mode and
 * the VMX and SVM host state ask for.
 */
#ifndef ARCH_X86_DESC_H
#define ARCH_X86_DESC_H

#define SEL_CODE    0x08
#define SEL_DATA    0x10
#define SEL_TSS     0x18 /* two entries */
#define GDT_ENTRIES 5

#ifndef __ASSEMBLY__

#include <assert.h>
#include <stdint.h>

#include "lib/bits.h"

/* Interrupt stacks: these three may strike when the current stack cannot be trusted. */
enum ist { IST_NONE, IST_NMI, IST_DF, IST_MC, NR_IST };

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* [0] is IST 1 */
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap_base;
} __packed;
static_assert(sizeof(struct tss) == 104, "SDM volume 3, 7.7");

/* The operand of LGDT and LIDT. */
struct desc_ptr {
	uint16_t limit; /* bytes - 1 */
	uint64_t base;
} __packed;

struct cpu;

/*
 * Fill the CPU's GDT and TSS, load them and the IDT, and make GS point to `cpu`. The interrupt
 * stacks must be in cpu->tss.ist already. Runs on that CPU, interrupts closed.
 */
void desc_load(struct cpu *cpu);

#endif
#endif
