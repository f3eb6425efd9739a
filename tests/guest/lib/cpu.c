/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptor tables, set-up of the first CPU, and the start of the others by INIT and SIPI.
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "pit.h"
#include "trap.h"

#define AP_START_MS 2000

struct cpu cpus[MAX_CPUS];
uint32_t ap_index;
unsigned smp_online = 1;
static uint8_t df_stacks[MAX_CPUS][4096] __attribute__((aligned(16)));

#define DESC(attr)                                                                                 \
	((uint64_t)((attr)&0xff) << 40 | (uint64_t)((attr) >> 12) << 52 | 0x000f00000000ffffull)

uint64_t gdt[SEL_TSS / 8 + 2 * MAX_CPUS] __attribute__((aligned(4096))) = {
	[SEL_CODE / 8] = DESC(GDT_CODE | GDT_G | (IS_64BIT ? GDT_L : GDT_DB)),
	[SEL_DATA / 8] = DESC(GDT_DATA | GDT_G | GDT_DB),
	[SEL_UCODE32 / 8] = DESC(GDT_CODE | GDT_DPL3 | GDT_G | GDT_DB),
	[SEL_UDATA / 8] = DESC(GDT_DATA | GDT_DPL3 | GDT_G | GDT_DB),
	[SEL_UCODE64 / 8] = DESC(GDT_CODE | GDT_DPL3 | GDT_G | GDT_L),
	[SEL_CODE32 / 8] = DESC(GDT_CODE | GDT_G | GDT_DB),
	[SEL_CODE16 / 8] = DESC(GDT_CODE) & ~0xf000000000000ull,
};

void gdt_set(unsigned selector, uint32_t base, uint32_t limit, uint16_t attr)
{
	gdt[selector / 8] = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
			    (uint64_t)(attr & 0xff) << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
			    (uint64_t)(attr >> 12) << 52 | (uint64_t)(base >> 24) << 56;
}

void cpu_init(unsigned index)
{
	struct cpu *cpu = &cpus[index];
	unsigned long tss = (unsigned long)&cpu->tss;
	unsigned long stack = (unsigned long)stacks[index] + STACK_SIZE;

	memset(&cpu->tss, 0, sizeof(cpu->tss));
	cpu->tss.iomap = sizeof(cpu->tss);
#ifdef __x86_64__
	cpu->tss.rsp[0] = stack - STACK_SIZE / 2;
	cpu->tss.ist[1] = (unsigned long)df_stacks[index] + sizeof(df_stacks[index]);
#else
	cpu->tss.esp0 = stack - STACK_SIZE / 2;
	cpu->tss.ss0 = SEL_DATA;
	(void)df_stacks;
#endif
	gdt_set(SEL_TSS + 16 * index, (uint32_t)tss, sizeof(cpu->tss) - 1, 0x89);
#ifdef __x86_64__
	gdt[SEL_TSS / 8 + 2 * index + 1] = tss >> 32;
#endif
	lgdt((struct table_ptr){sizeof(gdt) - 1, (unsigned long)gdt});
	ltr((uint16_t)(SEL_TSS + 16 * index));
	trap_load_idt();
	cpu->catching = false;
}

void runtime_main(void);
void runtime_main(void)
{
	console_init();
	boot_init();
	pic_init(0x20); /* firmware may have left IRQ 0 open, at the vector of #DF */
	trap_init();
	cpu_init(0);
	guest_main();
	guest_exit(0);
}

/* Enabled local APICs that the firmware's table lists. */
static unsigned count_in_madt(void)
{
	const struct acpi_madt *madt = acpi_find("APIC");
	unsigned count = 0;

	if (!madt)
		return 1;
	for (const uint8_t *p = madt->entries, *end = (const uint8_t *)madt + madt->header.length;
	     p + 8 <= end && p[1]; p += p[1])
		count += p[0] == 0 && p[4] & 1;
	return count;
}

unsigned smp_count(void)
{
	unsigned n = fwcfg_exists() ? fwcfg_read16(FWCFG_NB_CPUS) : count_in_madt();

	return n >= 1 && n <= MAX_CPUS ? n : 1;
}

/* An AP after start-up: wait for work for ever. */
void ap_main(unsigned index);
void ap_main(unsigned index)
{
	struct cpu *cpu = &cpus[index];

	cpu_init(index);
	apic_enable();
	cpu->apic_id = apic_id();
	cpu->work = NULL;
	cpu->started++;
	__atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
	for (;;) {
		void (*work)(void *) = __atomic_load_n(&cpu->work, __ATOMIC_ACQUIRE);

		if (work) {
			work(cpu->arg);
			__atomic_store_n(&cpu->work, NULL, __ATOMIC_RELEASE);
		}
		pause();
	}
}

extern const uint8_t sipi_code[], sipi_code_end[];

static bool start_one(unsigned index, uint32_t mode)
{
	ap_index = index;
	cpus[index].online = false;
	memcpy((void *)SIPI_PAGE, sipi_code, (size_t)(sipi_code_end - sipi_code));
	apic_send_ipi(cpus[index].apic_id, mode | ICR_INIT | ICR_ASSERT);
	delay_us(1000);
	apic_send_ipi(cpus[index].apic_id, mode | ICR_STARTUP | SIPI_PAGE >> 12);
	if (!wait_until(cpus[index].online, 100))
		apic_send_ipi(cpus[index].apic_id, mode | ICR_STARTUP | SIPI_PAGE >> 12);
	return wait_until(cpus[index].online, AP_START_MS);
}

unsigned smp_start(void)
{
	static bool done;
	unsigned count = smp_count();

	if (done)
		return smp_online;
	done = true;
	apic_enable();
	cpus[0].apic_id = apic_id();
	cpus[0].online = true;
	for (unsigned i = 1; i < count; i++) {
		cpus[i].apic_id = i; /* the MADT test checks that ids are 0 to n - 1 */
		if (start_one(i, 0))
			smp_online++;
		else
			printf("# CPU %u of %u did not start\n", i, count);
	}
	return smp_online;
}

bool smp_restart(unsigned index)
{
	return start_one(index, 0);
}

void smp_run(unsigned index, void (*fn)(void *arg), void *arg)
{
	cpus[index].arg = arg;
	__atomic_store_n(&cpus[index].work, fn, __ATOMIC_RELEASE);
}

bool smp_wait(unsigned index, unsigned ms)
{
	return wait_until(!__atomic_load_n(&cpus[index].work, __ATOMIC_ACQUIRE), ms);
}

bool smp_call(unsigned index, void (*fn)(void *arg), void *arg)
{
	smp_run(index, fn, arg);
	return smp_wait(index, 10000);
}
