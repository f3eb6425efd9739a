/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches by hardware: CALL, JMP and IRET, task gates for exceptions and interrupts, what is
 * checked before and after the commit point, 16-bit and virtual-8086 tasks, and tasks with page
 * tables of their own (SDM volume 3, chapter 7).
 *
 * The tests themselves are the task of SEL_TSS. A task that they start calls `hook`, if there is
 * one, each time that it is started, and returns by IRET.
 */
#include <string.h>

#include "access.h"
#include "apic.h"
#include "clock.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"

#define SEL_T1   (SEL_TSS + 8) /* to this_cpu() it is CPU 0 as well */
#define SEL_T2   (SEL_TEST + 0x00)
#define SEL_GATE (SEL_TEST + 0x08)
#define SEL_BAD  (SEL_TEST + 0x10)
#define SEL_LDT  (SEL_TEST + 0x18)

#define TSS_AVAILABLE   0x89
#define TSS_BUSY        0x8b
#define TSS16_AVAILABLE 0x81
#define GATE_TYPE       0x85

#define RFLAGS_NT BIT(14)
#define RFLAGS_VM BIT(17)
#define IOPL3     (3ul << 12)
#define DR6_BT    BIT(15)

struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags;
	uint16_t ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
} __attribute__((packed));

static struct tss t1 __attribute__((aligned(128))), t2 __attribute__((aligned(128)));
static struct tss16 small;
static uint8_t stack1[PAGE_SIZE], stack2[PAGE_SIZE];

/* What the task that was started last has seen, and how often one was. */
static volatile struct {
	unsigned runs;
	uint16_t tr, fs;
	uint8_t caller_type; /* of SEL_TSS, as long as the task runs */
	unsigned long flags, cr0, cr3, dr7;
} seen;
static void (*volatile hook)(void);
uint32_t task_error;

void task_record(void);
void task_record(void)
{
	seen.runs++;
	seen.tr = str();
	__asm__ volatile("mov %%fs, %0" : "=r"(seen.fs));
	seen.caller_type = (uint8_t)(gdt[SEL_TSS / 8] >> 40);
	seen.flags = read_flags();
	seen.cr0 = read_cr0();
	seen.cr3 = read_cr3();
	seen.dr7 = read_dr7();
	if (hook)
		hook();
}

