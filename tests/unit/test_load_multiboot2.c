/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader of multiboot2: what the tags of a kernel's header ask for, and the tags that it gets.
 * The numbers are those of the specification (2.0, sections 3.1 and 3.6).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/load_guest.h"

#define HEADER 0x1000 /* where the header is in the file: the first segment's first bytes */

static const struct elf_seg kernel_segments[] = {{LOAD, 0x400000, 0x800, 0x800, NULL},
						 {LOAD, 0x408000, 0x100, 0x10000, NULL}};

/* The header, built tag by tag. */
static size_t pos;

static void finish_header(struct load_fixture *f, size_t at)
{
	uint32_t length = (uint32_t)(pos - at);

	load_put(f->image, at, 0xe85250d6, 4);
	load_put(f->image, at + 4, 0, 4);
	load_put(f->image, at + 8, length, 4);
	load_put(f->image, at + 12, -(0xe85250d6u + length), 4);
}

static void put_tag(struct load_fixture *f, uint16_t type, uint16_t flags, const uint32_t *words,
		    unsigned nr)
{
	pos = (pos + 7) & ~(size_t)7;
	load_put(f->image, pos, type, 2);
	load_put(f->image, pos + 2, flags, 2);
	load_put(f->image, pos + 4, 8 + 4 * nr, 4);
	pos += 8;
	for (unsigned i = 0; i < nr; i++, pos += 4)
		load_put(f->image, pos, words[i], 4);
}

#define TAG(f, type, flags, ...)                                                                   \
	put_tag(f, type, flags, (const uint32_t[]){__VA_ARGS__},                                   \
		sizeof((uint32_t[]){__VA_ARGS__}) / 4)

static void begin_elf(struct load_fixture *f, bool is_64)
{
	load_make_elf(f, is_64, 0x400100, kernel_segments, 2);
	pos = HEADER + 16;
}

static void end_header(struct load_fixture *f)
{
	put_tag(f, 0, 0, NULL, 0);
	finish_header(f, HEADER);
}

/* The information's tag of this type, the nth of them; 0: there is none. */
static uint64_t find_nth(struct load_fixture *f, uint32_t type, unsigned nth)
{
	uint64_t info = f->out.gpr[GPR_RBX], end = info + load_peek(f, info, 4);

	assert_int_equal(info & 7, 0);
	for (uint64_t at = info + 8; at < end; at += (load_peek(f, at + 4, 4) + 7) & ~7ull) {
		assert_true(load_peek(f, at + 4, 4) >= 8);
		if (load_peek(f, at, 4) == type && !nth--)
			return at;
	}
	return 0;
}

static uint64_t find(struct load_fixture *f, uint32_t type)
{
	uint64_t at = find_nth(f, type, 0);

	assert_int_not_equal(at, 0);
	return at;
}

static void test_information(void **state)
{
	struct load_fixture *f = *state;
	uint64_t at;

	for (int is_64 = 0; is_64 <= 1; is_64++) {
		begin_elf(f, is_64);
		TAG(f, 1, 0, 1, 2, 3, 4, 6, 14, 15, 21);
		put_tag(f, 6, 0, NULL, 0); /* modules on pages */
		end_header(f);
		assert_int_equal(load_detect(&f->req.kernel), PROTO_MULTIBOOT2);
		f->req.cmdline = "a b";
		f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
		f->req.module[0] = (struct load_file){"KEY=1\n", 6, "env x"};
		f->req.nr_modules = 1;
		load_ok(f);
		load_check_prot32(f, 0x400100);
		assert_int_equal(f->out.gpr[GPR_RAX], 0x36d76289);
		load_check_string(f, find(f, 1) + 8, "a b");
		load_check_string(f, find(f, 2) + 8, "umbra");
		at = find_nth(f, 3, 0);
		assert_int_equal(load_peek(f, at + 8, 4), 0x418000); /* behind the bss */
		assert_int_equal(load_peek(f, at + 12, 4), 0x418000 + sizeof(f->initrd));
		load_check_string(f, at + 16, "");
		at = find_nth(f, 3, 1);
		assert_int_equal(load_peek(f, at + 8, 4), 0x41a000);
		assert_int_equal(load_peek(f, at + 12, 4), 0x41a006);
		load_check_string(f, at + 16, "env x");
		load_check_bytes(f, 0x41a000, "KEY=1\n", 6);
		assert_int_equal(find_nth(f, 3, 2), 0);
		at = find(f, 4);
		assert_int_equal(load_peek(f, at + 8, 4), 639);
		assert_int_equal(load_peek(f, at + 12, 4), 31 * 1024);
		at = find(f, 6);
		assert_int_equal(load_peek(f, at + 4, 4), 16 + 4 * 24);
		assert_int_equal(load_peek(f, at + 8, 4), 24);
		assert_int_equal(load_peek(f, at + 12, 4), 0);
		load_check_e820(f, at + 16, 24);
		assert_int_equal(load_peek(f, find(f, 21) + 8, 4), 0x400000);
		at = find(f, 0); /* the last */
		assert_int_equal(at + 8,
				 f->out.gpr[GPR_RBX] + load_peek(f, f->out.gpr[GPR_RBX], 4));
	}
}

