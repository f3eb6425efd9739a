/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Linux boot protocol (Documentation/arch/x86/boot.rst and zero-page.rst). A bzImage brings
 * its setup header; for a plain vmlinux, which has none, one is made up. Both end in the same
 * boot_params, GDT and, for a 64-bit entry, page tables.
 */
#include <errno.h>
#include <string.h>

#include "vmm/dev/e820.h"
#include "vmm/load/linux.h"

#define XLF_KERNEL_64    BIT(0) /* xloadflags: there is a 64-bit entry at 0x200 */
#define ENTRY_64_OFFSET  0x200
#define PROTOCOL_XLOAD   0x20c
#define VMLINUX_PROTOCOL 0x20f
#define VMLINUX_CMDLINE  2047        /* COMMAND_LINE_SIZE of x86, less the NUL */
#define INITRD_MAX_32    0x37ffffffu /* lowmem of a 32-bit kernel */
#define INITRD_MAX_64    0x7fffffffu

/* What both kinds of kernel come down to. */
struct linux_kernel {
	uint8_t header[HDR_END - HDR_START]; /* setup header for boot_params */
	uint64_t entry;
	bool is_64;
	uint32_t initrd_max;
	uint32_t cmdline_max;
};

static void set_header(struct linux_kernel *k, unsigned off, uint64_t val, unsigned size)
{
	memcpy(k->header + (off - HDR_START), &val, size);
}

bool is_bzimage(const struct load_file *f)
{
	return f->size >= HDR_LOADFLAGS + 1 &&
	       memcmp((const uint8_t *)f->data + HDR_MAGIC, "HdrS", 4) == 0;
}

bool is_old_linux(const struct load_file *f)
{
	return f->size >= HDR_JUMP && !is_bzimage(f) && !elf_is_elf(f->data, f->size) &&
	       linux_field(f, HDR_BOOT_FLAG, 2) == LINUX_BOOT_FLAG;
}

/* The protected-mode part of a bzImage. */
struct bzimage_code {
	const uint8_t *data;
	uint64_t size;     /* bytes in the file */
	uint64_t mem_size; /* bytes that the kernel needs from where it is loaded */
};

/*
 * `syssize` counts paragraphs of 16 bytes, rounded up, and nothing says that the file is padded to
 * whole ones.
 */
static int find_code(struct loader *l, struct bzimage_code *c)
{
	const struct load_file *f = &l->req->kernel;
	uint64_t setup = linux_setup_bytes(f), paragraphs = linux_field(f, HDR_SYSSIZE, 4);

	if (!paragraphs || setup > f->size || (f->size - setup + 15) / 16 < paragraphs)
		return loader_fail(l, -ENOEXEC, "kernel: truncated: %zu bytes of %llu", f->size,
				   (unsigned long long)(setup + paragraphs * 16));
	c->data = (const uint8_t *)f->data + setup;
	c->size = min(paragraphs * 16, f->size - setup);
	c->mem_size = max(linux_field(f, HDR_INIT_SIZE, 4), paragraphs * 16);
	return 0;
}

/*
 * Where the kernel would like to be; or, if that is taken and it can run elsewhere, the next place
 * that suits it: Linux moves itself up to the address that it would like, so first above that. The
 * preferred address if there is none: loader_add_piece() says what stands there.
 */
static uint64_t choose_address(const struct loader *l, uint64_t mem_size)
{
	const struct load_file *f = &l->req->kernel;
	uint64_t want = linux_field(f, HDR_PREF_ADDRESS, 8), low = ram_low_end(l->req->ram_bytes);
	uint64_t align = linux_field(f, HDR_ALIGNMENT, 4), addr;
	bool can_move = linux_field(f, HDR_RELOCATABLE, 1) && align && !(align & (align - 1));

	if (can_move && space_clash(&l->space, want, mem_size) &&
	    (space_find_low(&l->space, mem_size, align, max(want, FIRMWARE_LIMIT), low, &addr) ||
	     space_find_low(&l->space, mem_size, align, FIRMWARE_LIMIT, low, &addr)))
		return addr;
	return want;
}

