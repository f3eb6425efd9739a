/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 8254 by its datasheet. Counting begins one tick after a count is written; the tests that
 * look at single ticks use channel 2, whose gate port 0x61 drives and whose OUT it shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/support/clock.h"
#include "vmm/dev/pit.h"

#define PERIODIC_1MS 1193

static struct pit pit;
static struct spinlock lock;
static struct timer_queue queue;
static uint64_t tick;
static unsigned rises;
static bool line;

static void set_line(void *ctx, unsigned n, bool level)
{
	rises += level && !line;
	line = level;
}

static void earlier(struct timer_queue *q) {}

/* Move to tick `t`, running the timers that fall due on the way. */
static void go_to(uint64_t t)
{
	uint64_t target = mul_div(t, NSEC_PER_SEC, PIT_HZ) + 1, next;

	while ((next = timer_queue_next(&queue)) <= target) {
		clock_set_ns(next > clock_ns() ? next : clock_ns());
		timer_queue_run(&queue, clock_ns());
	}
	clock_set_ns(target);
	tick = t;
}

static void step(uint64_t ticks)
{
	go_to(tick + ticks);
}

/* The clock moves, but the host's timer comes late. */
static void oversleep(uint64_t ticks)
{
	tick += ticks;
	clock_set_ns(mul_div(tick, NSEC_PER_SEC, PIT_HZ) + 1);
}

static void control(uint8_t val)
{
	pit_write(&pit, 3, 1, val);
}

static void put(unsigned ch, uint8_t val)
{
	pit_write(&pit, ch, 1, val);
}

static uint8_t get(unsigned ch)
{
	return pit_read(&pit, ch, 1);
}

static void put16(unsigned ch, uint16_t val)
{
	put(ch, val);
	put(ch, val >> 8);
}

static uint16_t get16(unsigned ch)
{
	uint8_t low = get(ch);

	return low | get(ch) << 8;
}

static void gate(bool level)
{
	pit_speaker_write(&pit, 0, 1, level);
}

static bool out(void)
{
	return pit_speaker_read(&pit, 0, 1) & 0x20;
}

static uint8_t status(unsigned ch)
{
	control(0xe0 | 2u << ch);
	return get(ch);
}

static int setup(void **state)
{
	struct irq_line irq = {set_line, NULL, 0};

	clock_set_ns(0);
	spin_init(&lock);
	timer_queue_init(&queue, earlier);
	pit_init(&pit, &irq, &queue, &lock);
	rises = 0;
	line = false;
	go_to(1000000);
	gate(true);
	return 0;
}

/* Channel 2, both bytes: program, count, and go to the tick that loads it. */
static void start(unsigned mode, uint16_t count)
{
	control(0xb0 | mode << 1);
	put16(2, count);
	step(1);
}

static void test_mode0(void **state)
{
	control(0xb0);
	assert_false(out());
	put16(2, 5);
	for (unsigned i = 0; i < 6; i++) { /* N + 1 ticks after the write */
		assert_false(out());
		step(1);
	}
	assert_true(out());
	assert_int_equal(get16(2), 0);
	step(1);
	assert_int_equal(get16(2), 0xffff); /* goes on */
	assert_true(out());
}

static void test_mode0_gate(void **state)
{
	start(0, 10);
	step(3);
	assert_int_equal(get16(2), 7);
	gate(false);
	step(100);
	assert_int_equal(get16(2), 7);
	assert_false(out());
	gate(true);
	step(6);
	assert_false(out());
	step(1);
	assert_true(out());
}

/* The first byte of a new count stops it, the second starts over. */
static void test_mode0_rewrite(void **state)
{
	start(0, 10);
	step(12);
	assert_true(out());
	put(2, 20);
	assert_false(out());
	step(100);
	assert_false(out());
	put(2, 0);
	step(20);
	assert_false(out());
	step(1);
	assert_true(out());
}

static void test_mode1(void **state)
{
	gate(false);
	control(0xb2);
	assert_true(out());
	put16(2, 4);
	step(10);
	assert_true(out()); /* waits for the trigger */
	gate(true);
	step(1);
	for (unsigned i = 0; i < 4; i++) {
		assert_false(out());
		assert_int_equal(get16(2), 4 - i);
		step(1);
	}
	assert_true(out());
	/* A new count has no effect on the pulse under way, but on the next. */
	gate(false);
	gate(true);
	step(1);
	put16(2, 9);
	step(4);
	assert_true(out());
	gate(false);
	gate(true);
	step(1 + 8);
	assert_false(out());
	step(1);
	assert_true(out());
	/* Triggering again prolongs. */
	gate(false);
	gate(true);
	step(6);
	gate(false); /* falling: nothing */
	assert_false(out());
	gate(true);
	step(9);
	assert_false(out());
	step(1);
	assert_true(out());
}

