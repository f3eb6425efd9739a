/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every exception an instruction can raise, with its error code and the address it reports; and
 * delivery that itself needs memory nobody has touched: handlers, stacks and descriptor tables in
 * fresh pages, so that the hypervisor takes its own fault in the middle of an exception or an
 * interrupt (SDM volume 3, chapter 6). run: testdev=1
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "paging.h"
#include "user.h"

#define ERR_IDT 2

#define BREAKS(vector, ...) CHECK_EQ(TRY(__asm__ volatile(__VA_ARGS__)), vector)

extern const uint8_t here_ud2[], here_int3[], here_int3_end[];

TEST(divide_error)
{
	BREAKS(DE_VECTOR, "div %0" : : "r"(0), "a"(1), "d"(0));
	BREAKS(DE_VECTOR, "idivl %0" : : "r"(-1), "a"(0x80000000), "d"(-1));
}

TEST(invalid_opcode)
{
	CHECK_EQ(TRY(__asm__ volatile("here_ud2: ud2")), UD_VECTOR);
	CHECK_EQ(fault()->regs.ip, (unsigned long)here_ud2);
	BREAKS(UD_VECTOR, "lock; nop"); /* LOCK without a memory destination */
	BREAKS(UD_VECTOR, ".byte 0x0f, 0xff, 0xc0");
}

/* Those that a hypervisor raises, too: an instruction breakpoint is not to hit twice for one. */
TEST(faults_set_rf)
{
	uint32_t low, high;

	SKIP_UNLESS(sets_rf(), "this CPU pushes RF clear for faults");
	BREAKS(UD_VECTOR, "ud2");
	CHECK(fault()->regs.flags & RFLAGS_RF);
	BREAKS(GP_VECTOR, "rdmsr" : "=a"(low), "=d"(high) : "c"(0x4fffffff));
	CHECK(fault()->regs.flags & RFLAGS_RF);
	BREAKS(BP_VECTOR, "int3");
	CHECK(!(fault()->regs.flags & RFLAGS_RF));
}

TEST(breakpoint_is_a_trap)
{
	CHECK_EQ(TRY(__asm__ volatile("here_int3: int3\nhere_int3_end:")), BP_VECTOR);
	CHECK_EQ(fault()->regs.ip, (unsigned long)here_int3_end);
}

TEST(software_interrupts)
{
	BREAKS(0x80, "int $0x80");
	BREAKS(0x20, "int $0x20");
	BREAKS(0xff, "int $0xff");
	BREAKS(BP_VECTOR, ".byte 0xcd, 3");
	BREAKS(OF_VECTOR, "int $4");
}

#ifndef __x86_64__
TEST(into_and_bound)
{
	int bounds[2] = {5, 10};

	BREAKS(OF_VECTOR, "mov $0x7fffffff, %%eax; add $1, %%eax; into" : : : "eax", "cc");
	CHECK_EQ(TRY(__asm__ volatile("xor %%eax, %%eax; into" : : : "eax", "cc")), NO_FAULT);
	BREAKS(BR_VECTOR, "bound %0, %1" : : "r"(11), "m"(bounds));
	CHECK_EQ(TRY(__asm__ volatile("bound %0, %1" : : "r"(7), "m"(bounds))), NO_FAULT);
}
#endif

TEST(device_not_available)
{
	unsigned long cr0 = read_cr0();

	write_cr0((cr0 & ~CR0_EM) | CR0_TS);
	BREAKS(NM_VECTOR, "fnop");
	__asm__ volatile("clts");
	CHECK(!(read_cr0() & CR0_TS));
	CHECK_EQ(TRY(__asm__ volatile("fnop")), NO_FAULT);
	write_cr0(cr0 | CR0_EM);
	BREAKS(NM_VECTOR, "fninit");
	write_cr0((cr0 & ~CR0_EM) | CR0_TS | CR0_MP);
	BREAKS(NM_VECTOR, "fwait");
	write_cr0(cr0);
}

TEST(x87_error)
{
	unsigned long cr0 = read_cr0();
	uint16_t control = 0x37b; /* division by zero is not masked */

	write_cr0((cr0 & ~(CR0_EM | CR0_TS)) | CR0_NE);
	__asm__ volatile("fninit; fldcw %0; fldz; fld1; fdiv %%st(1), %%st" : : "m"(control));
	BREAKS(MF_VECTOR, "fwait");
	__asm__ volatile("fnclex; fninit");
	write_cr0(cr0);
}

