/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a serial port is that somebody has named: by itself, in ACPI's tables, on PCI. */
#ifndef DRIVERS_SERIAL_FIND_H
#define DRIVERS_SERIAL_FIND_H

#include <stdint.h>

#include "drivers/serial_uart.h"
#include "drivers/serial_word.h"

struct acpi_console;
struct acpi_info;

/* The firmware's tables, for SERIAL_WORD_SPCR: `info` stays valid. Without them there is none. */
void serial_find_init(const struct acpi_info *info);

/*
 * Describe the port that `word` names. A PCI function is made to answer at its addresses. NULL, or
 * why there is none. Boot CPU.
 */
const char *serial_find(const struct serial_word *word, struct serial_uart *out);

/* The same for what a table of the firmware's says of a console. */
const char *serial_find_acpi(const struct acpi_console *console, struct serial_uart *out);

#endif
