/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linux loader: bzImages and ELF files, made here byte by byte, what they become in the guest's
 * memory, and that nothing is written when anything is wrong with the file.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/load_guest.h"

/* --- bzImages ---------------------------------------------------------------------------- */

#define BZ_SETUP 0x400 /* the boot sector and one setup sector */
#define BZ_CODE  0x1000
#define BZ_INIT  0x400000

static void make_bzimage(struct load_fixture *f, bool is_64)
{
	uint8_t *k = f->image;

	memset(k, 0, IMAGE_SIZE);
	load_put(k, 0x1f1, 1, 1);
	load_put(k, 0x1f4, BZ_CODE / 16, 4);
	load_put(k, 0x1fe, 0xaa55, 2);
	load_put(k, 0x201, 0x6c, 1); /* the header ends at 0x26e */
	memcpy(k + 0x202, "HdrS", 4);
	load_put(k, 0x206, 0x20f, 2);
	load_put(k, 0x211, 1, 1);
	load_put(k, 0x22c, 0x7fffffff, 4);
	load_put(k, 0x230, 0x200000, 4);
	load_put(k, 0x236, is_64 ? 1 : 0, 2);
	load_put(k, 0x238, 100, 4);
	load_put(k, 0x258, 0x1000000, 8);
	load_put(k, 0x260, BZ_INIT, 4);
	load_put(k, 0x26c, 0xbeef, 4); /* its second half lies behind the header's end */
	for (unsigned i = 0; i < BZ_CODE; i++)
		k[BZ_SETUP + i] = (uint8_t)(i * 7 + 1);
	f->req.kernel.size = BZ_SETUP + BZ_CODE;
}

static void test_bzimage_64(void **state)
{
	struct load_fixture *f = *state;
	uint64_t bp, initrd;

	make_bzimage(f, true);
	f->req.cmdline = "console=ttyS0 quiet";
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	load_ok(f);
	load_check_long64(f, 0x1000200);
	load_check_bytes(f, 0x1000000, f->image + BZ_SETUP, BZ_CODE);
	bp = f->out.gpr[GPR_RSI];
	assert_true(bp >= 0x10000 && bp + 4096 <= 0x9fc00);
	load_check_bytes(f, bp + 0x1fe, f->image + 0x1fe, 0x210 - 0x1fe);
	assert_int_equal(load_peek(f, bp + 0x1f1, 1), 1);
	assert_int_equal(load_peek(f, bp + 0x210, 1), 0xff); /* type_of_loader */
	assert_int_equal(load_peek(f, bp + 0x211, 1), 1);
	assert_int_equal(load_peek(f, bp + 0x258, 8), 0x1000000);
	assert_int_equal(load_peek(f, bp + 0x26c, 4), 0xbeef & 0xffff);
	load_check_string(f, load_peek(f, bp + 0x228, 4), "console=ttyS0 quiet");
	assert_int_equal(load_peek(f, bp + 0x070, 8), 0xe0000);
	assert_int_equal(load_peek(f, bp + 0x1e8, 1), 4);
	load_check_e820(f, bp + 0x2d0, 20);
	assert_int_equal(load_peek(f, bp + 0x1ef, 1), 0); /* the sentinel */
	initrd = load_peek(f, bp + 0x218, 4);
	assert_int_equal(load_peek(f, bp + 0x21c, 4), sizeof(f->initrd));
	assert_int_equal(initrd, GUEST_RAM - 0x2000); /* as high as it goes */
	load_check_bytes(f, initrd, f->initrd, sizeof(f->initrd));
}

static void test_bzimage_32(void **state)
{
	struct load_fixture *f = *state;
	uint64_t bp;

	make_bzimage(f, false);
	load_ok(f);
	load_check_prot32(f, 0x1000000);
	bp = f->out.gpr[GPR_RSI];
	load_check_string(f, load_peek(f, bp + 0x228, 4), "");
	assert_int_equal(load_peek(f, bp + 0x218, 8), 0); /* no initrd */

	/* Before protocol 2.12 there was no 64-bit entry, whatever is in the field. */
	make_bzimage(f, true);
	load_put(f->image, 0x206, 0x20b, 2);
	load_ok(f);
	assert_int_equal(f->out.mode, BOOT_PROT32);
}

