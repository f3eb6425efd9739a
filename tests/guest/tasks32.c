/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches by hardware: CALL, JMP and IRET, task gates for exceptions and interrupts, 16-bit
 * and virtual-8086 tasks, and what else a TSS asks for (SDM volume 3, chapter 7). Others:
 * task_faults32.c, task_paging32.c.
 */
#include <string.h>

#include "access.h"
#include "apic.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "paging.h"
#include "tasks32.h"

/* --- by instructions -------------------------------------------------------------------------- */

extern const uint8_t behind_call[];

TEST(call_and_iret)
{
	task_begin();
	__asm__ volatile("lcall %0, $0\nbehind_call:" : : "i"(SEL_T1) : "memory", "cc");
	CHECK_EQ(task_seen.runs, 1);
	CHECK_EQ(task_seen.tr, SEL_T1);
	CHECK(task_seen.flags & RFLAGS_NT);
	CHECK(task_seen.cr0 & CR0_TS);
	CHECK_EQ(task_seen.caller_type, TSS_BUSY);
	CHECK_EQ(task1.link, SEL_TSS);
	CHECK_EQ(task_home()->eip, (unsigned long)behind_call);
	CHECK_EQ(task_home()->cs, SEL_CODE);
	CHECK(!(task_home()->eflags & RFLAGS_NT));
	CHECK(!(task1.eflags & RFLAGS_NT)); /* IRET has cleared it in the image */
	CHECK_EQ(str(), SEL_TSS);
	CHECK_EQ(task_type(SEL_TSS), TSS_BUSY);
	CHECK_EQ(task_type(SEL_T1), TSS_AVAILABLE);
	CHECK(!(read_flags() & RFLAGS_NT));
	CALL_TASK(SEL_T1); /* it goes on behind its IRET */
	CHECK_EQ(task_seen.runs, 2);
}

/* All that a TSS holds of the registers goes there, and comes from there. */
extern const uint8_t task_pusha[];
__asm__(".pushsection .text\n"
	"task_pusha:\n"
	"	pusha\n"
	"	pushf\n"
	"	mov	$0x99999999, %esi\n"
	"	iret\n"
	".popsection");

TEST(registers)
{
	const uint32_t *stack = (uint32_t *)(task_stack1 + PAGE_SIZE);
	uint32_t si = 0, bp = 0;

	task_begin();
	task1.eip = (uint32_t)(unsigned long)task_pusha;
	task1.eflags = 2 | RFLAGS_CF | RFLAGS_DF | RFLAGS_AC;
	task1.eax = 0xa1;
	task1.ecx = 0xa2;
	task1.edx = 0xa3;
	task1.ebx = 0xa4;
	task1.ebp = 0xa5;
	task1.esi = 0xa6;
	task1.edi = 0xa7;
	__asm__ volatile("push %%ebp\n"
			 "mov $0x55555555, %%ebp\n"
			 "lcall %6, $0\n"
			 "mov %%ebp, %%ecx\n"
			 "pop %%ebp\n"
			 : "=S"(si), "=c"(bp)
			 : "a"(0x11111111), "d"(0x33333333), "b"(0x44444444), "D"(0x77777777),
			   "i"(SEL_T1), "0"(0x66666666), "1"(0x22222222)
			 : "memory", "cc");
	CHECK_EQ(task_home()->eax, 0x11111111);
	CHECK_EQ(task_home()->ecx, 0x22222222);
	CHECK_EQ(task_home()->edx, 0x33333333);
	CHECK_EQ(task_home()->ebx, 0x44444444);
	CHECK_EQ(task_home()->ebp, 0x55555555);
	CHECK_EQ(task_home()->esi, 0x66666666);
	CHECK_EQ(task_home()->edi, 0x77777777);
	CHECK_EQ(si, 0x66666666);
	CHECK_EQ(bp, 0x55555555);
	for (unsigned i = 1; i <= 8; i++)
		if (i != 5) /* ESP */
			CHECK_EQ(stack[-(int)i], 0xa0 + (i > 5 ? i - 1 : i));
	CHECK_EQ(stack[-5], (unsigned long)stack);
	CHECK_EQ(stack[-9], 2 | RFLAGS_CF | RFLAGS_DF | RFLAGS_AC | RFLAGS_NT);
	CHECK_EQ(task1.esi, 0x99999999);
	CHECK_EQ(task1.esp, (unsigned long)&stack[-9]);
}

