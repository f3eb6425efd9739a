/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of the physical CPUs. An x2APIC register is an MSR whose number follows from the
 * xAPIC register's offset, so one pair of accessors serves both modes; only the interrupt command
 * register differs.
 */
#include "arch/x86/apic.h"

#include <errno.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/irq.h"
#include "arch/x86/paging.h"
#include "arch/x86/percpu.h"
#include "lib/clock.h"
#include "lib/log.h"

/* Registers, as offsets into the xAPIC page: SDM volume 3, table 10-1. */
#define APIC_ID         0x020
#define APIC_TPR        0x080
#define APIC_EOI        0x0b0
#define APIC_SVR        0x0f0
#define APIC_ISR        0x100 /* 8 registers of 32 vectors */
#define APIC_IRR        0x200 /* the same */
#define APIC_ESR        0x280
#define APIC_ICR        0x300
#define APIC_ICR_HIGH   0x310
#define APIC_LVT_CMCI   0x2f0
#define APIC_LVT_TIMER  0x320
#define APIC_LVT_THERM  0x330
#define APIC_LVT_PERF   0x340
#define APIC_LVT_LINT0  0x350
#define APIC_LVT_LINT1  0x360
#define APIC_LVT_ERROR  0x370
#define APIC_TIMER_INIT 0x380
#define APIC_TIMER_CUR  0x390
#define APIC_TIMER_DIV  0x3e0

#define SVR_ENABLE     BIT(8)
#define LVT_MODE       0x700
#define LVT_SMI        0x200
#define LVT_NMI        0x400
#define LVT_LOW        BIT(13)
#define LVT_MASKED     BIT(16)
#define LVT_DEADLINE   BIT(18)
#define TIMER_DIV_BY_1 0xb
#define ICR_NMI        (4 << 8)
#define ICR_INIT       (5 << 8)
#define ICR_STARTUP    (6 << 8)
#define ICR_SELF       BIT(18) /* the destination is not looked at */
#define ICR_PENDING    BIT(12)
#define ICR_ASSERT     BIT(14)
#define ICR_SELF       BIT(18) /* a shorthand: no destination */

/* Vectors below 32 stay out: what a firmware left pending there would look like an exception. */
#define TPR_OPEN 0x10

#define MEASURE_NS    1000000
#define FRACTION_BITS 32
#define NO_DEADLINE   UINT64_MAX
/* Armed for an unknown time: no deadline is equal to it. */
#define UNKNOWN_DEADLINE 0

static volatile uint8_t *page __ro_after_init; /* NULL: x2APIC */
static bool deadline_mode __ro_after_init;
static const struct apic_nmi_line *nmi_lines __ro_after_init;
static unsigned nr_nmi_lines __ro_after_init;
static uint64_t counts_per_tick __ro_after_init; /* FRACTION_BITS of them a fraction */

static uint32_t read_reg(unsigned reg)
{
	if (page)
		return mmio_read32(page + reg);
	return (uint32_t)rdmsr(MSR_X2APIC_BASE + reg / 16);
}

static void write_reg(unsigned reg, uint32_t val)
{
	if (page)
		mmio_write32(page + reg, val);
	else
		wrmsr(MSR_X2APIC_BASE + reg / 16, val);
}

static void wait_icr_idle(void)
{
	while (read_reg(APIC_ICR) & ICR_PENDING)
		cpu_relax();
}

