/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest loaders, on kernels made here byte by byte: what they put into guest memory, the
 * CPU state, and that nothing is written when anything is wrong with the file.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"
#include "vmm/dev/e820.h"
#include "vmm/load/load.h"
#include "vmm/load/space.h"

#define MIB        (1ull << 20)
#define GUEST_RAM  (32 * MIB)
#define IMAGE_SIZE 0x8000
#define ROM_SLOT   1

struct fixture {
	struct guest_memory mem;
	uint8_t image[IMAGE_SIZE];
	uint8_t initrd[5000];
	struct load_request req;
	struct boot_state out;
	char err[200];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	host_arena_with_frames(64 * MIB);
	grace_exit_guest(grace_cpu());
	slots_init(&f->mem);
	assert_int_equal(slots_create(&f->mem, 0, GFN(0), GUEST_RAM >> PAGE_SHIFT, 0), 0);
	memset(f->initrd, 0x5a, sizeof(f->initrd));
	f->req.vm = "t";
	f->req.cmdline = "";
	f->req.ram_bytes = GUEST_RAM;
	f->req.rsdp = GPA(0xe0000);
	f->req.kernel = (struct load_file){f->image, sizeof(f->image), NULL};
	memset(&f->out, 0xee, sizeof(f->out));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	slots_destroy(&((struct fixture *)*state)->mem);
	grace_enter_guest(grace_cpu());
	host_arena_destroy();
	free(*state);
	return 0;
}

static int load(struct fixture *f)
{
	f->err[0] = '\0';
	return load_guest(&f->req, &f->mem, &f->out, f->err, sizeof(f->err));
}

static void load_ok(struct fixture *f)
{
	int error = load(f);

	if (error)
		fail_msg("%d: %s", error, f->err);
}

static uint64_t peek(struct fixture *f, uint64_t addr, unsigned size)
{
	uint64_t val = 0;

	assert_int_equal(guest_read(&f->mem, GPA(addr), &val, size), 0);
	return val;
}

static void check_bytes(struct fixture *f, uint64_t addr, const void *expect, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_int_equal(guest_read(&f->mem, GPA(addr), buf, len), 0);
	assert_memory_equal(buf, expect, len);
	free(buf);
}

static void check_string(struct fixture *f, uint64_t addr, const char *expect)
{
	check_bytes(f, addr, expect, strlen(expect) + 1);
}

/* All of guest memory is still zero. */
static bool is_untouched(struct fixture *f)
{
	static const uint8_t zero[PAGE_SIZE];
	uint8_t page[PAGE_SIZE];

	for (uint64_t a = 0; a < GUEST_RAM; a += PAGE_SIZE) {
		guest_read(&f->mem, GPA(a), page, sizeof(page));
		if (memcmp(page, zero, sizeof(page)))
			return false;
	}
	return true;
}

static void load_fails(struct fixture *f, int error, const char *err)
{
	assert_int_equal(load(f), error);
	assert_string_equal(f->err, err);
	assert_true(is_untouched(f));
}

static void put(void *to, size_t off, uint64_t val, unsigned size)
{
	memcpy((uint8_t *)to + off, &val, size);
}

/* --- kernels ---------------------------------------------------------------------------- */

#define BZ_SETUP 0x400 /* the boot sector and one setup sector */
#define BZ_CODE  0x1000
#define BZ_INIT  0x400000

static void make_bzimage(struct fixture *f, bool is_64)
{
	uint8_t *k = f->image;

	memset(k, 0, IMAGE_SIZE);
	put(k, 0x1f1, 1, 1);
	put(k, 0x1f4, BZ_CODE / 16, 4);
	put(k, 0x1fe, 0xaa55, 2);
	put(k, 0x201, 0x6c, 1); /* the header ends at 0x26e */
	memcpy(k + 0x202, "HdrS", 4);
	put(k, 0x206, 0x20f, 2);
	put(k, 0x211, 1, 1);
	put(k, 0x22c, 0x7fffffff, 4);
	put(k, 0x230, 0x200000, 4);
	put(k, 0x234, 1, 1);
	put(k, 0x236, is_64 ? 1 : 0, 2);
	put(k, 0x238, 100, 4);
	put(k, 0x258, 0x1000000, 8);
	put(k, 0x260, BZ_INIT, 4);
	put(k, 0x26c, 0xbeef, 4); /* its second half lies behind the header's end */
	for (unsigned i = 0; i < BZ_CODE; i++)
		k[BZ_SETUP + i] = (uint8_t)(i * 7 + 1);
	f->req.kernel.size = BZ_SETUP + BZ_CODE;
}

