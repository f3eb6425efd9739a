/* SPDX-License-Identifier: BSD-2-Clause */
#include "arch/x86/virt_paging.h"

#include "arch/x86/regs.h"

/*
 * WP: the shadow tables say what the supervisor may write. PE is the guest's, as far as the vendor
 * can run real mode on page tables (SVM: APM volume 2, 15.19).
 */
static const struct virt_bits shadow_cr0 = {.on = CR0_PG | CR0_WP};

/* Shadow tables have no process contexts and no protection keys. */
#define CR4_NOT_SHADOWED (CR4_PCIDE | CR4_PKE | CR4_PKS)

void virt_shadow_paging(struct virt_paging *p, hpa_t root, unsigned levels, bool paged)
{
	uint64_t long_mode = EFER_LME | EFER_LMA;
	bool is_long = levels > 3;

	*p = (struct virt_paging){
		.root = root,
		.forced.cr0 = shadow_cr0,
		.forced.cr4.on = CR4_PAE | (levels == 5 ? CR4_LA57 : 0),
		.forced.cr4.off = CR4_NOT_SHADOWED | (levels == 5 ? 0 : CR4_LA57) |
				  (paged ? 0 : CR4_SMEP | CR4_SMAP),
		.forced.efer.on = EFER_NXE | (is_long ? long_mode : 0),
		.forced.efer.off = is_long ? 0 : long_mode,
	};
}
