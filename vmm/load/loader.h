/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The common part of the loaders. A loader first plans: it reads the file, claims guest memory for
 * every piece and for its tables, and may fail. Then it commits: loader_commit() writes the pieces,
 * and the loader_put_*() functions fill the tables; from here on only a hole in guest memory
 * can make it fail.
 */
#ifndef VMM_LOAD_LOADER_H
#define VMM_LOAD_LOADER_H

#include "vmm/load/elf.h"
#include "vmm/load/load.h"
#include "vmm/load/space.h"

#define LOADER_MAX_PIECES (ELF_MAX_SEGMENTS + LOAD_MAX_MODULES + 4)

/* Bytes to be copied to guest memory, zeros up to mem_size behind them. */
struct loader_piece {
	uint64_t addr, mem_size; /* guest-physical */
	const void *data;
	size_t size;
};

struct loader {
	const struct load_request *req;
	struct guest_memory *mem;
	struct boot_state *out;
	char *err;
	size_t errlen;
	struct space space;
	unsigned nr_pieces;
	struct loader_piece piece[LOADER_MAX_PIECES];
	uint64_t table_pos, table_end; /* guest-physical: what is left of the table area */
	int write_error;               /* the first error of the commit, or 0 */
};

/* Put "vm NAME: text" into the error buffer and return `error`. */
int loader_fail(struct loader *l, int error, const char *fmt, ...) __printf_fmt(3, 4);

/* Claim [addr, addr + mem_size) for `what` and remember what goes there. 0 or -errno. */
int loader_add_piece(struct loader *l, const char *what, uint64_t addr, uint64_t mem_size,
		     const void *data, size_t size);

/* All segments of a kernel. 0 or -errno. */
int loader_add_elf(struct loader *l, const struct elf_image *elf);

/*
 * The initrd, page aligned, as high as it goes under `limit` (exclusive). *addr is 0 if there
 * is none. 0 or -errno.
 */
int loader_add_initrd(struct loader *l, uint64_t limit, uint64_t *addr);

/* Modules, for protocols that have several: the initrd is the first, if there is one. */
#define LOADER_MAX_MODULES (LOAD_MAX_MODULES + 1)
unsigned loader_module_count(const struct loader *l);
const struct load_file *loader_module(const struct loader *l, unsigned i);
const char *loader_module_args(const struct load_file *f); /* "" if it has none */

/*
 * Claim room for all modules from `from` on, in pages of their own: right behind the kernel, where
 * one that maps little memory finds them. 0 or -errno.
 */
int loader_add_modules(struct loader *l, uint64_t from, uint64_t addr[LOADER_MAX_MODULES]);

/* Claim `size` bytes for tables, below 640K if there is room. 0 or -errno. */
int loader_add_tables(struct loader *l, size_t size);

/* --- commit --- */

void loader_write(struct loader *l, uint64_t addr, const void *data, size_t size);
void loader_write64(struct loader *l, uint64_t addr, uint64_t val);
void loader_zero(struct loader *l, uint64_t addr, uint64_t size);

/* Write all pieces. */
void loader_commit(struct loader *l);

/* Zeroed space from the table area (which loader_add_tables() made large enough). */
uint64_t loader_take(struct loader *l, size_t size, size_t align);

/* The same, with contents. The string gets its NUL. */
uint64_t loader_put(struct loader *l, const void *data, size_t size, size_t align);
uint64_t loader_put_string(struct loader *l, const char *text);

/*
 * Page tables that map the first 4 GiB one to one with 2M pages, from the table area; the value
 * for CR3.
 */
uint64_t loader_put_identity_map(struct loader *l);
#define LOADER_IDENTITY_MAP_BYTES (6 * PAGE_SIZE + PAGE_SIZE)

/* The GDT of the Linux boot protocol (0x10 code, 0x18 data), and the state that uses it. */
void loader_put_gdt(struct loader *l, bool code_64);
#define LOADER_GDT_BYTES 48

/* --- CPU states (state.c) --- */

#define BOOT_CS 0x10 /* Linux: __BOOT_CS, __BOOT_DS */
#define BOOT_DS 0x18

void boot_state_real(struct boot_state *s, uint16_t cs, uint64_t rip);
void boot_state_real_data(struct boot_state *s, uint16_t segment); /* behind the one above */
void boot_state_prot32(struct boot_state *s, uint64_t rip);
void boot_state_long64(struct boot_state *s, uint64_t rip, uint64_t cr3);

/* --- protocols --- */

int load_linux(struct loader *l);
int load_multiboot(struct loader *l);
int load_multiboot2(struct loader *l);
int load_pvh(struct loader *l);
int load_bios(struct loader *l);
int load_flat(struct loader *l);

bool is_bzimage(const struct load_file *f);   /* or a zImage */
bool is_old_linux(const struct load_file *f); /* or any other boot sector */
bool is_multiboot(const struct load_file *f);
bool is_multiboot2(const struct load_file *f);

#endif