struct elf_seg {
	uint32_t type;
	uint64_t paddr, filesz, memsz;
	const void *data; /* NULL: a pattern */
};

/* An ELF file with these segments, their contents from 0x1000 on. */
static void make_elf(struct fixture *f, bool is_64, uint64_t entry, const struct elf_seg *seg,
		     unsigned nr)
{
	unsigned ph_size = is_64 ? 56 : 32, ph_off = is_64 ? 64 : 52;
	size_t off = 0x1000;
	uint8_t *k = f->image;

	memset(k, 0, IMAGE_SIZE);
	memcpy(k, "\177ELF", 4);
	put(k, 4, is_64 ? 2 : 1, 1);
	put(k, 5, 1, 1);
	put(k, 6, 1, 1);
	put(k, 16, 2, 2);
	put(k, 18, is_64 ? 62 : 3, 2);
	put(k, 20, 1, 4);
	put(k, 24, entry, is_64 ? 8 : 4);
	put(k, is_64 ? 32 : 28, ph_off, is_64 ? 8 : 4);
	put(k, is_64 ? 54 : 42, ph_size, 2);
	put(k, is_64 ? 56 : 44, nr, 2);
	for (unsigned i = 0; i < nr; i++) {
		uint8_t *p = k + ph_off + i * ph_size;

		put(p, 0, seg[i].type, 4);
		put(p, is_64 ? 8 : 4, off, is_64 ? 8 : 4);
		put(p, is_64 ? 24 : 12, seg[i].paddr, is_64 ? 8 : 4);
		put(p, is_64 ? 32 : 16, seg[i].filesz, is_64 ? 8 : 4);
		put(p, is_64 ? 40 : 20, seg[i].memsz, is_64 ? 8 : 4);
		put(p, is_64 ? 48 : 28, 4, 4);
		for (size_t j = 0; j < seg[i].filesz; j++)
			k[off + j] = seg[i].data ? ((const uint8_t *)seg[i].data)[j]
						 : (uint8_t)(0x11 * (i + 1) + j);
		off += seg[i].filesz;
	}
	f->req.kernel.size = off;
}

#define LOAD 1
#define NOTE 4
static const struct elf_seg two_segments[] = {{LOAD, 0x1000000, 0x800, 0x1000, NULL},
					      {LOAD, 0x1200000, 0x100, 0x3000, NULL}};

/* --- what all states share --------------------------------------------------------------- */

static void check_flat_segments(const struct boot_state *s, bool long_mode)
{
	static const enum seg data[] = {SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		const struct segment *d = &s->seg[data[i]];

		assert_int_equal(d->selector, 0x18);
		assert_int_equal(d->base, 0);
		assert_int_equal(d->limit, UINT32_MAX);
		assert_int_equal(d->attr, 0xc93);
	}
	assert_int_equal(s->seg[SEG_CS].selector, 0x10);
	assert_int_equal(s->seg[SEG_CS].base, 0);
	assert_int_equal(s->seg[SEG_CS].attr, long_mode ? 0xa9b : 0xc9b);
	assert_int_equal(s->seg[SEG_TR].attr, 0x8b);
	assert_int_equal(s->rflags, 2);
}

