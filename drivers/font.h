/* SPDX-License-Identifier: BSD-2-Clause */
/* The dots of the characters, for the framebuffer: see font.c. */
#ifndef DRIVERS_FONT_H
#define DRIVERS_FONT_H

#include <stdint.h>

#define FONT_FIRST  ' '
#define FONT_LAST   '~'
#define FONT_CHARS  (FONT_LAST - FONT_FIRST + 1)
#define FONT_WIDTH  5
#define FONT_HEIGHT 7

extern const uint8_t font_5x7[FONT_CHARS][FONT_HEIGHT];

#endif
