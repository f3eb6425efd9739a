/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports by which a PC resets itself: the chipset's reset control register 0xcf9 (Intel ICH
 * datasheets), system control port A 0x92 (PS/2), and the 8042 keyboard controller, whose output
 * port drives RESET and gate A20. No keyboard and no mouse are connected to it: it answers
 * commands at once, and a byte for the keyboard ends in a time-out, as on a real board, so
 * that drivers find out quickly.
 *
 * All functions: the VM's device lock is held.
 */
#ifndef VMM_DEV_I8042_H
#define VMM_DEV_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/dev/irq_line.h"

struct dev_host;

#define RESET_CF9_PORT  0xcf9
#define RESET_PORT_92   0x92
#define I8042_DATA_PORT 0x60
#define I8042_CMD_PORT  0x64
#define I8042_IRQ       1

struct reset {
	const struct dev_host *host; /* const */
	void *vm;                    /* const */
	struct irq_line irq;         /* const; the keyboard's */
	uint8_t cf9, port_92;
	uint8_t status;      /* of the 8042; bit 0: the output buffer is full */
	uint8_t output;      /* output buffer */
	uint8_t command;     /* a command that waits for its data byte, or 0 */
	uint8_t config;      /* the controller's command byte */
	uint8_t output_port; /* bit 0: RESET not asserted; bit 1: A20 */
};

/* `irq` is copied. */
void reset_init(struct reset *r, const struct dev_host *host, void *vm, const struct irq_line *irq);
void reset_reset(struct reset *r);

/* Each for a bus region of one port with `dev` = the struct reset. */
uint64_t reset_cf9_read(void *dev, uint64_t off, unsigned size);
void reset_cf9_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t reset_port_92_read(void *dev, uint64_t off, unsigned size);
void reset_port_92_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t i8042_data_read(void *dev, uint64_t off, unsigned size);
void i8042_data_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t i8042_status_read(void *dev, uint64_t off, unsigned size);
void i8042_command_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
