/* SPDX-License-Identifier: BSD-2-Clause */
/* The door to the loaders: which protocol a file speaks, and what they have in common. */
#include "vmm/load/load.h"

#include <errno.h>

#include "vmm/load/loader.h"

enum boot_proto load_detect(const struct load_file *kernel)
{
	struct elf_image elf;

	if (is_bzimage(kernel))
		return PROTO_LINUX;
	if (is_multiboot2(kernel))
		return PROTO_MULTIBOOT2;
	if (is_multiboot(kernel))
		return PROTO_MULTIBOOT;
	if (is_old_linux(kernel))
		return PROTO_LINUX; /* which says what is wrong with it */
	if (!elf_is_elf(kernel->data, kernel->size))
		return PROTO_AUTO;
	if (!elf_parse(kernel->data, kernel->size, &elf) && elf.has_pvh)
		return PROTO_PVH;
	return PROTO_LINUX;
}

static int load_by_proto(struct loader *l, enum boot_proto proto)
{
	switch (proto) {
	case PROTO_LINUX:
		return load_linux(l);
	case PROTO_MULTIBOOT:
		return load_multiboot(l);
	case PROTO_MULTIBOOT2:
		return load_multiboot2(l);
	case PROTO_PVH:
		return load_pvh(l);
	case PROTO_BIOS:
		return load_bios(l);
	case PROTO_FLAT:
		return load_flat(l);
	case PROTO_AUTO:
		break;
	}
	return loader_fail(l, -ENOEXEC, "kernel: neither a Linux, ELF nor multiboot kernel");
}

int load_guest(const struct load_request *req, struct guest_memory *mem, struct boot_state *out,
	       char *err, size_t errlen)
{
	struct loader l = {.req = req, .mem = mem, .out = out, .err = err, .errlen = errlen};
	enum boot_proto proto = req->proto;
	int error;

	if (!req->kernel.data || !req->kernel.size)
		return loader_fail(&l, -ENOEXEC, "kernel: the file is empty");
	if (proto == PROTO_AUTO)
		proto = load_detect(&req->kernel);
	space_init(&l.space, req->ram_bytes);
	error = load_by_proto(&l, proto);
	if (!error && l.write_error)
		error = loader_fail(&l, -EFAULT, "mem: the guest's memory has a hole");
	return error;
}
