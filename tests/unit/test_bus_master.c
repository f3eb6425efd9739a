/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which functions lose their bus mastering, on a machine of several buses: all but those that have
 * to go on, found wherever they are, and nothing else of them is changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/bus_master.h"
#include "drivers/pci_config.h"
#include "lib/bits.h"
#include "lib/log.h"
#include "tests/unit/support/ports.h"

/* ---- the machine ---- */

#define COMMAND 0x04
#define MASTER  BIT(2)

struct function {
	uint8_t bus, dev, fn;
	uint32_t config[16];
	bool keeps_master; /* the bit is hard-wired */
	unsigned writes;
};

static struct function functions[32];
static unsigned nr_functions;
static uint32_t address;
static bool has_ports;

static struct function *selected(void)
{
	for (unsigned i = 0; i < nr_functions; i++) {
		struct function *f = &functions[i];
		uint32_t at = BIT(31) | (uint32_t)f->bus << 16 | (uint32_t)f->dev << 11;
		/* Without the bit for several functions it answers for all of them. */
		bool is_alone = f->fn == 0 && !(f->config[3] & BIT(23));

		if ((address & 0xfffff800) == at && (is_alone || (address >> 8 & 7) == f->fn))
			return f;
	}
	return NULL;
}

uint8_t inb(uint16_t port)
{
	fail_msg("IN of a byte, %x", port);
	return 0;
}

uint16_t inw(uint16_t port)
{
	fail_msg("IN of a word, %x", port);
	return 0;
}

uint32_t inl(uint16_t port)
{
	const struct function *f = selected();

	if (port == 0xcf8)
		return has_ports ? address : 0xffffffff;
	assert_int_equal(port, 0xcfc);
	return f ? f->config[(address & 0xfc) / 4 % 16] : 0xffffffff;
}

void outl(uint16_t port, uint32_t val)
{
	assert_int_equal(port, 0xcf8);
	address = val;
}

/* The command register alone: a write of 32 bits would clear the status beside it. */
void outw(uint16_t port, uint16_t val)
{
	struct function *f = selected();

	assert_non_null(f);
	assert_int_equal(port, 0xcfc);
	assert_int_equal(address & 0xfc, COMMAND);
	f->writes++;
	if (f->keeps_master)
		val |= MASTER;
	f->config[1] = (f->config[1] & 0xffff0000) | val;
}

void outb(uint16_t port, uint8_t val)
{
	fail_msg("OUT %x, %x", port, val);
}

static struct function *add(uint8_t bus, uint8_t dev, uint8_t fn, unsigned class, uint16_t command)
{
	struct function *f = &functions[nr_functions++];

	*f = (struct function){.bus = bus, .dev = dev, .fn = fn};
	f->config[0] = 0x12348086;
	f->config[1] = 0xf9000000 | command;
	f->config[2] = class << 16 | 0x5a01;
	return f;
}

static struct function *with_more(struct function *f)
{
	f->config[3] |= BIT(23);
	return f;
}

static char text[4096];

static void keep(struct log_sink *sink, const char *s, size_t len)
{
	strncat(text, s, len);
}

static struct log_sink sink = {.write = keep};

static int setup(void **state)
{
	nr_functions = 0;
	has_ports = true;
	address = 0x1234;
	text[0] = '\0';
	return 0;
}

static void expect_stopped(struct function *f)
{
	assert_int_equal(f->writes, 1);
	assert_int_equal(f->config[1] & MASTER, 0);
}

static void expect_untouched(const struct function *f)
{
	assert_int_equal(f->writes, 0);
}

/* ---- the tests ---- */

static void a_running_card_is_stopped(void **state)
{
	struct function *nic = add(0, 3, 0, 0x0200, 0x507);

	assert_int_equal(bus_master_stop_all(), 1);
	assert_int_equal(nic->config[1], 0xf9000000 | 0x503); /* and nothing else */
	assert_non_null(strstr(text, "pci: bus mastering off for 1 functions\n"));
	assert_int_equal(bus_master_stop_all(), 0);
	assert_int_equal(nic->writes, 1);
}

