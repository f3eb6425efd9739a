/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI and MP tables, read the way an operating system does: search, follow the pointers, check
 * the sums. Offsets are the specifications' own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/wires.h"
#include "vmm/firmware/firmware.h"
#include "vmm/dev/pic.h"

#define RAM (2ull << 20)

static struct guest_memory mem;

static int setup(void **state)
{
	host_arena_with_frames(16 << 20);
	grace_exit_guest(grace_cpu());
	slots_init(&mem);
	assert_int_equal(slots_create(&mem, 0, GFN(0), 512, 0), 0);
	return 0;
}

static int teardown(void **state)
{
	slots_destroy(&mem);
	grace_enter_guest(grace_cpu());
	host_arena_destroy();
	return 0;
}

static uint64_t peek(uint64_t addr, unsigned size)
{
	uint64_t val = 0;

	assert_int_equal(guest_read(&mem, GPA(addr), &val, size), 0);
	return val;
}

static bool has_text(uint64_t addr, const char *text)
{
	char buf[16];

	guest_read(&mem, GPA(addr), buf, strlen(text));
	return memcmp(buf, text, strlen(text)) == 0;
}

static void check_sum(uint64_t addr, unsigned len)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < len; i++)
		sum += (uint8_t)peek(addr + i, 1);
	assert_int_equal(sum, 0);
}

/* A signature on a 16-byte boundary of the BIOS area. */
static uint64_t search(const char *text, uint64_t from)
{
	for (uint64_t a = from; a < 0x100000; a += 16) {
		if (has_text(a, text))
			return a;
	}
	fail_msg("no %s", text);
	return 0;
}

/* A table by its signature, through the XSDT; its RSDT entry has to be the same. */
static uint64_t find_table(const char *signature)
{
	uint64_t rsdp = search("RSD PTR ", 0xe0000);
	uint64_t rsdt = peek(rsdp + 16, 4), xsdt = peek(rsdp + 24, 8);
	unsigned n = (unsigned)(peek(xsdt + 4, 4) - 36) / 8;

	assert_true(has_text(rsdt, "RSDT"));
	assert_true(has_text(xsdt, "XSDT"));
	assert_int_equal(peek(rsdt + 4, 4), 36 + 4 * n);
	check_sum(rsdt, 36 + 4 * n);
	check_sum(xsdt, 36 + 8 * n);
	for (unsigned i = 0; i < n; i++) {
		uint64_t table = peek(xsdt + 36 + 8 * i, 8);

		assert_int_equal(peek(rsdt + 36 + 4 * i, 4), table);
		if (has_text(table, signature)) {
			check_sum(table, (unsigned)peek(table + 4, 4));
			return table;
		}
	}
	fail_msg("no table %s", signature);
	return 0;
}

static void test_rsdp(void **state)
{
	uint64_t rsdp;

	assert_int_equal(firmware_write_tables(&mem, 1, RAM), 0);
	rsdp = search("RSD PTR ", 0xe0000);
	assert_int_equal(rsdp, FIRMWARE_RSDP);
	check_sum(rsdp, 20);
	check_sum(rsdp, 36);
	assert_int_equal(peek(rsdp + 15, 1), 2);
	assert_int_equal(peek(rsdp + 20, 4), 36);
}

static void check_io(uint64_t gas, uint64_t port, unsigned bits)
{
	assert_int_equal(peek(gas, 1), 1);
	assert_int_equal(peek(gas + 1, 1), bits);
	assert_int_equal(peek(gas + 4, 8), port);
}

static void test_fadt(void **state)
{
	uint64_t fadt, facs, dsdt;

	assert_int_equal(firmware_write_tables(&mem, 4, RAM), 0);
	fadt = find_table("FACP");
	assert_int_equal(peek(fadt + 4, 4), 268);
	assert_int_equal(peek(fadt + 8, 1), 5);
	assert_int_equal(peek(fadt + 46, 2), 9);              /* SCI */
	assert_int_equal(peek(fadt + 48, 4), 0);              /* no SMI: ACPI is on */
	assert_int_equal(peek(fadt + 56, 4), 0x600);          /* PM1a events */
	assert_int_equal(peek(fadt + 64, 4), 0x604);          /* PM1a control */
	assert_int_equal(peek(fadt + 76, 4), 0x608);          /* PM timer */
	assert_int_equal(peek(fadt + 88, 4), 0x04000204);     /* lengths: 4, 2, 0, 4 */
	assert_int_equal(peek(fadt + 108, 1), 0x32);          /* century */
	assert_int_equal(peek(fadt + 109, 2), 0x0005);        /* legacy devices, no 8042, no VGA */
	assert_int_equal(peek(fadt + 112, 4) & 0x500, 0x500); /* 32-bit timer, reset register */
	check_io(fadt + 116, 0xcf9, 8);
	assert_int_equal(peek(fadt + 128, 1), 6);
	check_io(fadt + 148, 0x600, 32);
	check_io(fadt + 172, 0x604, 16);
	check_io(fadt + 208, 0x608, 32);
	facs = peek(fadt + 36, 4);
	assert_true(has_text(facs, "FACS"));
	assert_int_equal(facs % 64, 0);
	assert_int_equal(peek(facs + 4, 4), 64);
	dsdt = peek(fadt + 40, 4);
	assert_int_equal(peek(fadt + 140, 8), dsdt);
	assert_true(has_text(dsdt, "DSDT"));
	check_sum(dsdt, (unsigned)peek(dsdt + 4, 4));
}

