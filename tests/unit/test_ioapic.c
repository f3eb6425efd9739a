/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC: registers, triggers, remote IRR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmm/dev/apic/ioapic.h"

#define MASKED     (1u << 16)
#define LEVEL      (1u << 15)
#define REMOTE_IRR (1u << 14)
#define LOGICAL    (1u << 11)

static struct ioapic io;
static struct apic_msg sent;
static unsigned nr_sent, receivers;

static unsigned deliver(struct lapic_group *g, const struct apic_msg *msg)
{
	sent = *msg;
	nr_sent++;
	return receivers;
}

static uint32_t get(uint8_t reg)
{
	ioapic_write(&io, 0x00, 4, reg);
	return ioapic_read(&io, 0x10, 4);
}

static void put(uint8_t reg, uint32_t val)
{
	ioapic_write(&io, 0x00, 4, reg);
	ioapic_write(&io, 0x10, 4, val);
}

static void program(unsigned pin, uint32_t low, uint8_t dest)
{
	put(0x11 + 2 * pin, (uint32_t)dest << 24);
	put(0x10 + 2 * pin, low);
}

static uint32_t low(unsigned pin)
{
	return get(0x10 + 2 * pin);
}

static int setup(void **state)
{
	ioapic_init(&io, NULL, deliver);
	nr_sent = 0;
	receivers = 1;
	return 0;
}

static void test_registers(void **state)
{
	assert_int_equal(get(1), 0x170020);
	assert_int_equal(get(0), 0);
	put(0, 0xffffffff);
	assert_int_equal(get(0), 0x0f000000);
	assert_int_equal(get(2), 0x0f000000);
	put(1, 0);
	assert_int_equal(get(1), 0x170020);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(low(pin), MASKED);
		assert_int_equal(get(0x11 + 2 * pin), 0);
	}
	/* Delivery status, remote IRR and what is reserved do not take writes. */
	put(0x3e, 0xffffffff);
	put(0x3f, 0xffffffff);
	assert_int_equal(get(0x3e), 0x1afff);
	assert_int_equal(get(0x3f), 0xff000000);
	put(0x40, 0);
	assert_int_equal(get(0x40), 0);
	assert_int_equal(get(0xff), 0);
	assert_int_equal(ioapic_read(&io, 0x00, 4), 0xff);
	assert_int_equal(ioapic_read(&io, 0x20, 4), 0);
	put(0, 0x05000000);
	ioapic_write(&io, 0x10, 1, 0); /* no narrow writes */
	assert_int_equal(get(0), 0x05000000);
	ioapic_write(&io, 0, 1, 1);
	assert_int_equal(ioapic_read(&io, 0x10, 1), 0x20);
	assert_int_equal(nr_sent, 0);
}

static void test_message(void **state)
{
	program(4, 0x31, 2);
	ioapic_set_irq(&io, 4, true);
	assert_int_equal(nr_sent, 1);
	assert_int_equal(sent.vector, 0x31);
	assert_int_equal(sent.dest, 2);
	assert_int_equal(sent.mode, APIC_FIXED);
	assert_false(sent.logical);
	assert_false(sent.level);
	assert_false(sent.wide);

	program(5, 0x100 | LEVEL | LOGICAL | 0x55, 0xff);
	ioapic_set_irq(&io, 5, true);
	assert_int_equal(nr_sent, 2);
	assert_int_equal(sent.mode, APIC_LOWEST);
	assert_int_equal(sent.dest, 0xff);
	assert_true(sent.logical);
	assert_true(sent.level);

	program(0, 0x700, 0);
	ioapic_set_irq(&io, 0, true);
	assert_int_equal(sent.mode, APIC_EXTINT);
	program(1, 0x400, 0);
	ioapic_set_irq(&io, 1, true);
	assert_int_equal(sent.mode, APIC_NMI);
	assert_int_equal(nr_sent, 4);
}

static void test_edge(void **state)
{
	program(4, 0x31, 0);
	ioapic_set_irq(&io, 4, true);
	ioapic_set_irq(&io, 4, true);
	assert_int_equal(nr_sent, 1);
	ioapic_set_irq(&io, 4, false);
	assert_int_equal(nr_sent, 1);
	ioapic_set_irq(&io, 4, true);
	assert_int_equal(nr_sent, 2);
	assert_int_equal(low(4) & REMOTE_IRR, 0);
	ioapic_eoi(&io, 0x31);
	assert_int_equal(nr_sent, 2);
	ioapic_set_irq(&io, 24, true);
	assert_int_equal(nr_sent, 2);
}

static void test_edge_masked_is_lost(void **state)
{
	program(4, 0x31 | MASKED, 0);
	ioapic_set_irq(&io, 4, true);
	program(4, 0x31, 0);
	assert_int_equal(nr_sent, 0);
	ioapic_set_irq(&io, 4, false);
	ioapic_set_irq(&io, 4, true);
	assert_int_equal(nr_sent, 1);
}

