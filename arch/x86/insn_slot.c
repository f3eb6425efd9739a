/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing a guest's instruction to where it is executed: see insn_slot.h. */
#include "arch/x86/insn_slot.h"

#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "lib/bits.h"
#include "lib/spinlock.h"

#define NOP  0x90
#define INT3 0xcc

#define ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

unsigned insn_slot_call(struct slot_regs *regs, void *operand);

static uint8_t *slot __ro_after_init; /* const; insn_slot_page, to be written */
static struct spinlock slot_lock;     /* what is in the slot, and that it runs */

void insn_slot_init(void *alias)
{
	slot = alias;
}

/*
 * Code that was written through another linear address is fetched only after an instruction that
 * serializes (SDM volume 3, 9.1.3, "Handling Self- and Cross-Modifying Code"). What is left behind
 * leads nowhere.
 */
unsigned insn_slot_run(const uint8_t *code, unsigned len, void *operand, struct slot_regs *regs)
{
	unsigned vector;

	regs->flags = (regs->flags & ARITHMETIC) | RFLAGS_FIXED;
	spin_lock(&slot_lock);
	memcpy(slot, code, len);
	memset(slot + len, NOP, INSN_SLOT_LEN - len);
	cpuid(0);
	vector = insn_slot_call(regs, operand);
	memset(slot, INT3, INSN_SLOT_LEN);
	spin_unlock(&slot_lock);
	return vector;
}
