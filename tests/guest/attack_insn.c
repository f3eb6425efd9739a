/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that attacks by instructions: those of virtualisation itself, LOCK where it may not be,
 * more than 15 bytes, code that changes under the hypervisor's eyes, hypercalls, ports and MSRs
 * with random contents, and random bytes as user code. Nothing of it may end the VM: each
 * instruction does what it does or raises an exception. Random numbers come from a fixed seed, or
 * from seed=N on the command line. run: timeout=240
 * dirtylog=1 testdev=1
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "flaws.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"
#include "user.h"

#define MAX_INSN 15

static uint8_t *code_page, *data_page;

static void need_pages(void)
{
	if (!code_page) {
		code_page = pages_alloc(2 * PAGE_SIZE, PAGE_SIZE);
		data_page = page_alloc();
	}
}

/* Run the bytes with RET behind them; RAX and RDI point to data, the other registers are 0. */
static __attribute__((noinline)) int try_bytes(const uint8_t *bytes, size_t len)
{
	need_pages();
	memcpy(code_page, bytes, len);
	code_page[len] = 0xc3;
	return TRY(__asm__ volatile("push %%rbx; call *%2; pop %%rbx"
				    :
				    : "a"(data_page), "D"(data_page), "r"(code_page), "c"(0), "d"(0)
				    : "rsi", "r8", "r9", "r10", "r11", "memory", "cc"));
}

#define TRY_BYTES(...)                                                                             \
	({                                                                                         \
		static const uint8_t _bytes[] = {__VA_ARGS__};                                     \
		try_bytes(_bytes, sizeof(_bytes));                                                 \
	})

/* --- instructions of virtualisation, of system management, of what is not there --------------- */

TEST(vmx_instructions)
{
	SKIP_UNLESS(!HAS_VMX, "the guest has VMX");
	CHECK_EQ(TRY_BYTES(0xf3, 0x0f, 0xc7, 0x30), UD_VECTOR);       /* VMXON */
	CHECK_EQ(TRY_BYTES(0x66, 0x0f, 0xc7, 0x30), UD_VECTOR);       /* VMCLEAR */
	CHECK_EQ(TRY_BYTES(0x0f, 0xc7, 0x30), UD_VECTOR);             /* VMPTRLD */
	CHECK_EQ(TRY_BYTES(0x0f, 0xc7, 0x38), UD_VECTOR);             /* VMPTRST */
	CHECK_EQ(TRY_BYTES(0x0f, 0x78, 0xc8), UD_VECTOR);             /* VMREAD */
	CHECK_EQ(TRY_BYTES(0x0f, 0x79, 0xc8), UD_VECTOR);             /* VMWRITE */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xc2), UD_VECTOR);             /* VMLAUNCH */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xc3), UD_VECTOR);             /* VMRESUME */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xc4), UD_VECTOR);             /* VMXOFF */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xd4), UD_VECTOR);             /* VMFUNC */
	CHECK_EQ(TRY_BYTES(0x66, 0x0f, 0x38, 0x80, 0x08), UD_VECTOR); /* INVEPT */
	CHECK_EQ(TRY_BYTES(0x66, 0x0f, 0x38, 0x81, 0x08), UD_VECTOR); /* INVVPID */
}

TEST(svm_instructions)
{
	SKIP_UNLESS(!HAS_SVM, "the guest has SVM");
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xd8), UD_VECTOR); /* VMRUN */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xda), UD_VECTOR); /* VMLOAD */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xdb), UD_VECTOR); /* VMSAVE */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xdc), UD_VECTOR); /* STGI */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xdd), UD_VECTOR); /* CLGI */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xde), UD_VECTOR); /* SKINIT */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xdf), UD_VECTOR); /* INVLPGA */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xfe), UD_VECTOR); /* INVLPGB */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xff), UD_VECTOR); /* TLBSYNC */
}

TEST(other_modes_instructions)
{
	CHECK_EQ(TRY_BYTES(0x0f, 0xaa), UD_VECTOR);       /* RSM, outside SMM */
	CHECK_EQ(TRY_BYTES(0x0f, 0x37), UD_VECTOR);       /* GETSEC */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xcf), UD_VECTOR); /* ENCLS */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xc0), UD_VECTOR); /* ENCLV */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xc5), UD_VECTOR); /* PCONFIG */
	CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xfd), UD_VECTOR); /* RDPRU */
	if (!HAS_MONITOR) {
		CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xc8), UD_VECTOR);
		CHECK_EQ(TRY_BYTES(0x0f, 0x01, 0xc9), UD_VECTOR);
	}
	CHECK_EQ(TRY_BYTES(0x0f, 0x33), GP_VECTOR); /* RDPMC: no counters */
}

