/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pair of 8259 interrupt controllers: initialisation, masks, priorities, in-service bits and
 * spurious interrupts, with the PIT's channel 0 as the source (Intel 8259A data sheet).
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "pit.h"
#include "trap.h"

#define BASE      0x20
#define WAIT_MS   1000
#define TICKS(ms) ((uint16_t)(PIT_HZ * (ms) / 1000))

static volatile unsigned count[16];
static volatile bool end_it = true;

static bool on_irq(struct regs *regs)
{
	unsigned irq = (unsigned)regs->vector - BASE;

	count[irq]++;
	if (end_it)
		pic_eoi(irq);
	return true;
}

/* The 8259 reaches the CPU through LINT0 of the local APIC, in ExtINT mode. */
static void setup(uint16_t lines)
{
	memset((void *)count, 0, sizeof(count));
	end_it = true;
	apic_enable();
	apic_write(APIC_LVT0, ICR_EXTINT);
	for (unsigned i = 0; i < 16; i++)
		trap_set(BASE + i, on_irq);
	pic_init(BASE);
	pic_unmask(lines);
}

static void quiet(void)
{
	pit_program(0, PIT_MODE0, 0); /* high again only in 55 ms */
	pic_unmask(0);
	sti();
	delay_us(1000);
	cli();
}

TEST(masks_read_back)
{
	pic_init(BASE);
	CHECK_EQ(inb(PIC1_DATA), 0xff);
	for (unsigned i = 0; i < 256; i += 17) {
		outb(PIC1_DATA, (uint8_t)i);
		outb(PIC2_DATA, (uint8_t)~i);
		CHECK_EQ(inb(PIC1_DATA), i);
		CHECK_EQ(inb(PIC2_DATA), (uint8_t)~i);
	}
	pic_unmask(0);
}

TEST(irq0_is_delivered)
{
	setup(1);
	pit_program(0, PIT_MODE2, TICKS(2));
	sti();
	CHECK(wait_until(count[0] >= 5, WAIT_MS));
	cli();
	quiet();
}

TEST(mask_holds_it_back)
{
	setup(0);
	pit_program(0, PIT_MODE2, TICKS(2));
	sti();
	delay_us(20000);
	CHECK_EQ(count[0], 0);
	CHECK(wait_until(pic_read(PIC1_CMD, PIC_READ_IRR) & 1, WAIT_MS));
	pic_unmask(1); /* what waited comes now */
	CHECK(wait_until(count[0] >= 1, WAIT_MS));
	cli();
	quiet();
}

TEST(request_waits_for_if)
{
	setup(1);
	pit_program(0, PIT_MODE2, TICKS(2));
	CHECK(wait_until(pic_read(PIC1_CMD, PIC_READ_IRR) & 1, WAIT_MS));
	CHECK_EQ(count[0], 0);
	sti();
	CHECK(wait_until(count[0] >= 1, WAIT_MS));
	cli();
	quiet();
}

TEST(in_service_until_eoi)
{
	setup(1);
	end_it = false;
	pit_program(0, PIT_MODE2, TICKS(2));
	sti();
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	CHECK_EQ(pic_read(PIC1_CMD, PIC_READ_ISR) & 1, 1);
	delay_us(10000);
	CHECK_EQ(count[0], 1); /* not again before the EOI */
	end_it = true;
	pic_eoi(0);
	CHECK(wait_until(count[0] >= 3, WAIT_MS));
	cli();
	quiet();
	CHECK_EQ(pic_read(PIC1_CMD, PIC_READ_ISR), 0);
}

TEST(specific_eoi)
{
	setup(1);
	end_it = false;
	pit_program(0, PIT_MODE2, TICKS(2));
	sti();
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	cli();
	outb(PIC1_CMD, 0x61); /* of IRQ 1: not this one */
	CHECK_EQ(pic_read(PIC1_CMD, PIC_READ_ISR), 1);
	outb(PIC1_CMD, 0x60);
	CHECK_EQ(pic_read(PIC1_CMD, PIC_READ_ISR), 0);
	quiet();
}

