/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens when the hypervisor itself faults: an instruction listed in the exception table
 * goes on at its landing place, everything else is the end, with a report.
 */
#include "arch/x86/trap.h"

#include <stdbool.h>
#include <stddef.h>

#include "arch/x86/apic.h"
#include "arch/x86/irq.h"
#include "arch/x86/mce.h"
#include "arch/x86/nmi.h"
#include "arch/x86/panic.h"
#include "arch/x86/regs.h"

struct extable_entry {
	uint64_t from, to;
};

extern const struct extable_entry extable_start[], extable_end[]; /* linker.ld */

#define FIXABLE                                                                                    \
	(BIT(X86_TRAP_UD) | BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) | BIT(X86_TRAP_MF) |               \
	 BIT(X86_TRAP_XM))

/* A guest's instruction: insn_slot.h. */
__asm__(EXTABLE(insn_slot_page, insn_slot_fault));

static bool fix_up(struct trap_frame *frame)
{
	const struct extable_entry *e;

	if (!(FIXABLE & BIT(frame->vector)))
		return false;
	for (e = extable_start; e < extable_end; e++) {
		if (e->from != frame->rip)
			continue;
		frame->rip = e->to;
		frame->rax = frame->vector;
		return true;
	}
	return false;
}

static void take_interrupt(unsigned vector)
{
	if (irq_handle(vector))
		apic_eoi();
}

static bool is_late_debug(const struct trap_frame *frame)
{
	return frame->vector == X86_TRAP_DB && frame->rip == (uint64_t)guest_has_run;
}

void trap_dispatch(struct trap_frame *frame)
{
	if (is_late_debug(frame))
		return;
	if (frame->vector >= 32)
		take_interrupt((unsigned)frame->vector);
	else if (frame->vector == X86_TRAP_NMI)
		nmi_take(frame);
	else if (frame->vector == X86_TRAP_MC)
		mce_handle(frame);
	else if (!fix_up(frame))
		panic_trap(frame);
}