static void test_level(void **state)
{
	program(9, 0x41 | LEVEL, 0);
	ioapic_set_irq(&io, 9, true);
	assert_int_equal(nr_sent, 1);
	assert_int_equal(low(9) & REMOTE_IRR, REMOTE_IRR);
	/* Waiting for the EOI: nothing more, whatever the line does. */
	ioapic_set_irq(&io, 9, false);
	ioapic_set_irq(&io, 9, true);
	assert_int_equal(nr_sent, 1);
	ioapic_eoi(&io, 0x42);
	assert_int_equal(nr_sent, 1);
	/* Up at the EOI: again. */
	ioapic_eoi(&io, 0x41);
	assert_int_equal(nr_sent, 2);
	assert_int_equal(low(9) & REMOTE_IRR, REMOTE_IRR);
	ioapic_set_irq(&io, 9, false);
	ioapic_eoi(&io, 0x41);
	assert_int_equal(nr_sent, 2);
	assert_int_equal(low(9) & REMOTE_IRR, 0);
}

static void test_level_mask(void **state)
{
	program(9, 0x41 | LEVEL | MASKED, 0);
	ioapic_set_irq(&io, 9, true);
	assert_int_equal(nr_sent, 0);
	put(0x10 + 18, 0x41 | LEVEL);
	assert_int_equal(nr_sent, 1);
	/* Masked while in service: the EOI does not send, unmasking does. */
	put(0x10 + 18, 0x41 | LEVEL | MASKED);
	assert_int_equal(low(9) & REMOTE_IRR, REMOTE_IRR);
	ioapic_eoi(&io, 0x41);
	assert_int_equal(nr_sent, 1);
	put(0x10 + 18, 0x41 | LEVEL);
	assert_int_equal(nr_sent, 2);
}

/* Nobody took it: nobody will send an EOI, so it must not wait for one. */
static void test_level_not_accepted(void **state)
{
	receivers = 0;
	program(9, 0x41 | LEVEL, 7);
	ioapic_set_irq(&io, 9, true);
	assert_int_equal(nr_sent, 1);
	assert_int_equal(low(9) & REMOTE_IRR, 0);
	receivers = 1;
	program(9, 0x41 | LEVEL, 0);
	assert_int_equal(low(9) & REMOTE_IRR, REMOTE_IRR);
}

static void test_edge_clears_remote_irr(void **state)
{
	program(9, 0x41 | LEVEL, 0);
	ioapic_set_irq(&io, 9, true);
	ioapic_set_irq(&io, 9, false);
	put(0x10 + 18, 0x41 | MASKED);
	assert_int_equal(low(9), 0x41 | MASKED);
	put(0x10 + 18, 0x41 | LEVEL);
	assert_int_equal(nr_sent, 1);
	ioapic_set_irq(&io, 9, true);
	assert_int_equal(nr_sent, 2);
}

static void test_shared_vector(void **state)
{
	program(9, 0x41 | LEVEL, 0);
	program(10, 0x41 | LEVEL, 0);
	ioapic_set_irq(&io, 9, true);
	ioapic_set_irq(&io, 10, true);
	ioapic_set_irq(&io, 9, false);
	assert_int_equal(nr_sent, 2);
	ioapic_eoi(&io, 0x41);
	assert_int_equal(nr_sent, 3); /* pin 10's */
	assert_int_equal(low(9) & REMOTE_IRR, 0);
	assert_int_equal(low(10) & REMOTE_IRR, REMOTE_IRR);
}

static void test_eoi_register(void **state)
{
	program(9, 0x41 | LEVEL, 0);
	ioapic_set_irq(&io, 9, true);
	ioapic_set_irq(&io, 9, false);
	ioapic_write(&io, 0x40, 4, 0x40);
	assert_int_equal(low(9) & REMOTE_IRR, REMOTE_IRR);
	ioapic_write(&io, 0x40, 4, 0x41);
	assert_int_equal(low(9) & REMOTE_IRR, 0);
}

/* A reset masks all, but devices keep driving their lines. */
static void test_reset(void **state)
{
	program(9, 0x41 | LEVEL, 0);
	ioapic_set_irq(&io, 9, true);
	ioapic_reset(&io);
	assert_int_equal(low(9), MASKED);
	program(9, 0x51 | LEVEL, 0);
	assert_int_equal(nr_sent, 2);
	assert_int_equal(sent.vector, 0x51);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_registers, setup),
		cmocka_unit_test_setup(test_message, setup),
		cmocka_unit_test_setup(test_edge, setup),
		cmocka_unit_test_setup(test_edge_masked_is_lost, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_level_mask, setup),
		cmocka_unit_test_setup(test_level_not_accepted, setup),
		cmocka_unit_test_setup(test_edge_clears_remote_irr, setup),
		cmocka_unit_test_setup(test_shared_vector, setup),
		cmocka_unit_test_setup(test_eoi_register, setup),
		cmocka_unit_test_setup(test_reset, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
