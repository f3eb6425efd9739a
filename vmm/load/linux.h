/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The setup header of the Linux boot protocol (Documentation/arch/x86/boot.rst), which kernels of
 * both entries have: linux.c starts them in protected mode, linux_real.c in real mode.
 */
#ifndef VMM_LOAD_LINUX_H
#define VMM_LOAD_LINUX_H

#include <string.h>

#include "vmm/load/loader.h"

/* Offsets into a bzImage, and the same into boot_params ("zero page"). */
enum {
	BP_ACPI_RSDP = 0x070,     /* u64 */
	BP_E820_ENTRIES = 0x1e8,  /* u8 */
	HDR_START = 0x1f1,        /* the setup header begins: setup_sects, u8 */
	HDR_SYSSIZE = 0x1f4,      /* u32, 16-byte units of what follows the setup sectors */
	HDR_VID_MODE = 0x1fa,     /* u16 */
	HDR_BOOT_FLAG = 0x1fe,    /* u16, 0xaa55 */
	HDR_JUMP = 0x200,         /* u16; its second byte says how long the header is */
	HDR_MAGIC = 0x202,        /* "HdrS" */
	HDR_VERSION = 0x206,      /* u16 */
	HDR_LOADER = 0x210,       /* u8 type_of_loader */
	HDR_LOADFLAGS = 0x211,    /* u8 */
	HDR_MOVE_SIZE = 0x212,    /* u16, 2.00 and 2.01: how much of the segment counts */
	HDR_CODE32_START = 0x214, /* u32: where the protected-mode part is */
	HDR_RAMDISK = 0x218,      /* u32 address, u32 size */
	HDR_HEAP_END = 0x224,     /* u16, from 2.01 on */
	HDR_CMDLINE = 0x228,      /* u32 address */
	HDR_INITRD_MAX = 0x22c,   /* u32: the last address an initrd may occupy */
	HDR_ALIGNMENT = 0x230,    /* u32 */
	HDR_RELOCATABLE = 0x234,  /* u8: it runs at any aligned address */
	HDR_XLOADFLAGS = 0x236,   /* u16 */
	HDR_CMDLINE_SIZE = 0x238, /* u32, without the NUL */
	HDR_PREF_ADDRESS = 0x258, /* u64 */
	HDR_INIT_SIZE = 0x260,    /* u32: memory that the kernel needs before it reads the map */
	HDR_END = 0x290,          /* no header is longer */
	BP_E820_TABLE = 0x2d0,
};

#define LINUX_BOOT_FLAG   0xaa55
#define LINUX_LOADED_HIGH BIT(0) /* loadflags: the kernel goes to 1M and up: a bzImage */
#define LOADER_UNDEFINED  0xff
#define PROTOCOL_MIN      0x200
#define PROTOCOL_PROT32   0x20a /* 2.10, Linux 2.6.31: pref_address and init_size */

/* A little-endian field of the file; the caller knows that it is there. */
static inline uint64_t linux_field(const struct load_file *f, unsigned off, unsigned size)
{
	uint64_t val = 0;

	memcpy(&val, (const uint8_t *)f->data + off, size);
	return val;
}

static inline unsigned linux_version(const struct load_file *f)
{
	return (unsigned)linux_field(f, HDR_VERSION, 2);
}

/* Where the setup header ends; it is in the file, as far as its kernel's protocol knows it. */
static inline unsigned linux_header_end(const struct load_file *f)
{
	unsigned end = HDR_MAGIC + (unsigned)linux_field(f, HDR_JUMP + 1, 1);

	return min(end, (unsigned)HDR_END);
}

/* Bytes of the boot sector and the setup sectors behind it: the part for real mode. */
static inline uint64_t linux_setup_bytes(const struct load_file *f)
{
	uint64_t sectors = linux_field(f, HDR_START, 1);

	return ((sectors ? sectors : 4) + 1) * 512; /* 0 means 4 */
}

/* A bzImage, or a zImage, that is started in real mode. */
int load_linux_real(struct loader *l);

#endif
