/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Register access to the local APIC and the IOAPIC.
 */
#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "hypercall.h"
#include "ktap.h"

static volatile uint32_t *xapic(unsigned reg)
{
	return (volatile uint32_t *)(APIC_BASE_PA + reg);
}

uint32_t apic_read(unsigned reg)
{
	return apic_is_x2() ? (uint32_t)rdmsr(MSR_X2APIC + reg / 16) : *xapic(reg);
}

void apic_write(unsigned reg, uint32_t val)
{
	if (apic_is_x2())
		wrmsr(MSR_X2APIC + reg / 16, val);
	else
		*xapic(reg) = val;
}

uint32_t apic_id(void)
{
	return apic_is_x2() ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

uint32_t apic_khz(void)
{
	return is_umbra() ? cpuid(HV_TIMING_LEAF).b : 1000000;
}

void apic_enable(void)
{
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | APICBASE_ENABLE);
	apic_write(APIC_SVR, SVR_ENABLE | SPURIOUS_VECTOR);
	apic_write(APIC_TPR, 0);
}

void apic_enter_x2(void)
{
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | APICBASE_ENABLE);
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) | APICBASE_X2APIC);
	apic_enable();
}

void apic_leave_x2(void)
{
	wrmsr(MSR_APICBASE, rdmsr(MSR_APICBASE) & ~(APICBASE_ENABLE | APICBASE_X2APIC));
	apic_enable();
}

void apic_send_ipi(uint32_t dest, uint32_t icr_low)
{
	if (apic_is_x2()) {
		wrmsr(MSR_X2APIC + APIC_ICR / 16, (uint64_t)dest << 32 | icr_low);
		return;
	}
	*xapic(APIC_ICR2) = dest << 24;
	*xapic(APIC_ICR) = icr_low;
	while (*xapic(APIC_ICR) & ICR_BUSY)
		pause();
}

bool apic_test_vector(unsigned reg, unsigned vector)
{
	return apic_read(reg + vector / 32 * 16) >> vector % 32 & 1;
}

/* Select and data belong together: a handler must not select another register in between. */
uint32_t ioapic_read(unsigned reg)
{
	unsigned long flags = read_flags();
	uint32_t val;

	cli();
	*(volatile uint32_t *)IOAPIC_PA = reg;
	val = *(volatile uint32_t *)(IOAPIC_PA + 16);
	write_flags(flags);
	return val;
}

void ioapic_write(unsigned reg, uint32_t val)
{
	unsigned long flags = read_flags();

	cli();
	*(volatile uint32_t *)IOAPIC_PA = reg;
	*(volatile uint32_t *)(IOAPIC_PA + 16) = val;
	write_flags(flags);
}

void ioapic_route(unsigned pin, uint32_t low, uint8_t dest)
{
	ioapic_write(IOAPIC_REDIR(pin), LVT_MASKED);
	ioapic_write(IOAPIC_REDIR(pin) + 1, (uint32_t)dest << 24);
	ioapic_write(IOAPIC_REDIR(pin), low);
}

unsigned ioapic_isa_pin(unsigned irq)
{
	const struct acpi_madt *madt = acpi_find("APIC");
	const uint8_t *p, *end;

	if (!madt)
		return irq;
	end = (const uint8_t *)madt + madt->header.length;
	for (p = madt->entries; p + 2 <= end && p[1]; p += p[1])
		if (p[0] == 2 && p[3] == irq) /* interrupt source override: bus, source, GSI */
			return p[4];
	return irq;
}
