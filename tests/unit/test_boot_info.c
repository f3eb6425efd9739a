/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot loader's information, both protocols: what a well-formed one says arrives, and whatever
 * is cut, too long or points outside is left out and counted.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/boot_info.h"
#include "lib/bits.h"

static struct boot_info info;

/* --- multiboot2: a sequence of tags --- */

static struct {
	_Alignas(8) uint8_t data[65536];
	uint32_t len;
} mb2;

static void put(const void *data, size_t len)
{
	memcpy(mb2.data + mb2.len, data, len);
	mb2.len += (uint32_t)len;
}

static void put32(uint32_t val)
{
	put(&val, sizeof(val));
}

static void put64(uint64_t val)
{
	put(&val, sizeof(val));
}

static void begin(void)
{
	memset(&mb2, 0, sizeof(mb2));
	mb2.len = 8;
}

/* A tag; its payload follows with put(), and `size` counts the header. */
static void tag(uint32_t type, uint32_t size)
{
	mb2.len = ALIGN_UP(mb2.len, 8);
	put32(type);
	put32(size);
}

static void string_tag(uint32_t type, const char *s)
{
	tag(type, (uint32_t)(8 + strlen(s) + 1));
	put(s, strlen(s) + 1);
}

static void module_tag(uint32_t start, uint32_t end, const char *s)
{
	tag(3, (uint32_t)(16 + strlen(s) + 1));
	put32(start);
	put32(end);
	put(s, strlen(s) + 1);
}

static void region(uint64_t base, uint64_t len, uint32_t type)
{
	put64(base);
	put64(len);
	put32(type);
	put32(0);
}

static int parse(void)
{
	memcpy(mb2.data, &mb2.len, sizeof(mb2.len));
	return boot_parse_multiboot2(mb2.data, mb2.len, &info);
}

static int finish(void)
{
	tag(0, 8);
	return parse();
}

static void test_mb2_all(void **state)
{
	begin();
	string_tag(1, "console=com1");
	string_tag(2, "GRUB");
	module_tag(0x200000, 0x200123, "kernel vm=a");
	module_tag(0x300000, 0x300000, "");
	tag(6, 16 + 2 * 24);
	put32(24);
	put32(0);
	region(0, 0x9fc00, 1);
	region(0x100000, 0x1ff00000, 1);
	tag(12, 16);
	put64(0x123456789abcull);
	assert_int_equal(finish(), 0);
	assert_int_equal(info.problems, 0);
	assert_string_equal(info.cmdline, "console=com1");
	assert_string_equal(info.loader, "GRUB");
	assert_int_equal(info.nr_modules, 2);
	assert_int_equal(info.module[0].base.v, 0x200000);
	assert_int_equal(info.module[0].size, 0x123);
	assert_string_equal(info.module[0].string, "kernel vm=a");
	assert_int_equal(info.module[1].size, 0);
	assert_string_equal(info.module[1].string, "");
	assert_int_equal(info.nr_regions, 2);
	assert_int_equal(info.region[1].base.v, 0x100000);
	assert_int_equal(info.region[1].len, 0x1ff00000);
	assert_int_equal(info.region[1].type, BOOT_MEMORY_RAM);
	assert_int_equal(info.efi_system_table, 0x123456789abcull);
}

static void test_mb2_nothing(void **state)
{
	uint8_t tiny[8] __aligned(8) = {4, 0, 0, 0};

	assert_int_equal(boot_parse_multiboot2(tiny, 4, &info), -EINVAL);
	assert_int_equal(boot_parse_multiboot2(tiny, 8, &info), -EINVAL);
	assert_string_equal(info.cmdline, "");
	assert_string_equal(info.loader, "");
	begin();
	assert_int_equal(parse(), 0); /* no end tag */
	assert_int_equal(info.problems, 1);
}

