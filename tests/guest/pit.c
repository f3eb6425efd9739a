/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254: modes, latches, access modes, read-back and the gate of channel 2, and its rate
 * against the TSC and the ACPI timer (Intel 8254 data sheet).
 */
#include "boot.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "pit.h"

#define WAIT_MS 1000

static void gate2(bool open)
{
	outb(PORT_61, (uint8_t)((inb(PORT_61) & ~3) | (open ? PORT_61_GATE2 : 0)));
}

static bool out2(void)
{
	return inb(PORT_61) & PORT_61_OUT2;
}

/* As a BIOS leaves it, before anybody here has programmed it. */
TEST(the_firmware_left_it_counting)
{
	uint16_t a = pit_read(0);

	CHECK(wait_until(pit_read(0) != a, 10));
}

TEST(counts_down)
{
	uint16_t a, b;

	pit_program(0, PIT_MODE2, 0);
	delay_us(100);
	a = pit_read(0);
	delay_us(1000);
	b = pit_read(0);
	CHECK((uint16_t)(a - b) > 500); /* 1193, or more on a busy machine */
}

/*
 * The 16-bit counter goes round in 55 ms. A measurement that a busy machine has stretched to near
 * that says nothing: do it again, a few times.
 */
#define UNDISTURBED_TICKS 15000
#define UNTIL_UNDISTURBED(code)                                                                    \
	for (unsigned _try = 0; _try < 20; _try++) {                                               \
		uint64_t _start = rdtsc();                                                         \
		code;                                                                              \
		if ((rdtsc() - _start) * PIT_HZ / 1000 / tsc_khz() < UNDISTURBED_TICKS)            \
			break;                                                                     \
	}

static uint16_t read_latched_twice(void)
{
	uint8_t lo;

	outb(PIT_COMMAND, 0);
	delay_us(5000);
	outb(PIT_COMMAND, 0); /* a second latch command before the read changes nothing */
	lo = inb(PIT_CHANNEL0);
	return (uint16_t)(lo | inb(PIT_CHANNEL0) << 8);
}

TEST(latch_holds)
{
	uint16_t before = 0, latched = 0, after = 0;

	pit_program(0, PIT_MODE2, 0);
	UNTIL_UNDISTURBED(before = pit_read(0); latched = read_latched_twice();
			  after = pit_read(0));
	CHECK((uint16_t)(before - latched) < 3000); /* not 5 ms = 5966 ticks later */
	CHECK((uint16_t)(latched - after) > 4000);
}

TEST(mode_2_stays_in_range)
{
	pit_program(0, PIT_MODE2, 1000);
	for (unsigned i = 0; i < 200; i++) {
		uint16_t count = pit_read(0);

		if (!CHECK(count >= 1 && count <= 1000))
			printf("# %u\n", count);
	}
}

TEST(mode_3_counts_by_two)
{
	uint16_t a = 0, b = 0;

	pit_program(0, PIT_MODE3, 0);
	delay_us(100);
	UNTIL_UNDISTURBED(a = pit_read(0); delay_us(2000); b = pit_read(0));
	CHECK(!(a & 1) && !(b & 1));
	CHECK((uint16_t)(a - b) > 2 * 2000 * PIT_HZ / 1000000 - 10);
}

TEST(mode_0_output)
{
	gate2(true);
	pit_program(2, PIT_MODE0, 10000);
	CHECK(!out2());
	CHECK(wait_until(out2(), WAIT_MS));
	delay_us(20000); /* stays high until programmed again */
	CHECK(out2());
	pit_program(2, PIT_MODE0, 10000);
	CHECK(!out2());
	CHECK(wait_until(out2(), WAIT_MS));
}

TEST(gate_stops_mode_0)
{
	uint16_t a, b;

	gate2(true);
	pit_program(2, PIT_MODE0, 60000);
	delay_us(1000);
	gate2(false);
	a = pit_read(2);
	delay_us(10000);
	b = pit_read(2);
	gate2(true);
	SKIP_UNLESS(is_umbra() || (uint16_t)(a - b) < 100,
		    "this timer counts on with the gate closed");
	CHECK((uint16_t)(a - b) < 100);
}

TEST(mode_2_output_of_channel_2)
{
	gate2(true);
	pit_program(2, PIT_MODE3, 20000);
	CHECK(wait_until(out2(), WAIT_MS));
	CHECK(wait_until(!out2(), WAIT_MS));
	CHECK(wait_until(out2(), WAIT_MS));
}

TEST(one_byte_access)
{
	outb(PIT_COMMAND, 0x14); /* channel 0, low byte only, mode 2 */
	outb(PIT_CHANNEL0, 100);
	for (unsigned i = 0; i < 50; i++) {
		uint8_t count = inb(PIT_CHANNEL0);

		CHECK(count >= 1 && count <= 100);
	}
	outb(PIT_COMMAND, 0x24); /* high byte only */
	outb(PIT_CHANNEL0, 0x10);
	for (unsigned i = 0; i < 50; i++)
		CHECK(inb(PIT_CHANNEL0) <= 0x10);
}

TEST(read_back)
{
	uint8_t status;

	pit_program(0, PIT_MODE2, 5000);
	outb(PIT_COMMAND, 0xe2); /* latch the status of channel 0 */
	status = inb(PIT_CHANNEL0);
	CHECK_EQ(status & 0x3f, 0x34); /* both bytes, mode 2, binary */
	pit_program(0, PIT_MODE3, 5000);
	outb(PIT_COMMAND, 0xc2); /* status and count */
	status = inb(PIT_CHANNEL0);
	CHECK_EQ(status & 0x3f, 0x36);
	status = inb(PIT_CHANNEL0);
	CHECK((status | inb(PIT_CHANNEL0) << 8) <= 5000);
}

TEST(rate_against_the_acpi_timer)
{
	uint16_t port = acpi_pm_timer_port();
	uint32_t start, pm;

	SKIP_UNLESS(port, "no ACPI PM timer");
	gate2(true);
	start = inl(port);
	pit_program(2, PIT_MODE0, (uint16_t)(PIT_HZ / 20)); /* 50 ms */
	CHECK(wait_until(out2(), WAIT_MS));
	pm = (inl(port) - start) & 0xffffff;
	printf("# 50 ms are %u ticks of 3579545 Hz\n", pm);
	CHECK(pm > 178977 - 9000 && pm < 178977 * 3);
}

TEST(rate_against_the_tsc)
{
	uint64_t start, khz;

	gate2(true);
	pit_program(2, PIT_MODE0, (uint16_t)(PIT_HZ / 20));
	start = rdtsc();
	CHECK(wait_until(out2(), WAIT_MS));
	khz = (rdtsc() - start) / 50;
	printf("# TSC %llu kHz, then %llu kHz\n", (unsigned long long)tsc_khz(),
	       (unsigned long long)khz);
	CHECK(khz > tsc_khz() / 10 * 8 && khz < tsc_khz() * 3);
}
