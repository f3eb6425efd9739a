/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest loaders: images that are loaded as they are, which loader takes a file, and where there
 * is room in a guest's memory. Kernels: test_load_linux.c, test_load_multiboot.c.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/load_guest.h"
#include "vmm/dev/e820.h"
#include "vmm/load/space.h"

/* --- images ------------------------------------------------------------------------------ */

static void test_bios(void **state)
{
	struct load_fixture *f = *state;
	size_t size = 512 * 1024;
	uint8_t *rom = malloc(size);

	for (size_t i = 0; i < size; i++)
		rom[i] = (uint8_t)(i >> 8 ^ i);
	f->req.proto = PROTO_BIOS;
	f->req.kernel = (struct load_file){rom, size, NULL};
	assert_int_equal(load_rom_bytes(&f->req), size);
	assert_int_equal(
		slots_create(&f->mem, ROM_SLOT, GFN((RAM_HIGH_BASE - size) >> 12), size >> 12, 0),
		0);
	load_ok(f);
	load_check_bytes(f, RAM_HIGH_BASE - size, rom, size);
	load_check_bytes(f, 0xc0000, rom + size - 0x40000, 0x40000);
	assert_int_equal(f->out.mode, BOOT_REAL);
	assert_int_equal(f->out.rip, 0xfff0);
	assert_int_equal(f->out.seg[SEG_CS].selector, 0xf000);
	assert_int_equal(f->out.seg[SEG_CS].base, 0xffff0000);
	assert_int_equal(f->out.cr0, 0x60000010);
	assert_int_equal(f->out.idt.limit, 0xffff);
	assert_int_equal(f->out.seg[SEG_DS].attr, 0x93);

	f->req.kernel.size = size - 1;
	assert_int_equal(load_try(f), -ENOEXEC);
	assert_string_equal(f->err,
			    "vm t: bios: 524287 bytes, an image has a multiple of 4K up to 8M");
	f->req.kernel.size = 16 * MIB;
	assert_int_equal(load_rom_bytes(&f->req), 0);
	assert_int_equal(load_try(f), -ENOEXEC);
	f->req.kernel.size = size;
	f->req.cmdline = "x";
	assert_int_equal(load_try(f), -EINVAL);
	assert_string_equal(f->err, "vm t: bios: takes no initrd, module or command line");
	free(rom);
}

/* The caller forgot the ROM's slot: said, not ignored. */
static void test_bios_without_slot(void **state)
{
	struct load_fixture *f = *state;

	f->req.proto = PROTO_BIOS;
	f->req.kernel.size = 0x1000;
	assert_int_equal(load_try(f), -EFAULT);
	assert_string_equal(f->err, "vm t: mem: the guest's memory has a hole");
}

static void test_flat(void **state)
{
	struct load_fixture *f = *state;

	f->req.proto = PROTO_FLAT;
	memset(f->image, 0x90, 512);
	f->req.kernel.size = 512;
	f->req.load_addr = 0x7c00;
	f->req.mode = BOOT_REAL;
	load_ok(f);
	load_check_bytes(f, 0x7c00, f->image, 512);
	assert_int_equal(f->out.mode, BOOT_REAL);
	assert_int_equal(f->out.seg[SEG_CS].base, 0);
	assert_int_equal(f->out.rip, 0x7c00);

	f->req.load_addr = 0x12345;
	load_ok(f);
	assert_int_equal(f->out.seg[SEG_CS].selector, 0x1234);
	assert_int_equal(f->out.seg[SEG_CS].base, 0x12340);
	assert_int_equal(f->out.rip, 5);

	f->req.load_addr = 0x200000;
	f->req.mode = BOOT_PROT32;
	load_ok(f);
	load_check_prot32(f, 0x200000);
	f->req.mode = BOOT_LONG64;
	load_ok(f);
	load_check_long64(f, 0x200000);
	load_check_bytes(f, 0x200000, f->image, 512);
}

static void test_flat_bad(void **state)
{
	struct load_fixture *f = *state;

	f->req.proto = PROTO_FLAT;
	f->req.kernel.size = 512;
	f->req.mode = BOOT_REAL;
	f->req.load_addr = 0x100000;
	load_fails(f, -EINVAL, "vm t: load=0x100000: real mode starts below 640K");
	f->req.mode = BOOT_PROT32;
	f->req.load_addr = 1ull << 32;
	load_fails(f, -EINVAL, "vm t: load=0x100000000: not below 4G");
	f->req.load_addr = GUEST_RAM - 511;
	load_fails(
		f, -ENOMEM,
		"vm t: kernel: 0x200 bytes at 0x1fffe01 run into the end of memory at 0x2000000");
	f->req.load_addr = 0x100000;
	f->req.cmdline = "x";
	load_fails(f, -EINVAL, "vm t: kernel: takes no initrd, module or command line");
}

