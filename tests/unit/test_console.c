/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who hears what is typed: the attached VM, the VM that owns a port, the monitor, or nobody. And
 * what the VMs say, on lines that are slower than they are.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/percpu.h"
#include "arch/x86/stop.h"
#include "drivers/keyboard.h"
#include "drivers/screen.h"
#include "drivers/serial.h"
#include "drivers/serial_find.h"
#include "drivers/txring.h"
#include "lib/log.h"
#include "tests/unit/support/clock.h"
#include "vmm/cpu.h"
#include "vmm/output.h"
#include "vmm/vm.h"

/* Two ports: the machine's console, and one for a guest alone. */
struct serial {
	struct tx_ring tx;
	struct log_sink sink;
	size_t budget; /* what the line takes before it is busy */
	size_t nr_sent;
	char sent[65536];
};
static struct serial com1, com2;
static struct serial *const machine[] = {&com1};
static bool (*rx[2])(struct serial *port, uint8_t byte);
static unsigned resumed[2];

static size_t take(struct tx_ring *r, const char *data, size_t len)
{
	struct serial *u = container_of(r, struct serial, tx);
	size_t n = min(len, (size_t)16);

	n = min(n, u->budget);
	u->budget -= n;
	assert_true(u->nr_sent + n < sizeof(u->sent));
	memcpy(u->sent + u->nr_sent, data, n);
	u->nr_sent += n;
	u->sent[u->nr_sent] = '\0';
	return n;
}

static void want_irq(struct tx_ring *r, bool on) {}

static unsigned kicks; /* of the boot CPU */

static const struct tx_ops tx_ops = {take, want_irq};

static void write_log(struct log_sink *sink, const char *text, size_t len)
{
	tx_put(&container_of(sink, struct serial, sink)->tx, text, len, TX_RING_LEN);
}

static size_t pending_log(struct log_sink *sink)
{
	return tx_pending(&container_of(sink, struct serial, sink)->tx);
}

struct tx_ring *serial_tx(struct serial *u)
{
	return &u->tx;
}

/* As if neither had an interrupt. */
bool serial_drain_all(bool *polled)
{
	bool more = tx_look(&com1.tx);

	more |= tx_look(&com2.tx);
	*polled = more;
	return more;
}

bool stop_in_progress(void)
{
	return false;
}

static bool screen_dirty;
static unsigned drawings;

bool screen_is_dirty(void)
{
	return screen_dirty;
}

bool screen_draw_some(void)
{
	drawings++;
	clock_advance_ns(500000); /* a slow one */
	return screen_dirty;
}

static struct vmm_cpu boot_cpu;

struct vmm_cpu *vmm_cpu_by_id(unsigned id)
{
	assert_int_equal(id, 0);
	return &boot_cpu;
}

void vmm_cpu_reschedule(struct vmm_cpu *c)
{
	assert_ptr_equal(c, &boot_cpu);
	kicks++;
}

struct serial *serial_open(const struct serial_uart *uart, const char **why)
{
	return uart->base == 0x2f8 ? &com2 : &com1;
}

const char *serial_find(const struct serial_word *word, struct serial_uart *uart)
{
	uart->base = word->base;
	return NULL;
}

static bool is_polled;
static unsigned polls;

bool serial_is_polled(void)
{
	return is_polled;
}

bool keyboard_is_polled(void)
{
	return false;
}

void serial_poll(void)
{
	polls++;
}

void keyboard_poll(void) {}

static void (*key)(uint8_t byte);

void keyboard_set_rx(void (*fn)(uint8_t byte))
{
	key = fn;
}

void serial_set_rx(struct serial *port, bool (*fn)(struct serial *port, uint8_t byte))
{
	rx[port == &com2] = fn;
}

void serial_resume_rx(struct serial *port)
{
	resumed[port == &com2]++;
}

static struct vm vms[2];
static unsigned nr_vms;

struct vm *vm_next(struct vm *vm)
{
	unsigned i = vm ? (unsigned)(vm - vms) + 1 : 0;

	return i < nr_vms ? &vms[i] : NULL;
}

