/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loaders of multiboot and PVH: headers and notes, information and module lists, and that
 * nothing is written when anything is wrong with the file.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/load_guest.h"

/* --- PVH --------------------------------------------------------------------------------- */

/* GNU's note first, with sizes that need padding; then Xen's with the entry 0x1000020. */
static const uint8_t pvh_notes[] = {
	4, 0, 0, 0, 3, 0, 0, 0, 1,  0, 0, 0, 'G', 'N', 'U', 0, 1,    2, 3, 0,
	4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0, 0x20, 0, 0, 1,
};
static const struct elf_seg pvh_segments[] = {{LOAD, 0x1000000, 0x800, 0x1000, NULL},
					      {NOTE, 0, sizeof(pvh_notes), 0, pvh_notes}};

static void test_pvh(void **state)
{
	struct load_fixture *f = *state;
	uint64_t si, mod;

	for (int is_64 = 0; is_64 <= 1; is_64++) {
		load_make_elf(f, is_64, 0x1000000, pvh_segments, 2);
		assert_int_equal(load_detect(&f->req.kernel), PROTO_PVH);
		f->req.cmdline = "a b";
		f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
		f->req.module[0] = (struct load_file){"KEY=1\n", 6, "env x"};
		f->req.nr_modules = 1;
		load_ok(f);
		load_check_prot32(f, 0x1000020);
		si = f->out.gpr[GPR_RBX];
		assert_int_equal(load_peek(f, si, 4), 0x336ec578);
		assert_int_equal(load_peek(f, si + 4, 4), 1);
		assert_int_equal(load_peek(f, si + 12, 4), 2);
		mod = load_peek(f, si + 16, 8);
		load_check_string(f, load_peek(f, si + 24, 8), "a b");
		assert_int_equal(load_peek(f, si + 32, 8), 0xe0000);
		assert_int_equal(load_peek(f, si + 48, 4), 4);
		load_check_e820(f, load_peek(f, si + 40, 8), 24);
		assert_int_equal(load_peek(f, mod, 8), 0x1001000); /* behind the kernel's bss */
		assert_int_equal(load_peek(f, mod + 8, 8), sizeof(f->initrd));
		assert_int_equal(load_peek(f, mod + 16, 8), 0);
		assert_int_equal(load_peek(f, mod + 32, 8), 0x1003000);
		assert_int_equal(load_peek(f, mod + 40, 8), 6);
		load_check_string(f, load_peek(f, mod + 48, 8), "env x");
		load_check_bytes(f, 0x1001000, f->initrd, sizeof(f->initrd));
		load_check_bytes(f, 0x1003000, "KEY=1\n", 6);
	}
	f->req.initrd = (struct load_file){0};
	f->req.nr_modules = 0;
	load_ok(f);
	assert_int_equal(load_peek(f, f->out.gpr[GPR_RBX] + 12, 4), 0);
	assert_int_equal(load_peek(f, f->out.gpr[GPR_RBX] + 16, 8), 0);
}

/* A note of 8 bytes in a segment that is aligned to 8. */
static void test_pvh_aligned_8(void **state)
{
	static const uint8_t notes[] = {4,   0,   0,   0, 8, 0, 0, 0, 18, 0, 0, 0,
					'X', 'e', 'n', 0, 0, 0, 0, 1, 0,  0, 0, 0};
	const struct elf_seg seg[] = {{LOAD, 0x1000000, 0x800, 0x1000, NULL},
				      {NOTE, 0, sizeof(notes), 0, notes}};
	struct load_fixture *f = *state;

	load_make_elf(f, true, 0x1000004, seg, 2);
	load_put(f->image, 64 + 56 + 48, 8, 8);
	load_ok(f);
	load_check_prot32(f, 0x1000000);
}

static void test_pvh_bad(void **state)
{
	struct load_fixture *f = *state;

	f->req.proto = PROTO_PVH;
	load_make_elf(f, true, 0x1000000, load_two_segments, 2);
	load_fails(f, -ENOEXEC, "vm t: kernel: ELF file without a PVH note");
	load_make_elf(f, true, 0x1000000, pvh_segments, 2);
	f->image[f->req.kernel.size - 1] = 2;
	load_fails(f, -ENOEXEC, "vm t: kernel: PVH entry 0x2000020 lies in no segment");
	load_make_elf(f, true, 0x1000000, pvh_segments, 2);
	f->req.module[0] = (struct load_file){f->image, 32 * MIB, NULL};
	f->req.nr_modules = 1;
	load_fails(f, -ENOMEM, "vm t: module: 33554432 bytes do not fit behind the kernel");
	f->req.nr_modules = 0;
	for (size_t i = 0; i < sizeof(pvh_notes); i++) { /* sizes gone mad: no more than no note */
		load_make_elf(f, true, 0x1000000, pvh_segments, 2);
		f->image[0x1800 + i] = 0xff;
		load_try(f);
	}
}