/* Entries of a later version are longer: the step is theirs, not ours. */
static void test_mb2_long_map_entries(void **state)
{
	begin();
	tag(6, 16 + 2 * 32);
	put32(32);
	put32(1);
	region(0x1000, 0x1000, 1);
	put64(0xffffffffffffffffull);
	region(0x5000, 0x1000, 2);
	put64(0xffffffffffffffffull);
	assert_int_equal(finish(), 0);
	assert_int_equal(info.nr_regions, 2);
	assert_int_equal(info.region[1].base.v, 0x5000);
	assert_int_equal(info.region[1].type, 2);
}

static void test_mb2_bad_map(void **state)
{
	begin();
	tag(6, 16 + 24);
	put32(0); /* would never advance */
	put32(0);
	region(0, 0x1000, 1);
	tag(6, 12); /* cut in the middle of its header */
	put32(24);
	put32(0);
	tag(6, 16 + 2 * 24 - 1); /* the second entry is cut */
	put32(24);
	put32(0);
	region(0x1000, 0x1000, 1);
	region(0x2000, 0x1000, 1);
	tag(6, 16 + 2 * 24);
	put32(24);
	put32(0);
	region(0xfffffffffffff000ull, 0x2000, 1); /* wraps */
	region(0x7000, 0, 1);                     /* nothing */
	assert_int_equal(finish(), 0);
	assert_int_equal(info.nr_regions, 1);
	assert_int_equal(info.region[0].base.v, 0x1000);
	assert_int_equal(info.problems, 3);
}

static void test_mb2_bad_tags(void **state)
{
	begin();
	tag(3, 12); /* too short for a module */
	put64(0);
	module_tag(0x3000, 0x2000, "ends before it starts");
	tag(8, 16); /* too short for a framebuffer */
	put64(0);
	tag(15, 8 + 20); /* too short for a new root pointer */
	put("RSD PTR ............", 20);
	string_tag(1, "still here");
	assert_int_equal(finish(), 0);
	assert_int_equal(info.problems, 4);
	assert_int_equal(info.nr_modules, 0);
	assert_int_equal(info.rsdp_len, 0);
	assert_int_equal(info.screen.kind, SCREEN_NONE);
	assert_string_equal(info.cmdline, "still here");
}

/* A tag longer than what is left, and one that cannot be: the parse ends there. */
static void test_mb2_tag_leads_out(void **state)
{
	begin();
	string_tag(1, "before");
	tag(2, 4096);
	put("GRUB", 5);
	assert_int_equal(parse(), 0);
	assert_string_equal(info.cmdline, "before");
	assert_string_equal(info.loader, "");
	assert_int_equal(info.problems, 1);
	begin();
	tag(2, 7);
	assert_int_equal(finish(), 0);
	assert_int_equal(info.problems, 1);
}

/* A string without its zero ends with its tag. */
static void test_mb2_unterminated_string(void **state)
{
	begin();
	tag(1, 8 + 4);
	put("abcdefgh", 8);
	assert_int_equal(finish(), 0);
	assert_string_equal(info.cmdline, "abcd");
}

static void test_mb2_rsdp(void **state)
{
	uint8_t old[20], next[36];

	memset(old, 'o', sizeof(old));
	memset(next, 'n', sizeof(next));
	for (int order = 0; order < 2; order++) {
		begin();
		for (int i = 0; i < 2; i++) {
			if (i == order) {
				tag(14, 8 + 20);
				put(old, 20);
			} else {
				tag(15, 8 + 36);
				put(next, 36);
			}
		}
		assert_int_equal(finish(), 0);
		assert_int_equal(info.rsdp_len, 36);
		assert_memory_equal(info.rsdp, next, 36);
	}
	begin();
	tag(14, 8 + 20);
	put(old, 20);
	finish();
	assert_int_equal(info.rsdp_len, 20);
}

static void framebuffer_tag(uint8_t type, uint32_t size)
{
	static const uint8_t colours[6] = {16, 8, 8, 8, 0, 8};

	tag(8, size);
	put64(0xfd000000);
	put32(4096);
	put32(1024);
	put32(768);
	put(&(uint8_t){32}, 1);
	put(&type, 1);
	put("\0", 2);
	put(colours, 6);
}

