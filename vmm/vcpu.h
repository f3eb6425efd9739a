/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU. Each vCPU is bound to one physical CPU (its owner), which alone touches its
 * registers and state. All other CPUs set bits in its request word and kick the owner (below).
 *
 * Requests. A bit is set first, then the physical CPU is kicked if it may be in guest mode or
 * idle. The run loop publishes "in guest mode" first and looks at the word after that:
 *
 *	requester				run loop
 *	requests |= REQ_X	(A)		cpu mode = CPU_IN_GUEST	  (C)
 *	if (cpu mode != CPU_BUSY)  (B)		if (requests) do not enter (D)
 *		send the kick IPI		enter
 *
 * All four are sequentially consistent, so either B sees C and kicks (the IPI is pending at entry
 * and ends the run at once), or D sees A. A requester that finds its bits already set at A does
 * not do B: the one that set them does. So a storm of requests causes one kick for each look at
 * the word.
 *
 * That kick is for a vCPU that is loaded on its CPU. While another vCPU runs there, perhaps another
 * VM's, the bits wait until the scheduler picks their vCPU, which it does the sooner, or even at
 * once, if they wake it (turn_wake(), vmm/turn.h):
 *
 *	requester				cpu_loop()
 *	requests |= REQ_X	(A)		c->loaded = v		  (E)
 *	if (c->loaded == v	(F)		cpu mode = CPU_IN_GUEST	  (C)
 *	    && v can run)	(G)		if (requests) do not enter (D)
 *		if (cpu mode ...)  (B)
 *	else turn_wake()			a halt: v->state, then looks at requests
 *
 * A vCPU that has halted may still be loaded when another has the next turn: hence G. If G finds
 * that it can run, and it halts behind that, the look that follows its halt sees A. E comes before
 * C. If F does not see E, then A is before F, F before E, and E before D: D sees A. So a vCPU that
 * is not loaded at F needs no kick to find the bits; and an idle CPU, which has found nothing that
 * can run before A, gets one whatever is loaded. tests/model/kick.pml.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <assert.h>
#include <stdatomic.h>

#include "arch/x86/regs.h"
#include "arch/x86/virt.h"
#include "lib/list.h"
#include "lib/types.h"
#include "mm/walk.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/emulate/emul_insn.h"
#include "vmm/event.h"
#include "vmm/fair.h"
#include "vmm/mmu.h"

struct vm;
struct trace;

#define REQ_EVENT       (1u << 0) /* look for interrupts, exceptions, NMIs to deliver */
#define REQ_NMI         (1u << 1) /* an NMI arrived */
#define REQ_INIT        (1u << 2)
#define REQ_STARTUP     (1u << 3)  /* SIPI; vector in sipi_vector */
#define REQ_FLUSH       (1u << 4)  /* forget all translations of this vCPU's tag */
#define REQ_RELOAD_ROOT (1u << 5)  /* the root is obsolete, or not the guest's any more */
#define REQ_STOP        (1u << 6)  /* the VM has ended: leave the run queue */
#define REQ_YIELD       (1u << 7)  /* let the CPU's next vCPU run */
#define REQ_TIMERS      (1u << 8)  /* the CPU's timers want to be looked at */
#define REQ_LOG         (1u << 9)  /* vm->logs_writes has changed */
#define REQ_OUT         (1u << 10) /* leave guest mode once; nothing else */
#define REQ_PREEMPT     (1u << 11) /* another VM's vCPU woke: let it run, not too soon */

/* Of these a vCPU wakes, and may preempt another. */
#define REQ_WAKES (REQ_EVENT | REQ_NMI | REQ_INIT | REQ_STARTUP | REQ_STOP)

/* What is done after each exit of a vCPU, before the exit is handled. */
#define WATCH_TRACE (1u << 0) /* note it, for debug=exits */
#define WATCH_LOG   (1u << 1) /* copy the pages that the CPU logged into the dirty log */

enum vcpu_state {
	VCPU_RUNNABLE,
	VCPU_HALTED,        /* HLT: until an interrupt, NMI or INIT */
	VCPU_WAIT_FOR_SIPI, /* after INIT, or not the boot CPU */
	VCPU_STOPPED,       /* its VM has ended; off the run queue */
};

/*
 * No branch trace store, no precise events; and fast strings: without these Linux takes CPUID's
 * word for REP MOVSB, but not for its speed, and patches its memmove into one that never ends.
 */
#define MISC_ENABLE_RESET                                                                          \
	(MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_BTS_UNAVAILABLE | MISC_ENABLE_PEBS_UNAVAILABLE)

/*
 * Banks of machine checks, as a virtual CPU has them: for a kernel that switches them on. The
 * machine's own errors are not told to guests, so they never report any.
 */
