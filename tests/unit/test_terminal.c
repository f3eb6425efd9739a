/* SPDX-License-Identifier: BSD-2-Clause */
/* A small screen, and what control characters and escape sequences do to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/terminal.h"

#define COLS 12
#define ROWS 4

static struct terminal t;
static char screen[ROWS][COLS + 1];

static void draw(unsigned col, unsigned row, char c)
{
	assert_in_range(col, 0, COLS - 1);
	assert_in_range(row, 0, ROWS - 1);
	assert_in_range(c, ' ', '~');
	screen[row][col] = c;
}

static int setup(void **state)
{
	memset(screen, 0, sizeof(screen));
	terminal_init(&t, COLS, ROWS, draw);
	return 0;
}

static void put(const char *text)
{
	for (; *text; text++)
		terminal_put(&t, *text);
}

/* A line, without the blanks at its end. */
static void expect(unsigned row, const char *text)
{
	char line[COLS + 1];
	size_t len = COLS;

	memcpy(line, screen[row], sizeof(line));
	while (len && line[len - 1] == ' ')
		len--;
	line[len] = '\0';
	assert_string_equal(line, text);
}

static void text_wraps_and_scrolls(void **state)
{
	put("one\r\n123456789012345\nthree\n");
	expect(0, "123456789012"); /* "one" has gone */
	expect(1, "345");
	expect(2, "three");
	expect(3, "");
	put("x");
	expect(3, "x");
}

static void a_full_line_waits_for_the_next_character(void **state)
{
	put("123456789012\r\nnext");
	expect(0, "123456789012");
	expect(1, "next");
	put("\r\n123456789012\b\bxy");
	expect(2, "123456789xy2"); /* from the last column, as a VT100 */
}

static void backspace_and_tab(void **state)
{
	put("umbra> lisx\b \bt\ty\tz");
	expect(0, "umbra> listz"); /* a tab does not lead out of the line */
	setup(NULL);
	put("a\tb\tc\b\b\b");
	expect(0, "a       b  c");
	put("\r\b\bd");
	expect(0, "d       b  c");
}

static void sequences_are_done_or_left_out(void **state)
{
	put("\x1b[1;31mred\x1b[0m \x1b[?25lx\x1b[?25h");
	expect(0, "red x");
	put("\x1b]0;a title\aA\x1b]0;another\x1b\\B\x1b(Bc");
	expect(0, "red xABc");
	put("\x1b[2J\x1b[Htop\x1b[3;5Hmid\x1b[1Aup\x1b[2D\x1b[1BX");
	expect(0, "top");
	expect(1, "       up");
	expect(2, "    midX");
	put("\x1b[3;5H\x1b[Ky\x1b[99;99Hz\x1b[1K");
	expect(2, "    y");
	expect(3, "");
	put("\x1b[Hab\x1b[1;2H\x1b[J");
	expect(0, "a");
	expect(2, "");
}

/* What a guest leaves unfinished or makes up must not harm, nor swallow the log. */
static void nonsense_is_harmless(void **state)
{
	put("\x1b]unfinished\nlog 1");
	expect(1, "log 1");
	put("\x1b[12;\nlog 2");
	expect(2, "log 2");
	put("\x1b[99999999999999999999;;;;;;5;6;7H\x1b[0;0H\x1b[999A\x1b[999D.");
	expect(0, ".");
	put("\x1b[999B\x1b[999C\x1b[;999H");
	put("\x1b[H\xc3\xa4\xff\x01\x7f!");
	expect(0, "?"
		  "?!"); /* one for each character */
	put("\x1b"
	    "c");
	expect(1, "");
}

static void everything(void **state)
{
	unsigned x = 1;

	for (unsigned i = 0; i < 1000000; i++) {
		x = x * 1103515245 + 12345;
		terminal_put(&t, "\x1b[;0123456789ABCDGHJKdfm]\\\n\r\b\tx?"[x >> 16 & 31]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(text_wraps_and_scrolls, setup),
		cmocka_unit_test_setup(a_full_line_waits_for_the_next_character, setup),
		cmocka_unit_test_setup(backspace_and_tab, setup),
		cmocka_unit_test_setup(sequences_are_done_or_left_out, setup),
		cmocka_unit_test_setup(nonsense_is_harmless, setup),
		cmocka_unit_test_setup(everything, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
