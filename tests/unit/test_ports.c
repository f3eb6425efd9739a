/* SPDX-License-Identifier: BSD-2-Clause */
/* The board's small devices: reset ports and 8042, PCI configuration, debug ports, latches,
 * testdev. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "lib/log.h"
#include "tests/unit/support/wires.h"
#include "vmm/dev/debug.h"
#include "vmm/dev/latch.h"
#include "vmm/dev/pci.h"
#include "vmm/dev/i8042.h"
#include "vmm/dev/testdev.h"

static struct {
	struct events events;
	struct wire irq;
	struct reset reset;
	struct pci_bus pci;
	struct spinlock lock;
	gpa_t dropped;
	bool locked_in_drop;
} t;

static void drop_page(void *vm, gpa_t gpa)
{
	t.dropped = gpa;
	t.locked_in_drop = spin_is_locked(&t.lock);
}

static const struct dev_host host = {.event = events_record, .drop_page = drop_page};

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	wire_init(&t.irq);
	spin_init(&t.lock);
	reset_init(&t.reset, &host, &t.events, &t.irq.line);
	pci_init(&t.pci);
	return 0;
}

static void expect_resets(unsigned n)
{
	assert_int_equal(t.events.nr, n);
	if (n)
		assert_int_equal(t.events.last, VM_EVENT_RESET);
}

/* --- reset ports --- */

static void test_cf9(void **state)
{
	reset_cf9_write(&t.reset, 0, 1, 0x02);
	expect_resets(0);
	assert_int_equal(reset_cf9_read(&t.reset, 0, 1), 0x02);
	reset_cf9_write(&t.reset, 0, 1, 0x06);
	expect_resets(1);
	reset_cf9_write(&t.reset, 0, 1, 0x0e); /* bit 2 has to rise */
	expect_resets(1);
	reset_cf9_write(&t.reset, 0, 1, 0);
	reset_cf9_write(&t.reset, 0, 1, 0x04);
	expect_resets(2);
}

static void test_port_92(void **state)
{
	assert_int_equal(reset_port_92_read(&t.reset, 0, 1), 0x02); /* A20 is on */
	reset_port_92_write(&t.reset, 0, 1, 0x02);
	expect_resets(0);
	reset_port_92_write(&t.reset, 0, 1, 0x03);
	expect_resets(1);
}

/* --- 8042 --- */

static void command(uint8_t val)
{
	i8042_command_write(&t.reset, 0, 1, val);
}

static void data(uint8_t val)
{
	i8042_data_write(&t.reset, 0, 1, val);
}

static uint8_t status(void)
{
	return (uint8_t)i8042_status_read(&t.reset, 0, 1);
}

static void expect_reply(uint8_t val)
{
	assert_int_equal(status() & 0x01, 0x01);
	assert_int_equal(i8042_data_read(&t.reset, 0, 1), val);
	assert_int_equal(status() & 0x01, 0);
}

static void test_8042_reset(void **state)
{
	command(0xfe);
	expect_resets(1);
	command(0xff); /* pulses nothing */
	command(0xf1);
	expect_resets(1);
	command(0xf0);
	expect_resets(2);
	command(0xd1); /* output port with the reset bit low */
	data(0xfe);
	expect_resets(3);
	command(0xd1);
	data(0x03);
	expect_resets(3);
}

static void test_8042_self_test(void **state)
{
	assert_int_equal(status() & 0x03, 0); /* both buffers empty: no driver waits */
	command(0xaa);
	expect_reply(0x55);
	command(0xab);
	expect_reply(0x00);
	command(0xa9);
	expect_reply(0x01); /* no mouse port */
}

static void test_8042_config(void **state)
{
	command(0x60);
	assert_int_equal(status() & 0x08, 0x08);
	data(0x45);
	assert_int_equal(status() & 0x08, 0);
	command(0x20);
	expect_reply(0x45);
	command(0xad);
	command(0x20);
	expect_reply(0x55);
	command(0xae);
	command(0xa8);
	command(0x20);
	expect_reply(0x45);
	command(0xa7);
	command(0x20);
	expect_reply(0x65);
}

static void test_8042_a20(void **state)
{
	command(0xd0);
	expect_reply(0x03);
	command(0xdd);
	command(0xd0);
	expect_reply(0x01);
	command(0xdf);
	command(0xd0);
	expect_reply(0x03);
}

