/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a PC's BIOS leaves outside of tables, and what kernels that never ask a firmware still read:
 * interrupt vectors, the data area at 0x400, the extended one (EBDA), and the reset code below 1
 * MiB (IBM PC AT technical reference, section 5; the addresses in the ROM are the original's, by
 * which programs know them). There are no services: each interrupt returns at once.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/bits.h"
#include "mm/guest.h"
#include "vmm/dev/e820.h"
#include "vmm/firmware/tables.h"

#define ROM_SEGMENT 0xf000u
#define ROM_BASE    0xf0000u
#define ROM_POST    0xe05bu /* offsets in the segment */
#define ROM_IRET    0xff53u
#define ROM_RESET   0xfff0u
#define MODEL_AT    0xfc
#define EBDA_END    0xa0000u
#define COM1_PORT   0x3f8

#define EQUIPMENT_X87     BIT(1)
#define EQUIPMENT_SERIALS 9 /* bits 11:9: how many */
#define KEYBOARD_101      0x10

/* Physical 0 to 0x4ff. */
struct low_memory {
	uint32_t vectors[256]; /* segment and offset */
	uint16_t serial[4];    /* ports */
	uint16_t parallel[3];
	uint16_t ebda;      /* segment */
	uint16_t equipment; /* what INT 11h says */
	uint8_t tests;
	uint16_t base_memory; /* KiB from 0, what INT 12h says */
	uint8_t unused[0x81];
	uint8_t keyboard;
	uint8_t rest[0x69];
} __packed;
static_assert(offsetof(struct low_memory, ebda) == 0x40e, "EBDA segment");
static_assert(offsetof(struct low_memory, base_memory) == 0x413, "base memory");
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

static int write_low_memory(struct guest_memory *mem)
{
	struct low_memory low = {
		.serial = {COM1_PORT},
		.ebda = FIRMWARE_BASE >> 4,
		.equipment = EQUIPMENT_X87 | 1 << EQUIPMENT_SERIALS,
		.base_memory = FIRMWARE_BASE / 1024,
		.keyboard = KEYBOARD_101,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(low.vectors); i++)
		low.vectors[i] = ROM_SEGMENT << 16 | ROM_IRET;
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

int bios_write_area(struct guest_memory *mem)
{
	const uint8_t ebda_kib = (EBDA_END - FIRMWARE_BASE) / 1024;
	int error = write_low_memory(mem);

	if (!error)
		error = guest_write(mem, GPA(FIRMWARE_BASE), &ebda_kib, sizeof(ebda_kib));
	return error ? error : write_rom(mem);
}
