/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of a vCPU (Intel SDM volume 3, chapter 11): xAPIC and x2APIC.
 *
 * Who may touch what
 * ------------------
 * The registers belong to the CPU that runs the vCPU ("the owner"). Every other CPU, and every
 * timer callback, is a poster and does no more than this:
 *
 *	poster					owner (lapic_pending() and what follows)
 *	1. TMR bit := trigger mode		a. recheck set? no: nothing new, done
 *	2. IRR bit := 1       (release)		b. recheck := 0	(exchange, acquire)
 *	3. recheck := 1	      (release)		c. look at IRR against PPR
 *	4. host->notify()			d. deliverable: recheck := 1, report it
 *
 * 3 pairs with b: when b reads the poster's 1, c sees the poster's IRR bit (and the TMR bit, by 2
 * with the acquire at the acknowledge); when b comes first, the 1 of step 3 survives it and the
 * next look finds the bit. Nothing is lost. The owner sets recheck with an exchange as well
 * whenever it lowers PPR, so a poster's release is never hidden behind a plain store. A poster
 * that finds the IRR bit already set skips 3 and 4: the poster that set it does them.
 *
 * The owner calls notify() for itself as well, when a write of its guest makes a vector
 * deliverable (EOI, TPR, LINT entries, mode). So a run loop that looks only after a notify()
 * misses nothing.
 *
 * A sender must know of a receiver whether it is enabled, its mode, LDR and DFR. All this is in
 * one atomic word, `route`, which the owner publishes anew with every change. The LVT entries are
 * atomic words, because LINT pins and timers of other CPUs read them. The timer's state has a lock
 * of its own, `timer_lock`, taken before the timer queue's.
 */
#ifndef VMM_DEV_APIC_LAPIC_H
#define VMM_DEV_APIC_LAPIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/clock.h"
#include "lib/spinlock.h"
#include "vmm/dev/host.h"
#include "vmm/dev/timer.h"

/* The clock that the timer divides, Hz: one tick per nanosecond. CPUID tells the guest. */
#define LAPIC_BUS_HZ NSEC_PER_SEC

#define LAPIC_DEFAULT_BASE 0xfee00000ull
#define LAPIC_BASE_BSP     0x100ull
#define LAPIC_BASE_X2APIC  0x400ull
#define LAPIC_BASE_ENABLE  0x800ull

/* Delivery modes, as in ICR, LVT and IOAPIC entries (bits 10:8). */
enum apic_mode {
	APIC_FIXED,
	APIC_LOWEST,
	APIC_SMI,
	APIC_REMOTE_READ,
	APIC_NMI,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

/* An interrupt message: from an ICR, an IOAPIC pin or (later) an MSI. */
struct apic_msg {
	uint32_t dest; /* APIC ID, or logical address */
	bool logical;  /* how to read dest */
	bool wide;     /* dest has 32 bits (x2APIC ICR): broadcast is 0xffffffff, not 0xff */
	bool level;    /* trigger mode */
	enum apic_mode mode;
	uint8_t vector;
};

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, NR_LVTS };

/* All local APICs of a VM: the "bus" that messages travel on. Const after the VM is created. */
struct lapic_group {
	unsigned nr;
	struct lapic *lapic[VM_MAX_VCPUS]; /* by vCPU number, which is the APIC ID */
	const struct dev_host *host;
	void *vm; /* handed to `host` */
	/* EOI of a level-triggered vector: tell the IOAPICs. No lock held. */
	void (*eoi)(void *ctx, uint8_t vector);
	void *eoi_ctx;
	unsigned phys_bits;       /* the guest's physical address width */
	_Atomic uint32_t arbiter; /* rotates among equals in lowest-priority mode */
};

struct lapic {
	/* Any CPU, by the protocol above. */
	_Atomic uint32_t recheck;
	_Atomic uint32_t extint; /* an ExtINT message came: the 8259s want an INTA */
	_Atomic uint64_t irr[4];
	_Atomic uint64_t tmr[4]; /* 1 = level */
	_Atomic uint64_t route;  /* written by the owner */
	_Atomic uint32_t lvt[NR_LVTS];
	_Atomic uint32_t lint_level; /* pin levels, bit 0 = LINT0 */
	_Atomic uint32_t errors;     /* ESR bits not yet latched by a write to ESR */

	/* The owner's; `ppr` is also read by senders that look for the lowest priority. */
	uint64_t isr[4];
	uint64_t base; /* MSR_IA32_APICBASE */
	uint64_t icr;
	uint32_t ldr, dfr, svr, esr;
	uint8_t tpr;
	_Atomic uint8_t ppr;

