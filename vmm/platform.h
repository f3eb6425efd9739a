/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything on a guest's board except its CPUs and its RAM: buses, interrupt controllers,
 * devices and firmware tables, built for a VM and driven through the few functions below.
 *
 * One lock (`lock`, the VM's device lock) covers all models; port and MMIO dispatch and the
 * timer callbacks take it. The local APICs are outside: each belongs to its vCPU, and what other
 * CPUs may do to it (set IRR bits, ask for NMI/INIT/SIPI) is atomic (vmm/dev/lapic.h).
 */
#ifndef VMM_PLATFORM_H
#define VMM_PLATFORM_H

#include "lib/spinlock.h"
#include "lib/types.h"
#include "vmm/bus.h"
#include "vmm/console.h"
#include "vmm/timer.h"

#define VM_MAX_VCPUS 64

struct guest_memory; /* mm/slots.h */
struct platform;
struct lapic;

/* What a guest's board can ask for. */
enum vm_event {
	VM_EVENT_POWER_OFF,  /* ACPI S5 */
	VM_EVENT_RESET,	     /* 0xcf9, 8042, port 0x92, ACPI reset register */
	VM_EVENT_DEBUG_EXIT, /* isa-debug-exit, with the byte written */
};

/* What the board needs from the vCPUs. All callable on any CPU, with the device lock held. */
struct platform_host {
	/* The vCPU's local APIC or the ExtINT line has news: look before the next entry. */
	void (*notify)(void *vm, unsigned vcpu);
	void (*nmi)(void *vm, unsigned vcpu);
	void (*init)(void *vm, unsigned vcpu);
	void (*startup)(void *vm, unsigned vcpu, uint8_t vector); /* SIPI */
	void (*event)(void *vm, enum vm_event event, uint32_t value);
};

struct platform_config {
	void *vm;				/* handed back to `host` */
	const struct platform_host *host;
	struct guest_memory *mem;
	uint64_t ram_bytes;			/* total guest RAM */
	unsigned nr_vcpus;
	struct timer_queue *const *vcpu_timers; /* [nr_vcpus]: each vCPU's CPU; [0] also the board's */
	struct console *console;
	uint64_t tsc_khz;			/* the guest's TSC */
	bool firmware_tables;			/* put ACPI/MP tables into memory (not for a BIOS image) */
};

/* RAM as the guest's firmware map has it: below and above the 32-bit hole. */
#define PLATFORM_MMIO_HOLE_BASE 0xc0000000ull /* RAM never lies in [base, 4 GiB) */

/* NULL when memory is short. Creates every model, all in reset state. */
struct platform *platform_create(const struct platform_config *config);
void platform_destroy(struct platform *p);
void platform_reset(struct platform *p);

/* Port and MMIO accesses of a vCPU; size in bytes (1, 2, 4; MMIO also 8). Take the device lock. */
uint64_t platform_pio_read(struct platform *p, uint16_t port, unsigned size);
void platform_pio_write(struct platform *p, uint16_t port, unsigned size, uint64_t val);
uint64_t platform_mmio_read(struct platform *p, unsigned vcpu, gpa_t gpa, unsigned size);
void platform_mmio_write(struct platform *p, unsigned vcpu, gpa_t gpa, unsigned size, uint64_t val);

/* The local APIC of a vCPU (const after create). */
struct lapic *platform_lapic(struct platform *p, unsigned vcpu);

/*
 * ExtINT: does the 8259 pair ask for an interrupt that this vCPU's LINT0 (or, with the APIC
 * disabled, the CPU's INTR pin) lets through? ..._ack() runs the INTA cycle: the vector.
 */
bool platform_extint_pending(struct platform *p, unsigned vcpu);
uint8_t platform_extint_ack(struct platform *p);

/* A byte typed at the VM's console. Takes the device lock. */
void platform_console_input(struct platform *p, uint8_t byte);

#endif
