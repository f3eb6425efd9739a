/* SPDX-License-Identifier: BSD-2-Clause */
/* How long the emulator may go on before the CPU looks around: see INSN_TIME_NS. */
#include "vmm/exit/insn_ctx.h"

bool insn_look_at_clock(struct insn_ctx *ic)
{
	uint64_t now = clock_ns();

	ic->used_device = false;
	if (!ic->until_ns)
		ic->until_ns = now + INSN_TIME_NS;
	return now >= ic->until_ns;
}

bool insn_is_time_over(struct insn_ctx *ic)
{
	if (likely(++ic->steps % INSN_CLOCK_STEPS && !ic->used_device))
		return false;
	return insn_look_at_clock(ic);
}
