/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU with VMX that is a few variables. The sources of arch/x86/vmx are compiled for the hosted
 * tests with this file in front: it takes the place of the headers in which the instructions are.
 *
 * It is strict: what a real CPU answers with a fault or an error fails the test, and before each
 * entry the VM-entry checker goes through the VMCS as the CPU would.
 */
#ifndef TESTS_UNIT_VMX_FAKE_CPU_H
#define TESTS_UNIT_VMX_FAKE_CPU_H

#define ARCH_X86_CPU_H
#define ARCH_X86_LAYOUT_H
#define ARCH_X86_PERCPU_H
#define ARCH_X86_VMX_INSTRUCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/desc.h"
#include "arch/x86/regs.h"
#include "arch/x86/virt.h"
#include "arch/x86/vmx/check.h"
#include "arch/x86/vmx/vmcs.h"
#include "tests/unit/support/fake_vmcs.h"

#define CPU_MAX 4

struct cpu {
	struct tss tss;
	uint64_t gdt[GDT_ENTRIES];
};

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

#define FAKE_MSRS   64
#define FAKE_VMCSES 4

struct fake_region {
	uint64_t pa; /* 0: free */
	bool launched;
	struct fake_vmcs vmcs;
};

extern struct fake_cpu {
	struct vmx_limits limits;
	uint32_t signature;              /* CPUID leaf 1, EAX */
	uint32_t features_1, features_7; /* more bits of leaf 1's ECX and leaf 7's EDX */
	unsigned id;                     /* the physical CPU that runs */
	bool in_vmx;
	uint64_t cr0, cr2, cr3, cr4, dr6, tsc;
	struct {
		uint32_t index;
		uint64_t value;
	} msrs[FAKE_MSRS];
	unsigned nr_msrs;
	struct fake_region regions[FAKE_VMCSES], *current;

	/* The guest, from an entry to the exit: fills exit fields. NULL: nothing happens. */
	void (*guest)(uint64_t *gpr);

	bool fails_by_machine_check; /* the next entry does, which has no other fault */

	/* What was done. */
	unsigned entries, nmis, machine_checks;
	unsigned invepts, invvpids;
	uint64_t invept_type, invept_eptp, invvpid_type, invvpid_vpid, invvpid_gva;
} fake_cpu;

/* A CPU as these limits describe it, out of VMX operation, nothing done. */
void fake_cpu_reset(const struct vmx_limits *limits);
void fake_cpu_set_msr(uint32_t msr, uint64_t val);
/* The current VMCS, without the checks of VMREAD and VMWRITE: read-only fields too. */
uint64_t fake_cpu_field(uint32_t field);
void fake_cpu_set_field(uint32_t field, uint64_t val);
/* Would the entry succeed? Else `fault` says why not, and `error` is 7, 8 or 0 (guest state). */
bool fake_cpu_may_enter(struct vmx_fault *fault, unsigned *error);

uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t val);
struct cpuid cpuid(uint32_t leaf);
struct cpuid cpuid_count(uint32_t leaf, uint32_t subleaf);

#define FAKE_REGISTER(reg)                                                                         \
	static inline uint64_t read_##reg(void)                                                    \
	{                                                                                          \
		return fake_cpu.reg;                                                               \
	}                                                                                          \
	static inline void write_##reg(uint64_t val)                                               \
	{                                                                                          \
		fake_cpu.reg = val;                                                                \
	}
FAKE_REGISTER(cr0)
FAKE_REGISTER(cr2)
FAKE_REGISTER(cr3)
FAKE_REGISTER(cr4)
FAKE_REGISTER(dr6)
#undef FAKE_REGISTER

static inline uint64_t rdtsc(void)
{
	return fake_cpu.tsc;
}

struct cpu *this_cpu(void);

static inline unsigned cpu_id(void)
{
	return fake_cpu.id;
}

/* Physical memory is the program's own. */
static inline void *direct_map(hpa_t hpa)
{
	return (void *)hpa.v;
}

static inline hpa_t direct_map_hpa(const void *va)
{
	return HPA((uint64_t)va);
}

bool vmx_enter(struct virt_vcpu *v, bool resume);
bool vmxon(hpa_t region);
uint64_t vmread(enum vmcs_field field);
void vmwrite(enum vmcs_field field, uint64_t val);
void vmclear(hpa_t vmcs);
void vmptrld(hpa_t vmcs);
void invept(uint64_t type, uint64_t eptp);
void invvpid(uint64_t type, uint16_t vpid, gva_t gva);
void vmx_handle_nmi(void);

#endif
