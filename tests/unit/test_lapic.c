/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC of one vCPU: modes, registers of both kinds, priorities, EOI, LINT pins, ESR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "tests/unit/support/apics.h"

#define ID      0x20
#define VERSION 0x30
#define TPR     0x80
#define APR     0x90
#define PPR     0xa0
#define EOI     0xb0
#define LDR     0xd0
#define DFR     0xe0
#define SVR     0xf0
#define ISR     0x100
#define TMR     0x180
#define IRR     0x200
#define ESR     0x280
#define ICR     0x300
#define ICR2    0x310
#define LVTT    0x320
#define LINT0   0x350
#define LINT1   0x360
#define LVTERR  0x370
#define TMICT   0x380
#define TMCCT   0x390
#define TDCR    0x3e0

#define EN     0x800ull
#define EXTD   0x400ull
#define BSP    0x100ull
#define BASE   0xfee00000ull
#define MASKED 0x10000

static struct lapic *const l = &apic[0];

static int setup(void **state)
{
	apics_create(2);
	return 0;
}

/* --- modes --- */

static void test_reset_state(void **state)
{
	assert_int_equal(lapic_get_base(l), BASE | EN | BSP);
	assert_int_equal(lapic_get_base(&apic[1]), BASE | EN);
	assert_int_equal(apic_read(l, ID), 0);
	assert_int_equal(apic_read(&apic[1], ID), 1 << 24);
	assert_int_equal(apic_read(l, VERSION), 0x01050014);
	assert_int_equal(apic_read(l, SVR), 0xff);
	assert_int_equal(apic_read(l, DFR), 0xffffffff);
	for (unsigned off = LVTT; off <= LVTERR; off += 0x10)
		assert_int_equal(apic_read(l, off), MASKED);
	for (unsigned off = ISR; off < ESR; off += 0x10)
		assert_int_equal(apic_read(l, off), 0);
	assert_int_equal(apic_read(l, TPR) | apic_read(l, LDR) | apic_read(l, ICR) |
				 apic_read(l, TMICT) | apic_read(l, TMCCT) | apic_read(l, TDCR),
			 0);
	assert_int_equal(lapic_pending(l), -1);
}

static void test_mode_transitions(void **state)
{
	static const uint64_t modes[] = {0, EN, EN | EXTD, EXTD};
	/* SDM figure 11-27: from row to column. */
	static const bool legal[3][4] = {
		{true, true, false, false},
		{true, true, true, false},
		{true, false, true, false},
	};

	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = 0; to < 4; to++) {
			lapic_reset(l);
			for (unsigned i = 0; i <= from && from > 0; i++)
				assert_int_equal(lapic_set_base(l, BASE | BSP | modes[i ? i : 1]),
						 0);
			if (from == 0)
				assert_int_equal(lapic_set_base(l, BASE | BSP), 0);
			assert_int_equal(lapic_set_base(l, BASE | BSP | modes[to]),
					 legal[from][to] ? 0 : -1);
			assert_int_equal(lapic_get_base(l) & (EN | EXTD),
					 legal[from][to] ? modes[to] : modes[from]);
		}
	}
}

static void test_base_reserved_bits(void **state)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		bool good = bit == 8 || bit == 10 || bit == 11 || (bit >= 12 && bit < 40);
		uint64_t val = BASE | EN | 1ull << bit;

		lapic_reset(l);
		assert_int_equal(lapic_set_base(l, val), good ? 0 : -1);
		assert_true(lapic_get_base(l) == (good ? val : (BASE | EN | BSP)));
	}
}

static void test_mmio_base(void **state)
{
	assert_true(lapic_mmio_base(l) == BASE);
	lapic_set_base(l, 0xfec00000 + 0x12345000 + EN);
	assert_true(lapic_mmio_base(l) == 0xfec00000 + 0x12345000);
	lapic_set_base(l, BASE | EN | EXTD);
	assert_true(lapic_mmio_base(l) == UINT64_MAX);
	lapic_set_base(l, BASE);
	assert_true(lapic_mmio_base(l) == UINT64_MAX);
}

