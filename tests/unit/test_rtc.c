/* SPDX-License-Identifier: BSD-2-Clause */
/* The MC146818: calendar, formats, setting, the update cycle, the three interrupts, CMOS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/support/clock.h"
#include "vmm/dev/rtc.h"
#include "vmm/dev/rtc_time.h"

#define A        0x0a
#define B        0x0b
#define C        0x0c
#define PERIODIC 0x40
#define ALARM    0x20
#define UPDATE   0x10
#define IRQF     0x80
#define GIB      (1ull << 30)
#define MS       NSEC_PER_MSEC

/* 2024-02-28 23:59:58, a Wednesday before a leap day. */
#define START 1709164798

static struct rtc rtc;
static struct spinlock lock;
static struct timer_queue queue;
static unsigned rises;
static bool line;

static void set_line(void *ctx, unsigned n, bool level)
{
	assert_int_not_equal(level, line);
	rises += level;
	line = level;
}

static void earlier(struct timer_queue *q) {}

static void advance(uint64_t ns)
{
	uint64_t target = clock_ns() + ns, next;

	while ((next = timer_queue_next(&queue)) <= target) {
		clock_set_ns(next);
		timer_queue_run(&queue, next);
	}
	clock_set_ns(target);
}

static uint8_t get(uint8_t reg)
{
	rtc_write(&rtc, 0, 1, reg | 0x80); /* the NMI bit is no part of the index */
	return rtc_read(&rtc, 1, 1);
}

static void put(uint8_t reg, uint8_t val)
{
	rtc_write(&rtc, 0, 1, reg);
	rtc_write(&rtc, 1, 1, val);
}

static void expect_time(uint8_t h, uint8_t m, uint8_t s)
{
	assert_int_equal(get(4), h);
	assert_int_equal(get(2), m);
	assert_int_equal(get(0), s);
}

static void expect_date(uint8_t century, uint8_t year, uint8_t month, uint8_t day, uint8_t weekday)
{
	assert_int_equal(get(0x32), century);
	assert_int_equal(get(9), year);
	assert_int_equal(get(8), month);
	assert_int_equal(get(7), day);
	assert_int_equal(get(6), weekday);
}

static void start(int64_t unix_time, uint64_t ram)
{
	struct irq_line irq = {set_line, NULL, RTC_IRQ};

	timer_queue_init(&queue, earlier);
	rtc_init(&rtc, unix_time, ram, &irq, &queue, &lock);
	rises = 0;
	line = false;
}

static int setup(void **state)
{
	clock_set_ns(0);
	spin_init(&lock);
	start(START, GIB);
	put(0x05, 0x12); /* the alarm far from midnight, where most tests are */
	return 0;
}

/* Against the C library, over 300 years and both sides of each leap day. */
static void test_calendar(void **state)
{
	for (int64_t s = 0; s < 300ll * 366 * 86400; s += 39916) {
		time_t when = s;
		struct tm tm;
		struct rtc_time t;

		gmtime_r(&when, &tm);
		rtc_time_from_seconds(s, &t);
		assert_int_equal(t.year, tm.tm_year + 1900);
		assert_int_equal(t.month, tm.tm_mon + 1);
		assert_int_equal(t.day, tm.tm_mday);
		assert_int_equal(t.hour, tm.tm_hour);
		assert_int_equal(t.minute, tm.tm_min);
		assert_int_equal(t.second, tm.tm_sec);
		assert_int_equal(t.weekday, tm.tm_wday);
		assert_int_equal(rtc_time_to_seconds(&t), s);
	}
}

static void test_time_runs(void **state)
{
	expect_time(0x23, 0x59, 0x58);
	expect_date(0x20, 0x24, 0x02, 0x28, 4);
	advance(1999 * MS);
	expect_time(0x23, 0x59, 0x59);
	advance(1 * MS);
	expect_time(0x00, 0x00, 0x00);
	expect_date(0x20, 0x24, 0x02, 0x29, 5);
	advance(86400ull * 1000 * MS);
	expect_date(0x20, 0x24, 0x03, 0x01, 6);
	assert_int_equal(get(0x0d), 0x80);
}

