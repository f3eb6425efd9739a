/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that C has no words for. Each is one instruction; what must not be moved
 * against memory accesses by the compiler carries a "memory" clobber.
 */
#ifndef ARCH_X86_CPU_H
#define ARCH_X86_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/desc.h" /* SEL_DATA */
#include "arch/x86/regs.h"
#include "lib/spinlock.h" /* cpu_relax() */

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid_count(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline struct cpuid cpuid(uint32_t leaf)
{
	return cpuid_count(leaf, 0);
}

#define X86_CONTROL_REGISTER(reg)                                                                  \
	static inline uint64_t read_##reg(void)                                                    \
	{                                                                                          \
		uint64_t val;                                                                      \
                                                                                                   \
		__asm__ volatile("mov %%" #reg ", %0" : "=r"(val)::"memory");                      \
		return val;                                                                        \
	}                                                                                          \
	static inline void write_##reg(uint64_t val)                                               \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #reg ::"r"(val) : "memory");                         \
	}

X86_CONTROL_REGISTER(cr0)
X86_CONTROL_REGISTER(cr2)
X86_CONTROL_REGISTER(cr3)
X86_CONTROL_REGISTER(cr4)
X86_CONTROL_REGISTER(cr8)
X86_CONTROL_REGISTER(dr0)
X86_CONTROL_REGISTER(dr1)
X86_CONTROL_REGISTER(dr2)
X86_CONTROL_REGISTER(dr3)
X86_CONTROL_REGISTER(dr6)
X86_CONTROL_REGISTER(dr7)
#undef X86_CONTROL_REGISTER

static inline uint64_t xgetbv(uint32_t xcr)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(xcr));
	return (uint64_t)hi << 32 | lo;
}

static inline void xsetbv(uint32_t xcr, uint64_t val)
{
	__asm__ volatile("xsetbv" ::"c"(xcr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

#define X86_PORT(suffix, type)                                                                     \
	static inline type in##suffix(uint16_t port)                                               \
	{                                                                                          \
		type val;                                                                          \
                                                                                                   \
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(val) : "Nd"(port) : "memory");      \
		return val;                                                                        \
	}                                                                                          \
	static inline void out##suffix(uint16_t port, type val)                                    \
	{                                                                                          \
		__asm__ volatile("out" #suffix " %0, %1" ::"a"(val), "Nd"(port) : "memory");       \
	}

X86_PORT(b, uint8_t)
X86_PORT(w, uint16_t)
X86_PORT(l, uint32_t)
#undef X86_PORT

static inline void invlpg(const volatile void *va)
{
	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

static inline void cli(void)
{
	__asm__ volatile("cli" ::: "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" ::: "memory");
}

static inline void hlt(void)
{
	__asm__ volatile("hlt" ::: "memory");
}

/*
 * Open interrupts and halt until one comes, then close them again. STI holds interrupts off for
 * one more instruction, so one that is already pending ends the halt instead of preceding it.
 */
static inline void cpu_wait_for_interrupt(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* Take the interrupts that wait: they open behind the instruction after STI. */
static inline void cpu_take_interrupts(void)
{
	__asm__ volatile("sti; nop; cli" ::: "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* RDTSC that does not run ahead of earlier loads. */
static inline uint64_t rdtsc_ordered(void)
{
	__asm__ volatile("lfence" ::: "memory");
	return rdtsc();
}

static inline void wbinvd(void)
{
	__asm__ volatile("wbinvd" ::: "memory");
}

/*
 * VERW also overwrites the buffers from which MDS and TAA read, on a CPU that has MD_CLEAR: in its
 * form with a memory operand, for a segment that may be written.
 */
static inline void clear_cpu_buffers(void)
{
	uint16_t selector = SEL_DATA;

	__asm__ volatile("verw %0" ::"m"(selector) : "cc");
}

/*
 * Overwrite the predictor of returns with 32 places of no use, as many as any CPU keeps: calls that
 * do not return. What is speculated there ends at once.
 */
static inline void fill_return_predictor(void)
{
	unsigned left = 16;

	__asm__ volatile("1: call 2f\n\t"
			 "int3\n"
			 "2: call 3f\n\t"
			 "int3\n"
			 "3: dec %0\n\t"
			 "jnz 1b\n\t"
			 "add $256, %%rsp"
			 : "+r"(left)::"memory", "cc");
}

static inline uint64_t read_rflags(void)
{
	uint64_t val;

	__asm__ volatile("pushf; pop %0" : "=r"(val)::"memory");
	return val;
}

/* Device registers in memory: one access of exactly this width, never merged or torn. */
#define X86_MMIO(bits)                                                                             \
	static inline uint##bits##_t mmio_read##bits(const volatile void *p)                       \
	{                                                                                          \
		return *(const volatile uint##bits##_t *)p;                                        \
	}                                                                                          \
	static inline void mmio_write##bits(volatile void *p, uint##bits##_t val)                  \
	{                                                                                          \
		*(volatile uint##bits##_t *)p = val;                                               \
	}

X86_MMIO(8)
X86_MMIO(16)
X86_MMIO(32)
#undef X86_MMIO

#endif
