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

#define CPUID_BASIC_LEAVES 0x20
#define CPUID_EXT_LEAVES   0x22
#define CPUID_XSAVE_LEAVES 32

#define CPUID_VENDOR_AMD_EBX 0x68747541 /* "Auth" of AuthenticAMD */

struct cpuid_entry {
	uint32_t eax, ebx, ecx, edx;
};

/* One per VM, filled when it is created, constant after. */
struct cpuid_table {
	struct cpuid_entry basic[CPUID_BASIC_LEAVES]; /* 0 .. ; subleaf 0 */
	struct cpuid_entry ext[CPUID_EXT_LEAVES];     /* 0x80000000 .. */
	struct cpuid_entry xsave[CPUID_XSAVE_LEAVES]; /* 0xd, by subleaf */
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

void cpuid_table_init(struct cpuid_table *t, unsigned nr_vcpus);

/* One bit of the guest's CPUID, by names of the manuals: cpuid_has(t, CPUID_1_ECX, 21). */
enum cpuid_word {
	CPUID_1_ECX,
	CPUID_1_EDX,
	CPUID_7_EBX,
	CPUID_7_ECX,
	CPUID_EXT1_ECX,
	CPUID_EXT1_EDX
};
bool cpuid_has(const struct cpuid_table *t, enum cpuid_word word, unsigned bit);

#endif
