/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8259A pair, by the datasheet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vmm/dev/pic.h"

#define MASTER 0
#define SLAVE  1

static struct pic pic;
static bool out;
static unsigned out_rises;

static void set_out(void *ctx, unsigned line, bool level)
{
	assert_ptr_equal(ctx, &pic);
	assert_int_not_equal(level, out); /* told about changes only */
	out = level;
	out_rises += level;
}

static void cmd(unsigned chip, uint8_t val)
{
	pic_write(&pic.chip[chip], 0, 1, val);
}

static void data(unsigned chip, uint8_t val)
{
	pic_write(&pic.chip[chip], 1, 1, val);
}

static uint8_t imr(unsigned chip)
{
	return pic_read(&pic.chip[chip], 1, 1);
}

static uint8_t irr(unsigned chip)
{
	cmd(chip, 0x0a);
	return pic_read(&pic.chip[chip], 0, 1);
}

static uint8_t isr(unsigned chip)
{
	cmd(chip, 0x0b);
	return pic_read(&pic.chip[chip], 0, 1);
}

static void init_chips(uint8_t icw4_master, uint8_t icw4_slave)
{
	cmd(MASTER, 0x11);
	data(MASTER, 0x30);
	data(MASTER, 0x04);
	data(MASTER, icw4_master);
	cmd(SLAVE, 0x11);
	data(SLAVE, 0x38);
	data(SLAVE, 0x02);
	data(SLAVE, icw4_slave);
}

static void pulse(unsigned irq)
{
	pic_set_irq(&pic, irq, true);
	pic_set_irq(&pic, irq, false);
}

static void expect_intr(bool level)
{
	assert_int_equal(pic_intr(&pic), level);
	assert_int_equal(out, level);
}

static void expect_vector(uint8_t vector)
{
	expect_intr(true);
	assert_int_equal(pic_ack(&pic), vector);
}

static int setup(void **state)
{
	struct irq_line line = {set_out, &pic, 0};

	out = false;
	out_rises = 0;
	pic_init(&pic, &line);
	init_chips(0x01, 0x01);
	return 0;
}

static void test_power_up(void **state)
{
	pic_reset(&pic);
	pulse(1);
	pulse(9);
	expect_intr(false);
	assert_int_equal(imr(MASTER), 0xff);
}

static void test_priority(void **state)
{
	pulse(5);
	pulse(3);
	expect_vector(0x33);
	/* In service: 3 holds 5 back, 1 comes through. */
	expect_intr(false);
	pulse(1);
	expect_vector(0x31);
	assert_int_equal(isr(MASTER), 0x0a);
	cmd(MASTER, 0x20); /* ends 1 */
	assert_int_equal(isr(MASTER), 0x08);
	expect_intr(false);
	cmd(MASTER, 0x63); /* specific end of 3 */
	expect_vector(0x35);
	cmd(MASTER, 0x20);
	assert_int_equal(isr(MASTER), 0);
	cmd(MASTER, 0x20); /* nothing in service: nothing happens */
	expect_intr(false);
}

static void test_same_level_waits(void **state)
{
	pulse(4);
	expect_vector(0x34);
	pulse(4);
	expect_intr(false);
	assert_int_equal(irr(MASTER), 0x10);
	cmd(MASTER, 0x20);
	expect_vector(0x34);
}

static void test_mask(void **state)
{
	data(MASTER, 0x10);
	pulse(4);
	expect_intr(false);
	assert_int_equal(irr(MASTER), 0x10); /* the mask hides it from INTR, not from IRR */
	data(MASTER, 0);
	expect_vector(0x34);
	assert_int_equal(irr(MASTER), 0);
}

static void test_edge_needs_a_new_edge(void **state)
{
	pic_set_irq(&pic, 4, true);
	expect_vector(0x34);
	cmd(MASTER, 0x20);
	pic_set_irq(&pic, 4, true);
	expect_intr(false);
	pic_set_irq(&pic, 4, false);
	pic_set_irq(&pic, 4, true);
	expect_vector(0x34);
}

static void test_cascade(void **state)
{
	pulse(12);
	pulse(10);
	expect_vector(0x3a);
	assert_int_equal(isr(MASTER), 0x04);
	assert_int_equal(isr(SLAVE), 0x04);
	pulse(3); /* below the slave for the master */
	expect_intr(false);
	pulse(0);
	expect_vector(0x30);
	cmd(MASTER, 0x20);
	cmd(SLAVE, 0x20); /* the slave asks for 12 again; the master's ISR still has 2 */
	expect_intr(false);
	cmd(MASTER, 0x20);
	expect_vector(0x3c);
	cmd(SLAVE, 0x20);
	cmd(MASTER, 0x20);
	expect_vector(0x33);
}

