/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot1 information, fw_cfg and ACPI table look-up. All of it lies below 4 GiB, where
 * physical memory is mapped one to one.
 */
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "ktap.h"

#define MULTIBOOT_MAGIC 0x2badb002
#define MBI_MEMORY      BIT(0)
#define MBI_CMDLINE     BIT(2)
#define FWCFG_SELECTOR  0x510
#define FWCFG_DATA      0x511
#define BIOS_AREA       0xe0000ul
#define BIOS_AREA_END   0x100000ul
#define FADT_PM_TMR_BLK 76

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
};

extern uint32_t boot_magic, boot_info;
static char cmdline[256];
static unsigned long memory_end;

static inline const void *phys(uint64_t pa)
{
	return (const void *)(unsigned long)pa;
}

void boot_init(void)
{
	const struct multiboot_info *mbi = phys(boot_info);

	if (boot_magic != MULTIBOOT_MAGIC)
		bail_out("not started by a multiboot1 loader: eax = %#x", boot_magic);
	if (mbi->flags & MBI_MEMORY)
		memory_end = ((unsigned long)mbi->mem_upper + 1024) * 1024;
	if (mbi->flags & MBI_CMDLINE)
		strlcpy(cmdline, phys(mbi->cmdline), sizeof(cmdline));
	if (memory_end < 8ul << 20)
		bail_out("memory ends at %#lx", memory_end);
}

unsigned long boot_memory_end(void)
{
	return memory_end;
}

const char *boot_option(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = cmdline; p; p = strchr(p, ' ')) {
		p += strspn(p, " ");
		if (strncmp(p, name, len))
			continue;
		if (p[len] == '=')
			return p + len + 1;
		if (!p[len] || p[len] == ' ')
			return p + len;
	}
	return NULL;
}

unsigned one_in(void)
{
	const char *text = boot_option("sparse");

	return text ? (unsigned)strtoul(text, NULL, 0) : 1;
}

void fwcfg_read(uint16_t key, void *buf, size_t len)
{
	uint8_t *p = buf;

	outw(FWCFG_SELECTOR, key);
	while (len--)
		*p++ = inb(FWCFG_DATA);
}

bool fwcfg_exists(void)
{
	char signature[4];

	fwcfg_read(FWCFG_SIGNATURE, signature, sizeof(signature));
	return !memcmp(signature, "QEMU", 4);
}

uint16_t fwcfg_read16(uint16_t key)
{
	uint16_t val;

	fwcfg_read(key, &val, sizeof(val));
	return val;
}

uint8_t acpi_sum(const void *table, size_t len)
{
	const uint8_t *p = table;
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return sum;
}

const struct acpi_rsdp *acpi_rsdp(void)
{
	for (unsigned long pa = BIOS_AREA; pa < BIOS_AREA_END; pa += 16)
		if (!memcmp(phys(pa), "RSD PTR ", 8) && !acpi_sum(phys(pa), 20))
			return phys(pa);
	return NULL;
}

/* Entries of the RSDT are 4 bytes wide, those of the XSDT 8. */
static const void *find_in(const struct acpi_header *root, size_t width, const char *signature)
{
	const uint8_t *entry = (const uint8_t *)(root + 1),
		      *end = (const uint8_t *)root + root->length;

	for (; entry + width <= end; entry += width) {
		uint64_t pa = 0;

		memcpy(&pa, entry, width);
		if (!memcmp(phys(pa), signature, 4))
			return phys(pa);
	}
	return NULL;
}

const void *acpi_find(const char *signature)
{
	const struct acpi_rsdp *rsdp = acpi_rsdp();

	if (!rsdp)
		return NULL;
	if (rsdp->revision >= 2 && rsdp->xsdt)
		return find_in(phys(rsdp->xsdt), 8, signature);
	return find_in(phys(rsdp->rsdt), 4, signature);
}

uint16_t acpi_pm_timer_port(void)
{
	const uint8_t *fadt = acpi_find("FACP");
	uint32_t port = 0;

	if (fadt)
		memcpy(&port, fadt + FADT_PM_TMR_BLK, sizeof(port));
	return (uint16_t)port;
}
