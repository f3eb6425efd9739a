/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The firmware configuration device (QEMU's specification fw_cfg.rst), traditional interface: a
 * 16-bit write to 0x510 selects an item, byte reads of 0x511 give its bytes one after the other,
 * zeros behind its end. No DMA interface.
 *
 * All functions: the VM's device lock is held.
 */
#ifndef VMM_DEV_FW_CFG_H
#define VMM_DEV_FW_CFG_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/dev/e820.h"

#define FW_CFG_PORT      0x510 /* 2 ports: selector (16 bits), data */
#define FW_CFG_PORTS     2
#define FW_CFG_NAME_LEN  56 /* with the NUL */
#define FW_CFG_MAX_FILES 16

/* Item keys. */
enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NB_CPUS = 0x05,
	FW_CFG_MAX_CPUS = 0x0f,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
	FW_CFG_IRQ0_OVERRIDE = 0x8002,
};

/* A file of the directory; the data stays where it is. */
struct fw_cfg_file {
	const char *name;
	const void *data;
	size_t size; /* bytes, below 4 GiB */
};

/* An entry of the directory as the guest reads it; numbers are big-endian. */
struct fw_cfg_dir_entry {
	uint32_t size;
	uint16_t key;
	uint16_t reserved;
	char name[FW_CFG_NAME_LEN];
};

struct fw_cfg {
	uint32_t pos;        /* the next byte of the selected item */
	const uint8_t *data; /* the selected item */
	size_t size;
	/* Const after init. */
	uint64_t ram_size;
	uint16_t nr_cpus;
	uint32_t nr_files;
	struct fw_cfg_file file[FW_CFG_MAX_FILES]; /* sorted by name */
	struct {
		uint32_t count; /* big-endian */
		struct fw_cfg_dir_entry entry[FW_CFG_MAX_FILES];
	} dir;
	struct e820_entry e820[E820_MAX_ENTRIES];
};

/* `ram_bytes` of RAM (laid out as vmm/dev/e820.h says) and `nr_cpus` CPUs; the file etc/e820. */
void fw_cfg_init(struct fw_cfg *f, uint64_t ram_bytes, unsigned nr_cpus);
void fw_cfg_reset(struct fw_cfg *f);

/* Add a file to the directory; `name` stays. 0, -ENOSPC, -EEXIST, or -EINVAL (name or size). */
int fw_cfg_add(struct fw_cfg *f, const struct fw_cfg_file *file);

/* For a bus region of FW_CFG_PORTS ports with `dev` = the fw_cfg. */
uint64_t fw_cfg_read(void *dev, uint64_t off, unsigned size);
void fw_cfg_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
