/* SPDX-License-Identifier: BSD-2-Clause */
/* The probes of flaws.h. */
#include "flaws.h"

#include "boot.h"

bool refuses_values(void)
{
	uint64_t old;
	int vector;

	if (is_umbra())
		return true;
	old = rdmsr(MSR_CSTAR);
	vector = TRY(wrmsr(MSR_CSTAR, BIT64(63)));
	wrmsr(MSR_CSTAR, old);
	return vector == GP_VECTOR;
}

USER_CODE(user_odd_word, "mov user_arg, %eax; mov 1(%eax), %ax");

bool has_alignment_checks(void)
{
	static uint32_t word __attribute__((used));
	unsigned long cr0 = read_cr0();
	int vector;

	user_arg = (unsigned long)&word;
	write_cr0(cr0 | CR0_AM);
	vector = try_user_flags(user_odd_word, RFLAGS_AC);
	write_cr0(cr0);
	return IS_ABLE(vector == AC_VECTOR);
}

bool refuses_cr8_bits(void)
{
#ifdef __x86_64__
	unsigned long old = read_cr8();
	int vector = TRY(write_cr8(BIT(32)));

	write_cr8(old);
	return IS_ABLE(vector == GP_VECTOR);
#else
	return true;
#endif
}

bool sets_rf(void)
{
	TRY(__asm__ volatile("div %0" : : "r"(0), "a"(1), "d"(0)));
	return IS_ABLE(fault()->regs.flags & RFLAGS_RF);
}

unsigned gate_bytes_in_errors(void)
{
	uint64_t *gate = &idt[0x91 * GATE_WORDS], old = *gate;
	struct fault before = *fault();
	unsigned long error;

	*gate &= ~BIT64(47); /* not present */
	TRY(__asm__ volatile("int $0x91"));
	*gate = old;
	error = fault()->error;
	this_cpu()->fault = before;
	return IS_ABLE(error != (0x91 * 16 | 2)) ? 8 : 16;
}

bool has_segment_limits(void)
{
#ifdef __x86_64__
	return true;
#else
	int vector;

	gdt_set(SEL_TEST, 0x100000, 0xfff, GDT_DATA | GDT_DB);
	vector = TRY(__asm__ volatile("mov %0, %%gs; mov %%gs:0x2345, %%al"
				      :
				      : "r"(SEL_TEST)
				      : "eax"));
	__asm__ volatile("mov %0, %%gs" : : "r"(SEL_DATA));
	return IS_ABLE(vector == GP_VECTOR);
#endif
}

bool refuses_cr3_bits(void)
{
	return !boot_option("cr3");
}

bool keeps_fault_address(const volatile void *absent)
{
	int vector = TRY(__asm__ volatile("outsb" : : "S"(absent), "d"((uint16_t)0x80)));

	return IS_ABLE(vector == PF_VECTOR && fault()->cr2 == (unsigned long)absent);
}

static unsigned long stepped_dr6;

static bool note_step(struct regs *regs)
{
	stepped_dr6 = read_dr6();
	regs->flags &= ~RFLAGS_TF;
	return true;
}

bool notes_steps(void)
{
	trap_handler old = trap_set(DB_VECTOR, note_step);

	stepped_dr6 = 0;
	write_dr6(0xffff0ff0);
	write_flags(read_flags() | RFLAGS_TF);
	__asm__ volatile("nop; nop");
	trap_set(DB_VECTOR, old);
	write_dr6(0xffff0ff0);
	return IS_ABLE(stepped_dr6 & BIT(14));
}

bool steps_across_exits(void)
{
	return !boot_option("step");
}

bool resumes_events(void)
{
	return !boot_option("intinfo");
}