/* Not nested: a more urgent request of the slave waits for the master's EOI. Nested: it does not.
 */
static void test_special_fully_nested(void **state)
{
	pulse(12);
	expect_vector(0x3c);
	pulse(9);
	expect_intr(false);
	cmd(MASTER, 0x20);
	expect_vector(0x39);

	init_chips(0x11, 0x01);
	pulse(12);
	expect_vector(0x3c);
	pulse(14);
	expect_intr(false);
	pulse(9);
	expect_vector(0x39);
	assert_int_equal(isr(SLAVE), 0x12);
}

static void test_auto_eoi(void **state)
{
	init_chips(0x03, 0x03);
	pulse(12);
	pulse(10);
	pulse(6);
	out_rises = 0;
	expect_vector(0x3a);
	assert_int_equal(isr(MASTER), 0);
	assert_int_equal(isr(SLAVE), 0);
	expect_vector(0x3c);
	expect_vector(0x36);
	expect_intr(false);
	assert_int_equal(out_rises, 2); /* INTR falls and rises between */
}

static void test_rotation(void **state)
{
	/* Rotate on non-specific EOI: 3, just served, becomes the lowest. */
	pulse(3);
	expect_vector(0x33);
	cmd(MASTER, 0xa0);
	pulse(3);
	pulse(4);
	pulse(1);
	expect_vector(0x34);
	cmd(MASTER, 0x20);
	expect_vector(0x31);
	cmd(MASTER, 0x20);
	expect_vector(0x33);
	/* Rotate on specific EOI. */
	cmd(MASTER, 0xe3);
	assert_int_equal(isr(MASTER), 0);
	/* Set priority: 5 lowest, 6 highest. */
	cmd(MASTER, 0xc5);
	pulse(0);
	pulse(5);
	pulse(6);
	expect_vector(0x36);
	expect_intr(false);
	cmd(MASTER, 0x20);
	expect_vector(0x30);
	cmd(MASTER, 0x20);
	expect_vector(0x35);
}

static void test_rotation_in_auto_eoi(void **state)
{
	init_chips(0x03, 0x03);
	cmd(MASTER, 0x80);
	pulse(0);
	expect_vector(0x30);
	pulse(0);
	pulse(7);
	expect_vector(0x37); /* 0 is the lowest now */
	expect_vector(0x30);
	cmd(MASTER, 0x00);
	pulse(1);
	expect_vector(0x31);
	pulse(1);
	pulse(7);
	expect_vector(0x31); /* no rotation any more */
	expect_vector(0x37);
}

static void test_special_mask(void **state)
{
	pulse(2 + 1);
	expect_vector(0x33);
	pulse(6);
	expect_intr(false);
	data(MASTER, 0x08);
	expect_intr(false); /* masking alone does not help */
	cmd(MASTER, 0x68);
	expect_vector(0x36);
	pulse(3);
	expect_intr(false); /* the masked one itself stays out */
	cmd(MASTER, 0x20);  /* ends 6, not the masked 3 */
	assert_int_equal(isr(MASTER), 0x08);
	cmd(MASTER, 0x48);
	pulse(6);
	expect_intr(false);
	cmd(MASTER, 0x08); /* OCW3 without ESMM leaves the mode */
	cmd(MASTER, 0x63);
	expect_vector(0x36);
}

static void test_poll(void **state)
{
	pulse(4);
	pulse(6);
	cmd(MASTER, 0x0c);
	assert_int_equal(pic_read(&pic.chip[MASTER], 0, 1), 0x84);
	assert_int_equal(isr(MASTER), 0x10);
	expect_intr(false);
	cmd(MASTER, 0x0c);
	assert_int_equal(pic_read(&pic.chip[MASTER], 0, 1) & 0x80, 0);
	/* One read only: the next is IRR again. */
	cmd(MASTER, 0x0a);
	assert_int_equal(pic_read(&pic.chip[MASTER], 0, 1), 0x40);

	cmd(MASTER, 0x20);
	pulse(11);
	cmd(MASTER, 0x0c);
	assert_int_equal(pic_read(&pic.chip[MASTER], 0, 1), 0x82);
	cmd(SLAVE, 0x0c);
	assert_int_equal(pic_read(&pic.chip[SLAVE], 0, 1), 0x83);
	assert_int_equal(isr(SLAVE), 0x08);
}

