/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/cpuid.h"

#include "arch/x86/regs.h"
#include "lib/clock.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/exit/kvm_clock.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

#define CPUID_D_ECX_ALIGNED BIT(1) /* of a component's subleaf */

/* The bytes of an XSAVE area for the components in `xcr0`. */
static uint32_t xsave_size(const struct cpuid_table *t, uint64_t xcr0)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < CPUID_XSAVE_LEAVES; i++) {
		if (xcr0 & BIT_ULL(i))
			size = max(size, t->xsave[i].ebx + t->xsave[i].eax);
	}
	return size;
}

/* The same in the compacted format of XSAVEC and XSAVES: bit 1 of ECX aligns a component. */
static uint32_t compacted_size(const struct cpuid_table *t, uint64_t xcr0)
{
	uint32_t size = 576;

	for (unsigned i = 2; i < CPUID_XSAVE_LEAVES; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		if (t->xsave[i].ecx & CPUID_D_ECX_ALIGNED)
			size = ALIGN_UP(size, 64u);
		size += t->xsave[i].eax;
	}
	return size;
}

static struct cpuid_entry leaf_1(struct vcpu *v, struct cpuid_entry e)
{
	e.ebx |= v->id << 24;
	if (virt_reg_read(&v->virt, VREG_CR4) & CR4_OSXSAVE)
		e.ecx |= CPUID_MASK(CPUID_OSXSAVE);
	if (!(lapic_get_base(v->lapic) & LAPIC_BASE_ENABLE))
		e.edx &= ~CPUID_MASK(CPUID_APIC);
	return e;
}

static struct cpuid_entry leaf_7(struct vcpu *v, struct cpuid_entry e, uint32_t subleaf)
{
	if (subleaf)
		return (struct cpuid_entry){0};
	if (virt_reg_read(&v->virt, VREG_CR4) & CR4_PKE)
		e.ecx |= CPUID_MASK(CPUID_OSPKE);
	return e;
}

/* Extended topology: one thread a core, all vCPUs cores of one package. */
static struct cpuid_entry leaf_b(struct vcpu *v, uint32_t subleaf)
{
	struct cpuid_entry e = {.ecx = subleaf & 0xff, .edx = v->id};

	if (subleaf == 0) {
		e.ebx = 1;
		e.ecx |= 1 << 8;
	} else if (subleaf == 1) {
		e.eax = v->vm->nr_vcpus > 1 ? 32 - (uint32_t)__builtin_clz(v->vm->nr_vcpus - 1) : 0;
		e.ebx = v->vm->nr_vcpus;
		e.ecx |= 2 << 8;
	}
	return e;
}

static struct cpuid_entry cache_leaf(struct vcpu *v, uint32_t subleaf)
{
	return subleaf < CPUID_CACHES ? v->vm->cpuid.cache[subleaf] : (struct cpuid_entry){0};
}

/* AMD's way to tell the same: APIC id, core with one thread, node 0 of one. */
static struct cpuid_entry leaf_8000001e(struct vcpu *v)
{
	return (struct cpuid_entry){.eax = v->id, .ebx = v->id & 0xff};
}

static struct cpuid_entry leaf_d(struct vcpu *v, uint32_t subleaf)
{
	const struct cpuid_table *t = &v->vm->cpuid;
	struct cpuid_entry e;

	if (!t->xcr0 || subleaf >= CPUID_XSAVE_LEAVES)
		return (struct cpuid_entry){0};
	e = t->xsave[subleaf];
	if (subleaf == 0)
		e.ebx = xsave_size(t, vcpu_xcr0(v));
	else if (subleaf == 1 && (e.eax & (CPUID_MASK(CPUID_XSAVEC) | CPUID_MASK(CPUID_XSAVES))))
		e.ebx = compacted_size(t, vcpu_xcr0(v));
	return e;
}

/*
 * The hypervisor leaves, which begin at `base`: a signature of our own, and the frequencies
 * (docs/hypercalls.md).
 */
static struct cpuid_entry umbra_leaf(uint32_t leaf, uint32_t base)
{
	switch (leaf - base) {
	case 0: /* "UmbraUmbra" */
		return (struct cpuid_entry){base + 0x10, 0x72626d55, 0x626d5561, 0x00006172};
	case 0x10:
		return (struct cpuid_entry){(uint32_t)clock_tsc_khz(), LAPIC_BUS_HZ / 1000, 0, 0};
	default:
		return (struct cpuid_entry){0};
	}
}

