/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the owner of the machine asked for: GRUB's module lines, parsed into one description per
 * VM. A line is `PART vm=NAME key=value ... -- guest command line`, with PART one of kernel, bios,
 * initrd, disk, module. Each mistake is one line "vm NAME: key=value: reason" and spoils its own
 * VM only. Plain strings and ranges go in, so that the parser can be tested and fuzzed.
 */
#ifndef VMM_CONTROL_CONFIG_H
#define VMM_CONTROL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/bits.h"
#include "lib/types.h"
#include "mm/host.h"

#define CONFIG_MAX_VMS     16
#define CONFIG_MAX_MODULES 8
#define CONFIG_NAME_LEN    32   /* with the NUL */
#define CONFIG_WORD_LEN    64   /* a key=value word, with the NUL */
#define CONFIG_CMDLINE_LEN 2048 /* a guest's command line, with the NUL */
#define CONFIG_ERROR_LEN   160
#define CONFIG_MIN_MEM     (2ull << 20)
#define CONFIG_DEFAULT_MEM (256ull << 20)

/* How the guest's kernel is started; AUTO looks at the file. */
enum boot_proto {
	PROTO_AUTO,
	PROTO_LINUX,     /* Documentation/x86/boot.rst: bzImage, or vmlinux */
	PROTO_MULTIBOOT, /* multiboot 0.6.96 */
	PROTO_PVH,       /* ELF with the XEN_ELFNOTE_PHYS32_ENTRY note */
	PROTO_BIOS,      /* a firmware image, at the reset vector */
	PROTO_FLAT,      /* bytes at an address */
};

enum boot_mode { BOOT_REAL, BOOT_PROT32, BOOT_LONG64 };

/* Real mode: in the CPU if it can, or in the emulator (to debug that). */
enum realmode { REALMODE_AUTO, REALMODE_EMULATE };

#define VM_DEBUG_EXITS BIT(0) /* keep the last exits, for the log (vmm/trace.h) */

/* A file that GRUB loaded. */
struct config_file {
	hpa_t base;
	uint64_t size; /* bytes */
	bool present;
};

struct config_module {
	struct config_file file;
	char fw_cfg[CONFIG_WORD_LEN]; /* name in fw_cfg's directory; "" for a boot module */
	char args[256];               /* the text behind `--` */
};

/* Physical CPUs by their index, below HOST_MAX_CPUS. */
struct cpu_set {
	uint64_t word[HOST_MAX_CPUS / 64];
};

static inline void cpu_set_add(struct cpu_set *set, unsigned cpu)
{
	set->word[cpu / 64] |= BIT_ULL(cpu % 64);
}

static inline bool cpu_set_has(const struct cpu_set *set, unsigned cpu)
{
	return set->word[cpu / 64] & BIT_ULL(cpu % 64);
}

struct vm_config {
	char name[CONFIG_NAME_LEN];
	bool failed; /* a line about this VM was wrong: do not start it */
	uint64_t mem_bytes;
	unsigned vcpus; /* 1..VM_MAX_VCPUS */
	enum realmode realmode;
	bool large_pages;
	enum boot_proto proto;
	enum boot_mode mode; /* PROTO_FLAT: the CPU mode at its first byte */
	bool has_load_addr;
	uint64_t load_addr;            /* PROTO_FLAT: guest-physical */
	struct cpu_set cpus;           /* that the vCPUs may use; all when not said */
	uint32_t debug;                /* VM_DEBUG_* */
	char console[CONFIG_WORD_LEN]; /* "" when not said */
	char cmdline[CONFIG_CMDLINE_LEN];
	struct config_file kernel; /* or the firmware image */
	struct config_file initrd;
	unsigned nr_modules;
	struct config_module module[CONFIG_MAX_MODULES];
};

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

/* All modules are in: check what only the whole can tell (a VM without a kernel, ...). */
void config_finish(struct config *c);

#endif
