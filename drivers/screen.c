/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Characters on VGA text memory or on a framebuffer: see screen.h.
 *
 *	who writes (the log's lock)		who draws (the boot CPU)
 *	wanted, cursor		(A)		is_dirty = false	(C)
 *	is_dirty = true		(B)		look at all of them	(D)
 *
 * (B) releases and (C) acquires: either (D) sees what (A) wrote, or (B) comes behind (C), and
 * everything is looked at again.
 */
#include "drivers/screen.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/paging.h"
#include "drivers/font.h"
#include "drivers/terminal.h"
#include "drivers/txring.h"

/* Framebuffer: each dot is 2 by 2 pixels, with a dot between the characters. */
#define DOT         2
#define CELL_WIDTH  ((FONT_WIDTH + 1) * DOT)
#define CELL_HEIGHT ((FONT_HEIGHT + 1) * DOT)
#define WHITE       0xc0 /* of 255 */

#define TEXT_ATTR 0x0700 /* light grey on black */

/* VGA's cursor (of IBM's CRT controller): an index and a data port, in a mode with colours. */
#define VGA_TEXT         0xb8000
#define VGA_INDEX        0x3d4
#define VGA_DATA         0x3d5
#define VGA_CURSOR_START 0x0a
#define VGA_CURSOR_OFF   BIT(5)
#define VGA_CURSOR_HIGH  0x0e /* place on the screen */
#define VGA_CURSOR_LOW   0x0f

const struct screen_mode screen_vga_text = {
	.kind = SCREEN_TEXT,
	.base = HPA(0xb8000),
	.pitch = 160,
	.width = 80,
	.height = 25,
	.bpp = 16,
};

#define DRAWN_AT_ONCE     32   /* characters in a slice */
#define LOOKED_AT_AT_ONCE 4096 /* ... and how many are compared to find them */

static struct screen_mode mode; /* const after screen_open(), as the next two */
static volatile uint8_t *memory;
static uint32_t ink;             /* a pixel of the text's colour */
static struct terminal terminal; /* log's lock; its size is const */

/* What is to be on the screen; log's lock to write. */
static _Atomic char wanted[TERMINAL_MAX_ROWS][TERMINAL_MAX_COLS];
static _Atomic unsigned wanted_cursor; /* the number of its cell */
static _Atomic bool is_dirty;          /* these have changed since they were looked at */

/* What is on the screen. All of who draws. */
static char shown[TERMINAL_MAX_ROWS][TERMINAL_MAX_COLS];
static unsigned shown_cursor;
static unsigned next_cell; /* where it goes on */

static char get(const _Atomic char *cell)
{
	return atomic_load_explicit(cell, memory_order_relaxed);
}

static void want(unsigned x, unsigned y, char c)
{
	atomic_store_explicit(&wanted[y][x], c, memory_order_relaxed);
}

/* Few stores: video memory takes long for each. */
static void put_pixel(volatile uint8_t *p, uint32_t val)
{
	if (mode.bpp == 32) {
		*(volatile uint32_t *)p = val;
	} else if (mode.bpp == 16) {
		*(volatile uint16_t *)p = (uint16_t)val;
	} else {
		p[0] = (uint8_t)val;
		p[1] = (uint8_t)(val >> 8);
		p[2] = (uint8_t)(val >> 16);
	}
}

/* Two lines of pixels for a row of dots; the column after the last dot is empty. */
static void draw_dots(volatile uint8_t *p, uint8_t dots)
{
	unsigned bytes = mode.bpp / 8u;
	unsigned x, y, bit;

	for (y = 0; y < DOT; y++, p += mode.pitch) {
		for (x = 0; x < CELL_WIDTH; x++) {
			bit = (unsigned)dots << 1 >> (FONT_WIDTH - x / DOT) & 1;
			put_pixel(p + x * bytes, bit ? ink : 0);
		}
	}
}

static volatile uint8_t *cell_at(unsigned x, unsigned y)
{
	return memory + (size_t)y * CELL_HEIGHT * mode.pitch +
	       (size_t)x * CELL_WIDTH * (mode.bpp / 8u);
}

static void draw_glyph(unsigned x, unsigned y, char c)
{
	volatile uint8_t *p = cell_at(x, y);
	const uint8_t *glyph = font_5x7[c - FONT_FIRST];
	unsigned i;

	for (i = 0; i < FONT_HEIGHT; i++, p += (size_t)DOT * mode.pitch)
		draw_dots(p, glyph[i]);
}

/* True if it had to be drawn. */
static bool show_cell(unsigned x, unsigned y)
{
	char c = get(&wanted[y][x]);

	if (shown[y][x] == c)
		return false;
	if (mode.kind == SCREEN_RGB)
		draw_glyph(x, y, c);
	else
		*(volatile uint16_t *)(memory + y * mode.pitch + x * 2) = (uint16_t)(TEXT_ATTR | c);
	shown[y][x] = c;
	return true;
}

/* --- the cursor: a line below its place, where no character has a dot; or VGA's own --- */

static void draw_underline(unsigned cell, uint8_t dots)
{
	volatile uint8_t *p = cell_at(cell % terminal.cols, cell / terminal.cols);

	draw_dots(p + (size_t)FONT_HEIGHT * DOT * mode.pitch, dots);
}

static void write_vga(uint8_t index, uint8_t val)
{
	outb(VGA_INDEX, index);
	outb(VGA_DATA, val);
}

static void show_vga_cursor(void)
{
	outb(VGA_INDEX, VGA_CURSOR_START);
	outb(VGA_DATA, inb(VGA_DATA) & (uint8_t)~VGA_CURSOR_OFF);
}

static void show_cursor(void)
{
	unsigned cell = atomic_load_explicit(&wanted_cursor, memory_order_relaxed);

	if (cell == shown_cursor)
		return;
	if (mode.kind == SCREEN_RGB) {
		draw_underline(shown_cursor, 0);
		draw_underline(cell, GENMASK_ULL(FONT_WIDTH - 1, 0));
	} else if (mode.base.v == VGA_TEXT) {
		write_vga(VGA_CURSOR_HIGH, (uint8_t)(cell >> 8));
		write_vga(VGA_CURSOR_LOW, (uint8_t)cell);
	}
	shown_cursor = cell;
}

bool screen_is_dirty(void)
{
	return atomic_load_explicit(&is_dirty, memory_order_relaxed) || next_cell;
}

bool screen_draw_some(void)
{
	unsigned drawn = 0, looked_at = 0, cells = terminal.cols * terminal.rows;

	if (!next_cell && !atomic_exchange_explicit(&is_dirty, false, memory_order_acquire))
		return false;
	for (; next_cell < cells && drawn < DRAWN_AT_ONCE && looked_at < LOOKED_AT_AT_ONCE;
	     looked_at++) {
		drawn += show_cell(next_cell % terminal.cols, next_cell / terminal.cols);
		next_cell++;
	}
	if (next_cell == cells) {
		next_cell = 0;
		show_cursor();
	}
	return screen_is_dirty();
}

void screen_flush(void)
{
	next_cell = 0;
	atomic_store(&is_dirty, true);
	while (screen_draw_some())
		;
}

/* The last column, too, when the next character begins a line. */
static void want_cursor(void)
{
	unsigned col = min(terminal.col, terminal.cols - 1);

	atomic_store_explicit(&wanted_cursor, terminal.row * terminal.cols + col,
			      memory_order_relaxed);
}

/* The log's lock is held, or nobody else runs any more. */
static void write_log(struct log_sink *sink, const char *text, size_t len)
{
	while (len--)
		terminal_put(&terminal, *text++);
	want_cursor();
	if (!tx_is_background())
		screen_flush();
	else if (!atomic_exchange_explicit(&is_dirty, true, memory_order_release))
		tx_wake();
}

static bool is_usable(const struct screen_mode *m)
{
	if (!m->base.v || !m->width || !m->height)
		return false;
	if (m->kind == SCREEN_TEXT)
		return m->pitch >= m->width * 2;
	return m->kind == SCREEN_RGB && (m->bpp == 16 || m->bpp == 24 || m->bpp == 32) &&
	       m->width >= CELL_WIDTH && m->height >= CELL_HEIGHT &&
	       m->pitch / (m->bpp / 8) >= m->width;
}

static uint32_t colour(uint8_t pos, uint8_t size)
{
	if (!size || size > 8 || pos + size > 32)
		return 0;
	return (uint32_t)(WHITE >> (8 - size)) << pos;
}

struct log_sink *screen_open(const struct screen_mode *m)
{
	static struct log_sink sink = {.write = write_log};
	uint64_t len = (uint64_t)m->pitch * m->height;

	if (!is_usable(m) || len > paging_limit() || m->base.v > paging_limit() - len)
		return NULL;
	mode = *m;
	ink = colour(m->red_pos, m->red_size) | colour(m->green_pos, m->green_size) |
	      colour(m->blue_pos, m->blue_size);
	memory = paging_map(m->base, len, m->kind == SCREEN_RGB ? PAGING_WC : PAGING_UC);
	memset(shown, 0, sizeof(shown)); /* no character: everything will be drawn */
	if (mode.kind == SCREEN_RGB)
		terminal_init(&terminal, m->width / CELL_WIDTH, m->height / CELL_HEIGHT, want);
	else
		terminal_init(&terminal, m->width, m->height, want);
	if (mode.kind == SCREEN_TEXT && m->base.v == VGA_TEXT)
		show_vga_cursor();
	screen_flush();
	return &sink;
}
