/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's command line from anywhere: no line is too long, no value out of range. */
#include <stdlib.h>
#include <string.h>

#include "boot/cmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_report(void *ctx, const char *line)
{
	if (strncmp(line, "command line: ", 14) || strlen(line) > 160)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct cmdline c;
	unsigned i;

	memcpy(text, data, size);
	text[size] = '\0';
	cmdline_parse(text, &c, check_report, NULL);
	free(text);
	if (c.nr_consoles > CMDLINE_MAX_CONSOLES || !c.max_cpus || c.log_level > LOG_DEBUG ||
	    c.onexit > ONEXIT_REBOOT || (c.has_exit_port && !c.exit_port))
		abort();
	for (i = 0; i < c.nr_consoles; i++) {
		const struct serial_word *w = &c.console[i].serial;

		if (c.console[i].kind != CONSOLE_SERIAL)
			continue;
		if ((w->baud && 115200 % w->baud) || w->index > SERIAL_MAX_INDEX || w->dev > 31 ||
		    w->fn > 7 || (w->stride != 1 && w->stride != 2 && w->stride != 4))
			abort();
		if ((w->kind == SERIAL_WORD_PORT || w->kind == SERIAL_WORD_MMIO) && !w->base)
			abort();
	}
	return 0;
}
