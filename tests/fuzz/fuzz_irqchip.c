/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt controllers and timers under any sequence of a guest's accesses, with time passing
 * between them. Whatever the guest does: no undefined behaviour, no endless work in one call, no
 * timer that fires faster than a host can serve, and what the local APIC reports can be taken.
 */
#include <stdlib.h>

#include "lib/panic.h"
#include "tests/unit/support/apics.h"
#include "tests/unit/support/clock.h"
#include "vmm/dev/apic/ioapic.h"
#include "vmm/dev/pic.h"
#include "vmm/dev/pit.h"
#include "vmm/dev/rtc.h"

#define NR_APICS 3
/* The fastest that all timers together may ask for: 3 APICs, the PIT and the RTC. */
#define MAX_FIRES_PER_MS (4 * 50 + 9 + 8)

static struct ioapic ioapic;
static struct pic pic;
static struct pit pit;
static struct rtc rtc;
static struct spinlock lock;

static void set_intr(void *ctx, unsigned line, bool level)
{
	lapic_group_set_lint(&apics, 0, level);
}

static void set_irq(void *ctx, unsigned line, bool level)
{
	pic_set_irq(&pic, line, level);
	ioapic_set_irq(&ioapic, line, level);
}

static void eoi(void *ctx, uint8_t vector)
{
	ioapic_eoi(&ioapic, vector);
}

static void create(void)
{
	struct irq_line intr = {set_intr, NULL, 0}, irq0 = {set_irq, NULL, 0},
			irq8 = {set_irq, NULL, 8};

	apics_create(NR_APICS);
	apics.eoi = eoi;
	lapic_set_virtual_wire(&apic[0]);
	spin_init(&lock);
	ioapic_init(&ioapic, &apics, lapic_deliver);
	pic_init(&pic, &intr);
	pit_init(&pit, &irq0, &apic_queue, &lock);
	rtc_init(&rtc, 1700000000, 1ull << 30, &irq8, &apic_queue, &lock);
}

struct op {
	uint8_t what, reg, size;
	uint32_t val;
} __attribute__((packed));

/* The vCPU runs: takes what is there, and sometimes ends it. */
static void run_vcpu(struct lapic *l, const struct op *op)
{
	int vector = apic_take(l);

	HV_BUG_ON(vector >= 0 && vector < 16);
	if (pic_intr(&pic) && lapic_extint_open(l)) {
		lapic_extint_acked(l);
		pic_ack(&pic);
	}
	lapic_set_cr8(l, op->val & 0xf);
}

static void pass_time(uint64_t ns)
{
	uint64_t end = clock_ns() + ns, next;
	unsigned fires = 0;

	while ((next = timer_queue_next(&apic_queue)) <= end) {
		clock_set_ns(next > clock_ns() ? next : clock_ns());
		timer_queue_run(&apic_queue, clock_ns());
		HV_BUG_ON(++fires > MAX_FIRES_PER_MS * (ns / NSEC_PER_MSEC + 1) + 16);
	}
	clock_set_ns(end);
}

static void access(const struct op *op)
{
	static const uint8_t sizes[] = {1, 2, 4, 8};
	struct lapic *l = &apic[op->reg % NR_APICS];
	unsigned size = sizes[op->size & 3], byte = op->reg & 1;
	uint64_t val = op->val, out;

	switch (op->what % 16) {
	case 0:
		pit_write(&pit, op->reg & 3, 1, val);
		break;
	case 1:
		pit_read(&pit, op->reg & 3, 1);
		pit_speaker_read(&pit, 0, 1);
		break;
	case 2:
		pit_speaker_write(&pit, 0, 1, val);
		break;
	case 3:
		rtc_write(&rtc, 0, 1, op->reg);
		rtc_write(&rtc, 1, 1, val);
		break;
	case 4:
		rtc_write(&rtc, 0, 1, op->reg);
		rtc_read(&rtc, 1, 1);
		break;
	case 5:
		pic_write(&pic.chip[op->size & 1], byte, 1, val);
		break;
	case 6:
		pic_read(&pic.chip[op->size & 1], byte, 1);
		pic_elcr_write(&pic, byte, 1, val);
		break;
	case 7:
		set_irq(NULL, op->reg % 24, val & 1);
		break;
	case 8:
		ioapic_write(&ioapic, 0, 4, op->reg);
		ioapic_write(&ioapic, 0x10, 4, val);
		break;
	case 9:
		ioapic_write(&ioapic, op->reg, size, val);
		ioapic_read(&ioapic, op->reg, size);
		break;
	case 10:
		lapic_mmio_write(l, (uint64_t)(op->size & 0x3f) << 4, 4, val);
		break;
	case 11:
		lapic_mmio_read(l, (val & 0xfff) & ~(uint64_t)(size - 1), size);
		break;
	case 12:
		lapic_msr_write(l, 0x800 + op->size, val | (uint64_t)op->reg << 32);
		lapic_msr_read(l, 0x800 + op->size, &out);
		break;
	case 13:
		if (op->size & 1)
			lapic_msr_write(l, 0x6e0, clock_ns() + (int32_t)val);
		else
			lapic_set_base(l, LAPIC_DEFAULT_BASE | (val & 0xd00));
		break;
	case 14:
		run_vcpu(l, op);
		break;
	default:
		pass_time(val % (op->size & 1 ? 2000 * NSEC_PER_USEC : 5000));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	create();
	for (; size >= sizeof(struct op); size -= sizeof(struct op), data += sizeof(struct op))
		access((const struct op *)data);
	/* A long pause, as of a VM that was stopped. */
	clock_advance_ns(100 * NSEC_PER_SEC);
	pass_time(NSEC_PER_MSEC);
	return 0;
}
