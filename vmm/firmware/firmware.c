/* SPDX-License-Identifier: BSD-2-Clause */
/* All parts, in their order. */
#include "vmm/firmware/firmware.h"

#include "vmm/firmware/tables.h"

int firmware_write_tables(struct guest_memory *mem, unsigned nr_vcpus, uint64_t ram_bytes)
{
	int error = acpi_write_tables(mem, nr_vcpus);

	if (!error)
		error = mp_write_table(mem, nr_vcpus);
	return error ? error : bios_write_area(mem, ram_bytes);
}
