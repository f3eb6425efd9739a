/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVM per machine and per physical CPU: probing, switching on, and the permission maps that all
 * guests share (policy is the same for every guest, so one map of each kind is enough).
 */
#include "arch/x86/svm/svm.h"

#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpuid_bits.h"
#include "arch/x86/layout.h"
#include "arch/x86/msr_safe.h"
#include "arch/x86/percpu.h"
#include "arch/x86/regs.h"
#include "lib/panic.h"

/* Two bits an MSR (read, write), three ranges of 2 KiB (section 15.11). */
#define MSRPM_SIZE 0x2000
#define IOPM_SIZE  0x3000 /* a bit a port, and a page for accesses that wrap */
#define RANGE_MSRS 0x2000

static uint8_t iopm[IOPM_SIZE] __aligned(4096);
static uint8_t msrpm[MSRPM_SIZE] __aligned(4096);
static struct svm_cpu svm_cpus[CPU_MAX];

hpa_t svm_iopm __ro_after_init, svm_msrpm __ro_after_init;
bool svm_has_nrips __ro_after_init;
bool svm_has_decode_assists __ro_after_init;
bool svm_has_lbr __ro_after_init;
bool svm_has_spec_ctrl __ro_after_init; /* VMRUN and exits switch it */

struct svm_cpu *svm_this_cpu(void)
{
	return &svm_cpus[cpu_id()];
}

/*
 * Real CPUs refuse an address that is not canonical in this MSR. One that takes it (QEMU 7.2's
 * TCG does) does not check control registers either, except when it comes to VMRUN.
 */
static bool is_lax(void)
{
	uint64_t old = rdmsr(MSR_CSTAR);
	bool took_it = !wrmsr_safe(MSR_CSTAR, BIT_ULL(63));

	wrmsr(MSR_CSTAR, old);
	return took_it;
}

/* That there is SVM, and that it is not locked off, preflight_verdict() has seen. */
int svm_cpu_probe(void)
{
	struct cpuid r = cpuid(0x8000000a);

	svm_has_nrips = r.edx & CPUID_MASK(CPUID_SVM_NRIPS);
	svm_has_decode_assists = r.edx & CPUID_MASK(CPUID_SVM_DECODE_ASSISTS);
	svm_has_spec_ctrl = r.edx & CPUID_MASK(CPUID_SVM_V_SPEC_CTRL);
	svm_has_lbr = r.edx & CPUID_MASK(CPUID_SVM_LBR_VIRT);
	virt_caps = (struct virt_caps){
		.name = "SVM",
		.tdp = r.edx & CPUID_MASK(CPUID_SVM_NP),
		.tdp_has_1g = cpuid(0x80000001).edx & CPUID_MASK(CPUID_PAGE_1GB),
		.tdp_has_ad = true,
		.unrestricted = true,
		.xsaves = true,
		.invpcid = true,
		.rdtscp = true,
		.nmi_window_early = true,
		.lax = is_lax(),
		.tags = r.ebx,
	};
	memset(iopm, 0xff, sizeof(iopm));
	memset(msrpm, 0xff, sizeof(msrpm));
	svm_iopm = direct_map_hpa(iopm);
	svm_msrpm = direct_map_hpa(msrpm);
	return 0;
}

void svm_cpu_enable(void *pages, hpa_t pages_pa)
{
	struct svm_cpu *c = svm_this_cpu();

	c->host_vmcb = pages_pa;
	tag_pool_init(&c->tags, cpu_id());
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	/* Without LBR virtualization guests run with the host's: what firmware left goes. */
	wrmsr_safe(MSR_DEBUGCTL, 0); /* an emulated CPU may have none */
	wrmsr(MSR_VM_HSAVE_PA, pages_pa.v + PAGE_SIZE);
	/* The host's FS, GS, TR and so on never change again: save them once. */
	__asm__ volatile("vmsave %0" : : "a"(pages_pa.v) : "memory");
	(void)pages;
}

/* The byte offset of an MSR's range in the map, and its index there; false: always intercepted. */
static bool find_msr(uint32_t msr, unsigned *bit)
{
	static const uint32_t base[] = {0, 0xc0000000, 0xc0010000};

	for (unsigned i = 0; i < ARRAY_SIZE(base); i++) {
		if (msr - base[i] < RANGE_MSRS) {
			*bit = (i * RANGE_MSRS + (msr - base[i])) * 2;
			return true;
		}
	}
	return false;
}

void svm_msr_allow(uint32_t msr, bool read, bool write)
{
	unsigned bit;

	HV_BUG_ON(!find_msr(msr, &bit));
	if (read)
		msrpm[bit / 8] &= (uint8_t)~BIT(bit % 8);
	if (write)
		msrpm[bit / 8] &= (uint8_t)~BIT(bit % 8 + 1);
}