USER_CODE(user_vmlaunch, "vmlaunch");
USER_CODE(user_vmrun, "vmrun");
USER_CODE(user_clgi, "clgi");
USER_CODE(user_rsm, "rsm");
USER_CODE(user_hlt, "hlt");
USER_CODE(user_invd, "invd");
USER_CODE(user_xsetbv, "xor %ecx, %ecx; xsetbv");

TEST(from_user_mode)
{
	int vector;

	CHECK_EQ(try_user(user_vmlaunch), UD_VECTOR);
	CHECK_EQ(try_user(user_rsm), UD_VECTOR);
	vector = try_user(user_vmrun);
	CHECK(vector == UD_VECTOR || vector == GP_VECTOR);
	vector = try_user(user_clgi);
	CHECK(vector == UD_VECTOR || vector == GP_VECTOR);
	CHECK_EQ(try_user(user_hlt), GP_VECTOR);
	CHECK_EQ(try_user(user_invd), GP_VECTOR);
	vector = try_user(user_xsetbv);
	CHECK(vector == UD_VECTOR || vector == GP_VECTOR);
}

/* --- bytes that are no instruction ------------------------------------------------------------ */

TEST(lock_where_it_may_not_be)
{
	CHECK_EQ(TRY_BYTES(0xf0, 0x90), UD_VECTOR);             /* NOP */
	CHECK_EQ(TRY_BYTES(0xf0, 0x01, 0xc0), UD_VECTOR);       /* ADD to a register */
	CHECK_EQ(TRY_BYTES(0xf0, 0x03, 0x07), UD_VECTOR);       /* ADD from memory */
	CHECK_EQ(TRY_BYTES(0xf0, 0x39, 0x07), UD_VECTOR);       /* CMP */
	CHECK_EQ(TRY_BYTES(0xf0, 0x0f, 0xa2), UD_VECTOR);       /* CPUID */
	CHECK_EQ(TRY_BYTES(0xf0, 0x0f, 0x32), UD_VECTOR);       /* RDMSR */
	CHECK_EQ(TRY_BYTES(0xf0, 0xf4), UD_VECTOR);             /* HLT */
	CHECK_EQ(TRY_BYTES(0xf0, 0x0f, 0x01, 0xd9), UD_VECTOR); /* VMMCALL */
	CHECK_EQ(TRY_BYTES(0xf0, 0x01, 0x07), NO_FAULT);        /* ADD to memory */
}

TEST(lock_with_moves_and_jumps)
{
	SKIP_UNLESS(IS_ABLE(TRY_BYTES(0xf0, 0x8a, 0x07) == UD_VECTOR), /* MOV from memory */
		    "this CPU looks for LOCK with some instructions only");
	CHECK_EQ(TRY_BYTES(0xf0, 0x89, 0x07), UD_VECTOR);       /* MOV */
	CHECK_EQ(TRY_BYTES(0xf0, 0x85, 0x07), UD_VECTOR);       /* TEST */
	CHECK_EQ(TRY_BYTES(0xf0, 0xee), UD_VECTOR);             /* OUT */
	CHECK_EQ(TRY_BYTES(0xf0, 0x0f, 0xa3, 0x07), UD_VECTOR); /* BT */
	CHECK_EQ(TRY_BYTES(0xf0, 0xc3), UD_VECTOR);             /* RET */
}

/* An instruction with as many prefixes as make `len` bytes of it. */
static int try_padded(unsigned len, uint8_t prefix, uint8_t a, uint8_t b)
{
	uint8_t bytes[MAX_INSN + 2];

	memset(bytes, prefix, sizeof(bytes));
	bytes[len - 2] = a;
	bytes[len - 1] = b;
	return try_bytes(bytes, len);
}