/* The root of -1, which is invalid. */
static bool raises_simd_errors(void)
{
	uint32_t invalid = 0x1f80 & ~(1u << 7), masked = 0x1f80;
	int vector;

	__asm__ volatile("ldmxcsr %0" : : "m"(invalid));
	vector = TRY(
		__asm__ volatile("mov $0xbf800000, %%eax; movd %%eax, %%xmm0; sqrtss %%xmm0, %%xmm1"
				 :
				 :
				 : "eax"));
	__asm__ volatile("ldmxcsr %0" : : "m"(masked));
	return IS_ABLE(vector == XM_VECTOR);
}

TEST(simd_error)
{
	unsigned long cr4 = read_cr4();
	uint32_t open = 0x1f80 & ~(1u << 9), masked = 0x1f80; /* MXCSR, zero divide */

	write_cr4(cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT);
	SKIP_UNLESS(raises_simd_errors(), "this CPU raises no SIMD exceptions");
	__asm__ volatile("ldmxcsr %0" : : "m"(open));
	BREAKS(XM_VECTOR,
	       "mov $0x3f800000, %%eax; movd %%eax, %%xmm0; xorps %%xmm1, %%xmm1; divss %%xmm1, %%xmm0"
	       :
	       :
	       : "eax");
	write_cr4((cr4 | CR4_OSFXSR) & ~CR4_OSXMMEXCPT);
	BREAKS(UD_VECTOR,
	       "mov $0x3f800000, %%eax; movd %%eax, %%xmm0; xorps %%xmm1, %%xmm1; divss %%xmm1, %%xmm0"
	       :
	       :
	       : "eax");
	__asm__ volatile("ldmxcsr %0" : : "m"(masked));
	write_cr4(cr4);
}

USER_CODE(user_unaligned, "mov user_arg, %eax; mov 1(%eax), %eax");

TEST(alignment_check)
{
	static uint32_t words[2] __attribute__((used));
	unsigned long cr0 = read_cr0();

	SKIP_UNLESS(has_alignment_checks(), "this CPU has no alignment checks");
	user_arg = (unsigned long)words;
	write_cr0(cr0 | CR0_AM);
	CHECK_EQ(try_user_flags(user_unaligned, RFLAGS_AC), AC_VECTOR);
	CHECK_EQ(fault()->error, 0);
	CHECK_EQ(try_user_flags(user_unaligned, 0), NO_FAULT);
	write_flags(read_flags() | RFLAGS_AC); /* not at CPL 0 */
	CHECK_EQ(TRY(*(volatile uint32_t *)((char *)words + 1)), NO_FAULT);
	write_flags(read_flags() & ~RFLAGS_AC);
	write_cr0(cr0 & ~CR0_AM);
	CHECK_EQ(try_user_flags(user_unaligned, RFLAGS_AC), NO_FAULT);
	write_cr0(cr0);
}

/* --- segments --------------------------------------------------------------------------------- */

static int try_load_ds(uint16_t selector)
{
	int vector = TRY(__asm__ volatile("mov %0, %%ds" : : "r"(selector)));

	__asm__ volatile("mov %0, %%ds" : : "r"(SEL_DATA));
	return vector;
}

TEST(segment_not_present)
{
	gdt_set(SEL_TEST, 0, 0xfffff, (GDT_DATA | GDT_G | GDT_DB) ^ GDT_ABSENT);
	CHECK_EQ(try_load_ds(SEL_TEST), NP_VECTOR);
	CHECK_EQ(fault()->error, SEL_TEST);
	BREAKS(SS_VECTOR, "mov %0, %%ss" : : "r"(SEL_TEST));
	CHECK_EQ(fault()->error, SEL_TEST);
}

TEST(general_protection)
{
	CHECK_EQ(try_load_ds(sizeof(uint64_t) * 0x1f00), GP_VECTOR); /* beyond the limit */
	CHECK_EQ(fault()->error, 0xf800);
	gdt_set(SEL_TEST, 0, 0xfffff, 0x98 | GDT_G | GDT_DB); /* code that may not be read */
	CHECK_EQ(try_load_ds(SEL_TEST), GP_VECTOR);
	CHECK_EQ(fault()->error, SEL_TEST);
	BREAKS(GP_VECTOR, "mov %0, %%ss" : : "r"(SEL_CODE));
	BREAKS(GP_VECTOR, "mov %0, %%ss" : : "r"(SEL_UDATA)); /* RPL and DPL 3 at CPL 0 */
	CHECK_EQ(fault()->error, SEL_UDATA & ~3);
	BREAKS(GP_VECTOR, "lldt %w0" : : "r"(SEL_DATA));
	BREAKS(GP_VECTOR, "ltr %w0" : : "r"(SEL_DATA));
	BREAKS(GP_VECTOR, "ltr %w0" : : "r"(str())); /* busy */
}