static void test_mb2_framebuffer(void **state)
{
	begin();
	framebuffer_tag(1, 38);
	finish();
	assert_int_equal(info.screen.kind, SCREEN_RGB);
	assert_int_equal(info.screen.base.v, 0xfd000000);
	assert_int_equal(info.screen.pitch, 4096);
	assert_int_equal(info.screen.width, 1024);
	assert_int_equal(info.screen.height, 768);
	assert_int_equal(info.screen.bpp, 32);
	assert_int_equal(info.screen.red_pos, 16);
	assert_int_equal(info.screen.blue_size, 8);
	begin();
	framebuffer_tag(2, 32);
	finish();
	assert_int_equal(info.screen.kind, SCREEN_TEXT);
	begin();
	framebuffer_tag(1, 32); /* RGB, but the colours are cut off */
	finish();
	assert_int_equal(info.screen.kind, SCREEN_NONE);
	begin();
	framebuffer_tag(0, 38); /* indexed colour: not served */
	finish();
	assert_int_equal(info.screen.kind, SCREEN_NONE);
}

static void test_mb2_too_many(void **state)
{
	begin();
	for (int i = 0; i < BOOT_MAX_MODULES + 3; i++)
		module_tag(0x1000, 0x2000, "m");
	assert_int_equal(finish(), 0);
	assert_int_equal(info.nr_modules, BOOT_MAX_MODULES);
	assert_int_equal(info.problems, 3);
}

static void test_strings_full(void **state)
{
	static char text[BOOT_STRINGS_LEN];

	boot_info_init(&info);
	memset(text, 'x', sizeof(text));
	assert_string_equal(boot_info_add_string(&info, text, sizeof(text)), "");
	assert_int_equal(info.problems, 1);
	assert_int_equal(strlen(boot_info_add_string(&info, text, sizeof(text) - 1)),
			 sizeof(text) - 1);
	assert_int_equal(info.problems, 1);
	assert_string_equal(boot_info_add_string(&info, "", 0), "");
	assert_int_equal(info.problems, 2);
}

/* --- multiboot1: a structure of pointers into memory --- */

#define MEMORY_LEN 0x4000
static uint8_t memory[MEMORY_LEN];

static const void *map(void *ctx, uint64_t hpa, uint64_t len)
{
	return hpa < MEMORY_LEN && len <= MEMORY_LEN - hpa ? memory + hpa : NULL;
}

static const struct phys_memory mem = {map, NULL};

static void poke32(uint32_t at, uint32_t val)
{
	memcpy(memory + at, &val, sizeof(val));
}

static void poke_string(uint32_t at, const char *s)
{
	strcpy((char *)memory + at, s);
}

static void poke_region(uint32_t at, uint32_t size, uint64_t base, uint64_t len, uint32_t type)
{
	poke32(at, size);
	memcpy(memory + at + 4, &base, 8);
	memcpy(memory + at + 12, &len, 8);
	poke32(at + 20, type);
}

#define INFO 0x100

