/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial ports and the VMs that use them. One lock protects all of them: the output
 * of the attached guest, the monitor's words, and which console is attached. The log has its own
 * way to the same ports (lib/log.h) and may cut into a guest's line, never into a byte.
 */
#include "vmm/console.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/percpu.h"
#include "drivers/keyboard.h"
#include "drivers/serial.h"
#include "drivers/serial_find.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "vmm/cpu.h"
#include "vmm/dev/timer.h"
#include "vmm/vm.h"

#define INPUT_LEN 256
#define POLL_NS   (10 * NSEC_PER_MSEC) /* of input without an interrupt */

static struct spinlock lock = SPINLOCK_INIT;
static struct console *attached; /* lock; NULL: the monitor, or nobody yet ... */
static bool in_monitor;          /* lock; ... and it was asked for: no new VM takes its place */

/*
 * Bytes that came in and wait for console_poll(). Only interrupts and the timer of the boot CPU
 * write them.
 */
static struct {
	struct serial *port; /* NULL: the keyboard */
	uint8_t byte;
} input[INPUT_LEN];
static unsigned input_head, input_tail;

static void put(const char *text, size_t len)
{
	log_write_raw(text, len);
}

static void put_shared(struct char_sink *s, uint8_t byte)
{
	struct console *c = container_of(s, struct console, sink);

	spin_lock(&lock);
	c->history[c->head++ % CONSOLE_HISTORY] = byte;
	if (c == attached)
		put((const char *)&byte, 1);
	spin_unlock(&lock);
}

static void put_to_port(struct char_sink *s, uint8_t byte)
{
	struct console *c = container_of(s, struct console, sink);

	serial_write(c->port, (const char *)&byte, 1);
}

/* Receive interrupt. A full buffer drops what is typed, as the hardware would. */
static void receive(struct serial *port, uint8_t byte)
{
	if (input_head - input_tail == INPUT_LEN)
		return;
	input[input_head % INPUT_LEN].port = port;
	input[input_head % INPUT_LEN].byte = byte;
	input_head++;
}

static void receive_key(uint8_t byte)
{
	receive(NULL, byte);
}

static struct timer poll_timer; /* boot CPU; is armed while anything is polled */
static bool is_polling;         /* boot CPU */

static void poll_input(struct timer *t)
{
	serial_poll();
	keyboard_poll();
	timer_arm(t, clock_ns() + POLL_NS);
}

/* Once there is a reason to poll, it stays. Boot CPU. */
static void poll_if_needed(void)
{
	if (is_polling || !(serial_is_polled() || keyboard_is_polled()))
		return;
	is_polling = true;
	timer_arm(&poll_timer, clock_ns() + POLL_NS);
}

/* Ports that are the machine's console: const after console_start(). */
static struct serial *const *machine_ports;
static unsigned nr_machine_ports;
static const struct console_monitor *monitor;

static bool is_machine_port(const struct serial *port)
{
	if (!port)
		return true; /* the keyboard belongs to the machine's screen */
	for (unsigned i = 0; i < nr_machine_ports; i++) {
		if (machine_ports[i] == port)
			return true;
	}
	return false;
}

static struct vm *vm_of_port(const struct serial *port)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (vm->console.port == port)
			return vm;
	}
	return NULL;
}

static int open_port(struct console *c, const char *name, const char *vm)
{
	struct serial_word word;
	struct serial_uart uart;
	const char *why = serial_word_parse(name, &word);

	if (why) {
		log_error("vm %s: console=%s: %s", vm, name, why);
		return -EINVAL;
	}
	why = serial_find(&word, &uart);
	c->port = why ? NULL : serial_open(&uart, &why);
	if (!c->port) {
		log_error("vm %s: console=%s: %s", vm, name, why);
		return -ENODEV;
	}
	if (vm_of_port(c->port) || is_machine_port(c->port)) {
		log_error("vm %s: console=%s: in use", vm, name);
		c->port = NULL;
		return -EBUSY;
	}
	serial_set_rx(c->port, receive);
	poll_if_needed();
	c->sink.put = put_to_port;
	return 0;
}

int console_init(struct console *c, struct vm *vm, const struct vm_config *config)
{
	c->vm = vm;
	c->sink.put = put_shared;
	if (config->console[0])
		return open_port(c, config->console, config->name);
	if (!attached && !in_monitor)
		attached = c;
	return 0;
}

void console_destroy(struct console *c)
{
	spin_lock(&lock);
	if (attached == c)
		attached = NULL;
	spin_unlock(&lock);
}

/* Show the output that the console has kept; the lock is held. */
static void replay(struct console *c)
{
	uint32_t len = min(c->head, (uint32_t)CONSOLE_HISTORY);

	for (uint32_t i = c->head - len; i != c->head; i++)
		put((const char *)&c->history[i % CONSOLE_HISTORY], 1);
}

void console_attach(struct console *c)
{
	spin_lock(&lock);
	attached = c;
	in_monitor = !c;
	if (c)
		replay(c);
	spin_unlock(&lock);
}

void console_print(const char *fmt, ...)
{
	char text[256];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	spin_lock(&lock);
	put(text, min((size_t)len, sizeof(text) - 1));
	spin_unlock(&lock);
}

/*
 * The VM that gets the input of a port: the VM that has the port, or on the machine's console the
 * attached one.
 */
static struct vm *vm_of_input(const struct serial *port)
{
	if (!is_machine_port(port))
		return vm_of_port(port);
	return attached ? attached->vm : NULL;
}

static void dispatch(const struct serial *port, uint8_t byte)
{
	struct vm *vm = vm_of_input(port);

	if (!vm && !is_machine_port(port))
		return; /* the VM that had this port for itself has ended: nobody else listens there
			 */
	if (!vm)
		monitor->input(byte);
	else if (byte == CONSOLE_ESCAPE && !vm->console.port)
		monitor->enter();
	else
		platform_console_input(vm->platform, byte);
}

void console_poll(void)
{
	if (cpu_id() == 0)
		poll_if_needed();
	while (cpu_id() == 0 && input_tail != input_head) {
		unsigned i = input_tail++ % INPUT_LEN;

		dispatch(input[i].port, input[i].byte);
	}
}

void console_start(struct serial *const *ports, unsigned nr, const struct console_monitor *m)
{
	monitor = m;
	machine_ports = ports;
	nr_machine_ports = nr;
	timer_init(&poll_timer, &vmm_cpu_by_id(0)->timers, poll_input);
	for (unsigned i = 0; i < nr; i++)
		serial_set_rx(ports[i], receive);
	keyboard_set_rx(receive_key);
	poll_if_needed();
}