static char heard[8192]; /* "0" and "1": a VM, "m": the monitor; then the byte */

static void hear(char who, uint8_t byte)
{
	size_t len = strlen(heard);

	assert_true(len + 2 < sizeof(heard));
	heard[len] = who;
	heard[len + 1] = (char)byte;
	heard[len + 2] = '\0';
}

static unsigned room[2]; /* in the VMs' UARTs */

unsigned platform_console_room(struct platform *p)
{
	return room[p == vms[1].platform];
}

void platform_console_input(struct platform *p, uint8_t byte)
{
	unsigned i = p == vms[1].platform;

	assert_true(room[i] > 0);
	room[i]--;
	hear(i ? '1' : '0', byte);
}

/* The UART of a VM: what it keeps, as the model does. */
static struct {
	char kept[4096];
	size_t nr, next;
	unsigned calls;
} uart[2];

void platform_console_transmit(struct platform *p)
{
	unsigned i = p == vms[1].platform;
	struct char_sink *s = &vms[i].console.sink;

	uart[i].calls++;
	while (uart[i].next < uart[i].nr && s->put(s, (uint8_t)uart[i].kept[uart[i].next]))
		uart[i].next++;
}

static bool say_byte(unsigned i, char c)
{
	struct char_sink *s = &vms[i].console.sink;

	if (uart[i].next == uart[i].nr && s->put(s, (uint8_t)c))
		return true;
	uart[i].kept[uart[i].nr++] = c;
	return false;
}

/* A guest says this. How much of it went out at once: its UART keeps the rest. */
static size_t say(unsigned i, const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += say_byte(i, *text);
	return n;
}

/* What time brings: the boot CPU's timer. */
static void pass_ms(unsigned ms)
{
	while (ms--) {
		clock_advance_ns(1000000);
		timer_queue_run(&boot_cpu.timers, clock_ns());
		console_poll();
	}
}

static bool monitor_is_busy;

static bool monitor_input(uint8_t byte)
{
	if (!monitor_is_busy)
		hear('m', byte);
	return !monitor_is_busy;
}

static void monitor_enter(void)
{
	console_attach(NULL);
}

static const struct console_monitor fake_monitor = {monitor_enter, monitor_input};

static void type(struct serial *port, uint8_t byte)
{
	heard[0] = '\0';
	rx[port == &com2](port, byte);
	console_poll();
}

static void earlier(struct timer_queue *q) {}

static int setup(void **state)
{
	static struct vm_config shared, own = {.console = "com2"};
	static struct cpu cpu = {.self = &cpu};

	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	memset(vms, 0, sizeof(vms));
	memset(uart, 0, sizeof(uart));
	com1.budget = com2.budget = SIZE_MAX;
	kicks = drawings = 0;
	room[0] = room[1] = 1 << 20;
	monitor_is_busy = false;
	console_poll(); /* what was typed in the test before */
	screen_dirty = false;
	pass_ms(100); /* what is left of the test before */
	com1.nr_sent = com2.nr_sent = 0;
	for (unsigned i = 0; i < 2; i++)
		vms[i].platform = (struct platform *)&vms[i];
	console_start(machine, 1, &fake_monitor);
	console_attach(&vms[1].console); /* which nobody remembers: no monitor, nothing attached */
	console_destroy(&vms[1].console);
	nr_vms = 0;
	assert_int_equal(console_init(&vms[0].console, &vms[0], &shared), 0);
	nr_vms = 1;
	assert_int_equal(console_init(&vms[1].console, &vms[1], &own), 0);
	nr_vms = 2;
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < 2; i++)
		console_destroy(&vms[i].console);
	return 0;
}

static void each_port_has_its_listener(void **state)
{
	type(&com1, 'a');
	assert_string_equal(heard, "0a");
	type(&com2, 'b');
	assert_string_equal(heard, "1b");
	type(&com2, CONSOLE_ESCAPE); /* a byte like any other there */
	assert_string_equal(heard, "1\x1d");
	type(&com1, CONSOLE_ESCAPE);
	type(&com1, 'c');
	assert_string_equal(heard, "mc");
	type(&com2, 'd');
	assert_string_equal(heard, "1d");
}

