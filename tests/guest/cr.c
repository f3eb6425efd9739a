/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers: what may be written, what is #GP, and what the bits do (SDM volume 3, 2.5).
 *
 * A hypervisor with nested paging leaves most writes to the CPU. QEMU's takes every value, and
 * refuses it only at the next VMRUN: what should be #GP would be the end of the VM.
 */
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "user.h"

static int try_cr0(unsigned long val)
{
	return TRY(write_cr0(val));
}

static int try_cr4(unsigned long val)
{
	return TRY(write_cr4(val));
}

/* #GP(0), and the register keeps its value. */
#define REFUSED(reg, val)                                                                          \
	do {                                                                                       \
		unsigned long _old = read_##reg();                                                 \
		if (CHECK_EQ(try_##reg(val), GP_VECTOR))                                           \
			CHECK_EQ(fault()->error, 0);                                               \
		CHECK_EQ(read_##reg(), _old);                                                      \
	} while (0)

TEST(cr0_illegal_combinations)
{
	unsigned long cr0 = read_cr0();

	SKIP_UNLESS(refuses_values(), "this CPU takes them");
	REFUSED(cr0, (cr0 | CR0_NW) & ~CR0_CD);
	REFUSED(cr0, (cr0 | CR0_PG) & ~CR0_PE);
#ifdef __x86_64__
	REFUSED(cr0, cr0 & ~CR0_PE);
	REFUSED(cr0, cr0 | BIT(32));
	REFUSED(cr0, cr0 | BIT(63));
#endif
}

TEST(cr0_reserved_low_bits_are_ignored)
{
	unsigned long cr0 = read_cr0();

	SKIP_UNLESS(refuses_values(), "this CPU keeps the reserved bits");
	CHECK_EQ(try_cr0(cr0 | BIT(28) | BIT(6) | BIT(17)), NO_FAULT);
	CHECK_EQ(read_cr0(), cr0);
}

TEST(cr0_bits_are_kept)
{
	static const unsigned long bits[] = {CR0_MP, CR0_EM, CR0_TS, CR0_NE,
					     CR0_WP, CR0_AM, CR0_CD, CR0_CD | CR0_NW};
	unsigned long before = read_cr0(), cr0 = before & ~(CR0_CD | CR0_NW);

	write_cr0(before & ~CR0_NW);
	write_cr0(cr0);
	for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		CHECK_EQ(try_cr0(cr0 | bits[i]), NO_FAULT);
		CHECK_EQ(read_cr0() & bits[i], bits[i]);
		CHECK_EQ(try_cr0(cr0 & ~bits[i]), NO_FAULT);
		CHECK_EQ(read_cr0() & bits[i], 0);
	}
	write_cr0(before);
}

TEST(cr0_et_is_fixed)
{
	unsigned long cr0 = read_cr0();

	CHECK_EQ(try_cr0(cr0 & ~CR0_ET), NO_FAULT);
	CHECK(read_cr0() & CR0_ET);
	write_cr0(cr0);
}

TEST(clts_and_lmsw)
{
	unsigned long cr0 = read_cr0();
	unsigned long word;

	write_cr0(cr0 | CR0_TS);
	__asm__ volatile("clts");
	CHECK_EQ(read_cr0(), cr0 & ~CR0_TS);
	__asm__ volatile("lmsw %w0" : : "r"(CR0_PE | CR0_TS | CR0_MP));
	CHECK_EQ(read_cr0() & 0xf, CR0_PE | CR0_TS | CR0_MP);
	__asm__ volatile("lmsw %w0" : : "r"(0)); /* cannot clear PE */
	CHECK_EQ(read_cr0() & 0xf, CR0_PE);
	__asm__ volatile("smsw %0" : "=r"(word));
	CHECK_EQ(word & 0xffff, read_cr0() & 0xffff);
	write_cr0(cr0);
}

/* Whether or not a hypervisor lets the CPU have them: the guest has what it wrote. */
TEST(cache_bits_outlast_other_writes)
{
	unsigned long before = read_cr0(), off = CR0_CD | CR0_NW;
	unsigned long word;

	write_cr0((before & ~CR0_TS) | off);
	__asm__ volatile("lmsw %w0" : : "r"(CR0_PE | CR0_TS));
	CHECK_EQ(read_cr0() & (off | CR0_TS), off | CR0_TS);
	__asm__ volatile("smsw %0" : "=r"(word));
	CHECK_EQ(word & CR0_TS, CR0_TS);
	__asm__ volatile("clts");
	CHECK_EQ(read_cr0() & (off | CR0_TS), off);
	write_cr0(read_cr0() | CR0_WP);
	CHECK_EQ(read_cr0() & (off | CR0_WP), off | CR0_WP);
	write_cr0(read_cr0() & ~CR0_NW);
	CHECK_EQ(read_cr0() & off, CR0_CD);
	write_cr0(before & ~off);
	CHECK_EQ(read_cr0(), before & ~off);
	write_cr0(before & ~CR0_NW);
	write_cr0(before);
}

TEST(cr4_reserved_bits)
{
	unsigned long cr4 = read_cr4();

	SKIP_UNLESS(refuses_values(), "this CPU drops reserved bits");
	REFUSED(cr4, cr4 | BIT(15));
	REFUSED(cr4, cr4 | BIT(19));
	REFUSED(cr4, cr4 | BIT(31));
#ifdef __x86_64__
	REFUSED(cr4, cr4 | BIT(32));
	REFUSED(cr4, cr4 | BIT(63));
#endif
}

TEST(cr4_bits_follow_cpuid)
{
	const struct {
		unsigned long bit;
		bool has;
	} table[] = {
		{CR4_TSD, HAS_TSC},           {CR4_DE, cpuid_has(1, 0, 'd', 2)},
		{CR4_PSE, HAS_PSE},           {CR4_PGE, HAS_PGE},
		{CR4_MCE, HAS_MCE},           {CR4_OSFXSR, HAS_FXSR},
		{CR4_OSXMMEXCPT, HAS_SSE},    {CR4_UMIP, HAS_UMIP},
		{CR4_FSGSBASE, HAS_FSGSBASE}, {CR4_OSXSAVE, HAS_XSAVE},
		{CR4_VMXE, HAS_VMX},
	};
	unsigned long cr4 = read_cr4();

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].has) {
			CHECK_EQ(try_cr4(cr4 ^ table[i].bit), NO_FAULT);
			CHECK_EQ(read_cr4(), cr4 ^ table[i].bit);
			write_cr4(cr4);
		} else if (refuses_values()) {
			REFUSED(cr4, cr4 | table[i].bit);
		}
	}
}