TEST(fifteen_bytes_and_one_more)
{
	static const uint8_t prefixes[] = {0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};

	for (unsigned i = 0; i < sizeof(prefixes); i++) {
		uint8_t prefix = prefixes[i];

		CHECK_EQ(try_padded(MAX_INSN, prefix, 0x0f, 0xa2), NO_FAULT); /* CPUID */
		CHECK_EQ(try_padded(MAX_INSN + 1, prefix, 0x0f, 0xa2), GP_VECTOR);
		CHECK_EQ(try_padded(MAX_INSN, prefix, 0x89, 0xc0), NO_FAULT);
		CHECK_EQ(try_padded(MAX_INSN + 1, prefix, 0x89, 0xc0), GP_VECTOR);
		CHECK_EQ(try_padded(MAX_INSN, prefix, 0x0f, 0x0b), UD_VECTOR);
	}
}

static __attribute__((noinline)) int try_call(const uint8_t *code)
{
	return TRY(((void (*)(void))code)());
}

/* What is not there any more cannot be measured: the page behind is absent, or another one. */
TEST(instruction_into_an_absent_page)
{
	static const uint8_t cpuid_bytes[] = {0x66, 0x66, 0x66, 0x0f, 0xa2, 0xc3};
	uint8_t *va = (uint8_t *)TEST_VA;

	need_pages();
	map_page(TEST_VA, 1, (unsigned long)code_page | PTE_P | PTE_W);
	map_page(TEST_VA + PAGE_SIZE, 1, 0);
	for (unsigned in = 1; in < 5; in++) {
		memcpy(va + PAGE_SIZE - in, cpuid_bytes, in);
		CHECK_EQ(try_call(va + PAGE_SIZE - in), PF_VECTOR);
		CHECK_EQ(fault()->cr2, TEST_VA + PAGE_SIZE);
		CHECK_EQ(fault()->regs.ip, TEST_VA + PAGE_SIZE - in);
	}
}

/* The same address holds instructions that exit and have other lengths each time. */
TEST(code_that_changes)
{
	static const uint8_t variants[][8] = {
		{0x0f, 0xa2, 0xff, 0xc6, 0xc3},             /* CPUID; INC ESI; RET */
		{0x66, 0x0f, 0xa2, 0xff, 0xc6, 0xc3},       /* with a prefix */
		{0x66, 0x2e, 0x0f, 0xa2, 0xff, 0xc6, 0xc3}, /* with two */
		{0x31, 0xc0, 0xff, 0xc6, 0xc3},             /* XOR EAX, EAX; ... */
		{0xe4, 0x80, 0xff, 0xc6, 0xc3},             /* IN AL, 80H; ... */
		{0x0f, 0x09, 0xff, 0xc6, 0xc3},             /* WBINVD; ... */
	};

	need_pages();
	for (unsigned i = 0; i < 3000; i++) {
		unsigned long count = 0;

		memcpy(code_page, variants[random64() % 6], 8);
		__asm__ volatile("xor %%eax, %%eax; call *%1"
				 : "+S"(count)
				 : "r"(code_page)
				 : "rax", "rbx", "rcx", "rdx", "memory", "cc");
		CHECK_EQ(count, 1);
	}
}

/* --- random arguments
 * ----------------------------------------------------------------------------- */

/* Not the calls that end the VM or write to its console. */
static unsigned long random_call(void)
{
	unsigned long nr = random64();

	if (nr & 1)
		nr = nr >> 1 & 0xf;
	else if (nr & 2)
		nr = (unsigned long)(int8_t)(nr >> 8);
	return nr == HC_EXIT || nr == HC_PUTCHAR ? HC_NULL : nr;
}

/* Registers from and back to `regs`, in the order RAX, RBX, RCX, RDX, RSI, RDI, R8 to R15. */
#define NR_REGS 14
void call_vmmcall(unsigned long *regs);
void call_vmcall(unsigned long *regs);
#define CALL_FUNCTION(insn)                                                                        \
	__asm__(".pushsection .text\ncall_" #insn ":\n"                                            \
		"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"               \
		"mov %rdi, %rbp\n"                                                                 \
		"mov 0(%rbp), %rax; mov 8(%rbp), %rbx; mov 16(%rbp), %rcx; mov 24(%rbp), %rdx\n"   \
		"mov 32(%rbp), %rsi; mov 40(%rbp), %rdi; mov 48(%rbp), %r8; mov 56(%rbp), %r9\n"   \
		"mov 64(%rbp), %r10; mov 72(%rbp), %r11; mov 80(%rbp), %r12\n"                     \
		"mov 88(%rbp), %r13; mov 96(%rbp), %r14; mov 104(%rbp), %r15\n" #insn "\n"         \
		"mov %rax, 0(%rbp); mov %rbx, 8(%rbp); mov %rcx, 16(%rbp); mov %rdx, 24(%rbp)\n"   \
		"mov %rsi, 32(%rbp); mov %rdi, 40(%rbp); mov %r8, 48(%rbp); mov %r9, 56(%rbp)\n"   \
		"mov %r10, 64(%rbp); mov %r11, 72(%rbp); mov %r12, 80(%rbp)\n"                     \
		"mov %r13, 88(%rbp); mov %r14, 96(%rbp); mov %r15, 104(%rbp)\n"                    \
		"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\nret\n.popsection")
