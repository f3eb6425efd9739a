/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The description of a VM. The VM is created from it, also again after a reset by the monitor.
 * vmm/control/config.c makes it from GRUB's module lines.
 */
#ifndef VMM_VM_CONFIG_H
#define VMM_VM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/bits.h"
#include "lib/types.h"
#include "mm/host.h"
#include "vmm/load/load.h"

#define CONFIG_NAME_LEN    32   /* with the NUL */
#define CONFIG_WORD_LEN    64   /* a key=value word, with the NUL */
#define CONFIG_CMDLINE_LEN 2048 /* a guest's command line, with the NUL */

/* A VM's share of the CPUs, against those of the others there (vmm/fair.h). */
#define CONFIG_MIN_WEIGHT     1
#define CONFIG_DEFAULT_WEIGHT 100
#define CONFIG_MAX_WEIGHT     10000

/* Of KVM's clock and steal time. KVM_CLOCK_AUTO: for guests that are started as a Linux is. */
enum kvm_clock { KVM_CLOCK_AUTO, KVM_CLOCK_ON, KVM_CLOCK_OFF };

/* Real mode: in the CPU if it can, or in the emulator (to debug that). */
enum realmode { REALMODE_AUTO, REALMODE_EMULATE };

/* How the guest gets to its memory: by nested paging if the CPU has it, else by shadow tables. */
enum mmu_choice { MMU_AUTO, MMU_TDP, MMU_SHADOW };

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
	unsigned vcpus;  /* 1..VM_MAX_VCPUS */
	unsigned weight; /* CONFIG_MIN_WEIGHT..CONFIG_MAX_WEIGHT */
	enum realmode realmode;
	enum kvm_clock kvm_clock; /* vmm/exit/kvm_clock.h */
	enum mmu_choice mmu;
	bool large_pages;
	bool dirty_log;     /* the guest may use its dirty log itself */
	bool test_device;   /* it has one (vmm/dev/testdev.h) */
	bool ends_at_reset; /* a reset or a triple fault ends it, and does not start it again */
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
	struct config_module module[LOAD_MAX_MODULES];
};

#endif