#define VCPU_MC_BANKS 4
struct vcpu_mc_bank {
	uint64_t ctl, status, addr, misc;
};

/* MSRs that no hardware keeps for the guest. Owned like the vCPU's registers. */
struct vcpu_msrs {
	uint64_t tsc_aux;
	uint64_t tsc_adjust;
	uint64_t mtrr_def_type;
	uint64_t mtrr_fixed[11];
	uint64_t mtrr_var[16];
	uint64_t misc_enable;
	uint64_t microcode;
	uint64_t mcg_status, mcg_ctl;
	struct vcpu_mc_bank mc_bank[VCPU_MC_BANKS];
};

/*
 * The entries of the guest's page tables that lead to a page of code, from the last level up: words
 * of 8 bytes in host memory, and what they held. As long as they hold it the page is there,
 * whatever the guest has changed under the same CR3 (vmm/exit/insn_code.c). Void with the slots, as
 * all pointers into guest memory.
 */
struct code_trail {
	const uint64_t *at[WALK_MAX_LEVEL];
	uint64_t val[WALK_MAX_LEVEL];
};

static inline uint64_t code_trail_differs(const struct code_trail *t, unsigned i)
{
	return __atomic_load_n(t->at[i], __ATOMIC_RELAXED) ^ t->val[i];
}

/* On the way of each access to a device: written out, because the compiler makes a loop of a loop.
 */
static_assert(WALK_MAX_LEVEL == 5, "the levels of code_trail_holds()");
static inline bool code_trail_holds(const struct code_trail *t)
{
	return !(code_trail_differs(t, 0) | code_trail_differs(t, 1) | code_trail_differs(t, 2) |
		 code_trail_differs(t, 3) | code_trail_differs(t, 4));
}

/* KVM's clock and steal time (vmm/exit/kvm_clock.h): MSRs, and what the guest was told. */
struct vcpu_kvm {
	uint64_t wall_clock, system_time, steal_time;
	uint32_t version;
	uint64_t waits_since; /* its CPU's lock: clock_ns() since it could run and does not, or 0 */
	uint64_t waited;      /* its CPU's lock: ns in all */
};

/* Where the instructions of one guest page are in host memory (vmm/exit/insn_code.c). */
struct code_page {
	uint64_t cr3, page; /* guest CR3 and page number of RIP; ~0: nothing cached */
	const uint8_t *bytes;
	uint64_t slots_generation;
	struct code_trail trail;
};

/*
 * An instruction that exited before (vmm/exit/insn.h): where its bytes are. Valid for one RIP,
 * address space, code segment base and set of slots.
 */
struct known_insn {
	uint64_t rip, cr3, cs_base;
	uint64_t slots_generation;
	const uint32_t *bytes;   /* 4 of them, in one page */
	const uint64_t *leaf_at; /* of the trail (struct code_trail) the last level only */
	uint64_t leaf;
} __aligned(64);

#define NR_KNOWN_INSNS 16

/*
 * A decoded instruction that was emulated before (vmm/exit/insn_code.c); valid as a known_insn, in
 * one mode.
 */
struct decoded_insn {
	uint64_t rip, cr3, cs_base;
	uint64_t slots_generation;
	const uint64_t *bytes;      /* 16 of them, in one page */
	uint64_t mask[2], value[2]; /* of these, the instruction's own */
	uint32_t mode;              /* enum emul_mode */
	struct code_trail trail;
	struct emul_insn insn;
};

#define NR_DECODED_INSNS 64

/* The vCPUs of one VM on one CPU, which share its turns (vmm/turn.h); that CPU's lock. */
struct sched_group {
	struct fair_share share;
	struct list vcpus; /* in turn */
};

struct vcpu {
	struct virt_vcpu virt;         /* owner CPU */
	struct vm *vm;                 /* const */
	struct lapic *lapic;           /* const; its own rules in vmm/dev/apic/lapic.h */
	uint32_t id;                   /* const; index in the VM and APIC id */
	uint32_t pcpu;                 /* const; index of the physical CPU */
	_Atomic uint32_t requests;     /* atomic, REQ_* */
	_Atomic uint8_t sipi_vector;   /* atomic, written before REQ_STARTUP */
	_Atomic uint32_t nmis_sent;    /* atomic, counted up before REQ_NMI */
	_Atomic enum vcpu_state state; /* owner CPU writes */