static void test_truncated_pvh(void **state)
{
	load_make_elf(*state, true, 0x1000000, pvh_segments, 2);
	load_check_truncations(*state, PROTO_PVH);
}

/* --- multiboot --------------------------------------------------------------------------- */

static void put_multiboot_header(struct load_fixture *f, size_t off, uint32_t flags)
{
	load_put(f->image, off, 0x1badb002, 4);
	load_put(f->image, off + 4, flags, 4);
	load_put(f->image, off + 8, (uint32_t) - (0x1badb002 + flags), 4);
}

static const struct elf_seg test_kernel[] = {{LOAD, 0x400000, 0x800, 0x800, NULL},
					     {LOAD, 0x408000, 0x100, 0x10000, NULL}};

static void test_multiboot(void **state)
{
	struct load_fixture *f = *state;
	uint64_t mbi, mods;

	for (int is_64 = 0; is_64 <= 1; is_64++) {
		load_make_elf(f, is_64, 0x4000bc, test_kernel, 2);
		put_multiboot_header(f, 0x1000, 0);
		assert_int_equal(load_detect(&f->req.kernel), PROTO_MULTIBOOT);
		f->req.cmdline = "a b";
		f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
		f->req.module[0] = (struct load_file){"KEY=1\n", 6, "env x"};
		f->req.nr_modules = 1;
		load_ok(f);
		load_check_prot32(f, 0x4000bc);
		assert_int_equal(f->out.gpr[GPR_RAX], 0x2badb002);
		mbi = f->out.gpr[GPR_RBX];
		assert_true(mbi >= 0x10000 && mbi < 0x9fc00); /* real-mode guests live below */
		assert_int_equal(load_peek(f, mbi, 4), BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9));
		assert_int_equal(load_peek(f, mbi + 4, 4), 639);
		assert_int_equal(load_peek(f, mbi + 8, 4), 31 * 1024);
		load_check_string(f, load_peek(f, mbi + 16, 4), "t a b");
		assert_int_equal(load_peek(f, mbi + 20, 4), 2);
		mods = load_peek(f, mbi + 24, 4);
		assert_int_equal(load_peek(f, mods, 4), 0x418000); /* behind the kernel's bss */
		assert_int_equal(load_peek(f, mods + 4, 4), 0x418000 + sizeof(f->initrd));
		load_check_string(f, load_peek(f, mods + 8, 4), "");
		assert_int_equal(load_peek(f, mods + 16, 4), 0x41a000);
		assert_int_equal(load_peek(f, mods + 20, 4), 0x41a006);
		load_check_string(f, load_peek(f, mods + 24, 4), "env x");
		load_check_bytes(f, 0x41a000, "KEY=1\n", 6);
		assert_int_equal(load_peek(f, mbi + 44, 4), 4 * 24);
		assert_int_equal(load_peek(f, load_peek(f, mbi + 48, 4), 4), 20);
		load_check_e820(f, load_peek(f, mbi + 48, 4) + 4, 24);
	}
}

static void test_multiboot_no_extras(void **state)
{
	struct load_fixture *f = *state;
	uint64_t mbi;

	load_make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 3);
	load_ok(f);
	mbi = f->out.gpr[GPR_RBX];
	load_check_string(f, load_peek(f, mbi + 16, 4), "t");
	assert_int_equal(load_peek(f, mbi + 20, 4), 0);
}

/* A kernel where the tables would like to be: they go elsewhere. */
static void test_multiboot_low_kernel(void **state)
{
	static const struct elf_seg seg[] = {{LOAD, 0x8000, 0x800, 0x97c00, NULL}};
	struct load_fixture *f = *state;

	load_make_elf(f, false, 0x8018, seg, 1);
	put_multiboot_header(f, 0x1000, 0);
	load_ok(f);
	load_check_bytes(f, 0x8000, f->image + 0x1000, 0x800);
	assert_true(f->out.gpr[GPR_RBX] >= MIB);
}

