/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two cascaded 8259A interrupt controllers of a PC, with the edge/level control registers
 * of the EISA and PCI chipsets (Intel 8259A datasheet; 82371AB for ELCR).
 *
 * All functions: the VM's device lock is held; only pic_intr() may be called without it.
 */
#ifndef VMM_DEV_PIC_H
#define VMM_DEV_PIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/dev/irq_line.h"

#define PIC_MASTER_PORT 0x20  /* 2 ports */
#define PIC_SLAVE_PORT  0xa0  /* 2 ports */
#define PIC_ELCR_PORT   0x4d0 /* 2 ports */
#define PIC_CASCADE     2     /* the master's pin that the slave drives */

struct pic;

/* One 8259A. */
struct pic_chip {
	struct pic *pair;  /* const */
	uint8_t elcr_mask; /* const; lines whose ELCR bit is writable */
	uint8_t lines;     /* pin levels */
	uint8_t edge;      /* edges seen since the last INTA */
	uint8_t imr, isr, elcr;
	uint8_t base;                  /* ICW2: vector of pin 0 */
	uint8_t lowest;                /* the pin of lowest priority now; 7 after initialisation */
	uint8_t icw;                   /* the initialisation word expected next, 0 = none */
	bool single, want_icw4, level; /* ICW1: SNGL, IC4, LTIM */
	bool auto_eoi, rotate_on_aeoi, nested; /* ICW4: AEOI, SFNM; OCW2: rotate in AEOI */
	bool special_mask, poll, read_isr;     /* OCW3 */
};

struct pic {
	struct pic_chip chip[2]; /* master, slave */
	_Atomic bool intr;       /* the INTR output */
	struct irq_line out;     /* told about changes of INTR: LINT0 of the local APICs */
};

/* Power-up state: all masked, no request. `out` is copied. */
void pic_init(struct pic *p, const struct irq_line *out);
void pic_reset(struct pic *p);

/*
 * As a PC's firmware leaves the pair: vectors 0x08 and 0x70, everything masked but the cascade and
 * IRQ 11, which a BIOS opens for PCI; IRQ 9 (SCI), 10 and 11 are level-triggered.
 */
void pic_set_pc_defaults(struct pic *p);

/* For bus regions of two ports; `dev` is &p->chip[0] or &p->chip[1]; for ELCR, p itself. */
uint64_t pic_read(void *dev, uint64_t off, unsigned size);
void pic_write(void *dev, uint64_t off, unsigned size, uint64_t val);
uint64_t pic_elcr_read(void *dev, uint64_t off, unsigned size);
void pic_elcr_write(void *dev, uint64_t off, unsigned size, uint64_t val);

/* Drive ISA interrupt line `irq` (0-15; 2 is the cascade and is ignored). */
void pic_set_irq(struct pic *p, unsigned irq, bool level);

/* Does the pair ask for an interrupt? No lock needed: a hint that pic_ack() settles. */
static inline bool pic_intr(const struct pic *p)
{
	return atomic_load_explicit(&p->intr, memory_order_relaxed);
}

/* The INTA cycle: the vector, that of a spurious IRQ 7 if the request has gone. */
uint8_t pic_ack(struct pic *p);

#endif
