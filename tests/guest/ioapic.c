/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The IOAPIC: its registers, and interrupts from the PIT, the RTC and the UART through it, edge-
 * and level-triggered, to either CPU (Intel 82093AA data sheet). run: testdev=1
 */
#include <string.h>

#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "flaws.h"
#include "ktap.h"
#include "pit.h"

#define VEC             0x45
#define WAIT_MS         1000
#define UART_IER        0x3f9
#define UART_IIR        0x3fa
#define UART_MCR        0x3fc
#define IER_THRE        2
#define TESTDEV_LINE(n) ((uint16_t)(0x2000 + (n)))

static volatile unsigned count[MAX_CPUS];
static volatile bool quiesce; /* the handler takes the UART's request back */
static volatile bool remote_irr_seen;

static unsigned total(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < MAX_CPUS; i++)
		sum += count[i];
	return sum;
}

static bool on_irq(struct regs *regs)
{
	count[cpu_index()]++;
	if (ioapic_read(IOAPIC_REDIR(ioapic_isa_pin(4))) & REDIR_REMOTE_IRR)
		remote_irr_seen = true;
	if (quiesce || total() >= 5)
		outb(UART_IER, 0);
	apic_eoi();
	return true;
}

static void setup(void)
{
	cli(); /* while the 8259 is set up, its masks are open */
	memset((void *)count, 0, sizeof(count));
	quiesce = false;
	remote_irr_seen = false;
	pic_init(0x20);
	apic_enable();
	trap_set(VEC, on_irq);
	for (unsigned pin = 0; pin < 24; pin++)
		ioapic_route(pin, REDIR_MASKED, 0);
	sti();
}

static unsigned pit_pin(void)
{
	return ioapic_isa_pin(0);
}

TEST(identity)
{
	uint32_t version = ioapic_read(IOAPIC_VERSION);

	CHECK((version & 0xff) >= 0x11);
	CHECK_EQ(version >> 16 & 0xff, 23);
	ioapic_write(IOAPIC_ID, 0x05000000);
	CHECK_EQ(ioapic_read(IOAPIC_ID) & 0x0f000000, 0x05000000);
	ioapic_write(IOAPIC_ID, 0);
}

TEST(redirection_entries_are_kept)
{
	for (unsigned pin = 0; pin < 24; pin++) {
		ioapic_write(IOAPIC_REDIR(pin),
			     REDIR_MASKED | REDIR_LEVEL | REDIR_LOW_ACTIVE | (0x30 + pin));
		ioapic_write(IOAPIC_REDIR(pin) + 1, pin << 24);
		CHECK_EQ(ioapic_read(IOAPIC_REDIR(pin)),
			 REDIR_MASKED | REDIR_LEVEL | REDIR_LOW_ACTIVE | (0x30 + pin));
		CHECK_EQ(ioapic_read(IOAPIC_REDIR(pin) + 1) >> 24, pin);
	}
	setup();
}

TEST(status_bits_are_read_only)
{
	ioapic_write(IOAPIC_REDIR(5), REDIR_MASKED | REDIR_PENDING | REDIR_REMOTE_IRR | VEC);
	CHECK_EQ(ioapic_read(IOAPIC_REDIR(5)), REDIR_MASKED | VEC);
	setup();
}

TEST(edge_from_the_pit)
{
	setup();
	pit_program(0, PIT_MODE2, 2000);
	ioapic_route(pit_pin(), VEC, 0);
	CHECK(wait_until(count[0] >= 10, WAIT_MS));
	ioapic_route(pit_pin(), REDIR_MASKED, 0);
	delay_us(1000);
	count[0] = 0;
	delay_us(20000);
	CHECK_EQ(count[0], 0);
}

static void listen(void *stop)
{
	sti();
	while (!*(volatile bool *)stop)
		pause();
	cli();
}

TEST(edge_to_the_other_cpu)
{
	static volatile bool stop;

	NEED_CPUS(2);
	setup();
	stop = false;
	smp_run(1, listen, (void *)&stop);
	pit_program(0, PIT_MODE2, 2000);
	ioapic_route(pit_pin(), VEC, (uint8_t)cpus[1].apic_id);
	CHECK(wait_until(count[1] >= 10, WAIT_MS));
	CHECK_EQ(count[0], 0);
	ioapic_route(pit_pin(), REDIR_MASKED, 0);
	stop = true;
	CHECK(smp_wait(1, WAIT_MS));
}

TEST(logical_destination)
{
	setup();
	apic_write(APIC_DFR, 0xffffffff);
	apic_write(APIC_LDR, 0x20000000);
	pit_program(0, PIT_MODE2, 2000);
	ioapic_route(pit_pin(), REDIR_LOGICAL | VEC, 0x20);
	CHECK(wait_until(count[0] >= 3, WAIT_MS));
	ioapic_route(pit_pin(), REDIR_LOGICAL | VEC, 0x40); /* nobody */
	delay_us(5000);
	count[0] = 0;
	delay_us(20000);
	CHECK_EQ(count[0], 0);
	ioapic_route(pit_pin(), REDIR_MASKED, 0);
}

