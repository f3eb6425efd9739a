/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TSC calibration. The PIT's channel 2 counts down in mode 0 and raises its output, seen in port
 * 0x61; the polling loop gives up on a machine whose PIT stands still.
 */
#include "clock.h"
#include "hypercall.h"
#include "ktap.h"
#include "pit.h"

#define CALIBRATION_MS 4
#define ATTEMPTS       8
#define GIVE_UP_TICKS  4000000000ull

static uint64_t measure(void)
{
	uint64_t start = rdtsc();

	outb(PORT_61, (inb(PORT_61) & ~PORT_61_SPEAKER) | PORT_61_GATE2);
	pit_program(2, PIT_MODE0, (uint16_t)(PIT_HZ * CALIBRATION_MS / 1000));
	while (!(inb(PORT_61) & PORT_61_OUT2))
		if (rdtsc() - start > GIVE_UP_TICKS)
			bail_out("PIT channel 2 does not count");
	return (rdtsc() - start) / CALIBRATION_MS;
}

/* Whatever disturbs a measurement makes it longer: the shortest of a few is the best. */
uint64_t tsc_measure_khz(void)
{
	uint64_t best = measure();

	for (unsigned i = 1; i < ATTEMPTS; i++) {
		uint64_t khz = measure();

		if (khz < best)
			best = khz;
	}
	return best;
}

uint64_t tsc_khz(void)
{
	static uint64_t khz;

	if (!khz)
		khz = is_umbra() ? cpuid(HV_TIMING_LEAF).a : tsc_measure_khz();
	return khz;
}

void delay_us(unsigned us)
{
	uint64_t end = rdtsc() + us_to_tsc(us);

	while (rdtsc() < end)
		pause();
}
