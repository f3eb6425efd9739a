/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark guest: what an exit, a first touch of memory, a wake-up cost, seen from inside
 * with RDTSC. Rows "name total n each"; on an emulator that counts one tick for each instruction
 * they are path lengths, independent of the machine's load. tools/bench runs it and compares.
 *
 * Each loop is two or three instructions long (row empty_loop); nothing is subtracted.
 */
#include "apic.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"
#include "trap.h"

#define ROUNDS   1000
#define REGION   (64ul << 20)
#define VEC      0x41
#define UNBACKED 0xf0000000ul

/*
 * Printed at the end: while output waits for a serial line the hypervisor runs its guests in time
 * slices, and what is measured then is that as well.
 */
static struct row {
	const char *name;
	uint64_t total, n;
} rows[64];
static unsigned nr_rows;

static void row(const char *name, uint64_t total, uint64_t n)
{
	if (nr_rows == sizeof(rows) / sizeof(rows[0]))
		bail_out("more rows than there is room for");
	rows[nr_rows++] = (struct row){name, total, n};
}

static void print_rows(void)
{
	for (unsigned i = 0; i < nr_rows; i++) {
		const struct row *r = &rows[i];
		uint64_t tenths = r->total * 10 / r->n;

		printf("%-22s %12llu %8llu %10llu.%llu\n", r->name, (unsigned long long)r->total,
		       (unsigned long long)r->n, (unsigned long long)(tenths / 10),
		       (unsigned long long)(tenths % 10));
	}
}

/* Time ROUNDS runs of an instruction in a loop of DEC and JNZ; operands may be named. */
#define TIME(name, insn, ...)                                                                      \
	do {                                                                                       \
		unsigned long _n = ROUNDS;                                                         \
		uint64_t _start = rdtsc();                                                         \
		__asm__ volatile("1: " insn "\n dec %[n]\n jnz 1b"                                 \
				 : [n] "+r"(_n)                                                    \
				 : __VA_ARGS__                                                     \
				 : "rax", "rcx", "rdx", "rbx", "rdi", "memory", "cc");             \
		row(name, rdtsc() - _start, ROUNDS);                                               \
	} while (0)

static void time_clock(void)
{
	uint64_t start = rdtsc(), end = rdtsc();
	unsigned long n = 1000000;

	row("rdtsc_pair", end - start, 1);
	start = rdtsc();
	__asm__ volatile("1: dec %0\n jnz 1b" : "+r"(n) : : "cc");
	row("calib_2M_insns", rdtsc() - start, 2000000);
}

static void time_exits(void)
{
	TIME("empty_loop", "", "i"(0));
	TIME("cpuid", "xor %%eax, %%eax; cpuid", "i"(0));
	if (is_umbra() && is_amd())
		TIME("hypercall", "xor %%eax, %%eax; vmmcall", "i"(0));
	else if (is_umbra())
		TIME("hypercall", "xor %%eax, %%eax; vmcall", "i"(0));
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

/* Write one word into each page of a range: five instructions a page when nothing faults. */
static void touch(const char *name, unsigned long va)
{
	unsigned long end = va + REGION;
	uint64_t start = rdtsc();

	__asm__ volatile("1: movq $1, (%0)\n add $4096, %0\n nop\n cmp %1, %0\n jb 1b"
			 : "+r"(va)
			 : "r"(end)
			 : "memory", "cc");
	row(name, rdtsc() - start, REGION / PAGE_SIZE);
}

/* Memory that nobody has touched, mapped by 4K and by 2M entries of the guest's own tables. */
static void time_first_touch(void)
{
	unsigned long start, end;

	pages_rest(&start, &end);
	start = (start + (8ul << 20)) & ~(SIZE_2M - 1);
	if (start + 2 * REGION > end) {
		printf("# first touch needs 160 MiB of memory\n");
		return;
	}
	for (unsigned long off = 0; off < REGION; off += SIZE_2M) {
		pte_t *table = pte_get(TEST_VA + off, 1);

		for (unsigned i = 0; i < 512; i++)
			table[i] = (start + off + i * PAGE_SIZE) | PTE_P | PTE_W | PTE_A | PTE_D;
	}
	touch("pop_w_4k_first", TEST_VA);
	touch("pop_w_4k_second", TEST_VA);
	touch("pop_w_2m_first", start + REGION);
	touch("pop_w_2m_second", start + REGION);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static volatile unsigned long got[2]; /* interrupts of CPU 0 and CPU 1 */

static bool on_interrupt(struct regs *regs)
{
	got[cpu_index()]++;
	apic_eoi();
	return true;
}

/* An interrupt is pending when the CPU halts: HLT exits, wakes at once, the handler runs. */
static void time_halt(void)
{
	uint64_t start;

	trap_set(VEC, on_interrupt);
	cli();
	start = rdtsc();
	for (unsigned i = 0; i < ROUNDS; i++) {
		apic_send_ipi(0, ICR_SELF | VEC);
		safe_halt();
		cli();
	}
	row("self_ipi_hlt_wake", rdtsc() - start, ROUNDS);
}

static void answer(void *arg)
{
	for (unsigned long i = 1; i <= ROUNDS; i++) {
		cli();
		while (got[1] < i) {
			safe_halt();
			cli();
		}
		apic_send_ipi(cpus[0].apic_id, VEC);
	}
}

static void time_ipi(void)
{
	uint64_t start;

	if (smp_start() < 2)
		return;
	trap_set(VEC, on_interrupt);
	got[0] = got[1] = 0;
	smp_run(1, answer, NULL);
	start = rdtsc();
	for (unsigned long i = 1; i <= ROUNDS; i++) {
		apic_send_ipi(cpus[1].apic_id, VEC);
		cli();
		while (got[0] < i) {
			safe_halt();
			cli();
		}
	}
	row("ipi_round_trip", rdtsc() - start, ROUNDS);
	if (!smp_wait(1, 10000))
		bail_out("the other CPU did not finish");
}

void guest_main(void)
{
	uint64_t start = rdtsc();

	apic_enable();
	time_clock();
	time_exits();
	time_control_registers();
	time_mmio();
	time_first_touch();
	time_halt();
	time_ipi();
	printf("bench begin: TSC at start %llu\n", (unsigned long long)start);
	print_rows();
	printf("bench end\n");
	guest_exit(0);
}