static void test_mode2(void **state)
{
	control(0xb4);
	assert_true(out());
	put16(2, 4);
	step(1);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(get16(2), 4 - i % 4);
		assert_int_equal(out(), i % 4 != 3);
		step(1);
	}
}

static void test_mode2_gate(void **state)
{
	start(2, 4);
	step(3);
	assert_false(out());
	gate(false); /* OUT goes high at once */
	assert_true(out());
	step(50);
	assert_true(out());
	gate(true); /* and the count begins again */
	step(1);
	assert_int_equal(get16(2), 4);
	step(3);
	assert_false(out());
}

/* A new count waits for the end of the cycle. */
static void test_mode2_new_count(void **state)
{
	start(2, 4);
	step(1);
	put16(2, 6);
	assert_int_equal(status(2) & 0x40, 0x40); /* null count: not loaded yet */
	step(2);
	assert_false(out());
	step(1);
	assert_int_equal(status(2) & 0x40, 0);
	assert_int_equal(get16(2), 6);
	step(5);
	assert_false(out());
	step(1);
	assert_int_equal(get16(2), 6);
}

static void test_mode3_even(void **state)
{
	static const uint16_t counts[] = {6, 4, 2, 6, 4, 2};

	start(3, 6);
	for (unsigned i = 0; i < 12; i++) {
		assert_int_equal(out(), i % 6 < 3);
		assert_int_equal(get16(2), counts[i % 6]);
		step(1);
	}
}

static void test_mode3_odd(void **state)
{
	static const uint16_t counts[] = {4, 2, 0, 4, 2};

	start(3, 5);
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(out(), i % 5 < 3);
		assert_int_equal(get16(2), counts[i % 5]);
		step(1);
	}
}

static void test_mode3_gate(void **state)
{
	start(3, 6);
	step(4);
	assert_false(out());
	gate(false);
	assert_true(out());
	step(10);
	gate(true);
	step(1 + 2);
	assert_true(out());
	step(1);
	assert_false(out());
}

/* A new count comes at the end of the half cycle: here the low half is the new one's. */
static void test_mode3_new_count(void **state)
{
	start(3, 6);
	step(1);
	put16(2, 10);
	step(1);
	assert_true(out());
	for (unsigned i = 0; i < 5; i++) {
		step(1);
		assert_false(out());
	}
	for (unsigned i = 0; i < 5; i++) {
		step(1);
		assert_true(out());
	}
	step(1);
	assert_false(out());
}

/* ... and the high half, when it was written during the low one. */
static void test_mode3_new_count_low(void **state)
{
	start(3, 6);
	step(4);
	put16(2, 10);
	step(1);
	assert_false(out());
	for (unsigned i = 0; i < 5; i++) {
		step(1);
		assert_true(out());
	}
	step(1);
	assert_false(out());
}

static void test_mode4(void **state)
{
	start(4, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(out());
		step(1);
	}
	assert_false(out()); /* one tick */
	step(1);
	assert_true(out());
	step(0x10000);
	assert_true(out()); /* once */
	start(4, 5);
	step(2);
	gate(false);
	step(9);
	assert_int_equal(get16(2), 3);
	gate(true);
	step(3);
	assert_false(out());
}

static void test_mode5(void **state)
{
	start(5, 3);
	step(10);
	assert_true(out());
	gate(false);
	gate(true);
	step(1 + 3);
	assert_false(out());
	step(1);
	assert_true(out());
	gate(false);
	gate(true);
	step(2);
	gate(false);
	gate(true); /* again, before the end */
	step(3);
	assert_true(out());
	step(1);
	assert_false(out());
}

static void test_mode_aliases(void **state)
{
	control(0xbc);
	assert_int_equal(status(2) & 0x0e, 0x04);
	control(0xbe);
	assert_int_equal(status(2) & 0x0e, 0x06);
}

static void test_bcd(void **state)
{
	control(0xb5);
	put16(2, 0x1000);
	step(2);
	assert_int_equal(get16(2), 0x0999);
	control(0xb1);
	put16(2, 0);
	step(1);
	assert_int_equal(get16(2), 0); /* 10000 */
	step(1);
	assert_int_equal(get16(2), 0x9999);
	step(9998);
	assert_int_equal(get16(2), 1);
	assert_false(out());
	step(1);
	assert_true(out());
}