static void check_madt(unsigned nr_vcpus)
{
	uint64_t madt, p, end;
	unsigned lapics = 0, ioapics = 0, overrides = 0, nmis = 0;

	assert_int_equal(firmware_write_tables(&mem, nr_vcpus, RAM), 0);
	madt = find_table("APIC");
	assert_int_equal(peek(madt + 36, 4), 0xfee00000);
	assert_int_equal(peek(madt + 40, 4), 1); /* there are 8259s */
	end = madt + peek(madt + 4, 4);
	for (p = madt + 44; p < end; p += peek(p + 1, 1)) {
		switch (peek(p, 1)) {
		case 0:
			assert_int_equal(peek(p + 1, 1), 8);
			assert_int_equal(peek(p + 3, 1), lapics);
			assert_int_equal(peek(p + 4, 4), 1);
			lapics++;
			break;
		case 1:
			assert_int_equal(peek(p + 1, 1), 12);
			assert_int_equal(peek(p + 4, 4), 0xfec00000);
			assert_int_equal(peek(p + 8, 4), 0);
			ioapics++;
			break;
		case 2:
			assert_int_equal(peek(p + 1, 1), 10);
			if (peek(p + 3, 1) == 0)
				assert_int_equal(peek(p + 4, 6), 2);
			else /* SCI: level, active high */
				assert_int_equal(peek(p + 3, 7), 9 | 9 << 8 | 0xdull << 40);
			overrides++;
			break;
		case 4:
			assert_int_equal(peek(p + 1, 1), 6);
			assert_int_equal(peek(p + 2, 4), 0x010000ff); /* all, LINT1 */
			nmis++;
			break;
		default:
			fail();
		}
	}
	assert_int_equal(p, end);
	assert_int_equal(lapics, nr_vcpus);
	assert_int_equal(ioapics, 1);
	assert_int_equal(overrides, 2);
	assert_int_equal(nmis, 1);
}

static void test_madt(void **state)
{
	check_madt(1);
	check_madt(2);
	check_madt(VM_MAX_VCPUS);
}

static void check_mp(unsigned nr_vcpus)
{
	uint64_t fp, table, p;
	unsigned count[5] = {0}, irq_pins = 0;

	assert_int_equal(firmware_write_tables(&mem, nr_vcpus, RAM), 0);
	fp = search("_MP_", 0xf0000);
	check_sum(fp, 16);
	assert_int_equal(peek(fp + 8, 2), 0x0401); /* 16 bytes, version 1.4 */
	assert_int_equal(peek(fp + 11, 5), 0);     /* a table, virtual wire mode */
	table = peek(fp + 4, 4);
	assert_true(has_text(table, "PCMP"));
	check_sum(table, (unsigned)peek(table + 4, 2));
	assert_int_equal(peek(table + 6, 1), 4);
	assert_int_equal(peek(table + 36, 4), 0xfee00000);
	p = table + 44;
	for (unsigned i = 0; i < peek(table + 34, 2); i++) {
		unsigned type = (unsigned)peek(p, 1);

		assert_in_range(type, 0, 4);
		if (type == 0) {
			assert_int_equal(peek(p + 1, 1), count[0]);
			assert_int_equal(peek(p + 3, 1), count[0] == 0 ? 3 : 1);
		}
		if (type == 1)
			assert_true(has_text(p + 2, "ISA   "));
		if (type == 2)
			assert_int_equal(peek(p + 4, 4), 0xfec00000);
		if (type == 3) {
			unsigned irq = (unsigned)peek(p + 5, 1);

			assert_int_equal(peek(p + 7, 1), irq == 0 ? 2 : irq);
			assert_int_equal(peek(p + 2, 2), irq == 9 ? 0xd : 0);
			irq_pins |= 1u << peek(p + 7, 1);
		}
		if (type == 4) /* ExtINT at LINT0, NMI at LINT1 */
			assert_int_equal(peek(p + 1, 1), peek(p + 7, 1) == 0 ? 3 : 1);
		count[type]++;
		p += type == 0 ? 20 : 8;
	}
	assert_int_equal(p, table + peek(table + 4, 2));
	assert_int_equal(count[0], nr_vcpus);
	assert_int_equal(count[1], 1);
	assert_int_equal(count[2], 1);
	assert_int_equal(count[3], 15);
	assert_int_equal(count[4], 2);
	assert_int_equal(irq_pins, 0xfffe);
}

