/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a PC's BIOS leaves outside of tables, and what kernels that never ask a firmware still read:
 * interrupt vectors, the data area at 0x400, the extended one (EBDA), the reset code below 1 MiB
 * (IBM PC AT technical reference, section 5; the addresses in the ROM are the original's, by which
 * programs know them), and the services behind the vectors, which are those of bios/.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "bios.h" /* bios_code[], made from bios/ */
#include "lib/bits.h"
#include "mm/guest.h"
#include "vmm/dev/e820.h"
#include "vmm/firmware/firmware.h"
#include "vmm/firmware/tables.h"

#define ROM_SEGMENT ((unsigned)FIRMWARE_BIOS_SEGMENT)
#define ROM_BASE    (ROM_SEGMENT << 4)
#define ROM_POST    0xe05bu /* offsets in the segment */
#define ROM_IRET    0xff53u
#define ROM_RESET   0xfff0u
#define MODEL_AT    0xfc
#define EBDA_END    0xa0000u
#define COM1_PORT   0x3f8

#define EQUIPMENT_X87     BIT(1)
#define EQUIPMENT_SERIALS 9 /* bits 11:9: how many */
#define KEYBOARD_101      0x10

#define KEYS_START   0x1e /* the ring of keys, in the data area's segment */
#define KEYS_END     0x3e
#define VIDEO_TEXT   3
#define TEXT_COLUMNS 80
#define TEXT_ROWS    25

/* Physical 0 to 0x4ff. */
struct low_memory {
	uint32_t vectors[256]; /* segment and offset */
	uint16_t serial[4];    /* ports */
	uint16_t parallel[3];
	uint16_t ebda;      /* segment */
	uint16_t equipment; /* what INT 11h says */
	uint8_t tests;
	uint16_t base_memory; /* KiB from 0, what INT 12h says */
	uint8_t unused[5];
	uint16_t key_head, key_tail;
	uint16_t keys[(KEYS_END - KEYS_START) / 2];
	uint8_t disks[11];
	uint8_t video_mode;
	uint16_t columns, page_size;
	uint8_t more_video[0x32];
	uint16_t keys_start, keys_end;
	uint8_t last_row;
	uint8_t unused_2[0x11];
	uint8_t keyboard;
	uint8_t rest[0x69];
} __packed;
static_assert(offsetof(struct low_memory, ebda) == 0x40e, "EBDA segment");
static_assert(offsetof(struct low_memory, base_memory) == 0x413, "base memory");
static_assert(offsetof(struct low_memory, key_head) == 0x41a, "the ring of keys");
static_assert(offsetof(struct low_memory, video_mode) == 0x449, "video mode");
static_assert(offsetof(struct low_memory, keys_start) == 0x480, "where the ring of keys is");
static_assert(offsetof(struct low_memory, last_row) == 0x484, "rows on the screen");
static_assert(offsetof(struct low_memory, keyboard) == 0x496, "keyboard type");
static_assert(sizeof(struct low_memory) == 0x500, "vectors and BIOS data area");

/* The ROM's last 16 bytes: where the CPU starts after a reset. */
struct reset_vector {
	uint8_t jump; /* far */
	uint16_t offset, segment;
	char date[8];
	uint8_t unused, model, checksum;
} __packed;
static_assert(sizeof(struct reset_vector) == 16, "reset vector");

/* At the fifth byte of the code: where its tables are, offsets in the segment. */
struct bios_header {
	uint8_t jump[4];
	uint16_t vectors, memory;
};

/* An interrupt with a service. The last one has no number: 0xffff. */
struct bios_vector {
	uint16_t number, offset;
};

/* What INT 15h says of the memory. */
struct bios_memory {
	uint16_t kib;         /* AH=88h: KiB from 1 MiB on */
	uint16_t low_kib;     /* AX=E801h: the same, up to 16 MiB */
	uint16_t high_blocks; /* from there on, in 64 KiB */
	uint16_t nr_entries;  /* AX=E820h */
	struct e820_entry entry[E820_MAX_ENTRIES];
} __packed;

static_assert(FIRMWARE_BIOS_OFFSET + sizeof(bios_code) <= ROM_POST, "services, then reset code");