/* CF alone, by a comparison. */
static bool saves_flags(void)
{
	task_begin();
	__asm__ volatile("xor %%eax, %%eax; cmp $1, %%eax; lcall %0, $0"
			 :
			 : "i"(SEL_T1)
			 : "eax", "memory", "cc");
	return task_home()->eflags & RFLAGS_CF;
}

TEST(arithmetic_flags)
{
	SKIP_UNLESS(IS_ABLE(saves_flags()),
		    "this CPU saves stale arithmetic flags at CALL and JMP");
	task_begin();
	task1.eip = (uint32_t)(unsigned long)task_pusha;
	__asm__ volatile("xor %%eax, %%eax; stc; lcall %0, $0"
			 :
			 : "i"(SEL_T1)
			 : "eax", "memory", "cc");
	CHECK_EQ(task_home()->eflags & RFLAGS_ARITH, RFLAGS_CF | RFLAGS_ZF | RFLAGS_PF);
}

static void jump_home(void)
{
	JUMP_TASK(SEL_TSS);
}

TEST(jump)
{
	task_begin();
	task_hook = jump_home;
	for (unsigned i = 1; i <= 2; i++) {
		task1.eip = (uint32_t)(unsigned long)task_plain;
		JUMP_TASK(SEL_T1);
		CHECK_EQ(task_seen.runs, i);
		CHECK(!(task_seen.flags & RFLAGS_NT));
		CHECK_EQ(task_seen.caller_type, TSS_AVAILABLE);
		CHECK_EQ(task_type(SEL_TSS), TSS_BUSY);
		CHECK_EQ(task_type(SEL_T1), TSS_AVAILABLE);
		CHECK_EQ(task1.link, 0);
	}
}

TEST(task_gate_of_the_gdt)
{
	task_begin();
	gdt[SEL_GATE / 8] = task_gate(SEL_T1, 0);
	CALL_TASK(SEL_GATE);
	CHECK_EQ(task_seen.tr, SEL_T1);
	CHECK_EQ(task1.link, SEL_TSS);
	task_hook = jump_home;
	JUMP_TASK(SEL_GATE);
	CHECK_EQ(task_seen.runs, 2);
}

static void call_t2(void)
{
	if (task_seen.tr != SEL_T1)
		return;
	CALL_TASK(SEL_T2);
}

TEST(nested)
{
	task_begin();
	task_hook = call_t2;
	CALL_TASK(SEL_T1);
	CHECK_EQ(task_seen.runs, 2);
	CHECK_EQ(task_seen.tr, SEL_T2);
	CHECK_EQ(task2.link, SEL_T1);
	CHECK_EQ(task1.link, SEL_TSS);
	CHECK_EQ(task_type(SEL_T1), TSS_AVAILABLE);
	CHECK_EQ(task_type(SEL_T2), TSS_AVAILABLE);
}

USER_CODE(user_call_task, "lcall $0x88, $0");
USER_CODE(user_call_gate, "lcall $0x48, $0");
USER_CODE(user_int, "int $0x90");

