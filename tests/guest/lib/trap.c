/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interrupt descriptor table and the one place every exception and interrupt comes through.
 */
#include <string.h>

#include "ktap.h"
#include "trap.h"

uint64_t idt[256 * GATE_WORDS] __attribute__((aligned(4096)));
static trap_handler handlers[256];
extern const uint8_t trap_stubs[];

static void write_gate(unsigned vector, unsigned long entry, unsigned kind, unsigned dpl,
		       unsigned ist)
{
	uint64_t *gate = &idt[vector * GATE_WORDS];

	gate[0] = (entry & 0xffff) | (uint64_t)SEL_CODE << 16 | (uint64_t)ist << 32 |
		  (uint64_t)(0x80 | dpl << 5 | kind) << 40 | (uint64_t)(entry >> 16 & 0xffff) << 48;
#ifdef __x86_64__
	gate[1] = entry >> 32;
#endif
}

static unsigned long runtime_entry(unsigned vector)
{
	return (unsigned long)trap_stubs + 16 * vector;
}

void trap_set_gate(unsigned vector, unsigned kind, unsigned dpl, unsigned ist)
{
	write_gate(vector, runtime_entry(vector), kind, dpl, ist);
}

void trap_set_entry(unsigned vector, const void *entry)
{
	write_gate(vector, entry ? (unsigned long)entry : runtime_entry(vector), 14, 0, 0);
}

trap_handler trap_set(unsigned vector, trap_handler handler)
{
	trap_handler old = handlers[vector];

	handlers[vector] = handler;
	return old;
}

void trap_reset(void)
{
	memset(handlers, 0, sizeof(handlers));
	trap_init();
}

void trap_init(void)
{
	for (unsigned i = 0; i < 256; i++)
		trap_set_gate(i, 14, 0, IS_64BIT && i == DF_VECTOR ? 1 : 0);
}

void trap_load_idt(void)
{
	lidt((struct table_ptr){sizeof(idt) - 1, (unsigned long)idt});
}

static _Noreturn void report_unexpected(const struct regs *regs)
{
	printf("# ip %#lx cs %#lx flags %#lx cr2 %#lx ax %#lx cx %#lx dx %#lx bx %#lx\n", regs->ip,
	       regs->cs, regs->flags, read_cr2(), regs->ax, regs->cx, regs->dx, regs->bx);
	bail_out("unexpected vector %lu error %#lx on CPU %u", regs->vector, regs->error,
		 cpu_index());
}

void trap_dispatch(struct regs *regs);
void trap_dispatch(struct regs *regs)
{
	struct cpu *cpu = this_cpu();
	trap_handler handler = handlers[regs->vector];

	if (handler && handler(regs))
		return;
	if (!cpu->catching)
		report_unexpected(regs);
	cpu->catching = false;
	cpu->fault.vector = (int)regs->vector;
	cpu->fault.error = regs->error;
	cpu->fault.cr2 = read_cr2();
	memcpy(&cpu->fault.regs, regs, sizeof(*regs) - 2 * sizeof(long));
	if (IS_64BIT || (regs->cs & 3)) {
		cpu->fault.regs.sp = regs->sp;
		cpu->fault.regs.ss = regs->ss;
	}
	fault_resume(&cpu->jump);
}
