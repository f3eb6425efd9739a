/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine: its vCPUs, memory, two-dimensional tables and board, from creation out of
 * a configuration to the one line that reports its end.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "lib/clock.h"
#include "mm/account.h"
#include "mm/slots.h"
#include "vmm/console.h"
#include "vmm/cpuid_table.h"
#include "vmm/dirty_log.h"
#include "vmm/dev/platform.h"
#include "vmm/mmu.h"
#include "vmm/vcpu.h"
#include "vmm/vm_config.h"

enum vm_end {
	VM_RUNNING,
	VM_POWER_OFF,
	VM_RESET,
	VM_DEBUG_EXIT,
	VM_HYPERCALL_EXIT,
	VM_TRIPLE_FAULT,
	VM_HALTED_FOR_GOOD,
	VM_STOPPED_BY_USER,
	/* By vm_bug(), with a report: */
	VM_KILLED,      /* it did what cannot be served */
	VM_UMBRA_FAULT, /* Umbra is wrong about it */
};

#define VM_STATUS_KILLED 101

/* A guest that resets itself in a loop is made anew at most so often. */
#define VM_RESTART_NS (500 * NSEC_PER_MSEC)

/* The ids of its memory slots; the first VM_RAM_SLOTS are RAM. */
enum {
	VM_SLOT_LOW_RAM,
	VM_SLOT_HIGH_RAM,
	VM_RAM_SLOTS,
	VM_SLOT_ROM = VM_RAM_SLOTS,
	VM_SLOT_IDENTITY
};

struct vm {
	char name[CONFIG_NAME_LEN];       /* const */
	const struct vm_config *config;   /* const */
	enum boot_proto proto;            /* const; not PROTO_AUTO if the kernel is of any */
	unsigned nr_vcpus;                /* const */
	struct vcpu *vcpus[VM_MAX_VCPUS]; /* const */
	struct guest_memory mem;          /* rules in mm/slots.h */
	struct page_account account;      /* rules in mm/account.h */
	struct vm_mmu mmu;                /* rules in vmm/mmu.h */
	struct platform *platform;        /* const */
	struct console console;           /* rules in vmm/console.h */
	struct cpuid_table cpuid;         /* const */
	bool kvm_clock;                   /* const; vmm/exit/kvm_clock.h */
	bool clock_is_one;                /* const; the CPUs' TSCs agree */
	uint64_t born_tsc;                /* const; the CPUs' TSC where the guest's is 0 */
	int64_t born_at;                  /* const; seconds since 1970, then */
	struct dirty_log dirty;           /* rules in vmm/dirty_log.h */

	_Atomic enum vm_end end; /* atomic; leaves VM_RUNNING once */
	uint32_t status;         /* written by the CPU that set `end`, read after the last stop */
	_Atomic bool reapable;   /* atomic; all vCPUs have stopped */
	_Atomic unsigned live_vcpus; /* atomic; not yet stopped */
	_Atomic uint64_t dead;       /* atomic; how many vCPUs are: vmm/exit/halt.c */
	_Atomic bool logs_writes; /* atomic; then REQ_LOG; vCPUs have the CPU note their writes */
	_Atomic bool paused;      /* atomic; vCPUs are not scheduled */
	_Atomic bool restart;     /* atomic; create it anew when it has ended ... */
	uint64_t restart_ns;      /* as `status`; ... but not before (clock_ns()) */
	uint64_t started_ns;      /* const; when it was made */
	struct list link;         /* vm list lock */

	/* Boot CPU: how far it is made, or taken apart (vmm/vm_create.c). */
	unsigned next_slot;      /* the RAM slot that is being made, or comes next */
	struct slot_build build; /* its frames */
	bool has_all_slots;
	unsigned next_trace; /* the vCPU whose trace is shown next */
	enum vm_end_step {
		VM_END_TRACES,
		VM_END_TIMERS,
		VM_END_PARTS,
		VM_END_TABLES,
		VM_END_ACCOUNT,
		VM_END_MEMORY
	} end_step;
};

/*
 * Build a VM, load its kernel and put its vCPUs on run queues, in slices of bounded work. Begin:
 * NULL: the reason was logged. Some: 1 as long as there is more to do, 0 when it runs; a negative
 * errno when it cannot: the reason was logged, and vm_destroy_some() frees what there is. Boot CPU,
 * with no lock and no reference into memory slots.
 */
struct vm *vm_create_begin(const struct vm_config *config);
int vm_create_some(struct vm *vm);

/* The same in one go, while no guest waits for this CPU. NULL: the reason was logged. */
struct vm *vm_create(const struct vm_config *config);

/*
 * Free what a VM has: all its vCPUs have stopped, or were never on a run queue, and it is on no
 * list. Bounded work: false as long as there is more to do, some of it after a grace period. Boot
 * CPU, as grace_wait().
 */
bool vm_destroy_some(struct vm *vm);

/*
 * End a VM with a status. The first caller wins; any CPU. A reset or a triple fault of a VM that is
 * to go on then starts it anew.
 */
void vm_end(struct vm *vm, enum vm_end why, uint32_t status);

/*
 * The VM of `v` cannot go on, and no other VM is concerned: report why, with the registers of `v`,
 * and end this VM. `why`: VM_KILLED or VM_UMBRA_FAULT. Owner CPU.
 */
void vm_bug(struct vcpu *v, enum vm_end why, const char *fmt, ...) __printf_fmt(3, 4);

/* A vCPU has left its run queue for good; the last one's CPU reports the end of the VM. */
void vm_vcpu_stopped(struct vcpu *v);

/* Walk the list of VMs: NULL starts, NULL ends. Boot CPU. */
struct vm *vm_next(struct vm *vm);
struct vm *vm_find(const char *name);

/* A new one joins the list. Boot CPU. */
void vm_add(struct vm *vm);

void vm_pause(struct vm *vm, bool paused);

/* Ask all vCPUs: request, kick. Any CPU. */
void vm_request(struct vm *vm, uint32_t requests);

/* The pages of RAM in a slot (an id below VM_RAM_SLOTS), from `base` on; 0: there is no such slot.
 */
uint64_t vm_ram_slot(const struct vm *vm, unsigned id, gfn_t *base);

#endif