TEST(from_user_mode)
{
	_Static_assert(SEL_T1 == 0x88 && SEL_GATE == 0x48, "");
	task_begin();
	gdt[SEL_GATE / 8] = task_gate(SEL_T1, 0);
	idt[0x90] = task_gate(SEL_T1, 0);
	CHECK_EQ(try_user(user_call_task), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_T1);
	CHECK_EQ(try_user(user_call_gate), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_GATE);
	CHECK_EQ(try_user(user_int), GP_VECTOR);
	CHECK_EQ(fault()->error, 0x90 * 8 + 2);
	CHECK_EQ(task_seen.runs, 0);
	gdt[SEL_GATE / 8] = task_gate(SEL_T1, 3); /* whatever the TSS's own DPL */
	idt[0x90] = task_gate(SEL_T1, 3);
	CHECK_EQ(try_user(user_call_gate), NO_FAULT);
	CHECK_EQ(task_home()->cs, SEL_UCODE32);
	CHECK_EQ(try_user(user_int), NO_FAULT);
	task_set_tss(SEL_T1, &task1, TSS_AVAILABLE | GDT_DPL3);
	CHECK_EQ(try_user(user_call_task), NO_FAULT);
	CHECK_EQ(task_seen.runs, 3);
	/* To CPL 3, and back by an interrupt gate with the new task's own stack. */
	task_begin();
	task1.eip = (uint32_t)(unsigned long)user_int;
	task1.cs = SEL_UCODE32;
	task1.ss = task1.ds = task1.es = SEL_UDATA;
	task1.fs = task1.gs = 0;
	task1.esp0 = (uint32_t)(unsigned long)task_stack2 + PAGE_SIZE;
	task1.ss0 = SEL_DATA;
	trap_set_gate(0x90, 14, 3, 0);
	CHECK_EQ(TRY(CALL_TASK(SEL_T1)), 0x90);
	CHECK_EQ(fault()->regs.cs, SEL_UCODE32);
	CHECK_EQ(fault()->regs.ss, SEL_UDATA);
	CHECK_EQ(fault()->regs.sp, (unsigned long)task_stack1 + PAGE_SIZE);
	CHECK_EQ(str(), SEL_T1);
	task_begin();
}

/* --- by events -------------------------------------------------------------------------------- */

extern const uint8_t behind_int[], behind_int3[];

TEST(software_interrupts)
{
	task_begin();
	idt[0x90] = task_gate(SEL_T1, 0);
	__asm__ volatile("int $0x90\nbehind_int:" : : : "memory");
	CHECK_EQ(task_seen.runs, 1);
	CHECK(task_seen.flags & RFLAGS_NT);
	CHECK_EQ(task1.link, SEL_TSS);
	CHECK_EQ(task_home()->eip, (unsigned long)behind_int);
	idt[BP_VECTOR] = task_gate(SEL_T1, 0);
	__asm__ volatile("int3\nbehind_int3:" : : : "memory");
	CHECK_EQ(task_seen.runs, 2);
	CHECK_EQ(task_home()->eip, (unsigned long)behind_int3);
	idt[OF_VECTOR] = task_gate(SEL_T1, 0);
	__asm__ volatile("mov $0x7fffffff, %%eax; inc %%eax; into" : : : "eax", "memory", "cc");
	CHECK_EQ(task_seen.runs, 3);
}

/* The handler's task sends the one that faulted on to another place. */
static volatile unsigned long fault_ip, resume_ip;

static void repair(void)
{
	fault_ip = task_home()->eip;
	task_home()->eip = (uint32_t)resume_ip;
}

extern const uint8_t here_gp[], here_gp_end[], here_df[], here_df_end[], here_ud[], here_ud_end[];

