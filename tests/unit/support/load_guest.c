/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest, the kernels and the checks of the tests of the guest loaders. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mm/grace.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/load_guest.h"
#include "vmm/dev/e820.h"

int load_setup(void **state)
{
	struct load_fixture *f = calloc(1, sizeof(*f));

	host_arena_with_frames(64 * MIB);
	grace_exit_guest(grace_cpu());
	slots_init(&f->mem);
	assert_int_equal(slots_create(&f->mem, 0, GFN(0), GUEST_RAM >> PAGE_SHIFT, 0), 0);
	memset(f->initrd, 0x5a, sizeof(f->initrd));
	f->req.vm = "t";
	f->req.mode = BOOT_PROT32;
	f->req.cmdline = "";
	f->req.ram_bytes = GUEST_RAM;
	f->req.rsdp = GPA(0xe0000);
	f->req.kernel = (struct load_file){f->image, sizeof(f->image), NULL};
	memset(&f->out, 0xee, sizeof(f->out));
	*state = f;
	return 0;
}

int load_teardown(void **state)
{
	slots_destroy(&((struct load_fixture *)*state)->mem);
	grace_enter_guest(grace_cpu());
	host_arena_destroy();
	free(*state);
	return 0;
}

int load_try(struct load_fixture *f)
{
	f->err[0] = '\0';
	return load_guest(&f->req, &f->mem, &f->out, f->err, sizeof(f->err));
}

void load_ok(struct load_fixture *f)
{
	int error = load_try(f);

	if (error)
		fail_msg("%d: %s", error, f->err);
}

uint64_t load_peek(struct load_fixture *f, uint64_t addr, unsigned size)
{
	uint64_t val = 0;

	assert_int_equal(guest_read(&f->mem, GPA(addr), &val, size), 0);
	return val;
}

void load_check_bytes(struct load_fixture *f, uint64_t addr, const void *expect, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_int_equal(guest_read(&f->mem, GPA(addr), buf, len), 0);
	assert_memory_equal(buf, expect, len);
	free(buf);
}

void load_check_string(struct load_fixture *f, uint64_t addr, const char *expect)
{
	load_check_bytes(f, addr, expect, strlen(expect) + 1);
}

/* All of guest memory is still zero. */
static bool is_untouched(struct load_fixture *f)
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

void load_fails(struct load_fixture *f, int error, const char *err)
{
	assert_int_equal(load_try(f), error);
	assert_string_equal(f->err, err);
	assert_true(is_untouched(f));
}

void load_put(void *to, size_t off, uint64_t val, unsigned size)
{
	memcpy((uint8_t *)to + off, &val, size);
}

const struct elf_seg load_two_segments[2] = {{LOAD, 0x1000000, 0x800, 0x1000, NULL},
					     {LOAD, 0x1200000, 0x100, 0x3000, NULL}};

void load_make_elf(struct load_fixture *f, bool is_64, uint64_t entry, const struct elf_seg *seg,
		   unsigned nr)
{
	unsigned ph_size = is_64 ? 56 : 32, ph_off = is_64 ? 64 : 52;
	size_t off = 0x1000;
	uint8_t *k = f->image;

	memset(k, 0, IMAGE_SIZE);
	memcpy(k, "\177ELF", 4);
	load_put(k, 4, is_64 ? 2 : 1, 1);
	load_put(k, 5, 1, 1);
	load_put(k, 6, 1, 1);
	load_put(k, 16, 2, 2);
	load_put(k, 18, is_64 ? 62 : 3, 2);
	load_put(k, 20, 1, 4);
	load_put(k, 24, entry, is_64 ? 8 : 4);
	load_put(k, is_64 ? 32 : 28, ph_off, is_64 ? 8 : 4);
	load_put(k, is_64 ? 54 : 42, ph_size, 2);
	load_put(k, is_64 ? 56 : 44, nr, 2);
	for (unsigned i = 0; i < nr; i++) {
		uint8_t *p = k + ph_off + i * ph_size;

		load_put(p, 0, seg[i].type, 4);
		load_put(p, is_64 ? 8 : 4, off, is_64 ? 8 : 4);
		load_put(p, is_64 ? 24 : 12, seg[i].paddr, is_64 ? 8 : 4);
		load_put(p, is_64 ? 32 : 16, seg[i].filesz, is_64 ? 8 : 4);
		load_put(p, is_64 ? 40 : 20, seg[i].memsz, is_64 ? 8 : 4);
		load_put(p, is_64 ? 48 : 28, 4, 4);
		for (size_t j = 0; j < seg[i].filesz; j++)
			k[off + j] = seg[i].data ? ((const uint8_t *)seg[i].data)[j]
						 : (uint8_t)(0x11 * (i + 1) + j);
		off += seg[i].filesz;
	}
	f->req.kernel.size = off;
}

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

