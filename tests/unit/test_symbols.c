/* SPDX-License-Identifier: BSD-2-Clause */
/* The names of functions by address: a table as tools/symbols makes it, with every border. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arch/x86/layout.h"
#include "arch/x86/symbols.h"

/* Text of 0x80 bytes; the first symbol starts behind its start, as after the multiboot headers. */
__asm__(".data\n"
	".globl text_start, text_end, symbol_table\n"
	"text_start: .skip 0x80\n"
	"text_end: .skip 0x10\n"
	".balign 4\n"
	"symbol_table: .long 3, 0x10, 0x20, 0x7f\n"
	".asciz \"first\", \"second\", \"last\"\n"
	".text\n");

static void expect(uint64_t offset, const char *name, uint64_t into)
{
	uint64_t off = ~0ull;
	const char *found = symbol_find((uint64_t)text_start + offset, &off);

	assert_non_null(found);
	assert_string_equal(found, name);
	assert_int_equal(off, into);
}

static void expect_none(uint64_t offset)
{
	uint64_t off;

	assert_null(symbol_find((uint64_t)text_start + offset, &off));
}

static void every_address_has_the_symbol_before_it(void **state)
{
	expect(0x10, "first", 0);
	expect(0x1f, "first", 0xf);
	expect(0x20, "second", 0);
	expect(0x7e, "second", 0x5e);
	expect(0x7f, "last", 0);
}

static void outside_there_is_none(void **state)
{
	expect_none(-1ull);
	expect_none(0);
	expect_none(0xf);
	expect_none(0x80);
	expect_none(1ull << 32);
	expect_none(-(uint64_t)text_start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_has_the_symbol_before_it),
		cmocka_unit_test(outside_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
