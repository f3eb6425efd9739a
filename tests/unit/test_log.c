/* SPDX-License-Identifier: BSD-2-Clause */
/* The log: lines before and after the first sink, levels, long lines, the rate limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/log.h"

static char text[16384];
static size_t text_len;

static void keep(struct log_sink *sink, const char *s, size_t len)
{
	assert_true(text_len + len < sizeof(text));
	memcpy(text + text_len, s, len);
	text_len += len;
	text[text_len] = '\0';
}

static struct log_sink sink = {.write = keep};

static void forget(void)
{
	text_len = 0;
	text[0] = '\0';
}

/* The tests run in order: this one has the log without a sink. */
static void test_early_lines(void **state)
{
	log_info("early: one %d", 1);
	log_debug("early: not at this level");
	log_warn("early: two");
	log_add_sink(&sink);
	assert_string_equal(text, "early: one 1\nearly: two\n");
}

static void test_levels(void **state)
{
	forget();
	log_set_level(LOG_ERROR);
	log_warn("no");
	log_error("yes");
	log_set_level(LOG_DEBUG);
	log_debug("yes");
	log_set_level(LOG_INFO);
	assert_string_equal(text, "yes\nyes\n");
}

static void test_long_line(void **state)
{
	char line[1000];

	forget();
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	log_info("%s", line);
	assert_in_range(text_len, 200, 256);
	assert_int_equal(text[text_len - 1], '\n');
	assert_int_equal(text[text_len - 2], 'x');
}

static void test_raw(void **state)
{
	forget();
	log_set_level(LOG_ERROR);
	log_write_raw("a\0b", 3);
	log_set_level(LOG_INFO);
	assert_int_equal(text_len, 3);
	assert_memory_equal(text, "a\0b", 3);
}

/* A line begins at the left: the launcher looks for some of them, and a guest must not stand
 * before. */
static void test_line_after_raw(void **state)
{
	log_write_raw("\n", 1);
	forget();
	log_write_raw("half a", 6);
	log_write_raw("", 0);
	log_write_raw(" line", 5);
	log_info("one");
	log_info("two");
	log_write_raw("whole\n", 6);
	log_info("three");
	assert_string_equal(text, "half a line\none\ntwo\nwhole\nthree\n");
}

static unsigned count_lines(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < text_len; i++)
		n += text[i] == '\n';
	return n;
}

static void test_rate(void **state)
{
	forget();
	for (int i = 0; i < LOG_RATE_BURST; i++)
		log_guest(LOG_INFO, "guest: said %d", i);
	assert_int_equal(count_lines(), LOG_RATE_BURST); /* each place counts for itself */
	forget();
	for (int i = 0; i < 1000; i++)
		log_guest(LOG_INFO, "guest: flood");
	/* 10 at once, then at 16, 32, ... 512. */
	assert_int_equal(count_lines(), LOG_RATE_BURST + 6);
	assert_non_null(strstr(text, "guest: flood (6 such lines left out)\n"));
}

/* A second sink gets what was kept, a line about what was not, and everything after. */
static void test_second_sink(void **state)
{
	static struct log_sink second = {.write = keep};

	for (int i = 0; i < 1000; i++) {
		forget();
		log_info("filler: %d", i);
	}
	forget();
	log_add_sink(&second);
	assert_memory_equal(text, "early: one 1\nearly: two\n", 24);
	assert_non_null(memmem(text, text_len, "lines left out here\n", 20));
	forget();
	log_info("both");
	assert_string_equal(text, "both\nboth\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_early_lines),    cmocka_unit_test(test_levels),
		cmocka_unit_test(test_long_line),      cmocka_unit_test(test_raw),
		cmocka_unit_test(test_line_after_raw), cmocka_unit_test(test_rate),
		cmocka_unit_test(test_second_sink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