/* Disabling and enabling again is a reset; so is INIT, which keeps the mode. */
static void test_disable_resets(void **state)
{
	apic_enable(l);
	apic_write(l, TPR, 0x20);
	apic_write(l, LVTT, 0x31);
	lapic_post(l, 0x40, true);
	apic_take(l);
	lapic_post(l, 0x41, true);
	lapic_set_base(l, BASE | BSP);
	assert_int_equal(lapic_pending(l), -1);
	lapic_post(l, 0x42, false); /* nobody sends to a disabled one; if it comes, it is lost */
	assert_int_equal(lapic_pending(l), -1);
	lapic_set_base(l, BASE | BSP | EN);
	test_reset_state(state);
}

static void test_init_keeps_mode(void **state)
{
	apic_enable_x2apic(l);
	lapic_msr_write(l, 0x808, 0x20);
	lapic_post(l, 0x40, false);
	lapic_reset_init(l);
	assert_int_equal(lapic_get_base(l), BASE | BSP | EN | EXTD);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(lapic_get_cr8(l), 0);
}

/* --- registers --- */

static void test_register_bits(void **state)
{
	static const struct {
		unsigned off;
		uint32_t expect; /* after all ones were written to an enabled APIC */
	} regs[] = {
		{ID, 0},           {VERSION, 0x01050014}, {TPR, 0xff},      {PPR, 0xff},
		{LDR, 0xff000000}, {DFR, 0xffffffff},     {SVR, 0x13ff},    {ICR2, 0xff000000},
		{LVTT, 0x700ff},   {0x330, 0x107ff},      {0x340, 0x107ff}, {LINT0, 0x1a7ff},
		{LINT1, 0x1a7ff},  {LVTERR, 0x100ff},     {TMICT, 0},       {TDCR, 0x0b},
	};

	apic_enable(l);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		apic_write(l, regs[i].off, 0xffffffff);
		assert_int_equal(apic_read(l, regs[i].off), regs[i].expect);
	}
	apic_write(l, DFR, 0);
	assert_int_equal(apic_read(l, DFR), 0x0fffffff);
}

static void test_mmio_widths(void **state)
{
	apic_enable(l);
	apic_write(l, ICR2, 0x12000000);
	assert_int_equal(lapic_mmio_read(l, ICR2, 1), 0);
	assert_int_equal(lapic_mmio_read(l, ICR2 + 3, 1), 0x12);
	assert_int_equal(lapic_mmio_read(l, ICR2 + 2, 2), 0x1200);
	assert_int_equal(lapic_mmio_read(l, ICR2, 8), 0x12000000);
	assert_int_equal(lapic_mmio_read(l, ICR2 + 4, 4), 0);
	lapic_mmio_write(l, TPR, 1, 0x55); /* not a register write */
	lapic_mmio_write(l, TPR + 4, 4, 0x55);
	assert_int_equal(apic_read(l, TPR), 0);
}

static void test_lvt_masked_while_disabled(void **state)
{
	apic_write(l, LVTT, 0x31);
	assert_int_equal(apic_read(l, LVTT), MASKED | 0x31);
	apic_enable(l);
	apic_write(l, LVTT, 0x31);
	apic_write(l, LINT0, 0x700);
	assert_int_equal(apic_read(l, LVTT), 0x31);
	apic_write(l, SVR, 0xff);
	assert_int_equal(apic_read(l, LVTT), MASKED | 0x31);
	assert_int_equal(apic_read(l, LINT0), MASKED | 0x700);
	apic_enable(l); /* masked until written again */
	assert_int_equal(apic_read(l, LVTT), MASKED | 0x31);
}

