/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serial ports at I/O ports and in memory, before UARTs that are a few variables: where registers
 * lie, how wide they are accessed, speed; interrupts that come, that do not, and that come for
 * nothing.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "arch/x86/irq.h"
#include "arch/x86/paging.h"
#include "arch/x86/stop.h"
#include "arch/x86/tsc.h"
#include "drivers/host_ioapic.h"
#include "drivers/serial.h"
#include "drivers/txring.h"
#include "lib/bits.h"

#define RAM_END 0x10000000

/* ---- UARTs ---- */

static struct uart {
	bool is_mmio, is_there, no_irq, is_busy;
	uint64_t base;
	unsigned stride, width;
	uint32_t gsi;
	uint8_t regs[8], dll, dlm, input[8];
	unsigned nr_input, sent;
} uarts[16];
static unsigned nr_uarts;

static uint64_t pending; /* by vector - IRQ_VECTOR_DEVICE */
static struct {
	uint32_t gsi;
	unsigned vector;
} routes[40];
static unsigned nr_routes;
static irq_handler_t handlers[256];

static struct uart *find_uart(bool is_mmio, uint64_t addr, unsigned *reg)
{
	for (unsigned i = 0; i < nr_uarts; i++) {
		struct uart *u = &uarts[i];

		if (!u->is_there || u->is_mmio != is_mmio || addr < u->base ||
		    addr >= u->base + 8 * u->stride)
			continue;
		assert_int_equal((addr - u->base) % u->stride, 0);
		*reg = (unsigned)(addr - u->base) / u->stride;
		return u;
	}
	return NULL;
}

static void raise_irq(const struct uart *u)
{
	for (unsigned i = 0; i < nr_routes; i++) {
		if (!u->no_irq && routes[i].gsi == u->gsi && routes[i].vector)
			pending |= 1ull << (routes[i].vector - IRQ_VECTOR_DEVICE);
	}
}

uint32_t test_read(bool is_mmio, uint64_t addr, unsigned size)
{
	unsigned reg;
	struct uart *u = find_uart(is_mmio, addr, &reg);
	uint8_t byte;

	if (!u)
		return ~0u;
	assert_int_equal(size, u->width);
	switch (reg) {
	case 0:
		byte = u->input[0];
		memmove(u->input, u->input + 1, sizeof(u->input) - 1);
		u->nr_input -= u->nr_input > 0;
		return byte;
	case 2:
		return u->nr_input ? 0xc4 : 0xc1;
	case 5:
		return (u->is_busy ? 0 : 0x60) | (u->nr_input ? 1 : 0);
	default:
		return u->regs[reg];
	}
}

void test_write(bool is_mmio, uint64_t addr, unsigned size, uint32_t val)
{
	unsigned reg;
	struct uart *u = find_uart(is_mmio, addr, &reg);

	if (!u)
		return;
	assert_int_equal(size, u->width);
	if (reg < 2 && (u->regs[3] & 0x80)) {
		*(reg ? &u->dlm : &u->dll) = (uint8_t)val;
		return;
	}
	if (reg == 0)
		u->sent++;
	u->regs[reg] = (uint8_t)val;
	/* The transmitter is empty; what is received is asked for as it comes. OUT2 lets it out. */
	if (reg == 1 && (val & 2) && !u->is_busy && (u->regs[4] & 8))
		raise_irq(u);
}

static struct uart *add_uart(const struct serial_uart *d)
{
	struct uart *u = &uarts[nr_uarts++];

	*u = (struct uart){.is_there = true,
			   .is_mmio = d->is_mmio,
			   .base = d->base,
			   .stride = d->stride,
			   .width = d->width,
			   .gsi = d->irq.number};
	return u;
}

/* ---- the machine ---- */

void *paging_map(hpa_t hpa, uint64_t len, enum paging_cache cache)
{
	assert_int_equal(cache, PAGING_UC);
	return (void *)hpa.v;
}

bool paging_is_memory(hpa_t hpa, uint64_t len)
{
	return hpa.v < RAM_END;
}

uint64_t paging_limit(void)
{
	return 1ull << 40;
}

bool stop_in_progress(void)
{
	return false;
}

void tsc_delay_ns(uint64_t ns) {}

bool apic_is_pending(unsigned vector)
{
	return pending >> (vector - IRQ_VECTOR_DEVICE) & 1;
}

int irq_alloc_vector(irq_handler_t handler)
{
	for (int v = IRQ_VECTOR_DEVICE; v < IRQ_VECTOR_DEVICE + IRQ_NR_DEVICE; v++) {
		if (handlers[v])
			continue;
		handlers[v] = handler;
		return v;
	}
	return -ENOSPC;
}

void irq_unregister(unsigned vector)
{
	assert_non_null(handlers[vector]);
	handlers[vector] = NULL;
}

uint32_t host_ioapic_gsi(unsigned irq)
{
	return irq;
}

