/* SPDX-License-Identifier: BSD-2-Clause */
/* The board as a whole: who answers where, which interrupt arrives where, and starting over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bits.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/clock.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/wires.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/dev/testdev.h"

#define NR_VCPUS 2

static struct {
	struct events events; /* first: it is the VM */
	unsigned notified[NR_VCPUS];
	struct guest_memory mem;
	struct timer_queue queue;
	struct timer_queue *queues[NR_VCPUS];
	struct char_sink sink;
	char sent[16];
	unsigned nr_sent;
	struct platform_config config;
	struct platform *p;
} t;

static bool output(struct char_sink *s, uint8_t byte)
{
	if (t.nr_sent < sizeof(t.sent))
		t.sent[t.nr_sent++] = (char)byte;
	return true;
}

static void go_on(struct char_sink *s) {}

static void notify(void *vm, unsigned vcpu)
{
	t.notified[vcpu]++;
}

static void no_signal(void *vm, unsigned vcpu) {}
static void no_startup(void *vm, unsigned vcpu, uint8_t vector) {}
static void earlier(struct timer_queue *q) {}

static const struct dev_host host = {.notify = notify,
				     .nmi = no_signal,
				     .init = no_signal,
				     .startup = no_startup,
				     .event = events_record};

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	host_arena_with_frames(32 << 20);
	grace_exit_guest(grace_cpu());
	slots_init(&t.mem);
	assert_int_equal(slots_create(&t.mem, 0, GFN(0), 2048, 0), 0);
	clock_set_ns(NSEC_PER_SEC);
	timer_queue_init(&t.queue, earlier);
	t.queues[0] = t.queues[1] = &t.queue;
	t.sink = (struct char_sink){.put = output, .go_on = go_on};
	t.config = (struct platform_config){.name = "t",
					    .vm = &t,
					    .host = &host,
					    .ram_bytes = 8 << 20,
					    .nr_vcpus = NR_VCPUS,
					    .test_device = true,
					    .vcpu_timers = t.queues,
					    .serial = &t.sink,
					    .phys_bits = 40};
	t.p = platform_create(&t.config);
	assert_non_null(t.p);
	platform_act_as_firmware(t.p);
	return 0;
}

static int teardown(void **state)
{
	platform_shut_timers(t.p);
	platform_destroy(t.p);
	assert_true(list_empty(&t.queue.timers));
	slots_destroy(&t.mem);
	grace_enter_guest(grace_cpu());
	host_arena_destroy();
	return 0;
}

static uint64_t in(uint16_t port, unsigned size)
{
	return platform_pio_read(t.p, port, size);
}

static void out(uint16_t port, unsigned size, uint64_t val)
{
	platform_pio_write(t.p, port, size, val);
}

static void ioapic_set(unsigned pin, uint64_t entry)
{
	for (unsigned i = 0; i < 2; i++) {
		platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfec00000), 4,
				    0x10 + 2 * pin + i);
		platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfec00010), 4,
				    (uint32_t)(entry >> 32 * i));
	}
}

static void test_unclaimed(void **state)
{
	static const uint16_t ports[] = {0x1234, 0x3c0, 0x2f8, 0x1f7, 0x3f7, 0xcf7, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		assert_int_equal(in(ports[i], 1), 0xff);
		out(ports[i], 1, 0);
	}
	assert_int_equal(in(0x1234, 2), 0xffff);
	assert_int_equal(in(0x1234, 4), 0xffffffff);
	assert_int_equal(in(0xffff, 4), 0xffffffff);
	assert_int_equal(platform_mmio_read(t.p, platform_lapic(t.p, 0), GPA(0xfd000000), 8),
			 UINT64_MAX);
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfd000000), 8, 0);
	assert_int_equal(t.events.nr, 0);
}