/* Nothing is connected: the controller says so at once, with its interrupt if that is on. */
static void test_8042_absent_keyboard(void **state)
{
	data(0xff);
	assert_int_equal(status() & 0x41, 0x41); /* time-out */
	assert_false(t.irq.level);
	expect_reply(0xfe);
	assert_int_equal(status() & 0x40, 0);
	command(0x60);
	data(0x41);
	data(0xf2);
	assert_true(t.irq.level);
	expect_reply(0xfe);
	assert_false(t.irq.level);
	command(0xd4);
	data(0xf2);
	expect_reply(0xfe);
	command(0xd3); /* a mouse port would loop this back as the mouse's (status bit 5) */
	data(0x5a);
	assert_int_equal(status() & 0x20, 0);
	expect_reply(0xfe);
	command(0xd2);
	data(0x5a);
	assert_int_equal(status() & 0x40, 0);
	expect_reply(0x5a);
}

/* A command takes the place of one that still waits for its byte. */
static void test_8042_interrupted_command(void **state)
{
	command(0x60);
	command(0xaa);
	expect_reply(0x55);
	data(0x77);
	expect_reply(0xfe);
	command(0x20);
	assert_int_not_equal(i8042_data_read(&t.reset, 0, 1), 0x77);
}

/* --- PCI --- */

static uint64_t config_read(unsigned bus, unsigned dev, unsigned fn, unsigned reg, unsigned size)
{
	pci_address_write(&t.pci, 0x80000000 | bus << 16 | dev << 11 | fn << 8 | (reg & ~3u));
	return pci_data_read(&t.pci, reg & 3, size);
}

static void test_pci_bridge(void **state)
{
	assert_int_equal(config_read(0, 0, 0, 0x00, 4), 0x00081b36);
	assert_int_equal(config_read(0, 0, 0, 0x00, 2), 0x1b36);
	assert_int_equal(config_read(0, 0, 0, 0x02, 2), 0x0008);
	assert_int_equal(config_read(0, 0, 0, 0x0a, 2), 0x0600); /* host bridge */
	assert_int_equal(config_read(0, 0, 0, 0x0e, 1), 0);      /* one function */
	assert_int_equal(config_read(0, 0, 0, 0x2c, 4), 0x11001af4);
	pci_address_write(&t.pci, 0x80000000);
	pci_data_write(&t.pci, 0, 4, 0);
	assert_int_equal(pci_data_read(&t.pci, 0, 4), 0x00081b36); /* read only */
	pci_address_write(&t.pci, 0x80000004);
	pci_data_write(&t.pci, 0, 2, 0xffff);
	assert_int_equal(pci_data_read(&t.pci, 0, 2), 0x0007);
	pci_reset(&t.pci);
	assert_int_equal(config_read(0, 0, 0, 0x04, 2), 0);
}

static void test_pci_absent(void **state)
{
	for (unsigned dev = 1; dev < 32; dev++)
		assert_int_equal(config_read(0, dev, 0, 0, 4), 0xffffffff);
	assert_int_equal(config_read(0, 0, 1, 0, 4), 0xffffffff);
	assert_int_equal(config_read(1, 0, 0, 0, 4), 0xffffffff);
	assert_int_equal(config_read(0, 5, 0, 3, 1), 0xff);
	assert_int_equal(config_read(0, 5, 0, 2, 2), 0xffff);
	pci_data_write(&t.pci, 0, 4, 0);
	pci_address_write(&t.pci, 0); /* not enabled */
	assert_int_equal(pci_data_read(&t.pci, 0, 4), 0xffffffff);
}

static void test_pci_address(void **state)
{
	pci_address_write(&t.pci, 0xffffffff);
	assert_int_equal(pci_address_read(&t.pci), 0x80fffffc); /* the rest is reserved */
	pci_reset(&t.pci);
	assert_int_equal(pci_address_read(&t.pci), 0);
}

static unsigned written_reg, written_size;

static void written(struct pci_function *f, unsigned reg, unsigned size)
{
	written_reg = reg;
	written_size = size;
}

static void test_pci_add(void **state)
{
	static struct pci_function f = {.written = written};

	pci_set(&f, 0, 4, 0x10001af4, 0);
	pci_set(&f, 0x10, 4, 1, 0xffffff00);
	assert_int_equal(pci_add(&t.pci, &f), 1);
	assert_int_equal(config_read(0, 1, 0, 0, 4), 0x10001af4);
	pci_address_write(&t.pci, 0x80000810);
	pci_data_write(&t.pci, 0, 4, 0xffffffff); /* how its size is asked */
	assert_int_equal(pci_data_read(&t.pci, 0, 4), 0xffffff01);
	pci_data_write(&t.pci, 1, 2, 0x1234);
	assert_int_equal(pci_data_read(&t.pci, 0, 4), 0xff123401);
	assert_int_equal(written_reg, 0x11);
	assert_int_equal(written_size, 2);
	for (int i = 2; i < PCI_DEVICES; i++)
		assert_int_equal(pci_add(&t.pci, &f), i);
	assert_int_equal(pci_add(&t.pci, &f), -ENOSPC);
}

