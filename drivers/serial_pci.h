/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serial ports on PCI: of the class for them (07/00), which has its registers side by side at I/O
 * ports or in memory; or any function that a person names, such as the UARTs of a chipset (LPSS),
 * whose registers are four bytes apart.
 */
#ifndef DRIVERS_SERIAL_PCI_H
#define DRIVERS_SERIAL_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/serial_uart.h"

struct pci_function {
	uint8_t bus, dev, fn;
};

/* The first function of class 07/00 on segment 0; false: there is none. */
bool serial_pci_first(struct pci_function *out);

/*
 * Port `index` (0 and up) of this function, whose addresses it then answers. A card has all its
 * ports in its first address range, or one in each. NULL, or why there is none.
 */
const char *serial_pci_describe(struct pci_function f, unsigned index, struct serial_uart *out);

/*
 * Make the function answer at the addresses of `uart`, and add its interrupt if none is known.
 * NULL, or why not.
 */
const char *serial_pci_enable(struct pci_function f, struct serial_uart *uart);

#endif
