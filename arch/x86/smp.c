/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting the other CPUs, all at once; and stopping them. Each walks through its states alone; the
 * boot CPU only halts until they are there, woken by an IPI from each and by its own timer. A CPU
 * gets its index after that, in the order of the list, so that the indices are dense and do not
 * depend on who was fastest.
 *
 *	boot CPU			another CPU
 *	INIT, SIPI, SIPI
 *					starting -> up  (compare and swap)
 *					IPI to the boot CPU; halt
 *	late: starting -> given up
 *	indices
 *	`asked`; IPI to it
 *					compare TSCs; halt
 *	`go`; IPI to all
 *					entry()
 *
 * The compare and swap decides for a CPU that comes up at the very end of the wait: either it is
 * counted, or it halts for good.
 */
#include "arch/x86/smp.h"

#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/desc.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/fpu.h"
#include "arch/x86/irq.h"
#include "arch/x86/layout.h"
#include "arch/x86/mce.h"
#include "arch/x86/paging.h"
#include "arch/x86/panic.h"
#include "arch/x86/percpu.h"
#include "arch/x86/stop.h"
#include "arch/x86/trampoline.h"
#include "arch/x86/tsc_meet.h"
#include "lib/clock.h"
#include "lib/log.h"

#define INIT_WAIT_NS    (10 * NSEC_PER_MSEC)
#define SIPI_WAIT_NS    (NSEC_PER_MSEC / 2)
#define UP_WAIT_NS      (500 * NSEC_PER_MSEC)
#define STOP_WAIT_TURNS 2000000
#define STACKS_DISTANCE ALIGN_UP(sizeof(struct cpu_stacks), PAGE_SIZE)

static struct cpu boot_cpu;
static struct cpu *others[CPU_MAX]; /* those to be started */
static unsigned nr_others;

static void (*cpu_entry)(void);
static _Atomic bool go;

static struct cpu *_Atomic asked; /* who is to compare its TSC with the boot CPU's */
static struct tsc_meeting meeting;
static bool tscs_differ __ro_after_init;

void smp_init_boot_cpu(void)
{
	cpu_init_area(&boot_cpu, &boot_stacks);
	cpu_add(&boot_cpu);
	desc_load(&boot_cpu);
	atomic_store(&boot_cpu.state, CPU_UP);
}

static bool change_state(struct cpu *cpu, enum cpu_state from, enum cpu_state to)
{
	int expected = (int)from;

	return atomic_compare_exchange_strong(&cpu->state, &expected, (int)to);
}

/* Once for each time. */
static void answer_if_asked(struct cpu *cpu)
{
	struct cpu *expected = cpu;

	if (atomic_compare_exchange_strong(&asked, &expected, NULL))
		tsc_meet_answer(&meeting, rdtsc_ordered);
}

/* The first C code on a CPU: on its own stack, interrupts closed. Never returns. */
static void start_this_cpu(struct cpu *cpu)
{
	paging_activate();
	desc_load(cpu);
	cpu_protect();
	fpu_init_cpu();
	apic_init_cpu();
	mce_init_cpu();
	if (!change_state(cpu, CPU_STARTING, CPU_UP))
		stop_this_cpu();
	apic_send_ipi(0, IRQ_VECTOR_WAKE);
	while (!atomic_load(&go)) {
		cpu_wait_for_interrupt();
		answer_if_asked(cpu);
	}
	cpu_entry();
}

static void wake(unsigned vector)
{
	/* That it came is all there is to it. */
}

static bool prepare_stacks(struct cpu_stacks *stacks, smp_alloc_t alloc)
{
	uint64_t va = (uint64_t)stacks->stack;
	uint64_t end = (uint64_t)(stacks + 1);
	unsigned i = 0;
	void *frame;

	for (; va < end; va += PAGE_SIZE) {
		if (i < ARRAY_SIZE(stacks->ist) && va == (uint64_t)stacks->ist[i].guard) {
			i++;
			continue;
		}
		frame = alloc(1);
		if (!frame)
			return false;
		paging_map_page(va, direct_map_hpa(frame));
	}
	return true;
}

static bool prepare_cpu(uint32_t apic_id, smp_alloc_t alloc)
{
	struct cpu_stacks *stacks = (void *)(STACKS_BASE + nr_others * STACKS_DISTANCE);
	struct cpu *cpu = alloc(DIV_ROUND_UP(sizeof(struct cpu), PAGE_SIZE));

	if (!cpu || !prepare_stacks(stacks, alloc))
		return false;
	cpu_init_area(cpu, stacks);
	cpu->apic_id = apic_id;
	others[nr_others++] = cpu;
	return true;
}

/* The boot CPU is one of `max`, wherever in the list it is. */
static void prepare_cpus(const uint32_t *apic_ids, unsigned nr, unsigned max, smp_alloc_t alloc)
{
	unsigned i;

	for (i = 0; i < nr && nr_others < max - 1; i++) {
		if (apic_ids[i] == this_cpu()->apic_id)
			continue;
		if (!apic_is_x2apic() && apic_ids[i] >= 255)
			log_warn("smp: CPU with APIC id %u not started: needs x2APIC", apic_ids[i]);
		else if (!prepare_cpu(apic_ids[i], alloc))
			log_warn("smp: CPU with APIC id %u not started: no memory", apic_ids[i]);
	}
}