/* Started anew behind the IRET, a task begins again. */
extern const uint8_t task_plain[], task_with_error[];
__asm__(".pushsection .text\n"
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

#define CALL_TASK(sel) __asm__ volatile("lcall %0, $0" : : "i"(sel) : "memory", "cc")
#define JUMP_TASK(sel) __asm__ volatile("ljmp %0, $0" : : "i"(sel) : "memory", "cc")

static struct tss *home(void)
{
	return &cpus[0].tss;
}

static uint8_t type_of(unsigned selector)
{
	return (uint8_t)(gdt[selector / 8] >> 40);
}

static void set_tss(unsigned selector, const struct tss *t, uint8_t type)
{
	gdt_set(selector, (uint32_t)(unsigned long)t, sizeof(*t) - 1, type);
}

static void init_task(struct tss *t, uint8_t *stack, const uint8_t *entry)
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

/* The tests' own task, whatever became of it; two others that are ready. */
static void begin(void)
{
	set_tss(SEL_TSS, home(), TSS_AVAILABLE);
	ltr(SEL_TSS);
	write_flags(read_flags() & ~RFLAGS_NT);
	write_cr0(read_cr0() & ~CR0_TS);
	init_task(&t1, stack1, task_plain);
	init_task(&t2, stack2, task_plain);
	set_tss(SEL_T1, &t1, TSS_AVAILABLE);
	set_tss(SEL_T2, &t2, TSS_AVAILABLE);
	memset((void *)&seen, 0, sizeof(seen));
	hook = NULL;
	task_error = ~0u;
}

static uint64_t task_gate(unsigned selector, unsigned dpl)
{
	return (uint64_t)selector << 16 | (uint64_t)(GATE_TYPE | dpl << 5) << 40;
}

/* --- by instructions -------------------------------------------------------------------------- */

extern const uint8_t behind_call[];

TEST(call_and_iret)
{
	begin();
	__asm__ volatile("lcall %0, $0\nbehind_call:" : : "i"(SEL_T1) : "memory", "cc");
	CHECK_EQ(seen.runs, 1);
	CHECK_EQ(seen.tr, SEL_T1);
	CHECK(seen.flags & RFLAGS_NT);
	CHECK(seen.cr0 & CR0_TS);
	CHECK_EQ(seen.caller_type, TSS_BUSY);
	CHECK_EQ(t1.link, SEL_TSS);
	CHECK_EQ(home()->eip, (unsigned long)behind_call);
	CHECK_EQ(home()->cs, SEL_CODE);
	CHECK(!(home()->eflags & RFLAGS_NT));
	CHECK(!(t1.eflags & RFLAGS_NT)); /* IRET has cleared it in the image */
	CHECK_EQ(str(), SEL_TSS);
	CHECK_EQ(type_of(SEL_TSS), TSS_BUSY);
	CHECK_EQ(type_of(SEL_T1), TSS_AVAILABLE);
	CHECK(!(read_flags() & RFLAGS_NT));
	CALL_TASK(SEL_T1); /* it goes on behind its IRET */
	CHECK_EQ(seen.runs, 2);
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
	const uint32_t *stack = (uint32_t *)(stack1 + PAGE_SIZE);
	uint32_t si = 0, bp = 0;

	begin();
	t1.eip = (uint32_t)(unsigned long)task_pusha;
	t1.eflags = 2 | RFLAGS_CF | RFLAGS_DF | RFLAGS_AC;
	t1.eax = 0xa1;
	t1.ecx = 0xa2;
	t1.edx = 0xa3;
	t1.ebx = 0xa4;
	t1.ebp = 0xa5;
	t1.esi = 0xa6;
	t1.edi = 0xa7;
	__asm__ volatile("push %%ebp\n"
			 "mov $0x55555555, %%ebp\n"
			 "lcall %6, $0\n"
			 "mov %%ebp, %%ecx\n"
			 "pop %%ebp\n"
			 : "=S"(si), "=c"(bp)
			 : "a"(0x11111111), "d"(0x33333333), "b"(0x44444444), "D"(0x77777777),
			   "i"(SEL_T1), "0"(0x66666666), "1"(0x22222222)
			 : "memory", "cc");
	CHECK_EQ(home()->eax, 0x11111111);
	CHECK_EQ(home()->ecx, 0x22222222);
	CHECK_EQ(home()->edx, 0x33333333);
	CHECK_EQ(home()->ebx, 0x44444444);
	CHECK_EQ(home()->ebp, 0x55555555);
	CHECK_EQ(home()->esi, 0x66666666);
	CHECK_EQ(home()->edi, 0x77777777);
	CHECK_EQ(si, 0x66666666);
	CHECK_EQ(bp, 0x55555555);
	for (unsigned i = 1; i <= 8; i++)
		if (i != 5) /* ESP */
			CHECK_EQ(stack[-(int)i], 0xa0 + (i > 5 ? i - 1 : i));
	CHECK_EQ(stack[-5], (unsigned long)stack);
	CHECK_EQ(stack[-9], 2 | RFLAGS_CF | RFLAGS_DF | RFLAGS_AC | RFLAGS_NT);
	CHECK_EQ(t1.esi, 0x99999999);
	CHECK_EQ(t1.esp, (unsigned long)&stack[-9]);
}

TEST(arithmetic_flags)
{
	SKIP_UNLESS(!is_on_tcg(), "QEMU TCG saves stale arithmetic flags at CALL and JMP");
	begin();
	t1.eip = (uint32_t)(unsigned long)task_pusha;
	__asm__ volatile("xor %%eax, %%eax; stc; lcall %0, $0"
			 :
			 : "i"(SEL_T1)
			 : "eax", "memory", "cc");
	CHECK_EQ(home()->eflags & RFLAGS_ARITH, RFLAGS_CF | RFLAGS_ZF | RFLAGS_PF);
}

static void jump_home(void)
{
	JUMP_TASK(SEL_TSS);
}

TEST(jump)
{
	begin();
	hook = jump_home;
	for (unsigned i = 1; i <= 2; i++) {
		t1.eip = (uint32_t)(unsigned long)task_plain;
		JUMP_TASK(SEL_T1);
		CHECK_EQ(seen.runs, i);
		CHECK(!(seen.flags & RFLAGS_NT));
		CHECK_EQ(seen.caller_type, TSS_AVAILABLE);
		CHECK_EQ(type_of(SEL_TSS), TSS_BUSY);
		CHECK_EQ(type_of(SEL_T1), TSS_AVAILABLE);
		CHECK_EQ(t1.link, 0);
	}
}

TEST(task_gate_of_the_gdt)
{
	begin();
	gdt[SEL_GATE / 8] = task_gate(SEL_T1, 0);
	CALL_TASK(SEL_GATE);
	CHECK_EQ(seen.tr, SEL_T1);
	CHECK_EQ(t1.link, SEL_TSS);
	hook = jump_home;
	JUMP_TASK(SEL_GATE);
	CHECK_EQ(seen.runs, 2);
}

static void call_t2(void)
{
	if (seen.tr != SEL_T1)
		return;
	CALL_TASK(SEL_T2);
}

TEST(nested)
{
	begin();
	hook = call_t2;
	CALL_TASK(SEL_T1);
	CHECK_EQ(seen.runs, 2);
	CHECK_EQ(seen.tr, SEL_T2);
	CHECK_EQ(t2.link, SEL_T1);
	CHECK_EQ(t1.link, SEL_TSS);
	CHECK_EQ(type_of(SEL_T1), TSS_AVAILABLE);
	CHECK_EQ(type_of(SEL_T2), TSS_AVAILABLE);
}

USER_CODE(user_call_task, "lcall $0x88, $0");
USER_CODE(user_call_gate, "lcall $0x48, $0");
USER_CODE(user_int, "int $0x90");

TEST(from_user_mode)
{
	_Static_assert(SEL_T1 == 0x88 && SEL_GATE == 0x48, "");
	begin();
	gdt[SEL_GATE / 8] = task_gate(SEL_T1, 0);
	idt[0x90] = task_gate(SEL_T1, 0);
	CHECK_EQ(try_user(user_call_task), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_T1);
	CHECK_EQ(try_user(user_call_gate), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_GATE);
	CHECK_EQ(try_user(user_int), GP_VECTOR);
	CHECK_EQ(fault()->error, 0x90 * 8 + 2);
	CHECK_EQ(seen.runs, 0);
	gdt[SEL_GATE / 8] = task_gate(SEL_T1, 3); /* whatever the TSS's own DPL */
	idt[0x90] = task_gate(SEL_T1, 3);
	CHECK_EQ(try_user(user_call_gate), NO_FAULT);
	CHECK_EQ(home()->cs, SEL_UCODE32);
	CHECK_EQ(try_user(user_int), NO_FAULT);
	set_tss(SEL_T1, &t1, TSS_AVAILABLE | GDT_DPL3);
	CHECK_EQ(try_user(user_call_task), NO_FAULT);
	CHECK_EQ(seen.runs, 3);
	/* To CPL 3, and back by an interrupt gate with the new task's own stack. */
	begin();
	t1.eip = (uint32_t)(unsigned long)user_int;
	t1.cs = SEL_UCODE32;
	t1.ss = t1.ds = t1.es = SEL_UDATA;
	t1.fs = t1.gs = 0;
	t1.esp0 = (uint32_t)(unsigned long)stack2 + PAGE_SIZE;
	t1.ss0 = SEL_DATA;
	trap_set_gate(0x90, 14, 3, 0);
	CHECK_EQ(TRY(CALL_TASK(SEL_T1)), 0x90);
	CHECK_EQ(fault()->regs.cs, SEL_UCODE32);
	CHECK_EQ(fault()->regs.ss, SEL_UDATA);
	CHECK_EQ(fault()->regs.sp, (unsigned long)stack1 + PAGE_SIZE);
	CHECK_EQ(str(), SEL_T1);
	begin();
}

/* --- by events -------------------------------------------------------------------------------- */

extern const uint8_t behind_int[], behind_int3[];

TEST(software_interrupts)
{
	begin();
	idt[0x90] = task_gate(SEL_T1, 0);
	__asm__ volatile("int $0x90\nbehind_int:" : : : "memory");
	CHECK_EQ(seen.runs, 1);
	CHECK(seen.flags & RFLAGS_NT);
	CHECK_EQ(t1.link, SEL_TSS);
	CHECK_EQ(home()->eip, (unsigned long)behind_int);
	idt[BP_VECTOR] = task_gate(SEL_T1, 0);
	__asm__ volatile("int3\nbehind_int3:" : : : "memory");
	CHECK_EQ(seen.runs, 2);
	CHECK_EQ(home()->eip, (unsigned long)behind_int3);
	idt[OF_VECTOR] = task_gate(SEL_T1, 0);
	__asm__ volatile("mov $0x7fffffff, %%eax; inc %%eax; into" : : : "eax", "memory", "cc");
	CHECK_EQ(seen.runs, 3);
}

/* The handler's task sends the one that faulted on to another place. */
static volatile unsigned long fault_ip, resume_ip;

static void repair(void)
{
	fault_ip = home()->eip;
	home()->eip = (uint32_t)resume_ip;
}

extern const uint8_t here_gp[], here_gp_end[], here_df[], here_df_end[], here_ud[], here_ud_end[];

TEST(exceptions)
{
	begin();
	init_task(&t1, stack1, task_with_error);
	hook = repair;
	idt[GP_VECTOR] = task_gate(SEL_T1, 0);
	resume_ip = (unsigned long)here_gp_end;
	__asm__ volatile("here_gp: lldt %w0\nhere_gp_end:" : : "r"(SEL_DATA) : "memory");
	CHECK_EQ(seen.runs, 1);
	CHECK_EQ(task_error, SEL_DATA);
	CHECK_EQ(fault_ip, (unsigned long)here_gp);
	/* #NP while #GP is delivered. */
	idt[GP_VECTOR] &= ~(1ull << 47);
	idt[DF_VECTOR] = task_gate(SEL_T1, 0);
	resume_ip = (unsigned long)here_df_end;
	__asm__ volatile("here_df: lldt %w0\nhere_df_end:" : : "r"(SEL_DATA) : "memory");
	CHECK_EQ(seen.runs, 2);
	CHECK_EQ(task_error, 0);
	CHECK_EQ(fault_ip, (unsigned long)here_df);
	/* No error code, nothing pushed. */
	idt[UD_VECTOR] = task_gate(SEL_T2, 0);
	resume_ip = (unsigned long)here_ud_end;
	__asm__ volatile("here_ud: ud2\nhere_ud_end:" : : : "memory");
	CHECK_EQ(seen.runs, 3);
	CHECK_EQ(fault_ip, (unsigned long)here_ud);
	CHECK_EQ(t2.esp, (unsigned long)stack2 + PAGE_SIZE);
}

TEST(interrupts)
{
	unsigned long spins = 0;

	begin();
	apic_enable();
	hook = apic_eoi;
	idt[0x61] = task_gate(SEL_T1, 0);
	apic_send_ipi(0, ICR_SELF | 0x61);
	sti();
	CHECK(wait_until(seen.runs == 1, 1000));
	cli();
	CHECK(home()->eflags & RFLAGS_IF);
	CHECK(!(seen.flags & RFLAGS_IF)); /* as its TSS says */
	/* Many of them, at any instruction. */
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, LVT_PERIODIC | 0x61);
	apic_write(APIC_TMICT, 2 * apic_khz());
	sti();
	while (seen.runs < 40)
		spins++;
	cli();
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, LVT_MASKED);
	CHECK(spins > 0);
	CHECK_EQ(t1.link, SEL_TSS);
	sti(); /* one that may have come since */
	delay_us(100);
	cli();
}

