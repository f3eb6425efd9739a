/* SPDX-License-Identifier: BSD-2-Clause */
/* The vCPUs behind the local APICs: they note what they are asked. */
#include "tests/unit/support/apics.h"

#include <string.h>

#include "tests/unit/support/clock.h"

struct lapic_group apics;
struct lapic apic[VM_MAX_VCPUS];
struct apic_calls apic_calls[VM_MAX_VCPUS];
struct timer_queue apic_queue;
unsigned apic_eois;
uint8_t apic_eoi_vector;

static void notify(void *vm, unsigned vcpu)
{
	apic_calls[vcpu].notify++;
}

static void nmi(void *vm, unsigned vcpu)
{
	apic_calls[vcpu].nmi++;
}

static void init(void *vm, unsigned vcpu)
{
	apic_calls[vcpu].init++;
}

static void startup(void *vm, unsigned vcpu, uint8_t vector)
{
	apic_calls[vcpu].startup++;
	apic_calls[vcpu].sipi_vector = vector;
}

static const struct dev_host host = {
	.notify = notify,
	.nmi = nmi,
	.init = init,
	.startup = startup,
};

static void eoi(void *ctx, uint8_t vector)
{
	apic_eois++;
	apic_eoi_vector = vector;
}

static void earlier(struct timer_queue *q) {}

void apics_create(unsigned nr)
{
	clock_set_ns(NSEC_PER_SEC);
	timer_queue_init(&apic_queue, earlier);
	lapic_group_init(&apics, &host, NULL, eoi, NULL, 40);
	for (unsigned i = 0; i < nr; i++)
		lapic_init(&apic[i], &apics, i, &apic_queue);
	apics_forget_calls();
}

void apics_forget_calls(void)
{
	memset(apic_calls, 0, sizeof(apic_calls));
	apic_eois = 0;
}

void apics_advance_ns(uint64_t ns)
{
	uint64_t target = clock_ns() + ns, next;

	while ((next = timer_queue_next(&apic_queue)) <= target) {
		clock_set_ns(next > clock_ns() ? next : clock_ns());
		timer_queue_run(&apic_queue, clock_ns());
	}
	clock_set_ns(target);
}

uint32_t apic_read(struct lapic *l, unsigned off)
{
	return lapic_mmio_read(l, off, 4);
}

void apic_write(struct lapic *l, unsigned off, uint32_t val)
{
	lapic_mmio_write(l, off, 4, val);
}

void apic_enable(struct lapic *l)
{
	apic_write(l, 0xf0, 0x1ff);
}

void apic_enable_x2apic(struct lapic *l)
{
	apic_enable(l);
	lapic_set_base(l, l->base | LAPIC_BASE_X2APIC);
}

int apic_take(struct lapic *l)
{
	int vector = lapic_pending(l);

	if (vector >= 0)
		lapic_ack(l, vector);
	return vector;
}
