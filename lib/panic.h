/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of the machine. HV_BUG_ON is for Umbra's own broken invariants only; what a guest can
 * reach ends that guest with vm_bug() (vmm/vm.h). panic() is the machine's (arch/x86/panic.c)
 * or, in hosted tests, an abort.
 */
#ifndef LIB_PANIC_H
#define LIB_PANIC_H

#include "lib/bits.h"

/* Print the message, registers, backtrace and the guest in charge; stop all CPUs. */
__noreturn void panic(const char *fmt, ...) __printf_fmt(1, 2);

#define HV_BUG_ON(cond)                                                                            \
	do {                                                                                       \
		if (__builtin_expect(!!(cond), 0))                                                 \
			panic("BUG: %s at %s:%d", #cond, __FILE__, __LINE__);                      \
	} while (0)

#endif