static void test_mp(void **state)
{
	check_mp(1);
	check_mp(3);
	check_mp(VM_MAX_VCPUS);
}

static void test_no_memory_there(void **state)
{
	assert_int_equal(slots_delete(&mem, 0), 0);
	assert_true(firmware_write_tables(&mem, 1, RAM) < 0);
	assert_int_equal(slots_create(&mem, 0, GFN(0), 512, 0), 0);
}

static void test_pic_state(void **state)
{
	struct wire intr;
	struct pic pic;

	wire_init(&intr);
	pic_init(&pic, &intr.line);
	pic_set_pc_defaults(&pic);
	for (unsigned irq = 0; irq < 16; irq++) {
		if (irq == 2 || irq == 11)
			continue;
		pic_set_irq(&pic, irq, true);
		assert_false(intr.level);
		pic_set_irq(&pic, irq, false);
	}
	pic_set_irq(&pic, 11, true);
	assert_true(intr.level);
	assert_int_equal(pic_elcr_read(&pic, 0, 2), 0x0200);
	pic_set_irq(&pic, 11, false); /* a pulse is enough to end a HLT */
	assert_true(intr.level);
	assert_int_equal(pic_ack(&pic), 0x73);
}

/* What kernels read that ask no firmware (IBM PC AT technical reference, BIOS data area). */
static void test_bios_area(void **state)
{
	assert_int_equal(firmware_write_tables(&mem, 1, RAM), 0);
	assert_int_equal(peek(0x400, 8), 0x3f8);  /* COM1, and no other port */
	assert_int_equal(peek(0x40e, 2), 0x9fc0); /* EBDA: where the memory map's RAM ends */
	assert_int_equal(peek(0x9fc00, 1), 1);    /* of 1 KiB */
	assert_int_equal(peek(0x413, 2), 639);    /* KiB */
	assert_int_equal(peek(0x410, 2), 0x0202); /* x87, one serial port */
	assert_int_equal(peek(0x475, 1), 0);      /* disks */
	assert_int_equal(peek(0xffff0, 1), 0xea); /* a far jump to the reset code ... */
	assert_int_equal(peek(0xffff1, 4), 0xf000e05b);
	assert_int_equal(peek(0xfe05b, 4), 0x0cf9bafa); /* ... which goes for port 0xcf9 */
	assert_int_equal(peek(0xffffe, 1), 0xfc);
	assert_int_equal(peek(0x41a, 4), 0x001e001e); /* no key in the ring ... */
	assert_int_equal(peek(0x480, 4), 0x003e001e); /* ... of 16 */
	assert_int_equal(peek(0x449, 3), 80 << 8 | 3);
}

/*
 * Each vector is an interrupt that returns at once, or a service above 0xf8000. What the services
 * do is tested by a guest (tests/boot/oldlinux.c).
 */
static void test_bios_services(void **state)
{
	static const uint8_t served[] = {0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10,
					 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
					 0x1a, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77};
	unsigned n = 0;

	assert_int_equal(firmware_write_tables(&mem, 1, RAM), 0);
	for (unsigned vector = 0; vector < 256; vector++) {
		uint64_t to = peek(vector * 4, 4), at = (to >> 16 << 4) + (to & 0xffff);

		if (n < sizeof(served) && vector == served[n]) {
			assert_in_range(at, 0xf8008, 0xfe05a);
			n++;
		} else {
			assert_int_equal(peek(at, 1), 0xcf);
		}
	}
	assert_int_equal(n, sizeof(served));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_rsdp),
		T(test_fadt),
		T(test_madt),
		T(test_mp),
		T(test_no_memory_there),
		T(test_pic_state),
		T(test_bios_area),
		T(test_bios_services),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