static void what_is_not_running_is_left_alone(void **state)
{
	struct function *quiet = add(0, 3, 0, 0x0200, 0x503);

	assert_int_equal(bus_master_stop_all(), 0);
	expect_untouched(quiet);
	assert_non_null(strstr(text, "pci: bus mastering off for 0 functions\n"));
}

static void what_must_go_on_does(void **state)
{
	static const unsigned classes[] = {0x0600, 0x0601, 0x0604, 0x0607, 0x0680,
					   0x0300, 0x0302, 0x0380, 0x0806, 0x0c03};

	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
		add(0, (uint8_t)i, 0, classes[i], 0x7);
	assert_int_equal(bus_master_stop_all(), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
		expect_untouched(&functions[i]);
}

/* Disks, sound, serial buses that are not USB, SD, and what has no class: none of them is known. */
static void all_others_do_not(void **state)
{
	static const unsigned classes[] = {0x0101, 0x0106, 0x0108, 0x0280, 0x0403, 0x0780,
					   0x0805, 0x0c00, 0x0c05, 0x0000, 0xff00};

	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
		add(0, (uint8_t)i, 0, classes[i], 0x7);
	assert_int_equal(bus_master_stop_all(), ARRAY_SIZE(classes));
	for (unsigned i = 0; i < ARRAY_SIZE(classes); i++)
		expect_stopped(&functions[i]);
}

static void each_function_of_a_device_is_found(void **state)
{
	struct function *first = with_more(add(0, 31, 0, 0x0601, 0x7));
	struct function *disk = add(0, 31, 2, 0x0106, 0x7), *last = add(0, 31, 7, 0x0403, 0x6);
	/* That of another device, which has no bit for more, answers eight times. */
	struct function *alone = add(0, 5, 0, 0x0200, 0x7);

	assert_int_equal(bus_master_stop_all(), 3);
	expect_untouched(first);
	expect_stopped(disk);
	expect_stopped(last);
	expect_stopped(alone);
}

/* Behind bridges, and behind a second host bridge, whose bus no bridge of bus 0 leads to. */
static void each_bus_is_looked_at(void **state)
{
	struct function *bridge = add(0, 1, 0, 0x0604, 0x7);
	struct function *near = add(1, 0, 0, 0x0200, 0x7), *far = add(0x80, 0, 0, 0x0108, 0x7),
			*last = add(255, 31, 0, 0x0100, 0x7);

	assert_int_equal(bus_master_stop_all(), 3);
	expect_untouched(bridge);
	expect_stopped(near);
	expect_stopped(far);
	expect_stopped(last);
}

static void what_cannot_be_stopped_is_told(void **state)
{
	struct function *f = add(2, 3, 0, 0x0200, 0x7);

	f->keeps_master = true;
	assert_int_equal(bus_master_stop_all(), 0);
	assert_int_equal(f->writes, 1);
	assert_non_null(strstr(text, "pci: 02:03.0 of class 0200 cannot be stopped"));
}

/* A machine without the ports: all ones everywhere, and nothing is written but the address. */
static void without_the_ports_there_is_nothing(void **state)
{
	add(0, 3, 0, 0x0200, 0x7);
	has_ports = false;
	assert_int_equal(bus_master_stop_all(), 0);
	assert_int_equal(functions[0].writes, 0);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_running_card_is_stopped, setup),
		cmocka_unit_test_setup(what_is_not_running_is_left_alone, setup),
		cmocka_unit_test_setup(what_must_go_on_does, setup),
		cmocka_unit_test_setup(all_others_do_not, setup),
		cmocka_unit_test_setup(each_function_of_a_device_is_found, setup),
		cmocka_unit_test_setup(each_bus_is_looked_at, setup),
		cmocka_unit_test_setup(what_cannot_be_stopped_is_told, setup),
		cmocka_unit_test_setup(without_the_ports_there_is_nothing, setup),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
