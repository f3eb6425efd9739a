/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions and bits a payload works with, one inline function per instruction, the same
 * names for 32- and 64-bit payloads. Nothing here catches a fault: see TRY() in trap.h.
 */
#ifndef GUEST_X86_H
#define GUEST_X86_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n)    (1ul << (n))
#define BIT64(n)  (1ull << (n))
#define PAGE_SIZE 4096ul
#define SIZE_2M   0x200000ul
#define SIZE_1G   0x40000000ul

#ifdef __x86_64__
#define IS_64BIT  1
#define REG(name) "%r" #name /* REG(ax): the full-width register in basic assembly */
#else
#define IS_64BIT  0
#define REG(name) "%e" #name
#endif

/* CR0, CR4, EFER, RFLAGS: SDM volume 3, 2.3 to 2.5; APM volume 2, 3.1. */
#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)

#define EFER_SCE   BIT(0)
#define EFER_LME   BIT(8)
#define EFER_LMA   BIT(10)
#define EFER_NXE   BIT(11)
#define EFER_SVME  BIT(12)
#define EFER_FFXSR BIT(14)

#define RFLAGS_CF    BIT(0)
#define RFLAGS_PF    BIT(2)
#define RFLAGS_AF    BIT(4)
#define RFLAGS_ZF    BIT(6)
#define RFLAGS_SF    BIT(7)
#define RFLAGS_TF    BIT(8)
#define RFLAGS_IF    BIT(9)
#define RFLAGS_DF    BIT(10)
#define RFLAGS_OF    BIT(11)
#define RFLAGS_RF    BIT(16)
#define RFLAGS_AC    BIT(18)
#define RFLAGS_ID    BIT(21)
#define RFLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

#define MSR_TSC             0x10
#define MSR_APICBASE        0x1b
#define MSR_FEATURE_CONTROL 0x3a
#define MSR_TSC_ADJUST      0x3b
#define MSR_MTRRCAP         0xfe
#define MSR_SYSENTER_CS     0x174
#define MSR_SYSENTER_ESP    0x175
#define MSR_SYSENTER_EIP    0x176
#define MSR_MCG_CAP         0x179
#define MSR_MCG_STATUS      0x17a
#define MSR_MCG_CTL         0x17b
#define MSR_MC_CTL(n)       (0x400 + 4 * (n))
#define MSR_MC_STATUS(n)    (0x401 + 4 * (n))
#define MSR_MISC_ENABLE     0x1a0
#define MSR_MTRR_PHYSBASE0  0x200
#define MSR_MTRR_PHYSMASK0  0x201
#define MSR_PAT             0x277
#define MSR_MTRR_DEFTYPE    0x2ff
#define MSR_TSC_DEADLINE    0x6e0
#define MSR_X2APIC          0x800
#define MSR_EFER            0xc0000080
#define MSR_STAR            0xc0000081
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_SFMASK          0xc0000084
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103
#define MSR_VM_CR           0xc0010114
#define MSR_VM_HSAVE_PA     0xc0010117

enum vector {
	DE_VECTOR = 0,
	DB_VECTOR = 1,
	NMI_VECTOR = 2,
	BP_VECTOR = 3,
	OF_VECTOR = 4,
	BR_VECTOR = 5,
	UD_VECTOR = 6,
	NM_VECTOR = 7,
	DF_VECTOR = 8,
	TS_VECTOR = 10,
	NP_VECTOR = 11,
	SS_VECTOR = 12,
	GP_VECTOR = 13,
	PF_VECTOR = 14,
	MF_VECTOR = 16,
	AC_VECTOR = 17,
	MC_VECTOR = 18,
	XM_VECTOR = 19,
};

struct cpuid {
	uint32_t a, b, c, d;
};

static inline struct cpuid cpuid_sub(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
			 : "a"(leaf), "c"(sub));
	return r;
}

static inline struct cpuid cpuid(uint32_t leaf)
{
	return cpuid_sub(leaf, 0);
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t rdtscp(uint32_t *aux)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(*aux) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t xgetbv(uint32_t index)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return (uint64_t)hi << 32 | lo;
}

