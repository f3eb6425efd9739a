/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptor tables: filling and loading. See desc.h for what is in them and why so little. */
#include "arch/x86/desc.h"

#include "arch/x86/cpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/percpu.h"
#include "arch/x86/trap.h"

#define NR_VECTORS 256
#define STUB_SIZE  16

/* A 64-bit gate: SDM volume 3, figure 6-8. */
struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t attr;
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};
static_assert(sizeof(struct gate) == 16, "SDM volume 3, 6.14.1");

extern const uint8_t trap_stubs[NR_VECTORS][STUB_SIZE]; /* trap_entry.S */

static struct gate idt[NR_VECTORS] __aligned(4096) __ro_after_init;

static unsigned vector_ist(unsigned vector)
{
	switch (vector) {
	case X86_TRAP_NMI:
		return IST_NMI;
	case X86_TRAP_DF:
		return IST_DF;
	case X86_TRAP_MC:
		return IST_MC;
	default:
		return IST_NONE;
	}
}

static void fill_idt(void)
{
	uint64_t stub;
	unsigned i;

	for (i = 0; i < NR_VECTORS; i++) {
		stub = (uint64_t)trap_stubs[i];
		idt[i] = (struct gate){
			.offset_low = (uint16_t)stub,
			.selector = SEL_CODE,
			.attr = (uint16_t)(GATE_INTERRUPT | vector_ist(i)),
			.offset_mid = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
}

static void fill_gdt(struct cpu *cpu)
{
	uint64_t base = (uint64_t)&cpu->tss;
	uint64_t code =
		DESC_TYPE_CODE | DESC_ACCESSED | DESC_S | DESC_P | DESC_L | DESC_G | 0xf0000;
	uint64_t data =
		DESC_TYPE_DATA | DESC_ACCESSED | DESC_S | DESC_P | DESC_DB | DESC_G | 0xf0000;
	uint64_t tss = DESC_TYPE_TSS | DESC_P | (base >> 16 & 0xff) | (base & 0xff000000);

	cpu->gdt[0] = 0;
	cpu->gdt[SEL_CODE / 8] = code << 32 | 0xffff;
	cpu->gdt[SEL_DATA / 8] = data << 32 | 0xffff;
	cpu->gdt[SEL_TSS / 8] = tss << 32 | (base & 0xffff) << 16 | (sizeof(struct tss) - 1);
	cpu->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

static void load_segments(void)
{
	__asm__ volatile("mov %0, %%ds\n\t"
			 "mov %0, %%es\n\t"
			 "mov %0, %%ss\n\t"
			 "mov %1, %%fs\n\t"
			 "mov %1, %%gs\n\t"
			 "pushq %2\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:" ::"r"(SEL_DATA),
			 "r"(0), "i"(SEL_CODE)
			 : "rax", "memory");
}

static void load_tables(struct cpu *cpu)
{
	struct desc_ptr gdt_ptr = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
	struct desc_ptr idt_ptr = {sizeof(idt) - 1, (uint64_t)idt};

	/* LTR refuses a TSS that is busy, as it is after the first time. */
	cpu->gdt[SEL_TSS / 8] &= ~((uint64_t)(DESC_TYPE_TSS_BUSY ^ DESC_TYPE_TSS) << 32);
	__asm__ volatile("lgdt %0" ::"m"(gdt_ptr) : "memory");
	__asm__ volatile("lidt %0" ::"m"(idt_ptr) : "memory");
	__asm__ volatile("ltr %w0" ::"r"(SEL_TSS) : "memory");
	__asm__ volatile("lldt %w0" ::"r"(0) : "memory");
}

void desc_load(struct cpu *cpu)
{
	if (!idt[0].selector)
		fill_idt();
	cpu->tss.iomap_base = sizeof(struct tss); /* no I/O permission map */
	fill_gdt(cpu);
	load_tables(cpu);
	load_segments();
	wrmsr(MSR_GS_BASE, (uint64_t)cpu);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
}
