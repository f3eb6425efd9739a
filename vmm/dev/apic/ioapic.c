/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * I/O APIC. An edge-triggered pin sends one message per rising edge; edges that come while the
 * entry is masked are lost, as in the datasheet. A level-triggered pin sends one message while
 * it is up, and the next only after the EOI of that one (remote IRR).
 */
#include "lib/bits.h"
#include "vmm/dev/apic/ioapic.h"

/* The window's registers. */
#define WIN_SELECT 0x00
#define WIN_DATA   0x10
#define WIN_EOI    0x40 /* version 0x20: EOI by software */

/* The registers that IOREGSEL selects. */
#define IOAPIC_ID          0x00
#define IOAPIC_VERSION     0x01
#define IOAPIC_ARBITRATION 0x02
#define IOAPIC_REDIR       0x10

#define IOAPIC_VERSION_VALUE (0x20 | (IOAPIC_PINS - 1) << 16)

#define REDIR_VECTOR     0xffull
#define REDIR_MODE       0x700ull
#define REDIR_LOGICAL    BIT_ULL(11)
#define REDIR_STATUS     BIT_ULL(12) /* read-only; messages leave at once */
#define REDIR_REMOTE_IRR BIT_ULL(14) /* read-only */
#define REDIR_LEVEL      BIT_ULL(15)
#define REDIR_MASKED     BIT_ULL(16)
#define REDIR_DEST       GENMASK_ULL(63, 56)
#define REDIR_WRITABLE   (REDIR_DEST | GENMASK_ULL(16, 15) | BIT_ULL(13) | GENMASK_ULL(11, 0))

/* Send the pin's message. True if an APIC accepted it. */
static bool send(const struct ioapic *io, uint64_t redir)
{
	struct apic_msg msg = {
		.dest = FIELD_GET(REDIR_DEST, redir),
		.logical = redir & REDIR_LOGICAL,
		.level = redir & REDIR_LEVEL,
		.mode = FIELD_GET(REDIR_MODE, redir),
		.vector = redir & REDIR_VECTOR,
	};

	return io->deliver(io->group, &msg) > 0;
}

/* A level-triggered pin that is up, unmasked, and waits for no EOI: send. */
static void service_level(struct ioapic *io, unsigned pin)
{
	uint64_t redir = io->redir[pin];

	if (!(io->lines & BIT(pin)) || !(redir & REDIR_LEVEL) ||
	    redir & (REDIR_MASKED | REDIR_REMOTE_IRR))
		return;
	if (send(io, redir))
		io->redir[pin] |= REDIR_REMOTE_IRR;
}

void ioapic_set_irq(struct ioapic *io, unsigned pin, bool level)
{
	uint32_t old = io->lines;

	if (pin >= IOAPIC_PINS)
		return;
	if (!level) {
		io->lines &= ~BIT(pin);
		return;
	}
	io->lines |= BIT(pin);
	if (io->redir[pin] & REDIR_LEVEL)
		service_level(io, pin);
	else if (!(old & BIT(pin)) && !(io->redir[pin] & REDIR_MASKED))
		send(io, io->redir[pin]);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t redir = io->redir[pin];

		if (!(redir & REDIR_REMOTE_IRR) || (redir & REDIR_VECTOR) != vector)
			continue;
		io->redir[pin] &= ~REDIR_REMOTE_IRR;
		service_level(io, pin);
	}
}

/*
 * One half of an entry. A change to edge clears remote IRR: older systems end a level interrupt
 * whose EOI went astray that way.
 */
static void write_redir(struct ioapic *io, unsigned reg, uint32_t val)
{
	unsigned pin = reg / 2, shift = reg % 2 * 32;
	uint64_t redir, half = 0xffffffffull << shift;

	if (pin >= IOAPIC_PINS)
		return;
	redir = (io->redir[pin] & ~(half & REDIR_WRITABLE)) |
		((uint64_t)val << shift & REDIR_WRITABLE);
	if (!(redir & REDIR_LEVEL))
		redir &= ~REDIR_REMOTE_IRR;
	io->redir[pin] = redir;
	service_level(io, pin);
}

static uint32_t read_data(const struct ioapic *io)
{
	unsigned reg = io->select - IOAPIC_REDIR;

	if (io->select >= IOAPIC_REDIR)
		return reg / 2 < IOAPIC_PINS ? io->redir[reg / 2] >> (reg % 2 * 32) : 0;
	switch (io->select) {
	case IOAPIC_ID:
	case IOAPIC_ARBITRATION: /* loaded with the ID; there is no bus to arbitrate */
		return (uint32_t)io->id << 24;
	case IOAPIC_VERSION:
		return IOAPIC_VERSION_VALUE;
	default:
		return 0;
	}
}

static void write_data(struct ioapic *io, uint32_t val)
{
	if (io->select >= IOAPIC_REDIR)
		write_redir(io, io->select - IOAPIC_REDIR, val);
	else if (io->select == IOAPIC_ID)
		io->id = val >> 24 & 0xf;
}

/* Registers answer at their own address only, to narrow reads as well. */
uint64_t ioapic_read(void *dev, uint64_t off, unsigned size)
{
	const struct ioapic *io = dev;
	uint32_t val;

	if (off == WIN_DATA)
		val = read_data(io);
	else if (off == WIN_SELECT)
		val = io->select;
	else
		return 0;
	return size >= 4 ? val : val & ((1u << (8 * size)) - 1);
}

/* IOREGSEL and EOI take any width; IOWIN only whole registers. */
void ioapic_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct ioapic *io = dev;

	if (off == WIN_SELECT)
		io->select = val;
	else if (off == WIN_DATA && size >= 4)
		write_data(io, val);
	else if (off == WIN_EOI)
		ioapic_eoi(io, val);
}

void ioapic_reset(struct ioapic *io)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->redir[pin] = REDIR_MASKED;
	io->select = 0;
	io->id = 0;
}

void ioapic_init(struct ioapic *io, struct lapic_group *group,
		 unsigned (*deliver)(struct lapic_group *g, const struct apic_msg *msg))
{
	*io = (struct ioapic){.group = group, .deliver = deliver};
	ioapic_reset(io);
}