/* Whoever sits at a guest's own port does not get the monitor, nor another guest. */
static void the_port_of_an_ended_vm_is_deaf(void **state)
{
	nr_vms = 1;
	type(&com2, 'a');
	assert_string_equal(heard, "");
	console_attach(NULL);
	type(&com2, 'b');
	assert_string_equal(heard, "");
	type(&com1, 'c');
	assert_string_equal(heard, "mc");
}

/* A VM that starts again has the line as before; one that is reset by the monitor does not take it.
 */
static void a_new_vm_takes_the_line_from_nobody(void **state)
{
	static struct vm_config shared;

	console_destroy(&vms[0].console);
	assert_int_equal(console_init(&vms[0].console, &vms[0], &shared), 0);
	type(&com1, 'a');
	assert_string_equal(heard, "0a");
	type(&com1, CONSOLE_ESCAPE);
	console_destroy(&vms[0].console);
	assert_int_equal(console_init(&vms[0].console, &vms[0], &shared), 0);
	type(&com1, 'b');
	assert_string_equal(heard, "mb");
	console_attach(&vms[0].console);
	type(&com1, 'c');
	assert_string_equal(heard, "0c");
}

static void a_port_is_one_vms(void **state)
{
	static struct vm_config taken = {.name = "third", .console = "com2"},
				machines = {.name = "fourth", .console = "com1"};
	struct console c = {0};

	assert_int_equal(console_init(&c, NULL, &taken), -EBUSY);
	assert_int_equal(console_init(&c, NULL, &machines), -EBUSY);
}

/* As many as the port hands over. How many. */
static unsigned type_all(struct serial *port, unsigned most)
{
	unsigned n = 0;
	bool goes_on = true;

	heard[0] = '\0';
	for (; n < most && goes_on; n++)
		goes_on = rx[port == &com2](port, (uint8_t)('a' + n % 26));
	return n;
}

/* What a guest does not read stays in the port; nothing is lost, and another guest does not wait.
 */
static void what_finds_no_room_stays_in_the_port(void **state)
{
	unsigned before;

	room[1] = 300;
	assert_int_equal(type_all(&com2, 100), 100);
	console_poll();
	assert_int_equal(strlen(heard),
			 2 * 44); /* the rest is for what stands in front of an escape */
	before = resumed[1];
	assert_int_equal(type_all(&com2, 1000), 200);
	console_poll();
	assert_string_equal(heard, "");
	assert_int_equal(resumed[1], before); /* it stays as it is */
	type(&com1, 'x');
	assert_string_equal(heard, "0x");
	assert_false(console_input_goes_on());
	room[1] = 1024;
	vms[1].console.sink.go_on(&vms[1].console.sink);
	assert_true(console_input_goes_on());
	assert_true(kicks > 0);
	heard[0] = '\0';
	console_poll();
	assert_int_equal(strlen(heard), 2 * 256);
	assert_string_equal(heard + 2 * 254, "1q1r"); /* the last two: 'a' + 198 % 26 */
	assert_true(resumed[1] > before);
	assert_false(console_input_goes_on());
}

/* The way into the monitor is open as long as the bytes in front of it have a place. */
static void the_escape_passes_a_guest_that_does_not_read(void **state)
{
	room[0] = 256;
	type_all(&com1, 100);
	console_poll();
	assert_string_equal(heard, "");
	type(&com1, CONSOLE_ESCAPE);
	assert_int_equal(strlen(heard), 2 * 100); /* in front of it, and in order */
	assert_int_equal(room[0], 156);
	type(&com1, 'm');
	assert_string_equal(heard, "mm");
	console_attach(&vms[0].console);
	type_all(&com1, 200);
	type(&com1, CONSOLE_ESCAPE);
	assert_string_equal(heard, ""); /* behind more than there is a place for */
	room[0] = 1024;
	console_poll();
	assert_int_equal(strlen(heard), 2 * 200);
	room[1] = 256;
	type_all(&com2, 10);
	type(&com2, CONSOLE_ESCAPE); /* a byte like any other there */
	assert_string_equal(heard, "");
}

