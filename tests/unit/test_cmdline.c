/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypervisor's command line: every key at its limits, and one line for every mistake. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/cmdline.h"
#include "lib/bits.h"

static struct cmdline c;
static char last[256];
static unsigned nr_reports;

static void report(void *ctx, const char *line)
{
	assert_ptr_equal(ctx, &c);
	assert_true(strlen(line) < sizeof(last));
	strcpy(last, line);
	nr_reports++;
}

static void parse(const char *text)
{
	nr_reports = 0;
	last[0] = '\0';
	cmdline_parse(text, &c, report, &c);
}

/* One mistake, reported in these words. */
static void expect(const char *text, const char *line)
{
	parse(text);
	assert_int_equal(nr_reports, 1);
	assert_string_equal(last, line);
}

static void test_defaults(void **state)
{
	parse("");
	assert_int_equal(nr_reports, 0);
	assert_int_equal(c.nr_consoles, 0);
	assert_int_equal(c.log_level, LOG_INFO);
	assert_int_equal(c.onexit, ONEXIT_MONITOR);
	assert_false(c.has_exit_port);
	assert_int_equal(c.max_cpus, UINT_MAX);
	assert_true(c.x2apic);
	assert_true(c.errata);
	assert_true(c.stop_masters);
	assert_false(c.nmi_panics);
	assert_int_equal(c.large_exec, LARGE_EXEC_AUTO);
	assert_false(c.marks);
	parse(" \t  ");
	assert_int_equal(nr_reports, 0);
}

static void test_all_keys(void **state)
{
	parse("loglevel=debug  onexit=reboot\texitport=0xf4 maxcpus=3 x2apic=off console=com2 "
	      "marks=on largeexec=never debug=high-frames");
	assert_int_equal(nr_reports, 0);
	assert_int_equal(c.log_level, LOG_DEBUG);
	assert_int_equal(c.onexit, ONEXIT_REBOOT);
	assert_true(c.has_exit_port);
	assert_int_equal(c.exit_port, 0xf4);
	assert_int_equal(c.max_cpus, 3);
	assert_false(c.x2apic);
	assert_true(c.high_frames);
	assert_int_equal(c.large_exec, LARGE_EXEC_NEVER);
	assert_true(c.marks);
	assert_int_equal(c.nr_consoles, 1);
	assert_true(c.errata);
	parse("largeexec=always errata=off busmasters=keep nmi=panic");
	assert_true(c.nmi_panics);
	assert_false(c.errata);
	assert_false(c.stop_masters);
	assert_int_equal(c.large_exec, LARGE_EXEC_ALWAYS);
}

static void test_consoles(void **state)
{
	parse("console=com1 console=com4,9600 console=0x3220,50 console=vga");
	assert_int_equal(nr_reports, 0);
	assert_int_equal(c.nr_consoles, 4);
	assert_int_equal(c.console[0].kind, CONSOLE_SERIAL);
	assert_int_equal(c.console[0].serial.base, 0x3f8);
	assert_false(c.console[0].serial.has_baud);
	assert_int_equal(c.console[1].serial.base, 0x2e8);
	assert_int_equal(c.console[1].serial.baud, 9600);
	assert_string_equal(c.console[1].text, "com4,9600");
	assert_int_equal(c.console[2].serial.base, 0x3220);
	assert_int_equal(c.console[2].serial.baud, 50);
	assert_int_equal(c.console[3].kind, CONSOLE_VGA);
	parse("console=fb console=none console=pci:00:16.3 console=spcr");
	assert_int_equal(nr_reports, 0);
	assert_int_equal(c.console[0].kind, CONSOLE_FB);
	assert_int_equal(c.console[1].kind, CONSOLE_NONE);
	assert_int_equal(c.console[2].serial.kind, SERIAL_WORD_PCI);
	assert_int_equal(c.console[2].serial.dev, 0x16);
	assert_int_equal(c.console[3].serial.kind, SERIAL_WORD_SPCR);
}

static void test_bad_consoles(void **state)
{
	static const char *const reason =
		"not com1 ... com4, an I/O port, mmio:ADDRESS, pci, spcr, vga, fb or none";
	static const char *const bad[] = {"com0",    "com5", "com", "",       "0",
					  "0x10000", "-8",   "3f8", "0x3f8x", "0xfff9"};
	char text[64], line[160];

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "console=%s", bad[i]);
		snprintf(line, sizeof(line), "command line: console=%s: %s", bad[i], reason);
		expect(text, line);
		assert_int_equal(c.nr_consoles, 0);
	}
	expect("console=com1,7",
	       "command line: console=com1,7: the rate must be 0 or divide 115200");
	expect("console=pci:1", "command line: console=pci:1: not a function such as pci:00:16.3");
	expect("console=com1 console=com2 console=com3 console=com4 console=vga",
	       "command line: console=vga: too many consoles");
	assert_int_equal(c.nr_consoles, 4);
}

static void test_bad_values(void **state)
{
	expect("loglevel=loud", "command line: loglevel=loud: not error, warn, info or debug");
	expect("onexit=", "command line: onexit=: not monitor, poweroff or reboot");
	expect("exitport=0", "command line: exitport=0: not an I/O port");
	expect("exitport=65536", "command line: exitport=65536: not an I/O port");
	expect("exitport=1e", "command line: exitport=1e: not an I/O port");
	expect("maxcpus=0", "command line: maxcpus=0: not a number from 1 up");
	expect("maxcpus=99999999999999999999",
	       "command line: maxcpus=99999999999999999999: not a number from 1 up");
	expect("x2apic=yes", "command line: x2apic=yes: not on or off");
	expect("marks=yes", "command line: marks=yes: not on or off");
	assert_false(c.marks);
	assert_true(c.x2apic);
	expect("debug=low-frames", "command line: debug=low-frames: not high-frames");
	assert_false(c.high_frames);
	expect("errata=no", "command line: errata=no: not on or off");
	assert_true(c.errata);
	expect("busmasters=on", "command line: busmasters=on: not stop or keep");
	expect("nmi=off", "command line: nmi=off: not report or panic");
	expect("largeexec=on", "command line: largeexec=on: not auto, never or always");
	assert_int_equal(c.large_exec, LARGE_EXEC_AUTO);
}

static void test_unknown(void **state)
{
	expect("verbose", "command line: verbose: not of the form key=value");
	expect("color=red", "command line: color=red: unknown key");
	expect("=", "command line: =: unknown key");
	expect("loglevel=warn Console=com1 maxcpus=2", "command line: Console=com1: unknown key");
	assert_int_equal(c.log_level, LOG_WARN);
	assert_int_equal(c.max_cpus, 2);
}

static void test_long_word(void **state)
{
	char text[300];

	memset(text, 'x', sizeof(text));
	memcpy(text, "console=", 8);
	memcpy(text + 280, " maxcpus=5", 11);
	parse(text);
	assert_int_equal(nr_reports, 1);
	assert_non_null(strstr(last, ": too long"));
	assert_int_equal(c.max_cpus, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_all_keys),
		cmocka_unit_test(test_consoles),   cmocka_unit_test(test_bad_consoles),
		cmocka_unit_test(test_bad_values), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_long_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
