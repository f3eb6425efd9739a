/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The screen: what is written shows, at once during start-up, and later in slices of bounded length
 * whatever is written. Video memory is only ever written: what the test puts there itself stays.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/paging.h"
#include "arch/x86/stop.h"
#include "drivers/screen.h"
#include "drivers/txring.h"
#include "lib/bits.h"

#define COLS 80
#define ROWS 25

static uint16_t video[ROWS * COLS];
static bool stopping;
static unsigned kicks;
static struct log_sink *sink;

bool stop_in_progress(void)
{
	return stopping;
}

static void wake(void)
{
	kicks++;
}

/* VGA's cursor: its place on the screen, in registers 14 and 15. */
static uint8_t vga_index, vga_register[16];

uint8_t inb(uint16_t port)
{
	assert_int_equal(port, 0x3d5);
	return vga_register[vga_index];
}

void outb(uint16_t port, uint8_t val)
{
	if (port == 0x3d4)
		vga_index = val % 16;
	else
		vga_register[vga_index] = val;
}

static unsigned cursor(void)
{
	return vga_register[14] << 8 | vga_register[15];
}

uint64_t paging_limit(void)
{
	return 1ull << 40;
}

void *paging_map(hpa_t hpa, uint64_t len, enum paging_cache cache)
{
	assert_int_equal(hpa.v, 0xb8000);
	assert_true(len <= sizeof(video));
	return video;
}

static void say(const char *text)
{
	sink->write(sink, text, strlen(text));
}

static const char *row(unsigned y)
{
	static char text[COLS + 1];
	size_t len = COLS;

	for (unsigned x = 0; x < COLS; x++)
		text[x] = (char)video[y * COLS + x];
	while (len && text[len - 1] == ' ')
		len--;
	text[len] = '\0';
	return text;
}

static unsigned draw_all(void)
{
	unsigned slices = 1;

	for (; screen_draw_some(); slices++)
		assert_true(slices < 10000);
	assert_false(screen_is_dirty());
	return slices;
}

/* The tests run in order; what is on the screen stays. */
static void at_first_all_is_drawn_at_once(void **state)
{
	sink = screen_open(&screen_vga_text);
	assert_non_null(sink);
	assert_string_equal(row(0), "");
	say("hello\nworld\r-\n");
	assert_string_equal(row(0), "hello");
	assert_string_equal(row(1), "-orld");
	assert_int_equal(cursor(), 2 * COLS);
	assert_false(vga_register[10] & 0x20); /* it is shown */
	assert_false(screen_is_dirty());
	assert_int_equal(kicks, 0);
	tx_go_background(wake);
}

static void later_it_is_drawn_in_slices(void **state)
{
	unsigned drawn = 0, slices = 0;
	char line[COLS + 1];

	memset(line, 'x', COLS);
	line[COLS] = '\0';
	for (unsigned i = 0; i < 10; i++)
		say(line);
	assert_int_equal(kicks, 1);
	assert_true(screen_is_dirty());
	assert_string_equal(row(2), "");
	for (bool more = true; more; slices++) {
		unsigned before = drawn;

		more = screen_draw_some();
		drawn = 0;
		for (unsigned i = 0; i < ROWS * COLS; i++)
			drawn += (char)video[i] == 'x';
		assert_in_range(drawn - before, 0, 32);
	}
	assert_int_equal(drawn, 10 * COLS);
	assert_true(slices >= 10 * COLS / 32);
	assert_false(screen_is_dirty());
	assert_false(screen_draw_some());
	say("\n");
	assert_int_equal(kicks, 2);
	draw_all();
	assert_int_equal(cursor(), 12 * COLS);
}

/* However much is written, a screen full of work is left, and the end of it shows. */
static void a_flood_is_one_screen_of_work(void **state)
{
	char text[16];

	for (unsigned i = 0; i < 100000; i++) {
		snprintf(text, sizeof(text), "line %u\n", i);
		say(text);
	}
	assert_in_range(draw_all(), 1, ROWS * COLS / 32 + 2);
	for (unsigned y = 0; y < ROWS; y++) {
		if (!strcmp(row(y), "line 99999"))
			return;
	}
	fail_msg("the last line is not there");
}

/* What comes while it draws is drawn as well, also above the place where it is. */
static void what_comes_meanwhile_is_not_missed(void **state)
{
	for (unsigned i = 0; i < 3 * ROWS; i++) {
		say("some text to draw\n");
		screen_draw_some();
	}
	say("\rthe end");
	draw_all();
	for (unsigned y = 0; y < ROWS; y++) {
		if (!strcmp(row(y), "the end"))
			return;
	}
	fail_msg("the last line is not there");
}

static void video_memory_is_not_read(void **state)
{
	for (unsigned i = 0; i < ROWS * COLS; i++)
		video[i] = 0xeeee;
	say("\n");
	for (unsigned i = 0; i < ROWS; i++)
		say("new\n");
	draw_all();
	for (unsigned i = 0; i < ROWS * COLS; i++)
		assert_true(video[i] == 0xeeee || video[i] >> 8 == 0x07);
}

static void in_a_panic_all_is_drawn_at_once(void **state)
{
	bool found = false;

	for (unsigned i = 0; i < ROWS; i++)
		say("waits\n");
	screen_draw_some();
	stopping = true;
	say("panic: lost");
	for (unsigned y = 0; y < ROWS; y++)
		found |= !strncmp(row(y), "panic: lost", 11);
	assert_true(found);
	stopping = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_first_all_is_drawn_at_once),
		cmocka_unit_test(later_it_is_drawn_in_slices),
		cmocka_unit_test(a_flood_is_one_screen_of_work),
		cmocka_unit_test(what_comes_meanwhile_is_not_missed),
		cmocka_unit_test(in_a_panic_all_is_drawn_at_once),
		cmocka_unit_test(video_memory_is_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
