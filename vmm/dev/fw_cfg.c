/* SPDX-License-Identifier: BSD-2-Clause */
/* The firmware configuration device. */
#include "vmm/dev/fw_cfg.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "lib/bits.h"

static_assert(sizeof(struct fw_cfg_dir_entry) == 64, "directory entry");

static const char signature[] = {'Q', 'E', 'M', 'U'};
static const uint32_t features = BIT(0); /* the traditional interface; bit 1 would be DMA */
static const uint8_t irq0_override = 1;  /* IRQ 0 is on pin 2 of the IOAPIC */

/* The item of `key`; an unknown one is empty. */
static struct fw_cfg_file find_item(const struct fw_cfg *f, uint16_t key)
{
	switch (key) {
	case FW_CFG_SIGNATURE:
		return (struct fw_cfg_file){.data = signature, .size = sizeof(signature)};
	case FW_CFG_ID:
		return (struct fw_cfg_file){.data = &features, .size = sizeof(features)};
	case FW_CFG_RAM_SIZE:
		return (struct fw_cfg_file){.data = &f->ram_size, .size = sizeof(f->ram_size)};
	case FW_CFG_NB_CPUS:
	case FW_CFG_MAX_CPUS:
		return (struct fw_cfg_file){.data = &f->nr_cpus, .size = sizeof(f->nr_cpus)};
	case FW_CFG_IRQ0_OVERRIDE:
		return (struct fw_cfg_file){.data = &irq0_override, .size = 1};
	case FW_CFG_FILE_DIR:
		return (struct fw_cfg_file){.data = &f->dir,
					    .size = sizeof(f->dir.count) +
						    f->nr_files * sizeof(f->dir.entry[0])};
	default:
		if (key >= FW_CFG_FILE_FIRST && key - FW_CFG_FILE_FIRST < (int)f->nr_files)
			return f->file[key - FW_CFG_FILE_FIRST];
		return (struct fw_cfg_file){0};
	}
}

static void select_item(struct fw_cfg *f, uint16_t key)
{
	struct fw_cfg_file item = find_item(f, key);

	f->data = item.data;
	f->size = item.size;
	f->pos = 0;
}

uint64_t fw_cfg_read(void *dev, uint64_t off, unsigned size)
{
	struct fw_cfg *f = dev;

	if (off == 0 || size > 1)
		return 0; /* the selector cannot be read; data comes in bytes */
	return f->pos < f->size ? f->data[f->pos++] : 0;
}

/* Items are read only: writes to the data port do nothing. */
void fw_cfg_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	if (off == 0 && size == 2)
		select_item(dev, (uint16_t)val);
}

/* The directory is what the sorted files are: write it anew. */
static void build_dir(struct fw_cfg *f)
{
	f->dir.count = __builtin_bswap32(f->nr_files);
	for (unsigned i = 0; i < f->nr_files; i++) {
		struct fw_cfg_dir_entry *e = &f->dir.entry[i];

		*e = (struct fw_cfg_dir_entry){
			.size = __builtin_bswap32((uint32_t)f->file[i].size),
			.key = __builtin_bswap16((uint16_t)(FW_CFG_FILE_FIRST + i))};
		memcpy(e->name, f->file[i].name, strlen(f->file[i].name));
	}
}

int fw_cfg_add(struct fw_cfg *f, const struct fw_cfg_file *file)
{
	size_t len = strlen(file->name);
	unsigned at = 0;

	if (len == 0 || len >= FW_CFG_NAME_LEN || file->size > UINT32_MAX)
		return -EINVAL;
	if (f->nr_files == FW_CFG_MAX_FILES)
		return -ENOSPC;
	while (at < f->nr_files && strcmp(f->file[at].name, file->name) < 0)
		at++;
	if (at < f->nr_files && strcmp(f->file[at].name, file->name) == 0)
		return -EEXIST;
	memmove(&f->file[at + 1], &f->file[at], (f->nr_files - at) * sizeof(f->file[0]));
	f->file[at] = *file;
	f->nr_files++;
	build_dir(f);
	return 0;
}

void fw_cfg_reset(struct fw_cfg *f)
{
	select_item(f, FW_CFG_SIGNATURE);
}

void fw_cfg_init(struct fw_cfg *f, uint64_t ram_bytes, unsigned nr_cpus)
{
	unsigned n;

	*f = (struct fw_cfg){.ram_size = ram_bytes, .nr_cpus = (uint16_t)nr_cpus};
	n = e820_build_raw(f->e820, ram_bytes);
	fw_cfg_add(f, &(struct fw_cfg_file){"etc/e820", f->e820, n * sizeof(f->e820[0])});
	fw_cfg_reset(f);
}