/* Every MSR of the x2APIC range: which ones read, which ones write 0 (SDM table 11-6). */
static void test_x2apic_map(void **state)
{
	for (unsigned reg = 0; reg < 0x100; reg++) {
		bool read = reg == 2 || reg == 3 || reg == 8 || reg == 0xa || reg == 0xd ||
			    (reg >= 0xf && reg <= 0x28) || reg == 0x30 ||
			    (reg >= 0x32 && reg <= 0x39) || reg == 0x3e;
		bool write = reg == 8 || reg == 0xb || reg == 0xf || reg == 0x28 || reg == 0x30 ||
			     (reg >= 0x32 && reg <= 0x38) || reg == 0x3e || reg == 0x3f;
		uint64_t val;

		lapic_reset(l);
		assert_int_equal(lapic_msr_read(l, 0x800 + reg, &val), -1);
		assert_int_equal(lapic_msr_write(l, 0x800 + reg, 0), -1);
		apic_enable_x2apic(l);
		assert_int_equal(lapic_msr_read(l, 0x800 + reg, &val), read ? 0 : -1);
		assert_int_equal(lapic_msr_write(l, 0x800 + reg, 0), write ? 0 : -1);
	}
}

static void test_x2apic_reserved_bits(void **state)
{
	static const struct {
		uint32_t msr;
		uint64_t good; /* bits that may be set */
	} regs[] = {
		{0x808, 0xff},       {0x80b, 0},
		{0x80f, 0x13ff},     {0x828, 0},
		{0x832, 0x750ff},    {0x833, 0x157ff},
		{0x834, 0x157ff},    {0x835, 0x1f7ff},
		{0x836, 0x1f7ff},    {0x837, 0x150ff},
		{0x838, 0xffffffff}, {0x83e, 0xb},
		{0x83f, 0xff},       {0x830, 0xffffffff000cdfffull},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			lapic_reset(l);
			apic_enable_x2apic(l);
			assert_int_equal(lapic_msr_write(l, regs[i].msr, 1ull << bit),
					 regs[i].good >> bit & 1 ? 0 : -1);
		}
	}
}

static void test_x2apic_ids(void **state)
{
	uint64_t val;

	apics_create(40);
	apic_enable_x2apic(&apic[37]);
	assert_int_equal(lapic_msr_read(&apic[37], 0x802, &val), 0);
	assert_int_equal(val, 37);
	assert_int_equal(lapic_msr_read(&apic[37], 0x80d, &val), 0);
	assert_int_equal(val, 2 << 16 | 1 << 5);
}

static void test_x2apic_icr(void **state)
{
	uint64_t val;

	apic_enable_x2apic(l);
	assert_int_equal(lapic_msr_write(l, 0x830, 0x0000000100001031ull), 0);
	assert_int_equal(lapic_msr_read(l, 0x830, &val), 0);
	assert_true(val == 0x0000000100000031ull); /* delivery status stays idle */
}

/* --- priorities --- */

static void test_priority(void **state)
{
	apic_enable(l);
	lapic_post(l, 0x31, false);
	lapic_post(l, 0xff, false);
	lapic_post(l, 0x52, false);
	assert_int_equal(apic_read(l, IRR + 0x10), 1u << 0x11);
	assert_int_equal(apic_read(l, IRR + 0x70), 1u << 31);
	assert_int_equal(lapic_pending(l), 0xff);
	assert_int_equal(lapic_pending(l), 0xff); /* a look changes nothing */
	assert_int_equal(apic_take(l), 0xff);
	assert_int_equal(apic_read(l, PPR), 0xf0);
	assert_int_equal(apic_read(l, ISR + 0x70), 1u << 31);
	assert_int_equal(apic_read(l, IRR + 0x70), 0);
	assert_int_equal(lapic_pending(l), -1);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_take(l), 0x52);
	lapic_post(l, 0x5f, false); /* same class: waits */
	assert_int_equal(lapic_pending(l), -1);
	lapic_post(l, 0x60, false); /* next class: nests */
	assert_int_equal(apic_take(l), 0x60);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_read(l, PPR), 0x50);
	assert_int_equal(lapic_pending(l), -1);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_take(l), 0x5f);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_take(l), 0x31);
	apic_write(l, EOI, 0);
	apic_write(l, EOI, 0); /* nothing in service */
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(apic_read(l, PPR), 0);
}

