/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 8259A pair. Each chip is a function of its pins, latches and masks: after every change
 * update() works out again what the two chips ask for, the slave first because its output is
 * pin 2 of the master.
 *
 * One deviation from the datasheet: an edge stays latched when its line falls again before INTA.
 * The real chip would answer with a spurious IRQ 7. Boards feed it pulses that are long against
 * any masking by the CPU; software-made pulses of no length are common in virtual machines.
 */
#include "lib/bits.h"
#include "vmm/dev/bus.h"
#include "vmm/dev/pic.h"

#define ICW1_INIT    BIT(4)
#define ICW1_LTIM    BIT(3)
#define ICW1_SNGL    BIT(1)
#define ICW1_IC4     BIT(0)
#define ICW4_SFNM    BIT(4)
#define ICW4_AEOI    BIT(1)
#define OCW3_SELECT  BIT(3)
#define OCW3_ESMM    BIT(6)
#define OCW3_SMM     BIT(5)
#define OCW3_POLL    BIT(2)
#define OCW3_RR      BIT(1)
#define OCW3_RIS     BIT(0)
#define POLL_PENDING BIT(7)

#define NO_PRIORITY 8

static struct pic_chip *master(struct pic *p)
{
	return &p->chip[0];
}

static struct pic_chip *slave(struct pic *p)
{
	return &p->chip[1];
}

static bool is_master(const struct pic_chip *c)
{
	return c == &c->pair->chip[0];
}

/* The pins that work by level: those of ELCR, or all with ICW1.LTIM. */
static uint8_t level_pins(const struct pic_chip *c)
{
	return c->level ? 0xff : c->elcr;
}

/* The interrupt request register. */
static uint8_t irr(const struct pic_chip *c)
{
	uint8_t level = level_pins(c);

	return (c->lines & level) | (c->edge & ~level);
}

/* 0 (highest) to 7, of the most urgent pin in `pins`; NO_PRIORITY if there is none. */
static unsigned highest(const struct pic_chip *c, uint8_t pins)
{
	unsigned shift = (c->lowest + 1) & 7;

	if (!pins)
		return NO_PRIORITY;
	return __builtin_ctz(((pins >> shift) | (pins << (8 - shift))) & 0xff);
}

static unsigned pin_of(const struct pic_chip *c, unsigned priority)
{
	return (c->lowest + 1 + priority) & 7;
}

/*
 * The pin that the chip asks to have served, or -1. An interrupt in service holds back its own and
 * all lower priorities. There are two exceptions: in special mask mode a masked pin in service
 * holds back nothing, and in special fully nested mode the master lets its slave ask again.
 */
static int request(const struct pic_chip *c)
{
	uint8_t in_service = c->isr, pins = irr(c) & ~c->imr;
	unsigned prio;

	if (c->special_mask)
		in_service &= ~c->imr;
	if (c->nested && is_master(c))
		in_service &= ~BIT(PIC_CASCADE);
	prio = highest(c, pins);
	return prio < highest(c, in_service) ? (int)pin_of(c, prio) : -1;
}

static void set_pin(struct pic_chip *c, unsigned pin, bool level)
{
	uint8_t mask = BIT(pin);

	if (level && !(c->lines & mask))
		c->edge |= mask;
	c->lines = level ? c->lines | mask : c->lines & ~mask;
}

static void set_intr(struct pic *p, bool intr)
{
	if (intr == pic_intr(p))
		return;
	/* Relaxed: a CPU that needs the order gets it from the kick at the end of `out`. */
	atomic_store_explicit(&p->intr, intr, memory_order_relaxed);
	irq_set(&p->out, intr);
}

/* The slave's output. A request that the slave takes back is gone for the master, too. */
static void set_cascade(struct pic *p, bool level)
{
	set_pin(master(p), PIC_CASCADE, level);
	if (!level)
		master(p)->edge &= ~BIT(PIC_CASCADE);
}

static void drop_output(struct pic_chip *c)
{
	if (is_master(c))
		set_intr(c->pair, false);
	else
		set_cascade(c->pair, false);
}

