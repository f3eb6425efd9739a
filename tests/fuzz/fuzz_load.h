/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loader fuzzers share: a small guest, loaded from the input by one protocol. A load
 * that fails must say so in one line; one that succeeds must start inside the guest's RAM.
 */
#ifndef TESTS_FUZZ_FUZZ_LOAD_H
#define TESTS_FUZZ_FUZZ_LOAD_H

#include <stdlib.h>
#include <string.h>

#include "mm/grace.h"
#include "mm/slots.h"
#include "tests/unit/support/host.h"
#include "vmm/load/load.h"

#define FUZZ_RAM (8ull << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct guest_memory *fuzz_guest(void)
{
	static struct guest_memory mem;
	static bool ready;

	if (!ready) {
		ready = true;
		host_arena_with_frames(4 * FUZZ_RAM);
		grace_exit_guest(grace_cpu());
		slots_init(&mem);
		if (slots_create(&mem, 0, GFN(0), FUZZ_RAM >> PAGE_SHIFT, 0))
			abort();
	}
	return &mem;
}

static inline void fuzz_load(enum boot_proto proto, const uint8_t *data, size_t size)
{
	struct load_request req = {.vm = "f",
				   .proto = proto,
				   .mode = BOOT_PROT32,
				   .kernel = {data, size, NULL},
				   .initrd = {"initrd", 6, NULL},
				   .cmdline = "quiet",
				   .ram_bytes = FUZZ_RAM,
				   .rsdp = GPA(0xe0000)};
	char err[160] = "";
	struct boot_state s;
	int error = load_guest(&req, fuzz_guest(), &s, err, sizeof(err));

	if (error > 0 || (error && strncmp(err, "vm f: ", 6)) || strchr(err, '\n'))
		abort();
	if (!error && (s.rip >= FUZZ_RAM || s.gdt.base >= FUZZ_RAM || s.cr3 >= FUZZ_RAM ||
		       s.gpr[GPR_RSI] >= FUZZ_RAM || s.gpr[GPR_RBX] >= FUZZ_RAM))
		abort();
}

#endif
