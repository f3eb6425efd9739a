/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX per machine and per physical CPU: reading the capability MSRs (SDM volume 3, appendix A),
 * choosing the controls, switching on, and the permission maps that all guests share.
 */
#include "arch/x86/vmx/vmx.h"

#include <errno.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/cpuid_bits.h"
#include "arch/x86/layout.h"
#include "arch/x86/percpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "lib/panic.h"

/* For each MSR below 2000h and from c0000000h: may not be read, then: may not be written. */
#define RANGE_BYTES 0x400
#define RANGE_MSRS  0x2000

static uint8_t io_bitmaps[2 * PAGE_SIZE] __aligned(4096);
static uint8_t msr_bitmap[4 * RANGE_BYTES] __aligned(4096);
static struct vmx_cpu vmx_cpus[CPU_MAX];

struct vmx_setup vmx_setup __ro_after_init;
hpa_t vmx_io_bitmaps __ro_after_init, vmx_msr_bitmap __ro_after_init;

struct vmx_cpu *vmx_this_cpu(void)
{
	return &vmx_cpus[cpu_id()];
}

/* A field of controls: what guests cannot be run without, and what is used where it exists. */
struct control_rule {
	const char *name;
	uint32_t msr, true_msr; /* the second where MSR_VMX_BASIC says that it exists */
	uint32_t required, optional;
};

static const struct control_rule pin_rule = {
	"pin-based",
	MSR_VMX_PINBASED_CTLS,
	MSR_VMX_TRUE_PINBASED_CTLS,
	PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS,
	PIN_PREEMPTION_TIMER,
};
static const struct control_rule proc_rule = {
	"processor-based",
	MSR_VMX_PROCBASED_CTLS,
	MSR_VMX_TRUE_PROCBASED_CTLS,
	PROC_HLT | PROC_TSC_OFFSETTING | PROC_MWAIT | PROC_RDPMC | PROC_MONITOR,
	PROC_TPR_SHADOW | PROC_MSR_BITMAPS | PROC_IO_BITMAPS | PROC_SECONDARY,
};
static const struct control_rule proc2_rule = {
	"secondary processor-based",
	MSR_VMX_PROCBASED_CTLS2,
	MSR_VMX_PROCBASED_CTLS2,
	0,
	PROC2_EPT | PROC2_RDTSCP | PROC2_VPID | PROC2_WBINVD | PROC2_UNRESTRICTED_GUEST |
		PROC2_INVPCID | PROC2_XSAVES | PROC2_PML,
};
static const struct control_rule exit_rule = {
	"VM-exit",
	MSR_VMX_EXIT_CTLS,
	MSR_VMX_TRUE_EXIT_CTLS,
	EXIT_SAVE_DEBUG | EXIT_HOST_64BIT,
	EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT | EXIT_LOAD_PAT,
};
static const struct control_rule entry_rule = {
	"VM-entry",
	MSR_VMX_ENTRY_CTLS,
	MSR_VMX_TRUE_ENTRY_CTLS,
	ENTRY_LOAD_DEBUG,
	ENTRY_LOAD_EFER | ENTRY_LOAD_PAT,
};

/* The low half of a capability MSR has the bits that must be 1, the high half those that may. */
static int choose(const struct control_rule *rule, uint32_t *controls)
{
	bool has_true = rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE_CTLS;
	uint64_t cap = rdmsr(has_true ? rule->true_msr : rule->msr);
	uint32_t may = cap >> 32, must = (uint32_t)cap;
	uint32_t missing = rule->required & ~may;

	if (missing) {
		log_error("vmx: %s controls %x are missing on this CPU", rule->name, missing);
		return -ENODEV;
	}
	*controls = ((rule->required | rule->optional) & may) | must;
	return 0;
}

/* Where a group of bits is not complete, none of it is used. */
static bool has_all(uint32_t *controls, uint32_t group)
{
	if ((*controls & group) == group)
		return true;
	*controls &= ~group;
	return false;
}

/* What is only of use together with something else, or is of no use on this model. */
static void settle(struct vmx_setup *s)
{
	if (cpu_has_erratum(ERRATUM_PREEMPTION_TIMER))
		s->pin &= ~PIN_PREEMPTION_TIMER;
	s->switches_efer = has_all(&s->exit, EXIT_SAVE_EFER | EXIT_LOAD_EFER) &&
			   has_all(&s->entry, ENTRY_LOAD_EFER);
	s->switches_pat = has_all(&s->exit, EXIT_SAVE_PAT | EXIT_LOAD_PAT) &&
			  has_all(&s->entry, ENTRY_LOAD_PAT);
	if (!s->switches_efer) {
		s->exit &= ~(EXIT_SAVE_EFER | EXIT_LOAD_EFER);
		s->entry &= ~ENTRY_LOAD_EFER;
	}
	if (!s->switches_pat) {
		s->exit &= ~(EXIT_SAVE_PAT | EXIT_LOAD_PAT);
		s->entry &= ~ENTRY_LOAD_PAT;
	}
	if (!(s->proc & PROC_IO_BITMAPS))
		s->proc |= PROC_UNCONDITIONAL_IO;
	if (!(s->proc & PROC_TPR_SHADOW))
		s->proc |= PROC_CR8_LOAD | PROC_CR8_STORE;
	if (!(s->proc2 & PROC2_EPT) || !vmx_ept_is_usable(s->ept_vpid))
		s->proc2 &= ~(PROC2_EPT | PROC2_UNRESTRICTED_GUEST);
	s->has_pml = (s->proc2 & PROC2_PML) && (s->proc2 & PROC2_EPT) && (s->ept_vpid & EPT_CAP_AD);
	s->proc2 &= ~PROC2_PML; /* vmx_log_writes() */
	if (!vmx_vpid_is_usable(s->ept_vpid))
		s->proc2 &= ~PROC2_VPID;
}