/* Work out both outputs; tell the CPUs when INTR has changed. */
static void update(struct pic *p)
{
	set_cascade(p, request(slave(p)) >= 0);
	set_intr(p, request(master(p)) >= 0);
}

void pic_set_irq(struct pic *p, unsigned irq, bool level)
{
	if (irq > 15 || irq == PIC_CASCADE)
		return;
	set_pin(&p->chip[irq >> 3], irq & 7, level);
	update(p);
}

/*
 * Take `pin` into service. The chip's output falls with each acknowledge, so that an edge-
 * triggered input behind it (the master's, or LINT0) sees the next request as a new edge.
 */
static void acknowledge(struct pic_chip *c, unsigned pin)
{
	c->edge &= ~BIT(pin);
	drop_output(c);
	if (!c->auto_eoi)
		c->isr |= BIT(pin);
	else if (c->rotate_on_aeoi)
		c->lowest = pin;
}

/* One chip's part of the INTA cycle: the pin. Pin 7 and nothing in service if none asks. */
static unsigned inta(struct pic_chip *c)
{
	int pin = request(c);

	if (pin < 0)
		return 7;
	acknowledge(c, pin);
	return pin;
}

uint8_t pic_ack(struct pic *p)
{
	unsigned pin = inta(master(p));
	uint8_t vector = master(p)->base + pin;

	if (pin == PIC_CASCADE && !master(p)->single)
		vector = slave(p)->base + inta(slave(p));
	update(p);
	return vector;
}

/*
 * Power-up. The datasheet leaves the mask undefined before ICW1; all masked keeps a guest that
 * never touches the pair free of it. The lines are inputs, and stay.
 */
static void reset_chip(struct pic_chip *c)
{
	uint8_t lines = c->lines, elcr_mask = c->elcr_mask;
	struct pic *pair = c->pair;

	*c = (struct pic_chip){
		.pair = pair, .elcr_mask = elcr_mask, .lines = lines, .lowest = 7, .imr = 0xff};
}

void pic_reset(struct pic *p)
{
	reset_chip(master(p));
	reset_chip(slave(p));
	update(p);
}

void pic_init(struct pic *p, const struct irq_line *out)
{
	*p = (struct pic){.out = *out};
	/* IRQ 0, 1, 2, 8 and 13 are edge-triggered by their nature. */
	p->chip[0] = (struct pic_chip){.pair = p, .elcr_mask = 0xf8};
	p->chip[1] = (struct pic_chip){.pair = p, .elcr_mask = 0xde};
	pic_reset(p);
}

static void write_icw1(struct pic_chip *c, uint8_t val)
{
	c->edge = 0;
	c->imr = 0;
	c->isr = 0;
	c->lowest = 7;
	c->level = val & ICW1_LTIM;
	c->single = val & ICW1_SNGL;
	c->want_icw4 = val & ICW1_IC4;
	c->auto_eoi = c->nested = c->rotate_on_aeoi = false;
	c->special_mask = c->poll = c->read_isr = false;
	c->icw = 2;
}

/* ICW2, 3 and 4 follow at the other port, as many of them as ICW1 announced. */
static void write_icw(struct pic_chip *c, uint8_t val)
{
	switch (c->icw) {
	case 2:
		c->base = val & 0xf8;
		c->icw = !c->single ? 3 : c->want_icw4 ? 4 : 0;
		break;
	case 3: /* which pins have a slave: the board's wiring decides */
		c->icw = c->want_icw4 ? 4 : 0;
		break;
	default:
		c->auto_eoi = val & ICW4_AEOI;
		c->nested = val & ICW4_SFNM;
		c->icw = 0;
	}
}

/*
 * The interrupt that a non-specific EOI ends: the most urgent one in service; in special mask mode
 * not a masked one.
 */
static unsigned in_service_pin(const struct pic_chip *c)
{
	uint8_t isr = c->special_mask ? c->isr & ~c->imr : c->isr;
	unsigned prio = highest(c, isr);

	return prio == NO_PRIORITY ? NO_PRIORITY : pin_of(c, prio);
}

