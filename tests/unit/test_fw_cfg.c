/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_cfg: items, the directory of files, and reading past an item's end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "vmm/dev/fw_cfg.h"

#define GIB (1ull << 30)

static struct fw_cfg f;

static int setup(void **state)
{
	fw_cfg_init(&f, 5 * GIB, 3);
	return 0;
}

static void select_key(uint16_t key)
{
	fw_cfg_write(&f, 0, 2, key);
}

static uint8_t byte(void)
{
	return (uint8_t)fw_cfg_read(&f, 1, 1);
}

static uint64_t number(unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)byte() << 8 * i;
	return val;
}

static uint64_t big_endian(unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val = val << 8 | byte();
	return val;
}

static void test_items(void **state)
{
	assert_int_equal(number(4), 0x554d4551); /* "QEMU" is selected after a reset */
	select_key(FW_CFG_ID);
	assert_int_equal(number(4), 1);
	select_key(FW_CFG_NB_CPUS);
	assert_int_equal(number(2), 3);
	assert_int_equal(number(4), 0); /* behind the end */
	select_key(FW_CFG_MAX_CPUS);
	assert_int_equal(number(2), 3);
	select_key(FW_CFG_RAM_SIZE);
	assert_int_equal(number(8), 5 * GIB);
	select_key(0x8002);
	assert_int_equal(byte(), 1);
	select_key(0x11);
	assert_int_equal(number(4), 0); /* an item that is not there */
	select_key(0xffff);
	assert_int_equal(byte(), 0);
	select_key(0x21);
	assert_int_equal(byte(), 0);
}

static void test_selecting_rewinds(void **state)
{
	select_key(FW_CFG_SIGNATURE);
	assert_int_equal(byte(), 'Q');
	assert_int_equal(byte(), 'E');
	select_key(FW_CFG_SIGNATURE);
	assert_int_equal(byte(), 'Q');
	fw_cfg_reset(&f);
	assert_int_equal(byte(), 'Q');
}

static void test_odd_accesses(void **state)
{
	assert_int_equal(fw_cfg_read(&f, 0, 2), 0);
	fw_cfg_write(&f, 0, 1, FW_CFG_ID); /* half a selector is none */
	fw_cfg_write(&f, 1, 1, 0x55);      /* nothing can be written */
	assert_int_equal(byte(), 'Q');
}

/* Find a file in the directory as a guest does; its key, or 0. */
static uint16_t find(const char *name, uint32_t *size)
{
	unsigned n;

	select_key(FW_CFG_FILE_DIR);
	n = (unsigned)big_endian(4);
	while (n--) {
		char text[FW_CFG_NAME_LEN];
		uint16_t key;

		*size = (uint32_t)big_endian(4);
		key = (uint16_t)big_endian(2);
		assert_int_equal(big_endian(2), 0);
		for (unsigned i = 0; i < sizeof(text); i++)
			text[i] = (char)byte();
		if (strcmp(text, name) == 0)
			return key;
	}
	return 0;
}

static void test_e820(void **state)
{
	uint32_t size;
	uint16_t key = find("etc/e820", &size);

	assert_int_equal(key, 0x20);
	assert_int_equal(size, 40);
	select_key(key);
	assert_int_equal(number(8), 0);
	assert_int_equal(number(8), 3 * GIB);
	assert_int_equal(number(4), 1);
	assert_int_equal(number(8), 4 * GIB);
	assert_int_equal(number(8), 2 * GIB);
	assert_int_equal(number(4), 1);
	assert_int_equal(byte(), 0);
}

static int add(const char *name, const char *text)
{
	return fw_cfg_add(&f, &(struct fw_cfg_file){name, text, strlen(text)});
}

static void test_files(void **state)
{
	uint32_t size;
	uint16_t key;

	assert_int_equal(add("floppyimg/boot.img", "sector"), 0);
	assert_int_equal(add("bootorder", "x"), 0); /* sorts first */
	key = find("floppyimg/boot.img", &size);
	assert_int_equal(key, 0x22);
	assert_int_equal(size, 6);
	select_key(key);
	assert_int_equal(byte(), 's');
	assert_int_equal(find("bootorder", &size), 0x20);
	assert_int_equal(find("etc/e820", &size), 0x21);
	assert_int_equal(find("nothing", &size), 0);
}

static void test_bad_files(void **state)
{
	static char names[FW_CFG_MAX_FILES][16];
	char name[FW_CFG_NAME_LEN + 1];

	memset(name, 'n', sizeof(name));
	name[FW_CFG_NAME_LEN] = '\0';
	assert_int_equal(add(name, "x"), -EINVAL);
	assert_int_equal(add("", "x"), -EINVAL);
	assert_int_equal(fw_cfg_add(&f, &(struct fw_cfg_file){"big", "", 1ull << 32}), -EINVAL);
	assert_int_equal(add("etc/e820", "x"), -EEXIST);
	name[FW_CFG_NAME_LEN - 1] = '\0';
	assert_int_equal(add(name, "x"), 0);
	for (int i = 2; i < FW_CFG_MAX_FILES; i++) {
		snprintf(names[i], sizeof(names[i]), "f%d", i);
		assert_int_equal(add(names[i], "x"), 0);
	}
	assert_int_equal(add("more", "x"), -ENOSPC);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		T(test_items), T(test_selecting_rewinds), T(test_odd_accesses), T(test_e820),
		T(test_files), T(test_bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
