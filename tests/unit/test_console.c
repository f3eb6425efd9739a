/* SPDX-License-Identifier: BSD-2-Clause */
/* Who hears what is typed: the attached VM, the VM that owns a port, the monitor, or nobody. */
#include <asm/prctl.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/percpu.h"
#include "drivers/keyboard.h"
#include "drivers/serial.h"
#include "drivers/serial_find.h"
#include "lib/log.h"
#include "tests/unit/support/clock.h"
#include "vmm/cpu.h"
#include "vmm/vm.h"

/* Two ports: the machine's console, and one for a guest alone. */
static char com1, com2;
static struct serial *const machine[] = {(struct serial *)&com1};
static void (*rx[2])(struct serial *port, uint8_t byte);

struct serial *serial_open(const struct serial_uart *uart, const char **why)
{
	return (struct serial *)(uart->base == 0x2f8 ? &com2 : &com1);
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

static struct vmm_cpu boot_cpu;

struct vmm_cpu *vmm_cpu_by_id(unsigned id)
{
	assert_int_equal(id, 0);
	return &boot_cpu;
}

void serial_set_rx(struct serial *port, void (*fn)(struct serial *port, uint8_t byte))
{
	rx[port == (struct serial *)&com2] = fn;
}

void serial_write(struct serial *port, const char *text, size_t len) {}

static struct vm vms[2];
static unsigned nr_vms;

struct vm *vm_next(struct vm *vm)
{
	unsigned i = vm ? (unsigned)(vm - vms) + 1 : 0;

	return i < nr_vms ? &vms[i] : NULL;
}

static char heard[16]; /* "0" and "1": a VM, "m": the monitor; then the byte */

static void hear(char who, uint8_t byte)
{
	char text[] = {who, (char)byte, '\0'};

	strcat(heard, text);
}

void platform_console_input(struct platform *p, uint8_t byte)
{
	hear(p == vms[0].platform ? '0' : '1', byte);
}

static void monitor_input(uint8_t byte)
{
	hear('m', byte);
}

static void monitor_enter(void)
{
	console_attach(NULL);
}

static const struct console_monitor fake_monitor = {monitor_enter, monitor_input};

static void type(void *port, uint8_t byte)
{
	heard[0] = '\0';
	rx[port == &com2]((struct serial *)port, byte);
	console_poll();
}

static void earlier(struct timer_queue *q) {}

static int setup(void **state)
{
	static struct vm_config shared, own = {.console = "com2"};
	static struct cpu cpu = {.self = &cpu};

	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	memset(vms, 0, sizeof(vms));
	for (unsigned i = 0; i < 2; i++)
		vms[i].platform = (struct platform *)&vms[i];
	timer_queue_init(&boot_cpu.timers, earlier);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_port_has_its_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(the_port_of_an_ended_vm_is_deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_vm_takes_the_line_from_nobody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_port_is_one_vms, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_go_where_the_machines_console_goes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_has_no_interrupt_is_polled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