static void test_count_zero_is_65536(void **state)
{
	start(0, 0);
	step(0xffff);
	assert_int_equal(get16(2), 1);
	assert_false(out());
	step(1);
	assert_true(out());
}

static void test_latch(void **state)
{
	start(2, 1000);
	step(100);
	control(0x80);
	step(100);
	control(0x80); /* the first one counts */
	assert_int_equal(get16(2), 900);
	assert_int_equal(get16(2), 800);
}

static void test_single_bytes(void **state)
{
	control(0x90); /* LSB only */
	put(2, 0x20);
	step(1 + 0x10);
	assert_int_equal(get(2), 0x10);
	control(0x80);
	assert_int_equal(get(2), 0x10);
	assert_int_equal(get(2), 0x10);
	control(0xa0); /* MSB only */
	put(2, 0x20);
	step(1 + 0x100);
	assert_int_equal(get(2), 0x1f);
}

static void test_read_back(void **state)
{
	start(3, 1000);
	step(50);
	control(0xc8); /* count and status of channel 2 */
	step(50);
	assert_int_equal(get(2), 0xb6); /* status first: OUT, both bytes, mode 3 */
	assert_int_equal(get16(2), 900);
	assert_int_equal(get16(2), 800);
	/* Several at once; a second status latch before the read is ignored. */
	control(0x30);
	control(0xee);
	step(1000);
	control(0xe2);
	assert_int_equal(get(0), 0x70); /* no count yet */
	assert_int_equal(get(1) & 0x40, 0x40);
	assert_int_equal(get(2) & 0x3f, 0x36);
	assert_int_equal(get(3), 0xff);
}

static void test_port61(void **state)
{
	bool toggled = false, first = pit_speaker_read(&pit, 0, 1) & 0x10;

	pit_speaker_write(&pit, 0, 1, 0xff);
	assert_int_equal(pit_speaker_read(&pit, 0, 1) & 0xcf, 0x0f);
	for (unsigned i = 0; i < 36; i++) {
		step(1);
		toggled |= (pit_speaker_read(&pit, 0, 1) & 0x10) >> 4 != first;
	}
	assert_true(toggled);
	assert_int_equal((pit_speaker_read(&pit, 0, 1) & 0x10) >> 4, first);
}

/* --- channel 0 and IRQ 0 --- */

static void periodic(unsigned mode, uint16_t count)
{
	control(0x30 | mode << 1);
	put16(0, count);
	rises = 0;
}

static void test_irq_periodic(void **state)
{
	for (unsigned mode = 2; mode <= 3; mode++) {
		uint64_t t;

		periodic(mode, PERIODIC_1MS);
		t = tick + 1;
		for (unsigned i = 1; i <= 1000; i++) {
			go_to(t + (uint64_t)i * PERIODIC_1MS - 1);
			assert_int_equal(rises, i - 1);
			go_to(t + (uint64_t)i * PERIODIC_1MS);
			assert_int_equal(rises, i);
		}
	}
}

static void test_irq_one_shot(void **state)
{
	periodic(0, 100);
	assert_false(line);
	step(100);
	assert_int_equal(rises, 0);
	step(1);
	assert_int_equal(rises, 1);
	assert_true(line);
	step(1000000);
	assert_int_equal(rises, 1);
	/* Mode 4: the end of the strobe. */
	periodic(4, 100);
	step(101);
	assert_int_equal(rises, 0);
	step(1);
	assert_int_equal(rises, 1);
	step(1000000);
	assert_int_equal(rises, 1);
}

/* Late, but less than the limit: every tick comes, and none comes twice. */
static void test_irq_late(void **state)
{
	uint64_t t = tick + 1;

	periodic(2, PERIODIC_1MS);
	oversleep(20 * PERIODIC_1MS + 10);
	timer_queue_run(&queue, clock_ns());
	assert_int_equal(rises, 1); /* one at a time */
	timer_queue_run(&queue, clock_ns());
	assert_int_equal(rises, 1);
	step(PERIODIC_1MS / 4 + 30);
	assert_int_equal(rises, 2);
	go_to(t + 60 * PERIODIC_1MS);
	assert_int_equal(rises, 60);
	go_to(t + 61 * PERIODIC_1MS - 1);
	assert_int_equal(rises, 60);
	go_to(t + 61 * PERIODIC_1MS);
	assert_int_equal(rises, 61);
}

