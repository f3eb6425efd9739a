/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way into an instruction and back. Registers are loaded and saved through absolute
 * addresses, because none is free to point anywhere; every mode is entered and left by a far
 * jump. An exception comes as a signal on a stack of its own, which then goes on at
 * native_resume as if the instruction had come back.
 */
#include <asm/ldt.h>
#include <assert.h>
#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/bits.h"
#include "tests/unit/support/native.h"

#define STATE 0x10300000ul

#define USER_CS64 0x33
#define USER_CS32 0x23
#define USER_DS   0x2b

/* The offsets are written out in the assembly below. */
struct state {
	uint64_t gpr[16];  /* 0x00 */
	uint64_t rflags;   /* 0x80 */
	uint64_t host_rsp; /* 0x88 */
	uint32_t entry;    /* 0x90 */
	uint16_t entry_cs; /* 0x94 */
	uint16_t pad;
	uint32_t ds, es, ss, gs;     /* 0x98 0x9c 0xa0 0xa4 */
	uint8_t stack[0x1f0 - 0xa8]; /* one pushfq, below 0x1f0 */
	uint32_t mxcsr;              /* 0x1f0: for the test itself */
};

static_assert(offsetof(struct state, stack) == 0xa8, "offsets in native_enter and native_exit");

static struct state *const state = (struct state *)STATE;
static volatile struct native_end *current;

void native_enter(void);
extern const char native_exit[], native_resume[];

__asm__(".pushsection .text\n"
	".set ST, 0x10300000\n"
	"native_enter:\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rsp, ST+0x88\n"
	"	mov $0xe7, %eax; xor %edx, %edx; xrstor64 0x10301000\n"
	"	mov ST+0x98, %eax; mov %eax, %ds\n"
	"	mov ST+0x9c, %eax; mov %eax, %es\n"
	"	mov ST+0xa4, %eax; test %eax, %eax; js 1f; mov %eax, %gs\n"
	"1:	mov ST+0xa0, %eax\n"
	"	pushq ST+0x80; popfq\n"
	"	mov %eax, %ss\n"
	"	mov ST+0x00, %rax; mov ST+0x08, %rcx; mov ST+0x10, %rdx; mov ST+0x18, %rbx\n"
	"	mov ST+0x20, %rsp; mov ST+0x28, %rbp; mov ST+0x30, %rsi; mov ST+0x38, %rdi\n"
	"	mov ST+0x40, %r8;  mov ST+0x48, %r9;  mov ST+0x50, %r10; mov ST+0x58, %r11\n"
	"	mov ST+0x60, %r12; mov ST+0x68, %r13; mov ST+0x70, %r14; mov ST+0x78, %r15\n"
	"	ljmp *ST+0x90\n"
	"native_exit:\n"
	"	mov %rax, ST+0x00; mov %rcx, ST+0x08; mov %rdx, ST+0x10; mov %rbx, ST+0x18\n"
	"	mov %rsp, ST+0x20; mov %rbp, ST+0x28; mov %rsi, ST+0x30; mov %rdi, ST+0x38\n"
	"	mov %r8,  ST+0x40; mov %r9,  ST+0x48; mov %r10, ST+0x50; mov %r11, ST+0x58\n"
	"	mov %r12, ST+0x60; mov %r13, ST+0x68; mov %r14, ST+0x70; mov %r15, ST+0x78\n"
	"	mov %ds, ST+0x98; mov %es, ST+0x9c; mov %ss, ST+0xa0; mov %gs, ST+0xa4\n"
	"	mov $ST+0x1f0, %esp\n"
	"	pushfq; popq ST+0x80\n"
	"native_resume:\n"
	"	mov $0xe7, %eax; xor %edx, %edx; xsave64 0x10301000\n"
	"	fninit; movl $0x1f80, ST+0x1f0; ldmxcsr ST+0x1f0\n"
	"	mov $0x2b, %eax; mov %eax, %ss; mov %eax, %ds; mov %eax, %es\n"
	"	xor %eax, %eax; mov %eax, %gs\n"
	"	mov ST+0x88, %rsp\n"
	"	pushq $2; popfq\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	ret\n"
	".popsection\n");