static int choose_controls(struct vmx_setup *s)
{
	int r = choose(&pin_rule, &s->pin);

	if (!r)
		r = choose(&proc_rule, &s->proc);
	if (!r && (s->proc & PROC_SECONDARY))
		r = choose(&proc2_rule, &s->proc2);
	if (!r)
		r = choose(&exit_rule, &s->exit);
	if (!r)
		r = choose(&entry_rule, &s->entry);
	if (!r && (s->proc2 & (PROC2_EPT | PROC2_VPID)))
		s->ept_vpid = rdmsr(MSR_VMX_EPT_VPID_CAP);
	return r;
}

static void fill_caps(const struct vmx_setup *s)
{
	virt_caps = (struct virt_caps){
		.name = "VMX",
		.tdp = s->proc2 & PROC2_EPT,
		.ept = true,
		.tdp_has_1g = s->ept_vpid & EPT_CAP_1G,
		.tdp_has_ad = s->ept_vpid & EPT_CAP_AD,
		.tdp_has_exec_only = s->ept_vpid & EPT_CAP_EXEC_ONLY,
		.tdp_logs_writes = s->has_pml,
		.unrestricted = s->proc2 & PROC2_UNRESTRICTED_GUEST,
		.xsaves = s->proc2 & PROC2_XSAVES,
		.invpcid = s->proc2 & PROC2_INVPCID,
		.rdtscp = s->proc2 & PROC2_RDTSCP,
		.preemption_timer = s->pin & PIN_PREEMPTION_TIMER,
		.tags = s->proc2 & PROC2_VPID ? 0x10000 : 1,
	};
}

static void read_fixed_bits(struct vmx_setup *s)
{
	s->cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
	s->cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1);
	s->cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
	s->cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1);
}

int vmx_cpu_probe(void)
{
	struct vmx_setup *s = &vmx_setup;
	int r;

	if (!(cpuid(1).ecx & CPUID_MASK(CPUID_VMX))) {
		log_error("vmx: this CPU has no VMX");
		return -ENODEV;
	}
	r = choose_controls(s);
	if (r)
		return r;
	settle(s);
	read_fixed_bits(s);
	s->linear_bits = cpuid_count(7, 0).ecx & CPUID_MASK(CPUID_LA57) ? 57 : 48;
	s->revision = FIELD_GET(VMX_BASIC_REVISION, rdmsr(MSR_VMX_BASIC));
	s->preemption_shift = FIELD_GET(VMX_MISC_PREEMPTION_SHIFT, rdmsr(MSR_VMX_MISC));
	fill_caps(s);
	memset(io_bitmaps, 0xff, sizeof(io_bitmaps));
	memset(msr_bitmap, 0xff, sizeof(msr_bitmap));
	vmx_io_bitmaps = direct_map_hpa(io_bitmaps);
	vmx_msr_bitmap = direct_map_hpa(msr_bitmap);
	return 0;
}

/* Firmware that left the lock open leaves the choice to us (SDM volume 3, 23.7). */
static void unlock(void)
{
	uint64_t val = rdmsr(MSR_FEATURE_CONTROL);

	if (!(val & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_FEATURE_CONTROL, val | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK);
}

/* Translations that were here before Umbra are nobody's. */
static void flush_all(void)
{
	if (virt_caps.tdp)
		invept(vmx_setup.ept_vpid & EPT_CAP_INVEPT_ALL ? INVEPT_ALL : INVEPT_ONE, 0);
	if (virt_caps.tags > 1)
		invvpid(INVVPID_ALL, 0, GVA(0));
}

void vmx_cpu_enable(void *pages, hpa_t pages_pa)
{
	const struct vmx_setup *s = &vmx_setup;
	struct vmx_cpu *c = vmx_this_cpu();

	tag_pool_init(&c->tags, cpu_id());
	c->vmxon = pages_pa;
	*(uint32_t *)pages = s->revision;
	unlock();
	write_cr0((read_cr0() | s->cr0_fixed0) & s->cr0_fixed1);
	write_cr4((read_cr4() | s->cr4_fixed0) & s->cr4_fixed1);
	HV_BUG_ON(!vmxon(pages_pa));
	flush_all();
}

/* The bit of an MSR in one half of the map; false: in no range, always intercepted. */
static bool find_msr(uint32_t msr, unsigned *bit)
{
	if (msr < RANGE_MSRS)
		*bit = msr;
	else if (msr - 0xc0000000 < RANGE_MSRS)
		*bit = RANGE_BYTES * 8 + (msr - 0xc0000000);
	else
		return false;
	return true;
}

void vmx_msr_allow(uint32_t msr, bool read, bool write)
{
	unsigned bit;

	HV_BUG_ON(!find_msr(msr, &bit));
	if (read)
		msr_bitmap[bit / 8] &= (uint8_t)~BIT(bit % 8);
	if (write)
		msr_bitmap[2 * RANGE_BYTES + bit / 8] &= (uint8_t)~BIT(bit % 8);
}