static void test_formats(void **state)
{
	put(B, 0x06);
	expect_time(23, 59, 58);
	expect_date(20, 24, 2, 28, 4);
	put(B, 0x04);
	assert_int_equal(get(4), 0x80 | 11);
	put(B, 0x00);
	assert_int_equal(get(4), 0x80 | 0x11);
	advance(2000 * MS);
	assert_int_equal(get(4), 0x12); /* midnight is 12 am */
	advance(12ull * 3600 * 1000 * MS);
	assert_int_equal(get(4), 0x92); /* noon is 12 pm */
	advance(1ull * 3600 * 1000 * MS);
	assert_int_equal(get(4), 0x81);
	put(B, 0x04);
	assert_int_equal(get(4), 0x81);
}

static void set_all(uint8_t h, uint8_t m, uint8_t s)
{
	put(4, h);
	put(2, m);
	put(0, s);
	put(7, 0x31);
	put(8, 0x12);
	put(9, 0x99);
	put(0x32, 0x19);
	put(6, 6);
}

/* SET stops the clock; the rhythm of its seconds stays. */
static void test_set(void **state)
{
	advance(300 * MS);
	put(B, 0x82);
	set_all(0x23, 0x59, 0x59);
	advance(5000 * MS);
	expect_time(0x23, 0x59, 0x59);
	put(B, 0x02);
	advance(699 * MS);
	expect_time(0x23, 0x59, 0x59);
	advance(1 * MS);
	expect_time(0x00, 0x00, 0x00);
	expect_date(0x20, 0x00, 0x01, 0x01, 7);
}

static void test_set_12h(void **state)
{
	put(B, 0x80);
	set_all(0x92, 0x30, 0x00); /* half past noon */
	put(B, 0x00);
	put(B, 0x02);
	expect_time(0x12, 0x30, 0x00);
	put(B, 0x80);
	put(B, 0x80);
	put(4, 0x12);
	put(B, 0x00);
	put(B, 0x02);
	expect_time(0x00, 0x30, 0x00);
}

/* The divider in reset stops it, too; the first second after that is half a second long. */
static void test_divider(void **state)
{
	put(A, 0x76);
	set_all(0x10, 0x00, 0x00);
	advance(5000 * MS);
	expect_time(0x10, 0x00, 0x00);
	assert_int_equal(get(A) & 0x80, 0);
	put(A, 0x26);
	advance(499 * MS);
	expect_time(0x10, 0x00, 0x00);
	advance(1 * MS);
	expect_time(0x10, 0x00, 0x01);
	advance(1000 * MS);
	expect_time(0x10, 0x00, 0x02);
}

static void test_write_while_running(void **state)
{
	put(2, 0x30);
	expect_time(0x23, 0x30, 0x58);
	advance(1000 * MS);
	expect_time(0x23, 0x30, 0x59);
	expect_date(0x20, 0x24, 0x02, 0x28, 4);
}

/* What no clock shows must not break this one. */
static void test_nonsense(void **state)
{
	for (unsigned val = 0; val < 256; val++) {
		static const uint8_t regs[] = {0, 2, 4, 6, 7, 8, 9, 0x32};

		for (unsigned b = 0; b < 4; b++) {
			put(B, 0x80 | b << 1);
			for (unsigned i = 0; i < 8; i++)
				put(regs[i], val);
			put(B, b << 1);
			advance(1000 * MS);
			assert_in_range(get(0), 0, 0x59);
			assert_in_range(get(8), 1, 0x12);
		}
	}
}

static void test_uip(void **state)
{
	advance(1000 * MS - 2229 * NSEC_PER_USEC);
	assert_int_equal(get(A) & 0x80, 0);
	advance(1 * NSEC_PER_USEC);
	assert_int_equal(get(A) & 0x80, 0x80);
	expect_time(0x23, 0x59, 0x58);
	advance(2227 * NSEC_PER_USEC);
	assert_int_equal(get(A) & 0x80, 0x80);
	advance(1 * NSEC_PER_USEC);
	assert_int_equal(get(A) & 0x80, 0);
	expect_time(0x23, 0x59, 0x59);
	put(A, 0xa6);
	assert_int_equal(get(A), 0x26); /* UIP is read-only */
	put(B, 0x82);
	advance(999 * MS);
	assert_int_equal(get(A) & 0x80, 0);
}

