/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine. On a test machine the status goes to the port given as `exitport`
 * (QEMU's isa-debug-exit ends with 2 * status + 1).
 */
#ifndef DRIVERS_MACHINE_H
#define DRIVERS_MACHINE_H

#include <stdint.h>

#include "lib/bits.h"

struct acpi_info;

/* Where status codes go; before this, and with no port, nowhere. */
void machine_set_exit_port(uint16_t port);

/* `info` stays valid; the address of its reset register has been checked. */
void machine_set_acpi(const struct acpi_info *info);

/* Write `status` (0 ... 127) to the exit port; else power off; else say so and halt. */
__noreturn void machine_power_off(uint32_t status);

/* Write `status` to the exit port; else halt, with the last words on the screen. */
__noreturn void machine_halt(uint32_t status);

/* ACPI reset register, port 0xcf9, keyboard controller, triple fault: whatever works. */
__noreturn void machine_reboot(void);

/* After a panic: the same as machine_halt() if there is an exit port, else returns. */
void machine_end_after_panic(void);

#endif
