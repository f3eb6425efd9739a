/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A UEFI application that makes the machine one whose firmware uses the memory that Umbra is linked
 * to: it takes all that is free from 1 MiB to 8 MiB for good, writes a pattern into it, and ends;
 * the firmware then goes on to boot GRUB. tests/boot/occupied looks for the pattern afterwards.
 *
 * UEFI Specification 2.10: 4.3 and 4.4 (tables), 7.2 (memory services).
 */
#include <stdint.h>

#define START      0x100000ull
#define END        0x800000ull
#define PAGE_SIZE  4096ull
#define PATTERN(a) ((a) ^ 0x0cc0b1ed0cc0b1edull)

#define EFIAPI __attribute__((ms_abi))

enum { ALLOCATE_ADDRESS = 2 };
enum { EFI_RUNTIME_SERVICES_DATA = 6 }; /* the boot loader and what it boots must leave it alone */

struct boot_services {
	uint8_t header[24];
	void *raise_tpl, *restore_tpl;
	uint64_t(EFIAPI *allocate_pages)(unsigned how, unsigned type, uint64_t pages,
					 uint64_t *address);
};

struct system_table {
	uint8_t header[24];
	void *vendor;
	uint32_t revision;
	void *console[6]; /* handles and protocols: in, out, error */
	void *runtime_services;
	struct boot_services *boot_services;
};

uint64_t EFIAPI efi_main(void *image, struct system_table *system);

uint64_t EFIAPI efi_main(void *image, struct system_table *system)
{
	struct boot_services *boot = system->boot_services;

	for (uint64_t page = START; page < END; page += PAGE_SIZE) {
		uint64_t at = page;

		if (boot->allocate_pages(ALLOCATE_ADDRESS, EFI_RUNTIME_SERVICES_DATA, 1, &at))
			continue; /* somebody else's */
		for (; at < page + PAGE_SIZE; at += 8)
			*(volatile uint64_t *)at = PATTERN(at);
	}
	return 0;
}