static void end_of_interrupt(struct pic_chip *c, unsigned pin, bool rotate)
{
	if (pin == NO_PRIORITY)
		return;
	c->isr &= ~BIT(pin);
	if (rotate)
		c->lowest = pin;
}

static void write_ocw2(struct pic_chip *c, uint8_t val)
{
	unsigned pin = val & 7;
	bool rotate = val & BIT(7);

	switch (val >> 5) {
	case 0: /* clear, set rotation in automatic EOI mode */
	case 4:
		c->rotate_on_aeoi = rotate;
		break;
	case 1: /* non-specific EOI, without and with rotation */
	case 5:
		end_of_interrupt(c, in_service_pin(c), rotate);
		break;
	case 3: /* specific EOI, without and with rotation */
	case 7:
		end_of_interrupt(c, pin, rotate);
		break;
	case 6: /* set priority */
		c->lowest = pin;
		break;
	}
}

static void write_ocw3(struct pic_chip *c, uint8_t val)
{
	if (val & OCW3_ESMM)
		c->special_mask = val & OCW3_SMM;
	if (val & OCW3_POLL)
		c->poll = true;
	else if (val & OCW3_RR)
		c->read_isr = val & OCW3_RIS;
}

static void write8(void *dev, uint64_t off, uint8_t val)
{
	struct pic_chip *c = dev;

	if (off & 1) {
		if (c->icw)
			write_icw(c, val);
		else
			c->imr = val;
	} else if (val & ICW1_INIT) {
		write_icw1(c, val);
	} else if (val & OCW3_SELECT) {
		write_ocw3(c, val);
	} else {
		write_ocw2(c, val);
	}
	update(c->pair);
}

/* A read after the poll command is an INTA cycle that answers on the data bus. */
static uint8_t poll(struct pic_chip *c)
{
	int pin = request(c);

	c->poll = false;
	if (pin < 0)
		return 7;
	acknowledge(c, pin);
	update(c->pair);
	return POLL_PENDING | pin;
}

static uint8_t read8(void *dev, uint64_t off)
{
	struct pic_chip *c = dev;

	if (c->poll)
		return poll(c);
	if (off & 1)
		return c->imr;
	return c->read_isr ? c->isr : irr(c);
}

uint64_t pic_read(void *dev, uint64_t off, unsigned size)
{
	return bus_read_bytes(read8, dev, off, size);
}

void pic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	bus_write_bytes(write8, dev, off, size, val);
}

static uint8_t elcr_read8(void *dev, uint64_t off)
{
	struct pic *p = dev;

	return p->chip[off & 1].elcr;
}

static void elcr_write8(void *dev, uint64_t off, uint8_t val)
{
	struct pic *p = dev;
	struct pic_chip *c = &p->chip[off & 1];

	c->elcr = val & c->elcr_mask;
	update(p);
}

uint64_t pic_elcr_read(void *dev, uint64_t off, unsigned size)
{
	return bus_read_bytes(elcr_read8, dev, off, size);
}

void pic_elcr_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	bus_write_bytes(elcr_write8, dev, off, size, val);
}

/* ICW1: initialise, ICW4 follows; ICW2: vectors; ICW3: wiring of the cascade; ICW4: 8086 mode. */
static void set_pc_default(struct pic_chip *chip, uint8_t vectors, uint8_t cascade, uint8_t mask)
{
	pic_write(chip, 0, 1, 0x11);
	pic_write(chip, 1, 1, vectors);
	pic_write(chip, 1, 1, cascade);
	pic_write(chip, 1, 1, 0x01);
	pic_write(chip, 1, 1, mask);
}

void pic_set_pc_defaults(struct pic *p)
{
	set_pc_default(&p->chip[0], 0x08, 1 << PIC_CASCADE, (uint8_t) ~(1 << PIC_CASCADE));
	set_pc_default(&p->chip[1], 0x70, PIC_CASCADE, (uint8_t) ~(1 << (11 - 8)));
	pic_elcr_write(p, 1, 1, 1 << (9 - 8)); /* ACPI's SCI; there are no PCI interrupts */
}
