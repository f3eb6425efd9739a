/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Images without a format: a firmware, which begins at the reset vector as on a real board, and
 * a flat binary at an address of its owner's choice.
 */
#include <errno.h>

#include "vmm/dev/e820.h"
#include "vmm/load/loader.h"

#define ROM_MAX    (8ull << 20) /* stays clear of the local APIC and pc-testdev's I/O RAM */
#define SHADOW_MAX (256ull << 10)
#define SHADOW_END FIRMWARE_LIMIT

static int refuse_extras(struct loader *l, const char *what)
{
	if (l->req->initrd.data || l->req->nr_modules || l->req->cmdline[0])
		return loader_fail(l, -EINVAL, "%s: takes no initrd, module or command line", what);
	return 0;
}

uint64_t load_rom_bytes(const struct load_request *req)
{
	if (req->proto != PROTO_BIOS || req->kernel.size > ROM_MAX)
		return 0;
	return ALIGN_UP((uint64_t)req->kernel.size, PAGE_SIZE);
}

/*
 * The image ends at 4 GiB; its last part is also below 1 MiB, in RAM, as the chipset of a PC
 * shadows it before the firmware's first far jump leads there.
 */
int load_bios(struct loader *l)
{
	const uint8_t *data = l->req->kernel.data;
	uint64_t size = l->req->kernel.size, shadow = min(size, SHADOW_MAX);
	int error = refuse_extras(l, "bios");

	if (error)
		return error;
	if (!IS_ALIGNED(size, PAGE_SIZE) || size > ROM_MAX)
		return loader_fail(l, -ENOEXEC,
				   "bios: %llu bytes, an image has a multiple of 4K up to 8M",
				   (unsigned long long)size);
	loader_write(l, RAM_HIGH_BASE - size, data, size);
	loader_write(l, SHADOW_END - shadow, data + size - shadow, shadow);
	boot_state_reset(l->out);
	return 0;
}

static void set_flat_state(struct loader *l)
{
	uint64_t addr = l->req->load_addr;

	switch (l->req->mode) {
	case BOOT_REAL:
		/* Segment 0 as long as that reaches, for boot sectors at 0x7c00. */
		if (addr <= UINT16_MAX)
			boot_state_real(l->out, 0, addr);
		else
			boot_state_real(l->out, (uint16_t)(addr >> 4), addr & 0xf);
		break;
	case BOOT_PROT32:
		boot_state_prot32(l->out, addr);
		loader_put_gdt(l, false);
		break;
	case BOOT_LONG64:
		boot_state_long64(l->out, addr, loader_put_identity_map(l));
		loader_put_gdt(l, true);
		break;
	}
}

int load_flat(struct loader *l)
{
	const struct load_request *req = l->req;
	int error = refuse_extras(l, "kernel");

	if (!error && req->mode == BOOT_REAL && req->load_addr >= FIRMWARE_BASE)
		error = loader_fail(l, -EINVAL, "load=0x%llx: real mode starts below 640K",
				    (unsigned long long)req->load_addr);
	if (!error && req->load_addr > UINT32_MAX)
		error = loader_fail(l, -EINVAL, "load=0x%llx: not below 4G",
				    (unsigned long long)req->load_addr);
	if (!error)
		error = loader_add_piece(l, "kernel", req->load_addr, req->kernel.size,
					 req->kernel.data, req->kernel.size);
	if (!error && req->mode != BOOT_REAL)
		error = loader_add_tables(l, LOADER_GDT_BYTES + LOADER_IDENTITY_MAP_BYTES);
	if (error)
		return error;
	loader_commit(l);
	set_flat_state(l);
	return 0;
}