/* A command that takes long keeps what is typed behind it in the port as well. */
static void a_busy_monitor_loses_nothing(void **state)
{
	console_attach(NULL);
	monitor_is_busy = true;
	assert_int_equal(type_all(&com1, 1000), 256);
	console_poll();
	assert_string_equal(heard, "");
	monitor_is_busy = false;
	console_poll();
	assert_int_equal(strlen(heard), 2 * 256);
}

/* The keyboard is the machine's, as its serial ports are. */
static void keys_go_where_the_machines_console_goes(void **state)
{
	heard[0] = '\0';
	key('a');
	console_poll();
	assert_string_equal(heard, "0a");
	key(CONSOLE_ESCAPE);
	key('b');
	console_poll();
	assert_string_equal(heard, "0amb");
}

/* Every 10 ms from the moment on that it is needed; before, no timer at all. */
static void what_has_no_interrupt_is_polled(void **state)
{
	struct timer_queue *q = &boot_cpu.timers;

	console_poll();
	assert_int_equal(timer_queue_next(q), TIMER_NEVER);
	is_polled = true;
	clock_set_ns(1000);
	console_poll();
	assert_int_equal(timer_queue_next(q), 10001000);
	clock_set_ns(10002000);
	timer_queue_run(q, 10002000);
	assert_int_equal(polls, 1);
	timer_queue_run(q, 20001999);
	console_poll();
	assert_int_equal(polls, 1);
	timer_queue_run(q, timer_queue_next(q));
	assert_int_equal(polls, 2);
}

/* --- output --- */

#define LINE_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" /* 64 */

static size_t flood(unsigned i, unsigned lines)
{
	size_t n = 0;

	while (lines--)
		n += say(i, LINE_A);
	return n;
}

static size_t count(const struct serial *u, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < u->nr_sent; i++)
		n += u->sent[i] == c;
	return n;
}

/* The guest goes as far as the ring, waits, and goes on as fast as the line takes it. */
static void a_guest_is_as_fast_as_its_line(void **state)
{
	com1.budget = 0;
	assert_in_range(flood(0, 32), LOG_GUEST_PENDING - 8, LOG_GUEST_PENDING);
	assert_true(console_is_waiting());
	assert_int_equal(com1.nr_sent, 0);
	com1.budget = LOG_GUEST_PENDING / 2 - 32;
	console_poll();
	pass_ms(40);
	assert_int_equal(uart[0].calls, 0); /* not for a few bytes */
	com1.budget = SIZE_MAX;
	pass_ms(300);
	assert_true(uart[0].calls > 0);
	assert_int_equal(uart[0].next, uart[0].nr);
	assert_int_equal(count(&com1, 'a'), 32 * 63);
	assert_int_equal(com1.nr_sent, 32 * 64);
	assert_false(console_is_waiting());
}

/* One VM's line has nothing to do with another's, nor with the log. */
static void a_full_line_is_its_own_vms(void **state)
{
	com2.budget = 0;
	flood(1, 32);
	assert_int_equal(say(0, "hello\n"), 6);
	log_info("one line");
	pass_ms(10);
	assert_string_equal(com1.sent, "hello\none line\n");
	assert_int_equal(uart[0].calls, 0);
	com2.budget = SIZE_MAX;
	pass_ms(300);
	assert_int_equal(com2.nr_sent, 32 * 64);
}

/* The log is not kept out by a guest that floods; and nothing of either is lost. */
static void the_log_has_room_of_its_own(void **state)
{
	com1.budget = 0;
	flood(0, 32);
	for (unsigned i = 0; i < 20; i++)
		log_info("line %u", i);
	console_poll();
	com1.budget = SIZE_MAX;
	pass_ms(400);
	assert_int_equal(count(&com1, 'a'), 32 * 63);
	for (unsigned i = 0; i < 20; i++) {
		char want[16];

		snprintf(want, sizeof(want), "\nline %u\n", i);
		assert_non_null(strstr(com1.sent, want));
	}
}

