/* SPDX-License-Identifier: BSD-2-Clause */
/* The tasks of the tests of task switches. */
#include "tasks32.h"

#include <string.h>

#include "x86.h"

struct tss task1 __attribute__((aligned(128))), task2 __attribute__((aligned(128)));
uint8_t task_stack1[PAGE_SIZE], task_stack2[PAGE_SIZE];

volatile struct task_record task_seen;
void (*volatile task_hook)(void);
uint32_t task_error;
volatile uint32_t task_handler_link;

void task_record(void);
void task_record(void)
{
	task_seen.runs++;
	task_seen.tr = str();
	__asm__ volatile("mov %%fs, %0" : "=r"(task_seen.fs));
	task_seen.caller_type = (uint8_t)(gdt[SEL_TSS / 8] >> 40);
	task_seen.flags = read_flags();
	task_seen.cr0 = read_cr0();
	task_seen.cr3 = read_cr3();
	task_seen.dr7 = read_dr7();
	if (task_hook)
		task_hook();
}

__asm__(".pushsection .text\n"
	".global task_plain, task_with_error\n"
	"task_with_error:\n"
	"	popl	task_error\n"
	"	call	task_record\n"
	"	iret\n"
	"	jmp	task_with_error\n"
	"task_plain:\n"
	"	call	task_record\n"
	"	iret\n"
	"	jmp	task_plain\n"
	".popsection");

struct tss *task_home(void)
{
	return &cpus[0].tss;
}

uint8_t task_type(unsigned selector)
{
	return (uint8_t)(gdt[selector / 8] >> 40);
}

void task_set_tss(unsigned selector, const struct tss *t, uint8_t type)
{
	gdt_set(selector, (uint32_t)(unsigned long)t, sizeof(*t) - 1, type);
}

void task_init(struct tss *t, uint8_t *stack, const uint8_t *entry)
{
	*t = (struct tss){
		.cr3 = read_cr3(),
		.eip = (uint32_t)(unsigned long)entry,
		.eflags = 2,
		.esp = (uint32_t)(unsigned long)stack + PAGE_SIZE,
		.es = SEL_DATA,
		.cs = SEL_CODE,
		.ss = SEL_DATA,
		.ds = SEL_DATA,
		.fs = SEL_DATA,
		.gs = SEL_DATA,
		.iomap = sizeof(*t),
	};
}

void task_begin(void)
{
	task_set_tss(SEL_TSS, task_home(), TSS_AVAILABLE);
	ltr(SEL_TSS);
	write_flags(read_flags() & ~RFLAGS_NT);
	write_cr0(read_cr0() & ~CR0_TS);
	task_init(&task1, task_stack1, task_plain);
	task_init(&task2, task_stack2, task_plain);
	task_set_tss(SEL_T1, &task1, TSS_AVAILABLE);
	task_set_tss(SEL_T2, &task2, TSS_AVAILABLE);
	memset((void *)&task_seen, 0, sizeof(task_seen));
	task_hook = NULL;
	task_error = ~0u;
}

uint64_t task_gate(unsigned selector, unsigned dpl)
{
	return (uint64_t)selector << 16 | (uint64_t)(GATE_TYPE | dpl << 5) << 40;
}

void task_return_home(void)
{
	task_handler_link = task2.link;
	task2.link = SEL_TSS;
}
