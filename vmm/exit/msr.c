/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSR policy, one table: each MSR that a guest may touch, where its value lives, and which bits it
 * may set. An access to an MSR that is not in the table is #GP, as on a CPU that does not have it.
 * MSRs that exist for the firmware of AMD's own systems read as after reset and drop what is
 * written, when the guest sees an AMD CPU: kernels use them without asking.
 */
#include "vmm/exit/msr.h"

#include <assert.h>
#include <errno.h>

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/exit/kvm_clock.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

enum msr_kind {
	MSR_CONST,      /* reads `arg`; writes are #GP */
	MSR_IGNORED,    /* reads `arg`; writes are dropped */
	MSR_FIELD,      /* in struct vcpu_msrs at offset `arg` */
	MSR_VREG,       /* a register of the vendor's, enum vreg `arg` */
	MSR_LAPIC_BASE, /* the local APIC's */
	MSR_SPECIAL,    /* functions read_special, write_special */
};

enum msr_check {
	ANY,
	CANONICAL, /* an address */
	TYPE,      /* a memory type in bits 7:0 */
	TYPES,     /* eight of them */
	PHYS,      /* bits above the guest's physical address width */
	PHYS_TYPE, /* both */
	ALL_OR_0,  /* any other value */
};

struct msr_rule {
	uint32_t msr;
	uint8_t kind;
	uint64_t arg;
	uint64_t writable; /* bits a write may set; others are #GP */
	uint8_t check;     /* enum msr_check: what else is #GP */
};

#define FIELD(f) offsetof(struct vcpu_msrs, f)
#define ALL      (~0ull)
#define FRAME    GENMASK_ULL(51, 12)

#define MCG_STATUS_BITS (MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP)

/*
 * A bank that never has an error. Its status can be cleared only: for any other value a CPU of
 * AMD's wants HWCR.McStatusWrEn, which is not there (SDM volume 3, 15.3.2; APM volume 2, 9.3.2).
 */
#define MC_BANK(n)                                                                                 \
	MC_FIELD(MSR_MC_CTL(n), mc_bank[n].ctl, ALL),                                              \
		MC_FIELD(MSR_MC_STATUS(n), mc_bank[n].status, 0),                                  \
		MC_FIELD(MSR_MC_ADDR(n), mc_bank[n].addr, ALL),                                    \
		MC_FIELD(MSR_MC_MISC(n), mc_bank[n].misc, ALL)
#define MC_FIELD(msr_, field, bits)                                                                \
	(struct msr_rule)                                                                          \
	{                                                                                          \
		.msr = msr_, .kind = MSR_FIELD, .arg = FIELD(field), .writable = bits              \
	}

static_assert(VCPU_MC_BANKS == 4, "rules[] has a row for each bank");