static void check_prot32(struct fixture *f, uint64_t rip)
{
	const struct boot_state *s = &f->out;

	assert_int_equal(s->mode, BOOT_PROT32);
	assert_int_equal(s->rip, rip);
	assert_int_equal(s->cr0, 0x11); /* PE, ET */
	assert_int_equal(s->cr3, 0);
	assert_int_equal(s->cr4, 0);
	assert_int_equal(s->efer, 0);
	check_flat_segments(s, false);
	assert_int_equal(peek(f, s->gdt.base + 0x10, 8), 0x00cf9b000000ffff);
	assert_int_equal(peek(f, s->gdt.base + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(s->gdt.limit, 0x1f);
}

/* What the tables at CR3 make of an address, by the book; -1 if it is not mapped. */
static uint64_t translate(struct fixture *f, uint64_t cr3, uint64_t va)
{
	uint64_t e = cr3;

	for (int shift = 39; shift > 12; shift -= 9) {
		e = peek(f, (e & 0xffffffffff000) + ((va >> shift) & 511) * 8, 8);
		if (!(e & 1) || !(e & 2))
			return UINT64_MAX;
		if (e & 0x80)
			return (e & ~((1ull << shift) - 1) & 0xffffffffff000) |
			       (va & ((1ull << shift) - 1));
	}
	return UINT64_MAX;
}

static void check_long64(struct fixture *f, uint64_t rip)
{
	const struct boot_state *s = &f->out;

	assert_int_equal(s->mode, BOOT_LONG64);
	assert_int_equal(s->rip, rip);
	assert_int_equal(s->cr0, 0x80000031); /* PG, NE, ET, PE */
	assert_int_equal(s->cr4, 0x20);       /* PAE */
	assert_int_equal(s->efer, 0x500);     /* LMA, LME */
	check_flat_segments(s, true);
	assert_int_equal(peek(f, s->gdt.base + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(translate(f, s->cr3, 0), 0);
	assert_int_equal(translate(f, s->cr3, 0x1234567), 0x1234567);
	assert_int_equal(translate(f, s->cr3, 0xffffffff), 0xffffffff);
	assert_int_equal(translate(f, s->cr3, 1ull << 32), UINT64_MAX);
}

static void check_e820(struct fixture *f, uint64_t addr, unsigned stride)
{
	static const struct e820_entry expect[] = {{0, 0x9fc00, E820_RAM},
						   {0x9fc00, 0x60400, E820_RESERVED},
						   {0x100000, GUEST_RAM - MIB, E820_RAM},
						   {0xfec00000, 0x1400000, E820_RESERVED}};

	for (unsigned i = 0; i < ARRAY_SIZE(expect); i++)
		check_bytes(f, addr + i * stride, &expect[i], sizeof(expect[i]));
}

/* --- Linux ------------------------------------------------------------------------------- */

static void test_bzimage_64(void **state)
{
	struct fixture *f = *state;
	uint64_t bp, initrd;

	make_bzimage(f, true);
	f->req.cmdline = "console=ttyS0 quiet";
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	load_ok(f);
	check_long64(f, 0x1000200);
	check_bytes(f, 0x1000000, f->image + BZ_SETUP, BZ_CODE);
	bp = f->out.gpr[GPR_RSI];
	assert_true(bp >= 0x10000 && bp + 4096 <= 0x9fc00);
	check_bytes(f, bp + 0x1fe, f->image + 0x1fe, 0x210 - 0x1fe);
	assert_int_equal(peek(f, bp + 0x1f1, 1), 1);
	assert_int_equal(peek(f, bp + 0x210, 1), 0xff); /* type_of_loader */
	assert_int_equal(peek(f, bp + 0x211, 1), 1);
	assert_int_equal(peek(f, bp + 0x258, 8), 0x1000000);
	assert_int_equal(peek(f, bp + 0x26c, 4), 0xbeef & 0xffff);
	check_string(f, peek(f, bp + 0x228, 4), "console=ttyS0 quiet");
	assert_int_equal(peek(f, bp + 0x070, 8), 0xe0000);
	assert_int_equal(peek(f, bp + 0x1e8, 1), 4);
	check_e820(f, bp + 0x2d0, 20);
	assert_int_equal(peek(f, bp + 0x1ef, 1), 0); /* the sentinel */
	initrd = peek(f, bp + 0x218, 4);
	assert_int_equal(peek(f, bp + 0x21c, 4), sizeof(f->initrd));
	assert_int_equal(initrd, GUEST_RAM - 0x2000); /* as high as it goes */
	check_bytes(f, initrd, f->initrd, sizeof(f->initrd));
}

static void test_bzimage_32(void **state)
{
	struct fixture *f = *state;
	uint64_t bp;

	make_bzimage(f, false);
	load_ok(f);
	check_prot32(f, 0x1000000);
	bp = f->out.gpr[GPR_RSI];
	check_string(f, peek(f, bp + 0x228, 4), "");
	assert_int_equal(peek(f, bp + 0x218, 8), 0); /* no initrd */

	/* Before protocol 2.12 there was no 64-bit entry, whatever is in the field. */
	make_bzimage(f, true);
	put(f->image, 0x206, 0x20b, 2);
	load_ok(f);
	assert_int_equal(f->out.mode, BOOT_PROT32);
}

static void test_bzimage_setup_sects_0(void **state)
{
	struct fixture *f = *state;

	make_bzimage(f, true);
	memmove(f->image + 5 * 512, f->image + BZ_SETUP, BZ_CODE);
	put(f->image, 0x1f1, 0, 1);
	f->req.kernel.size = 5 * 512 + BZ_CODE;
	load_ok(f);
	check_bytes(f, 0x1000000, f->image + 5 * 512, BZ_CODE);
}

static void test_initrd_limits(void **state)
{
	struct fixture *f = *state;

	make_bzimage(f, true);
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	put(f->image, 0x22c, 0x17fffff, 4); /* the last byte allowed */
	load_ok(f);
	assert_int_equal(peek(f, f->out.gpr[GPR_RSI] + 0x218, 4), 0x17fe000);

	/* The kernel's init_size is in the way: below it. */
	put(f->image, 0x22c, 0x1001fff, 4);
	load_ok(f);
	assert_int_equal(peek(f, f->out.gpr[GPR_RSI] + 0x218, 4), 0x1000000 - 0x2000);
}

static void bad_bzimage(struct fixture *f, size_t off, uint64_t val, unsigned size, int error,
			const char *err)
{
	make_bzimage(f, true);
	put(f->image, off, val, size);
	load_fails(f, error, err);
}

static void test_bzimage_bad(void **state)
{
	struct fixture *f = *state;

	bad_bzimage(f, 0x1fe, 0, 2, -ENOEXEC,
		    "vm t: kernel: no boot flag 0xaa55 in the setup header");
	bad_bzimage(f, 0x206, 0x209, 2, -ENOEXEC,
		    "vm t: kernel: boot protocol 2.09, at least 2.10 is needed");
	bad_bzimage(f, 0x211, 0, 1, -ENOEXEC, "vm t: kernel: a zImage, which loads low");
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

/* Every truncation of every kind of kernel: an error, and an untouched guest. */
static void check_truncations(struct fixture *f, enum boot_proto proto)
{
	size_t size = f->req.kernel.size;
	uint8_t *copy;

	f->req.proto = proto;
	for (size_t n = 0; n < size; n += n < 0x600 ? 1 : 97) {
		copy = malloc(n + 1); /* the sanitizer sees the first byte too many */
		memcpy(copy, f->image, n);
		f->req.kernel = (struct load_file){copy, n, NULL};
		assert_true(load(f) < 0);
		assert_true(strncmp(f->err, "vm t: ", 6) == 0);
		free(copy);
	}
	assert_true(is_untouched(f));
	f->req.kernel = (struct load_file){f->image, size, NULL};
	load_ok(f);
}

static void test_truncated_bzimage(void **state)
{
	make_bzimage(*state, true);
	check_truncations(*state, PROTO_AUTO);
}

static void test_vmlinux_64(void **state)
{
	struct fixture *f = *state;
	uint64_t bp;

	make_elf(f, true, 0x1000010, two_segments, 2);
	f->req.cmdline = "quiet";
	f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
	load_ok(f);
	check_long64(f, 0x1000010);
	check_bytes(f, 0x1000000, f->image + 0x1000, 0x800);
	check_bytes(f, 0x1200000, f->image + 0x1800, 0x100);
	bp = f->out.gpr[GPR_RSI];
	assert_int_equal(peek(f, bp + 0x1fe, 2), 0xaa55);
	check_bytes(f, bp + 0x202, "HdrS", 4);
	assert_int_equal(peek(f, bp + 0x206, 2), 0x20f);
	assert_int_equal(peek(f, bp + 0x210, 1), 0xff);
	assert_int_equal(peek(f, bp + 0x211, 1), 1);
	check_string(f, peek(f, bp + 0x228, 4), "quiet");
	assert_int_equal(peek(f, bp + 0x218, 4), GUEST_RAM - 0x2000);
	check_e820(f, bp + 0x2d0, 20);
}

static void test_vmlinux_32(void **state)
{
	struct fixture *f = *state;

	make_elf(f, false, 0x1000000, two_segments, 2);
	load_ok(f);
	check_prot32(f, 0x1000000);
	assert_int_equal(peek(f, f->out.gpr[GPR_RSI] + 0x22c, 4), 0x37ffffff);
}

/* Memory of a segment behind its file contents is zero, whatever was there. */
static void test_bss_is_cleared(void **state)
{
	struct fixture *f = *state;
	uint8_t dirt = 0xff;

	assert_int_equal(guest_write(&f->mem, GPA(0x1000800), &dirt, 1), 0);
	assert_int_equal(guest_write(&f->mem, GPA(0x1202fff), &dirt, 1), 0);
	assert_int_equal(guest_write(&f->mem, GPA(0x1203000), &dirt, 1), 0);
	make_elf(f, true, 0x1000000, two_segments, 2);
	load_ok(f);
	assert_int_equal(peek(f, 0x1000800, 1), 0);
	assert_int_equal(peek(f, 0x1202fff, 1), 0);
	assert_int_equal(peek(f, 0x1203000, 1), 0xff);
}

static void bad_elf(struct fixture *f, size_t off, uint64_t val, unsigned size, int error,
		    const char *err)
{
	make_elf(f, true, 0x1000000, two_segments, 2);
	put(f->image, off, val, size);
	f->req.proto = PROTO_LINUX;
	load_fails(f, error, err);
}

static void test_elf_bad(void **state)
{
	struct fixture *f = *state;
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
	bad_elf(f, ph2 + 40, 1ull << 62, 8, -ENOMEM,
		"vm t: kernel: 0x4000000000000000 bytes at 0x1200000 run into the end of memory "
		"at 0x2000000");
}

static void test_too_many_segments(void **state)
{
	struct fixture *f = *state;
	struct elf_seg seg[17];

	for (unsigned i = 0; i < 17; i++)
		seg[i] = (struct elf_seg){LOAD, 0x1000000 + i * 0x1000, 16, 16, NULL};
	make_elf(f, true, 0x1000000, seg, 16);
	load_ok(f);
	make_elf(f, true, 0x1000000, seg, 17);
	assert_int_equal(load(f), -ENOEXEC);
	assert_string_equal(f->err, "vm t: kernel: too many ELF segments");
}

static void test_truncated_elf(void **state)
{
	make_elf(*state, true, 0x1000000, two_segments, 2);
	check_truncations(*state, PROTO_LINUX);
}

static void test_truncated_elf_32(void **state)
{
	make_elf(*state, false, 0x1000000, two_segments, 2);
	check_truncations(*state, PROTO_LINUX);
}

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
	struct fixture *f = *state;
	uint64_t si, mod;

	for (int is_64 = 0; is_64 <= 1; is_64++) {
		make_elf(f, is_64, 0x1000000, pvh_segments, 2);
		assert_int_equal(load_detect(&f->req.kernel), PROTO_PVH);
		f->req.cmdline = "a b";
		f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
		load_ok(f);
		check_prot32(f, 0x1000020);
		si = f->out.gpr[GPR_RBX];
		assert_int_equal(peek(f, si, 4), 0x336ec578);
		assert_int_equal(peek(f, si + 4, 4), 1);
		assert_int_equal(peek(f, si + 12, 4), 1);
		mod = peek(f, si + 16, 8);
		check_string(f, peek(f, si + 24, 8), "a b");
		assert_int_equal(peek(f, si + 32, 8), 0xe0000);
		assert_int_equal(peek(f, si + 48, 4), 4);
		check_e820(f, peek(f, si + 40, 8), 24);
		assert_int_equal(peek(f, mod, 8), GUEST_RAM - 0x2000);
		assert_int_equal(peek(f, mod + 8, 8), sizeof(f->initrd));
	}
	f->req.initrd = (struct load_file){0};
	load_ok(f);
	assert_int_equal(peek(f, f->out.gpr[GPR_RBX] + 12, 4), 0);
	assert_int_equal(peek(f, f->out.gpr[GPR_RBX] + 16, 8), 0);
}

/* A note of 8 bytes in a segment that is aligned to 8. */
static void test_pvh_aligned_8(void **state)
{
	static const uint8_t notes[] = {4,   0,   0,   0, 8, 0, 0, 0, 18, 0, 0, 0,
					'X', 'e', 'n', 0, 0, 0, 0, 1, 0,  0, 0, 0};
	const struct elf_seg seg[] = {{LOAD, 0x1000000, 0x800, 0x1000, NULL},
				      {NOTE, 0, sizeof(notes), 0, notes}};
	struct fixture *f = *state;

	make_elf(f, true, 0x1000004, seg, 2);
	put(f->image, 64 + 56 + 48, 8, 8);
	load_ok(f);
	check_prot32(f, 0x1000000);
}

static void test_pvh_bad(void **state)
{
	struct fixture *f = *state;

	f->req.proto = PROTO_PVH;
	make_elf(f, true, 0x1000000, two_segments, 2);
	load_fails(f, -ENOEXEC, "vm t: kernel: ELF file without a PVH note");
	make_elf(f, true, 0x1000000, pvh_segments, 2);
	f->image[f->req.kernel.size - 1] = 2;
	load_fails(f, -ENOEXEC, "vm t: kernel: PVH entry 0x2000020 lies in no segment");
	make_elf(f, true, 0x1000000, pvh_segments, 2);
	f->req.nr_modules = 1;
	load_fails(f, -EINVAL, "vm t: module: the PVH protocol is given an initrd only");
	f->req.nr_modules = 0;
	for (size_t i = 0; i < sizeof(pvh_notes); i++) { /* sizes gone mad: no more than no note */
		make_elf(f, true, 0x1000000, pvh_segments, 2);
		f->image[0x1800 + i] = 0xff;
		load(f);
	}
}

static void test_truncated_pvh(void **state)
{
	make_elf(*state, true, 0x1000000, pvh_segments, 2);
	check_truncations(*state, PROTO_PVH);
}

/* --- multiboot --------------------------------------------------------------------------- */

static void put_multiboot_header(struct fixture *f, size_t off, uint32_t flags)
{
	put(f->image, off, 0x1badb002, 4);
	put(f->image, off + 4, flags, 4);
	put(f->image, off + 8, (uint32_t) - (0x1badb002 + flags), 4);
}

static const struct elf_seg test_kernel[] = {{LOAD, 0x400000, 0x800, 0x800, NULL},
					     {LOAD, 0x408000, 0x100, 0x10000, NULL}};

static void test_multiboot(void **state)
{
	struct fixture *f = *state;
	uint64_t mbi, mods;

	for (int is_64 = 0; is_64 <= 1; is_64++) {
		make_elf(f, is_64, 0x4000bc, test_kernel, 2);
		put_multiboot_header(f, 0x1000, 0);
		assert_int_equal(load_detect(&f->req.kernel), PROTO_MULTIBOOT);
		f->req.cmdline = "a b";
		f->req.initrd = (struct load_file){f->initrd, sizeof(f->initrd), NULL};
		f->req.module[0] = (struct load_file){"KEY=1\n", 6, "env x"};
		f->req.nr_modules = 1;
		load_ok(f);
		check_prot32(f, 0x4000bc);
		assert_int_equal(f->out.gpr[GPR_RAX], 0x2badb002);
		mbi = f->out.gpr[GPR_RBX];
		assert_true(mbi >= 0x10000 && mbi < 0x9fc00); /* real-mode guests live below */
		assert_int_equal(peek(f, mbi, 4), BIT(0) | BIT(2) | BIT(3) | BIT(6) | BIT(9));
		assert_int_equal(peek(f, mbi + 4, 4), 639);
		assert_int_equal(peek(f, mbi + 8, 4), 31 * 1024);
		check_string(f, peek(f, mbi + 16, 4), "t a b");
		assert_int_equal(peek(f, mbi + 20, 4), 2);
		mods = peek(f, mbi + 24, 4);
		assert_int_equal(peek(f, mods, 4), 0x418000); /* behind the kernel's bss */
		assert_int_equal(peek(f, mods + 4, 4), 0x418000 + sizeof(f->initrd));
		check_string(f, peek(f, mods + 8, 4), "");
		assert_int_equal(peek(f, mods + 16, 4), 0x41a000);
		assert_int_equal(peek(f, mods + 20, 4), 0x41a006);
		check_string(f, peek(f, mods + 24, 4), "env x");
		check_bytes(f, 0x41a000, "KEY=1\n", 6);
		assert_int_equal(peek(f, mbi + 44, 4), 4 * 24);
		assert_int_equal(peek(f, peek(f, mbi + 48, 4), 4), 20);
		check_e820(f, peek(f, mbi + 48, 4) + 4, 24);
	}
}

static void test_multiboot_no_extras(void **state)
{
	struct fixture *f = *state;
	uint64_t mbi;

	make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 3);
	load_ok(f);
	mbi = f->out.gpr[GPR_RBX];
	check_string(f, peek(f, mbi + 16, 4), "t");
	assert_int_equal(peek(f, mbi + 20, 4), 0);
}

/* A kernel where the tables would like to be: they go elsewhere. */
static void test_multiboot_low_kernel(void **state)
{
	static const struct elf_seg seg[] = {{LOAD, 0x8000, 0x800, 0x97c00, NULL}};
	struct fixture *f = *state;

	make_elf(f, false, 0x8018, seg, 1);
	put_multiboot_header(f, 0x1000, 0);
	load_ok(f);
	check_bytes(f, 0x8000, f->image + 0x1000, 0x800);
	assert_true(f->out.gpr[GPR_RBX] >= MIB);
}

static void make_address_kernel(struct fixture *f, uint32_t load_end, uint32_t bss_end)
{
	memset(f->image, 0, IMAGE_SIZE);
	put_multiboot_header(f, 0x20, BIT(16));
	put(f->image, 0x2c, 0x200010, 4); /* header_addr: 0x10 bytes of the file are left out */
	put(f->image, 0x30, 0x200000, 4); /* load_addr */
	put(f->image, 0x34, load_end, 4);
	put(f->image, 0x38, bss_end, 4);
	put(f->image, 0x3c, 0x200100, 4); /* entry_addr */
	for (size_t i = 0x40; i < 0x1010; i++)
		f->image[i] = (uint8_t)i;
	f->req.kernel.size = 0x1010;
}

static void test_multiboot_addresses(void **state)
{
	struct fixture *f = *state;
	uint8_t dirt[0x4000];

	memset(dirt, 0xff, sizeof(dirt));
	make_address_kernel(f, 0x200800, 0x203000);
	assert_int_equal(load_detect(&f->req.kernel), PROTO_MULTIBOOT);
	assert_int_equal(guest_write(&f->mem, GPA(0x200000), dirt, sizeof(dirt)), 0);
	load_ok(f);
	check_prot32(f, 0x200100);
	check_bytes(f, 0x200000, f->image + 0x10, 0x800);
	assert_int_equal(peek(f, 0x200800, 8), 0);
	assert_int_equal(peek(f, 0x202ff8, 8), 0);
	assert_int_equal(peek(f, 0x203000, 1), 0xff);

	make_address_kernel(f, 0, 0); /* all of the file, no bss */
	load_ok(f);
	check_bytes(f, 0x200000, f->image + 0x10, 0x1000);
	assert_int_equal(peek(f, 0x201000, 1), 0); /* as the load before left it */
}

static void test_multiboot_bad(void **state)
{
	struct fixture *f = *state;

	f->req.proto = PROTO_MULTIBOOT;
	make_elf(f, false, 0x400000, test_kernel, 2);
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot header in the first 8 KiB");
	put_multiboot_header(f, 0x1002, 0); /* not aligned */
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot header in the first 8 KiB");
	make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 0);
	f->image[0x1008]++;
	load_fails(f, -ENOEXEC, "vm t: kernel: no multiboot header in the first 8 KiB");
	make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, BIT(5));
	load_fails(f, -ENOEXEC, "vm t: kernel: multiboot header needs unknown features 0x20");
	make_elf(f, false, 0x400800, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 0);
	load_fails(f, -ENOEXEC, "vm t: kernel: ELF entry 0x400800 lies in no segment");
	f->req.module[0] = (struct load_file){f->image, 32 * MIB, NULL};
	f->req.nr_modules = 1;
	make_elf(f, false, 0x400000, test_kernel, 2);
	put_multiboot_header(f, 0x1000, 0);
	load_fails(f, -ENOMEM, "vm t: module: 33554432 bytes do not fit behind the kernel");
	f->req.nr_modules = 0;

	make_address_kernel(f, 0x201001, 0);
	load_fails(f, -ENOEXEC, "vm t: kernel: truncated: multiboot load_end_addr 0x201001");
	make_address_kernel(f, 0x1fffff, 0);
	load_fails(f, -ENOEXEC, "vm t: kernel: truncated: multiboot load_end_addr 0x1fffff");
	make_address_kernel(f, 0, 0);
	put(f->image, 0x30, 0x1fff00, 4);
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
	make_elf(*state, false, 0x400000, test_kernel, 2);
	put_multiboot_header(*state, 0x1000, 0);
	check_truncations(*state, PROTO_MULTIBOOT);
}

/* --- images ------------------------------------------------------------------------------ */

static void test_bios(void **state)
{
	struct fixture *f = *state;
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
	check_bytes(f, RAM_HIGH_BASE - size, rom, size);
	check_bytes(f, 0xc0000, rom + size - 0x40000, 0x40000);
	assert_int_equal(f->out.mode, BOOT_REAL);
	assert_int_equal(f->out.rip, 0xfff0);
	assert_int_equal(f->out.seg[SEG_CS].selector, 0xf000);
	assert_int_equal(f->out.seg[SEG_CS].base, 0xffff0000);
	assert_int_equal(f->out.cr0, 0x60000010);
	assert_int_equal(f->out.idt.limit, 0xffff);
	assert_int_equal(f->out.seg[SEG_DS].attr, 0x93);

	f->req.kernel.size = size - 1;
	assert_int_equal(load(f), -ENOEXEC);
	assert_string_equal(f->err,
			    "vm t: bios: 524287 bytes, an image has a multiple of 4K up to 8M");
	f->req.kernel.size = 16 * MIB;
	assert_int_equal(load_rom_bytes(&f->req), 0);
	assert_int_equal(load(f), -ENOEXEC);
	f->req.kernel.size = size;
	f->req.cmdline = "x";
	assert_int_equal(load(f), -EINVAL);
	assert_string_equal(f->err, "vm t: bios: takes no initrd, module or command line");
	free(rom);
}

/* The caller forgot the ROM's slot: said, not ignored. */
static void test_bios_without_slot(void **state)
{
	struct fixture *f = *state;

	f->req.proto = PROTO_BIOS;
	f->req.kernel.size = 0x1000;
	assert_int_equal(load(f), -EFAULT);
	assert_string_equal(f->err, "vm t: mem: the guest's memory has a hole");
}

static void test_flat(void **state)
{
	struct fixture *f = *state;

	f->req.proto = PROTO_FLAT;
	memset(f->image, 0x90, 512);
	f->req.kernel.size = 512;
	f->req.load_addr = 0x7c00;
	f->req.mode = BOOT_REAL;
	load_ok(f);
	check_bytes(f, 0x7c00, f->image, 512);
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
	check_prot32(f, 0x200000);
	f->req.mode = BOOT_LONG64;
	load_ok(f);
	check_long64(f, 0x200000);
	check_bytes(f, 0x200000, f->image, 512);
}

static void test_flat_bad(void **state)
{
	struct fixture *f = *state;

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
	struct fixture *f = *state;

	memset(f->image, 'x', IMAGE_SIZE);
	assert_int_equal(load_detect(&f->req.kernel), PROTO_AUTO);
	load_fails(f, -ENOEXEC, "vm t: kernel: neither a Linux, ELF nor multiboot kernel");
	f->req.kernel.size = 3;
	load_fails(f, -ENOEXEC, "vm t: kernel: neither a Linux, ELF nor multiboot kernel");
	f->req.kernel.size = 0;
	load_fails(f, -ENOEXEC, "vm t: kernel: the file is empty");
	make_elf(f, true, 0x1000000, two_segments, 2);
	assert_int_equal(load_detect(&f->req.kernel), PROTO_LINUX);
}

static void test_sipi(void **state)
{
	struct boot_state s;

	boot_state_sipi(&s, 0x9f);
	assert_int_equal(s.mode, BOOT_REAL);
	assert_int_equal(s.seg[SEG_CS].selector, 0x9f00);
	assert_int_equal(s.seg[SEG_CS].base, 0x9f000);
	assert_int_equal(s.rip, 0);
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
	struct fixture *f = *state;

	assert_int_equal(slots_create(&f->mem, 1, GFN(RAM_HIGH_BASE >> 12), 256, 0), 0);
	make_elf(f, true, 0x1000000, seg, 2);
	f->req.ram_bytes = RAM_LOW_LIMIT + MIB;
	load_ok(f);
	check_bytes(f, RAM_HIGH_BASE, f->image + 0x1100, 0x100);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bzimage_64),
		T(test_bzimage_32),
		T(test_bzimage_setup_sects_0),
		T(test_initrd_limits),
		T(test_bzimage_bad),
		T(test_truncated_bzimage),
		T(test_vmlinux_64),
		T(test_vmlinux_32),
		T(test_bss_is_cleared),
		T(test_elf_bad),
		T(test_too_many_segments),
		T(test_truncated_elf),
		T(test_truncated_elf_32),
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
		T(test_bios),
		T(test_bios_without_slot),
		T(test_flat),
		T(test_flat_bad),
		T(test_detect),
		T(test_sipi),
		T(test_e820),
		T(test_space),
		T(test_high_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
