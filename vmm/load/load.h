/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest loaders: put a kernel, its initrd or modules and the protocol's own tables into a guest's
 * memory, and say in which state its first CPU starts. Everything is checked before the first
 * byte is written; a file that cannot be booted is one line "vm NAME: kernel: reason".
 *
 * Linux: Documentation/arch/x86/boot.rst. Multiboot: specification
 * 0.6.96, and multiboot2, 2.0. PVH: Xen's document pvh.pandoc (the facts: note 18, struct
 * hvm_start_info).
 */
#ifndef VMM_LOAD_LOAD_H
#define VMM_LOAD_LOAD_H

#include "arch/x86/virt.h"
#include "lib/bits.h"
#include "lib/types.h"

struct guest_memory; /* mm/slots.h */

#define LOAD_MAX_MODULES 8
#define LOAD_ERROR_LEN   160 /* a message, with the NUL */

/* How the guest's kernel is started; AUTO looks at the file. */
enum boot_proto {
	PROTO_AUTO,
	PROTO_LINUX,     /* Documentation/x86/boot.rst: bzImage, or vmlinux */
	PROTO_MULTIBOOT, /* multiboot 0.6.96 */
	PROTO_MULTIBOOT2,
	PROTO_PVH,  /* ELF with the XEN_ELFNOTE_PHYS32_ENTRY note */
	PROTO_BIOS, /* a firmware image, at the reset vector */
	PROTO_FLAT, /* bytes at an address */
};

enum boot_mode { BOOT_REAL, BOOT_PROT32, BOOT_LONG64 };

/* A file in the hypervisor's memory. */
struct load_file {
	const void *data; /* NULL: no such file */
	size_t size;      /* bytes */
	const char *args; /* modules: their string; may be NULL */
};

struct load_request {
	const char *vm; /* name, for messages */
	enum boot_proto proto;
	enum boot_mode
		mode;       /* PROTO_FLAT; PROTO_LINUX: BOOT_REAL asks for the entry in real mode */
	uint64_t load_addr; /* PROTO_FLAT */
	struct load_file kernel;
	struct load_file initrd;
	struct load_file module[LOAD_MAX_MODULES];
	unsigned nr_modules;
	const char *cmdline; /* never NULL */
	uint64_t ram_bytes;  /* laid out as vmm/dev/e820.h says */
	gpa_t rsdp;          /* ACPI root pointer for the guest, 0 when there is none */
};

/* The first vCPU at its first instruction. Registers not named are as after RESET. */
struct boot_state {
	enum boot_mode mode;
	uint64_t rip, rflags;
	uint64_t gpr[NR_GPRS]; /* gpr[GPR_RSP] is the stack pointer */
	uint64_t cr0, cr3, cr4, efer;
	struct segment seg[NR_SEGS];
	struct desc_table gdt, idt;
};

/*
 * Fill guest memory and `out`. 0, or -ENOEXEC (not a kernel we know, or a damaged one),
 * -EINVAL (the request does not fit it), -ENOMEM (no room in guest memory) or -EFAULT (no RAM
 * where the map has some), with one line in `err`; guest memory is untouched but for -EFAULT.
 */
int load_guest(const struct load_request *req, struct guest_memory *mem, struct boot_state *out,
	       char *err, size_t errlen);

/* The protocol that PROTO_AUTO stands for with this file; PROTO_AUTO if it is none we know. */
enum boot_proto load_detect(const struct load_file *kernel);

/*
 * PROTO_BIOS: bytes of memory (a multiple of 4K) that the caller must have in a slot that ends at
 * 4 GiB; 0 for every other protocol.
 */
uint64_t load_rom_bytes(const struct load_request *req);

/* A vCPU after RESET (SDM volume 3, table 10-1). */
void boot_state_reset(struct boot_state *s);

#endif