/* Sorted by number. */
static const struct msr_rule rules[] = {
	{MSR_TSC, MSR_SPECIAL, 0, ALL, ANY},
	{MSR_KVM_WALL_CLOCK_OLD, MSR_SPECIAL, 0, ALL, PHYS},
	{MSR_KVM_SYSTEM_TIME_OLD, MSR_SPECIAL, 0, ALL, PHYS},
	{MSR_APICBASE, MSR_LAPIC_BASE, 0, ALL, ANY},
	{MSR_TSC_ADJUST, MSR_SPECIAL, 0, ALL, ANY},
	{MSR_SPEC_CTRL, MSR_SPECIAL, 0, ALL, ANY},
	{MSR_PRED_CMD, MSR_SPECIAL, 0, PRED_CMD_IBPB, ANY},
	{MSR_BIOS_SIGN_ID, MSR_FIELD, FIELD(microcode), ALL, ANY},
	{MSR_MTRRCAP, MSR_CONST, 0x508, 0, ANY}, /* 8 variable, fixed, WC */
	{MSR_ARCH_CAPABILITIES, MSR_SPECIAL, 0, 0, ANY},
	{MSR_FLUSH_CMD, MSR_SPECIAL, 0, FLUSH_CMD_L1D, ANY},
	{MSR_SYSENTER_CS, MSR_VREG, VREG_SYSENTER_CS, ALL, ANY},
	{MSR_SYSENTER_ESP, MSR_VREG, VREG_SYSENTER_ESP, ALL, CANONICAL},
	{MSR_SYSENTER_EIP, MSR_VREG, VREG_SYSENTER_EIP, ALL, CANONICAL},
	{MSR_MCG_CAP, MSR_CONST, MCG_CAP_CTL_P | VCPU_MC_BANKS, 0, ANY},
	{MSR_MCG_STATUS, MSR_FIELD, FIELD(mcg_status), MCG_STATUS_BITS, ANY},
	{MSR_MCG_CTL, MSR_FIELD, FIELD(mcg_ctl), ALL, ALL_OR_0},
	{MSR_MISC_ENABLE, MSR_FIELD, FIELD(misc_enable), MISC_ENABLE_RESET, ANY},
	{MSR_DEBUGCTL, MSR_VREG, VREG_DEBUGCTL, 0x3, ANY},
	{MSR_MTRR_PHYSBASE(0), MSR_FIELD, FIELD(mtrr_var[0]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(0), MSR_FIELD, FIELD(mtrr_var[1]), FRAME | 0x800, PHYS},
	{MSR_MTRR_PHYSBASE(1), MSR_FIELD, FIELD(mtrr_var[2]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(1), MSR_FIELD, FIELD(mtrr_var[3]), FRAME | 0x800, PHYS},
	{MSR_MTRR_PHYSBASE(2), MSR_FIELD, FIELD(mtrr_var[4]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(2), MSR_FIELD, FIELD(mtrr_var[5]), FRAME | 0x800, PHYS},
	{MSR_MTRR_PHYSBASE(3), MSR_FIELD, FIELD(mtrr_var[6]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(3), MSR_FIELD, FIELD(mtrr_var[7]), FRAME | 0x800, PHYS},
	{MSR_MTRR_PHYSBASE(4), MSR_FIELD, FIELD(mtrr_var[8]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(4), MSR_FIELD, FIELD(mtrr_var[9]), FRAME | 0x800, PHYS},
	{MSR_MTRR_PHYSBASE(5), MSR_FIELD, FIELD(mtrr_var[10]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(5), MSR_FIELD, FIELD(mtrr_var[11]), FRAME | 0x800, PHYS},
	{MSR_MTRR_PHYSBASE(6), MSR_FIELD, FIELD(mtrr_var[12]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(6), MSR_FIELD, FIELD(mtrr_var[13]), FRAME | 0x800, PHYS},
	{MSR_MTRR_PHYSBASE(7), MSR_FIELD, FIELD(mtrr_var[14]), FRAME | 7, PHYS_TYPE},
	{MSR_MTRR_PHYSMASK(7), MSR_FIELD, FIELD(mtrr_var[15]), FRAME | 0x800, PHYS},
	{MSR_MTRR_FIX64K_00000, MSR_FIELD, FIELD(mtrr_fixed[0]), ALL, TYPES},
	{MSR_MTRR_FIX16K_80000, MSR_FIELD, FIELD(mtrr_fixed[1]), ALL, TYPES},
	{MSR_MTRR_FIX16K_A0000, MSR_FIELD, FIELD(mtrr_fixed[2]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 0, MSR_FIELD, FIELD(mtrr_fixed[3]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 1, MSR_FIELD, FIELD(mtrr_fixed[4]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 2, MSR_FIELD, FIELD(mtrr_fixed[5]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 3, MSR_FIELD, FIELD(mtrr_fixed[6]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 4, MSR_FIELD, FIELD(mtrr_fixed[7]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 5, MSR_FIELD, FIELD(mtrr_fixed[8]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 6, MSR_FIELD, FIELD(mtrr_fixed[9]), ALL, TYPES},
	{MSR_MTRR_FIX4K_C0000 + 7, MSR_FIELD, FIELD(mtrr_fixed[10]), ALL, TYPES},
	{MSR_PAT, MSR_SPECIAL, 0, 0x0707070707070707, ANY},
	{MSR_MTRR_DEF_TYPE, MSR_FIELD, FIELD(mtrr_def_type), 0xcff, TYPE},
	MC_BANK(0),
	MC_BANK(1),
	MC_BANK(2),
	MC_BANK(3),
	{MSR_TSC_DEADLINE, MSR_SPECIAL, 0, ALL, ANY},
	{MSR_XSS, MSR_SPECIAL, 0, 0, ANY}, /* exists with XSAVES; has no bit */
	{MSR_KVM_WALL_CLOCK, MSR_SPECIAL, 0, ALL, PHYS},
	{MSR_KVM_SYSTEM_TIME, MSR_SPECIAL, 0, ALL, PHYS},
	{MSR_KVM_STEAL_TIME, MSR_SPECIAL, 0, ALL, PHYS},
	{MSR_EFER, MSR_SPECIAL, 0, ALL, ANY},
	{MSR_STAR, MSR_VREG, VREG_STAR, ALL, ANY},
	{MSR_LSTAR, MSR_VREG, VREG_LSTAR, ALL, CANONICAL},
	{MSR_CSTAR, MSR_VREG, VREG_CSTAR, ALL, CANONICAL},
	{MSR_SFMASK, MSR_VREG, VREG_SFMASK, ALL, ANY},
	{MSR_FS_BASE, MSR_VREG, VREG_FS_BASE, ALL, CANONICAL},
	{MSR_GS_BASE, MSR_VREG, VREG_GS_BASE, ALL, CANONICAL},
	{MSR_KERNEL_GS_BASE, MSR_VREG, VREG_KERNEL_GS_BASE, ALL, CANONICAL},
	{MSR_TSC_AUX, MSR_SPECIAL, 0, 0xffffffff, ANY},
	{MSR_AMD_EVNTSEL(0), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_EVNTSEL(1), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_EVNTSEL(2), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_EVNTSEL(3), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_PERFCTR(0), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_PERFCTR(1), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_PERFCTR(2), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_PERFCTR(3), MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_SYSCFG, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_HWCR, MSR_IGNORED, BIT_ULL(24), ALL, ANY}, /* TscFreqSel: the TSC runs at P0 */
	{MSR_AMD_TOP_MEM, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_NB_CFG, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_PATCH_LOADER, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_INT_PENDING, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_TSEG_ADDR, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_TSEG_MASK, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_LS_CFG, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_IC_CFG, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_DC_CFG, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_BU_CFG2, MSR_IGNORED, 0, ALL, ANY},
	{MSR_AMD_DE_CFG, MSR_IGNORED, BIT_ULL(1), ALL, ANY}, /* LFENCE is serialising */
};

static __cold const struct msr_rule *search_rule(uint32_t msr)
{
	unsigned lo = 0, hi = ARRAY_SIZE(rules);

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (rules[mid].msr == msr)
			return &rules[mid];
		if (rules[mid].msr < msr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* In front of the search: for each value of the low bits one MSR that has them. */
#define NR_SHORTCUTS 256
static uint8_t shortcut[NR_SHORTCUTS] __ro_after_init;

static void make_shortcuts(void)
{
	for (unsigned i = ARRAY_SIZE(rules); i-- > 0;)
		shortcut[rules[i].msr % NR_SHORTCUTS] = (uint8_t)i;
}

static bool is_x2apic(uint32_t msr)
{
	return msr - 0x800 < 0x100;
}

static const struct msr_rule *guess_rule(uint32_t msr)
{
	return &rules[shortcut[msr % NR_SHORTCUTS]];
}

static const struct msr_rule *find_rule(uint32_t msr)
{
	const struct msr_rule *r = guess_rule(msr);

	if (likely(r->msr == msr))
		return r;
	return is_x2apic(msr) ? NULL : search_rule(msr);
}

#define NO_MSR ((struct msr_value){.error = -EINVAL})

static struct msr_value msr_value(uint64_t val)
{
	return (struct msr_value){.val = val};
}

static uint64_t guest_tsc(struct vcpu *v)
{
	return rdtsc() + v->tsc_offset;
}

static void set_tsc_offset(struct vcpu *v, uint64_t offset)
{
	v->tsc_offset = offset;
	virt_set_tsc_offset(&v->virt, offset);
	lapic_set_tsc_offset(v->lapic, offset);
	kvm_clock_update(v);
}

static bool has_xsaves(struct vcpu *v)
{
	return cpuid_has(&v->vm->cpuid, CPUID_XSAVES);
}

static __cold struct msr_value read_lapic(struct vcpu *v, uint32_t msr)
{
	uint64_t val = 0;

	vcpu_sync_task_priority(v);
	return lapic_msr_read(v->lapic, msr, &val) ? NO_MSR : msr_value(val);
}

static int write_lapic(struct vcpu *v, uint32_t msr, uint64_t val)
{
	vcpu_sync_task_priority(v);
	return lapic_msr_write(v->lapic, msr, val) ? -EINVAL : 0;
}

static bool has_tsc_aux(const struct vcpu *v)
{
	return cpuid_has(&v->vm->cpuid, CPUID_RDTSCP);
}

static __cold struct msr_value read_special(struct vcpu *v, uint32_t msr)
{
	switch (msr) {
	case MSR_SPEC_CTRL:
		return v->vm->cpuid.spec_ctrl ? msr_value(v->virt.spec_ctrl) : NO_MSR;
	case MSR_ARCH_CAPABILITIES:
		return cpuid_has(&v->vm->cpuid, CPUID_ARCH_CAPABILITIES)
			       ? msr_value(v->vm->cpuid.arch_capabilities)
			       : NO_MSR;
	case MSR_XSS:
		return has_xsaves(v) ? msr_value(0) : NO_MSR;
	case MSR_TSC:
		return msr_value(guest_tsc(v));
	case MSR_TSC_ADJUST:
		return msr_value(v->msr.tsc_adjust);
	case MSR_PAT:
		return msr_value(virt_reg_read(&v->virt, VREG_PAT));
	case MSR_TSC_DEADLINE:
		return read_lapic(v, msr);
	case MSR_EFER:
		return msr_value(virt_reg_read(&v->virt, VREG_EFER));
	case MSR_TSC_AUX:
		return has_tsc_aux(v) ? msr_value(v->msr.tsc_aux) : NO_MSR;
	default:
		return kvm_clock_read_msr(v, msr);
	}
}

/* EFER: only bits of features the guest has; LME not while paging; LMA is the CPU's. */
static int write_efer(struct vcpu *v, uint64_t val)
{
	const struct cpuid_table *t = &v->vm->cpuid;
	uint64_t old = virt_reg_read(&v->virt, VREG_EFER);
	uint64_t allowed = EFER_LMA;

	if (cpuid_has(t, CPUID_SYSCALL))
		allowed |= EFER_SCE;
	if (cpuid_has(t, CPUID_LM))
		allowed |= EFER_LME;
	if (cpuid_has(t, CPUID_NX))
		allowed |= EFER_NXE;
	if (cpuid_has(t, CPUID_FFXSR))
		allowed |= EFER_FFXSR;
	if (val & ~allowed)
		return -EINVAL;
	if (((val ^ old) & EFER_LME) && (virt_reg_read(&v->virt, VREG_CR0) & CR0_PG))
		return -EINVAL;
	virt_reg_write(&v->virt, VREG_EFER, (val & ~EFER_LMA) | (old & EFER_LMA));
	vcpu_paging_changed(v);
	return 0;
}

/* Memory types 2 and 3 do not exist. */
static int write_pat(struct vcpu *v, uint64_t val)
{
	for (unsigned i = 0; i < 64; i += 8) {
		if (((val >> i) & 0xfe) == 2)
			return -EINVAL;
	}
	virt_reg_write(&v->virt, VREG_PAT, val);
	return 0;
}

/* Writing the TSC moves TSC_ADJUST by as much (SDM volume 3, 17.17.3). */
static void write_tsc(struct vcpu *v, uint64_t offset)
{
	v->msr.tsc_adjust += offset - v->tsc_offset;
	set_tsc_offset(v, offset);
}

static int write_spec_ctrl(struct vcpu *v, uint64_t val)
{
	uint64_t bits = v->vm->cpuid.spec_ctrl;

	if (!bits || (val & ~bits))
		return -EINVAL;
	virt_set_spec_ctrl(&v->virt, val);
	return 0;
}

/* Commands: writing the bit does it, and there is nothing to read. */
static int write_pred_cmd(struct vcpu *v, uint64_t val)
{
	const struct cpuid_table *t = &v->vm->cpuid;

	if (!cpuid_has(t, CPUID_IBRS_IBPB) && !cpuid_has(t, CPUID_IBPB))
		return -EINVAL;
	if (val)
		vcpu_flush_predictors();
	return 0;
}

static int write_flush_cmd(struct vcpu *v, uint64_t val)
{
	if (!cpuid_has(&v->vm->cpuid, CPUID_L1D_FLUSH))
		return -EINVAL;
	if (val)
		vcpu_flush_l1d();
	return 0;
}

static int write_special(struct vcpu *v, uint32_t msr, uint64_t val)
{
	switch (msr) {
	case MSR_SPEC_CTRL:
		return write_spec_ctrl(v, val);
	case MSR_PRED_CMD:
		return write_pred_cmd(v, val);
	case MSR_FLUSH_CMD:
		return write_flush_cmd(v, val);
	case MSR_XSS:
		return has_xsaves(v) ? 0 : -EINVAL;
	case MSR_TSC:
		write_tsc(v, val - rdtsc());
		return 0;
	case MSR_TSC_ADJUST:
		set_tsc_offset(v, v->tsc_offset + val - v->msr.tsc_adjust);
		v->msr.tsc_adjust = val;
		return 0;
	case MSR_PAT:
		return write_pat(v, val);
	case MSR_TSC_DEADLINE:
		return write_lapic(v, msr, val);
	case MSR_EFER:
		return write_efer(v, val);
	case MSR_TSC_AUX:
		if (!has_tsc_aux(v))
			return -EINVAL;
		v->msr.tsc_aux = val;
		vcpu_load_tsc_aux(v);
		return 0;
	default:
		return kvm_clock_write_msr(v, msr, val);
	}
}

/* What firmware of AMD's systems uses. */
static bool has_ignored(const struct vcpu *v)
{
	return cpuid_is_amd(&v->vm->cpuid);
}

/* The kinds that are read seldom, or take a call. */
static __cold struct msr_value read_by_rule(struct vcpu *v, uint32_t msr, const struct msr_rule *r)
{
	switch (r->kind) {
	case MSR_IGNORED:
		return has_ignored(v) ? msr_value(r->arg) : NO_MSR;
	case MSR_VREG:
		return msr_value(virt_reg_read(&v->virt, r->arg));
	default:
		return read_special(v, msr);
	}
}

static inline struct msr_value read_ruled(struct vcpu *v, uint32_t msr, const struct msr_rule *r)
{
	if (r->kind == MSR_LAPIC_BASE)
		return msr_value(lapic_get_base(v->lapic));
	if (r->kind == MSR_FIELD)
		return msr_value(*(uint64_t *)((char *)&v->msr + r->arg));
	if (r->kind == MSR_CONST)
		return msr_value(r->arg);
	return read_by_rule(v, msr, r);
}

/* The x2APIC's registers have rules of their own. */
static __cold struct msr_value read_other(struct vcpu *v, uint32_t msr)
{
	const struct msr_rule *r;

	if (is_x2apic(msr))
		return read_lapic(v, msr);
	r = search_rule(msr);
	return r ? read_ruled(v, msr, r) : NO_MSR;
}

struct msr_value msr_read(struct vcpu *v, uint32_t msr)
{
	const struct msr_rule *r = guess_rule(msr);

	return likely(r->msr == msr) ? read_ruled(v, msr, r) : read_other(v, msr);
}

/*
 * WRMSR goes by what the CPU can do, 48 or 57 bits, not by the paging mode (Intel's "5-Level Paging
 * and 5-Level EPT", 3.1).
 */
static bool is_canonical(struct vcpu *v, uint64_t addr)
{
	unsigned unused = cpuid_has(&v->vm->cpuid, CPUID_LA57) ? 7 : 16;

	return (uint64_t)((int64_t)(addr << unused) >> unused) == addr;
}

/* Uncacheable, write-combining, write-through, write-protect, write-back (SDM table 11-8). */
static bool is_memory_type(uint8_t type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static bool are_memory_types(uint64_t types)
{
	for (unsigned i = 0; i < 64; i += 8) {
		if (!is_memory_type((uint8_t)(types >> i)))
			return false;
	}
	return true;
}

static bool has_only_physical_bits(struct vcpu *v, uint64_t val)
{
	return !(val >> (v->vm->cpuid.ext[8].eax & 0xff));
}

static bool passes(struct vcpu *v, enum msr_check check, uint64_t val)
{
	switch (check) {
	case CANONICAL:
		return is_canonical(v, val);
	case TYPE:
		return is_memory_type((uint8_t)val);
	case TYPES:
		return are_memory_types(val);
	case PHYS:
		return has_only_physical_bits(v, val);
	case PHYS_TYPE:
		return has_only_physical_bits(v, val) && is_memory_type((uint8_t)val);
	case ALL_OR_0:
		return !val || val == ALL;
	default:
		return true;
	}
}

int msr_write(struct vcpu *v, uint32_t msr, uint64_t val)
{
	const struct msr_rule *r;

	r = find_rule(msr);
	if (!r && is_x2apic(msr))
		return write_lapic(v, msr, val);
	if (!r || (val & ~r->writable) || !passes(v, r->check, val))
		return -EINVAL;
	switch (r->kind) {
	case MSR_CONST:
		return -EINVAL;
	case MSR_IGNORED:
		return has_ignored(v) ? 0 : -EINVAL;
	case MSR_FIELD:
		*(uint64_t *)((char *)&v->msr + r->arg) = val;
		return 0;
	case MSR_VREG:
		virt_reg_write(&v->virt, r->arg, val);
		return 0;
	case MSR_LAPIC_BASE:
		vcpu_sync_task_priority(v); /* which may be reset with the rest of it */
		return lapic_set_base(v->lapic, val) ? -EINVAL : 0;
	default:
		return write_special(v, msr, val);
	}
}

void msr_init(void)
{
	/* A CPU that does not check what is written leaves that to msr_write(). */
	static const uint32_t direct[] = {
		MSR_SYSENTER_CS, MSR_SYSENTER_ESP,   MSR_SYSENTER_EIP, MSR_STAR,
		MSR_LSTAR,       MSR_CSTAR,          MSR_SFMASK,       MSR_FS_BASE,
		MSR_GS_BASE,     MSR_KERNEL_GS_BASE,
	};

	make_shortcuts();
	for (unsigned i = 0; i < ARRAY_SIZE(direct); i++)
		virt_msr_allow(direct[i], true, !virt_caps.lax);
}

__cold bool msr_refuse_rdmsr(const struct vcpu *v)
{
	log_debug("vm %s: rdmsr %x: #GP", v->vm->name, (uint32_t)v->virt.gpr[GPR_RCX]);
	return false;
}

static uint64_t edx_eax(const struct vcpu *v)
{
	return v->virt.gpr[GPR_RDX] << 32 | (uint32_t)v->virt.gpr[GPR_RAX];
}

bool msr_execute_wrmsr(struct vcpu *v)
{
	uint32_t msr = (uint32_t)v->virt.gpr[GPR_RCX];

	if (msr_write(v, msr, edx_eax(v))) {
		log_debug("vm %s: wrmsr %x %llx: #GP", v->vm->name, msr,
			  (unsigned long long)edx_eax(v));
		return false;
	}
	return true;
}
