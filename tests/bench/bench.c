/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark guest: what an exit, a first touch of memory, a wake-up cost, seen from inside
 * with RDTSC. Rows "name total n each"; on an emulator that counts one tick for each instruction
 * they are path lengths, independent of the machine's load. tools/bench runs it and compares.
 *
 * Each loop is two or three instructions long (row empty_loop); nothing is subtracted.
 */
#include "apic.h"
#include "boot.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "tests/bench/guest/host.h"
#include "tests/bench/guest/rows.h"

#define UNBACKED 0xf0000000ul

static void time_clock(void)
{
	uint64_t start = start_row(), end = rdtsc();
	unsigned long n = 1000000;

	row("rdtsc_pair", end - start, 1);
	start = start_row();
	__asm__ volatile("1: dec %0\n jnz 1b" : "+r"(n) : : "cc");
	row("calib_2M_insns", rdtsc() - start, 2000000);
}

static void time_instructions(void)
{
	TIME("empty_loop", "", "i"(0));
	TIME("cpuid", "xor %%eax, %%eax; cpuid", "i"(0));
	if (is_umbra() && is_amd())
		TIME("hypercall", "xor %%eax, %%eax; vmmcall", "i"(0));
	else if (is_umbra())
		TIME("hypercall", "xor %%eax, %%eax; vmcall", "i"(0));
	else if (is_amd()) /* KVM: a number that it does not know */
		TIME("hypercall", "mov $-1, %%eax; vmmcall", "i"(0));
	else
		TIME("hypercall", "mov $-1, %%eax; vmcall", "i"(0));
	TIME("rdmsr_apicbase", "mov $0x1b, %%ecx; rdmsr", "i"(0));
	TIME("inb_4d0", "mov $0x4d0, %%edx; inb %%dx, %%al", "i"(0));
	TIME("inl_1234", "mov $0x1234, %%edx; inl %%dx, %%eax", "i"(0));
	TIME("outb_80", "outb %%al, $0x80", "i"(0));
}

static void time_control_registers(void)
{
	TIME("cr0_wp_toggle_pair",
	     "mov %%cr0, %%rax; xor %[bit], %%rax; mov %%rax, %%cr0; mov %%cr0, %%rax; xor %[bit], %%rax; mov %%rax, %%cr0",
	     [bit] "i"(CR0_WP));
	TIME("cr4_pge_toggle_pair",
	     "mov %%cr4, %%rax; xor %[bit], %%rax; mov %%rax, %%cr4; mov %%cr4, %%rax; xor %[bit], %%rax; mov %%rax, %%cr4",
	     [bit] "i"(CR4_PGE));
	TIME("cr3_reload", "mov %%cr3, %%rax; mov %%rax, %%cr3", "i"(0));
	TIME("invlpg_unmapped", "invlpg (%[va])", [va] "r"(TEST_VA));
	TIME("mov_to_cr8", "xor %%eax, %%eax; mov %%rax, %%cr8", "i"(0));
}

static void time_mmio(void)
{
	TIME("xapic_mmio_rd", "movl (%[pa]), %%eax", [pa] "r"(APIC_BASE_PA + APIC_VERSION));
	TIME("ioapic_mmio_rd", "movl (%[pa]), %%eax", [pa] "r"(IOAPIC_PA + 16));
	TIME("mmio_rd_unbacked", "movl (%[pa]), %%eax", [pa] "r"(UNBACKED));
	TIME("mmio_wr_unbacked", "movl %%eax, (%[pa])", [pa] "r"(UNBACKED));
	if (!HAS_X2APIC)
		return;
	apic_enter_x2();
	TIME("x2apic_rd", "mov $0x803, %%ecx; rdmsr", "i"(0));
	apic_leave_x2();
}

static void time_all(void)
{
	time_clock();
	time_instructions();
	time_control_registers();
	time_mmio();
	time_memory();
	time_tables();
	time_spaces();
	time_halt();
}

/* "cpus" on the command line: only what two CPUs do; "grow": what may grow with memory and CPUs. */
void guest_main(void)
{
	uint64_t start = rdtsc();

	apic_enable();
	write_cr0(read_cr0() | CR0_WP); /* as kernels have it */
	if (boot_option("cpus"))
		time_cpus();
	else if (boot_option("grow"))
		time_growth();
	else
		time_all();
	printf("bench begin: TSC at start %llu\n", (unsigned long long)start);
	print_rows();
	printf("bench end\n");
	guest_exit(0);
}