/* The error code of a bad gate. */
static void check_idt_error(unsigned vector)
{
	CHECK_EQ(fault()->error, vector * gate_bytes_in_errors() + ERR_IDT);
}

TEST(gate_not_present)
{
	uint64_t old = idt[0x90 * GATE_WORDS];

	idt[0x90 * GATE_WORDS] &= ~(1ull << 47);
	BREAKS(NP_VECTOR, "int $0x90");
	check_idt_error(0x90);
	idt[0x90 * GATE_WORDS] = old & ~0xfull << 40; /* no gate at all */
	BREAKS(GP_VECTOR, "int $0x90");
	check_idt_error(0x90);
	idt[0x90 * GATE_WORDS] = old;
}

TEST(idt_limit)
{
	struct table_ptr saved = sidt();

	lidt((struct table_ptr){0x50 * 8 * GATE_WORDS - 1, saved.base});
	BREAKS(GP_VECTOR, "int $0x50");
	check_idt_error(0x50);
	BREAKS(0x4f, "int $0x4f");
	lidt(saved);
}

USER_CODE(user_int80, "int $0x80");
USER_CODE(user_cli, "cli");
USER_CODE(user_hlt, "hlt");
USER_CODE(user_cr0, "mov %cr0, " REG(ax));
USER_CODE(user_invlpg, "invlpg user_arg");
USER_CODE(user_lgdt, "lgdt user_arg");
USER_CODE(user_wbinvd, "wbinvd");
USER_CODE(user_clts, "clts");
USER_CODE(user_in, "in $0x80, %al");
USER_CODE(user_cpuid, "cpuid");
USER_CODE(user_loop, "1: jmp 1b");

TEST(user_mode_privileges)
{
	CHECK_EQ(try_user(user_int80), GP_VECTOR);
	check_idt_error(0x80);
	CHECK_EQ(fault()->regs.cs & 3, 3);
	trap_set_gate(0x80, 14, 3, 0);
	CHECK_EQ(try_user(user_int80), 0x80);
	CHECK_EQ(try_user(user_cli), GP_VECTOR);
	CHECK_EQ(try_user(user_hlt), GP_VECTOR);
	CHECK_EQ(try_user(user_cr0), GP_VECTOR);
	CHECK_EQ(try_user(user_invlpg), GP_VECTOR);
	CHECK_EQ(try_user(user_lgdt), GP_VECTOR);
	CHECK_EQ(try_user(user_wbinvd), GP_VECTOR);
	CHECK_EQ(try_user(user_clts), GP_VECTOR);
	CHECK_EQ(try_user(user_in), GP_VECTOR);
	CHECK_EQ(try_user_flags(user_in, 3 << 12), NO_FAULT); /* IOPL 3 */
	CHECK_EQ(try_user_flags(user_cli, 3 << 12), NO_FAULT);
	CHECK_EQ(try_user(user_cpuid), NO_FAULT);
}

TEST(instruction_of_16_bytes)
{
	BREAKS(GP_VECTOR, ".fill 15, 1, 0x66\nnop");
	CHECK_EQ(fault()->error, 0);
	CHECK_EQ(TRY(__asm__ volatile(".fill 14, 1, 0x66\nnop")), NO_FAULT);
}

TEST(page_fault_reports_address)
{
#ifdef __x86_64__
	CHECK_EQ(TRY(*(volatile int *)0x123456789abc), PF_VECTOR);
	CHECK_EQ(fault()->cr2, 0x123456789abc);
	CHECK_EQ(fault()->error, 0);
#else
	SKIP("no paging here");
#endif
}

/* --- interrupted user code -------------------------------------------------------------------- */

static volatile unsigned ticks;

static bool on_tick(struct regs *regs)
{
	apic_eoi();
	return ++ticks < 20; /* then leave the loop by the fault path */
}

TEST(interrupts_in_user_mode)
{
	apic_enable();
	ticks = 0;
	trap_set(0x41, on_tick);
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, LVT_PERIODIC | 0x41);
	apic_write(APIC_TMICT, 100000);
	CHECK_EQ(try_user_flags(user_loop, RFLAGS_IF), 0x41);
	apic_write(APIC_TMICT, 0);
	apic_write(APIC_LVTT, LVT_MASKED);
	CHECK_EQ(ticks, 20);
	CHECK_EQ(fault()->regs.ip, (unsigned long)user_loop);
}