/* Who is not attached never waits; what it said is there when it is attached. */
static void others_are_not_paced(void **state)
{
	console_attach(NULL);
	com1.budget = 0;
	assert_int_equal(flood(0, 200), 200 * 64);
	assert_false(console_is_waiting());
	com1.budget = SIZE_MAX;
	pass_ms(10);
	assert_int_equal(com1.nr_sent, 0);
	console_attach(&vms[0].console);
	console_poll();
	pass_ms(400);
	assert_int_equal(com1.nr_sent, CONSOLE_HISTORY);
	assert_int_equal(say(0, "b"), 1);
	assert_int_equal(com1.sent[com1.nr_sent - 1], 'b');
}

/* A guest that waits for the machine's console goes on when that is taken from it. */
static void who_is_detached_goes_on(void **state)
{
	com1.budget = 0;
	flood(0, 32);
	assert_true(uart[0].next < uart[0].nr);
	console_attach(NULL);
	pass_ms(20);
	assert_int_equal(uart[0].next, uart[0].nr);
}

/* What a VM's UART keeps when it ends comes out, and the line of its end stands behind it. */
static void last_words_come_out(void **state)
{
	com1.budget = 0;
	flood(0, 16);
	say(0, "zzzzzzzz");
	assert_true(uart[0].next + 8 <= uart[0].nr);
	console_finish(&vms[0].console);
	assert_int_equal(uart[0].next, uart[0].nr);
	log_info("vm: ended");
	console_destroy(&vms[0].console);
	nr_vms = 0;
	com1.budget = SIZE_MAX;
	console_poll();
	pass_ms(200);
	assert_int_equal(count(&com1, 'z'), 8);
	assert_int_equal(count(&com1, 'a'), 16 * 63);
	assert_string_equal(com1.sent + com1.nr_sent - 10, "vm: ended\n");
}

/* The boot CPU is asked once for what waits, whoever asks, and looks until none waits. */
static void the_boot_cpu_is_woken_once(void **state)
{
	com1.budget = 0;
	log_info("one");
	log_info("two");
	assert_int_equal(kicks, 1);
	console_poll();
	pass_ms(5);
	com1.budget = SIZE_MAX;
	pass_ms(5);
	assert_string_equal(com1.sent, "one\ntwo\n");
	assert_true(boot_cpu.timers.timers.next == &boot_cpu.timers.timers);
	com1.budget = 0;
	log_info("three");
	assert_int_equal(kicks, 2);
}

/* A screen that is slow has a tenth of the boot CPU. */
static void the_screen_has_its_share(void **state)
{
	uint64_t begin = clock_ns();

	screen_dirty = true;
	console_poll();
	while (clock_ns() < begin + 100000000)
		pass_ms(1);
	assert_in_range(drawings, 15, 21); /* of half a millisecond each */
	screen_dirty = false;
	pass_ms(20);
	assert_true(boot_cpu.timers.timers.next == &boot_cpu.timers.timers);
}

static int start(void **state)
{
	com1.sink = (struct log_sink){.write = write_log, .pending = pending_log};
	tx_init(&com1.tx, &tx_ops);
	tx_init(&com2.tx, &tx_ops);
	timer_queue_init(&boot_cpu.timers, earlier);
	clock_set_ns(1000000);
	log_add_sink(&com1.sink);
	output_start();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_port_has_its_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(the_port_of_an_ended_vm_is_deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_vm_takes_the_line_from_nobody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_port_is_one_vms, setup, teardown),
		cmocka_unit_test_setup_teardown(what_finds_no_room_stays_in_the_port, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_escape_passes_a_guest_that_does_not_read, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_busy_monitor_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_is_as_fast_as_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_line_is_its_own_vms, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_has_room_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(others_are_not_paced, setup, teardown),
		cmocka_unit_test_setup_teardown(who_is_detached_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(last_words_come_out, setup, teardown),
		cmocka_unit_test_setup_teardown(the_boot_cpu_is_woken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(the_screen_has_its_share, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_go_where_the_machines_console_goes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_has_no_interrupt_is_polled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
