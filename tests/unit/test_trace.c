/* SPDX-License-Identifier: BSD-2-Clause */
/* debug=exits: the ring of exits and what it says in the log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/log.h"
#include "tests/unit/support/clock.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

static char text[16384];

static void keep(struct log_sink *sink, const char *s, size_t len)
{
	strncat(text, s, len);
}

static struct log_sink sink = {.write = keep};
static struct vm vm = {.name = "web"};
static struct vcpu vcpu = {.vm = &vm, .id = 3};
static struct trace trace;

static int setup(void **state)
{
	memset(&trace, 0, sizeof(trace));
	text[0] = '\0';
	clock_set_ns(0);
	return 0;
}

static void add(const struct vm_exit *exit, uint64_t rip)
{
	clock_advance_ns(1500);
	vcpu.virt.rip = rip;
	trace_add(&trace, &vcpu, exit);
}

static void lines_say_what_matters(void **state)
{
	add(&(struct vm_exit){.reason = EXIT_IO, .io.port = 0x3f8}, 0x1000);
	add(&(struct vm_exit){.reason = EXIT_MEMORY_FAULT, .fault.gpa = GPA(0xfec00010)}, 0x1002);
	vcpu.virt.gpr[GPR_RCX] = 0xdead0000c0000080;
	add(&(struct vm_exit){.reason = EXIT_WRMSR}, 0x1004);
	add(&(struct vm_exit){.reason = EXIT_HLT}, 0xffffffff81000000);
	trace_dump(&trace, &vcpu);
	assert_string_equal(
		text,
		"vm web: vcpu 3: last exits, 4 lines\n"
		"             1.500 us  io                   3f8  rip 1000  x1\n"
		"             3.000 us  memory-fault    fec00010  rip 1002  x1\n"
		"             4.500 us  wrmsr           c0000080  rip 1004  x1\n"
		"             6.000 us  hlt                    0  rip ffffffff81000000  x1\n");
}

static void equal_exits_in_a_row_are_one_line(void **state)
{
	for (int i = 0; i < 1000; i++)
		add(&(struct vm_exit){.reason = EXIT_IO, .io.port = 0x60}, 0x1000);
	add(&(struct vm_exit){.reason = EXIT_IO, .io.port = 0x61}, 0x1000);
	add(&(struct vm_exit){.reason = EXIT_IO, .io.port = 0x60}, 0x1000);
	assert_int_equal(trace.nr, 3);
	assert_int_equal(trace.entry[0].count, 1000);
	assert_int_equal(trace.entry[0].ns, 1500000);
}

static void the_oldest_make_room(void **state)
{
	char line[40];

	for (uint64_t i = 0; i < 2 * TRACE_LEN + 5; i++)
		add(&(struct vm_exit){.reason = EXIT_CPUID}, i);
	trace_dump(&trace, &vcpu);
	snprintf(line, sizeof(line), "rip %x  x1\n", TRACE_LEN + 4);
	assert_null(strstr(text, line));
	snprintf(line, sizeof(line), "rip %x  x1\n", TRACE_LEN + 5);
	assert_non_null(strstr(text, line));
	snprintf(line, sizeof(line), "rip %x  x1\n", 2 * TRACE_LEN + 4);
	assert_non_null(strstr(text, line));
}

static void every_reason_has_a_name(void **state)
{
	for (unsigned r = 0; r < NR_EXIT_REASONS; r++)
		assert_non_null(trace_exit_name(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_say_what_matters, setup),
		cmocka_unit_test_setup(equal_exits_in_a_row_are_one_line, setup),
		cmocka_unit_test_setup(the_oldest_make_room, setup),
		cmocka_unit_test(every_reason_has_a_name),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