static const struct user_desc ldt[NR_LDT] = {
	[LDT_CODE16] = {LDT_CODE16, NATIVE_CODE, 0xffff, .contents = 2},
	[LDT_DATA16] = {LDT_DATA16, NATIVE_DATA, 0xffff},
	[LDT_SHORT32] = {LDT_SHORT32, NATIVE_DATA, 0x7ffe, .seg_32bit = 1},
	[LDT_DOWN16] = {LDT_DOWN16, NATIVE_DATA, 0x3fff, .contents = 1},
	[LDT_READ_ONLY] = {LDT_READ_ONLY, NATIVE_DATA, 0xffff, .read_exec_only = 1},
};

struct segment native_segment(uint16_t selector)
{
	const struct user_desc *d = &ldt[selector >> 3];
	struct segment s = {.selector = selector, .limit = 0xffffffff};

	switch (selector) {
	case 0:
		s.attr = SEG_ATTR_UNUSABLE;
		break;
	case USER_CS64:
		s.attr = 0xb | SEG_ATTR_S | SEG_ATTR_DPL | SEG_ATTR_P | SEG_ATTR_L;
		break;
	case USER_CS32:
		s.attr = 0xb | SEG_ATTR_S | SEG_ATTR_DPL | SEG_ATTR_P | SEG_ATTR_DB;
		break;
	case USER_DS:
		s.attr = 0x3 | SEG_ATTR_S | SEG_ATTR_DPL | SEG_ATTR_P | SEG_ATTR_DB;
		break;
	default:
		s.base = d->base_addr;
		s.limit = d->limit;
		s.attr = 1 | (d->read_exec_only ? 0 : 2) | d->contents << 2 | SEG_ATTR_S |
			 SEG_ATTR_DPL | SEG_ATTR_P | (d->seg_32bit ? SEG_ATTR_DB : 0);
		break;
	}
	return s;
}

static bool is_amd;

bool native_is_amd(void)
{
	return is_amd;
}

uint64_t native_fs_base(void)
{
	uint64_t base;

	__asm__("rdfsbase %0" : "=r"(base));
	return base;
}

void native_signal(int sig, siginfo_t *info, void *context)
{
	static const int order[NR_GPRS] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
					   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
					   REG_R12, REG_R13, REG_R14, REG_R15};
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (!current) { /* not ours: let it kill the test */
		signal(sig, SIG_DFL);
		return;
	}
	for (unsigned n = 0; n < NR_GPRS; n++)
		state->gpr[n] = g[order[n]];
	state->rflags = g[REG_EFL];
	*current = (struct native_end){
		.exception = true,
		.vector = g[REG_TRAPNO],
		.error = g[REG_ERR],
		.cr2 = g[REG_CR2],
		.rip = g[REG_RIP],
	};
	g[REG_RIP] = (greg_t)native_resume;
	g[REG_RSP] = state->host_rsp;
	g[REG_EFL] = 2;
	g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffff0000) | USER_CS64 | (greg_t)USER_DS << 48;
}