static void test_bzimage_setup_sects_0(void **state)
{
	struct load_fixture *f = *state;

	make_bzimage(f, true);
	memmove(f->image + 5 * 512, f->image + BZ_SETUP, BZ_CODE);
	load_put(f->image, 0x1f1, 0, 1);
	f->req.kernel.size = 5 * 512 + BZ_CODE;
	load_ok(f);
	load_check_bytes(f, 0x1000000, f->image + 5 * 512, BZ_CODE);
}

/* The count of paragraphs is rounded up, and the file need not be padded. */
static void test_bzimage_ends_in_a_paragraph(void **state)
{
	struct load_fixture *f = *state;

	make_bzimage(f, true);
	f->req.kernel.size -= 15;
	load_ok(f);
	load_check_bytes(f, 0x1000000, f->image + BZ_SETUP, BZ_CODE - 15);
	assert_int_equal(load_peek(f, 0x1000000 + BZ_CODE - 15, 8), 0);
}

static void check_relocated(struct load_fixture *f, uint64_t addr)
{
	load_ok(f);
	load_check_long64(f, addr + 0x200);
	load_check_bytes(f, addr, f->image + BZ_SETUP, BZ_CODE);
	assert_int_equal(load_peek(f, f->out.gpr[GPR_RSI] + 0x214, 4), addr);
}

/* A kernel that can run elsewhere goes elsewhere when its own place is taken, or is no memory. */
static void test_bzimage_relocatable(void **state)
{
	struct load_fixture *f = *state;

	make_bzimage(f, true);
	load_put(f->image, 0x234, 1, 1);
	check_relocated(f, 0x1000000);
	load_put(f->image, 0x258, 0x90000, 8);
	check_relocated(f, 0x200000);
	load_put(f->image, 0x230, 0x1000000, 4);
	check_relocated(f, 0x1000000);
	load_put(f->image, 0x258, 0x1e00000, 8);
	check_relocated(f, 0x1000000);
	load_put(f->image, 0x258, 1ull << 32, 8);
	check_relocated(f, 0x1000000);
}

static void test_initrd_limits(void **state)
{
	struct load_fixture *f = *state;

	make_bzimage(f, true);
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	load_put(f->image, 0x22c, 0x17fffff, 4); /* the last byte allowed */
	load_ok(f);
	assert_int_equal(load_peek(f, f->out.gpr[GPR_RSI] + 0x218, 4), 0x17fe000);

	/* The kernel's init_size is in the way: below it. */
	load_put(f->image, 0x22c, 0x1001fff, 4);
	load_ok(f);
	assert_int_equal(load_peek(f, f->out.gpr[GPR_RSI] + 0x218, 4), 0x1000000 - 0x2000);
}

static void bad_bzimage(struct load_fixture *f, size_t off, uint64_t val, unsigned size, int error,
			const char *err)
{
	make_bzimage(f, true);
	load_put(f->image, off, val, size);
	load_fails(f, error, err);
}