/* --- the rest ---------------------------------------------------------------------------- */

static void test_detect(void **state)
{
	struct load_fixture *f = *state;

	memset(f->image, 'x', IMAGE_SIZE);
	assert_int_equal(load_detect(&f->req.kernel), PROTO_AUTO);
	load_fails(f, -ENOEXEC, "vm t: kernel: neither a Linux, ELF nor multiboot kernel");
	f->req.kernel.size = 3;
	load_fails(f, -ENOEXEC, "vm t: kernel: neither a Linux, ELF nor multiboot kernel");
	f->req.kernel.size = 0;
	load_fails(f, -ENOEXEC, "vm t: kernel: the file is empty");
	load_make_elf(f, true, 0x1000000, load_two_segments, 2);
	assert_int_equal(load_detect(&f->req.kernel), PROTO_LINUX);
}

static void test_e820(void **state)
{
	struct e820_entry map[E820_MAX_ENTRIES];

	assert_int_equal(e820_build(map, 6ull << 30), 5);
	assert_int_equal(map[2].addr + map[2].size, 3ull << 30);
	assert_int_equal(map[4].addr, 4ull << 30);
	assert_int_equal(map[4].size, 3ull << 30);
	assert_int_equal(map[4].type, E820_RAM);
	assert_int_equal(e820_build(map, 3ull << 30), 4);
	assert_int_equal(e820_build_raw(map, 3ull << 30), 1);
	assert_int_equal(map[0].size, 3ull << 30);
	assert_int_equal(e820_build_raw(map, (3ull << 30) + 4096), 2);
	assert_int_equal(map[1].size, 4096);
}

static void test_space(void **state)
{
	struct space s;
	uint64_t at;

	space_init(&s, 8 * MIB);
	assert_null(space_clash(&s, 0, 0x9fc00));
	assert_non_null(space_clash(&s, 0, 0x9fc01));
	assert_non_null(space_clash(&s, 0xfffff, 1));
	assert_null(space_clash(&s, MIB, 7 * MIB));
	assert_non_null(space_clash(&s, MIB, UINT64_MAX));
	assert_true(space_claim(&s, 4 * MIB, MIB, "x"));
	assert_true(space_find_high(&s, 3 * MIB, 4096, MIB, 8 * MIB, &at));
	assert_int_equal(at, 5 * MIB);
	assert_true(space_find_high(&s, 3 * MIB, 4096, MIB, 8 * MIB - 1, &at));
	assert_int_equal(at, MIB);
	assert_false(space_find_high(&s, 3 * MIB + 1, 4096, MIB, 8 * MIB, &at));
	assert_true(space_find_low(&s, 3 * MIB, 4096, 0, 8 * MIB, &at));
	assert_int_equal(at, MIB);
	assert_true(space_find_low(&s, 2 * MIB, 4096, 3 * MIB, 8 * MIB, &at));
	assert_int_equal(at, 5 * MIB);
	assert_false(space_find_low(&s, 4 * MIB, 4096, 0, UINT64_MAX, &at));
	assert_false(space_find_low(&s, UINT64_MAX, 4096, 0, 8 * MIB, &at));
	assert_false(space_find_high(&s, UINT64_MAX, 4096, 0, 8 * MIB, &at));
	assert_true(space_find_low(&s, 1, 2 * MIB, 1, 8 * MIB, &at));
	assert_int_equal(at, 2 * MIB);
}

/* RAM beyond the hole is RAM for an ELF segment too. */
static void test_high_ram(void **state)
{
	static const struct elf_seg seg[] = {{LOAD, 0x1000000, 0x100, 0x100, NULL},
					     {LOAD, RAM_HIGH_BASE, 0x100, 0x1000, NULL}};
	struct load_fixture *f = *state;

	assert_int_equal(slots_create(&f->mem, 1, GFN(RAM_HIGH_BASE >> 12), 256, 0), 0);
	load_make_elf(f, true, 0x1000000, seg, 2);
	f->req.ram_bytes = RAM_LOW_LIMIT + MIB;
	load_ok(f);
	load_check_bytes(f, RAM_HIGH_BASE, f->image + 0x1100, 0x100);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, load_setup, load_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bios),   T(test_bios_without_slot),
		T(test_flat),   T(test_flat_bad),
		T(test_detect), T(test_e820),
		T(test_space),  T(test_high_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