static void test_tpr(void **state)
{
	apic_enable(l);
	apic_write(l, TPR, 0x45);
	assert_int_equal(apic_read(l, PPR), 0x45);
	assert_int_equal(lapic_get_cr8(l), 4);
	lapic_post(l, 0x4f, false);
	assert_int_equal(lapic_pending(l), -1);
	apics_forget_calls();
	lapic_set_cr8(l, 3);
	assert_int_equal(apic_calls[0].notify, 1); /* something came through */
	assert_int_equal(apic_read(l, TPR), 0x30);
	assert_int_equal(apic_take(l), 0x4f);
	assert_int_equal(apic_read(l, PPR), 0x40);
	lapic_set_cr8(l, 4); /* same class as in service: PPR is TPR */
	assert_int_equal(apic_read(l, PPR), 0x40);
	apic_write(l, TPR, 0x4a);
	assert_int_equal(apic_read(l, PPR), 0x4a);
	apic_write(l, EOI, 0);
	lapic_set_cr8(l, 15);
	lapic_post(l, 0xff, false);
	assert_int_equal(lapic_pending(l), -1);
	lapic_set_cr8(l, 0);
	assert_int_equal(apic_take(l), 0xff);
}

/* Lowering PPR with nothing waiting kicks nobody. */
static void test_no_idle_notify(void **state)
{
	apic_enable(l);
	lapic_set_cr8(l, 5);
	apics_forget_calls();
	lapic_set_cr8(l, 2);
	assert_int_equal(apic_calls[0].notify, 0);
	lapic_post(l, 0x50, false);
	lapic_post(l, 0x50, false); /* already pending */
	assert_int_equal(apic_calls[0].notify, 1);
	apic_take(l);
	lapic_post(l, 0x41, false);
	assert_int_equal(apic_calls[0].notify, 2);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_calls[0].notify, 3);
}

static void test_apr(void **state)
{
	apic_enable(l);
	apic_write(l, TPR, 0x37);
	assert_int_equal(apic_read(l, APR), 0x37);
	lapic_post(l, 0x61, false);
	assert_int_equal(apic_read(l, APR), 0x60);
}

/* A software-disabled APIC keeps and delivers what it has, and takes nothing new. */
static void test_software_disabled(void **state)
{
	struct apic_msg msg = {.dest = 0, .vector = 0x61};

	apic_enable(l);
	lapic_post(l, 0x51, false);
	apic_write(l, SVR, 0xff);
	assert_int_equal(lapic_deliver(&apics, &msg), 0);
	assert_int_equal(apic_take(l), 0x51);
	assert_int_equal(lapic_pending(l), -1);
	apic_enable(l);
	assert_int_equal(lapic_deliver(&apics, &msg), 1);
}

/* --- EOI --- */

static void test_eoi_broadcast(void **state)
{
	apic_enable(l);
	lapic_post(l, 0x51, true);
	lapic_post(l, 0x61, false);
	assert_int_equal(apic_read(l, TMR + 0x20), 1u << 0x11);
	assert_int_equal(apic_take(l), 0x61);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_eois, 0);
	assert_int_equal(apic_take(l), 0x51);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_eois, 1);
	assert_int_equal(apic_eoi_vector, 0x51);
	/* The vector is an edge the next time. */
	lapic_post(l, 0x51, false);
	assert_int_equal(apic_read(l, TMR + 0x20), 0);
	apic_take(l);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_eois, 1);
	apic_write(l, SVR, 0x11ff); /* suppressed: the guest writes the IOAPIC's EOI register */
	lapic_post(l, 0x51, true);
	apic_take(l);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_eois, 1);
}