static void make_address_kernel(struct load_fixture *f, uint32_t load_end, uint32_t bss_end)
{
	memset(f->image, 0, IMAGE_SIZE);
	put_multiboot_header(f, 0x20, BIT(16));
	load_put(f->image, 0x2c, 0x200010,
		 4); /* header_addr: 0x10 bytes of the file are left out */
	load_put(f->image, 0x30, 0x200000, 4); /* load_addr */
	load_put(f->image, 0x34, load_end, 4);
	load_put(f->image, 0x38, bss_end, 4);
	load_put(f->image, 0x3c, 0x200100, 4); /* entry_addr */
	for (size_t i = 0x40; i < 0x1010; i++)
		f->image[i] = (uint8_t)i;
	f->req.kernel.size = 0x1010;
}

static void test_multiboot_addresses(void **state)
{
	struct load_fixture *f = *state;
	uint8_t dirt[0x4000];

	memset(dirt, 0xff, sizeof(dirt));
	make_address_kernel(f, 0x200800, 0x203000);
	assert_int_equal(load_detect(&f->req.kernel), PROTO_MULTIBOOT);
	assert_int_equal(guest_write(&f->mem, GPA(0x200000), dirt, sizeof(dirt)), 0);
	load_ok(f);
	load_check_prot32(f, 0x200100);
	load_check_bytes(f, 0x200000, f->image + 0x10, 0x800);
	assert_int_equal(load_peek(f, 0x200800, 8), 0);
	assert_int_equal(load_peek(f, 0x202ff8, 8), 0);
	assert_int_equal(load_peek(f, 0x203000, 1), 0xff);

	make_address_kernel(f, 0, 0); /* all of the file, no bss */
	load_ok(f);
	load_check_bytes(f, 0x200000, f->image + 0x10, 0x1000);
	assert_int_equal(load_peek(f, 0x201000, 1), 0); /* as the load before left it */
}

static void test_multiboot_bad(void **state)
{
	struct load_fixture *f = *state;

	f->req.proto = PROTO_MULTIBOOT;
	load_make_elf(f, false, 0x400000, test_kernel, 2);
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot header in the first 8 KiB");
	put_multiboot_header(f, 0x1002, 0); /* not aligned */
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot header in the first 8 KiB");
	load_make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 0);
	f->image[0x1008]++;
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot header in the first 8 KiB");
	load_make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, BIT(5));
	load_fails(f, -ENOEXEC, "vm t: kernel: multiboot header needs unknown features 0x20");
	load_make_elf(f, false, 0x400800, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 0);
	load_fails(f, -ENOEXEC, "vm t: kernel: ELF entry 0x400800 lies in no segment");
	f->req.module[0] = (struct load_file){f->image, 32 * MIB, NULL};
	f->req.nr_modules = 1;
	load_make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 0);
	load_fails(f, -ENOMEM, "vm t: module: 33554432 bytes do not fit behind the kernel");
	f->req.nr_modules = 0;

	make_address_kernel(f, 0x201001, 0);
	load_fails(f, -ENOEXEC, "vm t: kernel: truncated: multiboot load_end_addr 0x201001");
	make_address_kernel(f, 0x1fffff, 0);
	load_fails(f, -ENOEXEC, "vm t: kernel: truncated: multiboot load_end_addr 0x1fffff");
	make_address_kernel(f, 0, 0);
	load_put(f->image, 0x30, 0x1fff00, 4);
	load_fails(f, -ENOEXEC, "vm t: kernel: multiboot load_addr 0x1fff00 is not in the file");
	make_address_kernel(f, 0x200100, 0);
	load_fails(f, -ENOEXEC, "vm t: kernel: multiboot entry_addr 0x200100 lies outside");
	make_address_kernel(f, 0, 0xfffff000);
	load_fails(f, -ENOMEM,
		   "vm t: kernel: 0xffdff000 bytes at 0x200000 run into the end of memory "
		   "at 0x2000000");
	make_address_kernel(f, 0, 0x1ff000); /* a bss that ends before it begins: none */
	load_ok(f);
}

static void test_truncated_multiboot(void **state)
{
	load_make_elf(*state, false, 0x400000, test_kernel, 2);
	put_multiboot_header(*state, 0x1000, 0);
	load_check_truncations(*state, PROTO_MULTIBOOT);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, load_setup, load_teardown)
	const struct CMUnitTest tests[] = {
		T(test_pvh),
		T(test_pvh_aligned_8),
		T(test_pvh_bad),
		T(test_truncated_pvh),
		T(test_multiboot),
		T(test_multiboot_no_extras),
		T(test_multiboot_low_kernel),
		T(test_multiboot_addresses),
		T(test_multiboot_bad),
		T(test_truncated_multiboot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