static int mb1_setup(void **state)
{
	memset(memory, 0, sizeof(memory));
	poke32(INFO, 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	poke32(INFO + 16, 0x1000); /* command line */
	poke_string(0x1000, "build/umbra.elf console=com1");
	poke32(INFO + 20, 2); /* modules */
	poke32(INFO + 24, 0x1101);
	poke32(0x1101, 0x200000);
	poke32(0x1105, 0x200fff);
	poke32(0x1109, 0x1200);
	poke_string(0x1200, "guest.elf kernel vm=a");
	poke32(0x1111, 0x300000);
	poke32(0x1115, 0x300001);
	poke32(INFO + 44, 2 * 24);
	poke32(INFO + 48, 0x1300);
	poke_region(0x1300, 20, 0, 0x9fc00, 1);
	poke_region(0x1318, 20, 0x100000, 0x7f00000, 1);
	poke32(INFO + 64, 0x1400);
	poke_string(0x1400, "qemu");
	return 0;
}

static void test_mb1_all(void **state)
{
	assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
	assert_int_equal(info.problems, 0);
	assert_string_equal(info.cmdline, "console=com1");
	assert_string_equal(info.loader, "qemu");
	assert_int_equal(info.nr_modules, 2);
	assert_int_equal(info.module[0].size, 0xfff);
	assert_string_equal(info.module[0].string, "guest.elf kernel vm=a");
	assert_string_equal(info.module[1].string, "");
	assert_int_equal(info.nr_regions, 2);
	assert_int_equal(info.region[1].len, 0x7f00000);
}

static void test_mb1_file_name(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"umbra.elf", ""},
		{"umbra.elf a=b", "a=b"},
		{"/x=y/umbra.elf  a=b c", "a=b c"},
		{"a=b c=d", "a=b c=d"},
		{"", ""},
		{"umbra.elf ", ""},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		poke_string(0x1000, cases[i].in);
		assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
		assert_string_equal(info.cmdline, cases[i].out);
	}
}

static void test_mb1_bad_pointers(void **state)
{
	assert_int_equal(boot_parse_multiboot1(&mem, MEMORY_LEN - 8, &info), -EINVAL);
	poke32(INFO + 16, 0xfffffff0);
	poke32(INFO + 24, MEMORY_LEN - 16); /* the second module is outside */
	poke32(INFO + 48, 0xfffffff0);
	poke32(INFO + 64, MEMORY_LEN);
	assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
	assert_string_equal(info.cmdline, "");
	assert_string_equal(info.loader, "");
	assert_int_equal(info.nr_modules, 1);
	assert_int_equal(info.nr_regions, 0);
	assert_int_equal(info.problems, 2);
}

/* An unterminated string at the end of memory ends there. */
static void test_mb1_string_at_the_edge(void **state)
{
	memcpy(memory + MEMORY_LEN - 3, "a=b", 3);
	poke32(INFO + 16, MEMORY_LEN - 3);
	assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
	assert_string_equal(info.cmdline, "a=b");
}

static void test_mb1_map_entry_sizes(void **state)
{
	poke32(0x1300, 19); /* less than an entry has */
	assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
	assert_int_equal(info.nr_regions, 0);
	assert_int_equal(info.problems, 1);
	poke32(0x1300, 0xffffffff);
	assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
	assert_int_equal(info.nr_regions, 1);
	poke32(0x1300, 20);
	poke32(INFO + 44, 2 * 24 - 1); /* the second is cut */
	assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
	assert_int_equal(info.nr_regions, 1);
}

static void test_mb1_without_map(void **state)
{
	poke32(INFO, 1 << 2);
	assert_int_equal(boot_parse_multiboot1(&mem, INFO, &info), 0);
	assert_int_equal(info.problems, 1);
	assert_int_equal(info.nr_modules, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mb2_all),
		cmocka_unit_test(test_mb2_nothing),
		cmocka_unit_test(test_mb2_long_map_entries),
		cmocka_unit_test(test_mb2_bad_map),
		cmocka_unit_test(test_mb2_bad_tags),
		cmocka_unit_test(test_mb2_tag_leads_out),
		cmocka_unit_test(test_mb2_unterminated_string),
		cmocka_unit_test(test_mb2_rsdp),
		cmocka_unit_test(test_mb2_framebuffer),
		cmocka_unit_test(test_mb2_too_many),
		cmocka_unit_test(test_strings_full),
		cmocka_unit_test_setup(test_mb1_all, mb1_setup),
		cmocka_unit_test_setup(test_mb1_file_name, mb1_setup),
		cmocka_unit_test_setup(test_mb1_bad_pointers, mb1_setup),
		cmocka_unit_test_setup(test_mb1_string_at_the_edge, mb1_setup),
		cmocka_unit_test_setup(test_mb1_map_entry_sizes, mb1_setup),
		cmocka_unit_test_setup(test_mb1_without_map, mb1_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
