/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a person names a serial port, on the hypervisor's command line and on a VM's module line:
 *
 *	com1 ... com4, 0x2f8		a PC's port, an I/O port		[,BAUD]
 *	mmio:0xfe030000			registers in memory			[,STRIDE][,BAUD]
 *	pci, pci:00:16.3		the first one of PCI, that function	[,N][,BAUD]
 *	spcr				the firmware's console
 *
 * STRIDE is the distance of the registers: 1, 2 or 4 bytes, 1 if it is not said. N is the port on a
 * card with several, from 0. A number below 50 that stands alone is STRIDE or N, another BAUD. With
 * a BAUD of 0 the line stays as it is set. drivers/serial_find.h looks where that is. Hosted.
 */
#ifndef DRIVERS_SERIAL_WORD_H
#define DRIVERS_SERIAL_WORD_H

#include <stdbool.h>
#include <stdint.h>

#define SERIAL_MAX_INDEX 7

enum serial_word_kind { SERIAL_WORD_PORT, SERIAL_WORD_MMIO, SERIAL_WORD_PCI, SERIAL_WORD_SPCR };

struct serial_word {
	enum serial_word_kind kind;
	uint64_t base;        /* PORT: I/O port; MMIO: physical address */
	uint8_t stride;       /* MMIO: 1, 2 or 4 */
	bool is_any;          /* PCI: the first one */
	uint8_t bus, dev, fn; /* PCI, if it is not */
	unsigned index;       /* PCI: 0 ... SERIAL_MAX_INDEX */
	bool has_baud;
	uint32_t baud; /* a divisor of SERIAL_BAUD, or 0 */
};

/* NULL, or what is wrong with the word: serial_word_unknown if it is of none of these forms. */
const char *serial_word_parse(const char *text, struct serial_word *out);

extern const char serial_word_unknown[];

#endif