TEST(exceptions)
{
	task_begin();
	task_init(&task1, task_stack1, task_with_error);
	task_hook = repair;
	idt[GP_VECTOR] = task_gate(SEL_T1, 0);
	resume_ip = (unsigned long)here_gp_end;
	__asm__ volatile("here_gp: lldt %w0\nhere_gp_end:" : : "r"(SEL_DATA) : "memory");
	CHECK_EQ(task_seen.runs, 1);
	CHECK_EQ(task_error, SEL_DATA);
	CHECK_EQ(fault_ip, (unsigned long)here_gp);
	/* No error code, nothing pushed. */
	idt[UD_VECTOR] = task_gate(SEL_T2, 0);
	resume_ip = (unsigned long)here_ud_end;
	__asm__ volatile("here_ud: ud2\nhere_ud_end:" : : : "memory");
	CHECK_EQ(task_seen.runs, 2);
	CHECK_EQ(fault_ip, (unsigned long)here_ud);
	CHECK_EQ(task2.esp, (unsigned long)task_stack2 + PAGE_SIZE);
}

/*
 * A hypervisor that intercepts #GP injects it again, and a CPU may forget that what comes then is
 * the second fault. With a gate of the other kind, and by another instruction.
 */
static bool doubles_faults(void)
{
	int vector;

	task_begin();
	trap_set_gate(GP_VECTOR, 14, 0, 0);
	idt[GP_VECTOR] &= ~(1ull << 47);
	vector = TRY(__asm__ volatile("mov %0, %%es" : : "r"(0xfff8))); /* beyond the GDT */
	trap_set_gate(GP_VECTOR, 14, 0, 0);
	return vector == DF_VECTOR;
}

/* #NP while #GP is delivered. */
TEST(double_fault)
{
	SKIP_UNLESS(IS_ABLE(doubles_faults()),
		    "this CPU forgets that a fault was injected when the next one comes");
	task_begin();
	task_init(&task1, task_stack1, task_with_error);
	task_hook = repair;
	idt[GP_VECTOR] = task_gate(SEL_T1, 0) & ~(1ull << 47);
	idt[DF_VECTOR] = task_gate(SEL_T1, 0);
	resume_ip = (unsigned long)here_df_end;
	__asm__ volatile("here_df: lldt %w0\nhere_df_end:" : : "r"(SEL_DATA) : "memory");
	CHECK_EQ(task_seen.runs, 1);
	CHECK_EQ(task_error, 0);
	CHECK_EQ(fault_ip, (unsigned long)here_df);
}

TEST(interrupts)
{
	unsigned long spins = 0;

	task_begin();
	apic_enable();
	task_hook = apic_eoi;
	idt[0x61] = task_gate(SEL_T1, 0);
	apic_send_ipi(0, ICR_SELF | 0x61);
	sti();
	CHECK(wait_until(task_seen.runs == 1, 1000));
	cli();
	CHECK(task_home()->eflags & RFLAGS_IF);
	CHECK(!(task_seen.flags & RFLAGS_IF)); /* as its TSS says */
	/* Many of them, at any instruction. */
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, LVT_PERIODIC | 0x61);
	apic_write(APIC_TMICT, 2 * apic_khz());
	sti();
	while (task_seen.runs < 40)
		spins++;
	cli();
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, LVT_MASKED);
	CHECK(spins > 0);
	CHECK_EQ(task1.link, SEL_TSS);
	sti(); /* one that may have come since */
	delay_us(100);
	cli();
}

/* The second NMI waits for the IRET of the first. */
static volatile unsigned runs_in_handler;

static void send_another(void)
{
	if (task_seen.runs > 1)
		return;
	apic_send_ipi(apic_id(), ICR_NMI);
	delay_us(100);
	runs_in_handler = task_seen.runs;
}

TEST(nmis)
{
	task_begin();
	apic_enable();
	task_hook = send_another;
	idt[NMI_VECTOR] = task_gate(SEL_T1, 0);
	apic_send_ipi(apic_id(), ICR_NMI);
	CHECK(wait_until(task_seen.runs == 2, 1000));
	CHECK_EQ(runs_in_handler, 1);
	apic_send_ipi(apic_id(), ICR_NMI);
	CHECK(wait_until(task_seen.runs == 3, 1000));
	CHECK(!(task1.eflags & RFLAGS_TF));
	delay_us(100);
	CHECK_EQ(task_seen.runs, 3);
	CHECK_EQ(TRY(__asm__ volatile("pushf; orl $0x100, (%esp); popf; nop; nop")), DB_VECTOR);
}

