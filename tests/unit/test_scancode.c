/* SPDX-License-Identifier: BSD-2-Clause */
/* What is typed, as bytes of a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/scancode.h"
#include "lib/bits.h"

static struct scancode state;
static char typed[64];

/* These codes, in a row; what comes out. */
static void send(const uint8_t *codes, size_t nr)
{
	char text[SCANCODE_MAX_TEXT];
	size_t len = 0;

	for (size_t i = 0; i < nr; i++) {
		unsigned n = scancode_decode(&state, codes[i], text);

		assert_in_range(n, 0, SCANCODE_MAX_TEXT);
		memcpy(typed + len, text, n);
		len += n;
	}
	typed[len] = '\0';
}

#define EXPECT(text, ...)                                                                          \
	do {                                                                                       \
		static const uint8_t codes_[] = {__VA_ARGS__};                                     \
		send(codes_, sizeof(codes_));                                                      \
		assert_string_equal(typed, text);                                                  \
	} while (0)

static int setup(void **unused)
{
	memset(&state, 0, sizeof(state));
	return 0;
}

static void keys_are_characters(void **unused)
{
	EXPECT("list\r", 0x26, 0xa6, 0x17, 0x97, 0x1f, 0x9f, 0x14, 0x94, 0x1c, 0x9c);
	EXPECT("1-=\t \x7f\x1b", 0x02, 0x0c, 0x0d, 0x0f, 0x39, 0x0e, 0x01);
	EXPECT("[];'`\\,./", 0x1a, 0x1b, 0x27, 0x28, 0x29, 0x2b, 0x33, 0x34, 0x35);
	EXPECT("zm", 0x2c, 0x32);
	EXPECT("\\", 0x56);
	EXPECT("7809.*-+", 0x47, 0x48, 0x52, 0x49, 0x53, 0x37, 0x4a, 0x4e);
	EXPECT("", 0x3b, 0x44, 0x45, 0x46, 0x57, 0x58, 0x54, 0x7f, 0x00, 0xfa, 0xff, 0xaa);
}

static void shift_and_caps_lock(void **unused)
{
	EXPECT("A!:|", 0x2a, 0x1e, 0x02, 0x27, 0x2b);
	EXPECT("a", 0xaa, 0x1e);
	EXPECT("Bb", 0x36, 0x30, 0xb6, 0x30);
	EXPECT("A1", 0x3a, 0xba, 0x1e, 0x02); /* no digits */
	EXPECT("a", 0x2a, 0x1e, 0xaa);        /* the other way round */
	EXPECT("a", 0x3a, 0xba, 0x1e);
	EXPECT("Aa", 0x2a, 0x36, 0xaa, 0x1e, 0xb6, 0x1e); /* one of two is let go */
}

static void ctrl_makes_control_characters(void **unused)
{
	EXPECT("\x1d", 0x1d, 0x1b, 0x9b, 0x9d); /* Ctrl-] */
	EXPECT("\x03"
	       "c",
	       0x1d, 0x2e, 0x9d, 0x2e);
	EXPECT("\x03", 0xe0, 0x1d, 0x2e, 0xe0, 0x9d);
	EXPECT("\b", 0x1d, 0x0e, 0x9d);
	EXPECT("\x1b"
	       "a",
	       0x38, 0x1e, 0xb8); /* Alt */
}

static void grey_keys_are_escape_sequences(void **unused)
{
	EXPECT("\x1b[A\x1b[B\x1b[C\x1b[D", 0xe0, 0x48, 0xe0, 0x50, 0xe0, 0x4d, 0xe0, 0x4b);
	EXPECT("\x1b[H\x1b[F\x1b[5~\x1b[6~\x1b[2~\x1b[3~", 0xe0, 0x47, 0xe0, 0x4f, 0xe0, 0x49, 0xe0,
	       0x51, 0xe0, 0x52, 0xe0, 0x53);
	EXPECT("\r/", 0xe0, 0x1c, 0xe0, 0x9c, 0xe0, 0x35);
	/* Keyboards put a shift around them: it is none. */
	EXPECT("\x1b[A"
	       "a",
	       0xe0, 0x2a, 0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0xaa, 0x1e);
	/* ... nor is a shift that is held let go by them. */
	EXPECT("\x1b[AA", 0x2a, 0xe0, 0xaa, 0xe0, 0x48, 0xe0, 0xc8, 0x1e, 0xaa);
}

/* Pause: e1 1d 45 e1 9d c5; neither Ctrl nor anything else is held behind it. */
static void pause_is_nothing(void **unused)
{
	EXPECT("a", 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x1e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keys_are_characters, setup),
		cmocka_unit_test_setup(shift_and_caps_lock, setup),
		cmocka_unit_test_setup(ctrl_makes_control_characters, setup),
		cmocka_unit_test_setup(grey_keys_are_escape_sequences, setup),
		cmocka_unit_test_setup(pause_is_nothing, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
