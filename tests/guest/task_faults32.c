/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Task switches by hardware that fault: what is checked before the commit point, for the old task,
 * and behind it, for the new one (SDM volume 3, 7.3).
 */
#include <stddef.h>

#include "access.h"
#include "apic.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "random.h"
#include "tasks32.h"

/* --- what is found before the commit point: the old task's fault -------------------------------
 */

/* Nothing has happened to either task. */
static void check_refused(int vector, unsigned got, unsigned long error)
{
	CHECK_EQ(got, (unsigned)vector);
	CHECK_EQ(fault()->error, error);
	CHECK_EQ(str(), SEL_TSS);
	CHECK_EQ(task_type(SEL_TSS), TSS_BUSY);
	CHECK_EQ(task_seen.runs, 0);
	CHECK_EQ(task1.link, 0);
}

TEST(bad_targets)
{
	task_begin();
	check_refused(GP_VECTOR, TRY(CALL_TASK(SEL_TSS)), SEL_TSS); /* to itself */
	check_refused(GP_VECTOR, TRY(JUMP_TASK(SEL_TSS)), SEL_TSS);
	task_set_tss(SEL_T1, &task1, TSS_BUSY);
	check_refused(GP_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
	task_set_tss(SEL_T1, &task1, TSS_AVAILABLE ^ GDT_ABSENT);
	check_refused(NP_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
	CHECK_EQ(task_type(SEL_T1), TSS_AVAILABLE ^ GDT_ABSENT);
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&task1, 0x66, TSS_AVAILABLE);
	check_refused(TS_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
	check_refused(TS_VECTOR, TRY(JUMP_TASK(SEL_T1)), SEL_T1);
	CHECK_EQ(task_type(SEL_T1), TSS_AVAILABLE);
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&task1, 0x2a, TSS16_AVAILABLE);
	check_refused(TS_VECTOR, TRY(CALL_TASK(SEL_T1)), SEL_T1);
}

TEST(bad_gates)
{
	task_begin();
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

	task_home()->link = link;
	vector = TRY(__asm__ volatile("pushf; orl $0x4000, (%esp); popf; iret"));
	write_flags(read_flags() & ~RFLAGS_NT);
	return vector;
}

TEST(bad_links)
{
	task_begin();
	check_refused(TS_VECTOR, try_return_to(SEL_T1), SEL_T1); /* not busy */
	check_refused(TS_VECTOR, try_return_to(SEL_DATA), SEL_DATA);
	check_refused(TS_VECTOR, try_return_to(0xf800), 0xf800);
	check_refused(TS_VECTOR, try_return_to(SEL_T1 | 4), SEL_T1 | 4);
	task_set_tss(SEL_T1, &task1, TSS_BUSY ^ GDT_ABSENT);
	check_refused(NP_VECTOR, try_return_to(SEL_T1), SEL_T1);
}

/* --- and behind it: the new task's -------------------------------------------------------------
 */

/* Whether the new task's EIP is in place by then: found by a JMP, for the tests behind, which use
 * CALL. */
static bool finds_new_eip = true;

TEST(faults_of_the_new_task_have_its_eip)
{
	unsigned long ip;

	task_begin();
	task1.ds = 0xf800;
	CHECK_EQ(TRY(JUMP_TASK(SEL_T1)), TS_VECTOR);
	ip = fault()->regs.ip;
	task_begin();
	finds_new_eip = IS_ABLE(ip == (unsigned long)task_plain);
	SKIP_UNLESS(finds_new_eip, "this CPU has the old task's EIP there");
	CHECK_EQ(ip, (unsigned long)task_plain);
}

/* Into the task of SEL_T1, which faults, and back from the handler's task, SEL_T2. */
static void go_to_bad_task(void)
{
	task_init(&task2, task_stack2, task_with_error);
	task_set_tss(SEL_TSS, task_home(), TSS_BUSY);
	task_set_tss(SEL_T1, &task1, TSS_AVAILABLE);
	task_seen.runs = 0;
	task_hook = task_return_home;
	CALL_TASK(SEL_T1);
}

/* `field` of the new TSS is bad: the vector comes from the new task, at its first instruction. */
static void check_fault_in_t1(unsigned vector, unsigned long error)
{
	idt[vector] = task_gate(SEL_T2, 0);
	go_to_bad_task();
	trap_set_gate(vector, 14, 0, 0);
	CHECK_EQ(task_seen.runs, 1);
	CHECK_EQ(task_seen.tr, SEL_T2);
	CHECK_EQ(task_handler_link, SEL_T1);
	CHECK_EQ(task_error, error);
	if (finds_new_eip)
		CHECK_EQ(task1.eip, (unsigned long)task_plain);
	CHECK_EQ(task1.link, SEL_TSS);
	CHECK(task1.eflags & RFLAGS_NT);
	CHECK_EQ(task_type(SEL_T1), TSS_BUSY);
}

TEST(bad_ldt)
{
	task_begin();
	task1.ldt = SEL_DATA;
	check_fault_in_t1(TS_VECTOR, SEL_DATA);
	task1.ldt = SEL_LDT | 4;
	check_fault_in_t1(TS_VECTOR, SEL_LDT | 4);
	gdt_set(SEL_LDT, 0x1000, 0xff, 0x82 ^ GDT_ABSENT);
	task1.ldt = SEL_LDT;
	check_fault_in_t1(TS_VECTOR, SEL_LDT);
}

TEST(bad_code_segment)
{
	task_begin();
	task1.cs = SEL_DATA;
	check_fault_in_t1(TS_VECTOR, SEL_DATA);
	task1.cs = 0;
	check_fault_in_t1(TS_VECTOR, 0);
	gdt_set(SEL_BAD, 0, 0xfffff, (GDT_CODE | GDT_G | GDT_DB) ^ GDT_ABSENT);
	task1.cs = SEL_BAD;
	check_fault_in_t1(NP_VECTOR, SEL_BAD);
	gdt_set(SEL_BAD, 0, 0xfffff, GDT_CODE | GDT_DPL3 | GDT_G | GDT_DB);
	check_fault_in_t1(TS_VECTOR, SEL_BAD);
}

TEST(bad_stack_segment)
{
	task_begin();
	task1.ss = 0;
	check_fault_in_t1(TS_VECTOR, 0);
	task1.ss = SEL_CODE;
	check_fault_in_t1(TS_VECTOR, SEL_CODE);
	task1.ss = SEL_UDATA;
	check_fault_in_t1(TS_VECTOR, SEL_UDATA & ~3);
}

/* The handler of #SS is not there, so that a #SS becomes a double fault, with the error code 0; a
 * #NP has the selector. */
static bool raises_np_for_absent_stack(void)
{
	task_begin();
	gdt_set(SEL_BAD, 0, 0xfffff, (GDT_DATA | GDT_G | GDT_DB) ^ GDT_ABSENT);
	task1.ss = SEL_BAD;
	idt[NP_VECTOR] = idt[DF_VECTOR] = task_gate(SEL_T2, 0);
	idt[SS_VECTOR] &= ~BIT64(47);
	go_to_bad_task();
	trap_set_gate(NP_VECTOR, 14, 0, 0);
	trap_set_gate(DF_VECTOR, 14, 0, 0);
	trap_set_gate(SS_VECTOR, 14, 0, 0);
	return task_error == SEL_BAD;
}

TEST(absent_stack_segment)
{
	SKIP_UNLESS(IS_ABLE(!raises_np_for_absent_stack()),
		    "this CPU raises #NP for an absent stack of a new task");
	task_begin();
	gdt_set(SEL_BAD, 0, 0xfffff, (GDT_DATA | GDT_G | GDT_DB) ^ GDT_ABSENT);
	task1.ss = SEL_BAD;
	check_fault_in_t1(SS_VECTOR, SEL_BAD);
}

TEST(bad_data_segments)
{
	static const size_t fields[] = {offsetof(struct tss, ds), offsetof(struct tss, es),
					offsetof(struct tss, fs), offsetof(struct tss, gs)};

	for (unsigned i = 0; i < 4; i++) {
		uint32_t *selector = (uint32_t *)((unsigned long)&task1 + fields[i]);

		task_begin();
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
	SKIP_UNLESS(has_segment_limits(), "this CPU has no segment limits");
	task_begin();
	gdt_set(SEL_BAD, 0, 0xfff, GDT_CODE | GDT_DB);
	task1.cs = SEL_BAD;
	check_fault_in_t1(GP_VECTOR, 0);
}

/* With CS and SS in place an ordinary handler runs on the new task's stack. */
TEST(handler_in_the_new_task)
{
	task_begin();
	task1.ds = 0xf800;
	CHECK_EQ(TRY(CALL_TASK(SEL_T1)), TS_VECTOR);
	CHECK_EQ(fault()->error, 0xf800);
	if (finds_new_eip)
		CHECK_EQ(fault()->regs.ip, (unsigned long)task_plain);
	CHECK_EQ(str(), SEL_T1);
	task_begin();
}

/* An interrupt whose task gate is not present. */
static bool sets_ext(void)
{
	task_begin();
	apic_enable();
	idt[0x62] = task_gate(SEL_T1, 0) & ~BIT64(47);
	apic_send_ipi(0, ICR_SELF | 0x62);
	TRY(sti(); delay_us(1000));
	cli();
	apic_eoi();
	return fault()->error & 1;
}

TEST(external_events_say_so)
{
	SKIP_UNLESS(IS_ABLE(sets_ext()), "this CPU does not set EXT for task switches");
	task_begin();
	apic_enable();
	task1.ds = 0xf800;
	idt[0x61] = task_gate(SEL_T1, 0);
	apic_send_ipi(0, ICR_SELF | 0x61);
	CHECK_EQ(TRY(sti(); delay_us(1000)), TS_VECTOR);
	CHECK_EQ(fault()->error, 0xf800 | 1);
	task_begin();
	apic_eoi();
	gdt_set(SEL_T1, (uint32_t)(unsigned long)&task1, 0x66, TSS_AVAILABLE);
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

	task_begin();
	task_hook = task_return_home;
	for (unsigned i = 0; i < 6; i++)
		idt[vectors[i]] = task_gate(SEL_T2, 0);
	for (unsigned round = 1; round <= 1000; round++) {
		task_init(&task1, task_stack1, task_ud);
		task_init(&task2, task_stack2, task_plain);
		random_descriptors();
		task1.cs = below(4) ? SEL_CODE : random_code();
		task1.ss = below(4) ? SEL_DATA : random_selector();
		task1.ldt = below(4) ? 0 : random_selector();
		task1.ds = below(2) ? SEL_UDATA : random_selector();
		task1.es = below(2) ? 0 : random_selector();
		task1.fs = below(2) ? SEL_DATA : random_selector();
		task1.gs = below(2) ? SEL_DATA : random_selector();
		task_set_tss(SEL_T1, &task1, TSS_AVAILABLE);
		CALL_TASK(SEL_T1);
		if (!CHECK_EQ(task_seen.runs, round))
			break;
		CHECK_EQ(task_handler_link, SEL_T1);
		CHECK_EQ(str(), SEL_TSS);
		started += task1.eip == (unsigned long)task_ud &&
			   task2.esp == (unsigned long)task_stack2 + PAGE_SIZE;
	}
	CHECK(started > 0);
}