/* --- other kinds of tasks ----------------------------------------------------------------------
 */

#define CODE_AT  0x7000 /* below 64 KiB, as their pointers have 16 bits */
#define DATA_AT  0x6000
#define STACK_AT 0x5f00

/* The upper halves of its registers are undefined. */
extern const uint8_t code16[], code16_end[];
__asm__(".pushsection .rodata\n"
	"code16:\n"
	"1:	movzwl	%sp, %esp\n"
	"	mov	$task_record, %edx\n"
	"	call	*%edx\n"
	"	iret\n"
	"	jmp	1b\n"
	"code16_end:\n"
	".popsection");

static struct tss16 task16;

TEST(sixteen_bit_task)
{
	task_begin();
	memcpy((void *)CODE_AT, code16, (size_t)(code16_end - code16));
	task16 = (struct tss16){
		.ip = CODE_AT,
		.flags = 2 | RFLAGS_CF,
		.ax = 0x1111,
		.sp = STACK_AT,
		.es = SEL_DATA,
		.cs = SEL_CODE,
		.ss = SEL_DATA,
		.ds = SEL_DATA,
	};
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&task16, sizeof(task16) - 1, TSS16_AVAILABLE);
	__asm__ volatile("mov %0, %%fs" : : "r"(SEL_DATA));
	for (unsigned i = 1; i <= 2; i++) {
		CALL_TASK(SEL_T1);
		CHECK_EQ(task_seen.runs, i);
		CHECK_EQ(task_seen.tr, SEL_T1);
		CHECK_EQ(task_seen.fs, 0); /* it has none */
		CHECK(task_seen.flags & RFLAGS_NT);
		CHECK_EQ(task16.link, SEL_TSS);
		CHECK_EQ(task16.sp, STACK_AT);
		CHECK(task16.ip > CODE_AT && task16.ip < CODE_AT + (code16_end - code16));
		CHECK(!(task16.flags & RFLAGS_NT));
		CHECK_EQ(task16.cs, SEL_CODE);
		CHECK_EQ(task16.ldt, 0);
		CHECK_EQ(task_type(SEL_T1), TSS16_AVAILABLE);
		CHECK_EQ(str(), SEL_TSS);
	}
}

extern const uint8_t code_v86[], code_v86_end[];
__asm__(".pushsection .rodata\n"
	".code16\n"
	"code_v86:\n"
	"	incw	0\n"
	"	int	$0x90\n"
	"	incw	0\n"
	"	mov	$0x1234, %ax\n"
	"	mov	%ax, %es\n"
	"	int	$0x90\n"
	"code_v86_end:\n"
	".code32\n"
	".popsection");

/* The second time it is not the 8086 task that goes on. */
static void leave_v86(void)
{
	if (task_seen.runs == 2)
		task_return_home();
}

TEST(virtual_8086_task)
{
	volatile uint16_t *data = (uint16_t *)DATA_AT;

	task_begin();
	memcpy((void *)CODE_AT, code_v86, (size_t)(code_v86_end - code_v86));
	*data = 0;
	task1.eflags = 2 | RFLAGS_VM | IOPL3;
	task1.cs = CODE_AT >> 4;
	task1.eip = 0;
	task1.ds = task1.es = task1.fs = task1.gs = DATA_AT >> 4;
	task1.ss = 0;
	task1.esp = STACK_AT;
	idt[0x90] = task_gate(SEL_T2, 3);
	task_hook = leave_v86;
	CALL_TASK(SEL_T1);
	CHECK_EQ(*data, 2);
	CHECK_EQ(task_seen.runs, 2);
	CHECK_EQ(task_handler_link, SEL_T1);
	CHECK(task1.eflags & RFLAGS_VM);
	CHECK_EQ(task1.cs, CODE_AT >> 4);
	CHECK_EQ(task1.eip, code_v86_end - code_v86);
	CHECK_EQ(task1.es, 0x1234);
	CHECK_EQ(task1.ds, DATA_AT >> 4);
	CHECK_EQ(task1.esp & 0xffff, STACK_AT);
	task_begin();
}