static void read_header(const struct load_file *f, struct linux_kernel *k)
{
	memcpy(k->header, (const uint8_t *)f->data + HDR_START, linux_header_end(f) - HDR_START);
	k->is_64 = linux_version(f) >= PROTOCOL_XLOAD &&
		   (linux_field(f, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64);
	k->initrd_max = (uint32_t)linux_field(f, HDR_INITRD_MAX, 4);
	k->cmdline_max = (uint32_t)linux_field(f, HDR_CMDLINE_SIZE, 4);
}

static int plan_bzimage(struct loader *l, struct linux_kernel *k)
{
	struct bzimage_code code = {0};
	uint64_t addr;
	int error;

	if (l->req->kernel.size < HDR_END)
		return loader_fail(l, -ENOEXEC, "kernel: truncated setup header");
	error = find_code(l, &code);
	if (error)
		return error;
	addr = choose_address(l, code.mem_size);
	if (addr > UINT32_MAX)
		return loader_fail(l, -ENOEXEC, "kernel: wants to load above 4G");
	read_header(&l->req->kernel, k);
	set_header(k, HDR_CODE32_START, addr, 4);
	k->entry = addr + (k->is_64 ? ENTRY_64_OFFSET : 0);
	return loader_add_piece(l, "kernel", addr, code.mem_size, code.data, code.size);
}

/* An ELF vmlinux: make up the header that its bzImage would have had. */
static int plan_vmlinux(struct loader *l, struct linux_kernel *k)
{
	struct elf_image elf;
	const char *why = elf_parse(l->req->kernel.data, l->req->kernel.size, &elf);

	if (why)
		return loader_fail(l, -ENOEXEC, "kernel: %s", why);
	if (!elf_find_entry(&elf, &k->entry) || k->entry > UINT32_MAX)
		return loader_fail(l, -ENOEXEC, "kernel: ELF entry 0x%llx lies in no segment",
				   (unsigned long long)elf.entry);
	k->is_64 = elf.is_64;
	k->initrd_max = elf.is_64 ? INITRD_MAX_64 : INITRD_MAX_32;
	k->cmdline_max = VMLINUX_CMDLINE;
	set_header(k, HDR_BOOT_FLAG, LINUX_BOOT_FLAG, 2);
	memcpy(k->header + (HDR_MAGIC - HDR_START), "HdrS", 4);
	set_header(k, HDR_VERSION, VMLINUX_PROTOCOL, 2);
	set_header(k, HDR_LOADFLAGS, LINUX_LOADED_HIGH, 1);
	set_header(k, HDR_INITRD_MAX, k->initrd_max, 4);
	set_header(k, HDR_CMDLINE_SIZE, k->cmdline_max, 4);
	set_header(k, HDR_ALIGNMENT, 2u << 20, 4);
	return loader_add_elf(l, &elf);
}

static int plan(struct loader *l, struct linux_kernel *k, uint64_t *initrd)
{
	const struct load_request *req = l->req;
	size_t cmdline = strlen(req->cmdline);
	int error;

	if (req->nr_modules)
		return loader_fail(l, -EINVAL, "module: the Linux protocol knows an initrd only");
	error = is_bzimage(&req->kernel) ? plan_bzimage(l, k) : plan_vmlinux(l, k);
	if (error)
		return error;
	if (cmdline > k->cmdline_max)
		return loader_fail(l, -EINVAL,
				   "kernel: command line of %zu characters, it takes %u", cmdline,
				   k->cmdline_max);
	error = loader_add_tables(l, LOADER_GDT_BYTES + PAGE_SIZE + cmdline + 1 +
					     LOADER_IDENTITY_MAP_BYTES);
	if (error)
		return error;
	return loader_add_initrd(l, (uint64_t)k->initrd_max + 1, initrd);
}

static uint64_t put_boot_params(struct loader *l, struct linux_kernel *k, uint64_t initrd)
{
	uint64_t bp = loader_take(l, PAGE_SIZE, PAGE_SIZE);
	struct e820_entry map[E820_MAX_ENTRIES];
	uint8_t n = (uint8_t)e820_build(map, l->req->ram_bytes);

	set_header(k, HDR_LOADER, LOADER_UNDEFINED, 1);
	set_header(k, HDR_RAMDISK, initrd, 4);
	set_header(k, HDR_RAMDISK + 4, initrd ? l->req->initrd.size : 0, 4);
	set_header(k, HDR_CMDLINE, loader_put_string(l, l->req->cmdline), 4);
	loader_write(l, bp + HDR_START, k->header, sizeof(k->header));
	loader_write64(l, bp + BP_ACPI_RSDP, l->req->rsdp.v);
	loader_write(l, bp + BP_E820_ENTRIES, &n, 1);
	loader_write(l, bp + BP_E820_TABLE, map, n * sizeof(map[0]));
	return bp;
}

static int load_linux_prot(struct loader *l)
{
	struct linux_kernel k = {0};
	uint64_t initrd = 0, bp;
	int error = plan(l, &k, &initrd);

	if (error)
		return error;
	loader_commit(l);
	bp = put_boot_params(l, &k, initrd);
	if (k.is_64)
		boot_state_long64(l->out, k.entry, loader_put_identity_map(l));
	else
		boot_state_prot32(l->out, k.entry);
	loader_put_gdt(l, k.is_64);
	l->out->gpr[GPR_RSI] = bp;
	return 0;
}

/* Old kernels have no other entry that one can rely on, nor have those that load low. */
static bool starts_in_real_mode(const struct load_request *req)
{
	const struct load_file *f = &req->kernel;

	return is_bzimage(f) && (req->mode == BOOT_REAL || linux_version(f) < PROTOCOL_PROT32 ||
				 !(linux_field(f, HDR_LOADFLAGS, 1) & LINUX_LOADED_HIGH));
}

int load_linux(struct loader *l)
{
	const struct load_file *f = &l->req->kernel;

	if (is_old_linux(f))
		return loader_fail(l, -ENOEXEC,
				   "kernel: a boot sector without the setup header of Linux's boot "
				   "protocol, at least 2.00 is needed");
	if (is_bzimage(f) && linux_field(f, HDR_BOOT_FLAG, 2) != LINUX_BOOT_FLAG)
		return loader_fail(l, -ENOEXEC, "kernel: no boot flag 0xaa55 in the setup header");
	return starts_in_real_mode(l->req) ? load_linux_real(l) : load_linux_prot(l);
}
