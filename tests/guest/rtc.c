/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The real-time clock and its CMOS memory: time that moves, updates in progress, the formats, the
 * periodic interrupt on IRQ 8 (Motorola MC146818 data sheet).
 */
#include "apic.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "pit.h"

#define REG_A    0x0a
#define REG_B    0x0b
#define REG_C    0x0c
#define REG_D    0x0d
#define A_UIP    0x80
#define B_SET    0x80
#define B_PIE    0x40
#define B_UIE    0x10
#define B_BINARY 0x04
#define B_24H    0x02
#define C_IRQF   0x80
#define C_PF     0x40
#define C_UF     0x10
#define VEC      0x28

static uint8_t cmos_read(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void cmos_write(uint8_t reg, uint8_t val)
{
	outb(0x70, reg);
	outb(0x71, val);
}

TEST(battery_is_good)
{
	CHECK_EQ(cmos_read(REG_D) & 0x80, 0x80);
}

TEST(memory_keeps_its_bytes)
{
	uint8_t old = cmos_read(0x40);

	cmos_write(0x40, 0xa5);
	CHECK_EQ(cmos_read(0x40), 0xa5);
	cmos_write(0x40, old);
}

static bool bcd(uint8_t val, unsigned max)
{
	return (val & 15) <= 9 && (val >> 4) <= 9 && (unsigned)(val >> 4) * 10 + (val & 15) <= max;
}

TEST(date_and_time_are_sane)
{
	SKIP_UNLESS(!(cmos_read(REG_B) & B_BINARY), "binary mode");
	CHECK(bcd(cmos_read(0), 59));
	CHECK(bcd(cmos_read(2), 59));
	CHECK(bcd(cmos_read(4), 23));
	CHECK(bcd(cmos_read(7), 31) && cmos_read(7));
	CHECK(bcd(cmos_read(8), 12) && cmos_read(8));
	CHECK(bcd(cmos_read(9), 99));
	CHECK(bcd(cmos_read(0x32), 99));
}

TEST(seconds_advance)
{
	uint8_t start = cmos_read(0);

	CHECK(wait_seldom(cmos_read(0) != start, 3000));
}

/* UIP stands for 244 us before each update: look closely where it is to be expected. */
static bool saw_update_in_progress(void)
{
	uint8_t start = cmos_read(0);
	uint64_t end;

	wait_seldom(cmos_read(0) != start, 3000);
	delay_us(970000);
	end = rdtsc() + ms_to_tsc(60);
	while (rdtsc() < end)
		if (cmos_read(REG_A) & A_UIP)
			return true;
	return false;
}

TEST(update_in_progress)
{
	bool seen = false;

	/* A busy machine may let the moment pass. */
	for (unsigned attempt = 0; attempt < 12 && !seen; attempt++)
		seen = saw_update_in_progress();
	CHECK(seen);
	CHECK(wait_until(!(cmos_read(REG_A) & A_UIP), 100));
}

TEST(set_stops_the_clock)
{
	uint8_t b = cmos_read(REG_B), seconds = cmos_read(0);

	cmos_write(REG_B, b | B_SET);
	cmos_write(0, 0x42);
	CHECK_EQ(cmos_read(0), 0x42);
	delay_us(1200000);
	CHECK_EQ(cmos_read(0), 0x42);
	cmos_write(0, seconds);
	cmos_write(REG_B, b);
}

TEST(update_ended_flag)
{
	cmos_read(REG_C); /* reading clears */
	CHECK_EQ(cmos_read(REG_C) & C_UF, 0);
	CHECK(wait_seldom(cmos_read(REG_C) & C_UF, 3000));
}

TEST(periodic_flag_without_interrupt)
{
	uint8_t c;

	cmos_write(REG_A, 0x26); /* 1024 Hz */
	cmos_read(REG_C);
	delay_us(5000);
	c = cmos_read(REG_C);
	SKIP_UNLESS(is_umbra() || c & C_PF, "this clock sets PF only together with PIE");
	CHECK_EQ(c & (C_PF | C_IRQF), C_PF);
}

static volatile unsigned ticks;

static bool on_rtc(struct regs *regs)
{
	ticks++;
	cmos_read(REG_C);
	pic_eoi(8);
	return true;
}

static void open_irq8(void)
{
	ticks = 0;
	apic_enable();
	apic_write(APIC_LVT0, ICR_EXTINT);
	pic_init(0x20);
	trap_set(VEC, on_rtc);
	cmos_read(REG_C);
	pic_unmask(1 << 8);
	sti();
}

TEST(periodic_interrupt)
{
	uint8_t b = cmos_read(REG_B);
	uint64_t start, ms;

	open_irq8();
	cmos_write(REG_A, 0x28); /* 256 Hz */
	cmos_write(REG_B, b | B_PIE);
	start = rdtsc();
	CHECK(wait_until(ticks >= 26, 3000));
	ms = (rdtsc() - start) / tsc_khz();
	cli();
	cmos_write(REG_B, b);
	pic_unmask(0);
	printf("# 26 ticks of 256 Hz took %llu ms\n", (unsigned long long)ms);
	CHECK(ms >= 80 && ms < 1000);
	cmos_read(REG_C);
}

TEST(update_interrupt)
{
	uint8_t b = cmos_read(REG_B);

	open_irq8();
	cmos_write(REG_B, b | B_UIE);
	CHECK(wait_until(ticks >= 1, 3000));
	cli();
	cmos_write(REG_B, b);
	pic_unmask(0);
	cmos_read(REG_C);
}
