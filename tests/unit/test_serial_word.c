/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of serial ports, and where PCI's are found: a configuration space of a few functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/acpi.h"
#include "drivers/pci_config.h"
#include "drivers/serial_find.h"
#include "drivers/serial_word.h"
#include "lib/bits.h"

/* ---- PCI ---- */

static struct function {
	uint8_t bus, dev, fn;
	uint32_t regs[16];
	uint32_t bar_mask[6]; /* what can be written */
} functions[] = {
	/* No serial port, but several functions. */
	{0, 31, 0, {0x12348086, 0x7, 0x06010000, 0x00800000}, {0}},
	/* A card with two ports in one range, behind a bridge; IRQ 11. */
	{3, 4, 1, {0x00021b36, 0x400, 0x07000201, 0, 0xc101, [15] = 0x010b}, {0xfffffff0}},
	{3, 4, 0, {0x00011b36, 0x0, 0x02000000, 0x00800000}, {0}},
	/* One with a range for each port, the second in memory above 4 GiB. */
	{4,
	 0,
	 0,
	 {0x99999999, 0x400, 0x07000200, 0, 0xd001, 0xfe000004, 0x12},
	 {0xfffffff8, 0xfffff000}},
	/* A chipset's, in memory, with an interrupt that is no 8259's. */
	{0,
	 24,
	 0,
	 {0x55558086, 0x0, 0x07800000, 0x00800000, 0xfe030000, [15] = 0x01ff},
	 {0xfffff000}},
	/* One without an address, and a bridge. */
	{0, 24, 1, {0x66668086, 0x0, 0x07000000, 0, 0x1}, {0xfffffff8}},
	{0, 28, 0, {0x77778086, 0x0, 0x06040000, 0x00010000}, {0}},
};

static struct function *find(uint8_t bus, unsigned dev, unsigned fn)
{
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++) {
		if (functions[i].bus == bus && functions[i].dev == dev && functions[i].fn == fn)
			return &functions[i];
	}
	return NULL;
}

uint32_t pci_read32(uint8_t bus, unsigned dev, unsigned fn, unsigned off)
{
	const struct function *f = find(bus, dev, fn);

	assert_int_equal(off % 4, 0);
	return f ? f->regs[off / 4] : ~0u;
}

uint16_t pci_read16(uint8_t bus, unsigned dev, unsigned fn, unsigned off)
{
	return (uint16_t)(pci_read32(bus, dev, fn, off & ~3u) >> 8 * (off & 3));
}

uint8_t pci_read8(uint8_t bus, unsigned dev, unsigned fn, unsigned off)
{
	return (uint8_t)(pci_read32(bus, dev, fn, off & ~3u) >> 8 * (off & 3));
}

void pci_write32(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint32_t val)
{
	struct function *f = find(bus, dev, fn);
	unsigned bar = off / 4 - 4;

	assert_non_null(f);
	assert_true(off >= 0x10 && off < 0x28);
	assert_int_equal(f->regs[1] & 3, 0); /* it must not answer while its address is moved */
	f->regs[off / 4] = (val & f->bar_mask[bar]) | (f->regs[off / 4] & ~f->bar_mask[bar]);
}

void pci_write16(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint16_t val)
{
	struct function *f = find(bus, dev, fn);

	assert_non_null(f);
	assert_int_equal(off, 4);
	f->regs[1] = (f->regs[1] & 0xffff0000) | val;
}

/* ---- words ---- */

static struct serial_word w;
static struct serial_uart u;

static void good(const char *text)
{
	const char *why = serial_word_parse(text, &w);

	assert_null(why);
}

static void bad(const char *text, const char *why)
{
	assert_string_equal(serial_word_parse(text, &w), why);
}

static void ports_have_names_and_numbers(void **state)
{
	good("com3");
	assert_int_equal(w.kind, SERIAL_WORD_PORT);
	assert_int_equal(w.base, 0x3e8);
	assert_false(w.has_baud);
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.base, 0x3e8);
	assert_int_equal(u.irq.number, 4);
	assert_int_equal(u.baud, 115200);
	good("0x2f8,9600");
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.baud, 9600);
	assert_int_equal(u.irq.number, 3);
	good("65528,0");
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.baud, 0);
	assert_int_equal(u.irq.kind, SERIAL_IRQ_NONE);
	bad("com1,", "only ,BAUD may follow");
	bad("com1,9600,1", "only ,BAUD may follow");
	bad("com1,-1", "only ,BAUD may follow");
	bad("com1,230400", "the rate must be 0 or divide 115200");
	bad("com1x", serial_word_unknown);
	bad("pcix", serial_word_unknown);
	bad("spcr,9600", serial_word_unknown);
}

