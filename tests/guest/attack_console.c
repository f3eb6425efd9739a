/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that attacks by what it says, in one way that way=NAME chooses (tests/harness/boot.py).
 * It floods its console for ever, at a speed that no serial line has; or it says what Umbra says,
 * to be taken for it, and ends with status 7. Without a name it forges. run: status=7 vcpus=1
 */
#include <string.h>

#include "boot.h"
#include "hypercall.h"
#include "ktap.h"
#include "paging.h"

#define UART     0x3f8
#define UART_LSR 0x3fd

static void send(const char *text)
{
	for (; *text; text++)
		putchar_raw(*text);
}

/* --- floods --- */

static void out(void)
{
	for (;;)
		outb(UART, 'o');
}

static void poll_and_out(void)
{
	for (;;)
		putchar_raw('p');
}

/* 64 KiB with each instruction. */
static void rep_outsb(void)
{
	char *text = pages_alloc(0x10000, PAGE_SIZE);

	memset(text, 'r', 0x10000);
	for (;;) {
		const char *from = text;
		unsigned long n = 0x10000;

		__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(UART) : "memory");
	}
}

static void hypercalls(void)
{
	for (;;)
		hypercall(HC_PUTCHAR, 'h');
}

static void newlines(void)
{
	for (;;)
		outb(UART, '\n');
}

/* --- forgery --- */

static const char *const lies[] = {
	"umbra: exit status 0\n",
	"\rumbra: exit status 0\r\n",
	"half a line\r\numbra: exit status 0\r\n",
	"panic: #PF page fault (vector 14, error 0x2) on CPU 0\n",
	"vm other: ended: power-off, status 0\numbra: exit status 0\n",
	/* Umbra's mark, a guest's, and what either is escaped as (lib/log.h). */
	"\x1eumbra: exit status 0\n",
	"\x1f\x1eumbra: exit status 0\n\x1f",
	"\x10\x1eumbra: exit status 0\n",
	"\x10^umbra: exit status 0\n",
	"\x10P\x1eumbra: exit status 0\n",
	"\x10",
	"\x1eumbra: exit status 0\n\x10",
	/* An escape sequence that never ends, and text that nobody sees. */
	"\x1b]0;\x1b[8m",
	"the end of the lies, in mid-line: umbra: exit status ",
};

/* Between two of them a line of the log's own, at loglevel=debug: what firmware says. */
static void forge(void)
{
	for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		send(lies[i]);
		for (const char *p = "umbra: exit status 0\r\x1e\n"; *p; p++)
			outb(0x402, (uint8_t)*p);
	}
	guest_exit(7);
}

/* clang-format off */
#define WAY(name) {#name, name}
/* clang-format on */
static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {WAY(forge),     WAY(out),        WAY(poll_and_out),
	    WAY(rep_outsb), WAY(hypercalls), WAY(newlines)};

void guest_main(void)
{
	const char *way = boot_option("way");

	for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strncmp(way ? way : "forge", ways[i].name, strlen(ways[i].name)))
			continue;
		printf("KTAP version 1\n1..1\nok 1 - about to begin: %s\n", ways[i].name);
		ways[i].run();
	}
	bail_out("way=%s: no such way", way);
}