int host_ioapic_route(uint32_t gsi, unsigned vector)
{
	if (gsi >= 100)
		return -ENODEV;
	routes[nr_routes].gsi = gsi;
	routes[nr_routes++].vector = vector;
	return 0;
}

void host_ioapic_mask(uint32_t gsi)
{
	for (unsigned i = 0; i < nr_routes; i++) {
		if (routes[i].gsi == gsi)
			routes[i].vector = 0;
	}
}

/* Interrupts open: what has come is taken. */
static void take_interrupts(void)
{
	for (unsigned v = 0; v < IRQ_NR_DEVICE; v++) {
		if (!(pending >> v & 1))
			continue;
		pending &= ~(1ull << v);
		if (handlers[IRQ_VECTOR_DEVICE + v])
			handlers[IRQ_VECTOR_DEVICE + v](IRQ_VECTOR_DEVICE + v);
	}
}

static void type(struct uart *u, uint8_t byte)
{
	u->input[u->nr_input++] = byte;
	if (u->regs[1] & 1)
		raise_irq(u);
}

static char heard[32];
static bool is_full; /* whoever hears has no room for more */

static bool hear(struct serial *port, uint8_t byte)
{
	size_t len = strlen(heard);

	heard[len] = (char)byte;
	heard[len + 1] = '\0';
	return !is_full;
}

/*
 * The driver's objects are never freed, and it has eight: each test takes the ports that it needs,
 * at addresses of its own.
 */
static struct serial_uart port_at(uint64_t base, enum serial_irq_kind kind, uint32_t irq)
{
	return (struct serial_uart){.stride = 1,
				    .width = 1,
				    .base = base,
				    .clock = SERIAL_PC_CLOCK,
				    .baud = SERIAL_BAUD,
				    .irq = {kind, irq}};
}

static const char *why_not(const struct serial_uart *d)
{
	const char *why = NULL;

	assert_null(serial_open(d, &why));
	return why;
}

static int setup(void **state)
{
	heard[0] = '\0';
	is_full = false;
	serial_enable_irqs();
	return 0;
}

/* ---- tests ---- */

static void a_port_that_cannot_be_is_refused(void **state)
{
	struct serial_uart d = port_at(0x3e8, SERIAL_IRQ_NONE, 0);

	assert_string_equal(why_not(&d), "no serial port there");
	d.base = 0xfff9;
	assert_string_equal(why_not(&d), "outside the I/O ports");
	d = (struct serial_uart){
		.is_mmio = true, .stride = 4, .width = 4, .base = 0x100000, .clock = 1, .baud = 0};
	assert_string_equal(why_not(&d), "memory is there, not a device");
	d.base = 0xfe030002;
	assert_string_equal(why_not(&d), "not aligned");
	d.base = (1ull << 40) - 16;
	assert_string_equal(why_not(&d), "outside the address space");
	d.base = ~0ull - 15;
	assert_string_equal(why_not(&d), "outside the address space");
	d.base = 0xfe030000;
	assert_string_equal(why_not(&d), "no serial port there");
}

/* Registers 4 bytes apart, accessed as 4; then by bytes. A clock that is not the PC's. */
static void registers_in_memory_have_a_distance(void **state)
{
	struct serial_uart d = {.is_mmio = true,
				.stride = 4,
				.width = 4,
				.base = 0xfe030000,
				.clock = UINT32_MAX, /* as a table may say */
				.baud = 115200};
	struct uart *u = add_uart(&d);
	const char *why;
	struct serial *s = serial_open(&d, &why);

	assert_non_null(s);
	assert_int_equal(u->dll | u->dlm << 8, 2330);
	assert_int_equal(u->regs[3], 3);
	assert_true(tx_put(serial_tx(s), "abc", 3, TX_RING_LEN));
	assert_int_equal(u->sent, 3);
	assert_ptr_equal(serial_open(&d, &why), s);
	d.base = 0xfe040000;
	d.width = 1;
	d.baud = 0; /* the line stays as it is set */
	u = add_uart(&d);
	u->dll = 77;
	assert_non_null(serial_open(&d, &why));
	assert_int_equal(u->dll, 77);
	assert_int_equal(u->regs[3], 3);
}

static void input_comes_by_interrupt(void **state)
{
	struct serial_uart d = port_at(0x3f8, SERIAL_IRQ_ISA, 4);
	struct uart *u = add_uart(&d);
	const char *why;

	serial_set_rx(serial_open(&d, &why), hear);
	assert_false(serial_is_polled());
	assert_int_equal(u->regs[1], 1); /* of the receiver alone */
	take_interrupts();               /* the one that was tried */
	type(u, 'a');
	type(u, 'b');
	assert_string_equal(heard, "");
	take_interrupts();
	assert_string_equal(heard, "ab");
	type(u, 'c');
	serial_poll(); /* not this one's business */
	assert_string_equal(heard, "ab");
	take_interrupts();
	assert_string_equal(heard, "abc");
}

