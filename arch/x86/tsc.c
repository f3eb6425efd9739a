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

#define MEASURE_NS    (50 * NSEC_PER_MSEC)
#define MEASURE_PPM   20 /* go on until it is as exact as that ... */
#define LONGEST       4  /* ... or so many times MEASURE_NS are over */
#define LOOK_NS       (2 * NSEC_PER_MSEC)
#define LOOK_PPM      1000 /* enough to see whether somebody's word can be true */
#define READ_ATTEMPTS 16
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

/*
 * SDM volume 2, CPUID, leaf 0x15: the crystal's frequency, and the ratio. 0: the CPU does not tell.
 * Where the crystal is missing, leaf 0x16 is no way to find it: that is the frequency on the box, a
 * round number, and the TSC's may be 2000 ppm from it.
 */
static uint64_t khz_from_cpuid(void)
{
	struct cpuid id;

	if (cpuid(0).eax < 0x15)
		return 0;
	id = cpuid(0x15);
	return id.eax && id.ebx ? mul_div(id.ecx, id.ebx, id.eax) / 1000 : 0;
}

static uint64_t khz_from_hypervisor(void)
{
	if (!cpu_reports(CPUID_HYPERVISOR) || cpuid(0x40000000).eax < 0x40000010)
		return 0;
	return cpuid(0x40000010).eax;
}

/* The reference showed `ref` at some moment between the two values of the TSC. */
struct sample {
	uint64_t before, after, ref;
};

static struct sample read_both(const struct tsc_reference *ref)
{
	struct sample s;

	s.before = rdtsc_ordered();
	s.ref = ref->read();
	s.after = rdtsc_ordered();
	return s;
}

/*
 * The tightest of some: the read of the reference takes long on its bus, and much longer when the
 * firmware's system management comes in between.
 */
static struct sample read_tightest(const struct tsc_reference *ref)
{
	struct sample best = read_both(ref), s;

	for (unsigned i = 1; i < READ_ATTEMPTS; i++) {
		s = read_both(ref);
		if (s.after - s.before < best.after - best.before)
			best = s;
	}
	return best;
}

/* What a measurement came to: the frequency is within `ppm` millionths of `khz`. */
struct estimate {
	uint64_t khz, ppm;
};

/*
 * Between two samples the reference has advanced by `ticks`, by more than one tick less and by less
 * than one tick more; and the TSC by what is between the inner two of its values at the least, and
 * the outer two at the most. What no sample can tell is how exact the reference itself is.
 */
static struct estimate estimate(const struct tsc_reference *ref, const struct sample *from,
				const struct sample *to, uint64_t ticks)
{
	uint64_t least = mul_div(to->before - from->after, ref->hz, ticks + 1);
	uint64_t most = mul_div(to->after - from->before, ref->hz, ticks - 1);
	uint64_t hz = least + (most - least) / 2;

	return (struct estimate){.khz = (hz + 500) / 1000,
				 .ppm = mul_div(most - hz, 1000000, hz) + 1};
}

/*
 * Measure for `ns` at the least, and go on up to LONGEST times that until the result is as exact as
 * it is meant to be. The reference is read all the time, so that it may wrap around.
 */
static struct estimate measure(const struct tsc_reference *ref, uint64_t ns, uint64_t ppm)
{
	uint64_t enough = mul_div(ns, ref->hz, NSEC_PER_SEC) + 2, ticks = 0, last;
	struct sample from = read_tightest(ref), to;
	struct estimate e, best = {.ppm = UINT64_MAX};

	last = from.ref;
	while (ticks < enough * LONGEST && best.ppm > ppm) {
		to = read_both(ref);
		ticks += (to.ref - last) & ref->mask;
		last = to.ref;
		if (ticks < enough)
			continue;
		e = estimate(ref, &from, &to, ticks);
		if (e.ppm < best.ppm)
			best = e;
	}
	return best;
}

static void set_khz(uint64_t khz)
{
	HV_BUG_ON(!khz);
	tsc_khz = khz;
	ns_per_tick = mul_div(1000000ull, 1ull << FRACTION_BITS, khz);
	ticks_per_ns = mul_div(khz, 1ull << FRACTION_BITS, 1000000);
}

/*
 * An emulator may show a model's frequency, and run at another one by orders of magnitude. With
 * nothing to measure by it has to be believed.
 */
static bool is_credible(uint64_t khz, const struct tsc_reference *ref)
{
	uint64_t measured;

	if (!khz || !ref)
		return khz;
	measured = measure(ref, LOOK_NS, LOOK_PPM).khz;
	return khz > measured - measured / 8 && khz < measured + measured / 8;
}

/* Somebody's word. */
static bool is_told(const struct tsc_reference *ref, uint64_t khz, const char *source)
{
	if (!is_credible(khz, ref))
		return false;
	set_khz(khz);
	log_info("tsc: %lu.%03lu MHz (%s)", khz / 1000, khz % 1000, source);
	return true;
}

void tsc_init(const struct tsc_reference *ref)
{
	struct estimate e;

	if (is_told(ref, khz_from_cpuid(), "CPUID") ||
	    is_told(ref, khz_from_hypervisor(), "hypervisor leaf"))
		return;
	if (!ref)
		panic("tsc: HPET, PM timer and 8254 stand still, and CPUID does not tell its "
		      "frequency");
	e = measure(ref, MEASURE_NS, MEASURE_PPM);
	set_khz(e.khz);
	log_info("tsc: %lu.%03lu MHz (%s, within %lu ppm)", e.khz / 1000, e.khz % 1000, ref->name,
		 e.ppm);
}