static void write_icr(uint32_t apic_id, uint32_t command)
{
	if (page) {
		wait_icr_idle();
		write_reg(APIC_ICR_HIGH, apic_id << 24);
		write_reg(APIC_ICR, command);
		return;
	}
	/* WRMSR to the x2APIC does not wait for earlier stores: SDM volume 3, 10.12.3. */
	__asm__ volatile("mfence; lfence" ::: "memory");
	wrmsr(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
}

bool apic_is_x2apic(void)
{
	return !page;
}

static void error_handler(unsigned vector)
{
	write_reg(APIC_ESR, 0);
	log_guest(LOG_WARN, "apic: CPU %u: error status 0x%x", cpu_id(), read_reg(APIC_ESR));
}

int apic_init(bool may_x2apic)
{
	uint64_t base;

	if (!cpu_reports(CPUID_APIC))
		return -ENODEV;
	base = rdmsr(MSR_APICBASE);
	deadline_mode = cpu_has(FEATURE_TSC_DEADLINE);
	if (!(base & APICBASE_X2APIC) && !(may_x2apic && cpu_has(FEATURE_X2APIC)))
		page = paging_map(HPA(base & PTE_ADDR), PAGE_SIZE, PAGING_UC);
	irq_register(IRQ_VECTOR_ERROR, error_handler);
	return 0;
}

/* What ends in the firmware's system management (a hot CPU, bad memory) is left to it. */
static void mask_lvt(unsigned reg)
{
	if ((read_reg(reg) & LVT_MODE) != LVT_SMI)
		write_reg(reg, LVT_MASKED);
}

static void mask_local_interrupts(void)
{
	unsigned lvts = (read_reg(0x030) >> 16 & 0xff) + 1; /* version register: highest entry */

	write_reg(APIC_LVT_TIMER, LVT_MASKED);
	write_reg(APIC_LVT_LINT0, LVT_MASKED);
	write_reg(APIC_LVT_LINT1, LVT_MASKED);
	if (lvts > 4)
		mask_lvt(APIC_LVT_PERF);
	if (lvts > 5)
		mask_lvt(APIC_LVT_THERM);
	if (lvts > 6)
		mask_lvt(APIC_LVT_CMCI);
}

void apic_set_nmi_lines(const struct apic_nmi_line *lines, unsigned nr)
{
	nmi_lines = lines;
	nr_nmi_lines = nr;
}

/* An NMI is edge-triggered, whatever its line is said to be: SDM volume 3, 10.5.1. */
static void open_nmi_lines(void)
{
	uint32_t id = apic_read_id();

	for (unsigned i = 0; i < nr_nmi_lines; i++) {
		const struct apic_nmi_line *l = &nmi_lines[i];

		if (l->all || l->apic_id == id)
			write_reg(l->lint ? APIC_LVT_LINT1 : APIC_LVT_LINT0,
				  LVT_NMI | (l->is_low ? LVT_LOW : 0));
	}
}

/* What whoever came before us left in service would keep all lower vectors out for ever. */
static void end_old_interrupts(void)
{
	uint32_t in_service;
	unsigned i;

	/* Each EOI is for the highest: from the top down. */
	for (i = 8; i-- > 0;)
		for (in_service = read_reg(APIC_ISR + 0x10 * i); in_service;
		     in_service &= in_service - 1)
			apic_eoi();
}

/*
 * Into the mode of apic_init(), from whatever mode the firmware left this CPU's in: the way back
 * from x2APIC leads over "disabled" (SDM volume 3, 10.12.5).
 */
static void enter_mode(void)
{
	uint64_t base = rdmsr(MSR_APICBASE), off = base & ~(APICBASE_ENABLE | APICBASE_X2APIC);

	if (page && (base & APICBASE_X2APIC))
		wrmsr(MSR_APICBASE, off);
	if (!(base & APICBASE_X2APIC) || page)
		wrmsr(MSR_APICBASE, off | APICBASE_ENABLE);
	if (!page)
		wrmsr(MSR_APICBASE, off | APICBASE_ENABLE | APICBASE_X2APIC);
}

void apic_init_cpu(void)
{
	enter_mode();
	write_reg(APIC_SVR, SVR_ENABLE | IRQ_VECTOR_SPURIOUS);
	mask_local_interrupts();
	end_old_interrupts();
	write_reg(APIC_TPR, TPR_OPEN);
	write_reg(APIC_ESR, 0);
	write_reg(APIC_LVT_ERROR, IRQ_VECTOR_ERROR);
	write_reg(APIC_TIMER_DIV, TIMER_DIV_BY_1);
	write_reg(APIC_LVT_TIMER, IRQ_VECTOR_TIMER | (deadline_mode ? LVT_DEADLINE : 0));
	/* The mode must be set before a deadline is: SDM volume 3, 10.5.4.1. */
	__asm__ volatile("mfence" ::: "memory");
	this_cpu()->apic_id = apic_read_id();
	open_nmi_lines();
}

void apic_timer_init(void)
{
	uint64_t from, to;
	uint32_t left;

	if (deadline_mode) {
		log_info("apic: %s, TSC-deadline timer", page ? "xAPIC" : "x2APIC");
		return;
	}
	write_reg(APIC_LVT_TIMER, LVT_MASKED);
	write_reg(APIC_TIMER_INIT, UINT32_MAX);
	from = rdtsc_ordered();
	to = from + clock_ns_to_tsc(MEASURE_NS);
	while (rdtsc() < to)
		cpu_relax();
	left = read_reg(APIC_TIMER_CUR);
	to = rdtsc_ordered();
	write_reg(APIC_TIMER_INIT, 0);
	write_reg(APIC_LVT_TIMER, IRQ_VECTOR_TIMER);
	counts_per_tick = mul_div(UINT32_MAX - left, 1ull << FRACTION_BITS, to - from);
	log_info("apic: %s, one-shot timer at %lu kHz", page ? "xAPIC" : "x2APIC",
		 mul_div(UINT32_MAX - left, clock_tsc_khz(), to - from));
}

uint32_t apic_read_id(void)
{
	return page ? read_reg(APIC_ID) >> 24 : read_reg(APIC_ID);
}

void apic_eoi(void)
{
	write_reg(APIC_EOI, 0);
}

/* A write of the task priority, here always the same, compares it with what is pending:
 * SDM 10.8.3.1. */
void apic_offer_pending(void)
{
	write_reg(APIC_TPR, TPR_OPEN);
}

bool apic_is_pending(unsigned vector)
{
	return read_reg(APIC_IRR + 0x10 * (vector / 32)) >> (vector % 32) & 1;
}

void apic_send_ipi(unsigned cpu, unsigned vector)
{
	write_icr(cpu_by_id(cpu)->apic_id, ICR_ASSERT | vector);
}

void apic_send_self(unsigned vector)
{
	if (!page) {
		wrmsr(MSR_X2APIC_SELF_IPI, vector);
		return;
	}
	wait_icr_idle();
	write_reg(APIC_ICR, ICR_SELF | ICR_ASSERT | vector);
}

/*
 * One by one: the APICs' own word for it reaches CPUs as well that are still the firmware's, and a
 * CPU that gets an NMI there may take the machine down.
 */
static void send_to_others(uint32_t word)
{
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (i != cpu_id())
			write_icr(cpu_by_id(i)->apic_id, ICR_ASSERT | word);
	}
}

