/* SPDX-License-Identifier: BSD-2-Clause */
/* The debug-exit and debug-console ports. */
#include "vmm/dev/debug.h"

#include "lib/log.h"
#include "vmm/dev/host.h"

uint64_t debug_exit_read(void *dev, uint64_t off, unsigned size)
{
	return 0;
}

void debug_exit_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct debug_exit *d = dev;

	d->host->event(d->vm, VM_EVENT_DEBUG_EXIT, (uint32_t)val);
}

static void flush_line(struct debug_console *d)
{
	d->line[d->len] = '\0';
	if (d->len)
		log_debug("vm %s: firmware: %s", d->name, d->line);
	d->len = 0;
}

uint64_t debug_console_read(void *dev, uint64_t off, unsigned size)
{
	return DEBUG_CONSOLE_ID;
}

/* A character that is not printable would garble the log. */
void debug_console_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct debug_console *d = dev;
	char c = (char)val;

	if (c == '\n') {
		flush_line(d);
		return;
	}
	if (c == '\r')
		return;
	d->line[d->len++] = c >= ' ' && c <= '~' ? c : '.';
	if (d->len == DEBUG_LINE_MAX)
		flush_line(d);
}