TEST(wakes_from_halt)
{
	setup();
	cli();
	pit_program(0, PIT_MODE2, 5000);
	ioapic_route(pit_pin(), VEC, 0);
	while (count[0] < 5) {
		safe_halt();
		cli();
	}
	ioapic_route(pit_pin(), REDIR_MASKED, 0);
	CHECK(count[0] >= 5);
}

/* Deliver the PIT as an NMI. */
static bool on_nmi(struct regs *regs)
{
	count[0]++;
	return true;
}

TEST(delivery_as_nmi)
{
	setup();
	cli();
	trap_set(NMI_VECTOR, on_nmi);
	pit_program(0, PIT_MODE2, 5000);
	ioapic_route(pit_pin(), ICR_NMI, 0);
	CHECK(wait_until(count[0] >= 2, WAIT_MS));
	ioapic_route(pit_pin(), REDIR_MASKED, 0);
	delay_us(1000);
}

/* --- level: the UART's "transmitter empty" stands until IIR is read or IER is cleared ----------
 */

static void uart_request(void)
{
	while (!(inb(0x3fd) & 0x40))
		pause();
	outb(UART_MCR, 0x0b);
	outb(UART_IER, IER_THRE);
}

TEST(level_comes_again_after_eoi)
{
	setup();
	ioapic_route(ioapic_isa_pin(4), REDIR_LEVEL | VEC, 0);
	uart_request();
	CHECK(wait_until(count[0] >= 5, WAIT_MS)); /* the handler ends it at the fifth */
	delay_us(5000);
	CHECK_EQ(count[0], 5);
	CHECK(remote_irr_seen);
	CHECK_EQ(ioapic_read(IOAPIC_REDIR(ioapic_isa_pin(4))) & REDIR_REMOTE_IRR, 0);
	ioapic_route(ioapic_isa_pin(4), REDIR_MASKED, 0);
	outb(UART_MCR, 3);
}

TEST(level_ends_with_its_cause)
{
	setup();
	quiesce = true;
	ioapic_route(ioapic_isa_pin(4), REDIR_LEVEL | VEC, 0);
	uart_request();
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	delay_us(5000);
	CHECK_EQ(count[0], 1);
	ioapic_route(ioapic_isa_pin(4), REDIR_MASKED, 0);
	outb(UART_MCR, 3);
}

TEST(edge_comes_once)
{
	setup();
	ioapic_route(ioapic_isa_pin(4), VEC, 0);
	uart_request(); /* the line stays up */
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	delay_us(5000);
	CHECK_EQ(count[0], 1);
	outb(UART_IER, 0);
	ioapic_route(ioapic_isa_pin(4), REDIR_MASKED, 0);
	outb(UART_MCR, 3);
}

TEST(level_waits_behind_the_mask)
{
	setup();
	quiesce = true;
	ioapic_route(ioapic_isa_pin(4), REDIR_LEVEL | REDIR_MASKED | VEC, 0);
	uart_request();
	delay_us(5000);
	CHECK_EQ(count[0], 0);
	ioapic_write(IOAPIC_REDIR(ioapic_isa_pin(4)), REDIR_LEVEL | VEC);
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	ioapic_route(ioapic_isa_pin(4), REDIR_MASKED, 0);
	outb(UART_MCR, 3);
}

TEST(level_sets_tmr)
{
	setup();
	cli();
	quiesce = true;
	ioapic_route(ioapic_isa_pin(4), REDIR_LEVEL | VEC, 0);
	uart_request();
	CHECK(wait_until(apic_test_vector(APIC_IRR, VEC), WAIT_MS));
	CHECK(apic_test_vector(APIC_TMR, VEC));
	sti();
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	cli();
	ioapic_route(ioapic_isa_pin(4), REDIR_MASKED, 0);
	outb(UART_MCR, 3);
	setup();
	apic_send_ipi(0, ICR_SELF | VEC);
	CHECK(wait_until(count[0] == 1, WAIT_MS));
	CHECK(!apic_test_vector(APIC_TMR, VEC));
}

/* --- pc-testdev: any line at will --------------------------------------------------------------
 */

static bool has_testdev(void)
{
	outl(0xe0, 0x87654321);
	return inl(0xe0) == 0x87654321;
}

TEST(every_line_by_the_test_device)
{
	unsigned pins = is_umbra() ? 24 : 16; /* QEMU's device has the ISA lines only */

	SKIP_UNLESS(has_testdev(), "no pc-testdev");
	for (unsigned pin = 3; pin < pins; pin++) {
		if (pin == 8 || pin == 4)
			continue; /* shared with the RTC and the UART */
		setup();
		ioapic_route(pin, VEC, 0);
		outb(TESTDEV_LINE(pin), 1);
		if (!CHECK(wait_until(count[0] == 1, WAIT_MS)))
			printf("# pin %u\n", pin);
		outb(TESTDEV_LINE(pin), 0);
		ioapic_route(pin, REDIR_MASKED, 0);
	}
}
