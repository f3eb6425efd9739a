/* SPDX-License-Identifier: BSD-2-Clause */
/* Characters on VGA text memory or on a framebuffer: see screen.h. */
#include "drivers/screen.h"

#include <stdbool.h>

#include "arch/x86/cpu.h"
#include "arch/x86/paging.h"
#include "drivers/font.h"
#include "drivers/terminal.h"

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

static struct screen_mode mode;
static volatile uint8_t *memory;
static struct terminal terminal;
static uint32_t ink;                    /* a pixel of the text's colour */
static unsigned cursor_col, cursor_row; /* SCREEN_RGB: where it is drawn */

static void put_pixel(volatile uint8_t *p, uint32_t val)
{
	unsigned i;

	for (i = 0; i < mode.bpp / 8u; i++)
		p[i] = (uint8_t)(val >> 8 * i);
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

static void draw_cell(unsigned x, unsigned y, char c)
{
	if (mode.kind == SCREEN_RGB)
		draw_glyph(x, y, c);
	else
		*(volatile uint16_t *)(memory + y * mode.pitch + x * 2) = (uint16_t)(TEXT_ATTR | c);
}

/* --- the cursor: a line below its place, where no character has a dot; or VGA's own --- */

static void draw_underline(unsigned x, unsigned y, uint8_t dots)
{
	draw_dots(cell_at(x, y) + (size_t)FONT_HEIGHT * DOT * mode.pitch, dots);
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

static void move_cursor(unsigned x, unsigned y)
{
	unsigned place = y * mode.width + x;

	if (mode.kind == SCREEN_RGB) {
		draw_underline(cursor_col, cursor_row, 0);
		draw_underline(x, y, GENMASK_ULL(FONT_WIDTH - 1, 0));
	} else if (mode.base.v == VGA_TEXT) {
		write_vga(VGA_CURSOR_HIGH, (uint8_t)(place >> 8));
		write_vga(VGA_CURSOR_LOW, (uint8_t)place);
	}
	cursor_col = x;
	cursor_row = y;
}

/* The log's lock is held, or nobody else runs any more. */
static void write_log(struct log_sink *sink, const char *text, size_t len)
{
	while (len--)
		terminal_put(&terminal, *text++);
	move_cursor(min(terminal.col, terminal.cols - 1), terminal.row);
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

	if (!is_usable(m) || (m->base.v + len) >> paging_phys_bits())
		return NULL;
	mode = *m;
	ink = colour(m->red_pos, m->red_size) | colour(m->green_pos, m->green_size) |
	      colour(m->blue_pos, m->blue_size);
	memory = paging_map(m->base, len, m->kind == SCREEN_RGB ? PAGING_WC : PAGING_UC);
	if (mode.kind == SCREEN_RGB)
		terminal_init(&terminal, m->width / CELL_WIDTH, m->height / CELL_HEIGHT, draw_cell);
	else
		terminal_init(&terminal, m->width, m->height, draw_cell);
	if (mode.kind == SCREEN_TEXT && m->base.v == VGA_TEXT)
		show_vga_cursor();
	return &sink;
}