/* No room: the bytes stay in the port, which does not ask any more, and RTS holds the sender back.
 */
static void input_without_room_stays_in_the_port(void **state)
{
	struct serial_uart d = port_at(0x3f8, SERIAL_IRQ_ISA, 4);
	const char *why;
	struct serial *s = serial_open(&d, &why); /* the one of the test before */
	unsigned reg;
	struct uart *u = find_uart(false, 0x3f8, &reg);

	is_full = true;
	type(u, 'a');
	type(u, 'b');
	type(u, 'c');
	take_interrupts();
	assert_string_equal(heard, "a");
	assert_int_equal(u->nr_input, 2);
	assert_int_equal(u->regs[1] & 1, 0);
	assert_int_equal(u->regs[4] & 2, 0);
	assert_int_equal(u->regs[4] & 8, 8); /* the transmitter still asks */
	raise_irq(u);
	take_interrupts();
	assert_string_equal(heard, "a");
	is_full = false;
	serial_resume_rx(s);
	assert_int_equal(u->regs[1] & 1, 1);
	assert_int_equal(u->regs[4] & 2, 2);
	raise_irq(u); /* as the chip does */
	take_interrupts();
	assert_string_equal(heard, "abc");
	serial_resume_rx(s); /* nothing to do */
	assert_string_equal(heard, "abc");
}

/* One that is not known; one that does not come, whose line is then left alone; one that no IOAPIC
 * has. */
static void input_without_an_interrupt_is_polled(void **state)
{
	struct serial_uart d[3] = {port_at(0x1000, SERIAL_IRQ_NONE, 0),
				   port_at(0x1010, SERIAL_IRQ_ISA, 5),
				   port_at(0x1020, SERIAL_IRQ_GSI, 1000)};
	const char *why;

	for (unsigned i = 0; i < 3; i++) {
		struct uart *u = add_uart(&d[i]);

		u->no_irq = true;
		serial_set_rx(serial_open(&d[i], &why), hear);
		assert_true(serial_is_polled());
		assert_int_equal(u->regs[1], 0);
		type(u, (uint8_t)('x' + i));
		take_interrupts();
	}
	assert_string_equal(heard, "");
	serial_poll();
	assert_string_equal(heard, "xyz");
	for (unsigned i = 0; i < nr_routes; i++)
		assert_true(routes[i].gsi != 5 || !routes[i].vector);
}

/* A transmitter that is not emptied cannot ask: the interrupt is believed. */
static void a_busy_transmitter_says_nothing(void **state)
{
	struct serial_uart d = port_at(0x2f8, SERIAL_IRQ_ISA, 3);
	struct uart *u = add_uart(&d);
	const char *why;

	u->is_busy = true;
	serial_set_rx(serial_open(&d, &why), hear);
	type(u, 'a');
	take_interrupts();
	assert_string_equal(heard, "a");
}

/* Two ports on one line; somebody else asks there for ever: it is shut, and both are polled. */
static void a_line_that_comes_for_nothing_is_shut(void **state)
{
	struct serial_uart d = port_at(0x2000, SERIAL_IRQ_GSI, 17);
	struct uart *u = add_uart(&d);
	const char *why;
	unsigned turns;

	serial_set_rx(serial_open(&d, &why), hear);
	assert_int_equal(u->regs[1], 1);
	for (turns = 0; turns < 999; turns++) {
		raise_irq(u);
		take_interrupts();
	}
	type(u, 'a'); /* in between it is right once */
	take_interrupts();
	for (turns = 0; turns < 999; turns++) {
		raise_irq(u);
		take_interrupts();
	}
	assert_int_equal(u->regs[1], 1);
	raise_irq(u);
	take_interrupts();
	assert_int_equal(u->regs[1], 0);
	raise_irq(u);
	assert_int_equal(pending, 0); /* masked */
	type(u, 'b');
	serial_poll();
	assert_string_equal(heard, "ab");
	u->is_there = false; /* the card is drawn: all ones */
	serial_poll();
	assert_string_equal(heard, "ab");
}

static void there_are_eight_ports(void **state)
{
	struct serial_uart d = port_at(0x3000, SERIAL_IRQ_NONE, 0);

	add_uart(&d);
	assert_string_equal(why_not(&d), "too many serial ports");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_port_that_cannot_be_is_refused, setup),
		cmocka_unit_test_setup(registers_in_memory_have_a_distance, setup),
		cmocka_unit_test_setup(input_comes_by_interrupt, setup),
		cmocka_unit_test_setup(input_without_room_stays_in_the_port, setup),
		cmocka_unit_test_setup(input_without_an_interrupt_is_polled, setup),
		cmocka_unit_test_setup(a_busy_transmitter_says_nothing, setup),
		cmocka_unit_test_setup(a_line_that_comes_for_nothing_is_shut, setup),
		cmocka_unit_test_setup(there_are_eight_ports, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
