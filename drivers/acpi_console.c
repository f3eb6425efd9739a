/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which serial port the firmware uses: Microsoft's Serial Port Console Redirection Table (SPCR, to
 * revision 4) and Debug Port Table 2 (DBG2). Both name a kind of UART, of which the relatives of
 * the 16550 are taken, and its registers as a generic address structure (ACPI 5.2.3.2).
 */
#include "drivers/acpi_parse.h"
#include "lib/log.h"

/* Kinds of UARTs, the same in both tables. */
#define UART_16550          0x00
#define UART_16450          0x01 /* takes writes to the FIFO control register */
#define UART_16550_WITH_GAS 0x12 /* the distance of its registers is told */

/* A generic address structure. */
#define GAS_LEN        12
#define GAS_SPACE      0
#define GAS_BIT_WIDTH  1
#define GAS_BIT_OFFSET 2
#define GAS_ACCESS     3 /* 0: not said; 1, 2, 3: bytes, words, double words */
#define GAS_ADDR       4

static void ignore(struct acpi_info *info, const char *table, const char *why, uint64_t val)
{
	log_warn("acpi: %s ignored: %s 0x%llx", table, why, (unsigned long long)val);
	info->warnings++;
}

static bool is_16550(uint64_t kind)
{
	return kind == UART_16550 || kind == UART_16450 || kind == UART_16550_WITH_GAS;
}

/*
 * Width and distance of registers in memory, also where the kind is the plain one: firmware for
 * 32-bit registers is known to say so only in the structure. Bits 0, 8: side by side.
 */
static bool set_layout(struct serial_uart *u, uint64_t bits, uint64_t access)
{
	if (access > 3)
		return false;
	u->width = access ? (uint8_t)(1 << (access - 1)) : 1;
	u->stride = (uint8_t)max((uint64_t)u->width, bits / 8);
	return u->stride == 1 || u->stride == 2 || u->stride == 4;
}

/* The registers that the structure at `off` tells of. False, with a warning: not such as we know.
 */
static bool parse_regs(const struct acpi_header *t, size_t off, const char *name,
		       struct serial_uart *u, struct acpi_info *info)
{
	uint64_t space = acpi_field(t, off + GAS_SPACE, 1);
	uint64_t bits = acpi_field(t, off + GAS_BIT_WIDTH, 1);
	uint64_t access = acpi_field(t, off + GAS_ACCESS, 1);

	*u = (struct serial_uart){
		.is_mmio = space == ACPI_SPACE_MEMORY,
		.base = acpi_field(t, off + GAS_ADDR, 8),
	};
	if (space != ACPI_SPACE_MEMORY && space != ACPI_SPACE_IO)
		ignore(info, name, "registers in address space", space);
	else if (acpi_field(t, off + GAS_BIT_OFFSET, 1))
		ignore(info, name, "registers at bit", acpi_field(t, off + GAS_BIT_OFFSET, 1));
	else if (!set_layout(u, bits, access))
		ignore(info, name, "registers of width and access", bits << 8 | access);
	else if (u->base + SERIAL_UART_LEN(u) < u->base || (!u->is_mmio && u->base > 0xfff8))
		ignore(info, name, "registers at", u->base);
	else
		return true;
	return false;
}

#define SPCR_KIND     36
#define SPCR_REGS     40
#define SPCR_IRQ_TYPE 52 /* flags */
#define SPCR_IRQ      53
#define SPCR_GSI      54
#define SPCR_BAUD     58 /* a code */
#define SPCR_DEVICE   64
#define SPCR_VENDOR   66
#define SPCR_BUS      68
#define SPCR_DEV      69
#define SPCR_FN       70
#define SPCR_SEGMENT  75
#define SPCR_CLOCK    76 /* revision 3: Hz, 0: not told */
#define SPCR_PRECISE  80 /* revision 4: baud, 0: see the code */
#define SPCR_MIN_LEN  80 /* of all revisions */
#define IRQ_8259      BIT(0)
#define IRQ_IOAPIC    BIT(1)
#define NO_PCI_DEVICE 0xffff
#define MAX_BAUD      10000000

static struct serial_irq parse_irq(const struct acpi_header *t)
{
	uint64_t type = acpi_field(t, SPCR_IRQ_TYPE, 1), irq = acpi_field(t, SPCR_IRQ, 1);

	if (type & IRQ_IOAPIC)
		return (struct serial_irq){SERIAL_IRQ_GSI, (uint32_t)acpi_field(t, SPCR_GSI, 4)};
	if ((type & IRQ_8259) && irq && irq < ACPI_ISA_IRQS)
		return (struct serial_irq){SERIAL_IRQ_ISA, (uint32_t)irq};
	return (struct serial_irq){SERIAL_IRQ_NONE};
}

