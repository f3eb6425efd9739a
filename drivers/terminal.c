/* SPDX-License-Identifier: BSD-2-Clause */
/* See terminal.h. */
#include "drivers/terminal.h"

#include <stdbool.h>
#include <string.h>

#include "lib/bits.h"

#define ESC       0x1b
#define TAB_WIDTH 8
#define MAX_PARAM 999

static void set_cell(struct terminal *t, unsigned x, unsigned y, char c)
{
	if (t->grid[y][x] == c)
		return;
	t->grid[y][x] = c;
	t->draw(x, y, c);
}

/* Make room at the bottom: a quarter of the screen at once, for drawing is slow. */
static void scroll(struct terminal *t)
{
	unsigned by = max(t->rows / 4, 1u);
	unsigned x, y;

	for (y = 0; y < t->rows; y++)
		for (x = 0; x < t->cols; x++)
			set_cell(t, x, y, y + by < t->rows ? t->grid[y + by][x] : ' ');
	t->row -= by;
}

static void new_line(struct terminal *t)
{
	t->col = 0;
	if (++t->row == t->rows)
		scroll(t);
}

static void put_visible(struct terminal *t, char c)
{
	if (t->col == t->cols)
		new_line(t);
	set_cell(t, t->col++, t->row, c);
}

/* --- escape sequences --- */

/* Parameter `i`, or 1 if it is missing or 0. */
static unsigned param(const struct terminal *t, unsigned i)
{
	return i < t->nr_params && t->params[i] ? t->params[i] : 1;
}

/* `n`, but within 0 to `limit` - 1. */
static unsigned clamp(int n, unsigned limit)
{
	return n < 0 ? 0 : min((unsigned)n, limit - 1);
}

static void move_to(struct terminal *t, int col, int row)
{
	t->col = clamp(col, t->cols);
	t->row = clamp(row, t->rows);
}

/* From the place `from` to `to`, which is no longer erased; counted along the lines. */
static void erase(struct terminal *t, unsigned from, unsigned to)
{
	for (; from < to; from++)
		set_cell(t, from % t->cols, from / t->cols, ' ');
}

/* All from the cursor on, all up to it, or everything; within the places `first` to `last`. */
static void erase_part(struct terminal *t, unsigned first, unsigned last)
{
	unsigned here = t->row * t->cols + min(t->col, t->cols - 1);

	switch (t->nr_params ? t->params[0] : 0) {
	case 0:
		erase(t, here, last);
		break;
	case 1:
		erase(t, first, here + 1);
		break;
	default:
		erase(t, first, last);
	}
}

static void end_csi(struct terminal *t, char final)
{
	int n = (int)param(t, 0), col = (int)min(t->col, t->cols - 1), row = (int)t->row;

	t->state = TERMINAL_TEXT;
	if (t->is_private)
		return;
	switch (final) {
	case 'A':
		move_to(t, col, row - n);
		break;
	case 'B':
		move_to(t, col, row + n);
		break;
	case 'C':
		move_to(t, col + n, row);
		break;
	case 'D':
		move_to(t, col - n, row);
		break;
	case 'G':
		move_to(t, n - 1, row);
		break;
	case 'd':
		move_to(t, col, n - 1);
		break;
	case 'H':
	case 'f':
		move_to(t, (int)param(t, 1) - 1, n - 1);
		break;
	case 'J':
		erase_part(t, 0, t->rows * t->cols);
		break;
	case 'K':
		erase_part(t, t->row * t->cols, (t->row + 1) * t->cols);
		break;
	default:
		break;
	}
}

/* Numbers and semicolons, then the byte from '@' to '~' that says what it is about. */
static void put_csi(struct terminal *t, char c)
{
	unsigned *last = &t->params[min(t->nr_params, (unsigned)TERMINAL_MAX_PARAMS) - 1];

	if (c >= '0' && c <= '9') {
		if (t->nr_params <= TERMINAL_MAX_PARAMS)
			*last = min(*last * 10 + (unsigned)(c - '0'), (unsigned)MAX_PARAM);
	} else if (c == ';') {
		t->nr_params += t->nr_params <= TERMINAL_MAX_PARAMS;
	} else if (c >= '@' && c <= '~') {
		end_csi(t, c);
	} else {
		t->is_private = c;
	}
}

static void begin_csi(struct terminal *t)
{
	t->state = TERMINAL_CSI;
	t->nr_params = 1;
	t->is_private = 0;
	memset(t->params, 0, sizeof(t->params));
}

static void put_esc(struct terminal *t, char c)
{
	t->state = TERMINAL_TEXT;
	switch (c) {
	case '[':
		begin_csi(t);
		break;
	case ']': /* of the window system, device control, and the like */
	case 'P':
	case 'X':
	case '^':
	case '_':
		t->state = TERMINAL_STRING;
		break;
	case 'c':
		erase(t, 0, t->rows * t->cols);
		move_to(t, 0, 0);
		break;
	default:
		if (c >= ' ' && c <= '/')
			t->state = TERMINAL_CHARSET;
	}
}

/* --- characters --- */

/*
 * Control characters work within escape sequences as well. The end of a line ends a sequence: what
 * a guest leaves unfinished must not swallow the log.
 */
static void put_control(struct terminal *t, char c)
{
	switch (c) {
	case '\n':
		t->state = TERMINAL_TEXT;
		new_line(t);
		break;
	case '\r':
		t->col = 0;
		break;
	case '\b':
		t->col = min(t->col, t->cols - 1);
		t->col -= t->col > 0;
		break;
	case '\t':
		t->col = min((t->col / TAB_WIDTH + 1) * TAB_WIDTH, t->cols - 1);
		break;
	case ESC:
		t->state = TERMINAL_ESC;
		break;
	default:
		break;
	}
}

/* A character of UTF-8 is one question mark, not one for each of its bytes. */
static void put_text(struct terminal *t, uint8_t c)
{
	if (c >= ' ' && c <= '~')
		put_visible(t, (char)c);
	else if (c >= 0xc0)
		put_visible(t, '?');
}

static void put_string(struct terminal *t, char c)
{
	if (c == '\a' || (t->state == TERMINAL_STRING_ESC && c == '\\'))
		t->state = TERMINAL_TEXT;
	else
		t->state = c == ESC ? TERMINAL_STRING_ESC : TERMINAL_STRING;
}

void terminal_put(struct terminal *t, char c)
{
	if (c != '\n' && (t->state == TERMINAL_STRING || t->state == TERMINAL_STRING_ESC)) {
		put_string(t, c);
		return;
	}
	if ((uint8_t)c < ' ') {
		put_control(t, c);
		return;
	}
	switch (t->state) {
	case TERMINAL_ESC:
		put_esc(t, c);
		break;
	case TERMINAL_CSI:
		put_csi(t, c);
		break;
	case TERMINAL_CHARSET:
		t->state = TERMINAL_TEXT;
		break;
	default:
		put_text(t, (uint8_t)c);
	}
}

void terminal_init(struct terminal *t, unsigned cols, unsigned rows,
		   void (*draw)(unsigned col, unsigned row, char c))
{
	memset(t, 0, sizeof(*t)); /* no character anywhere: everything will be drawn */
	t->cols = min(cols, (unsigned)TERMINAL_MAX_COLS);
	t->rows = min(rows, (unsigned)TERMINAL_MAX_ROWS);
	t->draw = draw;
	erase(t, 0, t->rows * t->cols);
}