static void test_update_interrupt(void **state)
{
	advance(100 * MS);
	put(B, 0x12);
	advance(899 * MS);
	assert_int_equal(rises, 0);
	advance(1 * MS);
	assert_true(line);
	advance(5000 * MS); /* nothing more until C is read */
	assert_int_equal(rises, 1);
	assert_int_equal(get(C), IRQF | UPDATE | PERIODIC);
	assert_false(line);
	assert_int_equal(get(C), 0);
	advance(1000 * MS);
	assert_int_equal(rises, 2);
	/* SET clears the enable. */
	get(C);
	put(B, 0x92);
	assert_int_equal(get(B), 0x82);
}

/* Flags come up without their interrupts; enabling one that is up requests at once. */
static void test_polled_flags(void **state)
{
	put(A, 0x20); /* no periodic rate */
	advance(1000 * MS);
	assert_int_equal(get(C), UPDATE);
	advance(999 * MS);
	assert_int_equal(get(C), 0);
	advance(1 * MS);
	assert_int_equal(rises, 0);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
	put(B, 0x12);
	assert_true(line);
	assert_int_equal(get(C), IRQF | UPDATE);
}

static void test_periodic(void **state)
{
	static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
					256, 128, 64,  32,   16,   8,    4,    2};

	for (unsigned rate = 1; rate < 16; rate++) {
		unsigned n = 0;

		put(A, 0x20 | rate);
		get(C);
		put(B, 0x42);
		for (uint64_t end = clock_ns() + 2000 * MS; clock_ns() < end;) {
			advance(50 * NSEC_PER_USEC);
			if (line) {
				n++;
				assert_int_equal(get(C) & (IRQF | PERIODIC), IRQF | PERIODIC);
			}
		}
		assert_in_range(n, 2 * hz[rate] - 1, 2 * hz[rate] + 1);
		put(B, 0x02);
	}
	put(A, 0x20);
	put(B, 0x42);
	get(C);
	advance(3000 * MS);
	assert_int_equal(get(C) & PERIODIC, 0);
}

static void alarm_at(uint8_t h, uint8_t m, uint8_t s)
{
	put(5, h);
	put(3, m);
	put(1, s);
	get(C);
	rises = 0;
}

static void test_alarm(void **state)
{
	put(B, 0x22);
	alarm_at(0x00, 0x00, 0x01);
	advance(2999 * MS);
	assert_int_equal(rises, 0);
	advance(1 * MS);
	assert_int_equal(rises, 1);
	assert_int_equal(get(C), IRQF | ALARM | UPDATE | PERIODIC);
	/* Once a day. */
	advance(86399ull * 1000 * MS);
	assert_int_equal(rises, 1);
	advance(1000 * MS);
	assert_int_equal(rises, 2);
	get(C);
	/* The time of the alarm itself, set now, is a day away. */
	alarm_at(0x00, 0x00, 0x01);
	advance(1000 * MS);
	assert_int_equal(rises, 0);
}

static void test_alarm_wildcards(void **state)
{
	put(B, 0x22);
	alarm_at(0xff, 0xc0, 0x30); /* every minute */
	for (unsigned i = 1; i <= 5; i++) {
		advance(60000 * MS);
		assert_int_equal(rises, i);
		assert_int_equal(get(0), 0x58);
		get(C);
	}
	alarm_at(0xff, 0xff, 0xff); /* every second */
	for (unsigned i = 1; i <= 5; i++) {
		advance(1000 * MS);
		assert_int_equal(rises, i);
		get(C);
	}
	alarm_at(0xff, 0x15, 0x00); /* every hour */
	advance(7200ull * 1000 * MS);
	assert_int_equal(rises, 1); /* C was not read */
	get(C);
	advance(3600ull * 1000 * MS);
	assert_int_equal(rises, 2);
	/* 12-hour clock: 3 pm. */
	put(B, 0x20);
	alarm_at(0x83, 0x00, 0x00);
	advance(86400ull * 1000 * MS);
	assert_int_equal(rises, 1);
	/* Never: not a BCD number, with wildcards or without. */
	put(B, 0x22);
	alarm_at(0xff, 0xff, 0x7f);
	advance(10 * 86400ull * 1000 * MS);
	alarm_at(0x25, 0xff, 0xff);
	assert_int_equal(get(C) & ALARM, 0);
	advance(10 * 86400ull * 1000 * MS);
	assert_int_equal(get(C) & ALARM, 0);
	assert_int_equal(rises, 0);
}

