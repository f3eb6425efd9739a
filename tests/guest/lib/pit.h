/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 timer and the 8259 interrupt controllers, driven directly (Intel data sheets).
 */
#ifndef GUEST_PIT_H
#define GUEST_PIT_H

#include "x86.h"

#define PIT_CHANNEL0 0x40
#define PIT_COMMAND  0x43
#define PIT_MODE0    0 /* interrupt on terminal count */
#define PIT_MODE2    2 /* rate generator */
#define PIT_MODE3    3 /* square wave */

#define PORT_61         0x61
#define PORT_61_GATE2   0x01
#define PORT_61_SPEAKER 0x02
#define PORT_61_OUT2    0x20

#define PIC1_CMD  0x20
#define PIC1_DATA 0x21
#define PIC2_CMD  0xa0
#define PIC2_DATA 0xa1

#define PIC_READ_IRR 0x0a
#define PIC_READ_ISR 0x0b
#define PIC_EOI      0x20

static inline void pit_program(unsigned channel, unsigned mode, uint16_t count)
{
	outb(PIT_COMMAND, (uint8_t)(channel << 6 | 3 << 4 | mode << 1));
	outb((uint16_t)(PIT_CHANNEL0 + channel), (uint8_t)count);
	outb((uint16_t)(PIT_CHANNEL0 + channel), (uint8_t)(count >> 8));
}

/* The count now, latched so that its two bytes belong together. */
static inline uint16_t pit_read(unsigned channel)
{
	uint8_t lo;

	outb(PIT_COMMAND, (uint8_t)(channel << 6));
	lo = inb((uint16_t)(PIT_CHANNEL0 + channel));
	return (uint16_t)(lo | inb((uint16_t)(PIT_CHANNEL0 + channel)) << 8);
}

/*
 * Vectors base..base+7 and base+8..base+15, all lines masked, normal EOI. Interrupts are closed
 * meanwhile: the first command byte opens all lines.
 */
static inline void pic_init(uint8_t base)
{
	bool open = read_flags() & RFLAGS_IF;

	cli();
	outb(PIC1_CMD, 0x11);
	outb(PIC2_CMD, 0x11);
	outb(PIC1_DATA, base);
	outb(PIC2_DATA, (uint8_t)(base + 8));
	outb(PIC1_DATA, 4);
	outb(PIC2_DATA, 2);
	outb(PIC1_DATA, 1);
	outb(PIC2_DATA, 1);
	outb(PIC1_DATA, 0xff);
	outb(PIC2_DATA, 0xff);
	if (open)
		sti();
}

/* Open just these lines (bit n = IRQ n; IRQ 2 is opened with any of the second chip). */
static inline void pic_unmask(uint16_t lines)
{
	if (lines & 0xff00)
		lines |= 4;
	outb(PIC1_DATA, (uint8_t)~lines);
	outb(PIC2_DATA, (uint8_t)(~lines >> 8));
}

static inline void pic_eoi(unsigned irq)
{
	if (irq >= 8)
		outb(PIC2_CMD, PIC_EOI);
	outb(PIC1_CMD, PIC_EOI);
}

static inline uint8_t pic_read(uint16_t cmd_port, uint8_t what)
{
	outb(cmd_port, what);
	return inb(cmd_port);
}

#endif