static void test_bzimage_bad(void **state)
{
	struct load_fixture *f = *state;

	bad_bzimage(f, 0x1fe, 0, 2, -ENOEXEC,
		    "vm t: kernel: no boot flag 0xaa55 in the setup header");
	bad_bzimage(f, 0x258, 1ull << 32, 8, -ENOEXEC, "vm t: kernel: wants to load above 4G");
	bad_bzimage(f, 0x1f4, BZ_CODE / 16 + 1, 4, -ENOEXEC,
		    "vm t: kernel: truncated: 5120 bytes of 5136");
	bad_bzimage(f, 0x1f4, UINT32_MAX, 4, -ENOEXEC,
		    "vm t: kernel: truncated: 5120 bytes of 68719477744");
	bad_bzimage(f, 0x1f4, 0, 4, -ENOEXEC, "vm t: kernel: truncated: 5120 bytes of 1024");
	bad_bzimage(f, 0x1f1, 255, 1, -ENOEXEC, "vm t: kernel: truncated: 5120 bytes of 135168");
	bad_bzimage(f, 0x260, 0x1000001, 4, -ENOMEM,
		    "vm t: kernel: 0x1000001 bytes at 0x1000000 run into the end of memory "
		    "at 0x2000000");
	bad_bzimage(f, 0x258, 0x90000, 8, -ENOMEM,
		    "vm t: kernel: 0x400000 bytes at 0x90000 run into the firmware's area "
		    "at 0x9fc00");
	bad_bzimage(f, 0x258, 0xfffff000, 8, -ENOMEM,
		    "vm t: kernel: 0x400000 bytes at 0xfffff000 run into the end of memory "
		    "at 0x2000000");
	make_bzimage(f, true);
	f->req.kernel.size -= 16;
	load_fails(f, -ENOEXEC, "vm t: kernel: truncated: 5104 bytes of 5120");
	make_bzimage(f, true);
	load_put(f->image, 0x234, 1, 1);
	load_put(f->image, 0x258, 1ull << 32, 8);
	load_put(f->image, 0x230, 0x1000001, 4); /* no alignment at all: it stays where it is */
	load_fails(f, -ENOEXEC, "vm t: kernel: wants to load above 4G");
	f->req.cmdline = "0123456789";
	bad_bzimage(f, 0x238, 9, 4, -EINVAL,
		    "vm t: kernel: command line of 10 characters, it takes 9");
	f->req.cmdline = "";
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	bad_bzimage(f, 0x22c, 0x101ffe, 4, -ENOMEM,
		    "vm t: initrd: 5000 bytes do not fit beside the kernel under 0x101fff");
	f->req.initrd.size = 16 * MIB + 1; /* is never read */
	bad_bzimage(f, 0, 0, 0, -ENOMEM,
		    "vm t: initrd: 16777217 bytes do not fit beside the kernel under 0x2000000");
	f->req.initrd = (struct load_file){0};
	f->req.nr_modules = 1;
	bad_bzimage(f, 0, 0, 0, -EINVAL, "vm t: module: the Linux protocol knows an initrd only");
}

static void test_truncated_bzimage(void **state)
{
	make_bzimage(*state, true);
	load_check_truncations(*state, PROTO_AUTO);
}

/* --- in real mode --------------------------------------------------------------------------- */

#define SETUP 0x90000

static void make_old(struct load_fixture *f, unsigned version, bool high)
{
	make_bzimage(f, false);
	load_put(f->image, 0x206, version, 2);
	load_put(f->image, 0x211, high, 1);
}

static void check_real(struct load_fixture *f)
{
	const enum seg data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};

	assert_int_equal(f->out.mode, BOOT_REAL);
	assert_int_equal(f->out.cr0 & 1, 0);
	assert_int_equal(f->out.seg[SEG_CS].base + f->out.rip, 0xf8000); /* the BIOS */
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		assert_int_equal(f->out.seg[data[i]].selector, SETUP >> 4);
		assert_int_equal(f->out.seg[data[i]].base, SETUP);
	}
	assert_int_equal(f->out.gpr[GPR_RSP], 0xe000);
	assert_int_equal(load_peek(f, SETUP + 0x210, 1), 0xff);
	assert_int_equal(load_peek(f, SETUP + 0x1fa, 2), 0xffff); /* video mode: normal */
}

