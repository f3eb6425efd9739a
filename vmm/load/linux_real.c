/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linux boot protocol by its first entry, in real mode: 2.00 to 2.09, and what only looks like
 * a kernel to be loaded by one's loader. Its setup code asks a BIOS for what it wants to know
 * (vmm/firmware/bios/), goes to protected mode, and to the second part of the file.
 *
 * Of the segment at 0x90000 the setup code has the first half, as far as its sectors reach. Its
 * heap comes behind that, then its stack and then the command line.
 */
#include <errno.h>

#include "vmm/dev/e820.h"
#include "vmm/firmware/firmware.h"
#include "vmm/load/linux.h"

#define SETUP_SEGMENT 0x9000
#define SETUP_BASE    ((uint64_t)SETUP_SEGMENT << 4)
#define SETUP_MAX     0x8000 /* of the file */
#define HEAP_END      0xe000 /* the stack is below it, the command line begins here */
#define STACK_BYTES   0x200
#define CMDLINE_MAX   (FIRMWARE_BASE - SETUP_BASE - HEAP_END - 1)

#define KERNEL_LOW  0x10000
#define KERNEL_HIGH 0x100000

#define PROTOCOL_HEAP     0x201
#define PROTOCOL_CMDLINE  0x202 /* a pointer to it in the header */
#define PROTOCOL_INITRD   0x203
#define PROTOCOL_SYSSIZE  0x204 /* of 32 bits */
#define PROTOCOL_MAXIMUM  0x206 /* of the command line */
#define CAN_USE_HEAP      BIT(7)
#define VIDEO_NORMAL      0xffff
#define INITRD_MAX_OLD    0x37ffffffu
#define CMDLINE_MAX_OLD   255
#define OLD_CMDLINE_MAGIC 0xa33f

/* Of the boot sector, before the pointer in the header. */
enum { OLD_CMDLINE = 0x20, OLD_CMDLINE_OFFSET = 0x22 };

static int check(struct loader *l)
{
	const struct load_file *f = &l->req->kernel;
	unsigned version = linux_version(f);

	if (linux_setup_bytes(f) > SETUP_MAX)
		return loader_fail(l, -ENOEXEC, "kernel: %llu bytes of setup code, at most %u fit",
				   (unsigned long long)linux_setup_bytes(f), SETUP_MAX);
	if (f->size < HDR_HEAP_END || f->size < linux_header_end(f) ||
	    f->size <= linux_setup_bytes(f))
		return loader_fail(l, -ENOEXEC, "kernel: truncated in its setup sectors: %zu bytes",
				   f->size);
	if (version < PROTOCOL_MIN)
		return loader_fail(l, -ENOEXEC,
				   "kernel: boot protocol %u.%02u, at least 2.00 is needed",
				   version >> 8, version & 0xff);
	if (l->req->nr_modules)
		return loader_fail(l, -EINVAL, "module: the Linux protocol knows an initrd only");
	return 0;
}

/* The file may be padded: its header counts, where all of it is 32 bits wide. */
static int add_code(struct loader *l)
{
	const struct load_file *f = &l->req->kernel;
	bool high = linux_field(f, HDR_LOADFLAGS, 1) & LINUX_LOADED_HIGH;
	uint64_t setup = linux_setup_bytes(f), size = f->size - setup, told;

	if (linux_version(f) >= PROTOCOL_SYSSIZE) {
		told = linux_field(f, HDR_SYSSIZE, 4) * 16;
		if (told > ALIGN_UP(size, 16ull))
			return loader_fail(l, -ENOEXEC, "kernel: truncated: %zu bytes of %llu",
					   f->size, (unsigned long long)(setup + told));
		size = told ? min(size, told) : size;
	}
	return loader_add_piece(l, "kernel", high ? KERNEL_HIGH : KERNEL_LOW, size,
				(const uint8_t *)f->data + setup, size);
}

static int add_setup(struct loader *l)
{
	const struct load_file *f = &l->req->kernel;

	return loader_add_piece(l, "setup code", SETUP_BASE, FIRMWARE_BASE - SETUP_BASE, f->data,
				linux_setup_bytes(f));
}

static int check_cmdline(struct loader *l)
{
	const struct load_file *f = &l->req->kernel;
	uint64_t limit = CMDLINE_MAX_OLD;
	size_t size = strlen(l->req->cmdline);

	if (linux_version(f) >= PROTOCOL_MAXIMUM)
		limit = min(linux_field(f, HDR_CMDLINE_SIZE, 4), (uint64_t)CMDLINE_MAX);
	if (size > limit)
		return loader_fail(l, -EINVAL,
				   "kernel: command line of %zu characters, it takes %llu", size,
				   (unsigned long long)limit);
	return 0;
}

static int plan(struct loader *l, uint64_t *initrd)
{
	const struct load_file *f = &l->req->kernel;
	uint64_t limit = INITRD_MAX_OLD;
	int error = check(l);

	if (!error)
		error = check_cmdline(l);
	if (!error)
		error = add_setup(l);
	if (!error)
		error = add_code(l);
	if (error)
		return error;
	if (linux_version(f) >= PROTOCOL_INITRD)
		limit = linux_field(f, HDR_INITRD_MAX, 4);
	return loader_add_initrd(l, limit + 1, initrd);
}

/* A field of the header in the guest's memory. */
static void put(struct loader *l, unsigned off, uint64_t val, unsigned size)
{
	loader_write(l, SETUP_BASE + off, &val, size);
}

static void put_cmdline(struct loader *l)
{
	const char *text = l->req->cmdline;
	size_t size = strlen(text) + 1;

	loader_write(l, SETUP_BASE + HEAP_END, text, size);
	if (linux_version(&l->req->kernel) >= PROTOCOL_CMDLINE) {
		put(l, HDR_CMDLINE, SETUP_BASE + HEAP_END, 4);
		return;
	}
	put(l, OLD_CMDLINE, OLD_CMDLINE_MAGIC, 2);
	put(l, OLD_CMDLINE_OFFSET, HEAP_END, 2);
	put(l, HDR_MOVE_SIZE, HEAP_END + size, 2);
}

static void put_header(struct loader *l, uint64_t initrd)
{
	const struct load_file *f = &l->req->kernel;
	uint64_t flags = linux_field(f, HDR_LOADFLAGS, 1);

	put(l, HDR_VID_MODE, VIDEO_NORMAL, 2);
	put(l, HDR_LOADER, LOADER_UNDEFINED, 1);
	put(l, HDR_RAMDISK, initrd, 4);
	put(l, HDR_RAMDISK + 4, initrd ? l->req->initrd.size : 0, 4);
	if (linux_version(f) >= PROTOCOL_HEAP) {
		put(l, HDR_HEAP_END, HEAP_END - STACK_BYTES, 2);
		put(l, HDR_LOADFLAGS, flags | CAN_USE_HEAP, 1);
	}
	put_cmdline(l);
}

int load_linux_real(struct loader *l)
{
	uint64_t initrd = 0;
	int error = plan(l, &initrd);

	if (error)
		return error;
	loader_commit(l);
	put_header(l, initrd);
	boot_state_real(l->out, FIRMWARE_BIOS_SEGMENT, FIRMWARE_BIOS_OFFSET);
	boot_state_real_data(l->out, SETUP_SEGMENT);
	l->out->gpr[GPR_RSP] = HEAP_END;
	return 0;
}