static inline void xsetbv(uint32_t index, uint64_t val)
{
	__asm__ volatile("xsetbv"
			 :
			 : "c"(index), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory");
}

#define DEFINE_REG(reg)                                                                            \
	static inline unsigned long read_##reg(void)                                               \
	{                                                                                          \
		unsigned long val;                                                                 \
                                                                                                   \
		__asm__ volatile("mov %%" #reg ", %0" : "=r"(val) : : "memory");                   \
		return val;                                                                        \
	}                                                                                          \
	static inline void write_##reg(unsigned long val)                                          \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #reg : : "r"(val) : "memory");                       \
	}
DEFINE_REG(cr0)
DEFINE_REG(cr2)
DEFINE_REG(cr3)
DEFINE_REG(cr4)
DEFINE_REG(dr0)
DEFINE_REG(dr1)
DEFINE_REG(dr2)
DEFINE_REG(dr3)
DEFINE_REG(dr6)
DEFINE_REG(dr7)
#ifdef __x86_64__
DEFINE_REG(cr8)
#endif

static inline unsigned long read_flags(void)
{
	unsigned long val;

	__asm__ volatile("pushf; pop %0" : "=r"(val) : : "memory");
	return val;
}

static inline void write_flags(unsigned long val)
{
	__asm__ volatile("push %0; popf" : : "r"(val) : "memory", "cc");
}

static inline void invlpg(const void *va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

#define DEFINE_PIO(suffix, type)                                                                   \
	static inline type in##suffix(uint16_t port)                                               \
	{                                                                                          \
		type val;                                                                          \
                                                                                                   \
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(val) : "Nd"(port) : "memory");      \
		return val;                                                                        \
	}                                                                                          \
	static inline void out##suffix(uint16_t port, type val)                                    \
	{                                                                                          \
		__asm__ volatile("out" #suffix " %0, %1" : : "a"(val), "Nd"(port) : "memory");     \
	}
DEFINE_PIO(b, uint8_t)
DEFINE_PIO(w, uint16_t)
DEFINE_PIO(l, uint32_t)

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Interrupts open only between STI and HLT's end: no wake-up is lost. */
static inline void safe_halt(void)
{
	__asm__ volatile("sti; hlt" : : : "memory");
}

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

struct table_ptr {
	uint16_t limit;
	unsigned long base;
} __attribute__((packed));

#define DEFINE_TABLE(name)                                                                         \
	static inline struct table_ptr s##name(void)                                               \
	{                                                                                          \
		struct table_ptr p;                                                                \
                                                                                                   \
		__asm__ volatile("s" #name " %0" : "=m"(p));                                       \
		return p;                                                                          \
	}                                                                                          \
	static inline void l##name(struct table_ptr p)                                             \
	{                                                                                          \
		__asm__ volatile("l" #name " %0" : : "m"(p) : "memory");                           \
	}
DEFINE_TABLE(gdt)
DEFINE_TABLE(idt)

static inline uint16_t str(void)
{
	uint16_t sel;

	__asm__ volatile("str %0" : "=r"(sel));
	return sel;
}

static inline void ltr(uint16_t sel)
{
	__asm__ volatile("ltr %0" : : "r"(sel) : "memory");
}

static inline void barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

/* Features the payloads ask for; each names its CPUID leaf and bit once. */
static inline bool cpuid_has(uint32_t leaf, uint32_t sub, char reg, unsigned bit)
{
	struct cpuid r;

	if (cpuid(leaf & 0x80000000u).a < leaf)
		return false;
	r = cpuid_sub(leaf, sub);
	return ((reg == 'a' ? r.a : reg == 'b' ? r.b : reg == 'c' ? r.c : r.d) >> bit) & 1;
}

#define HAS_PSE        cpuid_has(1, 0, 'd', 3)
#define HAS_TSC        cpuid_has(1, 0, 'd', 4)
#define HAS_PAE        cpuid_has(1, 0, 'd', 6)
#define HAS_MCE        cpuid_has(1, 0, 'd', 7)
#define HAS_APIC       cpuid_has(1, 0, 'd', 9)
#define HAS_SEP        cpuid_has(1, 0, 'd', 11)
#define HAS_MTRR       cpuid_has(1, 0, 'd', 12)
#define HAS_PGE        cpuid_has(1, 0, 'd', 13)
#define HAS_MCA        cpuid_has(1, 0, 'd', 14)
#define HAS_PAT        cpuid_has(1, 0, 'd', 16)
#define HAS_PSE36      cpuid_has(1, 0, 'd', 17)
#define HAS_FXSR       cpuid_has(1, 0, 'd', 24)
#define HAS_SSE        cpuid_has(1, 0, 'd', 25)
#define HAS_SSE2       cpuid_has(1, 0, 'd', 26)
#define HAS_MONITOR    cpuid_has(1, 0, 'c', 3)
#define HAS_VMX        cpuid_has(1, 0, 'c', 5)
#define HAS_CX16       cpuid_has(1, 0, 'c', 13)
#define HAS_PCID       cpuid_has(1, 0, 'c', 17)
#define HAS_X2APIC     cpuid_has(1, 0, 'c', 21)
#define HAS_DEADLINE   cpuid_has(1, 0, 'c', 24)
#define HAS_XSAVE      cpuid_has(1, 0, 'c', 26)
#define HAS_AVX        cpuid_has(1, 0, 'c', 28)
#define HAS_RDRAND     cpuid_has(1, 0, 'c', 30)
#define HAS_HYPERVISOR cpuid_has(1, 0, 'c', 31)
#define HAS_FSGSBASE   cpuid_has(7, 0, 'b', 0)
#define HAS_TSC_ADJUST cpuid_has(7, 0, 'b', 1)
#define HAS_SMEP       cpuid_has(7, 0, 'b', 7)
#define HAS_INVPCID    cpuid_has(7, 0, 'b', 10)
#define HAS_SMAP       cpuid_has(7, 0, 'b', 20)
#define HAS_UMIP       cpuid_has(7, 0, 'c', 2)
#define HAS_LA57       cpuid_has(7, 0, 'c', 16)
#define HAS_RDPID      cpuid_has(7, 0, 'c', 22)
#define HAS_SVM        cpuid_has(0x80000001, 0, 'c', 2)
#define HAS_SYSCALL    cpuid_has(0x80000001, 0, 'd', 11)
#define HAS_NX         cpuid_has(0x80000001, 0, 'd', 20)
#define HAS_FFXSR      cpuid_has(0x80000001, 0, 'd', 25)
#define HAS_1G_PAGES   cpuid_has(0x80000001, 0, 'd', 26)
#define HAS_RDTSCP     cpuid_has(0x80000001, 0, 'd', 27)
#define HAS_LM         cpuid_has(0x80000001, 0, 'd', 29)

#endif
