/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is typed on a PC's keyboard, as the bytes that a terminal would send: scan code set 1, which
 * the keyboard controller makes of every keyboard's, with the US layout. Hosted.
 */
#ifndef DRIVERS_SCANCODE_H
#define DRIVERS_SCANCODE_H

#include <stdbool.h>
#include <stdint.h>

/* All zero at the beginning. */
struct scancode {
	unsigned held;  /* keys that change others, a bit for each */
	bool caps_lock; /* on */
	bool is_second; /* the byte before was 0xe0 */
};

#define SCANCODE_MAX_TEXT 5

/*
 * The keyboard has sent `code`. How many bytes that is to a terminal, which stand in `text`: 0 for
 * a key that is released, or stands for nothing.
 */
unsigned scancode_decode(struct scancode *s, uint8_t code, char text[SCANCODE_MAX_TEXT]);

#endif
