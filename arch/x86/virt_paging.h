/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the hardware runs a guest with, apart from what the guest has in its CR0, CR3, CR4 and EFER:
 * the tables that somebody has built for it, and the bits without which the CPU would not use them
 * as they are meant. Both vendors keep it here (arch/x86/virt.h: virt_set_paging()).
 */
#ifndef ARCH_X86_VIRT_PAGING_H
#define ARCH_X86_VIRT_PAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/regs.h"
#include "lib/types.h"

/*
 * The machine's: what the CPU has with either kind of paging, whatever the guest has. The guest's
 * memory is cached, and a machine check while it runs is not a shutdown but an exit. An x87 error
 * is an exception of the CPU's, not a signal on the real FERR#: #MF exits while the guest has
 * CR0.NE clear.
 */
#define VIRT_CR0_OFF (CR0_CD | CR0_NW)
#define VIRT_CR0_ON  CR0_NE
#define VIRT_CR4_ON  CR4_MCE

/* Bits of a register that the CPU has at 1, and at 0, whatever the guest has. No bit is in both. */
struct virt_bits {
	uint64_t on, off;
};

struct virt_forced {
	struct virt_bits cr0, cr4, efer;
};

struct virt_paging {
	/*
	 * With nested paging: the root of the two-dimensional tables. Without: the root of the
	 * shadow tables, which is the CPU's CR3. One of three levels lies below 4 GiB and has four
	 * PDPTEs, which the CPU may hold in registers until virt_set_paging() is called again.
	 */
	hpa_t root;
	/* With nested paging there is none: the CPU has what the guest has, but for the above. */
	struct virt_forced forced;
};

/* What the CPU has for a guest that has `val`. */
static inline uint64_t virt_force(const struct virt_bits *bits, uint64_t val)
{
	return (val & ~bits->off) | bits->on;
}

/*
 * Fill `p` for a shadow root of 3 (PAE), 4 or 5 levels. A guest in long mode wants as many levels
 * as its own tables have, every other guest wants 3: whether long mode is active, and how wide
 * addresses are, the hardware and the guest must agree on. `paged`: the guest has CR0.PG set; while
 * it has not, SMEP and SMAP protect nothing.
 */
void virt_shadow_paging(struct virt_paging *p, hpa_t root, unsigned levels, bool paged);

#endif
