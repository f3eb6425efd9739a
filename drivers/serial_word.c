/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/serial_word.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/serial_uart.h"
#include "lib/bits.h"

#define MIN_BAUD 50
#define MAX_NUMS 2

const char serial_word_unknown[] = "not com1 ... com4, an I/O port, mmio:ADDRESS, pci or spcr";

/* A number at *s, which moves behind it: 0x... or decimal with base 0. */
static bool take_number(const char **s, int base, unsigned long max, unsigned long *out)
{
	char *end;
	bool is_digit = (**s >= '0' && **s <= '9') ||
			(base == 16 && (**s | 0x20) >= 'a' && (**s | 0x20) <= 'f');

	/* strtoul() would take a sign and blanks. */
	if (!is_digit)
		return false;
	*out = strtoul(*s, &end, base);
	*s = end;
	return *out <= max;
}

static bool take_text(const char **s, const char *text)
{
	size_t len = strlen(text);

	if (strncmp(*s, text, len))
		return false;
	*s += len;
	return true;
}

/* ",N" up to twice, to the end of the word. How many; -1: it goes on otherwise. */
static int take_numbers(const char *s, unsigned long *nums)
{
	int nr = 0;

	while (*s == ',' && nr < MAX_NUMS) {
		s++;
		if (!take_number(&s, 0, UINT32_MAX, &nums[nr++]))
			return -1;
	}
	return *s ? -1 : nr;
}

static const char *set_baud(struct serial_word *w, unsigned long baud)
{
	if (baud && (baud < MIN_BAUD || baud > SERIAL_BAUD || SERIAL_BAUD % baud))
		return "the rate must be 0 or divide 115200";
	w->has_baud = true;
	w->baud = (uint32_t)baud;
	return NULL;
}

static const char *finish_port(struct serial_word *w, const char *s)
{
	unsigned long nums[MAX_NUMS];
	int nr = take_numbers(s, nums);

	if (nr < 0 || nr > 1)
		return "only ,BAUD may follow";
	return nr ? set_baud(w, nums[0]) : NULL;
}

/* The two numbers that may follow; `first` is what it was if there is none. */
static const char *finish_pair(struct serial_word *w, const char *s, unsigned long *first)
{
	unsigned long nums[MAX_NUMS];
	int nr = take_numbers(s, nums);

	if (nr < 0)
		return "only numbers may follow, two at most";
	if (nr == 1 && nums[0] >= MIN_BAUD)
		return set_baud(w, nums[0]);
	if (nr)
		*first = nums[0];
	return nr == 2 ? set_baud(w, nums[1]) : NULL;
}

static const char *parse_mmio(struct serial_word *w, const char *s)
{
	unsigned long base, stride = 1;
	const char *why;

	w->kind = SERIAL_WORD_MMIO;
	if (!take_number(&s, 0, ~0ul, &base) || !base)
		return "no address behind mmio:";
	w->base = base;
	why = finish_pair(w, s, &stride);
	if (!why && stride != 1 && stride != 2 && stride != 4)
		why = "the distance of the registers is 1, 2 or 4";
	w->stride = (uint8_t)stride;
	return why;
}

/* BB:DD.F in hexadecimal, as lspci prints it. */
static bool take_function(const char **s, struct serial_word *w)
{
	unsigned long bus, dev, fn;

	if (!take_number(s, 16, 255, &bus) || !take_text(s, ":") || !take_number(s, 16, 31, &dev) ||
	    !take_text(s, ".") || !take_number(s, 16, 7, &fn))
		return false;
	w->bus = (uint8_t)bus;
	w->dev = (uint8_t)dev;
	w->fn = (uint8_t)fn;
	return true;
}

static const char *parse_pci(struct serial_word *w, const char *s)
{
	unsigned long index = 0;
	const char *why;

	w->kind = SERIAL_WORD_PCI;
	w->is_any = *s != ':';
	if (!w->is_any && (s++, !take_function(&s, w)))
		return "not a function such as pci:00:16.3";
	why = finish_pair(w, s, &index);
	if (!why && index > SERIAL_MAX_INDEX)
		why = "a card has ports 0 to 7";
	w->index = (unsigned)index;
	return why;
}

static const char *parse_port(struct serial_word *w, const char *s)
{
	static const uint16_t addresses[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	unsigned long n;

	w->kind = SERIAL_WORD_PORT;
	if (take_text(&s, "com")) {
		if (*s < '1' || *s > '4')
			return serial_word_unknown;
		w->base = addresses[*s++ - '1'];
	} else {
		if (!take_number(&s, 0, 0xfff8, &n) || !n)
			return serial_word_unknown;
		w->base = n;
	}
	return *s && *s != ',' ? serial_word_unknown : finish_port(w, s);
}

const char *serial_word_parse(const char *text, struct serial_word *out)
{
	const char *s = text;

	*out = (struct serial_word){.stride = 1};
	if (!strcmp(s, "spcr")) {
		out->kind = SERIAL_WORD_SPCR;
		return NULL;
	}
	if (take_text(&s, "mmio:"))
		return parse_mmio(out, s);
	if (take_text(&s, "pci") && (!*s || *s == ':' || *s == ','))
		return parse_pci(out, s);
	return parse_port(out, text);
}
