/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine: its vCPUs, memory, two-dimensional tables and board, from creation out of
 * a configuration to the one line that reports its end.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "ept/tdp.h"
#include "mm/slots.h"
#include "vmm/control/config.h"
#include "vmm/console.h"
#include "vmm/cpuid_table.h"
#include "vmm/dirty_log.h"
#include "vmm/dev/platform.h"
#include "vmm/vcpu.h"

enum vm_end {
	VM_RUNNING,
	VM_POWER_OFF,
	VM_RESET,
	VM_DEBUG_EXIT,
	VM_HYPERCALL_EXIT,
	VM_TRIPLE_FAULT,
	VM_HALTED_FOR_GOOD,
	VM_STOPPED_BY_USER,
	VM_KILLED, /* a bug of its own: vm_bug() */
};

#define VM_STATUS_KILLED 101

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
	unsigned nr_vcpus;                /* const */
	struct vcpu *vcpus[VM_MAX_VCPUS]; /* const */
	struct guest_memory mem;          /* rules in mm/slots.h */
	struct tdp tdp;                   /* rules in ept/tdp.h */
	struct platform *platform;        /* const */
	struct console console;           /* rules in vmm/console.h */
	struct cpuid_table cpuid;         /* const */
	struct dirty_log dirty;           /* rules in vmm/dirty_log.h */

	_Atomic enum vm_end end;     /* atomic; leaves VM_RUNNING once */
	uint32_t status;             /* written by whoever set `end`, read after the last stop */
	_Atomic bool reapable;       /* atomic; all vCPUs have stopped */
	_Atomic unsigned live_vcpus; /* atomic; not yet stopped */
	_Atomic uint64_t dead;       /* atomic; how many vCPUs are: vmm/exit/requests.c */
	_Atomic bool logs_writes; /* atomic; then REQ_LOG; vCPUs have the CPU note their writes */
	_Atomic bool paused;      /* atomic; vCPUs are not scheduled */
	_Atomic bool restart;     /* atomic; create it anew when it has ended */
	struct list link;         /* vm list lock */
};

/* Choose the entry format of the two-dimensional tables; once, after virt_probe(). */
void vm_init_formats(void);

/* Build a VM, load its kernel and put its vCPUs on run queues. NULL: the reason was logged. */
struct vm *vm_create(const struct vm_config *config);

/* End a VM with a status. The first caller wins; any CPU. */
void vm_end(struct vm *vm, enum vm_end why, uint32_t status);

/* A bug of the guest's (never of Umbra's): report with the registers of `v`, end its VM. */
void vm_bug(struct vcpu *v, const char *fmt, ...) __printf_fmt(2, 3);

/* A vCPU has left its run queue for good; the last one's CPU reports the end of the VM. */
void vm_vcpu_stopped(struct vcpu *v);

/* Free what ended VMs held, restart those that are to be. Boot CPU, from its idle loop. */
void vm_reap(void);
bool vm_is_reapable(void);

/* The first status of an ended VM that was not 0. Boot CPU. */
uint32_t vm_machine_status(void);

/* Walk the list of VMs: NULL starts, NULL ends. Boot CPU. */
struct vm *vm_next(struct vm *vm);
struct vm *vm_find(const char *name);

void vm_pause(struct vm *vm, bool paused);

/* Ask all vCPUs: request, kick. Any CPU. */
void vm_request(struct vm *vm, uint32_t requests);

/* The pages of RAM in a slot (an id below VM_RAM_SLOTS), from `base` on; 0: there is no such slot.
 */
uint64_t vm_ram_slot(const struct vm *vm, unsigned id, gfn_t *base);

/* Take the VM's current two-dimensional root. 0, or -ENOMEM. Owner CPU. */
int vcpu_load_root(struct vcpu *v);

struct boot_state;

/* Registers, segments and modes at once. Owner CPU, or before the vCPU first runs. */
void vcpu_apply_boot_state(struct vcpu *v, const struct boot_state *s);

#endif