static void test_real_mode(void **state)
{
	struct load_fixture *f = *state;

	f->req.cmdline = "ro";
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	make_old(f, 0x209, true);
	load_ok(f);
	check_real(f);
	load_check_bytes(f, 0x100000, f->image + BZ_SETUP, BZ_CODE);
	assert_int_equal(load_peek(f, SETUP + 0x211, 1), 0x81); /* there is a heap ... */
	assert_int_equal(load_peek(f, SETUP + 0x224, 2), 0xde00);
	assert_int_equal(load_peek(f, SETUP + 0x228, 4), SETUP + 0xe000);
	load_check_string(f, SETUP + 0xe000, "ro");
	assert_int_equal(load_peek(f, SETUP + 0x218, 4), GUEST_RAM - 0x2000);
	assert_int_equal(load_peek(f, SETUP + 0x21c, 4), sizeof(f->initrd));

	/* Before 2.02 the pointer is an offset, and before 2.01 there is no heap. */
	make_old(f, 0x200, false);
	load_ok(f);
	check_real(f);
	load_check_bytes(f, 0x10000, f->image + BZ_SETUP, BZ_CODE);
	assert_int_equal(load_peek(f, SETUP + 0x211, 1), 0);
	assert_int_equal(load_peek(f, SETUP + 0x224, 2), 0);
	assert_int_equal(load_peek(f, SETUP + 0x228, 4), 0);
	assert_int_equal(load_peek(f, SETUP + 0x20, 4), 0xe000a33f);
	assert_int_equal(load_peek(f, SETUP + 0x212, 2), 0xe000 + sizeof("ro"));

	/* A header says how long the kernel is from 2.04 on. */
	make_old(f, 0x203, true);
	load_put(f->image, 0x1f4, 0xffff0001, 4);
	load_ok(f);
	load_check_bytes(f, 0x100000, f->image + BZ_SETUP, BZ_CODE);
	make_old(f, 0x20f, false); /* a zImage of today */
	load_ok(f);
	check_real(f);
	make_bzimage(f, true); /* as the module line asks for */
	f->req.mode = BOOT_REAL;
	load_ok(f);
	check_real(f);
}

static void test_real_mode_bad(void **state)
{
	struct load_fixture *f = *state;
	static char words[300];

	make_old(f, 0x1ff, true);
	load_fails(f, -ENOEXEC, "vm t: kernel: boot protocol 1.255, at least 2.00 is needed");
	memcpy(f->image + 0x202, "none", 4);
	load_fails(f, -ENOEXEC,
		   "vm t: kernel: a boot sector without the setup header of Linux's boot protocol, "
		   "at least 2.00 is needed");
	make_old(f, 0x204, true);
	load_put(f->image, 0x1f4, BZ_CODE / 16 + 1, 4);
	load_fails(f, -ENOEXEC, "vm t: kernel: truncated: 5120 bytes of 5136");
	make_old(f, 0x204, true);
	load_put(f->image, 0x1f1, 9, 1);
	load_fails(f, -ENOEXEC, "vm t: kernel: truncated in its setup sectors: 5120 bytes");
	make_old(f, 0x203, true);
	f->req.kernel.size = IMAGE_SIZE;
	load_put(f->image, 0x1f1, 64, 1);
	load_fails(f, -ENOEXEC, "vm t: kernel: 33280 bytes of setup code, at most 32768 fit");
	memset(words, 'w', 256);
	f->req.cmdline = words;
	make_old(f, 0x205, true);
	load_fails(f, -EINVAL, "vm t: kernel: command line of 256 characters, it takes 255");
	f->req.nr_modules = 1;
	load_fails(f, -EINVAL, "vm t: module: the Linux protocol knows an initrd only");
	f->req.nr_modules = 0;
	make_old(f, 0x206, true);
	load_put(f->image, 0x238, 256, 4);
	load_ok(f);
}

static void test_truncated_old(void **state)
{
	make_old(*state, 0x209, true);
	load_check_truncations(*state, PROTO_AUTO);
}

/* --- ELF ------------------------------------------------------------------------------------ */

static void test_vmlinux_64(void **state)
{
	struct load_fixture *f = *state;
	uint64_t bp;

	load_make_elf(f, true, 0x1000010, load_two_segments, 2);
	f->req.cmdline = "quiet";
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	load_ok(f);
	load_check_long64(f, 0x1000010);
	load_check_bytes(f, 0x1000000, f->image + 0x1000, 0x800);
	load_check_bytes(f, 0x1200000, f->image + 0x1800, 0x100);
	bp = f->out.gpr[GPR_RSI];
	assert_int_equal(load_peek(f, bp + 0x1fe, 2), 0xaa55);
	load_check_bytes(f, bp + 0x202, "HdrS", 4);
	assert_int_equal(load_peek(f, bp + 0x206, 2), 0x20f);
	assert_int_equal(load_peek(f, bp + 0x210, 1), 0xff);
	assert_int_equal(load_peek(f, bp + 0x211, 1), 1);
	load_check_string(f, load_peek(f, bp + 0x228, 4), "quiet");
	assert_int_equal(load_peek(f, bp + 0x218, 4), GUEST_RAM - 0x2000);
	load_check_e820(f, bp + 0x2d0, 20);
}