static void test_who_answers(void **state)
{
	out(0x3ff, 1, 0x5a);
	assert_int_equal(in(0x3ff, 1), 0x5a); /* UART scratch */
	out(0x3f8, 1, 'U');
	assert_int_equal(t.sent[0], 'U');
	out(0x21, 1, 0xa5);
	assert_int_equal(in(0x21, 1), 0xa5); /* 8259 mask */
	out(0x80, 1, 0x33);
	assert_int_equal(in(0x80, 1), 0x33);
	out(0xcf8, 4, 0x80000000);
	assert_int_equal(in(0xcfc, 4), 0x00081b36);
	assert_int_equal(in(0xcfe, 2), 0x0008);
	out(0x510, 2, FW_CFG_NB_CPUS);
	assert_int_equal(in(0x511, 1), NR_VCPUS);
	assert_int_equal(in(0x402, 1), 0xe9);
	assert_int_equal(in(0xe9, 1), 0xe9);
	assert_int_equal(in(0x64, 1) & 3, 0);
	assert_int_equal(in(0x604, 2) & 1, 1);
	clock_advance_ns(NSEC_PER_SEC);
	assert_int_equal(in(0x608, 4), 3579545);
	out(0xe0, 4, 0xcafe);
	assert_int_equal(in(0xe1, 1), 0xca);
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xff000100), 8, 0x1122334455667788);
	assert_int_equal(platform_mmio_read(t.p, platform_lapic(t.p, 1), GPA(0xff000104), 4),
			 0x11223344);
	assert_int_equal(in(0x71, 1) != 0xff || in(0x70, 1) != 0xff, true);
	assert_int_not_equal(in(0x61, 1), 0xff);
}

/* No guest has the test device unasked, nor finds anything where it would be. */
static void test_no_test_device(void **state)
{
	struct platform *with = t.p;

	t.config.test_device = false;
	t.p = platform_create(&t.config);
	assert_non_null(t.p);
	for (uint16_t port = TESTDEV_LATCH_PORT; port < TESTDEV_LATCH_PORT + TESTDEV_PORTS;
	     port++) {
		out(port, 1, 0);
		assert_int_equal(in(port, 1), 0xff);
	}
	out(TESTDEV_FLUSH_PORT, 4, 0); /* no page is dropped: there is no such function here */
	assert_int_equal(in(TESTDEV_IRQ_PORT, 1), 0xff);
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(TESTDEV_RAM_BASE), 4, 0);
	assert_int_equal(platform_mmio_read(t.p, platform_lapic(t.p, 0), GPA(TESTDEV_RAM_BASE), 4),
			 0xffffffff);
	out(0x3ff, 1, 0x5a);
	assert_int_equal(in(0x3ff, 1), 0x5a); /* the rest is there */
	platform_destroy(t.p);
	t.p = with;
}

/* Each vCPU sees its own local APIC at the same address, and only where its base says. */
static void test_own_apic(void **state)
{
	assert_int_equal(platform_mmio_read(t.p, platform_lapic(t.p, 0), GPA(0xfee00020), 4), 0);
	assert_int_equal(platform_mmio_read(t.p, platform_lapic(t.p, 1), GPA(0xfee00020), 4),
			 1u << 24);
	platform_mmio_write(t.p, platform_lapic(t.p, 1), GPA(0xfee00080), 4, 0x50);
	assert_int_equal(lapic_get_cr8(platform_lapic(t.p, 1)), 5);
	assert_int_equal(lapic_get_cr8(platform_lapic(t.p, 0)), 0);
	assert_int_equal(lapic_set_base(platform_lapic(t.p, 1), 0xfee00000), 0); /* disabled */
	assert_int_equal(platform_mmio_read(t.p, platform_lapic(t.p, 1), GPA(0xfee00020), 4),
			 UINT32_MAX);
}