/* --- debug ports --- */

static void test_debug_exit(void **state)
{
	struct debug_exit d = {.host = &host, .vm = &t.events};

	debug_exit_write(&d, 0, 1, 0x12);
	assert_int_equal(t.events.last, VM_EVENT_DEBUG_EXIT);
	assert_int_equal(t.events.value, 0x12);
	debug_exit_write(&d, 0, 4, 0x12345678);
	assert_int_equal(t.events.value, 0x12345678);
	assert_int_equal(t.events.nr, 2);
	assert_int_equal(debug_exit_read(&d, 0, 4), 0);
}

static char logged[4][200];
static unsigned nr_logged;

static void sink_write(struct log_sink *sink, const char *text, size_t len)
{
	if (nr_logged < 4 && len < sizeof(logged[0])) {
		memcpy(logged[nr_logged], text, len);
		logged[nr_logged++][len] = '\0';
	}
}

static void test_debug_console(void **state)
{
	static struct log_sink sink = {.write = sink_write};
	static struct debug_console d = {.name = "bios"};
	const char *text = "hello\r\n\nbad\033[x\n";

	log_set_level(LOG_DEBUG);
	log_add_sink(&sink);
	nr_logged = 0;
	memset(logged, 0, sizeof(logged));
	for (const char *c = text; *c; c++)
		debug_console_write(&d, 0, 1, (uint8_t)*c);
	assert_int_equal(nr_logged, 2);
	assert_non_null(strstr(logged[0], "vm bios: firmware: hello\n"));
	assert_non_null(strstr(logged[1], "vm bios: firmware: bad.[x\n"));
	for (int i = 0; i < DEBUG_LINE_MAX + 1; i++)
		debug_console_write(&d, 0, 1, 'a');
	assert_int_equal(nr_logged, 3); /* a line without an end is cut */
	assert_int_equal(d.len, 1);
	assert_int_equal(debug_console_read(&d, 0, 1), 0xe9);
}

/* --- latches and testdev --- */

static void test_latch(void **state)
{
	struct latch l = {0};

	assert_int_equal(latch_read(&l, 0, 4), 0);
	latch_write(&l, 1, 2, 0xabcd);
	assert_int_equal(latch_read(&l, 0, 4), 0x00abcd00);
	assert_int_equal(latch_read(&l, 2, 1), 0xab);
}

static void test_testdev(void **state)
{
	static uint8_t ram[TESTDEV_RAM_SIZE];
	struct testdev d = {.ram = ram, .irq = t.irq.line, .host = &host, .lock = &t.lock};

	testdev_write(&d, 0, 4, 0x12345678);
	assert_int_equal(testdev_read(&d, 0, 4), 0x12345678);
	assert_int_equal(testdev_read(&d, 1, 2), 0x3456);
	testdev_write(&d, 3, 1, 0xff);
	testdev_write(&d, 8, 1, 0xaa);
	assert_int_equal(testdev_read(&d, 0, 4), 0xff3456aa);
	assert_int_equal(testdev_read(&d, 8, 1), 0xaa);
	testdev_write(&d, 2, 4, 0); /* into the next register: the latch's part of it */
	assert_int_equal(testdev_read(&d, 0, 4), 0x56aa);

	spin_lock(&t.lock);
	testdev_write(&d, 4, 4, 0x123fff);
	assert_int_equal(t.dropped.v, 0x123000);
	assert_false(t.locked_in_drop);
	assert_true(spin_is_locked(&t.lock));
	spin_unlock(&t.lock);

	testdev_irq_write(&d, 11, 1, 1);
	assert_int_equal(d.irq.line, 11);
	assert_true(t.irq.level);
	testdev_irq_write(&d, 11, 4, 0);
	assert_false(t.irq.level);

	testdev_ram_write(&d, 0xfff8, 8, 0x0123456789abcdef);
	assert_int_equal(testdev_ram_read(&d, 0xfffc, 4), 0x01234567);
	assert_int_equal(testdev_ram_read(&d, 0xffff, 1), 0x01);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, setup)
	const struct CMUnitTest tests[] = {
		T(test_cf9),
		T(test_port_92),
		T(test_8042_reset),
		T(test_8042_self_test),
		T(test_8042_config),
		T(test_8042_a20),
		T(test_8042_absent_keyboard),
		T(test_8042_interrupted_command),
		T(test_pci_bridge),
		T(test_pci_absent),
		T(test_pci_address),
		T(test_pci_add),
		T(test_debug_exit),
		T(test_debug_console),
		T(test_latch),
		T(test_testdev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