CALL_FUNCTION(vmmcall);
CALL_FUNCTION(vmcall);

static __attribute__((noinline)) int try_hypercall(void (*call)(unsigned long *),
						   unsigned long *regs)
{
	return TRY(call(regs));
}

TEST(hypercalls_with_random_registers)
{
	unsigned long regs[NR_REGS], before[NR_REGS];

	SKIP_UNLESS(is_umbra(), "no UmbraUmbra signature at CPUID 40000000h");
	for (unsigned i = 0; i < 100000 / one_in(); i++) {
		int vector;

		random_fill(regs, sizeof(regs));
		regs[0] = random_call();
		memcpy(before, regs, sizeof(regs));
		vector = try_hypercall(i & 1 ? call_vmmcall : call_vmcall, regs);
		CHECK(vector == NO_FAULT || vector == UD_VECTOR);
		CHECK(!memcmp(before + 1, regs + 1, sizeof(regs) - sizeof(regs[0])));
	}
}

static __attribute__((noinline)) int try_rdmsr(uint32_t msr)
{
	return TRY(rdmsr(msr));
}

static __attribute__((noinline)) int try_wrmsr(uint32_t msr, uint64_t val)
{
	return TRY(wrmsr(msr, val));
}

TEST(random_rdmsr)
{
	static const uint32_t bases[] = {0, 0xc0000000, 0xc0010000, 0x40000000, 0x4b564d00};

	for (unsigned i = 0; i < 20000 / one_in(); i++) {
		uint32_t msr = (uint32_t)random64();
		int vector;

		if (i & 3)
			msr = bases[msr % 5] + (msr >> 8 & 0x1fff);
		vector = try_rdmsr(msr);
		CHECK(vector == NO_FAULT || vector == GP_VECTOR);
	}
}

/* Those whose effect is the payload's own end, or its clock. */
static bool is_vital_msr(uint32_t msr)
{
	return msr == MSR_TSC || msr == MSR_TSC_ADJUST || msr == MSR_APICBASE || msr == MSR_EFER ||
	       msr == MSR_TSC_DEADLINE || (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100);
}

static void write_and_restore(uint32_t msr, uint64_t val)
{
	uint64_t old;
	int vector;

	if (try_rdmsr(msr) != NO_FAULT)
		return;
	old = rdmsr(msr);
	vector = try_wrmsr(msr, val);
	CHECK(vector == NO_FAULT || vector == GP_VECTOR);
	cpuid(0); /* an entry with the value */
	try_wrmsr(msr, old);
}

TEST(random_wrmsr)
{
	for (uint32_t i = 0; i < 0x6000; i += one_in()) {
		uint32_t msr = i < 0x2000   ? i
			       : i < 0x4000 ? 0xc0000000 + i - 0x2000
					    : 0xc0010000 + i - 0x4000;

		if (is_vital_msr(msr))
			continue;
		write_and_restore(msr, random64());
		write_and_restore(msr, 1ull << (random64() & 63));
	}
}

/* Ends or resets the machine, or is the console the results go to. */
static bool is_vital_port(unsigned port, unsigned size)
{
	static const struct {
		uint16_t first, last;
	} vital[] = {{0x60, 0x64},   {0x92, 0x92},   {0xf4, 0xf7}, {0x3f8, 0x3ff},  {0x510, 0x51b},
		     {0x600, 0x63f}, {0xcf9, 0xcf9}, {0xb2, 0xb3}, {0xb000, 0xb00f}};

	for (unsigned i = 0; i < sizeof(vital) / sizeof(vital[0]); i++) {
		if (port <= vital[i].last && port + size > vital[i].first)
			return true;
	}
	return false;
}

