/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests in each paging mode: what they have in their registers, what the CPU needs for a shadow
 * root. */
#ifndef TESTS_UNIT_SUPPORT_PAGING_MODES_H
#define TESTS_UNIT_SUPPORT_PAGING_MODES_H

#include "arch/x86/virt.h"

struct paging_mode {
	const char *name;
	uint64_t cr0, cr3, cr4, efer;     /* the guest's */
	unsigned levels;                  /* of the shadow root */
	uint64_t hw_cr0, hw_cr4, hw_efer; /* but for VIRT_CR4_ON */
};

enum {
	MODE_REAL,
	MODE_UNPAGED,
	MODE_UNPAGED_LME, /* on the way to long mode */
	MODE_LEGACY,
	MODE_PAE,
	MODE_LONG,
	MODE_LONG_UNPROTECTED, /* CR0.WP clear, no NX */
	NR_MODES
};

#define CR0_SHADOW (CR0_PG | CR0_WP)
#define EFER_LONG  (EFER_LME | EFER_LMA)

static const struct paging_mode paging_modes[NR_MODES] = {
	[MODE_REAL] = {"real mode", CR0_ET | CR0_CD | CR0_NW, 0x1234, 0, 0, 3, CR0_ET | CR0_SHADOW,
		       CR4_PAE, EFER_NXE},
	[MODE_UNPAGED] = {"protected mode without paging", CR0_ET | CR0_PE, 0x5000,
			  CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP, EFER_SCE, 3,
			  CR0_ET | CR0_PE | CR0_SHADOW, CR4_PSE | CR4_PGE | CR4_PAE,
			  EFER_SCE | EFER_NXE},
	[MODE_UNPAGED_LME] = {"before long mode", CR0_ET | CR0_PE, 0x5000, CR4_PAE,
			      EFER_LME | EFER_NXE, 3, CR0_ET | CR0_PE | CR0_SHADOW, CR4_PAE,
			      EFER_NXE},
	[MODE_LEGACY] = {"32-bit paging", CR0_ET | CR0_PE | CR0_PG | CR0_TS, 0x5018,
			 CR4_PSE | CR4_SMEP, 0, 3, CR0_ET | CR0_PE | CR0_TS | CR0_SHADOW,
			 CR4_PSE | CR4_SMEP | CR4_PAE, EFER_NXE},
	[MODE_PAE] = {"PAE paging", CR0_ET | CR0_PE | CR0_PG | CR0_WP, 0x5020, CR4_PAE | CR4_PGE,
		      EFER_NXE, 3, CR0_ET | CR0_PE | CR0_SHADOW, CR4_PAE | CR4_PGE, EFER_NXE},
	[MODE_LONG] = {"long mode", CR0_ET | CR0_PE | CR0_PG | CR0_WP | CR0_AM, 0x123456000,
		       CR4_PAE | CR4_PGE | CR4_SMEP, EFER_LONG | EFER_NXE | EFER_SCE, 4,
		       CR0_ET | CR0_PE | CR0_AM | CR0_SHADOW, CR4_PAE | CR4_PGE | CR4_SMEP,
		       EFER_LONG | EFER_NXE | EFER_SCE},
	[MODE_LONG_UNPROTECTED] = {"long mode without WP and NX", CR0_ET | CR0_PE | CR0_PG, 0x5000,
				   CR4_PAE, EFER_LONG, 4, CR0_ET | CR0_PE | CR0_SHADOW, CR4_PAE,
				   EFER_LONG | EFER_NXE},
};

/* What virt_set_paging() gets for a shadow root of a guest in this mode. */
static inline struct virt_paging paging_mode_shadow(const struct paging_mode *m, hpa_t root)
{
	struct virt_paging p;

	virt_shadow_paging(&p, root, m->levels, m->cr0 & CR0_PG);
	return p;
}

#endif
