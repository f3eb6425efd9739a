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
#include "vmm/dev/host.h"
#include "vmm/dev/timer.h"

struct platform;
struct lapic;
struct fw_cfg_file; /* vmm/dev/fw_cfg.h */

struct platform_config {
	const char *name; /* of the VM, for the log; stays */
	void *vm;         /* handed back to `host` */
	const struct dev_host *host;
	uint64_t ram_bytes; /* total guest RAM */
	unsigned nr_vcpus;
	bool test_device; /* there is one */
	struct timer_queue *const
		*vcpu_timers;             /* [nr_vcpus]: each vCPU's CPU; [0] also the board's */
	struct char_sink *serial;         /* where COM1 leads */
	int64_t unix_time;                /* what the RTC starts with, seconds since 1970 */
	unsigned phys_bits;               /* guest-physical address width, as CPUID tells it */
	const struct fw_cfg_file *fw_cfg; /* [nr_fw_cfg] further files; names and data stay */
	unsigned nr_fw_cfg;
};

/*
 * Creates every model, all in reset state. The guest's RAM is there already. NULL, with a line
 * in the log, when memory is short or a file does not fit fw_cfg.
 */
struct platform *platform_create(const struct platform_config *config);

/*
 * Shut all timers of the board, once the vCPUs are stopped. A callback that has begun is over
 * after a grace period; no other one begins. Any CPU, no lock held.
 */
void platform_shut_timers(struct platform *p);

/* The vCPUs never ran; or the timers were shut, and a grace period has passed since. */
void platform_destroy(struct platform *p);

/*
 * Leave the chips as a firmware would, for a guest that is started without one: virtual wire mode,
 * the 8259s initialised, the 8254 counting. Before a vCPU runs.
 */
void platform_act_as_firmware(struct platform *p);

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

/* FERR#, of a vCPU with CR0.NE clear: vmm/dev/ferr.h. Takes the device lock. */
bool platform_fpu_error(struct platform *p, bool interrupts_open);

/* The other end of the serial line may take bytes again. Takes the device lock. */
void platform_console_transmit(struct platform *p);

/* How many bytes may be typed at the VM's console without losing one. Takes the device lock. */
unsigned platform_console_room(struct platform *p);

/* Input from outside the machine. All take the device lock. */
void platform_console_input(struct platform *p, uint8_t byte); /* typed at the VM's console */
void platform_console_break(struct platform *p);               /* a break on its serial line */
void platform_power_button(struct platform *p);                /* asks the guest to shut down */

#endif
