/* SPDX-License-Identifier: BSD-2-Clause */
/* Where boot/ hands the machine over to the vmm. */
#ifndef VMM_CONTROL_START_H
#define VMM_CONTROL_START_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/bits.h"
#include "lib/types.h"
#include "vmm/control/work.h"

/* A module of the boot loader's. The file stays where it is; its memory is nobody else's. */
struct start_module {
	hpa_t base;
	uint64_t size;      /* bytes */
	const char *string; /* never NULL; stays valid */
};

#define START_MAX_MODULES  64
#define START_MAX_CONSOLES 4

struct serial; /* drivers/serial.h */

/* May guests execute pages larger than 4K? By default not on CPUs with ERRATUM_LARGE_FETCH. */
enum large_exec { LARGE_EXEC_AUTO, LARGE_EXEC_NEVER, LARGE_EXEC_ALWAYS };

struct start_options {
	struct start_module module[START_MAX_MODULES];
	unsigned nr_modules;
	enum onexit onexit;
	enum large_exec large_exec;
	bool bad_cmdline; /* the command line had a mistake, which was reported */
	struct serial
		*console[START_MAX_CONSOLES]; /* serial ports that are the machine's console */
	unsigned nr_consoles;
	uint64_t entry_tsc;   /* TSC at the image's entry */
	uint64_t image_bytes; /* memory of the image, its .bss and stacks, for the accounts */
};

/*
 * The boot CPU, with memory, clock, interrupts, APICs and the other CPUs up: start the guests.
 * `options` is copied.
 */
__noreturn void vmm_main(const struct start_options *options);

/*
 * Called instead of vmm_main() when the machine cannot run guests. Says why in one sentence and
 * does what `onexit` says. There is nothing to monitor, so ONEXIT_MONITOR halts, and the sentence
 * stays on the screen. Boot CPU, with page tables and clock up.
 */
__noreturn void vmm_refuse(const char *why, enum onexit onexit);

/* Every other CPU, at any time: waits until vmm_main() is ready for it. */
__noreturn void vmm_cpu_main(void);

#endif
