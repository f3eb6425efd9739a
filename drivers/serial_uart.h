/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What there is to know about a UART before it is opened: from the command line, from ACPI's
 * tables, or from PCI configuration space. drivers/serial.c opens it.
 */
#ifndef DRIVERS_SERIAL_UART_H
#define DRIVERS_SERIAL_UART_H

#include <stdbool.h>
#include <stdint.h>

#define SERIAL_BAUD     115200  /* of a port about which nothing else is said */
#define SERIAL_PC_CLOCK 1843200 /* Hz; of a PC's UART: 16 times its highest rate */

enum serial_irq_kind { SERIAL_IRQ_NONE, SERIAL_IRQ_ISA, SERIAL_IRQ_GSI };

struct serial_irq {
	enum serial_irq_kind kind;
	uint32_t number; /* ISA interrupt 0 ... 15, or ACPI's global interrupt */
};

struct serial_uart {
	bool is_mmio;
	uint8_t stride; /* bytes from one register to the next: 1, 2 or 4 */
	uint8_t width;  /* bytes of an access: 1, 2 or 4, at most `stride` */
	uint64_t base;  /* of the first register: I/O port, or physical address */
	uint32_t clock; /* Hz, not 0 */
	uint32_t baud;  /* 0: the line stays as it is set */
	struct serial_irq irq;
};

/* Bytes from the first register to the end of the last. */
#define SERIAL_UART_LEN(uart) (8u * (uart)->stride)

#endif