TEST(automatic_eoi)
{
	setup(0);
	outb(PIC1_CMD, 0x11);
	outb(PIC1_DATA, BASE);
	outb(PIC1_DATA, 4);
	outb(PIC1_DATA, 3); /* automatic EOI */
	end_it = false;
	pic_unmask(1);
	pit_program(0, PIT_MODE2, TICKS(2));
	sti();
	CHECK(wait_until(count[0] >= 5, WAIT_MS));
	cli();
	quiet();
}

TEST(other_vector_base)
{
	setup(0);
	outb(PIC1_CMD, 0x11);
	outb(PIC1_DATA, 0x58);
	outb(PIC1_DATA, 4);
	outb(PIC1_DATA, 1);
	pic_unmask(1);
	pit_program(0, PIT_MODE2, TICKS(2));
	CHECK_EQ(TRY(sti(); wait_until(false, WAIT_MS)), 0x58);
	pic_eoi(0);
	quiet();
}

TEST(lint0_masked)
{
	setup(1);
	apic_write(APIC_LVT0, LVT_MASKED | ICR_EXTINT);
	pit_program(0, PIT_MODE2, TICKS(2));
	sti();
	delay_us(20000);
	CHECK_EQ(count[0], 0);
	apic_write(APIC_LVT0, ICR_EXTINT);
	CHECK(wait_until(count[0] >= 1, WAIT_MS));
	cli();
	quiet();
}

TEST(extint_ignores_tpr)
{
	setup(1);
	apic_write(APIC_TPR, 0xf0);
	pit_program(0, PIT_MODE2, TICKS(2));
	sti();
	CHECK(wait_until(count[0] >= 2, WAIT_MS));
	cli();
	apic_write(APIC_TPR, 0);
	quiet();
}

TEST(second_chip_through_the_rtc)
{
	uint8_t b;

	setup(1 << 8);
	outb(0x70, 0x0a);
	outb(0x71, 0x26); /* 1024 Hz */
	outb(0x70, 0x0b);
	b = inb(0x71);
	outb(0x70, 0x0b);
	outb(0x71, b | 0x40);
	outb(0x70, 0x0c);
	inb(0x71);
	sti();
	CHECK(wait_until(count[8] >= 1, WAIT_MS));
	outb(0x70, 0x0c);
	inb(0x71);
	CHECK(wait_until(count[8] >= 2, WAIT_MS));
	cli();
	outb(0x70, 0x0b);
	outb(0x71, b);
	outb(0x70, 0x0c);
	inb(0x71);
	quiet();
}

TEST(halt_wakes_by_irq0)
{
	setup(1);
	pit_program(0, PIT_MODE2, TICKS(5));
	for (unsigned i = 0; i < 5; i++)
		safe_halt();
	cli();
	CHECK(count[0] >= 5);
	quiet();
}

TEST(one_shot_by_mode_0)
{
	setup(1);
	pit_program(0, PIT_MODE0, TICKS(3));
	sti();
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	delay_us(20000);
	CHECK_EQ(count[0], 1);
	cli();
	quiet();
}

/* ELCR: IRQ 0, 1, 2, 8 and 13 are always edge-triggered. */
TEST(edge_level_register)
{
	uint8_t low = inb(0x4d0), high = inb(0x4d1);

	outb(0x4d0, 0xf8);
	outb(0x4d1, 0xde);
	CHECK_EQ(inb(0x4d0), 0xf8);
	CHECK_EQ(inb(0x4d1), 0xde);
	outb(0x4d0, 0xff);
	outb(0x4d1, 0xff);
	CHECK_EQ(inb(0x4d0), 0xf8);
	CHECK_EQ(inb(0x4d1), 0xde);
	outb(0x4d0, low);
	outb(0x4d1, high);
}
