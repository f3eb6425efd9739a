/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's command line: one table of keys, each with the function that takes its value. */
#include "boot/cmdline.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/bits.h"

#define WORD_MAX CMDLINE_WORD_LEN

/* A number that fills the whole string, 0x... or decimal, in [lo, hi]. */
static bool parse_number(const char *s, unsigned long lo, unsigned long hi, unsigned long *out)
{
	char *end;

	/* strtoul() would take a sign and blanks. */
	if (*s < '0' || *s > '9')
		return false;
	*out = strtoul(s, &end, 0);
	return !*end && *out >= lo && *out <= hi;
}

/* The index of `s` in a list of words, or -1. */
static int find_word(const char *s, const char *const *words)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(s, words[i]))
			return i;
	return -1;
}

static const char *set_serial(struct console_option *c, const char *value)
{
	const char *reason = serial_word_parse(value, &c->serial);

	c->kind = CONSOLE_SERIAL;
	if (reason == serial_word_unknown)
		return "not com1 ... com4, an I/O port, mmio:ADDRESS, pci, spcr, vga, fb or none";
	return reason;
}

static const char *set_console(struct cmdline *c, char *value)
{
	static const char *const words[] = {"vga", "fb", "none", NULL};
	struct console_option option = {};
	int i = find_word(value, words);
	const char *reason = NULL;

	if (c->nr_consoles == CMDLINE_MAX_CONSOLES)
		return "too many consoles";
	if (i >= 0)
		option.kind = (enum console_kind)(CONSOLE_VGA + i);
	else
		reason = set_serial(&option, value);
	snprintf(option.text, sizeof(option.text), "%s", value);
	if (!reason)
		c->console[c->nr_consoles++] = option;
	return reason;
}

static const char *set_loglevel(struct cmdline *c, char *value)
{
	static const char *const words[] = {"error", "warn", "info", "debug", NULL};
	int i = find_word(value, words);

	if (i < 0)
		return "not error, warn, info or debug";
	c->log_level = (enum log_level)i;
	return NULL;
}

static const char *set_onexit(struct cmdline *c, char *value)
{
	static const char *const words[] = {"monitor", "poweroff", "reboot", NULL};
	int i = find_word(value, words);

	if (i < 0)
		return "not monitor, poweroff or reboot";
	c->onexit = (enum onexit)i;
	return NULL;
}

static const char *set_exitport(struct cmdline *c, char *value)
{
	unsigned long port;

	if (!parse_number(value, 1, 0xffff, &port))
		return "not an I/O port";
	c->exit_port = (uint16_t)port;
	c->has_exit_port = true;
	return NULL;
}

static const char *set_maxcpus(struct cmdline *c, char *value)
{
	unsigned long n;

	if (!parse_number(value, 1, UINT_MAX, &n))
		return "not a number from 1 up";
	c->max_cpus = (unsigned)n;
	return NULL;
}

static const char *set_switch(bool *is_on, const char *value)
{
	static const char *const words[] = {"off", "on", NULL};
	int i = find_word(value, words);

	if (i < 0)
		return "not on or off";
	*is_on = i;
	return NULL;
}

static const char *set_x2apic(struct cmdline *c, char *value)
{
	return set_switch(&c->x2apic, value);
}

static const char *set_errata(struct cmdline *c, char *value)
{
	return set_switch(&c->errata, value);
}

static const char *set_largeexec(struct cmdline *c, char *value)
{
	static const char *const words[] = {"auto", "never", "always", NULL};
	int i = find_word(value, words);

	if (i < 0)
		return "not auto, never or always";
	c->large_exec = (enum large_exec)i;
	return NULL;
}

static const char *set_busmasters(struct cmdline *c, char *value)
{
	static const char *const words[] = {"keep", "stop", NULL};
	int i = find_word(value, words);

	if (i < 0)
		return "not stop or keep";
	c->stop_masters = i;
	return NULL;
}

static const char *set_nmi(struct cmdline *c, char *value)
{
	static const char *const words[] = {"report", "panic", NULL};
	int i = find_word(value, words);

	if (i < 0)
		return "not report or panic";
	c->nmi_panics = i;
	return NULL;
}

static const char *set_debug(struct cmdline *c, char *value)
{
	static const char *const words[] = {"high-frames", NULL};

	if (find_word(value, words) < 0)
		return "not high-frames";
	c->high_frames = true;
	return NULL;
}

static const char *set_marks(struct cmdline *c, char *value)
{
	static const char *const words[] = {"off", "on", NULL};
	int i = find_word(value, words);

	if (i < 0)
		return "not on or off";
	c->marks = i;
	return NULL;
}

static const struct {
	const char *key;
	const char *(*set)(struct cmdline *c, char *value); /* NULL, or what is wrong */
} keys[] = {
	{"console", set_console},       {"loglevel", set_loglevel},
	{"onexit", set_onexit},         {"exitport", set_exitport},
	{"maxcpus", set_maxcpus},       {"x2apic", set_x2apic},
	{"largeexec", set_largeexec},   {"errata", set_errata},
	{"busmasters", set_busmasters}, {"nmi", set_nmi},
	{"debug", set_debug},           {"marks", set_marks},
};

/* `word` is "key=value" and may be written to. NULL, or what is wrong with it. */
static const char *take_word(struct cmdline *c, char *word)
{
	char *value = strchr(word, '=');
	unsigned i;

	if (!value)
		return "not of the form key=value";
	*value++ = '\0';
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(word, keys[i].key))
			return keys[i].set(c, value);
	return "unknown key";
}

void cmdline_parse(const char *text, struct cmdline *out,
		   void (*report)(void *ctx, const char *line), void *ctx)
{
	char word[WORD_MAX], line[WORD_MAX + 80];
	const char *reason;
	size_t n;

	*out = (struct cmdline){
		.log_level = LOG_INFO,
		.max_cpus = UINT_MAX,
		.x2apic = true,
		.errata = true,
		.stop_masters = true,
	};
	for (text += strspn(text, " \t"); *text; text += n, text += strspn(text, " \t")) {
		n = strcspn(text, " \t");
		snprintf(word, sizeof(word), "%.*s", (int)min(n, (size_t)WORD_MAX), text);
		reason = n < sizeof(word) ? take_word(out, word) : "too long";
		if (!reason)
			continue;
		snprintf(line, sizeof(line), "command line: %.*s: %s",
			 (int)min(n, (size_t)WORD_MAX - 1), text, reason);
		report(ctx, line);
	}
}
