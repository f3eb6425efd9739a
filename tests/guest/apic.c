/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC of one CPU: registers, priorities, interrupts and NMIs to itself, x2APIC mode (SDM
 * volume 3, chapter 11). Others: apic_ipi.c, apic_timer.c.
 */
#include "apic.h"
#include "clock.h"
#include "flaws.h"
#include "hypercall.h"
#include "interrupts.h"
#include "ktap.h"

/* --- registers -------------------------------------------------------------------------------- */

TEST(version_and_id)
{
	uint32_t version = apic_read(APIC_VERSION);

	CHECK((version & 0xff) >= 0x10 && (version & 0xff) <= 0x15);
	CHECK((version >> 16 & 0xff) >= 4);
	CHECK_EQ(apic_id(), cpuid(1).b >> 24);
	CHECK_EQ(apic_id(), 0);
}

TEST(registers_keep_their_bits)
{
	apic_enable();
	apic_write(APIC_LVTT, LVT_MASKED | LVT_PERIODIC | VEC);
	CHECK_EQ(apic_read(APIC_LVTT), LVT_MASKED | LVT_PERIODIC | VEC);
	apic_write(APIC_LVT0, LVT_MASKED | 0x700);
	CHECK_EQ(apic_read(APIC_LVT0), LVT_MASKED | 0x700);
	apic_write(APIC_LVT1, LVT_MASKED | 0x400);
	CHECK_EQ(apic_read(APIC_LVT1), LVT_MASKED | 0x400);
	apic_write(APIC_LVTERR, LVT_MASKED | VEC);
	CHECK_EQ(apic_read(APIC_LVTERR), LVT_MASKED | VEC);
	apic_write(APIC_TDCR, 0xb);
	CHECK_EQ(apic_read(APIC_TDCR), 0xb);
	apic_write(APIC_TPR, 0x35);
	CHECK_EQ(apic_read(APIC_TPR), 0x35);
	apic_write(APIC_TPR, 0);
}

TEST(logical_destination_registers)
{
	SKIP_UNLESS(!apic_is_x2(), "x2APIC mode");
	apic_write(APIC_DFR, 0xffffffff);
	CHECK_EQ(apic_read(APIC_DFR), 0xffffffff);
	apic_write(APIC_LDR, 0x04000000);
	CHECK_EQ(apic_read(APIC_LDR), 0x04000000);
}

TEST(software_disable_masks_the_lvt)
{
	apic_enable();
	apic_write(APIC_LVTT, VEC);
	apic_write(APIC_LVT1, 0x400);
	apic_write(APIC_SVR, SPURIOUS_VECTOR);
	SKIP_UNLESS(is_umbra() || apic_read(APIC_LVT1) & LVT_MASKED,
		    "this APIC leaves the mask bits alone");
	CHECK(apic_read(APIC_LVTT) & LVT_MASKED);
	CHECK(apic_read(APIC_LVT1) & LVT_MASKED);
	apic_write(APIC_LVTT, VEC); /* stays masked while disabled */
	CHECK(apic_read(APIC_LVTT) & LVT_MASKED);
	apic_enable();
	CHECK(apic_read(APIC_LVTT) & LVT_MASKED);
}

/* --- interrupts to oneself -------------------------------------------------------------------- */

TEST(self_ipi_by_shorthand)
{
	irq_expect(VEC);
	apic_send_ipi(0, ICR_SELF | ICR_FIXED | VEC);
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
	CHECK(!apic_test_vector(APIC_ISR, VEC) && !apic_test_vector(APIC_IRR, VEC));
}

TEST(self_ipi_by_physical_id)
{
	irq_expect(VEC);
	apic_send_ipi(apic_id(), ICR_FIXED | VEC);
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
}

TEST(ipi_waits_in_irr)
{
	irq_expect(VEC);
	cli();
	apic_send_ipi(0, ICR_SELF | VEC);
	CHECK(wait_until(apic_test_vector(APIC_IRR, VEC), WAIT_MS));
	CHECK_EQ(irq_seen[0], 0);
	CHECK(!apic_test_vector(APIC_ISR, VEC));
	apic_send_ipi(0, ICR_SELF | VEC); /* merges with the one that waits */
	delay_us(100);
	sti();
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
	delay_us(100);
	CHECK_EQ(irq_seen[0], 1);
}

static volatile bool in_service;