void load_check_prot32(struct load_fixture *f, uint64_t rip)
{
	const struct boot_state *s = &f->out;

	assert_int_equal(s->mode, BOOT_PROT32);
	assert_int_equal(s->rip, rip);
	assert_int_equal(s->cr0, 0x11); /* PE, ET */
	assert_int_equal(s->cr3, 0);
	assert_int_equal(s->cr4, 0);
	assert_int_equal(s->efer, 0);
	check_flat_segments(s, false);
	assert_int_equal(load_peek(f, s->gdt.base + 0x10, 8), 0x00cf9b000000ffff);
	assert_int_equal(load_peek(f, s->gdt.base + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(s->gdt.limit, 0x1f);
}

/* What the tables at CR3 make of an address, by the book; -1 if it is not mapped. */
static uint64_t translate(struct load_fixture *f, uint64_t cr3, uint64_t va)
{
	uint64_t e = cr3;

	for (int shift = 39; shift > 12; shift -= 9) {
		e = load_peek(f, (e & 0xffffffffff000) + ((va >> shift) & 511) * 8, 8);
		if (!(e & 1) || !(e & 2))
			return UINT64_MAX;
		if (e & 0x80)
			return (e & ~((1ull << shift) - 1) & 0xffffffffff000) |
			       (va & ((1ull << shift) - 1));
	}
	return UINT64_MAX;
}

void load_check_long64(struct load_fixture *f, uint64_t rip)
{
	const struct boot_state *s = &f->out;

	assert_int_equal(s->mode, BOOT_LONG64);
	assert_int_equal(s->rip, rip);
	assert_int_equal(s->cr0, 0x80000031); /* PG, NE, ET, PE */
	assert_int_equal(s->cr4, 0x20);       /* PAE */
	assert_int_equal(s->efer, 0x500);     /* LMA, LME */
	check_flat_segments(s, true);
	assert_int_equal(load_peek(f, s->gdt.base + 0x10, 8), 0x00af9b000000ffff);
	assert_int_equal(translate(f, s->cr3, 0), 0);
	assert_int_equal(translate(f, s->cr3, 0x1234567), 0x1234567);
	assert_int_equal(translate(f, s->cr3, 0xffffffff), 0xffffffff);
	assert_int_equal(translate(f, s->cr3, 1ull << 32), UINT64_MAX);
}

void load_check_e820(struct load_fixture *f, uint64_t addr, unsigned stride)
{
	static const struct e820_entry expect[] = {{0, 0x9fc00, E820_RAM},
						   {0x9fc00, 0x60400, E820_RESERVED},
						   {0x100000, GUEST_RAM - MIB, E820_RAM},
						   {0xfec00000, 0x1400000, E820_RESERVED}};

	for (unsigned i = 0; i < ARRAY_SIZE(expect); i++)
		load_check_bytes(f, addr + i * stride, &expect[i], sizeof(expect[i]));
}

void load_check_truncations(struct load_fixture *f, enum boot_proto proto)
{
	size_t size = f->req.kernel.size;
	uint8_t *copy;

	f->req.proto = proto;
	for (size_t n = 0; n < size; n += n < 0x600 ? 1 : 97) {
		copy = malloc(n + 1); /* the sanitizer sees the first byte too many */
		memcpy(copy, f->image, n);
		f->req.kernel = (struct load_file){copy, n, NULL};
		assert_true(load_try(f) < 0);
		assert_true(strncmp(f->err, "vm t: ", 6) == 0);
		free(copy);
	}
	assert_true(is_untouched(f));
	f->req.kernel = (struct load_file){f->image, size, NULL};
	load_ok(f);
}
