/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The three counters. HPET: IA-PC HPET specification 1.0a, 2.3. PM timer: ACPI 4.8.3.3. 8254:
 * channel 2, which is gated by port 0x61 and disturbs nobody, as a free-running down counter.
 */
#include "drivers/timeref.h"

#include <stdbool.h>

#include "arch/x86/cpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/tsc.h"
#include "drivers/acpi.h"

#define HPET_CAPABILITIES 0x000
#define HPET_PERIOD       0x004 /* femtoseconds: the upper half of the capabilities */
#define HPET_CONFIG       0x010
#define HPET_COUNTER      0x0f0
#define HPET_ENABLE       BIT(0)
#define HPET_MAX_PERIOD   100000000 /* the specification's limit: 10 MHz */
#define HPET_LEN          1024

#define PM_TIMER_HZ 3579545
#define PIT_HZ      1193182
#define PIT_CHANNEL 0x42
#define PIT_COMMAND 0x43
#define PIT_LATCH_2 0x80
#define PIT_SETUP_2 0xb4 /* channel 2, low and high byte, mode 2 */
#define PORT_61     0x61
#define GATE_2      0x01
#define SPEAKER     0x02

#define PROBE_TURNS 10000

static volatile uint8_t *hpet;
static uint16_t pm_timer_port;

static uint64_t read_hpet(void)
{
	return mmio_read32(hpet + HPET_COUNTER);
}

static uint64_t read_pm_timer(void)
{
	return inl(pm_timer_port);
}

/* Counts down: turn it around. */
static uint64_t read_pit(void)
{
	uint8_t low;

	outb(PIT_COMMAND, PIT_LATCH_2);
	low = inb(PIT_CHANNEL);
	return 0xffffu - (uint16_t)(low | inb(PIT_CHANNEL) << 8);
}

static bool is_running(const struct tsc_reference *ref)
{
	uint64_t first = ref->read();
	unsigned i;

	for (i = 0; i < PROBE_TURNS; i++)
		if ((ref->read() ^ first) & ref->mask)
			return true;
	return false;
}

static const struct tsc_reference *find_hpet(const struct acpi_info *info)
{
	static struct tsc_reference ref = {"HPET", 0, read_hpet, UINT32_MAX};
	uint32_t period;

	if (!info->hpet_base)
		return NULL;
	hpet = paging_map(HPA(info->hpet_base), HPET_LEN, PAGING_UC);
	period = mmio_read32(hpet + HPET_PERIOD);
	if (!period || period > HPET_MAX_PERIOD)
		return NULL;
	ref.hz = 1000000000000000ull / period;
	mmio_write32(hpet + HPET_CONFIG, mmio_read32(hpet + HPET_CONFIG) | HPET_ENABLE);
	return is_running(&ref) ? &ref : NULL;
}

static const struct tsc_reference *find_pm_timer(const struct acpi_info *info)
{
	static const struct tsc_reference ref = {"PM timer", PM_TIMER_HZ, read_pm_timer, 0xffffff};

	if (info->pm_timer.space != ACPI_SPACE_IO || !info->pm_timer.addr)
		return NULL;
	pm_timer_port = (uint16_t)info->pm_timer.addr;
	return is_running(&ref) ? &ref : NULL;
}

static const struct tsc_reference *start_pit(void)
{
	static const struct tsc_reference ref = {"8254", PIT_HZ, read_pit, 0xffff};

	outb(PORT_61, (uint8_t)((inb(PORT_61) & ~SPEAKER) | GATE_2));
	outb(PIT_COMMAND, PIT_SETUP_2);
	outb(PIT_CHANNEL, 0);
	outb(PIT_CHANNEL, 0);
	return is_running(&ref) ? &ref : NULL; /* its clock may be gated off, to save power */
}

const struct tsc_reference *timeref_find(const struct acpi_info *info)
{
	const struct tsc_reference *ref = find_hpet(info);

	if (!ref)
		ref = find_pm_timer(info);
	return ref ? ref : start_pit();
}