	/* timer_lock, except that const after init is said. */
	struct spinlock timer_lock;
	struct timer timer; /* const */
	uint32_t initial_count, divide_config;
	uint64_t deadline_ns;  /* end of the count under way, or TIMER_NEVER */
	uint64_t tsc_deadline; /* IA32_TSC_DEADLINE, 0 = not armed */
	uint64_t tsc_offset;   /* guest TSC - host TSC */

	/* Const after init. */
	struct lapic_group *group;
	uint32_t id; /* vCPU number = APIC ID */
};

void lapic_group_init(struct lapic_group *g, const struct dev_host *host, void *vm,
		      void (*eoi)(void *ctx, uint8_t vector), void *eoi_ctx, unsigned phys_bits);

/*
 * Set up vCPU `id`'s APIC in power-up state, and enter it into the group (call with id 0, 1, 2...).
 * Its timer fires on `queue`. vCPU 0 is the BSP.
 */
void lapic_init(struct lapic *l, struct lapic_group *g, uint32_t id, struct timer_queue *queue);

/* Power-up and RESET: xAPIC mode, everything masked (SDM 11.4.7.1). The VM is stopped. */
void lapic_reset(struct lapic *l);

/* INIT: as a reset, but mode and base stay (SDM 11.4.7.3). By the owner, for host->init(). */
void lapic_reset_init(struct lapic *l);

/*
 * Put the APIC into the state in which a BIOS leaves it on the boot processor (MP specification
 * 3.6.2.2, virtual wire mode): software-enabled, LINT0 = ExtINT, LINT1 = NMI. For guests that
 * start without a firmware.
 */
void lapic_set_virtual_wire(struct lapic *l);

/* MSR_IA32_APICBASE. The write returns 0, or -1 for a value that is #GP. */
static inline uint64_t lapic_get_base(const struct lapic *l)
{
	return l->base;
}
int lapic_set_base(struct lapic *l, uint64_t val);

/* Where the register page is: an address, or UINT64_MAX when there is none (x2APIC, disabled). */
static inline uint64_t lapic_mmio_base(const struct lapic *l)
{
	if ((l->base & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)) != LAPIC_BASE_ENABLE)
		return UINT64_MAX;
	return l->base & ~0xfffull;
}

/* The xAPIC register page, by the owner, without the device lock; off 0-0xfff, size 1-8. */
uint64_t lapic_mmio_read(struct lapic *l, uint64_t off, unsigned size);
void lapic_mmio_write(struct lapic *l, uint64_t off, unsigned size, uint64_t val);

/* x2APIC MSRs 0x800-0x8ff and IA32_TSC_DEADLINE, by the owner. 0, or -1 for #GP. */
int lapic_msr_read(struct lapic *l, uint32_t msr, uint64_t *val);
int lapic_msr_write(struct lapic *l, uint32_t msr, uint64_t val);

/* Guest TSC minus host TSC, for the TSC deadline; default 0. By the owner; rearms the timer. */
void lapic_set_tsc_offset(struct lapic *l, uint64_t offset);

int lapic_pending_slow(struct lapic *l);

/* The highest vector that IRR holds and PPR lets through now, or -1. By the owner; cheap. */
static inline int lapic_pending(struct lapic *l)
{
	/* Relaxed: a poster that comes later than this look also kicks (host->notify). */
	if (!atomic_load_explicit(&l->recheck, memory_order_relaxed))
		return -1;
	return lapic_pending_slow(l);
}

/* The vector (from lapic_pending()) was injected: IRR to ISR. By the owner. */
void lapic_ack(struct lapic *l, uint8_t vector);

/* CR8: bits 7:4 of TPR. By the owner. */
static inline uint64_t lapic_get_cr8(const struct lapic *l)
{
	return l->tpr >> 4;
}
void lapic_set_cr8(struct lapic *l, uint64_t cr8);

/*
 * May the 8259s' INTR reach this CPU: APIC disabled, or LINT0 = ExtINT unmasked, or an ExtINT
 * message has come? By the owner. Call lapic_extint_acked() right before the INTA cycle.
 */
bool lapic_extint_open(struct lapic *l);
void lapic_extint_acked(struct lapic *l);

/* --- from any CPU --- */

/* Make `vector` (0-255) pending; below 16 it becomes an error (ESR). */
void lapic_post(struct lapic *l, uint8_t vector, bool level);

/* Send a message to its receivers. Returns the number of APICs that accepted it. */
unsigned lapic_deliver(struct lapic_group *g, const struct apic_msg *msg);

/*
 * Drive LINT pin `pin` (0 or 1) of one APIC, or of all: LINT0 is the 8259s' INTR, LINT1 is NMI.
 * The caller serialises changes of one pin (the device lock does).
 */
void lapic_set_lint(struct lapic *l, unsigned pin, bool level);
void lapic_group_set_lint(struct lapic_group *g, unsigned pin, bool level);

#endif
