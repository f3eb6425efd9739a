/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the guest loaders share: a guest's memory, a kernel that is made byte by byte,
 * and what the state and the memory of a guest that starts must look like.
 */
#ifndef TESTS_UNIT_SUPPORT_LOAD_GUEST_H
#define TESTS_UNIT_SUPPORT_LOAD_GUEST_H

#include "mm/guest.h"
#include "vmm/load/load.h"

#define MIB        (1ull << 20)
#define GUEST_RAM  (32 * MIB)
#define IMAGE_SIZE 0x8000
#define ROM_SLOT   1

struct load_fixture {
	struct guest_memory mem;
	uint8_t image[IMAGE_SIZE];
	uint8_t initrd[5000];
	struct load_request req;
	struct boot_state out;
	char err[200];
};

int load_setup(void **state);
int load_teardown(void **state);

/* load_guest() of f->req. */
int load_try(struct load_fixture *f);
void load_ok(struct load_fixture *f);
/* This error, this message, and nothing in guest memory. */
void load_fails(struct load_fixture *f, int error, const char *err);
/* The same for every truncation of the kernel; the whole of it is good. */
void load_check_truncations(struct load_fixture *f, enum boot_proto proto);

/* `size` bytes of a file, little-endian. */
void load_put(void *to, size_t off, uint64_t val, unsigned size);

struct elf_seg {
	uint32_t type;
	uint64_t paddr, filesz, memsz;
	const void *data; /* NULL: a pattern */
};

#define LOAD 1
#define NOTE 4
extern const struct elf_seg load_two_segments[2];

/* An ELF file with these segments, their contents from 0x1000 on. */
void load_make_elf(struct load_fixture *f, bool is_64, uint64_t entry, const struct elf_seg *seg,
		   unsigned nr);

/* Guest memory. */
uint64_t load_peek(struct load_fixture *f, uint64_t addr, unsigned size);
void load_check_bytes(struct load_fixture *f, uint64_t addr, const void *expect, size_t len);
void load_check_string(struct load_fixture *f, uint64_t addr, const char *expect);
void load_check_e820(struct load_fixture *f, uint64_t addr, unsigned stride);

/* The whole state of a CPU that starts at `rip`. */
void load_check_prot32(struct load_fixture *f, uint64_t rip);
void load_check_long64(struct load_fixture *f, uint64_t rip);

#endif
