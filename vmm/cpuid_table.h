/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CPUID leaves that a guest sees: the features of this CPU as far as Umbra can really serve
 * them, and those that Umbra adds (a local APIC with x2APIC and TSC deadline, the hypervisor
 * leaves).
 */
#ifndef VMM_CPUID_TABLE_H
#define VMM_CPUID_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/cpuid_bits.h"

#define CPUID_BASIC_LEAVES 0x20
#define CPUID_EXT_LEAVES   0x22
#define CPUID_XSAVE_LEAVES 32
#define CPUID_CACHES       8

#define CPUID_VENDOR_AMD_EBX 0x68747541 /* "Auth" of AuthenticAMD */

struct cpuid_entry {
	uint32_t eax, ebx, ecx, edx;
};

/* One per VM, filled when it is created, constant after. */
struct cpuid_table {
	struct cpuid_entry basic[CPUID_BASIC_LEAVES]; /* 0 .. ; subleaf 0 */
	struct cpuid_entry ext[CPUID_EXT_LEAVES];     /* 0x80000000 .. */
	struct cpuid_entry xsave[CPUID_XSAVE_LEAVES]; /* 0xd, by subleaf */
	struct cpuid_entry cache[CPUID_CACHES];       /* 0x4 or 0x8000001d, by subleaf */
	uint64_t spec_ctrl;                           /* bits of SPEC_CTRL that it has; 0: no MSR */
	uint64_t arch_capabilities;                   /* with CPUID_ARCH_CAPABILITIES */
	uint64_t xcr0;                                /* XCR0 bits that the guest may set */
	uint64_t cr4;                                 /* CR4 bits that the guest may set */
	uint64_t cr4_exits; /* ... and those whose writes exit: the rest */
};

static inline bool cpuid_is_amd(const struct cpuid_table *t)
{
	return t->basic[0].ebx == CPUID_VENDOR_AMD_EBX;
}

/* CPUID of this machine (vmm/cpuid_host.c). */
struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf);

/* ARCH_CAPABILITIES of this machine, where its CPUID tells of the MSR. */
uint64_t arch_capabilities_of_host(void);

/*
 * Fill the table of a VM. `may_shadow`: it may come to run under shadow paging, which offers no
 * PCIDs, no protection keys and no five levels.
 */
void cpuid_table_init(struct cpuid_table *t, unsigned nr_vcpus, bool may_shadow);

/* One register of the guest's CPUID that holds feature bits. */
static inline const uint32_t *cpuid_word(const struct cpuid_table *t, enum cpuid_word word)
{
	const struct cpuid_place *p = &cpuid_places[word];
	const struct cpuid_entry *e = p->leaf == 0xd ? &t->xsave[p->subleaf]
				      : p->leaf < CPUID_BASIC_LEAVES
					      ? &t->basic[p->leaf]
					      : &t->ext[p->leaf - 0x80000000];

	return (const uint32_t *)e + p->reg;
}

/* Does the guest's CPUID have this bit? Those that follow the guest's state are never set here. */
static inline bool cpuid_has(const struct cpuid_table *t, enum cpuid_bit bit)
{
	return *cpuid_word(t, CPUID_WORD(bit)) & CPUID_MASK(bit);
}

#endif
