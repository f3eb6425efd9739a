/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial ports and the VMs that use them. One lock protects all of them: the output
 * of the attached guest, the monitor's words, and which console is attached. The log has its own
 * way to the same ports (lib/log.h) and may cut into a guest's line, never into a byte. All locks
 * are held for as long as it takes to copy a few bytes, and to give a transmitter that is ready a
 * FIFO full of them.
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
#include "drivers/txring.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/spinlock.h"
#include "vmm/cpu.h"
#include "vmm/dev/timer.h"
#include "vmm/output.h"
#include "vmm/vm.h"

#define INPUT_LEN 256 /* of each source; a UART has room for as much when its sender waits */
#define POLL_NS   (10 * NSEC_PER_MSEC) /* of input without an interrupt */
/* Bytes that may wait in front of a command of the monitor's; what it says comes behind them. */
#define MONITOR_PENDING 4096

static struct spinlock lock = SPINLOCK_INIT;
static struct console *attached; /* lock; NULL: the monitor, or nobody yet ... */
static bool in_monitor;          /* lock; ... and it was asked for: no new VM takes its place */

/*
 * What is typed for a VM that is being made anew waits for it. At most one is, and no other one is
 * taken apart meanwhile (vmm/control/work.c). All of the boot CPU.
 */
static struct {
	bool shared;         /* it was attached to the machine's console, ... */
	struct serial *port; /* ... or had this port; NULL: it had none, or there is no such VM */
} awaited;

/*
 * Where something is typed, and what came in there and waits for console_poll(), or for room at
 * whom it is for. All of the boot CPU: its interrupts and its timer put bytes in.
 */
struct source {
	struct serial *port; /* NULL: the keyboard */
	uint32_t head, tail; /* bytes ever put in, ever taken out */
	uint8_t byte[INPUT_LEN];
};
static struct source sources[1 + SERIAL_MAX_PORTS]; /* the first is the keyboard */
static unsigned nr_sources = 1;

static _Atomic bool has_room_again; /* some guest that may have had none for what is typed */

static _Atomic bool any_waits; /* `waits` of some console */

static size_t limit(const struct console *c)
{
	return atomic_load_explicit(&c->is_ending, memory_order_relaxed) ? LOG_SINK_ROOM
									 : LOG_GUEST_PENDING;
}

static bool put_shared(struct console *c, uint8_t byte)
{
	bool fits;

	spin_lock(&lock);
	fits = c != attached || log_write_guest((const char *)&byte, 1, limit(c));
	if (fits)
		c->history[c->head++ % CONSOLE_HISTORY] = byte;
	spin_unlock(&lock);
	return fits;
}

static bool try_put(struct console *c, uint8_t byte)
{
	if (c->port)
		return tx_put(serial_tx(c->port), (const char *)&byte, 1, limit(c));
	return put_shared(c, byte);
}

/* The steps of console.h. */
static bool put_byte(struct char_sink *s, uint8_t byte)
{
	struct console *c = container_of(s, struct console, sink);

	if (likely(try_put(c, byte)))
		return true;
	atomic_store(&c->waits, true);
	atomic_store(&any_waits, true);
	return try_put(c, byte);
}

/* --- input --- */

static unsigned nr_typed(const struct source *s)
{
	return s->head - s->tail;
}

/* False: there is no room for the next byte. */
static bool put_typed(struct source *s, uint8_t byte)
{
	s->byte[s->head++ % INPUT_LEN] = byte;
	return nr_typed(s) < INPUT_LEN;
}

/* Receive interrupt: the port keeps what finds no room. */
static bool receive(struct serial *port, uint8_t byte)
{
	struct source *s = sources;

	while (s->port != port)
		s++;
	return put_typed(s, byte);
}

/* Nobody types that much in vain: a key that finds no room is lost. */
static void receive_key(uint8_t byte)
{
	if (nr_typed(&sources[0]) < INPUT_LEN)
		put_typed(&sources[0], byte);
}

static void listen_to(struct serial *port)
{
	unsigned i = 1;

	while (i < nr_sources && sources[i].port != port)
		i++;
	if (i == nr_sources)
		sources[nr_sources++].port = port;
	serial_set_rx(port, receive);
}

static void go_on(struct char_sink *s)
{
	(void)s;
	atomic_store(&has_room_again, true);
	vmm_cpu_reschedule(vmm_cpu_by_id(0));
}

bool console_input_goes_on(void)
{
	return atomic_load_explicit(&has_room_again, memory_order_relaxed);
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
	listen_to(c->port);
	poll_if_needed();
	return 0;
}

int console_init(struct console *c, struct vm *vm, const struct vm_config *config)
{
	c->vm = vm;
	c->sink = (struct char_sink){.put = put_byte, .go_on = go_on};
	if (config->console[0])
		return open_port(c, config->console, config->name);
	console_give_up();
	if (!attached && !in_monitor)
		attached = c;
	return 0;
}