/* Reset the machine: by the chipset (0xcf9), or else by the keyboard controller. */
static const uint8_t reset_code[] = {
	0xfa,             /* cli */
	0xba, 0xf9, 0x0c, /* mov $0xcf9, %dx */
	0xb0, 0x02,       /* mov $2, %al */
	0xee,             /* out %al, (%dx) */
	0xb0, 0x06,       /* mov $6, %al */
	0xee,             /* out %al, (%dx) */
	0xb0, 0xfe,       /* mov $0xfe, %al */
	0xe6, 0x64,       /* out %al, $0x64 */
	0xf4,             /* hlt */
	0xeb, 0xfd,       /* jmp to the hlt */
};

static struct bios_header bios_header(void)
{
	struct bios_header h;

	memcpy(&h, bios_code, sizeof(h));
	return h;
}

static void set_vectors(struct low_memory *low)
{
	const uint8_t *at = bios_code + bios_header().vectors - FIRMWARE_BIOS_OFFSET;
	struct bios_vector v;

	for (;; at += sizeof(v)) {
		memcpy(&v, at, sizeof(v));
		if (v.number > UINT8_MAX)
			return;
		low->vectors[v.number] = ROM_SEGMENT << 16 | v.offset;
	}
}

static int write_services(struct guest_memory *mem, uint64_t ram_bytes)
{
	const uint64_t mib_16 = 16ull << 20, base = ROM_BASE;
	uint64_t end = ram_low_end(ram_bytes), above = end - min(end, mib_16);
	struct bios_memory m = {0};
	int error =
		guest_write(mem, GPA(base + FIRMWARE_BIOS_OFFSET), bios_code, sizeof(bios_code));

	m.nr_entries = (uint16_t)e820_build(m.entry, ram_bytes);
	m.kib = (uint16_t)min((end - FIRMWARE_LIMIT) / 1024, (uint64_t)UINT16_MAX);
	m.low_kib = (uint16_t)((min(end, mib_16) - FIRMWARE_LIMIT) / 1024);
	m.high_blocks = (uint16_t)(above >> 16);
	return error ? error : guest_write(mem, GPA(base + bios_header().memory), &m, sizeof(m));
}

static int write_low_memory(struct guest_memory *mem)
{
	struct low_memory low = {
		.serial = {COM1_PORT},
		.ebda = FIRMWARE_BASE >> 4,
		.equipment = EQUIPMENT_X87 | 1 << EQUIPMENT_SERIALS,
		.base_memory = FIRMWARE_BASE / 1024,
		.key_head = KEYS_START,
		.key_tail = KEYS_START,
		.keys_start = KEYS_START,
		.keys_end = KEYS_END,
		.video_mode = VIDEO_TEXT,
		.columns = TEXT_COLUMNS,
		.page_size = 0x1000,
		.last_row = TEXT_ROWS - 1,
		.keyboard = KEYBOARD_101,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(low.vectors); i++)
		low.vectors[i] = ROM_SEGMENT << 16 | ROM_IRET;
	set_vectors(&low);
	return guest_write(mem, GPA(0), &low, sizeof(low));
}

static int write_rom(struct guest_memory *mem)
{
	struct reset_vector reset = {
		.jump = 0xea,
		.offset = ROM_POST,
		.segment = ROM_SEGMENT,
		.date = {'0', '1', '/', '0', '1', '/', '2', '6'},
		.model = MODEL_AT,
	};
	const uint8_t iret = 0xcf;
	int error = guest_write(mem, GPA(ROM_BASE + ROM_POST), reset_code, sizeof(reset_code));

	if (!error)
		error = guest_write(mem, GPA(ROM_BASE + ROM_IRET), &iret, sizeof(iret));
	return error ? error : guest_write(mem, GPA(ROM_BASE + ROM_RESET), &reset, sizeof(reset));
}

int bios_write_area(struct guest_memory *mem, uint64_t ram_bytes)
{
	const uint8_t ebda_kib = (EBDA_END - FIRMWARE_BASE) / 1024;
	int error = write_low_memory(mem);

	if (!error)
		error = guest_write(mem, GPA(FIRMWARE_BASE), &ebda_kib, sizeof(ebda_kib));
	if (!error)
		error = write_services(mem, ram_bytes);
	return error ? error : write_rom(mem);
}