static void test_events(void **state)
{
	out(0xcf9, 1, 0x02);
	assert_int_equal(t.events.nr, 0);
	out(0xcf9, 1, 0x06);
	assert_int_equal(t.events.last, VM_EVENT_RESET);
	out(0x64, 1, 0xfe);
	out(0x92, 1, 0x01);
	assert_int_equal(t.events.nr, 3);
	out(0x604, 2, 1 << 13 | 5 << 10);
	assert_int_equal(t.events.last, VM_EVENT_POWER_OFF);
	out(0xf4, 4, 0x2a);
	assert_int_equal(t.events.last, VM_EVENT_DEBUG_EXIT);
	assert_int_equal(t.events.value, 0x2a);
	assert_int_equal(in(0xcf8, 1), 0xff); /* only its dword and 0xcf9 answer */
	out(0xcfa, 1, 0x06);
	assert_int_equal(t.events.nr, 5);
}

/* The UART's interrupt through the 8259s: virtual wire on the first CPU, nothing on the second. */
static void test_extint(void **state)
{
	out(0x21, 1, 0xef); /* IRQ 4 only */
	out(0x3fc, 1, 0x08);
	out(0x3f9, 1, 0x01);
	assert_false(platform_extint_pending(t.p, 0));
	t.notified[0] = 0;
	platform_console_input(t.p, 'x');
	assert_true(platform_extint_pending(t.p, 0));
	assert_false(platform_extint_pending(t.p, 1));
	assert_true(t.notified[0] > 0);
	assert_int_equal(platform_extint_ack(t.p, 0), 0x0c);
	assert_false(platform_extint_pending(t.p, 0));
	assert_int_equal(in(0x3f8, 1), 'x');
}

/* And through the IOAPIC, to the second CPU. */
static void test_ioapic(void **state)
{
	platform_mmio_write(t.p, platform_lapic(t.p, 1), GPA(0xfee000f0), 4, 0x1ff);
	ioapic_set(4, 1ull << 56 | 0x44);
	out(0x3fc, 1, 0x08);
	out(0x3f9, 1, 0x01);
	platform_console_input(t.p, 'x');
	assert_int_equal(lapic_pending(platform_lapic(t.p, 1)), 0x44);
	assert_true(t.notified[1] > 0);
}

/* FERR#: IRQ 13 until port 0xf0 is written, which has the error ignored where no interrupt can
 * come. */
static void test_fpu_error(void **state)
{
	struct lapic *l = platform_lapic(t.p, 0);

	platform_mmio_write(t.p, l, GPA(0xfee000f0), 4, 0x1ff);
	ioapic_set(13, 0x4d);
	out(0xf0, 1, 0);
	assert_false(platform_fpu_error(t.p, false)); /* there was nothing to ignore */
	assert_int_equal(lapic_pending(l), 0x4d);
	lapic_ack(l, 0x4d);
	platform_mmio_write(t.p, l, GPA(0xfee000b0), 4, 0);
	assert_false(platform_fpu_error(t.p, true)); /* still the same request: no edge */
	assert_int_equal(lapic_pending(l), -1);
	out(0xf0, 1, 0);
	assert_true(platform_fpu_error(t.p, false));
	assert_true(platform_fpu_error(t.p, false));
	assert_int_equal(lapic_pending(l), -1);
	assert_false(platform_fpu_error(t.p, true)); /* a new one */
	assert_int_equal(lapic_pending(l), 0x4d);
	assert_false(platform_fpu_error(t.p, false));
	assert_int_equal(in(0xf0, 1), 0xff);
}

/* IRQ 0 is wired to pin 2, and pin 0 is the 8259s' which nobody drives. */
static void test_timer_pin(void **state)
{
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfee000f0), 4, 0x1ff);
	ioapic_set(0, 0x40);
	ioapic_set(2, 0x42);
	out(0x43, 1, 0x34); /* channel 0, rate generator */
	out(0x40, 1, 0x00);
	out(0x40, 1, 0x10);
	clock_advance_ns(10 * NSEC_PER_MSEC);
	timer_queue_run(&t.queue, clock_ns());
	assert_int_equal(lapic_pending(platform_lapic(t.p, 0)), 0x42);
}