	/* Owner CPU, all that follows. */
	struct vm_event_info pending; /* to be injected before anything else */
	uint8_t nmis_pending;         /* NMIs to be taken, at most two (vmm/event.c) */
	bool nmi_masked;              /* the guest is in its handler (until IRET) */
	bool nmi_iret;                /* that IRET exited: it is the next instruction, or was */
	bool nmi_step;                /* stepping over that IRET, with TF borrowed */
	bool counted_dead;            /* in vm->dead */
	uint8_t cr8;                  /* as the local APIC and the vendor last agreed */
	bool irq_window_open;         /* EXIT_IRQ_WINDOW is asked for */
	struct vcpu_mmu mmu;          /* its part of the MMU engine */
	uint64_t nmi_iret_rip;        /* where that IRET is */
	uint64_t tsc_offset;          /* guest TSC = TSC + offset */
	struct code_page code;
	struct decoded_insn decoded[NR_DECODED_INSNS]; /* by RIP */
	struct known_insn known[NR_KNOWN_INSNS];       /* by RIP */
	struct guest_paging paging;                    /* as vmm/exit/insn_memory.c found it last */
	struct vcpu_msrs msr;
	struct vcpu_kvm kvm;
	uint64_t xcr0;
	uint64_t dr[4];
	void *fpu;                         /* XSAVE area while another vCPU has the CPU */
	struct list run_link;              /* in group->vcpus; its CPU's lock, as the group */
	struct sched_group *group;         /* its CPU's lock; NULL: it was never on a run queue */
	struct sched_group group_of_first; /* used if this is its VM's first vCPU on its CPU */
	bool emulates_modes;               /* const; realmode_is_due() may say yes */
	uint64_t emulated;                 /* instructions of realmode_run() */
	uint64_t exits[NR_EXIT_REASONS];
	struct trace *trace; /* debug=exits; NULL without */
	uint32_t watch;      /* WATCH_* */
};

/* Set request bits and make the vCPU's CPU look at them. Any CPU, any context. */
void vcpu_request(struct vcpu *v, uint32_t requests);

/*
 * CR0, CR3, CR4 or EFER was written here, or what the guest's tables gave is to be forgotten. Under
 * shadow paging the vCPU asks for its root again before it is entered. Owner CPU.
 */
static inline void vcpu_paging_changed(struct vcpu *v)
{
	if (unlikely(mmu_is_shadowed(&v->mmu)))
		vcpu_request(v, REQ_RELOAD_ROOT);
}

/* Is the guest in 64-bit mode, whose registers are 64 bits wide? Owner CPU. */
static inline bool vcpu_runs_64bit_code(struct vcpu *v)
{
	return (virt_reg_read(&v->virt, VREG_EFER) & EFER_LMA) &&
	       (virt_cs_attr(&v->virt) & SEG_ATTR_L);
}

/* A general register as an operand of the mode's natural width. Owner CPU. */
static inline uint64_t vcpu_gpr(struct vcpu *v, enum gpr reg)
{
	uint64_t val = v->virt.gpr[reg];

	return unlikely(val >> 32) && !vcpu_runs_64bit_code(v) ? (uint32_t)val : val;
}

/*
 * Move RIP over the instruction that exited, which has `len` bytes. Ends an interrupt shadow and
 * raises the single-step trap that a set RFLAGS.TF asks for. Owner CPU.
 */
static inline void vcpu_skip(struct vcpu *v, unsigned len)
{
	uint32_t *eip = (uint32_t *)&v->virt.rip; /* its lower half */
	bool wraps = __builtin_add_overflow(*eip, len, eip);

	if (unlikely(wraps) && vcpu_runs_64bit_code(v))
		v->virt.rip += BIT_ULL(32);
	virt_clear_irq_shadow(&v->virt);
	if (unlikely(virt_rflags(&v->virt) & RFLAGS_TF))
		event_raise_debug(v, DR6_BS);
}

static inline void vcpu_set_state(struct vcpu *v, enum vcpu_state state)
{
	atomic_store_explicit(&v->state, state, memory_order_relaxed);
}

/* The state after RESET, MSRs included. Owner CPU, or before the vCPU first runs. */
void vcpu_reset(struct vcpu *v);

/* The registers as after RESET; the FPU, MSRs and the TSC stay (SDM volume 3, table 10-1). */
void vcpu_reset_registers(struct vcpu *v);

struct boot_state; /* vmm/load/load.h */

/* Registers, segments and modes at once. Owner CPU, or before the vCPU first runs. */
void vcpu_apply_boot_state(struct vcpu *v, const struct boot_state *s);

/*
 * The guest writes its task priority to CR8 without an exit. Copy it to the local APIC, before
 * that is asked or written. Owner CPU.
 */
static inline void vcpu_sync_task_priority(struct vcpu *v)
{
	uint8_t cr8 = virt_cr8_read(&v->virt);

	if (unlikely(cr8 != v->cr8)) {
		v->cr8 = cr8;
		lapic_set_cr8(v->lapic, cr8);
	}
}

#endif