/* The second NMI waits for the IRET of the first. */
static volatile unsigned runs_in_handler;

static void send_another(void)
{
	if (seen.runs > 1)
		return;
	apic_send_ipi(apic_id(), ICR_NMI);
	delay_us(100);
	runs_in_handler = seen.runs;
}

TEST(nmis)
{
	begin();
	apic_enable();
	hook = send_another;
	idt[NMI_VECTOR] = task_gate(SEL_T1, 0);
	apic_send_ipi(apic_id(), ICR_NMI);
	CHECK(wait_until(seen.runs == 2, 1000));
	CHECK_EQ(runs_in_handler, 1);
	apic_send_ipi(apic_id(), ICR_NMI);
	CHECK(wait_until(seen.runs == 3, 1000));
	CHECK(!(t1.eflags & RFLAGS_TF));
	delay_us(100);
	CHECK_EQ(seen.runs, 3);
	CHECK_EQ(TRY(__asm__ volatile("pushf; orl $0x100, (%esp); popf; nop; nop")), DB_VECTOR);
}

/* --- what is found before the commit point: the old task's fault -------------------------------
 */

/* Nothing has happened to either task. */
static void check_refused(int vector, unsigned got, unsigned long error)
{
	CHECK_EQ(got, (unsigned)vector);
	CHECK_EQ(fault()->error, error);
	CHECK_EQ(str(), SEL_TSS);
	CHECK_EQ(type_of(SEL_TSS), TSS_BUSY);
	CHECK_EQ(seen.runs, 0);
	CHECK_EQ(t1.link, 0);
}