/* The power button's SCI is a level: it comes again after EOI for as long as it is up. */
static void test_sci_level(void **state)
{
	struct lapic *l = platform_lapic(t.p, 0);

	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfee000f0), 4, 0x1ff);
	ioapic_set(9, 0x8059); /* level */
	out(0x602, 2, 0x100);
	platform_power_button(t.p);
	assert_int_equal(lapic_pending(l), 0x59);
	lapic_ack(l, 0x59);
	assert_int_equal(lapic_pending(l), -1);
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfee000b0), 4, 0); /* EOI */
	assert_int_equal(lapic_pending(l), 0x59);
	lapic_ack(l, 0x59);
	out(0x600, 2, 0x100);
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfee000b0), 4, 0);
	assert_int_equal(lapic_pending(l), -1);
}

/*
 * A board whose VM has ended: callbacks that were under way on another CPU when the timers were
 * shut come to their end, and leave nothing behind that fires later.
 */
static void test_shut_timers(void **state)
{
	struct timer *timer, *armed[3];
	unsigned nr = 0;

	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfee000f0), 4, 0x1ff);
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfee00320), 4,
			    0x20040); /* periodic */
	platform_mmio_write(t.p, platform_lapic(t.p, 0), GPA(0xfee00380), 4, 1000000);
	out(0x43, 1, 0x34); /* channel 0, mode 2 */
	out(0x40, 1, 0);
	out(0x40, 1, 0x10);
	out(0x70, 1, 0x0b);
	out(0x71, 1, 0x42); /* the clock's periodic interrupt */
	list_for_each (timer, &t.queue.timers, link) {
		assert_in_range(nr, 0, ARRAY_SIZE(armed) - 1);
		armed[nr++] = timer;
	}
	assert_int_equal(nr, ARRAY_SIZE(armed));
	clock_set_ns(2 * NSEC_PER_SEC);
	platform_shut_timers(t.p);
	assert_true(list_empty(&t.queue.timers));
	for (unsigned i = 0; i < nr; i++)
		armed[i]->fire(armed[i]);
	assert_true(list_empty(&t.queue.timers));
}

/* A firmware of its own finds a board that nobody has touched. */
static void test_bare_board(void **state)
{
	static const struct fw_cfg_file file = {"opt/x", "abc", 3};
	struct platform *p;

	t.config.fw_cfg = &file;
	t.config.nr_fw_cfg = 1;
	p = platform_create(&t.config);
	assert_non_null(p);
	platform_pio_write(p, 0x510, 2, FW_CFG_FILE_FIRST + 1);
	assert_int_equal(platform_pio_read(p, 0x511, 1), 'a');
	platform_destroy(p);
}

static unsigned fail_at;

static bool fail_nth(void)
{
	return --fail_at == 0;
}

static void test_out_of_memory(void **state)
{
	static const struct fw_cfg_file twice[] = {{"a", "", 0}, {"a", "", 0}};
	struct frames_stats before, after;

	frames_stats(&before);
	for (unsigned i = 1; i <= 3; i++) {
		fail_at = i;
		mm_inject_failure = fail_nth;
		assert_null(platform_create(&t.config));
		mm_inject_failure = NULL;
	}
	t.config.fw_cfg = twice;
	t.config.nr_fw_cfg = 2;
	assert_null(platform_create(&t.config));
	frames_stats(&after);
	assert_int_equal(after.free, before.free);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_unclaimed),     T(test_who_answers), T(test_no_test_device),
		T(test_own_apic),      T(test_events),      T(test_extint),
		T(test_ioapic),        T(test_fpu_error),   T(test_timer_pin),
		T(test_sci_level),     T(test_shut_timers), T(test_bare_board),
		T(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
