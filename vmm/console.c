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
#include "drivers/serial.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "vmm/vm.h"

#define INPUT_LEN 256

static struct spinlock lock = SPINLOCK_INIT;
static struct console *attached; /* lock; NULL: the monitor, or nobody yet ... */
static bool in_monitor;          /* lock; ... and it was asked for: no new VM takes its place */

/*
 * Bytes that came in and wait for console_poll(). Only the receive interrupt on the boot CPU writes
 * them.
 */
static struct {
	struct serial *port;
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

/* Ports that are the machine's console: const after console_start(). */
static struct serial *const *machine_ports;
static unsigned nr_machine_ports;
static const struct console_monitor *monitor;

static bool is_machine_port(const struct serial *port)
{
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
	uint16_t port = serial_port_of(name);

	if (!port) {
		log_error("vm %s: console=%s: not com1 to com4, nor a port", vm, name);
		return -EINVAL;
	}
	c->port = serial_open(port, SERIAL_BAUD);
	if (!c->port) {
		log_error("vm %s: console=%s: this machine has no such port", vm, name);
		return -ENODEV;
	}
	if (vm_of_port(c->port) || is_machine_port(c->port)) {
		log_error("vm %s: console=%s: in use", vm, name);
		c->port = NULL;
		return -EBUSY;
	}
	serial_set_rx(c->port, receive);
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
	for (unsigned i = 0; i < nr; i++)
		serial_set_rx(ports[i], receive);
}
