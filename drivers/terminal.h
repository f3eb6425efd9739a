/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A terminal's idea of its screen: a grid of characters, a cursor, and what control characters and
 * escape sequences (ECMA-48, as a VT100 has them) do to them. Guests write for such a terminal. The
 * moves of the cursor and erasing are done; colours and all else are understood as far as to leave
 * them out. Knows no screen, and runs hosted.
 */
#ifndef DRIVERS_TERMINAL_H
#define DRIVERS_TERMINAL_H

#include <stdint.h>

#define TERMINAL_MAX_COLS   240
#define TERMINAL_MAX_ROWS   135
#define TERMINAL_MAX_PARAMS 2

enum terminal_state {
	TERMINAL_TEXT,
	TERMINAL_ESC,     /* behind ESC */
	TERMINAL_CHARSET, /* behind ESC and ( and the like: one byte more */
	TERMINAL_CSI,     /* behind ESC [ */
	TERMINAL_STRING,  /* behind ESC ] and the like: to BEL or ESC \ */
	TERMINAL_STRING_ESC,
};

struct terminal {
	unsigned cols, rows; /* const */
	unsigned col, row;   /* of the next character; col == cols: it begins the next line */
	enum terminal_state state;
	unsigned nr_params; /* of a sequence ESC [: numbers so far, the one being read included */
	unsigned params[TERMINAL_MAX_PARAMS];
	char is_private; /* it has a character in front of the numbers that makes it another one */
	void (*draw)(unsigned col, unsigned row, char c); /* const */
	char grid[TERMINAL_MAX_ROWS][TERMINAL_MAX_COLS];
};

/*
 * An empty screen of this size, from 1 to TERMINAL_MAX_... `draw` is called for each place whose
 * character (' ' to '~') changes, from here on and for all of them now.
 */
void terminal_init(struct terminal *t, unsigned cols, unsigned rows,
		   void (*draw)(unsigned col, unsigned row, char c));

/* "\n" goes to the beginning of the next line, as the log means it. */
void terminal_put(struct terminal *t, char c);

#endif
