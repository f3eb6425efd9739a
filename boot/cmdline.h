/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own command line: words of the form key=value. An unknown key or a bad value
 * is one line through `report` ("command line: console=com9: no such device") and changes nothing.
 */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "drivers/serial_word.h"
#include "lib/log.h"
#include "vmm/control/start.h"

#define CMDLINE_MAX_CONSOLES 4
#define CMDLINE_WORD_LEN     64 /* key=value, with the NUL */

enum console_kind { CONSOLE_SERIAL, CONSOLE_VGA, CONSOLE_FB, CONSOLE_NONE };

struct console_option {
	enum console_kind kind;
	struct serial_word serial; /* CONSOLE_SERIAL */
	char text[CMDLINE_WORD_LEN];
};

struct cmdline {
	/* console=SERIAL (drivers/serial_word.h) | vga | fb | none, may be given several times */
	struct console_option console[CMDLINE_MAX_CONSOLES];
	unsigned nr_consoles;     /* 0: not given */
	enum log_level log_level; /* loglevel=error|warn|info|debug */
	enum onexit onexit;       /* onexit=monitor|poweroff|reboot */
	bool has_exit_port;
	uint16_t exit_port; /* exitport=PORT: where to write the status of the machine's end */
	unsigned max_cpus;  /* maxcpus=N, 1 and more; UINT_MAX: all */
	bool x2apic;        /* x2apic=on|off */
	bool high_frames;   /* debug=high-frames: frames_set_highest_first() */
	bool nmi_panics;    /* nmi=report|panic: one that nobody here has sent */
	bool stop_masters;  /* busmasters=stop|keep: what the firmware has left running */
	bool errata;        /* errata=on|off: does the CPU have those of its model? */
	enum large_exec large_exec; /* largeexec=auto|never|always */
	bool marks; /* marks=on|off: marks in front of what Umbra and guests say (lib/log.h) */
};

void cmdline_parse(const char *text, struct cmdline *out,
		   void (*report)(void *ctx, const char *line), void *ctx);

#endif