TEST(sti_shadow)
{
	apic_enable();
	ticks = 0;
	trap_set(0x41, on_tick);
	cli();
	apic_send_ipi(0, ICR_SELF | 0x41);
	delay_us(100);
	__asm__ volatile("sti; cli" : : : "memory"); /* one instruction in the shadow: none came */
	CHECK_EQ(ticks, 0);
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	CHECK_EQ(ticks, 1);
}

/* --- delivery ----------------------------------------------------------------------------------
 */

#ifdef __x86_64__
TEST(double_fault)
{
	/* The #PF gate is not present: #PF, then #NP while it is delivered. */
	idt[PF_VECTOR * GATE_WORDS] &= ~(1ull << 47);
	CHECK_EQ(TRY(*(volatile int *)0x123456789000), DF_VECTOR);
	CHECK_EQ(fault()->error, 0);
	trap_set_gate(PF_VECTOR, 14, 0, 0);
}

TEST(iret_with_nested_task_flag)
{
	BREAKS(GP_VECTOR, "pushf; orl $0x4000, (%rsp); popf; iretq");
	write_flags(read_flags() & ~0x4000ul);
}

TEST(iret_to_a_non_canonical_address)
{
	BREAKS(GP_VECTOR, "push $0x10; push %%rsp; pushf; push $0x08; push %0; iretq"
	       :
	       : "r"(1ul << 62));
	CHECK_EQ(fault()->error, 0);
}

/* Does the gate's IST entry give the stack, aligned to 16? */
static unsigned long handler_frame;

static bool note_frame(struct regs *regs)
{
	handler_frame = (unsigned long)&regs->ip;
	return regs->vector >= 32;
}

TEST(interrupt_stack_table)
{
	uint8_t *stack = page_alloc();

	this_cpu()->tss.ist[2] = (unsigned long)stack + PAGE_SIZE - 8;
	trap_set_gate(0x60, 14, 0, 2);
	trap_set(0x60, note_frame);
	__asm__ volatile("int $0x60");
	CHECK_EQ(handler_frame, (unsigned long)stack + PAGE_SIZE - 16 - 5 * 8);
}

/*
 * Delivery onto a stack in memory nobody has touched: the CPU's own pushes meet the missing page,
 * under a hypervisor in the middle of what it injects.
 */
enum source { SOURCE_UD, SOURCE_GP, SOURCE_PF, SOURCE_INT, SOURCE_IPI, SOURCE_NMI, NR_SOURCES };
static const uint8_t source_vector[] = {UD_VECTOR, GP_VECTOR, PF_VECTOR, 0x60, 0x61, NMI_VECTOR};

static volatile unsigned delivered;

static bool count_delivery(struct regs *regs)
{
	delivered++;
	handler_frame = (unsigned long)&regs->ip;
	if (regs->vector == 0x61)
		apic_eoi();
	return regs->vector >= 32 || regs->vector == NMI_VECTOR;
}

static void raise(enum source source)
{
	switch (source) {
	case SOURCE_UD:
		(void)TRY(__asm__ volatile("ud2"));
		break;
	case SOURCE_GP:
		(void)TRY(__asm__ volatile("lldt %w0" : : "r"(SEL_DATA)));
		break;
	case SOURCE_PF:
		(void)TRY(*(volatile int *)0x123456789000);
		break;
	case SOURCE_INT:
		__asm__ volatile("int $0x60");
		break;
	case SOURCE_IPI:
		apic_send_ipi(0, ICR_SELF | 0x61);
		sti();
		wait_until(delivered, 1000);
		cli();
		break;
	default:
		apic_send_ipi(apic_id(), ICR_NMI);
		wait_until(delivered, 1000);
	}
}

/* Each time on another fresh stack; every second one straddles two pages. */
static void deliver_on_fresh_stacks(enum source source)
{
	static unsigned long next;
	unsigned long start, end;

	pages_rest(&start, &end);
	if (!next)
		next = (start + end) / 2 & ~(PAGE_SIZE - 1);
	apic_enable();
	trap_set(source_vector[source], count_delivery);
	trap_set_gate(source_vector[source], 14, 0, 2);
	for (unsigned i = 0; i < 32; i++, next += 4 * PAGE_SIZE) {
		unsigned long top = next + 2 * PAGE_SIZE + (i & 1 ? 32 : 0);

		this_cpu()->tss.ist[2] = top;
		delivered = 0;
		raise(source);
		CHECK_EQ(delivered, 1);
		CHECK(handler_frame < top && handler_frame >= top - 64);
	}
	trap_reset();
}

