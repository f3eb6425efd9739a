/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87 errors of a guest that has CR0.NE clear: they come as IRQ 13, by FERR# and the 8259, and not
 * as #MF; port 0xf0 takes the request back, and has the CPU ignore the error meanwhile, by IGNNE#
 * (SDM volume 1, 8.7.2 and 8.7.3; APM volume 2, 8.2.17). QEMU 7.2 aborts at FERR#.
 * run: umbra=1
 */
#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "pit.h"
#include "trap.h"

#define FERR_PORT 0xf0
#define FCW_ZE    0x037b /* division by zero is not masked */
#define FSW_ZE    0x0004
#define FSW_ES    0x0080
#define VEC       0x2d
#define WAIT_MS   1000
#define QUIET_MS  20

static volatile unsigned irqs;
static volatile uint16_t status; /* as the handler has found it */
static volatile bool waits_inside;

static uint16_t read_fsw(void)
{
	uint16_t fsw;

	__asm__ volatile("fnstsw %0" : "=a"(fsw));
	return fsw;
}

static bool on_irq13(struct regs *regs)
{
	irqs++;
	status = read_fsw();
	outb(FERR_PORT, 0);
	if (waits_inside)
		__asm__ volatile("fwait"); /* goes on, by IGNNE# */
	__asm__ volatile("fnclex");
	pic_eoi(13);
	return true;
}

static void open_irq13(bool ne)
{
	unsigned long cr0 = read_cr0() & ~(CR0_EM | CR0_TS | CR0_NE);

	cli();
	write_cr0(ne ? cr0 | CR0_NE : cr0);
	irqs = 0;
	waits_inside = false;
	apic_enable();
	apic_write(APIC_LVT0, ICR_EXTINT);
	pic_init(0x20);
	trap_set(VEC, on_irq13);
	pic_unmask(1 << 13 | 1 << 2);
	sti();
}

static void close_irq13(void)
{
	cli();
	__asm__ volatile("fninit");
	outb(FERR_PORT, 0);
	pic_unmask(0);
}

/* One over zero; the error waits for the next x87 instruction that looks for it. */
static void divide_by_zero(void)
{
	static const uint16_t fcw = FCW_ZE;

	__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp" : : "m"(fcw));
}

TEST(an_error_is_irq_13)
{
	open_irq13(false);
	for (unsigned i = 1; i <= 3; i++) {
		divide_by_zero();
		CHECK_EQ(TRY(__asm__ volatile("fwait")), NO_FAULT);
		CHECK(wait_until(irqs == i, WAIT_MS));
		CHECK_EQ(status & (FSW_ES | FSW_ZE), FSW_ES | FSW_ZE);
	}
	close_irq13();
}

TEST(with_ne_it_is_an_exception)
{
	open_irq13(true);
	divide_by_zero();
	CHECK_EQ(TRY(__asm__ volatile("fwait")), MF_VECTOR);
	delay_us(QUIET_MS * 1000);
	close_irq13();
	CHECK_EQ(irqs, 0);
}

TEST(port_f0_has_the_error_ignored)
{
	open_irq13(false);
	waits_inside = true;
	divide_by_zero();
	CHECK_EQ(TRY(__asm__ volatile("fwait")), NO_FAULT);
	CHECK(wait_until(irqs == 1, WAIT_MS));
	waits_inside = false;
	divide_by_zero(); /* and the next one is not */
	__asm__ volatile("fwait");
	CHECK(wait_until(irqs == 2, WAIT_MS));
	close_irq13();
}

TEST(without_an_error_nothing_comes)
{
	open_irq13(false);
	outb(FERR_PORT, 0);
	__asm__ volatile("fninit; fld1; fldz; fdivrp; fwait"); /* masked */
	delay_us(QUIET_MS * 1000);
	close_irq13();
	CHECK_EQ(irqs, 0);
}

TEST(the_guest_sees_its_own_ne)
{
	open_irq13(false);
	CHECK_EQ(read_cr0() & CR0_NE, 0);
	write_cr0(read_cr0() | CR0_NE);
	CHECK_EQ(read_cr0() & CR0_NE, CR0_NE);
	write_cr0(read_cr0() & ~CR0_NE);
	CHECK_EQ(read_cr0() & CR0_NE, 0);
	close_irq13();
}
