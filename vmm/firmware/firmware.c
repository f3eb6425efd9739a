/* SPDX-License-Identifier: BSD-2-Clause */
/* The firmware's work, as far as it is not one of the two sets of tables. */
#include "vmm/firmware/firmware.h"

#include "vmm/dev/pic.h"

uint8_t firmware_checksum(const void *data, unsigned len)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	for (unsigned i = 0; i < len; i++)
		sum += p[i];
	return (uint8_t)-sum;
}

int firmware_write_tables(struct guest_memory *mem, unsigned nr_vcpus)
{
	int error = acpi_write_tables(mem, nr_vcpus);

	return error ? error : mp_write_table(mem, nr_vcpus);
}

/* ICW1: initialise, ICW4 follows; ICW2: vectors; ICW3: wiring of the cascade; ICW4: 8086 mode. */
static void init_chip(struct pic_chip *chip, uint8_t vectors, uint8_t cascade, uint8_t mask)
{
	pic_write(chip, 0, 1, 0x11);
	pic_write(chip, 1, 1, vectors);
	pic_write(chip, 1, 1, cascade);
	pic_write(chip, 1, 1, 0x01);
	pic_write(chip, 1, 1, mask);
}

void firmware_init_pic(struct pic *p)
{
	init_chip(&p->chip[0], 0x08, 1 << PIC_CASCADE, (uint8_t) ~(1 << PIC_CASCADE));
	init_chip(&p->chip[1], 0x70, PIC_CASCADE, (uint8_t) ~(1 << (11 - 8)));
	pic_elcr_write(p, 1, 1, 1 << (9 - 8)); /* ACPI's SCI; there are no PCI interrupts */
}