static void test_vmlinux_32(void **state)
{
	struct load_fixture *f = *state;

	load_make_elf(f, false, 0x1000000, load_two_segments, 2);
	load_ok(f);
	load_check_prot32(f, 0x1000000);
	assert_int_equal(load_peek(f, f->out.gpr[GPR_RSI] + 0x22c, 4), 0x37ffffff);
}

/* A virtual e_entry counts in its segment, as the ELF specification has it; also above 4G. */
static void test_virtual_entry(void **state)
{
	struct load_fixture *f = *state;

	load_make_elf(f, true, 0xffffffff81000010, load_two_segments, 2);
	load_put(f->image, 64 + 16, 0xffffffff81000000, 8);
	load_ok(f);
	load_check_long64(f, 0x1000010);
	load_make_elf(f, false, 0xc1200010, load_two_segments, 2);
	load_put(f->image, 52 + 32 + 8, 0xc1200000, 4);
	load_ok(f);
	load_check_prot32(f, 0x1200010);
	/* The last byte of the segment. */
	load_put(f->image, 24, 0xc1202fff, 4);
	load_ok(f);
	load_check_prot32(f, 0x1202fff);
}

/* A first segment with the file's headers in the page below 1 MiB, as linkers make it. */
static void test_headers_below_1m(void **state)
{
	static const struct elf_seg seg[] = {{LOAD, 0xff000, 0x1800, 0x2000, NULL}};
	struct load_fixture *f = *state;
	uint64_t before = load_peek(f, 0xff000, 8);

	load_make_elf(f, true, 0x100010, seg, 1);
	load_ok(f);
	load_check_long64(f, 0x100010);
	load_check_bytes(f, 0x100000, f->image + 0x2000, 0x800);
	assert_int_equal(load_peek(f, 0x100800, 8), 0);
	assert_int_equal(load_peek(f, 0xff000, 8), before);
}

/* Memory of a segment behind its file contents is zero, whatever was there. */
static void test_bss_is_cleared(void **state)
{
	struct load_fixture *f = *state;
	uint8_t dirt = 0xff;

	assert_int_equal(guest_write(&f->mem, GPA(0x1000800), &dirt, 1), 0);
	assert_int_equal(guest_write(&f->mem, GPA(0x1202fff), &dirt, 1), 0);
	assert_int_equal(guest_write(&f->mem, GPA(0x1203000), &dirt, 1), 0);
	load_make_elf(f, true, 0x1000000, load_two_segments, 2);
	load_ok(f);
	assert_int_equal(load_peek(f, 0x1000800, 1), 0);
	assert_int_equal(load_peek(f, 0x1202fff, 1), 0);
	assert_int_equal(load_peek(f, 0x1203000, 1), 0xff);
}

static void bad_elf(struct load_fixture *f, size_t off, uint64_t val, unsigned size, int error,
		    const char *err)
{
	load_make_elf(f, true, 0x1000000, load_two_segments, 2);
	load_put(f->image, off, val, size);
	f->req.proto = PROTO_LINUX;
	load_fails(f, error, err);
}

