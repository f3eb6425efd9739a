/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process of a Linux guest that keeps values in all vector registers while others have the CPU:
 * vectors N, each with another N. Status 0: they were always the same. Without a libc.
 */
#include <stdbool.h>
#include <stdint.h>

#define SYS_SCHED_YIELD 24
#define SYS_NANOSLEEP   35
#define SYS_EXIT        60
#define ROUNDS          40

#define XCR0_AVX    0x4
#define XCR0_AVX512 0xe0

static uint8_t in[32][64], out[32][64];
static uint64_t masks_in[8], masks_out[8];

/* Called by start below with the stack as the kernel left it: argc, argv. */
__attribute__((noreturn, used)) void run(const uint64_t *stack);

__asm__(".globl _start\n"
	"_start: xor %ebp, %ebp; mov %rsp, %rdi; and $-16, %rsp; call run\n");

static long call(long number, const void *arg)
{
	register long rax __asm__("rax") = number;

	__asm__ volatile("syscall" : "+r"(rax) : "D"(arg), "S"(0) : "rcx", "r11", "memory");
	return rax;
}

/* What the kernel has switched on. */
static uint64_t read_xcr0(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (!(ecx & 1u << 27))
		return 3;
	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

#define EACH(X)                                                                                    \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH_UPPER(X)                                                                              \
	X(16)                                                                                      \
	X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
#define EACH_MASK(X)        X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define LOAD(insn, reg, i)  insn " " #i "*64(%0), %%" reg #i "\n"
#define STORE(insn, reg, i) insn " %%" reg #i ", " #i "*64(%0)\n"
#define LOAD_SSE(i)         LOAD("movups", "xmm", i)
#define STORE_SSE(i)        STORE("movups", "xmm", i)
#define LOAD_AVX(i)         LOAD("vmovups", "ymm", i)
#define STORE_AVX(i)        STORE("vmovups", "ymm", i)
#define LOAD_ZMM(i)         LOAD("vmovups", "zmm", i)
#define STORE_ZMM(i)        STORE("vmovups", "zmm", i)
#define LOAD_K(i)           "kmovw " #i "*8(%0), %%k" #i "\n"
#define STORE_K(i)          "kmovw %%k" #i ", " #i "*8(%0)\n"

static void load(uint64_t xcr0)
{
	if ((xcr0 & XCR0_AVX512) == XCR0_AVX512) {
		__asm__ volatile(EACH(LOAD_ZMM) EACH_UPPER(LOAD_ZMM) : : "r"(in) : "memory");
		__asm__ volatile(EACH_MASK(LOAD_K) : : "r"(masks_in) : "memory");
	} else if (xcr0 & XCR0_AVX) {
		__asm__ volatile(EACH(LOAD_AVX) : : "r"(in) : "memory");
	} else {
		__asm__ volatile(EACH(LOAD_SSE) : : "r"(in) : "memory");
	}
}

static void store(uint64_t xcr0)
{
	if ((xcr0 & XCR0_AVX512) == XCR0_AVX512) {
		__asm__ volatile(EACH(STORE_ZMM) EACH_UPPER(STORE_ZMM) : : "r"(out) : "memory");
		__asm__ volatile(EACH_MASK(STORE_K) : : "r"(masks_out) : "memory");
	} else if (xcr0 & XCR0_AVX) {
		__asm__ volatile(EACH(STORE_AVX) : : "r"(out) : "memory");
	} else {
		__asm__ volatile(EACH(STORE_SSE) : : "r"(out) : "memory");
	}
}

static bool is_same(uint64_t xcr0)
{
	unsigned nr = (xcr0 & XCR0_AVX512) == XCR0_AVX512 ? 32 : 16;
	unsigned len = nr == 32 ? 64 : xcr0 & XCR0_AVX ? 32 : 16;

	for (unsigned i = 0; i < nr; i++)
		for (unsigned j = 0; j < len; j++)
			if (in[i][j] != out[i][j])
				return false;
	for (unsigned i = 0; nr == 32 && i < 8; i++)
		if (masks_in[i] != masks_out[i])
			return false;
	return true;
}

static void fill(unsigned seed)
{
	for (unsigned i = 0; i < 32; i++)
		for (unsigned j = 0; j < 64; j++)
			in[i][j] = (uint8_t)(seed * 37 + i * 16 + j * 3 + 1);
	for (unsigned i = 0; i < 8; i++)
		masks_in[i] = (uint16_t)(seed * 77 + i * 5 + 1);
}

void run(const uint64_t *stack)
{
	static const uint64_t a_while[2] = {0, 1000000};
	const char *arg = (const char *)stack[2];
	uint64_t xcr0 = read_xcr0();
	bool ok = true;

	for (unsigned i = 0; ok && i < ROUNDS; i++) {
		fill((unsigned)arg[0] * ROUNDS + i);
		load(xcr0);
		call(i % 2 ? SYS_SCHED_YIELD : SYS_NANOSLEEP, i % 2 ? 0 : a_while);
		store(xcr0);
		ok = is_same(xcr0);
	}
	for (;;)
		call(SYS_EXIT, (const void *)(long)!ok);
}
