/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keyboard controller as on IBM's PC/AT: a status and command port, a data port, and one byte
 * of configuration. The firmware has tested it and its keyboard; here it is only put into a known
 * mode. Every wait has an end, since what answers may be a firmware that pretends, or nothing.
 *
 * Interrupt 1 is tried before it is relied on: the keyboard's answer to a command must raise it.
 */
#include "drivers/keyboard.h"

#include <stddef.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/irq.h"
#include "arch/x86/tsc.h"
#include "drivers/host_ioapic.h"
#include "drivers/scancode.h"
#include "lib/log.h"

#define PORT_DATA   0x60
#define PORT_STATUS 0x64 /* read */
#define PORT_CMD    0x64 /* write */

#define STATUS_FULL     BIT(0) /* there is a byte for us */
#define STATUS_BUSY     BIT(1) /* the controller has not taken the last one */
#define STATUS_IS_MOUSE BIT(5) /* the byte is the second port's */
#define NO_CONTROLLER   0xff

#define CMD_READ_CONFIG   0x20
#define CMD_WRITE_CONFIG  0x60
#define CMD_DISABLE_MOUSE 0xa7
#define CMD_DISABLE       0xad
#define CMD_ENABLE        0xae

#define CONFIG_IRQ       BIT(0)
#define CONFIG_MOUSE_IRQ BIT(1)
#define CONFIG_DISABLED  BIT(4) /* the keyboard's clock stands */
#define CONFIG_TRANSLATE BIT(6) /* to scan code set 1 */

#define KEYBOARD_DEFAULTS 0xf6 /* scan code set 2, among others */
#define KEYBOARD_ENABLE   0xf4
#define KEYBOARD_ACK      0xfa

#define KEYBOARD_IRQ 1
#define STEP_NS      10000
#define STEPS        5000 /* 50 ms, more than twice what a keyboard may take */
#define MAX_BYTES    64   /* of one look at the controller */

static bool is_open, is_polled;
static void (*receive)(uint8_t byte);
static struct scancode state;

/* Until the status has `bits` as wanted. False: it has not, for too long. */
static bool wait_for(uint8_t bits, uint8_t wanted)
{
	for (unsigned i = 0; i < STEPS; i++) {
		if ((inb(PORT_STATUS) & bits) == wanted)
			return true;
		tsc_delay_ns(STEP_NS);
	}
	return false;
}

static bool write_to(uint16_t port, uint8_t byte)
{
	if (!wait_for(STATUS_BUSY, 0))
		return false;
	outb(port, byte);
	return true;
}

/* Somebody may be typing. */
static void drop_input(void)
{
	for (unsigned i = 0; i < MAX_BYTES && (inb(PORT_STATUS) & STATUS_FULL); i++)
		(void)inb(PORT_DATA);
}

static bool read_config(uint8_t *config)
{
	if (!write_to(PORT_CMD, CMD_READ_CONFIG) || !wait_for(STATUS_FULL, STATUS_FULL))
		return false;
	*config = inb(PORT_DATA);
	return true;
}

static bool write_config(uint8_t config)
{
	return write_to(PORT_CMD, CMD_WRITE_CONFIG) && write_to(PORT_DATA, config);
}

/* A byte for the keyboard, whose answer is left where it is. False: there is none. */
static bool ask_keyboard(uint8_t byte)
{
	drop_input();
	return write_to(PORT_DATA, byte) && wait_for(STATUS_FULL, STATUS_FULL);
}

/* No interrupts yet: what comes now is nobody's. */
static bool set_up(void)
{
	uint8_t config;

	if (!write_to(PORT_CMD, CMD_DISABLE) || !write_to(PORT_CMD, CMD_DISABLE_MOUSE))
		return false;
	drop_input();
	if (!read_config(&config))
		return false;
	config &= (uint8_t) ~(CONFIG_IRQ | CONFIG_MOUSE_IRQ | CONFIG_DISABLED);
	return write_config(config | CONFIG_TRANSLATE) && write_to(PORT_CMD, CMD_ENABLE);
}

bool keyboard_open(void)
{
	if (inb(PORT_STATUS) == NO_CONTROLLER || !set_up()) {
		log_info("keyboard: there is no keyboard controller");
		return false;
	}
	/* Some firmware that pretends does not know the first one. */
	if (!ask_keyboard(KEYBOARD_DEFAULTS) || inb(PORT_DATA) != KEYBOARD_ACK)
		log_info("keyboard: no keyboard answers yet");
	is_open = true;
	return true;
}

static void drain(void)
{
	char text[SCANCODE_MAX_TEXT];
	uint8_t status, byte;
	unsigned i, n;

	for (i = 0; i < MAX_BYTES && ((status = inb(PORT_STATUS)) & STATUS_FULL); i++) {
		byte = inb(PORT_DATA);
		if (status == NO_CONTROLLER || (status & STATUS_IS_MOUSE))
			continue;
		n = scancode_decode(&state, byte, text);
		for (unsigned k = 0; k < n; k++)
			receive((uint8_t)text[k]);
	}
}

static void handle_irq(unsigned vector)
{
	(void)vector;
	drain();
}

/* Does it arrive? Interrupts are closed here, so it is seen in the local APIC, and taken later. */
static bool try_irq(unsigned vector)
{
	uint8_t config;
	bool comes;

	if (host_ioapic_route(host_ioapic_gsi(KEYBOARD_IRQ), vector) < 0)
		return false;
	drop_input();
	if (!read_config(&config) || !write_config(config | CONFIG_IRQ))
		return false;
	comes = ask_keyboard(KEYBOARD_ENABLE) && apic_is_pending(vector);
	drop_input();
	if (!comes)
		host_ioapic_mask(host_ioapic_gsi(KEYBOARD_IRQ));
	return comes;
}

void keyboard_set_rx(void (*rx)(uint8_t byte))
{
	int vector;

	if (!is_open)
		return;
	receive = rx;
	vector = irq_alloc_vector(handle_irq);
	if (vector >= 0 && try_irq((unsigned)vector)) {
		log_info("keyboard: its keys are the console's input");
		return;
	}
	if (vector >= 0)
		irq_unregister((unsigned)vector);
	log_info("keyboard: its keys are the console's input; polled, no interrupt comes");
	is_polled = true;
}

bool keyboard_is_polled(void)
{
	return is_polled;
}

void keyboard_poll(void)
{
	if (is_polled)
		drain();
}