static void await_restart(const struct console *c)
{
	bool restarts = c->vm && atomic_load(&c->vm->restart);

	awaited.shared = restarts && attached == c;
	awaited.port = restarts ? c->port : NULL;
}

void console_destroy(struct console *c)
{
	spin_lock(&lock);
	await_restart(c);
	if (attached == c)
		attached = NULL;
	spin_unlock(&lock);
}

void console_give_up(void)
{
	awaited.shared = false;
	awaited.port = NULL;
}

/* Show the output that the console has kept; the lock is held. The monitor has seen to the room. */
static void replay(struct console *c)
{
	uint32_t len = min(c->head, (uint32_t)CONSOLE_HISTORY);

	for (uint32_t i = c->head - len; i != c->head; i++)
		log_write_guest((const char *)&c->history[i % CONSOLE_HISTORY], 1, LOG_SINK_ROOM);
}

void console_attach(struct console *c)
{
	spin_lock(&lock);
	attached = c;
	in_monitor = !c;
	awaited.shared = false;
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
	log_write_raw(text, min((size_t)len, sizeof(text) - 1));
	spin_unlock(&lock);
}

bool console_has_room(void)
{
	return log_pending() <= MONITOR_PENDING;
}

void console_finish(struct console *c)
{
	atomic_store(&c->is_ending, true);
	platform_console_transmit(c->vm->platform);
}

bool console_is_waiting(void)
{
	return atomic_load(&any_waits);
}

static bool may_go_on(const struct console *c)
{
	bool is_attached;

	if (c->port)
		return tx_pending(serial_tx(c->port)) <= CONSOLE_GO_ON;
	spin_lock(&lock);
	is_attached = c == attached;
	spin_unlock(&lock);
	return !is_attached || log_pending() <= CONSOLE_GO_ON;
}

/* Cleared first: a UART that still finds no room waits again. */
static void wake(struct console *c)
{
	if (!atomic_load(&c->waits))
		return;
	if (!may_go_on(c)) {
		atomic_store(&any_waits, true);
		return;
	}
	atomic_store(&c->waits, false);
	platform_console_transmit(c->vm->platform);
}

void console_wake(void)
{
	if (!atomic_exchange(&any_waits, false))
		return;
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		wake(&vm->console);
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

/* Is the way into the monitor among the bytes that wait, the next `nr` or the one behind them? */
static bool is_escape_near(const struct source *s, unsigned nr)
{
	for (unsigned i = 0; i <= nr && i < nr_typed(s); i++) {
		if (s->byte[(s->tail + i) % INPUT_LEN] == CONSOLE_ESCAPE)
			return true;
	}
	return false;
}

/*
 * The last INPUT_LEN bytes of a UART's backlog are for what stands in front of an escape, which has
 * effect whether or not the guest reads.
 */
static bool may_type(const struct source *s, const struct vm *vm)
{
	unsigned room = platform_console_room(vm->platform);

	return room > INPUT_LEN || (!vm->console.port && is_escape_near(s, room));
}

/* The next byte to whom it is for. False: there is no room for it now. */
static bool hand_on(const struct source *s)
{
	uint8_t byte = s->byte[s->tail % INPUT_LEN];
	struct vm *vm = vm_of_input(s->port);

	if (!vm && !is_machine_port(s->port))
		return s->port != awaited.port; /* its VM has ended: nobody else listens there */
	if (!vm && !awaited.shared)
		return monitor->input(byte);
	if (byte == CONSOLE_ESCAPE && (!vm || !vm->console.port)) {
		monitor->enter();
		return true;
	}
	if (!vm || atomic_load(&vm->restart) || !may_type(s, vm))
		return false;
	platform_console_input(vm->platform, byte);
	return true;
}

static void take_typed(struct source *s)
{
	while (nr_typed(s) && hand_on(s))
		s->tail++;
	if (s->port && nr_typed(s) <= INPUT_LEN / 2)
		serial_resume_rx(s->port);
}

static void take_input(void)
{
	poll_if_needed();
	atomic_store(&has_room_again, false);
	for (unsigned i = 0; i < nr_sources; i++)
		take_typed(&sources[i]);
}

void console_poll(void)
{
	if (cpu_id() != 0)
		return;
	take_input();
	output_poll();
}

void console_start(struct serial *const *ports, unsigned nr, const struct console_monitor *m)
{
	monitor = m;
	machine_ports = ports;
	nr_machine_ports = nr;
	timer_init(&poll_timer, &vmm_cpu_by_id(0)->timers, poll_input);
	for (unsigned i = 0; i < nr; i++)
		listen_to(ports[i]);
	keyboard_set_rx(receive_key);
	poll_if_needed();
}