static bool look_at_isr(struct regs *regs)
{
	in_service = apic_test_vector(APIC_ISR, (unsigned)regs->vector) &&
		     !apic_test_vector(APIC_IRR, (unsigned)regs->vector) &&
		     (apic_read(APIC_PPR) & 0xf0) == (regs->vector & 0xf0);
	return irq_note(regs);
}

TEST(isr_and_ppr_during_service)
{
	irq_expect(VEC);
	trap_set(VEC, look_at_isr);
	in_service = false;
	apic_send_ipi(0, ICR_SELF | VEC);
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
	CHECK(in_service);
	CHECK_EQ(apic_read(APIC_PPR), 0);
}

TEST(higher_priority_first)
{
	static const uint8_t vectors[] = {0x52, 0x31, 0xa0, 0x71, 0x53, 0xef};

	irq_expect(0x31);
	cli();
	for (unsigned i = 0; i < sizeof(vectors); i++) {
		trap_set(vectors[i], irq_note);
		apic_send_ipi(0, ICR_SELF | vectors[i]);
	}
	delay_us(100);
	sti();
	CHECK(wait_until(irq_nr == sizeof(vectors), WAIT_MS));
	for (unsigned i = 1; i < irq_nr; i++)
		CHECK(irq_order[i - 1] > irq_order[i]);
}

TEST(tpr_holds_back)
{
	irq_expect(VEC_LOW);
	trap_set(VEC_HIGH, irq_note);
	apic_write(APIC_TPR, 0x50);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	apic_send_ipi(0, ICR_SELF | VEC_HIGH);
	CHECK(wait_until(irq_nr == 1, WAIT_MS));
	delay_us(1000);
	CHECK_EQ(irq_nr, 1);
	CHECK_EQ(irq_order[0], VEC_HIGH);
	CHECK_EQ(apic_read(APIC_PPR), 0x50);
	apic_write(APIC_TPR, 0);
	CHECK(wait_until(irq_nr == 2, WAIT_MS));
	CHECK_EQ(irq_order[1], VEC_LOW);
}

TEST(tpr_of_the_same_class_holds_back)
{
	irq_expect(VEC_LOW);
	apic_write(APIC_TPR, VEC_LOW & 0xf0);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	delay_us(1000);
	CHECK_EQ(irq_nr, 0);
	apic_write(APIC_TPR, (VEC_LOW & 0xf0) - 1);
	CHECK(wait_until(irq_nr == 1, WAIT_MS));
	apic_write(APIC_TPR, 0);
}

#ifdef __x86_64__
TEST(cr8_is_tpr)
{
	apic_enable();
	for (unsigned i = 0; i < 16; i++) {
		write_cr8(i);
		CHECK_EQ(read_cr8(), i);
		CHECK_EQ(apic_read(APIC_TPR), i << 4);
	}
	apic_write(APIC_TPR, 0x9f);
	CHECK_EQ(read_cr8(), 9);
	if (refuses_cr8_bits())
		CHECK_EQ(TRY(write_cr8(16)), GP_VECTOR);
	apic_write(APIC_TPR, 0);
	CHECK_EQ(read_cr8(), 0);
}

TEST(cr8_holds_back)
{
	irq_expect(VEC_LOW);
	write_cr8(5);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	delay_us(1000);
	CHECK_EQ(irq_nr, 0);
	write_cr8(0);
	CHECK(wait_until(irq_nr == 1, WAIT_MS));
}
#endif

static bool nest_high(struct regs *regs)
{
	apic_send_ipi(0, ICR_SELF | VEC_HIGH);
	apic_send_ipi(0, ICR_SELF | VEC_LOW);
	sti();
	delay_us(1000);
	cli();
	return irq_note(regs);
}

TEST(higher_interrupts_lower)
{
	irq_expect(VEC_LOW);
	trap_set(VEC_HIGH, irq_note);
	trap_set(VEC, nest_high);
	apic_send_ipi(0, ICR_SELF | VEC);
	CHECK(wait_until(irq_nr == 3, WAIT_MS));
	CHECK(irq_order[0] == VEC_HIGH && irq_order[1] == VEC && irq_order[2] == VEC_LOW);
}