static void touch_port(uint16_t port, unsigned size, uint32_t val)
{
	switch (size) {
	case 1:
		inb(port);
		outb(port, (uint8_t)val);
		break;
	case 2:
		inw(port);
		outw(port, (uint16_t)val);
		break;
	default:
		inl(port);
		outl(port, val);
	}
}

TEST(every_port)
{
	SKIP_UNLESS(is_umbra(), "a real machine may have anything there");
	for (unsigned port = 0; port < 0x10000; port += one_in()) {
		unsigned size = 1u << random64() % 3;

		if (!is_vital_port(port, size))
			touch_port((uint16_t)port, size, (uint32_t)random64());
	}
}

TEST(string_io_at_random_ports)
{
	SKIP_UNLESS(is_umbra(), "a real machine may have anything there");
	need_pages();
	for (unsigned i = 0; i < 2000; i++) {
		unsigned port = random64() & 0xffff, count = random64() % 64;
		void *at = data_page + random64() % 1024;

		if (is_vital_port(port, 4))
			continue;
		if (i & 1)
			__asm__ volatile("rep insl" : "+D"(at), "+c"(count) : "d"(port) : "memory");
		else
			__asm__ volatile("rep outsw"
					 : "+S"(at), "+c"(count)
					 : "d"(port)
					 : "memory");
		CHECK_EQ(count, 0);
	}
}

/* --- random bytes as user code ---------------------------------------------------------------- */

#define USER_CODE_VA  TEST_VA
#define USER_STACK_VA (TEST_VA + 16 * PAGE_SIZE)
#define NR_RANDOM     (20000 / one_in())
#define TIMER_VECTOR  0x40
#define TIMER_MS      2

void user_enter(const void *entry, void *stack, unsigned long flags, unsigned long selector);

/*
 * User code sees its own two pages and nothing else of the 4 GiB that are mapped one to one. Where
 * no memory is, nothing is mapped at all: QEMU 7.2 reads the stack of a RETF as the supervisor
 * would.
 */
static void close_user_mode(bool closed)
{
	for (unsigned long va = 0; va < 4 * SIZE_1G; va += SIZE_2M) {
		pte_t *entry = pte_get(va, 2);
		pte_t bits = va < boot_memory_end() || va == (APIC_BASE_PA & ~(SIZE_2M - 1))
				     ? PTE_U
				     : PTE_U | PTE_P;

		*entry = closed ? *entry & ~bits : *entry | bits;
	}
	tlb_flush_all();
}

static __attribute__((noinline)) int try_random_code(void)
{
	return TRY(user_enter((void *)USER_CODE_VA, (void *)(USER_STACK_VA + PAGE_SIZE - 64),
			      2 | RFLAGS_IF, SEL_UCODE64));
}

TEST(random_bytes_in_user_mode)
{
	unsigned seen[256] = {0}, count = apic_khz() * TIMER_MS;
	uint8_t *code, *stack;

	code = pages_alloc(PAGE_SIZE, PAGE_SIZE);
	stack = page_alloc();
	map_page(USER_CODE_VA, 1, (unsigned long)code | PTE_P | PTE_W | PTE_U);
	map_page(USER_STACK_VA, 1, (unsigned long)stack | PTE_P | PTE_W | PTE_U);
	trap_set_gate(BP_VECTOR, 14, 3, 0);
	close_user_mode(true);
	apic_enable();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, TIMER_VECTOR | LVT_ONESHOT);
	for (unsigned i = 0; i < NR_RANDOM; i++) {
		int vector;

		random_fill(code, 64);
		apic_write(APIC_TMICT, count);
		vector = try_random_code();
		if (vector == TIMER_VECTOR)
			apic_eoi();
		seen[vector & 0xff]++;
	}
	apic_write(APIC_LVTT, LVT_MASKED);
	close_user_mode(false);
	for (unsigned i = 0; i < 256; i++) {
		if (seen[i])
			printf("# vector %u: %u times\n", i, seen[i]);
	}
	CHECK(seen[UD_VECTOR] && seen[GP_VECTOR] && seen[PF_VECTOR]);
	CHECK_EQ(seen[DF_VECTOR] + seen[MC_VECTOR] + seen[TS_VECTOR], 0);
}