/* Where KVM's leaves are Umbra's own come behind them. */
static struct cpuid_entry hypervisor_leaf(const struct vcpu *v, uint32_t leaf)
{
	if (!v->vm->kvm_clock)
		return umbra_leaf(leaf, 0x40000000);
	return leaf & 0x100 ? umbra_leaf(leaf, 0x40000100) : kvm_clock_leaf(leaf);
}

/* Those beyond the maximum, 0xb or 0xd, are no leaves: see no_leaf(). */
#define COMPUTED_LEAVES                                                                            \
	(BIT(0x1) | BIT(0x4) | BIT(0x7) | BIT(0xb) | BIT(0xd) | (uint32_t)GENMASK_ULL(31, 0xe) |   \
	 BIT(0xc))

/* Leaves that are the same at each time. */
static inline bool is_constant(uint32_t leaf)
{
	static_assert(CPUID_BASIC_LEAVES == 32, "COMPUTED_LEAVES has a bit for each");

	if (leaf < CPUID_BASIC_LEAVES)
		return !(BIT(leaf) & COMPUTED_LEAVES);
	return leaf - 0x80000000 <= 8;
}

static inline const struct cpuid_entry *constant_leaf(const struct cpuid_table *t, uint32_t leaf)
{
	return leaf < CPUID_BASIC_LEAVES ? &t->basic[leaf] : &t->ext[leaf - 0x80000000];
}

static struct cpuid_entry basic_leaf(struct vcpu *v, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_table *t = &v->vm->cpuid;

	switch (leaf) {
	case 0x1:
		return leaf_1(v, t->basic[1]);
	case 0x4:
		return cpuid_is_amd(t) ? (struct cpuid_entry){0} : cache_leaf(v, subleaf);
	case 0x7:
		return leaf_7(v, t->basic[7], subleaf);
	case 0xb:
		return leaf_b(v, subleaf);
	case 0xd:
		return leaf_d(v, subleaf);
	default:
		return t->basic[leaf];
	}
}

/* Beyond the maximum: nothing on AMD's CPUs, the highest basic leaf's on Intel's (SDM, CPUID). */
static struct cpuid_entry no_leaf(struct vcpu *v, uint32_t subleaf)
{
	const struct cpuid_table *t = &v->vm->cpuid;

	return cpuid_is_amd(t) ? (struct cpuid_entry){0} : basic_leaf(v, t->basic[0].eax, subleaf);
}

static struct cpuid_entry other_leaf(struct vcpu *v, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_table *t = &v->vm->cpuid;

	if (leaf <= t->basic[0].eax)
		return basic_leaf(v, leaf, subleaf);
	if (leaf >> 28 == 4)
		return hypervisor_leaf(v, leaf);
	if (leaf < 0x80000000 || leaf > t->ext[0].eax)
		return no_leaf(v, subleaf);
	switch (leaf) {
	case 0x8000001d:
		return cache_leaf(v, subleaf);
	case 0x8000001e:
		return leaf_8000001e(v);
	default:
		return t->ext[leaf - 0x80000000];
	}
}

static inline void put_leaf(struct vcpu *v, const struct cpuid_entry *e)
{
	uint64_t *gpr = v->virt.gpr;

	gpr[GPR_RAX] = e->eax;
	gpr[GPR_RBX] = e->ebx;
	gpr[GPR_RCX] = e->ecx;
	gpr[GPR_RDX] = e->edx;
}

static __cold void execute_other(struct vcpu *v)
{
	const uint64_t *gpr = v->virt.gpr;
	struct cpuid_entry e = other_leaf(v, (uint32_t)gpr[GPR_RAX], (uint32_t)gpr[GPR_RCX]);

	put_leaf(v, &e);
}

void cpuid_execute(struct vcpu *v)
{
	uint32_t leaf = (uint32_t)v->virt.gpr[GPR_RAX];

	if (likely(is_constant(leaf)))
		put_leaf(v, constant_leaf(&v->vm->cpuid, leaf));
	else
		execute_other(v);
}
