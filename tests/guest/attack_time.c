/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest can do to take the time of another that shares one of its CPUs, the last one's if
 * it has two: one thing for ever, named by way=NAME on the command line. tests/harness/boot.py runs
 * each beside a witness that measures. Without a name, each of them for a moment. run: vcpus=2
 * icount=1
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "pit.h"
#include "trap.h"
#include "user.h"

#define VECTOR     0x40
#define MOMENT_MS  2
#define STORM_PAGE 0x9
#define PORT       0x40 /* the 8254, which latches and counts for each read */
#define DEVICE     0xfec00000ul

static volatile uint64_t end = ~0ull;

static bool goes_on(void)
{
	return rdtsc() < end;
}

/*
 * Where a period is shorter than what an interrupt takes, nothing but this handler runs: so it is
 * here that a moment ends.
 */
static bool take(struct regs *regs)
{
	if (!goes_on())
		apic_write(APIC_LVTT, LVT_MASKED);
	apic_eoi();
	return true;
}

/* --- on the CPU that is shared --- */

static void spin(void *unused)
{
	while (goes_on())
		;
}

static void spin_with_interrupts(void *unused)
{
	apic_enable();
	sti();
	while (goes_on())
		;
	cli();
}

/* Its own timer ends the last halt of a moment. */
static void halt(void *unused)
{
	apic_enable();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VECTOR);
	apic_write(APIC_TMICT, 2 * MOMENT_MS * apic_khz());
	while (goes_on())
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* The shortest period that is served. */
static void start_timer(void)
{
	apic_enable();
	apic_write(APIC_TDCR, 0xb);
	apic_write(APIC_LVTT, VECTOR | LVT_PERIODIC);
	apic_write(APIC_TMICT, apic_khz() / 50);
}

static void halt_with_timer(void *unused)
{
	start_timer();
	while (goes_on())
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	apic_write(APIC_LVTT, LVT_MASKED);
}

static void spin_beside_timer(void *unused)
{
	start_timer();
	spin(NULL);
	apic_write(APIC_LVTT, LVT_MASKED);
}

static void pause_always(void *unused)
{
	while (goes_on())
		pause();
}

/* Thousands of accesses to devices by one instruction. */
static void use_strings(void *unused)
{
	static uint8_t buf[0x4000];

	while (goes_on()) {
		void *to = buf;
		const void *from = (const void *)DEVICE;
		unsigned long count = sizeof(buf);

		__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(PORT) : "memory");
		to = buf;
		count = sizeof(buf) / 4;
		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	}
}

/* --- on the other CPU: at the first one --- */

static void send_ipis(void *to)
{
	while (goes_on()) {
		apic_send_ipi((uint32_t)(unsigned long)to, ICR_FIXED | VECTOR);
		apic_send_ipi((uint32_t)(unsigned long)to, ICR_NMI);
	}
}

static bool ignore_nmi(struct regs *regs)
{
	return true;
}

/* Its timer is on the CPU of vCPU 0. */
static void arm_board_timer(void *unused)
{
	for (unsigned n = 0; goes_on(); n++)
		pit_program(0, PIT_MODE0, (uint16_t)(0x8000 + n % 0x7000));
}

static void send_inits(void *to)
{
	*(volatile uint16_t *)(unsigned long)(STORM_PAGE << 12) = 0xfeeb; /* jmp . */
	while (goes_on()) {
		apic_send_ipi((uint32_t)(unsigned long)to, ICR_INIT | ICR_ASSERT);
		apic_send_ipi((uint32_t)(unsigned long)to, ICR_STARTUP | STORM_PAGE);
	}
}

/* --- which --- */

static const struct way {
	const char *name;
	void (*shared)(void *unused); /* on each vCPU but the first, or on the only one */
	void (*first)(void *to);      /* on vCPU 0, if there are more, against vCPU 1 */
} ways[] = {
	{"spinning", spin, spin},
	{"pauses", pause_always, pause_always},
	{"strings", use_strings, spin},
	{"timer_halted", halt_with_timer, spin},
	{"timer_ignored", spin_beside_timer, spin},
	{"board_timer", arm_board_timer, halt}, /* the shared CPU is the first one's */
	{"ipis", spin_with_interrupts, send_ipis},
	{"wakes", halt, send_ipis},
	{"inits", spin, send_inits}, /* the last: vCPU 1 does not come back */
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* False: one of its vCPUs has not come back. */
static bool run(const struct way *way)
{
	unsigned nr = smp_start();
	bool back = true;

	trap_set(VECTOR, take);
	trap_set(2, ignore_nmi);
	apic_enable();
	for (unsigned i = 1; i < nr; i++)
		smp_run(i, way->shared, NULL);
	if (nr > 1)
		way->first((void *)1ul);
	else
		way->shared(NULL);
	for (unsigned i = 1; i < nr && way->first != send_inits; i++)
		back &= smp_wait(i, 1000);
	return back;
}

static void run_all(void)
{
	bool ok = true;

	printf("KTAP version 1\n1..%u\n", (unsigned)NR_WAYS);
	for (unsigned i = 0; i < NR_WAYS; i++) {
		bool back;

		end = rdtsc() + ms_to_tsc(MOMENT_MS);
		back = run(&ways[i]);
		printf("%s %u - %s\n", back ? "ok" : "not ok", i + 1, ways[i].name);
		ok &= back;
	}
	guest_exit(!ok);
}

void guest_main(void)
{
	const char *name = boot_option("way");

	if (!name)
		run_all();
	for (unsigned i = 0; i < NR_WAYS; i++) {
		if (strncmp(name, ways[i].name, strlen(ways[i].name)))
			continue;
		printf("KTAP version 1\n1..1\nok 1 - about to begin: %s\n", name);
		run(&ways[i]);
	}
	bail_out("way=%s: no such way", name);
}