static uint32_t parse_baud(const struct acpi_header *t)
{
	uint64_t precise = t->revision >= 4 ? acpi_field(t, SPCR_PRECISE, 4) : 0;

	if (precise)
		return precise <= MAX_BAUD ? (uint32_t)precise : 0;
	switch (acpi_field(t, SPCR_BAUD, 1)) {
	case 3:
		return 9600;
	case 4:
		return 19200;
	case 6:
		return 57600;
	case 7:
		return 115200;
	default: /* 0: as it is set */
		return 0;
	}
}

/*
 * A clock of which nobody tells is the PC's at I/O ports; in memory it may be any, and the firmware
 * has set the speed already.
 */
static void parse_speed(const struct acpi_header *t, struct serial_uart *u)
{
	uint64_t clock = t->revision >= 3 ? acpi_field(t, SPCR_CLOCK, 4) : 0;

	u->clock = clock ? (uint32_t)clock : SERIAL_PC_CLOCK;
	u->baud = clock || !u->is_mmio ? parse_baud(t) : 0;
}

/* False, with a warning: a function that cannot be reached. */
static bool parse_pci(const struct acpi_header *t, struct acpi_console *c, struct acpi_info *info)
{
	c->is_pci = acpi_field(t, SPCR_DEVICE, 2) != NO_PCI_DEVICE &&
		    acpi_field(t, SPCR_VENDOR, 2) != NO_PCI_DEVICE;
	c->bus = (uint8_t)acpi_field(t, SPCR_BUS, 1);
	c->dev = (uint8_t)acpi_field(t, SPCR_DEV, 1);
	c->fn = (uint8_t)acpi_field(t, SPCR_FN, 1);
	if (!c->is_pci || (!acpi_field(t, SPCR_SEGMENT, 1) && c->dev < 32 && c->fn < 8))
		return true;
	ignore(info, "SPCR", "PCI function",
	       acpi_field(t, SPCR_SEGMENT, 1) << 24 | acpi_field(t, SPCR_BUS, 3));
	return false;
}

void acpi_parse_spcr(const struct acpi_header *t, struct acpi_info *info)
{
	struct acpi_console c = {};
	uint64_t kind = acpi_field(t, SPCR_KIND, 1);

	if (t->length < SPCR_MIN_LEN) {
		ignore(info, "SPCR", "length", t->length);
		return;
	}
	/* Redirection is switched off, or goes to a UART that we cannot drive: nothing is wrong. */
	if (info->spcr.uart.stride || !acpi_field(t, SPCR_REGS + GAS_ADDR, 8) || !is_16550(kind))
		return;
	if (!parse_regs(t, SPCR_REGS, "SPCR", &c.uart, info) || !parse_pci(t, &c, info))
		return;
	c.uart.irq = parse_irq(t);
	parse_speed(t, &c.uart);
	info->spcr = c;
}

#define DBG2_OFFSET    36 /* of the first device */
#define DBG2_COUNT     40
#define DBG2_MIN_LEN   44
#define DEVICE_LEN     1 /* from here: offsets within a device */
#define DEVICE_NR_REGS 3
#define DEVICE_TYPE    12
#define DEVICE_KIND    14
#define DEVICE_REGS    18 /* the offset of the first structure */
#define DEVICE_MIN_LEN 22
#define PORT_IS_SERIAL 0x8000

/* The device at `off`, `len` bytes long, all inside the table. */
static void parse_debug_port(const struct acpi_header *t, size_t off, size_t len,
			     struct acpi_info *info)
{
	struct serial_uart u;
	size_t regs = acpi_field(t, off + DEVICE_REGS, 2);

	if (acpi_field(t, off + DEVICE_TYPE, 2) != PORT_IS_SERIAL ||
	    !is_16550(acpi_field(t, off + DEVICE_KIND, 2)))
		return;
	if (!acpi_field(t, off + DEVICE_NR_REGS, 1) || regs < DEVICE_MIN_LEN ||
	    regs + GAS_LEN > len) {
		ignore(info, "DBG2", "registers at offset", regs);
		return;
	}
	if (!acpi_field(t, off + regs + GAS_ADDR, 8) ||
	    !parse_regs(t, off + regs, "DBG2", &u, info))
		return;
	u.clock = SERIAL_PC_CLOCK;
	u.baud = u.is_mmio ? 0 : SERIAL_BAUD; /* of which the table says nothing */
	info->dbg2.uart = u;
}

void acpi_parse_dbg2(const struct acpi_header *t, struct acpi_info *info)
{
	size_t off = acpi_field(t, DBG2_OFFSET, 4), len;
	uint64_t left = acpi_field(t, DBG2_COUNT, 4);

	if (t->length < DBG2_MIN_LEN) {
		ignore(info, "DBG2", "length", t->length);
		return;
	}
	for (; left && !info->dbg2.uart.stride; left--, off += len) {
		len = off < t->length ? acpi_field(t, off + DEVICE_LEN, 2) : 0;
		if (off < DBG2_MIN_LEN || len < DEVICE_MIN_LEN || len > t->length - off) {
			ignore(info, "DBG2", "device at offset", off);
			return;
		}
		parse_debug_port(t, off, len, info);
	}
}