/* Every 64-bit CPU has it: firmware and kernels set it without asking. */
TEST(cr4_takes_mce)
{
	unsigned long cr4 = read_cr4();

	CHECK(HAS_MCE && HAS_MCA);
	CHECK_EQ(try_cr4(cr4 | CR4_MCE), NO_FAULT);
	CHECK_EQ(read_cr4(), cr4 | CR4_MCE);
	CHECK_EQ(try_cr4(cr4 & ~CR4_MCE), NO_FAULT);
	CHECK_EQ(read_cr4(), cr4 & ~CR4_MCE);
	write_cr4(cr4);
}

TEST(cr2_is_a_register)
{
	write_cr2(0x12345678);
	CHECK_EQ(read_cr2(), 0x12345678);
	cpuid(0);
	CHECK_EQ(read_cr2(), 0x12345678);
	write_cr2(~0ul);
	CHECK_EQ(read_cr2(), ~0ul);
}

TEST(missing_control_registers)
{
	unsigned long val;

	CHECK_EQ(TRY(__asm__ volatile("mov %%cr1, %0" : "=r"(val))), UD_VECTOR);
	CHECK_EQ(TRY(__asm__ volatile("mov %%cr7, %0" : "=r"(val))), UD_VECTOR);
	CHECK_EQ(TRY(__asm__ volatile("mov %0, %%cr5" : : "r"(0ul))), UD_VECTOR);
}