static unsigned nr_in_state(enum cpu_state state)
{
	unsigned i, n = 0;

	for (i = 0; i < nr_others; i++)
		n += atomic_load(&others[i]->state) == (int)state;
	return n;
}

/* Halt until all CPUs are up, at most `ns`. */
static void wait_for_cpus(uint64_t ns)
{
	uint64_t end = clock_ns() + ns;

	apic_timer_arm_ns(end);
	while (nr_in_state(CPU_STARTING) && clock_ns() < end)
		cpu_wait_for_interrupt();
	apic_timer_arm_ns(UINT64_MAX);
}

static void send_sipis(hpa_t trampoline)
{
	unsigned i;

	for (i = 0; i < nr_others; i++)
		if (atomic_load(&others[i]->state) == CPU_STARTING)
			apic_send_sipi(others[i]->apic_id, (unsigned)(trampoline.v >> PAGE_SHIFT));
}

/* The wait after INIT is for the discrete APICs of the 1990s: no CPU with SVM or VMX needs it. */
static bool needs_init_wait(void)
{
	return cpu_vendor() == VENDOR_OTHER;
}

static void start_all(hpa_t trampoline)
{
	unsigned i;

	trampoline_args = (struct trampoline_args){
		.cpus = others,
		.start = start_this_cpu,
		.cr3 = read_cr3(),
		.nr_cpus = nr_others,
		.boot_cr3 = (uint32_t)direct_map_hpa(boot_pml4).v,
	};
	memcpy(direct_map(trampoline), trampoline_start,
	       (size_t)(trampoline_end - trampoline_start));
	for (i = 0; i < nr_others; i++)
		apic_send_init(others[i]->apic_id);
	if (needs_init_wait())
		wait_for_cpus(INIT_WAIT_NS);
	send_sipis(trampoline);
	wait_for_cpus(SIPI_WAIT_NS);
	if (!nr_in_state(CPU_STARTING))
		return;
	send_sipis(trampoline);
	wait_for_cpus(UP_WAIT_NS);
}

static void count_cpus(void)
{
	unsigned i;

	for (i = 0; i < nr_others; i++) {
		if (change_state(others[i], CPU_STARTING, CPU_GIVEN_UP))
			log_warn("smp: CPU with APIC id %u did not come up", others[i]->apic_id);
		else
			cpu_add(others[i]);
	}
}

static int64_t compare_tsc(struct cpu *cpu)
{
	meeting = (struct tsc_meeting){0};
	atomic_store(&asked, cpu);
	apic_send_ipi(cpu->id, IRQ_VECTOR_WAKE);
	return tsc_meet_ask(&meeting, rdtsc_ordered);
}

bool smp_tscs_agree(void)
{
	return !tscs_differ;
}

/* Clock, timers and the guests' TSCs take them for one. */
static void compare_tscs(void)
{
	unsigned i, differing = 0, worst = 0;
	int64_t ahead, most = 0;

	for (i = 1; i < cpu_count(); i++) {
		ahead = compare_tsc(cpu_by_id(i));
		differing += ahead != 0;
		if (ahead > most || -ahead > most) {
			most = ahead > 0 ? ahead : -ahead;
			worst = i;
		}
	}
	tscs_differ = differing;
	if (differing)
		log_warn(
			"smp: the TSCs of %u CPUs differ from the boot CPU's, that of CPU %u by %lu "
			"ns: time jumps where a VM has several CPUs (give it one with cpus=)",
			differing, worst, (unsigned long)clock_tsc_to_ns((uint64_t)most));
}

void smp_start(const uint32_t *apic_ids, unsigned nr, unsigned max, hpa_t trampoline,
	       smp_alloc_t alloc, void (*entry)(void))
{
	cpu_entry = entry;
	panic_set_hooks(&(struct panic_hooks){.stop_others = smp_stop_others});
	prepare_cpus(apic_ids, nr, min(max, (unsigned)CPU_MAX), alloc);
	irq_register(IRQ_VECTOR_WAKE, wake);
	irq_register(IRQ_VECTOR_TIMER, wake);
	if (nr_others)
		start_all(trampoline);
	irq_unregister(IRQ_VECTOR_TIMER);
	count_cpus();
	log_info("smp: %u CPUs", cpu_count());
	compare_tscs();
	atomic_store(&go, true);
	if (cpu_count() > 1)
		apic_broadcast(IRQ_VECTOR_WAKE);
}

void smp_stop_others(void)
{
	unsigned i, turns;

	stop_begin();
	/* Alone, the local APIC may not even be set up. */
	if (cpu_count() > 1)
		apic_broadcast_nmi();
	for (i = 0; i < cpu_count(); i++) {
		if (i == cpu_id())
			continue;
		for (turns = 0; turns < STOP_WAIT_TURNS; turns++) {
			if (atomic_load_explicit(&cpu_by_id(i)->stopped, memory_order_acquire))
				break;
			cpu_relax();
		}
	}
}