TEST(fresh_stack_invalid_opcode)
{
	deliver_on_fresh_stacks(SOURCE_UD);
}

TEST(fresh_stack_error_code)
{
	deliver_on_fresh_stacks(SOURCE_GP);
	CHECK_EQ(fault()->error, SEL_DATA);
}

TEST(fresh_stack_page_fault)
{
	deliver_on_fresh_stacks(SOURCE_PF);
	CHECK_EQ(fault()->cr2, 0x123456789000);
}

TEST(fresh_stack_software_interrupt)
{
	deliver_on_fresh_stacks(SOURCE_INT);
}

TEST(fresh_stack_interrupt)
{
	deliver_on_fresh_stacks(SOURCE_IPI);
}

TEST(fresh_stack_nmi)
{
	deliver_on_fresh_stacks(SOURCE_NMI);
}

/* The guest's own tables lack the stack's page: #UD is benign, so #PF takes its place. */
TEST(absent_stack_is_a_page_fault)
{
	this_cpu()->tss.ist[2] = TEST_VA + PAGE_SIZE;
	trap_set_gate(UD_VECTOR, 14, 0, 2);
	BREAKS(PF_VECTOR, "ud2");
	CHECK_EQ(fault()->error, PF_W);
	CHECK_EQ(fault()->cr2, TEST_VA + PAGE_SIZE - 8);
}

/* pc-testdev's port that takes a page away underneath: the tables themselves are missing. */
#define TESTDEV_FLUSH 0xe4

static bool has_testdev(void)
{
	outl(0xe0, 0x12345678);
	return inl(0xe0) == 0x12345678;
}

static void deliver_with_flushed(const void *page)
{
	for (enum source source = 0; source < NR_SOURCES; source++) {
		apic_enable();
		trap_set(source_vector[source], count_delivery);
		delivered = 0;
		outl(TESTDEV_FLUSH, (uint32_t)(unsigned long)page);
		raise(source);
		CHECK_EQ(delivered, 1);
	}
}

TEST(flushed_tables)
{
	SKIP_UNLESS(has_testdev(), "no pc-testdev");
	SKIP_UNLESS(resumes_events(), "EXITINTINFO has an older event when INT n is interrupted");
	deliver_with_flushed(idt);
	deliver_with_flushed(gdt);
	deliver_with_flushed(&this_cpu()->tss);
	deliver_with_flushed(stacks);
}
#else
TEST(iret_to_an_invalid_task)
{
	this_cpu()->tss.link = SEL_DATA;
	BREAKS(TS_VECTOR, "pushf; orl $0x4000, (%esp); popf; iret");
	CHECK_EQ(fault()->error, SEL_DATA);
	write_flags(read_flags() & ~0x4000ul);
}

TEST(segment_limits)
{
	SKIP_UNLESS(has_segment_limits(), "this CPU has no segment limits");
	gdt_set(SEL_TEST, 0x100000, 0xfff, GDT_DATA | GDT_DB);
	BREAKS(GP_VECTOR, "mov %0, %%fs; mov %%fs:0x1000, %%al" : : "r"(SEL_TEST) : "eax");
	BREAKS(GP_VECTOR, "mov %0, %%fs; mov %%fs:0xffd, %%eax" : : "r"(SEL_TEST) : "eax");
	CHECK_EQ(TRY(__asm__ volatile("mov %0, %%fs; mov %%fs:0xffc, %%eax"
				      :
				      : "r"(SEL_TEST)
				      : "eax")),
		 NO_FAULT);
	gdt_set(SEL_TEST, 0x100000, 0xfff, (GDT_DATA ^ 2) | GDT_DB); /* read-only */
	BREAKS(GP_VECTOR, "mov %0, %%fs; mov %%al, %%fs:0" : : "r"(SEL_TEST));
	gdt_set(SEL_TEST, 0x100000, 0xfff, (GDT_DATA | 4) | GDT_DB); /* expand down */
	BREAKS(GP_VECTOR, "mov %0, %%fs; mov %%fs:0xfff, %%al" : : "r"(SEL_TEST) : "eax");
	CHECK_EQ(TRY(__asm__ volatile("mov %0, %%fs; mov %%fs:0x1000, %%al"
				      :
				      : "r"(SEL_TEST)
				      : "eax")),
		 NO_FAULT);
}
#endif