/* A guest that was paused gets no storm, and afterwards the old rhythm. */
static void test_irq_after_pause(void **state)
{
	uint64_t t = tick + 1;

	periodic(2, PERIODIC_1MS);
	oversleep(10000 * PERIODIC_1MS + 10);
	timer_queue_run(&queue, clock_ns());
	assert_int_equal(rises, 1);
	go_to(t + 10001 * PERIODIC_1MS - 1);
	assert_int_equal(rises, 1);
	go_to(t + 10011 * PERIODIC_1MS);
	assert_int_equal(rises, 12);
}

static void test_irq_fastest(void **state)
{
	uint64_t ns = clock_ns();

	periodic(2, 1);
	step(PIT_HZ);
	/* The host is not drowned: at most one per 20 microseconds. */
	assert_in_range(rises, 1000, (clock_ns() - ns) / 20000 + 1);
}

static void test_irq_new_count(void **state)
{
	uint64_t t = tick + 1;

	periodic(2, 1000);
	go_to(t + 500);
	put16(0, 400);
	go_to(t + 999);
	assert_int_equal(rises, 0);
	go_to(t + 1000);
	assert_int_equal(rises, 1);
	go_to(t + 1399);
	assert_int_equal(rises, 1);
	go_to(t + 1400);
	assert_int_equal(rises, 2);

	/* Mode 3: from the half cycle on; the next rise is nearer than it was. */
	t = tick + 1;
	periodic(3, 1000);
	go_to(t + 100);
	put16(0, 200);
	go_to(t + 599);
	assert_int_equal(rises, 0);
	go_to(t + 600);
	assert_int_equal(rises, 1);
	go_to(t + 800);
	assert_int_equal(rises, 2);
}

/* A due edge whose timer has not come is delivered before the channel is programmed anew. */
static void test_irq_reprogram(void **state)
{
	periodic(0, 100);
	oversleep(200);
	control(0x30);
	assert_int_equal(rises, 1);
	assert_false(line);
	step(100000);
	assert_int_equal(rises, 1);
	assert_int_equal(timer_queue_next(&queue), TIMER_NEVER);
}

static void test_reset(void **state)
{
	periodic(2, PERIODIC_1MS);
	step(10 * PERIODIC_1MS);
	pit_reset(&pit);
	assert_false(line);
	rises = 0;
	step(10 * PERIODIC_1MS);
	assert_int_equal(rises, 0);
	assert_int_equal(get16(0), 0);
}

/* As a BIOS leaves it: channel 0 goes round in 65,536 ticks, and rises once a round. */
static void test_pc_defaults(void **state)
{
	pit_set_pc_defaults(&pit);
	step(1);
	rises = 0;
	step(65536);
	assert_int_equal(rises, 1);
	step(65536);
	assert_int_equal(rises, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_mode0, setup),
		cmocka_unit_test_setup(test_mode0_gate, setup),
		cmocka_unit_test_setup(test_mode0_rewrite, setup),
		cmocka_unit_test_setup(test_mode1, setup),
		cmocka_unit_test_setup(test_mode2, setup),
		cmocka_unit_test_setup(test_mode2_gate, setup),
		cmocka_unit_test_setup(test_mode2_new_count, setup),
		cmocka_unit_test_setup(test_mode3_even, setup),
		cmocka_unit_test_setup(test_mode3_odd, setup),
		cmocka_unit_test_setup(test_mode3_gate, setup),
		cmocka_unit_test_setup(test_mode3_new_count, setup),
		cmocka_unit_test_setup(test_mode3_new_count_low, setup),
		cmocka_unit_test_setup(test_mode4, setup),
		cmocka_unit_test_setup(test_mode5, setup),
		cmocka_unit_test_setup(test_mode_aliases, setup),
		cmocka_unit_test_setup(test_bcd, setup),
		cmocka_unit_test_setup(test_pc_defaults, setup),
		cmocka_unit_test_setup(test_count_zero_is_65536, setup),
		cmocka_unit_test_setup(test_latch, setup),
		cmocka_unit_test_setup(test_single_bytes, setup),
		cmocka_unit_test_setup(test_read_back, setup),
		cmocka_unit_test_setup(test_port61, setup),
		cmocka_unit_test_setup(test_irq_periodic, setup),
		cmocka_unit_test_setup(test_irq_one_shot, setup),
		cmocka_unit_test_setup(test_irq_late, setup),
		cmocka_unit_test_setup(test_irq_after_pause, setup),
		cmocka_unit_test_setup(test_irq_fastest, setup),
		cmocka_unit_test_setup(test_irq_new_count, setup),
		cmocka_unit_test_setup(test_irq_reprogram, setup),
		cmocka_unit_test_setup(test_reset, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
