/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration of the machine: GRUB's module lines, parsed into one description per VM
 * (vmm/vm_config.h). A line is `PART vm=NAME key=value ... -- guest command line`, with PART one
 * of kernel, bios, initrd, disk, module. Each mistake is one line "vm NAME: key=value: reason" and
 * spoils its own VM only. Plain strings and ranges go in, so that the parser can be tested and
 * fuzzed.
 */
#ifndef VMM_CONTROL_CONFIG_H
#define VMM_CONTROL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/types.h"
#include "vmm/vm_config.h"

#define CONFIG_MAX_VMS     16
#define CONFIG_MIN_MEM     (2ull << 20)
#define CONFIG_DEFAULT_MEM (256ull << 20)

struct config_limits {
	uint64_t max_mem;  /* bytes that one guest can get */
	unsigned nr_pcpus; /* physical CPUs, 1..HOST_MAX_CPUS */
};

struct config {
	struct config_limits limits;
	void (*report)(void *ctx, const char *line); /* gets each error, without a newline */
	void *ctx;
	unsigned nr_lines;
	unsigned nr_vms;
	struct vm_config vm[CONFIG_MAX_VMS]; /* in the order of their first line */
};

void config_init(struct config *c, const struct config_limits *limits,
		 void (*report)(void *ctx, const char *line), void *ctx);

/*
 * One module: its string, and where its file lies. The string may start with the path of the
 * file (multiboot1, QEMU's -initrd) or with the part (multiboot2). The string is copied from.
 */
void config_add_module(struct config *c, const char *string, hpa_t base, uint64_t size);

/* After the last module: make the checks that need all of them (a VM without a kernel, ...). */
void config_finish(struct config *c);

#endif