void apic_broadcast(unsigned vector)
{
	send_to_others(vector);
}

void apic_broadcast_nmi(void)
{
	send_to_others(ICR_NMI);
}

void apic_send_init(uint32_t apic_id)
{
	write_icr(apic_id, ICR_ASSERT | ICR_INIT);
}

void apic_send_sipi(uint32_t apic_id, unsigned start_page)
{
	write_icr(apic_id, ICR_ASSERT | ICR_STARTUP | start_page);
}

static void disarm(void)
{
	if (deadline_mode)
		wrmsr(MSR_TSC_DEADLINE, 0);
	else
		write_reg(APIC_TIMER_INIT, 0);
}

/* `distance` ticks of the TSC from now, in counts of the timer, never early, never 0. */
static uint64_t to_counts(uint64_t distance)
{
	return (uint64_t)(((unsigned __int128)distance * counts_per_tick) >> FRACTION_BITS) + 1;
}

/* Start the timer for `ticks` of the TSC from now. False: it will be early. */
static bool start_timer(uint64_t ticks)
{
	uint64_t counts;

	if (deadline_mode) {
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + ticks);
		return true;
	}
	counts = to_counts(ticks);
	write_reg(APIC_TIMER_INIT, (uint32_t)min(counts, (uint64_t)UINT32_MAX));
	return counts <= UINT32_MAX;
}

void apic_timer_fired(void)
{
	this_cpu()->timer_ns = UNKNOWN_DEADLINE;
}

void apic_timer_arm_ns(uint64_t deadline_ns)
{
	struct cpu *cpu = this_cpu();
	uint64_t now = clock_ns(), distance;

	/* What is armed already will still fire. */
	if (deadline_ns == cpu->timer_ns && (deadline_ns > now || deadline_ns == NO_DEADLINE))
		return;
	cpu->timer_ns = deadline_ns;
	if (deadline_ns == NO_DEADLINE) {
		disarm();
		return;
	}
	/* One tick more: the conversion rounds down, and early is useless. */
	distance = deadline_ns > now ? deadline_ns - now : 0;
	if (!start_timer(clock_ns_to_tsc(distance) + 1))
		cpu->timer_ns = UNKNOWN_DEADLINE;
}
