/* SPDX-License-Identifier: BSD-2-Clause */
/* See scancode.h. Keys are numbered as in set 1; the grey ones have 0xe0 in front. */
#include "drivers/scancode.h"

#include <assert.h>
#include <string.h>

#include "lib/bits.h"

#define PREFIX   0xe0
#define RELEASED 0x80

#define KEY_CTRL   0x1d
#define KEY_LSHIFT 0x2a
#define KEY_SLASH  0x35
#define KEY_RSHIFT 0x36
#define KEY_ALT    0x38
#define KEY_CAPS   0x3a
#define KEY_ENTER  0x1c
#define KEY_102    0x56

#define HELD_LSHIFT BIT(0)
#define HELD_RSHIFT BIT(1)
#define HELD_LCTRL  BIT(2)
#define HELD_RCTRL  BIT(3)
#define HELD_LALT   BIT(4)
#define HELD_RALT   BIT(5)
#define HELD_SHIFT  (HELD_LSHIFT | HELD_RSHIFT)
#define HELD_CTRL   (HELD_LCTRL | HELD_RCTRL)
#define HELD_ALT    (HELD_LALT | HELD_RALT)

#define ESC 0x1b
#define DEL 0x7f /* what the backspace key of a terminal sends */

/* From key 0 on; 0: stands for nothing. From 0x47 on it is the block of digits. */
static const char plain[] = "\0\x1b"
			    "1234567890-=\x7f\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 \0"
			    "\0\0\0\0\0\0\0\0\0\0\0\0"
			    "789-456+1230.";
static const char shifted[] = "\0\x1b"
			      "!@#$%^&*()_+\x7f\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 \0"
			      "\0\0\0\0\0\0\0\0\0\0\0\0"
			      "789-456+1230.";
static_assert(sizeof(plain) == 0x55 && sizeof(shifted) == sizeof(plain), "up to key 0x53");

/* What the grey keys send behind ESC [. */
static const struct {
	uint8_t key;
	char text[3];
} grey_keys[] = {
	{0x47, "H"}, {0x48, "A"}, {0x49, "5~"}, {0x4b, "D"},  {0x4d, "C"},
	{0x4f, "F"}, {0x50, "B"}, {0x51, "6~"}, {0x52, "2~"}, {0x53, "3~"},
};

/* The bit in `held` of a key that changes others; 0: it does not. */
static unsigned held_bit(uint8_t key, bool is_grey)
{
	switch (key) {
	case KEY_LSHIFT: /* grey, it is no key: keyboards send it around their grey keys */
		return is_grey ? 0 : HELD_LSHIFT;
	case KEY_RSHIFT:
		return is_grey ? 0 : HELD_RSHIFT;
	case KEY_CTRL:
		return is_grey ? HELD_RCTRL : HELD_LCTRL;
	case KEY_ALT:
		return is_grey ? HELD_RALT : HELD_LALT;
	default:
		return 0;
	}
}

static char find_char(const struct scancode *s, uint8_t key)
{
	bool shift = s->held & HELD_SHIFT;
	char c;

	if (key == KEY_102) /* left of Z, where the US layout has no key */
		return shift ? '|' : '\\';
	if (key >= sizeof(plain))
		return 0;
	c = plain[key];
	if (c >= 'a' && c <= 'z')
		shift ^= s->caps_lock;
	return shift ? shifted[key] : c;
}

/* The control character that a terminal makes of `c`. */
static char apply_ctrl(char c)
{
	if ((c >= '@' && c <= '_') || (c >= 'a' && c <= 'z'))
		return c & 0x1f;
	return c == DEL ? '\b' : c == ' ' ? 0 : c;
}

static unsigned type_char(const struct scancode *s, uint8_t key, char *text)
{
	char c = find_char(s, key);
	unsigned n = 0;

	if (!c)
		return 0;
	if (s->held & HELD_ALT)
		text[n++] = ESC;
	text[n++] = s->held & HELD_CTRL ? apply_ctrl(c) : c;
	return n;
}

static unsigned type_grey(const struct scancode *s, uint8_t key, char *text)
{
	unsigned i;

	if (key == KEY_ENTER || key == KEY_SLASH) /* of the block of digits */
		return type_char(s, key, text);
	for (i = 0; i < ARRAY_SIZE(grey_keys) && grey_keys[i].key != key; i++)
		;
	if (i == ARRAY_SIZE(grey_keys))
		return 0;
	text[0] = ESC;
	text[1] = '[';
	memcpy(text + 2, grey_keys[i].text, sizeof(grey_keys[i].text));
	return 2 + (unsigned)strlen(grey_keys[i].text);
}

static unsigned press(struct scancode *s, uint8_t key, bool is_grey, char *text)
{
	s->held |= held_bit(key, is_grey);
	if (is_grey)
		return type_grey(s, key, text);
	if (key == KEY_CAPS)
		s->caps_lock = !s->caps_lock;
	return type_char(s, key, text);
}

unsigned scancode_decode(struct scancode *s, uint8_t code, char text[SCANCODE_MAX_TEXT])
{
	bool is_grey = s->is_second;
	uint8_t key = code & ~RELEASED;

	s->is_second = code == PREFIX;
	if (code == PREFIX)
		return 0;
	if (!(code & RELEASED))
		return press(s, key, is_grey, text);
	s->held &= ~held_bit(key, is_grey);
	return 0;
}
