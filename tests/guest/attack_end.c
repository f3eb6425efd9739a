/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest can do that ends it, or that never ends: one thing at a time, named by way=NAME on
 * the command line. tests/harness/boot.py runs each beside an innocent VM, on the same CPU, and
 * looks for the one line that reports the end. Without a name: a triple fault. run: status=101
 * vcpus=1 testdev=1
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "random.h"
#include "user.h"

#define HOLE       0xd0000000ul /* no memory, no device */
#define DEVICE_RAM 0xff000000ul /* a device that keeps what is written: see mmio.c */

/* --- tables and stacks where no memory is
 * --------------------------------------------------------- */

static void idt_without_entries(void)
{
	lidt((struct table_ptr){0, 0});
	__asm__ volatile("ud2");
}

static void idt_in_a_hole(void)
{
	lidt((struct table_ptr){0xfff, HOLE});
	__asm__ volatile("ud2");
}

static void gdt_in_a_hole(void)
{
	lgdt((struct table_ptr){0xffff, HOLE});
	__asm__ volatile("ud2");
}

/* Frames get lost, and each return is to -1, which raises the next exception: on and on. */
static void stack_in_a_hole(void)
{
	__asm__ volatile("mov %0, %%rsp; ud2" : : "r"(HOLE + PAGE_SIZE) : "memory");
}

static void tss_in_a_hole(void)
{
	gdt_set(SEL_TEST, (uint32_t)HOLE, 0x67, 0x89);
	gdt[SEL_TEST / 8 + 1] = 0;
	ltr(SEL_TEST);
	trap_set_gate(UD_VECTOR, 14, 0, 1);
	__asm__ volatile("ud2");
}

static void page_tables_in_a_hole(void)
{
	write_cr3(HOLE);
}

static void page_tables_in_a_device(void)
{
	memcpy((void *)DEVICE_RAM, (void *)read_cr3(), PAGE_SIZE);
	write_cr3(DEVICE_RAM);
}

static void page_tables_above_all_memory(void)
{
	write_cr3(1ul << (phys_bits() - 1));
}

static void page_table_full_of_ones(void)
{
	memset((void *)read_cr3(), 0xff, PAGE_SIZE);
	tlb_flush_all();
}

static void page_table_full_of_random_entries(void)
{
	random_fill((void *)read_cr3(), PAGE_SIZE);
	tlb_flush_all();
}

/* --- code where no memory is
 * ---------------------------------------------------------------------- */

static void code_in_a_hole(void)
{
	lidt((struct table_ptr){0, 0});
	((void (*)(void))HOLE)();
}

static void code_in_a_device(void)
{
	memset((void *)DEVICE_RAM, 0x90, PAGE_SIZE);
	lidt((struct table_ptr){0, 0});
	((void (*)(void))DEVICE_RAM)();
}

/* INIT of the first CPU: it starts at the reset vector, where this guest has no firmware. */
static void init_to_oneself(void)
{
	apic_enable();
	apic_send_ipi(apic_id(), ICR_INIT | ICR_ASSERT);
	for (;;)
		pause();
}

static void halted_for_good(void)
{
	__asm__ volatile("cli; hlt");
}

/* --- what never ends
 * -------------------------------------------------------------------------------- */

static void spin(void)
{
	cli();
	for (;;)
		barrier();
}

static bool ignore(struct regs *regs)
{
	return true;
}

static void nmis(void)
{
	trap_set(NMI_VECTOR, ignore);
	apic_enable();
	for (;;)
		apic_send_ipi(apic_id(), ICR_NMI);
}

/* By an instruction, and as an interrupt with this vector. */
static void machine_checks(void)
{
	trap_set(MC_VECTOR, ignore);
	apic_enable();
	for (;;) {
		__asm__ volatile("int $18" : : : "memory");
		apic_send_ipi(apic_id(), MC_VECTOR);
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
		apic_eoi();
	}
}

static void exits(void)
{
	for (;;) {
		cpuid(0);
		inb(0x80);
		rdmsr(MSR_APICBASE);
		(void)*(volatile uint32_t *)HOLE;
		hypercall(HC_NULL, 0);
		__asm__ volatile("wbinvd");
	}
}

/* #DB whose own frame is watched: see attack_event.c. */
extern const uint8_t spin_here[];
__asm__(".pushsection .text\nspin_here: jmp spin_here\n.popsection");

static void debug_exceptions(void)
{
	unsigned long top = (unsigned long)page_alloc() + PAGE_SIZE;

	this_cpu()->tss.ist[2] = top;
	trap_set_entry(DB_VECTOR, spin_here);
	idt[DB_VECTOR * GATE_WORDS] |= 2ull << 32;
	write_dr0(top - 8);
	write_dr7(0x400 | 1 | 0xful << 16);
	*(volatile uint32_t *)(top - 8) = 1;
	spin();
}

/* Every instruction of a handler that never returns is stepped through. */
static void single_steps(void)
{
	trap_set(DB_VECTOR, ignore);
	for (;;)
		__asm__ volatile("pushf; orl $0x100, (%%rsp); popf; nop; nop; cpuid"
				 :
				 : "a"(0)
				 : "ebx", "ecx", "edx", "memory", "cc");
}

/* clang-format off */
#define WAY(name) {#name, name}
/* clang-format on */
static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	WAY(idt_without_entries),
	WAY(idt_in_a_hole),
	WAY(gdt_in_a_hole),
	WAY(stack_in_a_hole),
	WAY(tss_in_a_hole),
	WAY(page_tables_in_a_hole),
	WAY(page_tables_in_a_device),
	WAY(page_tables_above_all_memory),
	WAY(page_table_full_of_ones),
	WAY(page_table_full_of_random_entries),
	WAY(code_in_a_hole),
	WAY(code_in_a_device),
	WAY(init_to_oneself),
	WAY(halted_for_good),
	WAY(spin),
	WAY(nmis),
	WAY(machine_checks),
	WAY(exits),
	WAY(debug_exceptions),
	WAY(single_steps),
};

void guest_main(void)
{
	const char *way = boot_option("way");

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strncmp(way ? way : "idt_without_entries", ways[i].name, strlen(ways[i].name)))
			continue;
		printf("KTAP version 1\n1..1\nok 1 - about to begin: %s\n", ways[i].name);
		while (!(inb(0x3fd) & 0x40))
			pause();
		ways[i].run();
		bail_out("%s: still here", ways[i].name);
	}
	bail_out("way=%s: no such way", way);
}