/* --- LINT pins, ExtINT --- */

static void test_virtual_wire(void **state)
{
	assert_false(lapic_extint_open(l));
	lapic_set_virtual_wire(l);
	assert_true(lapic_extint_open(l));
	assert_false(lapic_extint_open(&apic[1]));
	lapic_group_set_lint(&apics, 0, true);
	assert_int_equal(apic_calls[0].notify, 1);
	assert_int_equal(apic_calls[1].notify, 0);
	assert_int_equal(lapic_pending(l), -1); /* the vector is the 8259s' */
	lapic_set_lint(l, 1, true);
	assert_int_equal(apic_calls[0].nmi, 1);
	apic_write(l, LINT0, MASKED | 0x700);
	assert_false(lapic_extint_open(l));
	apics_forget_calls();
	apic_write(l, LINT0, 0x700);
	assert_int_equal(apic_calls[0].notify, 1);
	apic_write(l, SVR, 0xff);
	assert_false(lapic_extint_open(l));
}

/* With the APIC off the pins are the CPU's INTR and NMI. */
static void test_pins_without_apic(void **state)
{
	lapic_set_base(l, BASE | BSP);
	apics_forget_calls();
	assert_true(lapic_extint_open(l));
	lapic_set_lint(l, 0, true);
	lapic_set_lint(l, 1, true);
	lapic_set_lint(l, 1, true);
	assert_int_equal(apic_calls[0].notify, 1);
	assert_int_equal(apic_calls[0].nmi, 1);
}

static void test_extint_message(void **state)
{
	struct apic_msg msg = {.dest = 1, .mode = APIC_EXTINT};

	assert_int_equal(lapic_deliver(&apics, &msg), 1);
	assert_int_equal(apic_calls[1].notify, 1);
	assert_true(lapic_extint_open(&apic[1]));
	assert_false(lapic_extint_open(l));
	lapic_extint_acked(&apic[1]);
	assert_false(lapic_extint_open(&apic[1]));
}

static void test_lint_fixed_edge(void **state)
{
	apic_enable(l);
	apic_write(l, LINT0, 0x31);
	lapic_set_lint(l, 0, true);
	assert_int_equal(apic_take(l), 0x31);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_eois, 0);
	lapic_set_lint(l, 0, true);
	assert_int_equal(lapic_pending(l), -1);
	lapic_set_lint(l, 0, false);
	lapic_set_lint(l, 0, true);
	assert_int_equal(apic_take(l), 0x31);
}

static void test_lint_fixed_level(void **state)
{
	apic_enable(l);
	apic_write(l, LINT0, MASKED | 0x8031);
	lapic_set_lint(l, 0, true);
	assert_int_equal(lapic_pending(l), -1);
	apic_write(l, LINT0, 0x8031);
	assert_int_equal(apic_read(l, LINT0), 0xc031);
	assert_int_equal(apic_take(l), 0x31);
	lapic_set_lint(l, 0, false);
	lapic_set_lint(l, 0, true);
	assert_int_equal(lapic_pending(l), -1); /* remote IRR is set */
	apic_write(l, EOI, 0);
	assert_int_equal(apic_take(l), 0x31); /* still up */
	lapic_set_lint(l, 0, false);
	apic_write(l, EOI, 0);
	assert_int_equal(lapic_pending(l), -1);
	assert_int_equal(apic_read(l, LINT0), 0x8031);
	/* A write keeps remote IRR, unless it makes the entry an edge. */
	lapic_set_lint(l, 0, true);
	apic_write(l, LINT0, 0x8032);
	assert_int_equal(apic_read(l, LINT0), 0xc032);
	apic_write(l, LINT0, 0x32);
	assert_int_equal(apic_read(l, LINT0), 0x32);
}

