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
#include "drivers/serial.h"
#include "lib/log.h"
#include "vmm/vm.h"

/* Two ports: the machine's console, and one for a guest alone. */
static char com1, com2;
static struct serial *const machine[] = {(struct serial *)&com1};
static void (*rx[2])(struct serial *port, uint8_t byte);

uint16_t serial_port_of(const char *name)
{
	return !strcmp(name, "com2") ? 0x2f8 : 0x3f8;
}

struct serial *serial_open(uint16_t port, unsigned baud)
{
	return (struct serial *)(port == 0x2f8 ? &com2 : &com1);
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

static int setup(void **state)
{
	static struct vm_config shared, own = {.console = "com2"};
	static struct cpu cpu = {.self = &cpu};

	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu);
	memset(vms, 0, sizeof(vms));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_port_has_its_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(the_port_of_an_ended_vm_is_deaf, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_vm_takes_the_line_from_nobody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_port_is_one_vms, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
