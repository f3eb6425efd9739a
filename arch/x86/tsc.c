/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The clock: TSC ticks times a fixed-point factor. Its origin is the TSC's own, so that values and
 * differences convert by the same multiplication.
 */
#include "arch/x86/tsc.h"

#include <stdbool.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/panic.h"

#define MEASURE_NS    2000000
#define READ_ATTEMPTS 5
#define FRACTION_BITS 32

static uint64_t tsc_khz __ro_after_init;
static uint64_t ns_per_tick __ro_after_init; /* FRACTION_BITS of them a fraction */
static uint64_t ticks_per_ns __ro_after_init;

static uint64_t scale(uint64_t val, uint64_t factor)
{
	return (uint64_t)(((unsigned __int128)val * factor) >> FRACTION_BITS);
}

uint64_t clock_ns(void)
{
	return scale(rdtsc(), ns_per_tick);
}

uint64_t clock_tsc_khz(void)
{
	return tsc_khz;
}

uint64_t clock_tsc_to_ns(uint64_t tsc)
{
	return scale(tsc, ns_per_tick);
}

uint64_t clock_ns_to_tsc(uint64_t ns)
{
	return scale(ns, ticks_per_ns);
}

void tsc_delay_ns(uint64_t ns)
{
	uint64_t end = rdtsc() + clock_ns_to_tsc(ns);

	while (rdtsc() < end)
		cpu_relax();
}

/* SDM volume 2, CPUID: crystal and ratio; base frequency. 0: does not tell. */
static uint64_t khz_from_cpuid(void)
{
	uint32_t max = cpuid(0).eax;
	struct cpuid id;

	if (max < 0x15)
		return 0;
	id = cpuid(0x15);
	if (!id.eax || !id.ebx)
		return 0;
	if (id.ecx)
		return mul_div(id.ecx, id.ebx, id.eax) / 1000;
	return max >= 0x16 ? (cpuid(0x16).eax & 0xffff) * 1000ull : 0;
}

static uint64_t khz_from_hypervisor(void)
{
	if (!cpu_reports(CPUID_HYPERVISOR) || cpuid(0x40000000).eax < 0x40000010)
		return 0;
	return cpuid(0x40000010).eax;
}

struct sample {
	uint64_t tsc, ref;
};

/* Both counters at the same moment: the attempt with the shortest read of the slower one. */
static struct sample read_both(const struct tsc_reference *ref)
{
	uint64_t before, val, after, shortest = UINT64_MAX;
	struct sample s = {};
	unsigned i;

	for (i = 0; i < READ_ATTEMPTS; i++) {
		before = rdtsc_ordered();
		val = ref->read();
		after = rdtsc_ordered();
		if (after - before >= shortest)
			continue;
		shortest = after - before;
		s = (struct sample){before + (after - before) / 2, val};
	}
	return s;
}

static uint64_t khz_from_measurement(const struct tsc_reference *ref)
{
	/* A coarse counter needs a longer look: 1 tick in 5000 at the least. */
	uint64_t ticks = max(mul_div(MEASURE_NS, ref->hz, NSEC_PER_SEC), 5000ull);
	struct sample from = read_both(ref), to;
	uint64_t elapsed;

	while (((ref->read() - from.ref) & ref->mask) < ticks)
		cpu_relax();
	to = read_both(ref);
	elapsed = (to.ref - from.ref) & ref->mask;
	return mul_div(to.tsc - from.tsc, ref->hz, elapsed) / 1000;
}

static void set_khz(uint64_t khz, const char *source)
{
	HV_BUG_ON(!khz);
	tsc_khz = khz;
	ns_per_tick = mul_div(1000000ull, 1ull << FRACTION_BITS, khz);
	ticks_per_ns = mul_div(khz, 1ull << FRACTION_BITS, 1000000);
	log_info("tsc: %lu.%03lu MHz (%s)", khz / 1000, khz % 1000, source);
}

/*
 * An emulator may show a model's frequency, and run at another one by orders of magnitude. With
 * nothing measured it has to be believed.
 */
static bool is_credible(uint64_t khz, uint64_t measured)
{
	if (!measured)
		return true;
	return khz > measured - measured / 8 && khz < measured + measured / 8;
}

void tsc_init(const struct tsc_reference *ref)
{
	uint64_t measured = ref ? khz_from_measurement(ref) : 0;
	uint64_t khz = khz_from_cpuid();

	if (khz && is_credible(khz, measured)) {
		set_khz(khz, "CPUID");
		return;
	}
	khz = khz_from_hypervisor();
	if (khz && is_credible(khz, measured))
		set_khz(khz, "hypervisor leaf");
	else if (measured)
		set_khz(measured, ref->name);
	else
		panic("tsc: HPET, PM timer and 8254 stand still, and CPUID does not tell its "
		      "frequency");
}