TEST(illegal_vector_is_an_error)
{
	SKIP_UNLESS(refuses_values(), "this APIC delivers the vector");
	apic_enable();
	apic_write(APIC_LVTERR, LVT_MASKED | VEC);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	apic_send_ipi(0, ICR_SELF | 5);
	delay_us(1000);
	apic_write(APIC_ESR, 0);
	CHECK(apic_read(APIC_ESR) & 0x60); /* send or receive illegal vector */
	apic_write(APIC_ESR, 0);
	apic_write(APIC_ESR, 0);
	CHECK_EQ(apic_read(APIC_ESR), 0);
}

TEST(error_interrupt)
{
	SKIP_UNLESS(refuses_values(), "this APIC delivers the vector");
	irq_expect(VEC);
	apic_write(APIC_ESR, 0);
	apic_write(APIC_LVTERR, VEC);
	apic_send_ipi(0, ICR_SELF | 5);
	CHECK(wait_until(irq_seen[0] >= 1, WAIT_MS));
	apic_write(APIC_LVTERR, LVT_MASKED);
	apic_write(APIC_ESR, 0);
}

/* --- NMI -------------------------------------------------------------------------------------- */

static volatile unsigned nmis, nmi_depth, nmi_deepest;

static bool on_nmi(struct regs *regs)
{
	nmi_depth++;
	if (nmi_depth > nmi_deepest)
		nmi_deepest = nmi_depth;
	if (nmis++ == 0) { /* another waits until this one has returned */
		apic_send_ipi(apic_id(), ICR_NMI);
		delay_us(1000);
	}
	nmi_depth--;
	return true;
}

TEST(nmi_to_oneself)
{
	apic_enable();
	trap_set(NMI_VECTOR, on_nmi);
	nmis = nmi_depth = nmi_deepest = 0;
	cli();
	apic_send_ipi(apic_id(), ICR_NMI);
	CHECK(wait_until(nmis == 2, WAIT_MS));
	CHECK_EQ(nmi_deepest, 1);
}

/* --- x2APIC ----------------------------------------------------------------------------------- */

TEST(x2apic_registers)
{
	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	apic_enter_x2();
	REQUIRE(apic_is_x2());
	CHECK_EQ(apic_id(), cpuid(1).b >> 24);
	CHECK_EQ(apic_read(APIC_LDR), 1); /* cluster 0, bit 0 */
	CHECK((apic_read(APIC_VERSION) & 0xff) >= 0x10);
	CHECK_EQ(TRY(rdmsr(0x80e)), GP_VECTOR); /* DFR is gone */
	CHECK_EQ(TRY(rdmsr(0x831)), GP_VECTOR); /* ICR is one register */
	CHECK_EQ(TRY(wrmsr(0x802, 0)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x803, 0)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x80a, 0)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x80b, 1)), GP_VECTOR); /* EOI takes only 0 */
	CHECK_EQ(TRY(wrmsr(0x828, 1)), GP_VECTOR); /* so does ESR */
	CHECK_EQ(TRY(wrmsr(0x808, 0x100)), GP_VECTOR);
	CHECK_EQ(TRY(wrmsr(0x80f, 0x100000000ull)), GP_VECTOR);
	CHECK_EQ(TRY(rdmsr(0x83f)), GP_VECTOR); /* self IPI is write-only */
	CHECK_EQ(TRY(rdmsr(0x8ff)), GP_VECTOR);
	apic_leave_x2();
	CHECK(!apic_is_x2());
	CHECK_EQ(apic_id(), 0);
}

TEST(x2apic_transitions)
{
	const volatile uint64_t base = rdmsr(MSR_APICBASE);

	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	CHECK_EQ(TRY(wrmsr(MSR_APICBASE, (base & ~APICBASE_ENABLE) | APICBASE_X2APIC)), GP_VECTOR);
	apic_enter_x2();
	CHECK_EQ(TRY(wrmsr(MSR_APICBASE, base)), GP_VECTOR); /* not straight back to xAPIC */
	apic_leave_x2();
	wrmsr(MSR_APICBASE, base & ~APICBASE_ENABLE);
	CHECK_EQ(TRY(wrmsr(MSR_APICBASE, base | APICBASE_X2APIC)), GP_VECTOR);
	wrmsr(MSR_APICBASE, base);
	apic_enable();
}

TEST(x2apic_self_ipi)
{
	SKIP_UNLESS(HAS_X2APIC, "no x2APIC");
	apic_enter_x2();
	irq_expect(VEC);
	apic_write(APIC_SELF_IPI, VEC);
	CHECK(wait_until(irq_seen[0] == 1, WAIT_MS));
	cli();
	apic_leave_x2();
}
