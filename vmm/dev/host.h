/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All that device models need from their VM: its vCPUs, its end, and the other end of its serial
 * line. The VM fills in the functions (vmm/vm_create.c, vmm/console.c), and so do hosted tests. A
 * model knows nothing else of the rooms above it.
 */
#ifndef VMM_DEV_HOST_H
#define VMM_DEV_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/types.h"

#define VM_MAX_VCPUS 64

/* Events by which a guest's board ends the VM. */
enum vm_event {
	VM_EVENT_POWER_OFF,  /* ACPI S5 */
	VM_EVENT_RESET,      /* 0xcf9, 8042, port 0x92, ACPI reset register */
	VM_EVENT_DEBUG_EXIT, /* isa-debug-exit, with the byte written */
};

/*
 * The calls of the board to its vCPUs. Each is possible on any CPU and with the device lock held,
 * unless its comment says otherwise.
 */
struct dev_host {
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

/* The other end of a serial line. */
struct char_sink {
	/*
	 * A byte comes out of the guest. False: there is no room for it now; whoever owns the line
	 * has its UART transmit again (uart_transmit()) when there is. Any CPU; the device lock may
	 * be held. Does not wait.
	 */
	bool (*put)(struct char_sink *s, uint8_t byte);
	/*
	 * The guest has read what it was sent, down to UART_GO_ON bytes: there is room for more.
	 * Any CPU, the device lock is held.
	 */
	void (*go_on)(struct char_sink *s);
};

#endif