static void test_spurious(void **state)
{
	pic_elcr_write(&pic, 0, 1, 0x20);
	pic_set_irq(&pic, 5, true);
	expect_intr(true);
	pic_set_irq(&pic, 5, false);
	expect_intr(false);
	assert_int_equal(pic_ack(&pic), 0x37); /* the CPU had begun its INTA */
	assert_int_equal(isr(MASTER), 0);
	/* A real 7 differs by its ISR bit. */
	pulse(7);
	expect_vector(0x37);
	assert_int_equal(isr(MASTER), 0x80);
}

static void test_slave_withdraws(void **state)
{
	pulse(10);
	expect_intr(true);
	data(SLAVE, 0x04);
	expect_intr(false);
	assert_int_equal(pic_ack(&pic), 0x37);
	data(SLAVE, 0);
	expect_vector(0x3a);
}

static void test_elcr_level(void **state)
{
	pic_elcr_write(&pic, 0, 2, 0xffff);
	/* The timer, the keyboard, the cascade, the RTC and the FPU are edges for ever. */
	assert_int_equal(pic_elcr_read(&pic, 0, 2), 0xdef8);
	pic_set_irq(&pic, 11, true);
	expect_vector(0x3b);
	cmd(SLAVE, 0x20);
	cmd(MASTER, 0x20);
	expect_vector(0x3b); /* still up: again */
	pic_set_irq(&pic, 11, false);
	cmd(SLAVE, 0x20);
	cmd(MASTER, 0x20);
	expect_intr(false);
	/* IRQ 0 stays edge-triggered. */
	pic_set_irq(&pic, 0, true);
	expect_vector(0x30);
	cmd(MASTER, 0x20);
	expect_intr(false);
}

static void test_ltim(void **state)
{
	cmd(MASTER, 0x19);
	data(MASTER, 0x30);
	data(MASTER, 0x04);
	data(MASTER, 0x01);
	pic_set_irq(&pic, 1, true);
	expect_vector(0x31);
	cmd(MASTER, 0x20);
	expect_vector(0x31);
	pic_set_irq(&pic, 1, false);
	cmd(MASTER, 0x20);
	expect_intr(false);
}

static void test_init_sequence(void **state)
{
	/* Without ICW4 (and AEOI with it), single: two bytes, the third is the mask. */
	init_chips(0x03, 0x01);
	pulse(4);
	data(MASTER, 0xff);
	cmd(MASTER, 0x12);
	data(MASTER, 0x47); /* the low three bits are not the vector's */
	assert_int_equal(imr(MASTER), 0);
	assert_int_equal(irr(MASTER), 0); /* edges are forgotten */
	data(MASTER, 0xfe);
	assert_int_equal(imr(MASTER), 0xfe);
	pulse(0);
	expect_vector(0x40);
	assert_int_equal(isr(MASTER), 1);
	/* Single: pin 2 is an ordinary one. */
	data(MASTER, 0);
	cmd(MASTER, 0x20);
	pulse(9);
	expect_vector(0x42);
	assert_int_equal(isr(SLAVE), 0);
}

static void test_bad_lines(void **state)
{
	pic_set_irq(&pic, 16, true);
	pic_set_irq(&pic, 2, true);
	expect_intr(false);
	assert_int_equal(irr(MASTER) | irr(SLAVE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_power_up, setup),
		cmocka_unit_test_setup(test_priority, setup),
		cmocka_unit_test_setup(test_same_level_waits, setup),
		cmocka_unit_test_setup(test_mask, setup),
		cmocka_unit_test_setup(test_edge_needs_a_new_edge, setup),
		cmocka_unit_test_setup(test_cascade, setup),
		cmocka_unit_test_setup(test_special_fully_nested, setup),
		cmocka_unit_test_setup(test_auto_eoi, setup),
		cmocka_unit_test_setup(test_rotation, setup),
		cmocka_unit_test_setup(test_rotation_in_auto_eoi, setup),
		cmocka_unit_test_setup(test_special_mask, setup),
		cmocka_unit_test_setup(test_poll, setup),
		cmocka_unit_test_setup(test_spurious, setup),
		cmocka_unit_test_setup(test_slave_withdraws, setup),
		cmocka_unit_test_setup(test_elcr_level, setup),
		cmocka_unit_test_setup(test_ltim, setup),
		cmocka_unit_test_setup(test_init_sequence, setup),
		cmocka_unit_test_setup(test_bad_lines, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
