/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log, the monitor and guests on the screen: VGA text memory, or a linear framebuffer as the
 * boot loader left it. What is to be on the screen is kept in a grid of characters
 * (drivers/terminal.h), and so is what is on it: video memory, slow to read, is only ever written,
 * and only where something changes.
 *
 * Text goes to the first grid alone, and nobody waits for the screen. The boot CPU draws what has
 * changed, a slice at a time (vmm/output.c). What has been scrolled away before it was drawn is
 * never seen. During start-up and in a panic text is drawn at once.
 */
#ifndef DRIVERS_SCREEN_H
#define DRIVERS_SCREEN_H

#include <stdbool.h>
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

/* Draw a slice of what has changed: 32 characters at most. True: there is more. Boot CPU. */
bool screen_draw_some(void);

/* Is there something to draw? Boot CPU. */
bool screen_is_dirty(void);

/* Draw all that has changed. For the machine's start and end. */
void screen_flush(void);

#endif