/* The ACPI root pointer as it lies in the guest's memory. */
static void test_root_pointer(void **state)
{
	struct load_fixture *f = *state;
	const char rsdp[37] = "RSD PTR 123456789abcdefghijklmnopqrs";

	begin_elf(f, true);
	end_header(f);
	assert_int_equal(guest_write(&f->mem, f->req.rsdp, rsdp, 36), 0);
	load_ok(f);
	assert_int_equal(load_peek(f, find(f, 14) + 4, 4), 8 + 20);
	load_check_bytes(f, find(f, 14) + 8, rsdp, 20);
	assert_int_equal(load_peek(f, find(f, 15) + 4, 4), 8 + 36);
	load_check_bytes(f, find(f, 15) + 8, rsdp, 36);
	f->req.rsdp = GPA(0);
	load_ok(f);
	assert_int_equal(find_nth(f, 14, 0), 0);
	assert_int_equal(find_nth(f, 15, 0), 0);
}

/* An entry of the header's own counts before the file's. */
static void test_entry(void **state)
{
	struct load_fixture *f = *state;

	begin_elf(f, true);
	TAG(f, 3, 0, 0x400200);
	end_header(f);
	load_ok(f);
	load_check_prot32(f, 0x400200);
}

static void check_moved(struct load_fixture *f, uint64_t base)
{
	load_ok(f);
	load_check_prot32(f, base + 0x100);
	load_check_bytes(f, base, f->image + 0x1000, 0x800);
	load_check_bytes(f, base + 0x8000, f->image + 0x1800, 0x100);
	assert_int_equal(load_peek(f, find(f, 21) + 8, 4), base);
}

static void relocatable(struct load_fixture *f, uint32_t min, uint32_t max, uint32_t align,
			uint32_t preference)
{
	begin_elf(f, true);
	TAG(f, 10, 0, min, max, align, preference);
	end_header(f);
}

static void test_relocation(void **state)
{
	struct load_fixture *f = *state;

	relocatable(f, 0x200000, 0xffffffff, 0x200000, 0); /* free where it is: it stays */
	check_moved(f, 0x400000);
	relocatable(f, 0x1, 0xffffffff, 0x200000, 1);
	check_moved(f, 0x200000);
	relocatable(f, 0x1, 0xffffff, 0x200000, 2);
	check_moved(f, 0xe00000);
	relocatable(f, 0x1, 0xffffffff, 0x200000, 2); /* a module finds its place below it */
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	check_moved(f, 0x1e00000);
	assert_int_equal(load_peek(f, find(f, 3) + 8, 4), 0x100000);
	f->req.initrd = (struct load_file){0};
	relocatable(f, 0x1, 0xfe7ffe, 0x1000, 2); /* `max` is the last byte that it may take */
	check_moved(f, 0xfcf000);
	relocatable(f, 0x90000, 0xffffffff, 0, 1); /* over the firmware's area; 0 is no alignment */
	check_moved(f, 0x100000);
}

/* Its place is no memory: it goes elsewhere, and without the tag it cannot. */
static void test_relocation_is_needed(void **state)
{
	struct load_fixture *f = *state;

	relocatable(f, 0x100000, 0xffffffff, 0x1000, 0);
	load_put(f->image, 64 + 24, 0x80000000, 8);
	load_put(f->image, 64 + 56 + 24, 0x80008000, 8);
	load_put(f->image, 24, 0x80000100, 8);
	check_moved(f, 0x100000);
}