static bool map_sandbox(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	char *data =
		mmap((void *)(NATIVE_DATA - NATIVE_NONE_LEN), 0x30000, PROT_NONE, flags, -1, 0);
	char *code = mmap((void *)NATIVE_CODE, NATIVE_CODE_LEN + 0x1000,
			  PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
	void *st = mmap((void *)STATE, 0x1000, PROT_READ | PROT_WRITE, flags, -1, 0);

	void *fpu = mmap((void *)NATIVE_FPU, NATIVE_FPU_LEN, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (data == MAP_FAILED || code == MAP_FAILED || st == MAP_FAILED || fpu == MAP_FAILED)
		return false;
	mprotect((void *)NATIVE_DATA, NATIVE_DATA_LEN, PROT_READ | PROT_WRITE);
	mprotect((void *)NATIVE_RO, 0x1000, PROT_READ);
	(void)*(volatile char *)NATIVE_RO; /* a write before all reads would find it not present */
	memset(code, 0xcc, NATIVE_CODE_LEN);
	/* jmp *0(%rip), and the address: how 32-bit code reaches native_exit */
	memcpy(code + NATIVE_CODE_LEN, "\xff\x25\0\0\0\0", 6);
	memcpy(code + NATIVE_CODE_LEN + 6, &(const char *){native_exit}, 8);
	return true;
}

const char *native_init(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
	struct sigaction sa = {.sa_sigaction = native_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	static char signal_stack[1 << 16];
	stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	unsigned eax, ebx, ecx, edx;

	__cpuid(0, eax, ebx, ecx, edx);
	is_amd = ebx == signature_AMD_ebx;
	if (!map_sandbox())
		return "no memory at fixed addresses below 4 GiB";
	for (unsigned n = 1; n < NR_LDT; n++)
		if (syscall(SYS_modify_ldt, 0x11, &ldt[n], sizeof(ldt[n])))
			return "the kernel refuses modify_ldt()";
	sigaltstack(&stack, NULL);
	for (unsigned n = 0; n < ARRAY_SIZE(signals); n++)
		sigaction(signals[n], &sa, NULL);
	return NULL;
}

/* Behind the instruction: a far jump to the 64-bit trampoline, as each mode writes it. */
static void put_exit(uint8_t *at, uint16_t cs)
{
	uint32_t target = NATIVE_CODE + NATIVE_CODE_LEN;

	memset(at, 0xcc, NATIVE_EXIT_LEN);
	if (cs == USER_CS64) {
		uint32_t rel = target - (uint32_t)(uintptr_t)at - 5;

		*at = 0xe9;
		memcpy(at + 1, &rel, 4);
		return;
	}
	if (cs != USER_CS32)
		*at++ = 0x66;
	*at = 0xea;
	memcpy(at + 1, &target, 4);
	memcpy(at + 5, &(uint16_t){USER_CS64}, 2);
}

void native_run(const struct native_env *env, const uint8_t *insn, unsigned len,
		struct native_regs *regs, struct native_end *end)
{
	uint8_t *code = (uint8_t *)NATIVE_CODE + NATIVE_INSN;

	memset(code, 0xcc, 15 + NATIVE_EXIT_LEN);
	memcpy(code, insn, len);
	put_exit(code + len, env->cs);
	memcpy(state->gpr, regs->gpr, sizeof(state->gpr));
	state->rflags = regs->rflags;
	state->entry = env->cs == NATIVE_LDT(LDT_CODE16) ? NATIVE_INSN : NATIVE_CODE + NATIVE_INSN;
	state->entry_cs = env->cs;
	state->ds = env->ds;
	state->es = env->es;
	state->ss = env->ss;
	state->gs = env->cs == USER_CS64 ? -1u : env->gs;
	if (env->cs == USER_CS64)
		__asm__ volatile("wrgsbase %0" : : "r"(NATIVE_GS_BASE));
	*end = (struct native_end){.rip = state->entry + len};
	current = end;
	native_enter();
	current = NULL;
	memcpy(regs->gpr, state->gpr, sizeof(state->gpr));
	regs->rflags = state->rflags;
	end->ds = state->ds;
	end->es = state->es;
	end->ss = state->ss;
	end->gs = state->gs;
}

/* As Linux makes it of a struct user_desc: always present, accessed, for programs. */
static uint64_t descriptor_of(const struct user_desc *d)
{
	struct segment s = native_segment(NATIVE_LDT(d->entry_number));
	uint64_t limit = d->limit, base = d->base_addr;

	return (limit & 0xffff) | (limit & 0xf0000) << 32 | (base & 0xffffff) << 16 |
	       (base >> 24) << 56 | (uint64_t)(s.attr & 0xff) << 40 |
	       (uint64_t)(s.attr & 0xf00) << 44;
}

uint64_t native_descriptor(unsigned index, bool in_ldt)
{
	/* Linux' kernel code for 32 and 64 bits, kernel data, and the same for programs. */
	static const uint64_t gdt[NATIVE_NR_GDT] = {
		0,
		0x00cf9b000000ffff,
		0x00af9b000000ffff,
		0x00cf93000000ffff,
		0x00cffb000000ffff,
		0x00cff3000000ffff,
		0x00affb000000ffff,
	};

	if (!in_ldt)
		return gdt[index];
	return index ? descriptor_of(&ldt[index]) : 0;
}