TEST(bad_targets)
{
	begin();
	check_refused(GP_VECTOR, TRY(CALL_TASK(SEL_TSS)), SEL_TSS); /* to itself */
	check_refused(GP_VECTOR, TRY(JUMP_TASK(SEL_TSS)), SEL_TSS);
	set_tss(SEL_T1, &t1, TSS_BUSY);
	check_refused(GP_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
	set_tss(SEL_T1, &t1, TSS_AVAILABLE ^ GDT_ABSENT);
	check_refused(NP_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
	CHECK_EQ(type_of(SEL_T1), TSS_AVAILABLE ^ GDT_ABSENT);
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&t1, 0x66, TSS_AVAILABLE);
	check_refused(TS_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
	check_refused(TS_VECTOR, TRY(JUMP_TASK(SEL_T1)), SEL_T1);
	CHECK_EQ(type_of(SEL_T1), TSS_AVAILABLE);
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&t1, 0x2a, TSS16_AVAILABLE);
	check_refused(TS_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
}

TEST(bad_gates)
{
	begin();
	gdt[SEL_GATE / 8] = task_gate(SEL_T1, 0) & ~(1ull << 47);
	check_refused(NP_VECTOR, TRY(CALL_TASK(SEL_GATE)), SEL_GATE);
	gdt[SEL_GATE / 8] = task_gate(SEL_DATA, 0);
	check_refused(GP_VECTOR, TRY(CALL_TASK(SEL_GATE)), SEL_DATA);
	gdt[SEL_GATE / 8] = task_gate(0xf800, 0);
	check_refused(GP_VECTOR, TRY(CALL_TASK(SEL_GATE)), 0xf800);
	gdt[SEL_GATE / 8] = task_gate(SEL_TSS, 0);
	check_refused(GP_VECTOR, TRY(CALL_TASK(SEL_GATE)), SEL_TSS);
	idt[0x90] = task_gate(SEL_T1, 0) & ~(1ull << 47);
	check_refused(NP_VECTOR, TRY(__asm__ volatile("int $0x90")), 0x90 * 8 + 2);
	idt[0x90] = task_gate(SEL_TSS, 0);
	check_refused(GP_VECTOR, TRY(__asm__ volatile("int $0x90")), SEL_TSS);
}

static int try_return_to(uint16_t link)
{
	int vector;

	home()->link = link;
	vector = TRY(__asm__ volatile("pushf; orl $0x4000, (%esp); popf; iret"));
	write_flags(read_flags() & ~RFLAGS_NT);
	return vector;
}

TEST(bad_links)
{
	begin();
	check_refused(TS_VECTOR, try_return_to(SEL_T1), SEL_T1); /* not busy */
	check_refused(TS_VECTOR, try_return_to(SEL_DATA), SEL_DATA);
	check_refused(TS_VECTOR, try_return_to(0xf800), 0xf800);
	check_refused(TS_VECTOR, try_return_to(SEL_T1 | 4), SEL_T1 | 4);
	set_tss(SEL_T1, &t1, TSS_BUSY ^ GDT_ABSENT);
	check_refused(NP_VECTOR, try_return_to(SEL_T1), SEL_T1);
}

/* --- and behind it: the new task's -------------------------------------------------------------
 */

/* The handler's task ends the one that faulted, and returns in its place. */
static volatile uint32_t handler_link;

static void return_home(void)
{
	handler_link = t2.link;
	t2.link = SEL_TSS;
}

/* `field` of the new TSS is bad: the vector comes from the new task, at its first instruction. */
static void check_fault_in_t1(unsigned vector, unsigned long error)
{
	init_task(&t2, stack2, task_with_error);
	set_tss(SEL_TSS, home(), TSS_BUSY);
	set_tss(SEL_T1, &t1, TSS_AVAILABLE);
	seen.runs = 0;
	hook = return_home;
	idt[vector] = task_gate(SEL_T2, 0);
	CALL_TASK(SEL_T1);
	trap_set_gate(vector, 14, 0, 0);
	CHECK_EQ(seen.runs, 1);
	CHECK_EQ(seen.tr, SEL_T2);
	CHECK_EQ(handler_link, SEL_T1);
	CHECK_EQ(task_error, error);
	if (!is_on_tcg()) /* QEMU TCG puts the old task's EIP there */
		CHECK_EQ(t1.eip, (unsigned long)task_plain);
	CHECK_EQ(t1.link, SEL_TSS);
	CHECK(t1.eflags & RFLAGS_NT);
	CHECK_EQ(type_of(SEL_T1), TSS_BUSY);
}

TEST(bad_ldt)
{
	begin();
	t1.ldt = SEL_DATA;
	check_fault_in_t1(TS_VECTOR, SEL_DATA);
	t1.ldt = SEL_LDT | 4;
	check_fault_in_t1(TS_VECTOR, SEL_LDT | 4);
	gdt_set(SEL_LDT, 0x1000, 0xff, 0x82 ^ GDT_ABSENT);
	t1.ldt = SEL_LDT;
	check_fault_in_t1(TS_VECTOR, SEL_LDT);
}

TEST(bad_code_segment)
{
	begin();
	t1.cs = SEL_DATA;
	check_fault_in_t1(TS_VECTOR, SEL_DATA);
	t1.cs = 0;
	check_fault_in_t1(TS_VECTOR, 0);
	gdt_set(SEL_BAD, 0, 0xfffff, (GDT_CODE | GDT_G | GDT_DB) ^ GDT_ABSENT);
	t1.cs = SEL_BAD;
	check_fault_in_t1(NP_VECTOR, SEL_BAD);
	gdt_set(SEL_BAD, 0, 0xfffff, GDT_CODE | GDT_DPL3 | GDT_G | GDT_DB);
	check_fault_in_t1(TS_VECTOR, SEL_BAD);
}

TEST(bad_stack_segment)
{
	begin();
	t1.ss = 0;
	check_fault_in_t1(TS_VECTOR, 0);
	t1.ss = SEL_CODE;
	check_fault_in_t1(TS_VECTOR, SEL_CODE);
	t1.ss = SEL_UDATA;
	check_fault_in_t1(TS_VECTOR, SEL_UDATA & ~3);
}

TEST(absent_stack_segment)
{
	SKIP_UNLESS(!is_on_tcg(), "QEMU TCG raises #NP for an absent stack of a new task");
	begin();
	gdt_set(SEL_BAD, 0, 0xfffff, (GDT_DATA | GDT_G | GDT_DB) ^ GDT_ABSENT);
	t1.ss = SEL_BAD;
	check_fault_in_t1(SS_VECTOR, SEL_BAD);
}

TEST(bad_data_segments)
{
	static const size_t fields[] = {offsetof(struct tss, ds), offsetof(struct tss, es),
					offsetof(struct tss, fs), offsetof(struct tss, gs)};

	for (unsigned i = 0; i < 4; i++) {
		uint32_t *selector = (uint32_t *)((unsigned long)&t1 + fields[i]);

		begin();
		*selector = 0xf800;
		check_fault_in_t1(TS_VECTOR, 0xf800);
		gdt_set(SEL_BAD, 0, 0xfffff, (GDT_DATA | GDT_G | GDT_DB) ^ GDT_ABSENT);
		*selector = SEL_BAD;
		check_fault_in_t1(NP_VECTOR, SEL_BAD);
		*selector = SEL_T1; /* no segment of data at all */
		check_fault_in_t1(TS_VECTOR, SEL_T1);
	}
}

TEST(bad_instruction_pointer)
{
	SKIP_UNLESS(!is_on_tcg(), "QEMU TCG has no segment limits");
	begin();
	gdt_set(SEL_BAD, 0, 0xfff, GDT_CODE | GDT_DB);
	t1.cs = SEL_BAD;
	check_fault_in_t1(GP_VECTOR, 0);
}

/* With CS and SS in place an ordinary handler runs on the new task's stack. */
TEST(handler_in_the_new_task)
{
	begin();
	t1.ds = 0xf800;
	CHECK_EQ(TRY(CALL_TASK(SEL_T1)), TS_VECTOR);
	CHECK_EQ(fault()->error, 0xf800);
	if (!is_on_tcg()) /* as above */
		CHECK_EQ(fault()->regs.ip, (unsigned long)task_plain);
	CHECK_EQ(str(), SEL_T1);
	begin();
}

TEST(external_events_say_so)
{
	SKIP_UNLESS(!is_on_tcg(), "QEMU TCG does not set EXT for task switches");
	begin();
	apic_enable();
	t1.ds = 0xf800;
	idt[0x61] = task_gate(SEL_T1, 0);
	apic_send_ipi(0, ICR_SELF | 0x61);
	CHECK_EQ(TRY(sti(); delay_us(1000)), TS_VECTOR);
	CHECK_EQ(fault()->error, 0xf800 | 1);
	begin();
	apic_eoi();
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&t1, 0x66, TSS_AVAILABLE);
	apic_send_ipi(0, ICR_SELF | 0x61);
	CHECK_EQ(TRY(sti(); delay_us(1000)), TS_VECTOR);
	CHECK_EQ(fault()->error, SEL_T1 | 1);
	cli();
	apic_eoi();
}

/*
 * Tasks of random segments: each comes as far as its first instruction, which is none, or faults
 * before it; and whatever it is, the CPU goes on in the handler's task.
 */
extern const uint8_t task_ud[];
__asm__(".pushsection .text\ntask_ud: ud2\n.popsection");

static unsigned below(unsigned n)
{
	return (uint32_t)random64() % n;
}

/* Those of random_descriptors() have base 0, so code is where it is expected. */
static uint16_t random_code(void)
{
	return (uint16_t)(SEL_BAD + below((SEL_TSS - SEL_BAD) / 8) * 8 + below(2) * 3);
}

static uint16_t random_selector(void)
{
	return below(8) ? random_code() : (uint16_t)below(0x100);
}

static void random_descriptors(void)
{
	for (unsigned selector = SEL_BAD; selector < SEL_TSS; selector += 8) {
		unsigned type = below(4) ? 0x10 | below(16) : below(16);
		unsigned present = below(8) ? 0x80 : 0;

		gdt_set(selector, 0, 0xfffff,
			(uint16_t)(type | below(2) * GDT_DPL3 | present | GDT_G | GDT_DB));
	}
}

TEST(random_tasks)
{
	static const uint8_t vectors[] = {UD_VECTOR, DF_VECTOR, TS_VECTOR,
					  NP_VECTOR, SS_VECTOR, GP_VECTOR};
	unsigned started = 0;

	begin();
	hook = return_home;
	for (unsigned i = 0; i < 6; i++)
		idt[vectors[i]] = task_gate(SEL_T2, 0);
	for (unsigned round = 1; round <= 1000; round++) {
		init_task(&t1, stack1, task_ud);
		init_task(&t2, stack2, task_plain);
		random_descriptors();
		t1.cs = below(4) ? SEL_CODE : random_code();
		t1.ss = below(4) ? SEL_DATA : random_selector();
		t1.ldt = below(4) ? 0 : random_selector();
		t1.ds = below(2) ? SEL_UDATA : random_selector();
		t1.es = below(2) ? 0 : random_selector();
		t1.fs = below(2) ? SEL_DATA : random_selector();
		t1.gs = below(2) ? SEL_DATA : random_selector();
		set_tss(SEL_T1, &t1, TSS_AVAILABLE);
		CALL_TASK(SEL_T1);
		if (!CHECK_EQ(seen.runs, round))
			break;
		CHECK_EQ(handler_link, SEL_T1);
		CHECK_EQ(str(), SEL_TSS);
		started += t1.eip == (unsigned long)task_ud &&
			   t2.esp == (unsigned long)stack2 + PAGE_SIZE;
	}
	CHECK(started > 0);
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

TEST(sixteen_bit_task)
{
	begin();
	memcpy((void *)CODE_AT, code16, (size_t)(code16_end - code16));
	small = (struct tss16){
		.ip = CODE_AT,
		.flags = 2 | RFLAGS_CF,
		.ax = 0x1111,
		.sp = STACK_AT,
		.es = SEL_DATA,
		.cs = SEL_CODE,
		.ss = SEL_DATA,
		.ds = SEL_DATA,
	};
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&small, sizeof(small) - 1, TSS16_AVAILABLE);
	__asm__ volatile("mov %0, %%fs" : : "r"(SEL_DATA));
	for (unsigned i = 1; i <= 2; i++) {
		CALL_TASK(SEL_T1);
		CHECK_EQ(seen.runs, i);
		CHECK_EQ(seen.tr, SEL_T1);
		CHECK_EQ(seen.fs, 0); /* it has none */
		CHECK(seen.flags & RFLAGS_NT);
		CHECK_EQ(small.link, SEL_TSS);
		CHECK_EQ(small.sp, STACK_AT);
		CHECK(small.ip > CODE_AT && small.ip < CODE_AT + (code16_end - code16));
		CHECK(!(small.flags & RFLAGS_NT));
		CHECK_EQ(small.cs, SEL_CODE);
		CHECK_EQ(small.ldt, 0);
		CHECK_EQ(type_of(SEL_T1), TSS16_AVAILABLE);
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
	if (seen.runs == 2)
		return_home();
}

TEST(virtual_8086_task)
{
	volatile uint16_t *data = (uint16_t *)DATA_AT;

	begin();
	memcpy((void *)CODE_AT, code_v86, (size_t)(code_v86_end - code_v86));
	*data = 0;
	t1.eflags = 2 | RFLAGS_VM | IOPL3;
	t1.cs = CODE_AT >> 4;
	t1.eip = 0;
	t1.ds = t1.es = t1.fs = t1.gs = DATA_AT >> 4;
	t1.ss = 0;
	t1.esp = STACK_AT;
	idt[0x90] = task_gate(SEL_T2, 3);
	hook = leave_v86;
	CALL_TASK(SEL_T1);
	CHECK_EQ(*data, 2);
	CHECK_EQ(seen.runs, 2);
	CHECK_EQ(handler_link, SEL_T1);
	CHECK(t1.eflags & RFLAGS_VM);
	CHECK_EQ(t1.cs, CODE_AT >> 4);
	CHECK_EQ(t1.eip, code_v86_end - code_v86);
	CHECK_EQ(t1.es, 0x1234);
	CHECK_EQ(t1.ds, DATA_AT >> 4);
	CHECK_EQ(t1.esp & 0xffff, STACK_AT);
	begin();
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

TEST(trap_flag_of_the_tss)
{
	SKIP_UNLESS(!is_on_tcg(), "QEMU TCG ignores the T flag of a TSS");
	begin();
	write_dr6(0);
	trap_set(DB_VECTOR, note_trap);
	t1.trap = 1;
	CALL_TASK(SEL_T1);
	CHECK_EQ(seen.runs, 1);
	CHECK_EQ(trap_ip, (unsigned long)task_plain);
	CHECK_EQ(trap_tr, SEL_T1);
	CHECK(trap_dr6 & DR6_BT);
	trap_ip = 0;
	idt[0x90] = task_gate(SEL_T1, 0);
	__asm__ volatile("int $0x90" : : : "memory");
	CHECK_EQ(seen.runs, 2);
	CHECK(trap_ip > (unsigned long)task_plain);
	write_dr6(0);
}

TEST(local_breakpoints_end)
{
	static uint32_t nowhere;

	begin();
	write_dr0((unsigned long)&nowhere);
	write_dr1((unsigned long)&nowhere);
	write_dr7(0x400 | BIT(0) | BIT(3) | 0x110000); /* L0, G1: stores of a byte */
	CALL_TASK(SEL_T1);
	CHECK_EQ(seen.dr7 & 0xff, BIT(3));
	CHECK_EQ(read_dr7() & 0xff, BIT(3));
	write_dr7(0x400);
}

/* TSS and stack where nobody has been before: a hypervisor has to find memory on the way. */
extern const uint8_t fresh_end[];

TEST(fresh_memory)
{
	unsigned long start, end, next;

	begin();
	pages_rest(&start, &end);
	next = (start + end) / 2 & ~(PAGE_SIZE - 1);
	for (unsigned i = 0; i < 32; i++, next += 8 * PAGE_SIZE) {
		/* Every second TSS straddles two pages. */
		struct tss *t = (struct tss *)(next + (i & 1 ? PAGE_SIZE - 0x30 : 0));

		init_task(t, (uint8_t *)next + 3 * PAGE_SIZE, i & 2 ? task_plain : task_with_error);
		set_tss(SEL_T1, t, TSS_AVAILABLE);
		hook = i & 2 ? NULL : repair;
		idt[GP_VECTOR] = task_gate(SEL_T1, 0);
		resume_ip = (unsigned long)fresh_end;
		if (i & 2)
			CALL_TASK(SEL_T1);
		else
			__asm__ volatile("lldt %w0\nfresh_end:" : : "r"(SEL_DATA) : "memory");
		if (!CHECK_EQ(seen.runs, i + 1))
			break;
	}
}

/* --- paging ------------------------------------------------------------------------------------
 */

#define VA      0xd0000000ul /* a page that only the tests map */
#define RIGHTS  (PTE_P | PTE_W | PTE_U)
#define SIZE_4M 0x400000ul

static volatile uint32_t found;

static void look(void)
{
	found = *(volatile uint32_t *)VA;
}

/* All of the 4 GiB one to one, but for a page at VA. */
static unsigned long make_two_levels(uint32_t mark)
{
	uint32_t *directory = page_alloc(), *table = page_alloc(), *page = page_alloc();

	for (uint32_t i = 0; i < 1024; i++)
		directory[i] = i << 22 | (uint32_t)(RIGHTS | PTE_PS);
	directory[VA >> 22] = (uint32_t)(unsigned long)table | (uint32_t)RIGHTS;
	table[0] = (uint32_t)(unsigned long)page | (uint32_t)RIGHTS;
	page[0] = mark;
	return (unsigned long)directory;
}

static unsigned long make_pae(uint32_t mark)
{
	uint64_t *pdpt = page_alloc(), *table = page_alloc();
	uint32_t *page = page_alloc();

	for (unsigned i = 0; i < 4; i++) {
		uint64_t *directory = page_alloc();

		for (unsigned j = 0; j < 512; j++)
			directory[j] = (i * 512ull + j) << 21 | RIGHTS | PTE_PS;
		if (i == VA >> 30)
			directory[VA >> 21 & 511] = (unsigned long)table | RIGHTS;
		pdpt[i] = (unsigned long)directory | PTE_P;
	}
	table[0] = (unsigned long)page | RIGHTS;
	page[0] = mark;
	return (unsigned long)pdpt;
}

static void paging_off(void)
{
	write_cr0(read_cr0() & ~CR0_PG);
	write_cr4(read_cr4() & ~(CR4_PAE | CR4_PSE));
	home()->cr3 = 0;
}

/* Each task finds its own page, again and again. */
static void check_address_spaces(unsigned long ours, unsigned long theirs)
{
	begin();
	home()->cr3 = (uint32_t)ours;
	t1.cr3 = (uint32_t)theirs;
	hook = look;
	for (unsigned i = 0; i < 10; i++) {
		CHECK_EQ(*(volatile uint32_t *)VA, 0x1000);
		found = 0;
		CALL_TASK(SEL_T1);
		CHECK_EQ(found, 0x2000);
		CHECK_EQ(seen.cr3, theirs);
		CHECK_EQ(read_cr3(), ours);
	}
	CHECK_EQ(t1.cr3, theirs); /* which the CPU never stores */
}

TEST(page_tables_of_two_levels)
{
	unsigned long ours = make_two_levels(0x1000), theirs = make_two_levels(0x2000);

	write_cr4(read_cr4() | CR4_PSE);
	write_cr3(ours);
	write_cr0(read_cr0() | CR0_PG);
	check_address_spaces(ours, theirs);
	paging_off();
}

TEST(page_tables_of_pae)
{
	unsigned long ours = make_pae(0x1000), theirs = make_pae(0x2000);

	write_cr4(read_cr4() | CR4_PAE);
	write_cr3(ours);
	write_cr0(read_cr0() | CR0_PG);
	check_address_spaces(ours, theirs);
	paging_off();
}

TEST(no_paging_no_cr3)
{
	begin();
	t1.cr3 = 0x5000;
	CALL_TASK(SEL_T1);
	CHECK_EQ(seen.runs, 1);
	CHECK(seen.cr3 != 0x5000);
}

/* The new TSS is not mapped: the old task's page fault, and nothing has changed. */
TEST(absent_tss)
{
	unsigned long ours = make_two_levels(0);

	begin();
	write_cr4(read_cr4() | CR4_PSE);
	write_cr3(ours);
	write_cr0(read_cr0() | CR0_PG);
	set_tss(SEL_T1, (struct tss *)(VA + PAGE_SIZE), TSS_AVAILABLE);
	CHECK_EQ(TRY(CALL_TASK(SEL_T1)), PF_VECTOR);
	CHECK_EQ(fault()->cr2 & ~(PAGE_SIZE - 1), VA + PAGE_SIZE);
	CHECK_EQ(fault()->error & ~PF_W, 0);
	CHECK_EQ(str(), SEL_TSS);
	CHECK_EQ(type_of(SEL_T1), TSS_AVAILABLE);
	CHECK_EQ(type_of(SEL_TSS), TSS_BUSY);
	paging_off();
}
