/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that picks the MMU engine of a VM. All calls of the vmm into an engine (mm/mmu.h)
 * go through these functions; no other file of vmm/ knows which engines there are: two-dimensional
 * tables (ept/), or the shadow MMU (mm/shadow/).
 *
 * A function for one vCPU takes its struct vcpu_mmu; a function for the whole VM takes its struct
 * vm_mmu.
 */
#ifndef VMM_MMU_H
#define VMM_MMU_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/virt.h"
#include "ept/tdp.h"
#include "mm/shadow/shadow.h"
#include "mm/slots.h"
#include "vmm/vm_config.h"

struct vm;

struct vm_mmu {
	struct guest_memory *mem; /* const */
	bool may_shadow;          /* const; the VM may come to run under shadow paging */
	struct shadow *shadow;    /* rules in mm/shadow/shadow.h; NULL: not this one, but ... */
	struct tdp tdp;           /* ... rules in ept/tdp.h */
};

/* A vCPU's part. Owner CPU, but for statistics. */
struct vcpu_mmu {
	struct guest_memory *mem;   /* const */
	struct shadow_vcpu *shadow; /* rules in mm/shadow/shadow.h; NULL: not this one, but ... */
	bool asked_for_exits;       /* of page faults and INVLPG, which `shadow` needs */
	struct tdp_vcpu tdp;        /* ... rules in ept/tdp.h */
	uint64_t mmio_gfn;          /* the page in which a fault last found no memory ... */
	uint64_t mmio_generation;   /* ... in this state of the slots */
};

/*
 * Choose the entry format of the tables; once, after virt_probe(). `small_fetch`: no page of a
 * guest above 4K may be executed.
 */
void mmu_init(bool small_fetch);

/*
 * Choose for a VM that is being created: first of all, because its CPUID and its vCPUs depend on
 * it. NULL, or why this machine does not have what was chosen.
 */
const char *mmu_vm_choose(struct vm_mmu *m, enum mmu_choice choice);

/* Do the vCPUs run with nested paging? As virt_vcpu_init() wants to know it. */
static inline bool mmu_is_nested(const struct vm_mmu *m)
{
	return !m->may_shadow;
}

/* Does this vCPU run on shadow tables? */
static inline bool mmu_is_shadowed(const struct vcpu_mmu *v)
{
	return v->shadow;
}

/*
 * The pages that the engine of a VM with these slots and so many vCPUs needs at most; see
 * mm/account.h.
 */
uint64_t mmu_account_pages(const struct vm_mmu *m, struct guest_memory *mem, unsigned nr_vcpus);

/*
 * Set up the engine of `vm`, whose memory is `mem`. What it allocates is charged to `account`. 0,
 * or -ENOMEM.
 */
int mmu_vm_init(struct vm_mmu *m, struct guest_memory *mem, struct vm *vm, bool large_pages,
		struct page_account *account);

/*
 * Free everything; all vCPUs' parts are destroyed, no vCPU runs. Does nothing to a cleared struct.
 * Each call is bounded work: false as long as there is more to do, some of it after a grace period.
 */
bool mmu_vm_destroy_some(struct vm_mmu *m);

/*
 * The part of a vCPU, cleared before. 0 or -ENOMEM. Any CPU; destroy does nothing to a cleared
 * struct.
 */
int mmu_vcpu_init(struct vcpu_mmu *v, struct vm_mmu *m);
void mmu_vcpu_destroy(struct vcpu_mmu *v);

/*
 * Take the VM's current root, at creation and when REQ_RELOAD_ROOT asks for it, and have the
 * hardware run on it from the next entry. 0; or the vCPU cannot be entered: -EAGAIN, until it was
 * asked again after others have gone on; -ENOMEM. `p`: of a vCPU that is shadowed, how its guest
 * translates. Owner CPU.
 */
int mmu_load_root(struct vcpu_mmu *v, struct virt_vcpu *virt, const struct guest_paging *p);

/* REQ_FLUSH: forget, at the next entry, every translation of the vCPU's. Owner CPU. */
static inline void mmu_flush(struct virt_vcpu *virt)
{
	virt_flush_tdp(virt);
}

/*
 * Is `gpa` in the page of the device that this vCPU used last, and are the slots unchanged since
 * then? Guests go on to use the device that they have just used. `error`: PFERR_* of the fault.
 * Owner CPU.
 */
static inline bool mmu_is_known_mmio(const struct vcpu_mmu *v, gpa_t gpa, uint32_t error)
{
	bool known =
		v->mmio_gfn == gpa_to_gfn(gpa).v && v->mmio_generation == slots_generation(v->mem);

	return likely(known && (error & PFERR_RSVD));
}

/*
 * Count such a fault as RET_PF_EMULATE in the statistics; the engine is not asked about it. Owner
 * CPU.
 */
static inline void mmu_count_mmio(struct vcpu_mmu *v)
{
	tdp_count_mmio(&v->tdp);
}

static inline void mmu_forget_mmio(struct vcpu_mmu *v)
{
	v->mmio_gfn = ~0ull;
}

/*
 * Resolve a fault at `gpa`; the results are in mm/mmu.h. The page of a device is remembered for
 * mmu_is_known_mmio(), together with the generation that the slots had before the engine looked at
 * them.
 * Owner CPU, inside the hypervisor.
 */
static inline enum ret_pf mmu_fault(struct vcpu_mmu *v, gpa_t gpa, uint32_t error)
{
	uint64_t generation = slots_generation(v->mem);
	enum ret_pf r = tdp_fault(&v->tdp, gpa, error);

	if (r == RET_PF_EMULATE && (error & PFERR_RSVD) && !(generation & SLOTS_GEN_IN_PROGRESS)) {
		v->mmio_gfn = gpa_to_gfn(gpa).v;
		v->mmio_generation = generation;
	}
	return r;
}

/* The rest of this kind is for vCPUs that are shadowed: see mm/shadow/shadow.h. Owner CPU. */
static inline enum ret_pf mmu_page_fault(struct vcpu_mmu *v, const struct guest_paging *p,
					 struct shadow_fault *f)
{
	return shadow_fault(v->shadow, p, f);
}

static inline void mmu_invlpg(struct vcpu_mmu *v, gva_t gva)
{
	shadow_invlpg(v->shadow, gva);
}

static inline bool mmu_unprotect(struct vcpu_mmu *v, gpa_t gpa, uint64_t rip)
{
	return shadow_unprotect(v->shadow, gpa, rip);
}

/* All that the guest has written to its tables is seen. Of any vCPU. */
static inline void mmu_sync(struct vcpu_mmu *v)
{
	if (v->shadow)
		shadow_sync(v->shadow->s);
}

/*
 * Background work, in bounded slices between runs: is there any, and a slice of it. False: nothing
 * could be done, all of it waits for a grace period. Any CPU.
 */
static inline bool mmu_has_work(struct vm_mmu *m)
{
	return unlikely(m->shadow) ? shadow_has_work(m->shadow) : tdp_has_zap_work(&m->tdp);
}

static inline bool mmu_work(struct vm_mmu *m)
{
	return unlikely(m->shadow) ? shadow_work(m->shadow) : tdp_zap_work(&m->tdp);
}

/* What the engine has counted. Any CPU. */
static inline void mmu_get_stats(struct vm_mmu *m, struct mmu_stats *stats)
{
	if (m->shadow)
		shadow_get_stats(m->shadow, stats);
	else
		tdp_get_stats(&m->tdp, stats);
}

#endif