static void memory_has_a_stride(void **state)
{
	good("mmio:0xfe030000");
	assert_null(serial_find(&w, &u));
	assert_true(u.is_mmio);
	assert_int_equal(u.base, 0xfe030000);
	assert_int_equal(u.stride, 1);
	assert_int_equal(u.width, 1);
	assert_int_equal(u.baud, 115200);
	good("mmio:0x1fe030000,4,0");
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.base, 0x1fe030000);
	assert_int_equal(u.stride, 4);
	assert_int_equal(u.width, 4);
	assert_int_equal(u.baud, 0);
	good("mmio:0xfe030000,57600");
	assert_int_equal(w.stride, 1);
	assert_int_equal(w.baud, 57600);
	bad("mmio:", "no address behind mmio:");
	bad("mmio:0", "no address behind mmio:");
	bad("mmio:0xfe030000,3", "the distance of the registers is 1, 2 or 4");
	bad("mmio:0xfe030000,0", "the distance of the registers is 1, 2 or 4");
	bad("mmio:0xfe030000,4,7", "the rate must be 0 or divide 115200");
	bad("mmio:0xfe030000,4,9600,1", "only numbers may follow, two at most");
	bad("mmio:0xfe030000x", "only numbers may follow, two at most");
}

static void pci_functions_are_named_as_lspci_does(void **state)
{
	good("pci:1f:1e.7,3,19200");
	assert_false(w.is_any);
	assert_int_equal(w.bus, 0x1f);
	assert_int_equal(w.dev, 0x1e);
	assert_int_equal(w.fn, 7);
	assert_int_equal(w.index, 3);
	assert_int_equal(w.baud, 19200);
	good("pci,9600");
	assert_true(w.is_any && w.has_baud);
	assert_int_equal(w.index, 0);
	bad("pci:", "not a function such as pci:00:16.3");
	bad("pci:00:20.0", "not a function such as pci:00:16.3");
	bad("pci:00:1f.8", "not a function such as pci:00:16.3");
	bad("pci:100:1f.0", "not a function such as pci:00:16.3");
	bad("pci,8", "a card has ports 0 to 7");
	bad("pci:00:16.3;", "only numbers may follow, two at most");
}

static void the_first_card_is_found(void **state)
{
	struct function *f = find(3, 4, 1);

	find(0, 24, 1)->regs[2] = 0x07800000; /* else it would be the first */
	good("pci");
	assert_null(serial_find(&w, &u));
	assert_false(u.is_mmio);
	assert_int_equal(u.base, 0xc100);
	assert_int_equal(u.stride, 1);
	assert_int_equal(u.irq.kind, SERIAL_IRQ_ISA);
	assert_int_equal(u.irq.number, 11);
	assert_int_equal(f->regs[1], 1); /* answers to ports, and may interrupt */
	assert_int_equal(f->regs[4], 0xc101);
	good("pci,1");
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.base, 0xc108);
	good("pci,2");
	assert_string_equal(serial_find(&w, &u), "that PCI function has no such port");
	find(0, 24, 1)->regs[2] = 0x07000000;
}

static void a_named_function_may_be_any(void **state)
{
	good("pci:04:00.0,1,9600");
	assert_null(serial_find(&w, &u));
	assert_true(u.is_mmio);
	assert_int_equal(u.base, 0x12fe000000);
	assert_int_equal(u.stride, 1);
	assert_int_equal(u.baud, 9600);
	assert_int_equal(u.irq.kind, SERIAL_IRQ_NONE);
	assert_int_equal(find(4, 0, 0)->regs[1], 2);
	good("pci:00:18.0"); /* four bytes apart, at the speed that it has */
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.base, 0xfe030000);
	assert_int_equal(u.stride, 4);
	assert_int_equal(u.baud, 0);
	assert_int_equal(u.irq.kind, SERIAL_IRQ_NONE);
	good("pci:00:18.1");
	assert_string_equal(serial_find(&w, &u),
			    "the firmware has given that PCI function no address");
	good("pci:00:1c.0");
	assert_string_equal(serial_find(&w, &u), "that PCI function is a bridge");
	good("pci:00:1d.0");
	assert_string_equal(serial_find(&w, &u), "there is no such PCI function");
}

static void the_firmware_may_name_one(void **state)
{
	static struct acpi_info info;

	good("spcr");
	serial_find_init(NULL);
	assert_string_equal(serial_find(&w, &u),
			    "the firmware has no SPCR or DBG2 table that names a 16550");
	serial_find_init(&info);
	info.dbg2.uart = (struct serial_uart){.stride = 1, .width = 1, .base = 0x2f8};
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.base, 0x2f8);
	info.spcr = (struct acpi_console){
		.uart = {.stride = 1, .width = 1, .base = 0xd000}, .is_pci = true, .bus = 4};
	find(4, 0, 0)->regs[1] = 0;
	assert_null(serial_find(&w, &u));
	assert_int_equal(u.base, 0xd000);
	assert_int_equal(find(4, 0, 0)->regs[1], 1);
	info.spcr.bus = 5;
	assert_string_equal(serial_find(&w, &u), "there is no such PCI function");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_have_names_and_numbers),
		cmocka_unit_test(memory_has_a_stride),
		cmocka_unit_test(pci_functions_are_named_as_lspci_does),
		cmocka_unit_test(the_first_card_is_found),
		cmocka_unit_test(a_named_function_may_be_any),
		cmocka_unit_test(the_firmware_may_name_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
