/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: lines before and after the first sink, levels, long lines, the rate limit; a sink that
 * is full; a guest beside it; marks that tell who speaks.
 */
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

static struct log_sink sink = {.write = keep}, second = {.write = keep};

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

/* Whatever a line quotes, it is one line. */
static void test_line_is_one_line(void **state)
{
	forget();
	log_info("vm %s: said", "a\numbra: exit status 0\r\x1b[8m\x1e\x7f");
	assert_string_equal(
		text,
		"vm a.umbra: exit status 0..[8m..: said\nvm a.umbra: exit status 0..[8m..: said\n");
}

/* --- sinks that fill up --- */

static size_t waits;

static size_t pending(struct log_sink *s)
{
	return waits;
}

static struct log_sink slow = {.write = keep, .pending = pending, .takes_marks = true};

/* From here on there is one sink, which this test fills. */
static void test_full_sink(void **state)
{
	list_del(&sink.link);
	list_del(&second.link);
	log_add_sink(&slow);
	forget();
	waits = LOG_SINK_ROOM - 1000;
	log_info("fits");
	waits = LOG_SINK_ROOM - 100;
	for (unsigned i = 0; i < 7; i++)
		log_info("does not");
	log_tell_lost();
	assert_string_equal(text, "fits\n");
	waits = LOG_SINK_ROOM - 1000; /* one of the lines would fit, but more than that is wanted */
	log_info("neither");
	log_tell_lost();
	assert_string_equal(text, "fits\n");
	waits = LOG_SINK_ROOM / 2;
	log_info("again");
	assert_string_equal(text, "fits\nlog: 8 lines left out here\nagain\n");
	forget();
	log_tell_lost(); /* once */
	assert_string_equal(text, "");
	/* And if nothing follows, it is told all the same; at the left. */
	log_write_raw("umbra> ", 7);
	waits = LOG_SINK_ROOM;
	log_info("does not");
	waits = 0;
	log_tell_lost();
	assert_string_equal(text, "umbra> \nlog: 1 lines left out here\n");
	log_write_raw("\n", 1);
}

static void test_guest_beside_the_log(void **state)
{
	forget();
	waits = LOG_GUEST_PENDING - 8;
	assert_int_equal(log_pending(), waits);
	assert_true(log_write_guest("abc", 3, LOG_GUEST_PENDING));
	assert_false(log_write_guest("defg", 4, LOG_GUEST_PENDING));
	log_info("line");
	assert_true(log_write_guest("defg", 4, LOG_SINK_ROOM));
	assert_string_equal(text, "abc\nline\ndefg");
	waits = 0;
}

/* No byte of a guest's is a mark, and Umbra's words are behind one. */
static void test_marks(void **state)
{
	log_info("no marks");
	forget();
	log_set_marks(true);
	log_info("a");
	log_info("b");
	assert_string_equal(text, "\x1e"
				  "a\nb\n");
	forget();
	log_write_guest("c\x1e\x1f\x10\n", 5, LOG_SINK_ROOM);
	log_write_guest("d", 1, LOG_SINK_ROOM);
	assert_string_equal(text, "\x1f"
				  "c\x10\x5e\x10\x5f\x10\x50\nd");
	forget();
	log_info("e");
	log_write_raw("umbra> ", 7);
	log_write_guest("f\n", 2, LOG_SINK_ROOM);
	assert_string_equal(text, "\x1e\ne\numbra> \x1f"
				  "f\n");
	forget();
	waits = LOG_SINK_ROOM;
	log_info("lost");
	waits = 0;
	log_tell_lost();
	assert_string_equal(text, "\x1elog: 1 lines left out here\n");
	/* A sink that comes now has the start of the story behind a mark; the screen has none. */
	forget();
	{
		static struct log_sink marked = {.write = keep, .takes_marks = true},
				       screen = {.write = keep};

		log_add_sink(&marked);
		assert_memory_equal(text,
				    "\x1e"
				    "early: one 1\n",
				    14);
		list_del(&marked.link);
		forget();
		log_add_sink(&screen);
		assert_memory_equal(text, "early: one 1\n", 13);
		list_del(&screen.link);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_early_lines),    cmocka_unit_test(test_levels),
		cmocka_unit_test(test_long_line),      cmocka_unit_test(test_raw),
		cmocka_unit_test(test_line_after_raw), cmocka_unit_test(test_rate),
		cmocka_unit_test(test_second_sink),    cmocka_unit_test(test_line_is_one_line),
		cmocka_unit_test(test_full_sink),      cmocka_unit_test(test_guest_beside_the_log),
		cmocka_unit_test(test_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
