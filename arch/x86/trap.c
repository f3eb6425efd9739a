/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens when the hypervisor itself faults: an instruction listed in the exception table
 * goes on at its landing place, everything else is the end, with a report.
 */
#include "arch/x86/trap.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "arch/x86/panic.h"
#include "lib/log.h"

struct extable_entry {
	uint64_t from, to;
};

extern const struct extable_entry extable_start[], extable_end[]; /* linker.ld */

static bool fix_up(struct trap_frame *frame)
{
	const struct extable_entry *e;

	if (frame->vector != X86_TRAP_GP && frame->vector != X86_TRAP_UD &&
	    frame->vector != X86_TRAP_PF)
		return false;
	for (e = extable_start; e < extable_end; e++) {
		if (e->from != frame->rip)
			continue;
		frame->rip = e->to;
		return true;
	}
	return false;
}

void trap_nmi(void)
{
	if (panic_in_progress())
		panic_stop_this_cpu();
	/* Nobody else sends any: the machine's own (memory or bus error, a button). Not fatal. */
}

void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector >= 32)
		irq_dispatch((unsigned)frame->vector);
	else if (frame->vector == X86_TRAP_NMI)
		trap_nmi();
	else if (!fix_up(frame))
		panic_trap(frame);
}

int rdmsr_safe(uint32_t msr, uint64_t *val)
{
	uint32_t lo = 0, hi = 0;
	int err = -EFAULT;

	__asm__ volatile("1: rdmsr\n\t"
			 "xorl %0, %0\n"
			 "2:\n\t" EXTABLE(1b, 2b)
			 : "+r"(err), "+a"(lo), "+d"(hi)
			 : "c"(msr)
			 : "memory", "cc");
	*val = (uint64_t)hi << 32 | lo;
	return err;
}

int wrmsr_safe(uint32_t msr, uint64_t val)
{
	int err = -EFAULT;

	__asm__ volatile("1: wrmsr\n\t"
			 "xorl %0, %0\n"
			 "2:\n\t" EXTABLE(1b, 2b)
			 : "+r"(err)
			 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory", "cc");
	return err;
}