static void make_addresses(struct load_fixture *f, bool with_entry)
{
	memset(f->image, 0, IMAGE_SIZE);
	pos = 0x20 + 16;
	TAG(f, 2, 0, 0x200010, 0x200000, 0x200800, 0x203000);
	if (with_entry)
		TAG(f, 3, 0, 0x200100);
	put_tag(f, 0, 0, NULL, 0);
	finish_header(f, 0x20);
	for (size_t i = 0x80; i < 0x1010; i++)
		f->image[i] = (uint8_t)i;
	f->req.kernel.size = 0x1010;
}

static void test_addresses(void **state)
{
	struct load_fixture *f = *state;

	make_addresses(f, true);
	load_ok(f);
	load_check_prot32(f, 0x200100);
	load_check_bytes(f, 0x200000, f->image + 0x10, 0x800);
	assert_int_equal(load_peek(f, 0x200800, 8), 0);
	assert_int_equal(load_peek(f, find(f, 21) + 8, 4), 0x200000);
}

/* A load address of all ones: the file from its beginning (3.1.5). */
static void test_all_of_the_file(void **state)
{
	struct load_fixture *f = *state;

	make_addresses(f, true);
	load_put(f->image, 0x30 + 12, 0xffffffff, 4);
	load_put(f->image, 0x30 + 16, 0, 4); /* to its end */
	load_ok(f);
	load_check_bytes(f, 0x200010 - 0x20, f->image, 0x1010);
}

/* What the kernel would like to have, and can do without; a screen and EFI, which nobody has here.
 */
static void test_optional(void **state)
{
	struct load_fixture *f = *state;

	begin_elf(f, true);
	TAG(f, 1, 1, 9, 99);
	TAG(f, 99, 1, 1);
	TAG(f, 4, 0, 3);
	TAG(f, 5, 0, 1024, 768, 32);
	put_tag(f, 7, 0, NULL, 0);
	TAG(f, 8, 0, 0x400300);
	TAG(f, 9, 0, 0x400300);
	end_header(f);
	load_ok(f);
	load_check_prot32(f, 0x400100);
}

static void test_bad(void **state)
{
	struct load_fixture *f = *state;

	f->req.proto = PROTO_MULTIBOOT2;
	begin_elf(f, true);
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot2 header in the first 32 KiB");
	end_header(f);
	f->image[HEADER + 12]++; /* the checksum */
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot2 header in the first 32 KiB");
	begin_elf(f, true);
	TAG(f, 1, 0, 1, 9);
	end_header(f);
	load_fails(f, -ENOEXEC, "vm t: kernel: multiboot2 header needs information of type 9");
	begin_elf(f, true);
	TAG(f, 99, 0, 1);
	end_header(f);
	load_fails(f, -ENOEXEC, "vm t: kernel: multiboot2 header has an unknown tag 99");
	begin_elf(f, true);
	TAG(f, 4, 0, 3);
	end_header(f);
	load_put(f->image, HEADER + 16 + 4, 7, 4);
	load_fails(f, -ENOEXEC, "vm t: kernel: multiboot2 tag 4 has 7 bytes, too many or too few");
	load_put(f->image, HEADER + 16 + 4, 4096, 4);
	load_fails(f, -ENOEXEC,
		   "vm t: kernel: multiboot2 tag 4 has 4096 bytes, too many or too few");
	begin_elf(f, true);
	TAG(f, 3, 0, 0x400800);
	end_header(f);
	load_fails(f, -ENOEXEC, "vm t: kernel: ELF entry 0x400800 lies in no segment");
	make_addresses(f, false);
	load_fails(f, -ENOEXEC,
		   "vm t: kernel: multiboot2 header has addresses, and no entry address");
	relocatable(f, 0x1000000, 0x1010000, 0x1000, 0); /* nor does it fit there */
	load_put(f->image, 64 + 56 + 24, GUEST_RAM, 8);
	load_fails(f, -ENOMEM,
		   "vm t: kernel: 0x10000 bytes at 0x2000000 run into the end of memory "
		   "at 0x2000000");
}

static void test_truncated(void **state)
{
	begin_elf(*state, true);
	end_header(*state);
	load_check_truncations(*state, PROTO_MULTIBOOT2);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, load_setup, load_teardown)
	const struct CMUnitTest tests[] = {
		T(test_information),
		T(test_root_pointer),
		T(test_entry),
		T(test_relocation),
		T(test_relocation_is_needed),
		T(test_addresses),
		T(test_all_of_the_file),
		T(test_optional),
		T(test_bad),
		T(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
