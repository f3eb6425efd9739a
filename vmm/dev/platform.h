/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything on a guest's board except its CPUs and its RAM: buses, interrupt controllers,
 * devices and firmware tables, built for a VM and driven through the few functions below.
 *
 * One lock (`lock`, the VM's device lock) covers all models; port and MMIO dispatch and the
 * timer callbacks take it. The local APICs are outside: each belongs to its vCPU, and what other
 * CPUs may do to it (set IRR bits, ask for NMI/INIT/SIPI) is atomic (vmm/dev/apic/lapic.h).
 */
#ifndef VMM_DEV_PLATFORM_H
#define VMM_DEV_PLATFORM_H

#include "lib/spinlock.h"
#include "lib/types.h"
#include "vmm/dev/bus.h"
#include "vmm/console.h"
#include "vmm/dev/timer.h"

#define VM_MAX_VCPUS 64

struct guest_memory; /* mm/slots.h */
struct platform;
struct lapic;
struct fw_cfg_file; /* vmm/dev/fw_cfg.h */

/* What a guest's board can ask for. */
enum vm_event {
	VM_EVENT_POWER_OFF,  /* ACPI S5 */
	VM_EVENT_RESET,      /* 0xcf9, 8042, port 0x92, ACPI reset register */
	VM_EVENT_DEBUG_EXIT, /* isa-debug-exit, with the byte written */
};

/*
 * What the board needs from the vCPUs. All callable on any CPU, with the device lock held, unless
 * something else is said.
 */
struct platform_host {
	/* The vCPU's local APIC or the ExtINT line has news: look before the next entry. */
	void (*notify)(void *vm, unsigned vcpu);
	void (*nmi)(void *vm, unsigned vcpu);
	void (*init)(void *vm, unsigned vcpu);
	void (*startup)(void *vm, unsigned vcpu, uint8_t vector); /* SIPI */
	void (*event)(void *vm, enum vm_event event, uint32_t value);
	/*
	 * pc-testdev: drop the mapping of this page, so that its next use faults. Called by a
	 * vCPU, without the device lock. May be NULL.
	 */
	void (*drop_page)(void *vm, gpa_t gpa);
};

struct platform_config {
	const char *name; /* of the VM, for the log; stays */
	void *vm;         /* handed back to `host` */
	const struct platform_host *host;
	struct guest_memory *mem;
	uint64_t ram_bytes; /* total guest RAM */
	unsigned nr_vcpus;
	struct timer_queue *const
		*vcpu_timers; /* [nr_vcpus]: each vCPU's CPU; [0] also the board's */
	struct console *console;
	int64_t unix_time;                /* what the RTC starts with, seconds since 1970 */
	unsigned phys_bits;               /* guest-physical address width, as CPUID tells it */
	const struct fw_cfg_file *fw_cfg; /* [nr_fw_cfg] further files; names and data stay */
	unsigned nr_fw_cfg;
	/*
	 * Leave the board as a firmware would: ACPI and MP tables in memory, virtual wire mode,
	 * the 8259s initialised. Not for a BIOS image, which does it itself.
	 */
	bool firmware_tables;
};

/* RAM as the guest's firmware map has it: below and above the 32-bit hole. */
#define PLATFORM_MMIO_HOLE_BASE 0xc0000000ull /* RAM never lies in [base, 4 GiB) */

/*
 * Creates every model, all in reset state. The guest's RAM is there already. NULL, with a line
 * in the log, when memory is short or a file does not fit fw_cfg.
 */
struct platform *platform_create(const struct platform_config *config);

/*
 * The vCPUs are stopped: no timer of the board fires any more, but for callbacks that have begun,
 * which are over after a grace period. Any CPU, no lock held.
 */
void platform_shut_timers(struct platform *p);

/* The vCPUs never ran; or the timers were shut, and a grace period has passed since. */
void platform_destroy(struct platform *p);

/* All vCPUs are stopped. Tables in memory are written anew. */
void platform_reset(struct platform *p);

/* Where the ACPI RSDP is; 0 when the board has no tables. */
gpa_t platform_rsdp(const struct platform *p);

/*
 * Port and MMIO accesses of a vCPU, whose local APIC is `own`; size in bytes (1, 2, 4; MMIO also
 * 8). Take the device lock.
 */
uint64_t platform_pio_read(struct platform *p, uint16_t port, unsigned size);
void platform_pio_write(struct platform *p, uint16_t port, unsigned size, uint64_t val);
uint64_t platform_mmio_read(struct platform *p, struct lapic *own, gpa_t gpa, unsigned size);
void platform_mmio_write(struct platform *p, struct lapic *own, gpa_t gpa, unsigned size,
			 uint64_t val);

/* The local APIC of a vCPU (const after create). */
struct lapic *platform_lapic(struct platform *p, unsigned vcpu);

/*
 * ExtINT: does the 8259 pair ask for an interrupt that this vCPU's LINT0 (or, with the APIC
 * disabled, the CPU's INTR pin) lets through? ..._ack() runs the INTA cycle: the vector.
 */
bool platform_extint_pending(struct platform *p, unsigned vcpu);
uint8_t platform_extint_ack(struct platform *p, unsigned vcpu);

/* What happens at the machine's front. All take the device lock. */
void platform_console_input(struct platform *p, uint8_t byte); /* typed at the VM's console */
void platform_console_break(struct platform *p);               /* a break on its serial line */
void platform_power_button(struct platform *p);                /* asks the guest to shut down */

#endif
