/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Umbra's hypercalls: numbers, results, privilege; and both vendors' instructions.
 */
#include "clock.h"
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"
#include "user.h"

#define NEED_UMBRA SKIP_UNLESS(is_umbra(), "no UmbraUmbra signature at CPUID 40000000h")

TEST(without_umbra_it_is_undefined)
{
	SKIP_UNLESS(!is_umbra() && TRY(__asm__ volatile("vmmcall"
							:
							: "a"(0))) == UD_VECTOR,
		    "a hypervisor is there");
	CHECK_EQ(TRY(__asm__ volatile("vmcall" : : "a"(0))), UD_VECTOR);
}

TEST(null_call)
{
	NEED_UMBRA;
	CHECK_EQ(hypercall(HC_NULL, 0), 0);
	CHECK_EQ(hypercall(HC_NULL, ~0ul), 0);
}

TEST(version)
{
	NEED_UMBRA;
	CHECK(hypercall(HC_VERSION, 0) > 0);
}

TEST(unknown_number)
{
	NEED_UMBRA;
	CHECK_EQ(hypercall(9, 0), HC_ENOSYS);
	CHECK_EQ(hypercall(~0ul, 0), HC_ENOSYS);
	CHECK_EQ(hypercall(BIT(31), 0), HC_ENOSYS);
#ifdef __x86_64__
	CHECK_EQ(hypercall(BIT(32), 0), HC_ENOSYS); /* all 64 bits count */
#endif
}

/* Only where the module line says dirtylog=on: see dirty.c. */
TEST(dirty_log_is_not_permitted)
{
	NEED_UMBRA;
	CHECK_EQ(hypercall(HC_DIRTY_START, 0), HC_EPERM);
	CHECK_EQ(hypercall(HC_DIRTY_COLLECT, 0), HC_EPERM);
	CHECK_EQ(hypercall(HC_DIRTY_STOP, 0), HC_EPERM);
	CHECK_EQ(hypercall(HC_ZAP, 0), HC_EPERM);
}

/* Nor is there a test device without testdev=on. */
TEST(no_test_device)
{
	NEED_UMBRA;
	outl(0xe0, 0x12345678);
	outl(0xe4, 0x1000);
	CHECK_EQ(inl(0xe0), ~0u);
	CHECK_EQ(inb(0x2000), 0xff);
}

#ifdef __x86_64__
#define KEPT    "rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15"
#define NR_KEPT 14
#define BP      "rbp"
#define OTHERS  "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
#else
#define KEPT    "ebx, ecx, edx, esi, edi, ebp"
#define NR_KEPT 6
#define BP      "ebp"
#define OTHERS
#endif

/* A null call with the KEPT registers set from values[]; they are stored there again afterwards. */
#define CALL_WITH(insn, values)                                                                    \
	({                                                                                         \
		unsigned long *next = (values);                                                    \
                                                                                                   \
		__asm__ volatile("push %%" BP "\n\tpush %0\n\t"                                    \
				 ".irp r, " KEPT "\n\tmov (%0), %%\\r\n\tadd %1, %0\n\t.endr\n\t"  \
				 "xor %0, %0\n\t" insn "\n\tpop %0\n\t"                            \
				 ".irp r, " KEPT "\n\tmov %%\\r, (%0)\n\tadd %1, %0\n\t.endr\n\t"  \
				 "pop %%" BP                                                       \
				 : "+a"(next)                                                      \
				 : "i"(sizeof(*next))                                              \
				 : OTHERS "ebx", "ecx", "edx", "esi", "edi", "cc", "memory");      \
	})

TEST(registers_are_kept)
{
	unsigned long values[NR_KEPT];

	NEED_UMBRA;
	for (unsigned i = 0; i < NR_KEPT; i++)
		values[i] = 0x1111 * (i + 1) | ~0ul << 28;
	if (is_amd())
		CALL_WITH("vmmcall", values);
	else
		CALL_WITH("vmcall", values);
	for (unsigned i = 0; i < NR_KEPT; i++)
		CHECK_EQ(values[i], 0x1111 * (i + 1) | ~0ul << 28);
}

TEST(console_putc)
{
	NEED_UMBRA;
	for (const char *p = "# written by hypercall\n"; *p; p++)
		CHECK_EQ(hypercall(HC_PUTCHAR, (unsigned char)*p), 0);
}

TEST(clock)
{
	long a, b;

	NEED_UMBRA;
	a = hypercall(HC_CLOCK_NS, 0);
	delay_us(10000);
	b = hypercall(HC_CLOCK_NS, 0);
	printf("# 10 ms are %ld ns\n", b - a);
	CHECK(b - a >= 5000000);
}

TEST(other_vendors_instruction)
{
	NEED_UMBRA;
	/* A hypervisor may serve it as well; without that it is #UD. */
	if (is_amd())
		CHECK(TRY(__asm__ volatile("vmcall" : : "a"(0))) != GP_VECTOR);
	else
		CHECK(TRY(__asm__ volatile("vmmcall" : : "a"(0))) != GP_VECTOR);
}

USER_CODE(user_vmmcall, "xor %eax, %eax; vmmcall; mov " REG(ax) ", user_arg");
USER_CODE(user_vmcall, "xor %eax, %eax; vmcall; mov " REG(ax) ", user_arg");

TEST(user_mode_is_refused)
{
	NEED_UMBRA;
	user_arg = 0;
	CHECK_EQ(try_user(is_amd() ? user_vmmcall : user_vmcall), NO_FAULT);
	CHECK_EQ(user_arg, (unsigned long)HC_EPERM);
}