static void test_elf_bad(void **state)
{
	struct load_fixture *f = *state;
	const size_t ph = 64, ph2 = 64 + 56;

	bad_elf(f, 1, 0, 1, -ENOEXEC, "vm t: kernel: not an ELF file");
	bad_elf(f, 4, 3, 1, -ENOEXEC, "vm t: kernel: ELF class neither 32 nor 64 bits");
	bad_elf(f, 5, 2, 1, -ENOEXEC, "vm t: kernel: ELF for a big-endian machine");
	bad_elf(f, 16, 1, 2, -ENOEXEC, "vm t: kernel: ELF file that is not executable");
	bad_elf(f, 18, 183, 2, -ENOEXEC, "vm t: kernel: ELF for another machine than x86");
	bad_elf(f, 54, 55, 2, -ENOEXEC, "vm t: kernel: ELF program headers of a wrong size");
	bad_elf(f, 56, 257, 2, -ENOEXEC, "vm t: kernel: too many ELF program headers");
	bad_elf(f, 56, 0, 2, -ENOEXEC, "vm t: kernel: ELF file without anything to load");
	bad_elf(f, 32, UINT64_MAX, 8, -ENOEXEC, "vm t: kernel: truncated ELF program headers");
	bad_elf(f, 32, UINT64_MAX - 55, 8, -ENOEXEC, "vm t: kernel: truncated ELF program headers");
	bad_elf(f, 24, 0x1001000, 8, -ENOEXEC,
		"vm t: kernel: ELF entry 0x1001000 lies in no segment");
	bad_elf(f, ph + 8, UINT64_MAX, 8, -ENOEXEC, "vm t: kernel: truncated ELF segment");
	bad_elf(f, ph + 32, 0x10000, 8, -ENOEXEC, "vm t: kernel: truncated ELF segment");
	bad_elf(f, ph + 40, 0x7ff, 8, -ENOEXEC,
		"vm t: kernel: ELF segment with more bytes in the file than in memory");
	bad_elf(f, ph + 24, UINT64_MAX - 0x100, 8, -ENOEXEC,
		"vm t: kernel: ELF segment that wraps around");
	bad_elf(f, ph2 + 24, 0x1000fff, 8, -ENOMEM,
		"vm t: kernel: 0x3000 bytes at 0x1000fff run into kernel at 0x1000000");
	bad_elf(f, ph2 + 24, 0xffffff, 8, -ENOMEM,
		"vm t: kernel: 0x3000 bytes at 0xffffff run into kernel at 0x1000000");
	bad_elf(f, ph2 + 24, GUEST_RAM - 0x2fff, 8, -ENOMEM,
		"vm t: kernel: 0x3000 bytes at 0x1ffd001 run into the end of memory at 0x2000000");
	bad_elf(f, ph2 + 24, 0x9d000, 8, -ENOMEM,
		"vm t: kernel: 0x3000 bytes at 0x9d000 run into the firmware's area at 0x9fc00");
	bad_elf(f, ph2 + 24, 1ull << 32, 8, -ENOMEM,
		"vm t: kernel: 0x3000 bytes at 0x100000000 run into the end of memory "
		"at 0x100000000");
	/* Nothing of it in memory. */
	bad_elf(f, ph2 + 24, 0xfd000, 8, -ENOMEM,
		"vm t: kernel: 0x3000 bytes at 0xfd000 run into the firmware's area at 0x9fc00");
	bad_elf(f, ph2 + 40, 1ull << 62, 8, -ENOMEM,
		"vm t: kernel: 0x4000000000000000 bytes at 0x1200000 run into the end of memory "
		"at 0x2000000");
}

static void test_too_many_segments(void **state)
{
	struct load_fixture *f = *state;
	struct elf_seg seg[17];

	for (unsigned i = 0; i < 17; i++)
		seg[i] = (struct elf_seg){LOAD, 0x1000000 + i * 0x1000, 16, 16, NULL};
	load_make_elf(f, true, 0x1000000, seg, 16);
	load_ok(f);
	load_make_elf(f, true, 0x1000000, seg, 17);
	assert_int_equal(load_try(f), -ENOEXEC);
	assert_string_equal(f->err, "vm t: kernel: too many ELF segments");
}

static void test_truncated_elf(void **state)
{
	load_make_elf(*state, true, 0x1000000, load_two_segments, 2);
	load_check_truncations(*state, PROTO_LINUX);
}

static void test_truncated_elf_32(void **state)
{
	load_make_elf(*state, false, 0x1000000, load_two_segments, 2);
	load_check_truncations(*state, PROTO_LINUX);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, load_setup, load_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bzimage_64),
		T(test_bzimage_32),
		T(test_bzimage_setup_sects_0),
		T(test_bzimage_ends_in_a_paragraph),
		T(test_bzimage_relocatable),
		T(test_initrd_limits),
		T(test_bzimage_bad),
		T(test_truncated_bzimage),
		T(test_real_mode),
		T(test_real_mode_bad),
		T(test_truncated_old),
		T(test_vmlinux_64),
		T(test_vmlinux_32),
		T(test_bss_is_cleared),
		T(test_virtual_entry),
		T(test_headers_below_1m),
		T(test_elf_bad),
		T(test_too_many_segments),
		T(test_truncated_elf),
		T(test_truncated_elf_32),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