static void test_lint_init(void **state)
{
	apic_enable(l);
	apic_write(l, LINT1, 0x500);
	lapic_set_lint(l, 1, true);
	assert_int_equal(apic_calls[0].init, 1);
	apic_write(l, LINT0, 0x200); /* SMI: nobody there */
	apics_forget_calls();
	lapic_set_lint(l, 0, true);
	assert_int_equal(apic_calls[0].notify, 0);
	assert_int_equal(lapic_pending(l), -1);
}

/* --- errors --- */

static void test_esr(void **state)
{
	apic_enable(l);
	apic_write(l, LVTERR, 0xfe);
	apic_read(l, 0x40); /* no such register */
	assert_int_equal(apic_take(l), 0xfe);
	apic_write(l, EOI, 0);
	assert_int_equal(apic_read(l, ESR), 0); /* not latched yet */
	apic_write(l, ESR, 0);
	assert_int_equal(apic_read(l, ESR), 0x80);
	apic_write(l, 0x3f0, 0);
	apic_write(l, 0x500, 0);
	apic_write(l, ESR, 0xffffffff);
	assert_int_equal(apic_read(l, ESR), 0x80);
	apic_write(l, ESR, 0);
	assert_int_equal(apic_read(l, ESR), 0);
	apic_write(l, ICR, 0x4000f); /* to itself, vector 15 */
	apic_write(l, ESR, 0);
	assert_int_equal(apic_read(l, ESR), 0x20);
	lapic_post(l, 0x0f, false);
	apic_write(l, ESR, 0);
	assert_int_equal(apic_read(l, ESR), 0x40);
	apic_write(l, VERSION, 0); /* read-only is no error */
	apic_write(l, ESR, 0);
	assert_int_equal(apic_read(l, ESR), 0);
}

/* The error entry's own vector is illegal: no end of errors. */
static void test_esr_illegal_itself(void **state)
{
	apic_enable(l);
	apic_write(l, LVTERR, 0x05);
	lapic_post(l, 0x05, false);
	apic_write(l, ESR, 0);
	assert_int_equal(apic_read(l, ESR), 0x40);
	assert_int_equal(apic_read(l, IRR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reset_state, setup),
		cmocka_unit_test_setup(test_mode_transitions, setup),
		cmocka_unit_test_setup(test_base_reserved_bits, setup),
		cmocka_unit_test_setup(test_mmio_base, setup),
		cmocka_unit_test_setup(test_disable_resets, setup),
		cmocka_unit_test_setup(test_init_keeps_mode, setup),
		cmocka_unit_test_setup(test_register_bits, setup),
		cmocka_unit_test_setup(test_mmio_widths, setup),
		cmocka_unit_test_setup(test_lvt_masked_while_disabled, setup),
		cmocka_unit_test_setup(test_x2apic_map, setup),
		cmocka_unit_test_setup(test_x2apic_reserved_bits, setup),
		cmocka_unit_test_setup(test_x2apic_ids, setup),
		cmocka_unit_test_setup(test_x2apic_icr, setup),
		cmocka_unit_test_setup(test_priority, setup),
		cmocka_unit_test_setup(test_tpr, setup),
		cmocka_unit_test_setup(test_no_idle_notify, setup),
		cmocka_unit_test_setup(test_apr, setup),
		cmocka_unit_test_setup(test_software_disabled, setup),
		cmocka_unit_test_setup(test_eoi_broadcast, setup),
		cmocka_unit_test_setup(test_virtual_wire, setup),
		cmocka_unit_test_setup(test_pins_without_apic, setup),
		cmocka_unit_test_setup(test_extint_message, setup),
		cmocka_unit_test_setup(test_lint_fixed_edge, setup),
		cmocka_unit_test_setup(test_lint_fixed_level, setup),
		cmocka_unit_test_setup(test_lint_init, setup),
		cmocka_unit_test_setup(test_esr, setup),
		cmocka_unit_test_setup(test_esr_illegal_itself, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