/* --- the rest of a task ------------------------------------------------------------------------
 */

static volatile unsigned long trap_ip, trap_dr6;
static volatile uint16_t trap_tr;

static bool note_trap(struct regs *regs)
{
	trap_ip = regs->ip;
	trap_dr6 = read_dr6();
	trap_tr = str();
	return true;
}

/* By a JMP; the test is for CALL and INT. */
static bool has_task_traps(void)
{
	task_begin();
	trap_ip = 0;
	trap_set(DB_VECTOR, note_trap);
	task1.trap = 1;
	task_hook = jump_home;
	JUMP_TASK(SEL_T1);
	task_hook = NULL;
	write_dr6(0);
	return trap_ip;
}

TEST(trap_flag_of_the_tss)
{
	SKIP_UNLESS(IS_ABLE(has_task_traps()), "this CPU ignores the T flag of a TSS");
	SKIP_UNLESS(notes_steps(), "this CPU does not write DR6 with #DB");
	task_begin();
	write_dr6(0);
	trap_set(DB_VECTOR, note_trap);
	task1.trap = 1;
	CALL_TASK(SEL_T1);
	CHECK_EQ(task_seen.runs, 1);
	CHECK_EQ(trap_ip, (unsigned long)task_plain);
	CHECK_EQ(trap_tr, SEL_T1);
	CHECK(trap_dr6 & DR6_BT);
	trap_ip = 0;
	idt[0x90] = task_gate(SEL_T1, 0);
	__asm__ volatile("int $0x90" : : : "memory");
	CHECK_EQ(task_seen.runs, 2);
	CHECK(trap_ip > (unsigned long)task_plain);
	write_dr6(0);
}

TEST(local_breakpoints_end)
{
	static uint32_t nowhere;

	task_begin();
	write_dr0((unsigned long)&nowhere);
	write_dr1((unsigned long)&nowhere);
	write_dr7(0x400 | BIT(0) | BIT(3) | 0x110000); /* L0, G1: stores of a byte */
	CALL_TASK(SEL_T1);
	CHECK_EQ(task_seen.dr7 & 0xff, BIT(3));
	CHECK_EQ(read_dr7() & 0xff, BIT(3));
	write_dr7(0x400);
}

/* TSS and stack where nobody has been before: a hypervisor has to find memory on the way. */
extern const uint8_t fresh_end[];

TEST(fresh_memory)
{
	unsigned long start, end, next;

	task_begin();
	pages_rest(&start, &end);
	next = (start + end) / 2 & ~(PAGE_SIZE - 1);
	for (unsigned i = 0; i < 32; i++, next += 8 * PAGE_SIZE) {
		/* Every second TSS straddles two pages. */
		struct tss *t = (struct tss *)(next + (i & 1 ? PAGE_SIZE - 0x30 : 0));

		task_init(t, (uint8_t *)next + 3 * PAGE_SIZE, i & 2 ? task_plain : task_with_error);
		task_set_tss(SEL_T1, t, TSS_AVAILABLE);
		task_hook = i & 2 ? NULL : repair;
		idt[GP_VECTOR] = task_gate(SEL_T1, 0);
		resume_ip = (unsigned long)fresh_end;
		if (i & 2)
			CALL_TASK(SEL_T1);
		else
			__asm__ volatile("lldt %w0\nfresh_end:" : : "r"(SEL_DATA) : "memory");
		if (!CHECK_EQ(task_seen.runs, i + 1))
			break;
	}
}