/* Without its interrupt the alarm is seen by those who look, however late. */
static void test_alarm_polled(void **state)
{
	alarm_at(0x00, 0x00, 0x01);
	advance(2900 * MS);
	assert_int_equal(get(C) & ALARM, 0);
	advance(3 * 86400ull * 1000 * MS);
	assert_int_equal(get(C) & ALARM, ALARM);
}

static void test_cmos(void **state)
{
	for (unsigned reg = 0x40; reg < 0x50; reg++)
		put(reg, reg ^ 0x55);
	for (unsigned reg = 0x40; reg < 0x50; reg++)
		assert_int_equal(get(reg), reg ^ 0x55);
	put(C, 0xff);
	put(0x0d, 0x00);
	assert_int_equal(get(0x0d), 0x80);
	put(RTC_SHUTDOWN, 0x0a);
	assert_int_equal(get(RTC_SHUTDOWN), 0x0a);
	rtc_set_cmos(&rtc, 0x14, 0x0f);
	assert_int_equal(get(0x14), 0x0f);
	rtc_set_cmos(&rtc, B, 0xff); /* not a memory byte */
	rtc_set_cmos(&rtc, 0x80, 0xff);
	assert_int_equal(get(B), 0x02);
	assert_int_equal(rtc_read(&rtc, 0, 1), 0xff);
	/* Index and data in one 16-bit write. */
	rtc_write(&rtc, 0, 2, 0x7750);
	assert_int_equal(get(0x50), 0x77);
}

static unsigned get16(uint8_t reg)
{
	return get(reg) | get(reg + 1) << 8;
}

static void test_memory_size(void **state)
{
	start(0, 512 * 1024);
	assert_int_equal(get16(0x15), 512);
	assert_int_equal(get16(0x17), 0);
	assert_int_equal(get16(0x34), 0);
	start(0, 32 << 20);
	assert_int_equal(get16(0x15), 640);
	assert_int_equal(get16(0x17), 31 * 1024);
	assert_int_equal(get16(0x30), 31 * 1024);
	assert_int_equal(get16(0x34), 256);
	start(0, 6 * GIB);
	assert_int_equal(get16(0x17), 0xffff);
	assert_int_equal(get16(0x34), (3072 - 16) * 16);
	assert_int_equal(get16(0x5b) | get(0x5d) << 16, 3 * GIB >> 16);
	start(0, 1024 * GIB);
	assert_int_equal(get16(0x5b) | get(0x5d) << 16, 1021 * GIB >> 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_calendar, setup),
		cmocka_unit_test_setup(test_time_runs, setup),
		cmocka_unit_test_setup(test_formats, setup),
		cmocka_unit_test_setup(test_set, setup),
		cmocka_unit_test_setup(test_set_12h, setup),
		cmocka_unit_test_setup(test_divider, setup),
		cmocka_unit_test_setup(test_write_while_running, setup),
		cmocka_unit_test_setup(test_nonsense, setup),
		cmocka_unit_test_setup(test_uip, setup),
		cmocka_unit_test_setup(test_update_interrupt, setup),
		cmocka_unit_test_setup(test_polled_flags, setup),
		cmocka_unit_test_setup(test_periodic, setup),
		cmocka_unit_test_setup(test_alarm, setup),
		cmocka_unit_test_setup(test_alarm_wildcards, setup),
		cmocka_unit_test_setup(test_alarm_polled, setup),
		cmocka_unit_test_setup(test_cmos, setup),
		cmocka_unit_test_setup(test_memory_size, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