/* Each general register as the operand: decoders love to mix them up. */
#define MOV_THROUGH(reg)                                                                           \
	do {                                                                                       \
		unsigned long _got;                                                                \
		__asm__ volatile("mov %%cr0, %%" #reg "; mov %%" #reg ", %0"                       \
				 : "=r"(_got)                                                      \
				 :                                                                 \
				 : #reg);                                                          \
		CHECK_EQ(_got, read_cr0());                                                        \
		__asm__ volatile("mov %0, %%" #reg "; mov %%" #reg ", %%cr0"                       \
				 :                                                                 \
				 : "r"(_got ^ CR0_TS)                                              \
				 : #reg);                                                          \
		CHECK_EQ(read_cr0(), _got ^ CR0_TS);                                               \
		write_cr0(_got);                                                                   \
	} while (0)

TEST(every_general_register)
{
#ifdef __x86_64__
	MOV_THROUGH(rax);
	MOV_THROUGH(rcx);
	MOV_THROUGH(rdx);
	MOV_THROUGH(rbx);
	MOV_THROUGH(rsi);
	MOV_THROUGH(rdi);
	MOV_THROUGH(r8);
	MOV_THROUGH(r9);
	MOV_THROUGH(r10);
	MOV_THROUGH(r11);
	MOV_THROUGH(r12);
	MOV_THROUGH(r13);
	MOV_THROUGH(r14);
	MOV_THROUGH(r15);
#else
	MOV_THROUGH(eax);
	MOV_THROUGH(ecx);
	MOV_THROUGH(edx);
	MOV_THROUGH(ebx);
	MOV_THROUGH(esi);
	MOV_THROUGH(edi);
#endif
}

TEST(smsw_to_memory)
{
	uint16_t words[2] = {0xffff, 0xffff};

	__asm__ volatile("smsw %0" : "=m"(words[0]));
	CHECK_EQ(words[0], read_cr0() & 0xffff);
	CHECK_EQ(words[1], 0xffff);
}

USER_CODE(user_smsw, "smsw %eax");
USER_CODE(user_sgdt, "sub $16, " REG(sp) "; sgdt (" REG(sp) "); add $16, " REG(sp));

TEST(umip)
{
	unsigned long cr4 = read_cr4();

	CHECK_EQ(try_user(user_smsw), NO_FAULT);
	CHECK_EQ(try_user(user_sgdt), NO_FAULT);
	SKIP_UNLESS(HAS_UMIP, "no UMIP");
	write_cr4(cr4 | CR4_UMIP);
	CHECK_EQ(try_user(user_smsw), GP_VECTOR);
	CHECK_EQ(try_user(user_sgdt), GP_VECTOR);
	CHECK_EQ(TRY(sgdt()), NO_FAULT);
	write_cr4(cr4);
}

#ifdef __x86_64__
TEST(cr4_pae_is_fixed_in_long_mode)
{
	SKIP_UNLESS(refuses_values(), "this CPU lets PAE go");
	REFUSED(cr4, read_cr4() & ~CR4_PAE);
}

TEST(cr3_bits)
{
	unsigned long cr3 = read_cr3();

	write_cr3(cr3 | 0x18); /* PWT, PCD */
	CHECK_EQ(read_cr3(), cr3 | 0x18);
	write_cr3(cr3);
	SKIP_UNLESS(refuses_cr3_bits(), "this CPU does not check CR3");
	CHECK_EQ(TRY(write_cr3(cr3 | 1ul << 63)), GP_VECTOR);
	if (phys_bits() < 52)
		CHECK_EQ(TRY(write_cr3(cr3 | 1ul << phys_bits())), GP_VECTOR);
}

TEST(pcid)
{
	unsigned long cr3 = read_cr3();

	if (!HAS_PCID) {
		SKIP_UNLESS(refuses_values(), "this CPU drops reserved bits");
		REFUSED(cr4, read_cr4() | CR4_PCIDE);
		return;
	}
	write_cr4(read_cr4() | CR4_PCIDE);
	write_cr3(cr3 | 5);
	CHECK_EQ(read_cr3(), cr3 | 5);
	write_cr3(cr3 | 6 | 1ul << 63);
	CHECK_EQ(read_cr3(), cr3 | 6); /* bit 63 is not stored */
	write_cr3(cr3);
	write_cr4(read_cr4() & ~CR4_PCIDE);
}

TEST(cr8_through_registers)
{
	for (unsigned long i = 0; i < 16; i++) {
		unsigned long val;

		__asm__ volatile("mov %1, %%r12; mov %%r12, %%cr8; mov %%cr8, %%r13; mov %%r13, %0"
				 : "=r"(val)
				 : "r"(i)
				 : "r12", "r13");
		CHECK_EQ(val, i);
	}
	write_cr8(0);
}

/* Out of long mode to 32-bit protected mode without paging, and back. */
extern const uint8_t leave_long_mode[];
__asm__(".pushsection .text\n"
	"leave_long_mode:\n"
	"	push	%rbx\n"
	"	push	%rbp\n"
	"	mov	%rsp, %rbp\n"
	"	mov	%cr3, %r8\n"
	"	push	$0x30\n" /* SEL_CODE32 */
	"	push	$1f\n"
	"	lretq\n"
	"	.code32\n"
	"1:	mov	%cr0, %eax\n"
	"	and	$0x7fffffff, %eax\n"
	"	mov	%eax, %cr0\n"
	"	mov	$0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	mov	%eax, %esi\n" /* EFER with paging off: LMA must be clear */
	"	btr	$8, %eax\n"
	"	wrmsr\n"
	"	mov	%cr4, %ebx\n"
	"	and	$~0x20, %ebx\n" /* PAE off: allowed now */
	"	mov	%ebx, %cr4\n"
	"	mov	%cr0, %edi\n"
	"	or	$0x20, %ebx\n"
	"	mov	%ebx, %cr4\n"
	"	rdmsr\n"
	"	bts	$8, %eax\n"
	"	wrmsr\n"
	"	mov	%cr0, %eax\n"
	"	or	$0x80000000, %eax\n"
	"	mov	%eax, %cr0\n"
	"	ljmp	$0x08, $2f\n"
	"	.code64\n"
	"2:	mov	%rbp, %rsp\n"
	"	mov	%esi, %eax\n"
	"	shl	$32, %rdi\n"
	"	or	%rdi, %rax\n"
	"	pop	%rbp\n"
	"	pop	%rbx\n"
	"	ret\n"
	".popsection");

TEST(leave_and_enter_long_mode)
{
	for (unsigned i = 0; i < 10; i++) {
		uint64_t seen = ((uint64_t(*)(void))leave_long_mode)();

		CHECK_EQ(seen & (EFER_LMA | EFER_LME), EFER_LME);
		CHECK_EQ(seen >> 32 & (CR0_PG | CR0_PE), CR0_PE);
	}
	CHECK_EQ(rdmsr(MSR_EFER) & (EFER_LMA | EFER_LME), EFER_LMA | EFER_LME);
}

/* Paging off and on keeps working with CR3 changed in between. */
TEST(efer_lma_follows_paging)
{
	CHECK(rdmsr(MSR_EFER) & EFER_LMA);
	SKIP_UNLESS(refuses_values(), "this CPU takes any EFER");
	CHECK_EQ(TRY(wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_LME)), GP_VECTOR);
}
#else
TEST(paging_can_be_switched)
{
	uint32_t *directory = page_alloc();
	unsigned long cr0 = read_cr0(), cr4 = read_cr4();

	for (uint32_t i = 0; i < 1024; i++)
		directory[i] = i << 22 | 0x87;
	write_cr4(cr4 | CR4_PSE);
	write_cr3((unsigned long)directory);
	for (unsigned i = 0; i < 10; i++) {
		write_cr0(cr0 | CR0_PG);
		CHECK(read_cr0() & CR0_PG);
		CHECK(directory[0] & 0x20); /* accessed: the tables were walked */
		write_cr0(cr0 & ~CR0_PG);
	}
	write_cr4(cr4);
}

TEST(lme_without_pae)
{
	unsigned long cr0 = read_cr0(), cr4 = read_cr4();
	uint64_t efer = rdmsr(MSR_EFER);

	SKIP_UNLESS(HAS_LM, "no long mode");
	SKIP_UNLESS(refuses_values(), "this CPU does not check");
	wrmsr(MSR_EFER, efer | EFER_LME);
	write_cr4(cr4 & ~CR4_PAE);
	REFUSED(cr0, cr0 | CR0_PG); /* long mode needs PAE */
	write_cr4(cr4);
	wrmsr(MSR_EFER, efer);
}
#endif
