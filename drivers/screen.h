/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log, the monitor and guests on the screen: VGA text memory, or a linear framebuffer as the
 * boot loader left it. What is on the screen is kept in a grid of characters (drivers/terminal.h),
 * so that video memory, slow to read, is only ever written, and only where something changes.
 */
#ifndef DRIVERS_SCREEN_H
#define DRIVERS_SCREEN_H

#include <stdint.h>

#include "lib/log.h"
#include "lib/types.h"

enum screen_kind { SCREEN_NONE, SCREEN_TEXT, SCREEN_RGB };

struct screen_mode {
	enum screen_kind kind;
	hpa_t base;
	uint32_t pitch;         /* bytes from line to line */
	uint32_t width, height; /* pixels, or characters with SCREEN_TEXT */
	uint8_t bpp;            /* SCREEN_RGB: 16, 24 or 32 are served */
	uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size; /* bits */
};

/* The 80 x 25 text mode that a PC starts in. */
extern const struct screen_mode screen_vga_text;

/*
 * Use the screen. Once, after the page tables are up. The sink for log_add_sink(), or NULL when
 * the mode is none that we can draw in.
 */
struct log_sink *screen_open(const struct screen_mode *mode);

#endif
