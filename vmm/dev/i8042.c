/* SPDX-License-Identifier: BSD-2-Clause */
/* Reset ports and the keyboard controller without a keyboard. */
#include "vmm/dev/i8042.h"

#include "lib/bits.h"
#include "vmm/dev/host.h"

#define CF9_FULL     BIT(3)
#define CF9_CPU      BIT(2) /* 0 to 1: reset, of the kind that bit 1 says */
#define CF9_SYSTEM   BIT(1)
#define PORT_92_FAST BIT(0) /* 0 to 1: reset */
#define PORT_92_A20  BIT(1)

#define STATUS_OBF     BIT(0) /* output buffer full */
#define STATUS_SYSTEM  BIT(2) /* self test passed */
#define STATUS_COMMAND BIT(3) /* the last write was to the command port */
#define STATUS_UNLOCK  BIT(4)
#define STATUS_TIMEOUT BIT(6) /* the keyboard did not answer; OBF has 0xfe */
#define STATUS_RESET   (STATUS_SYSTEM | STATUS_UNLOCK)

#define CONFIG_IRQ1    BIT(0)
#define CONFIG_SYSTEM  BIT(2)
#define CONFIG_NO_KBD  BIT(4) /* the keyboard's clock is off */
#define CONFIG_NO_AUX  BIT(5)
#define CONFIG_XLATE   BIT(6)
#define OUTPUT_RESET_N BIT(0)
#define OUTPUT_A20     BIT(1)

enum {
	CMD_READ_CONFIG = 0x20,
	CMD_WRITE_CONFIG = 0x60,
	CMD_AUX_OFF = 0xa7,
	CMD_AUX_ON = 0xa8,
	CMD_AUX_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KBD_TEST = 0xab,
	CMD_KBD_OFF = 0xad,
	CMD_KBD_ON = 0xae,
	CMD_READ_INPUT = 0xc0,
	CMD_READ_OUTPUT = 0xd0,
	CMD_WRITE_OUTPUT = 0xd1,
	CMD_WRITE_KBD_BUF = 0xd2, /* the byte comes back as if the keyboard had sent it */
	CMD_WRITE_AUX_BUF = 0xd3,
	CMD_WRITE_AUX = 0xd4,
	CMD_A20_OFF = 0xdd,
	CMD_A20_ON = 0xdf,
	CMD_PULSE = 0xf0, /* 0xf0-0xff: pulse the output port's lines whose bit is 0 */
};

#define REPLY_SELF_TEST  0x55
#define REPLY_PORT_OK    0x00
#define REPLY_PORT_STUCK 0x01 /* clock line stuck low: nothing is connected */
#define REPLY_RESEND     0xfe /* what the controller makes of a time-out */
#define INPUT_PORT       0x80 /* keyboard not locked */

static void pull_reset(struct reset *r)
{
	r->host->event(r->vm, VM_EVENT_RESET, 0);
}

/* --- 0xcf9 and 0x92 --- */

uint64_t reset_cf9_read(void *dev, uint64_t off, unsigned size)
{
	return ((struct reset *)dev)->cf9;
}

void reset_cf9_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct reset *r = dev;
	uint8_t old = r->cf9;

	r->cf9 = val & (CF9_SYSTEM | CF9_CPU | CF9_FULL);
	if (!(old & CF9_CPU) && (r->cf9 & CF9_CPU))
		pull_reset(r);
}

uint64_t reset_port_92_read(void *dev, uint64_t off, unsigned size)
{
	return ((struct reset *)dev)->port_92;
}

void reset_port_92_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct reset *r = dev;
	uint8_t old = r->port_92;

	r->port_92 = val & (PORT_92_FAST | PORT_92_A20);
	if (!(old & PORT_92_FAST) && (r->port_92 & PORT_92_FAST))
		pull_reset(r);
}

/* --- 8042 --- */

static void update_irq(struct reset *r)
{
	irq_set(&r->irq, (r->status & STATUS_OBF) && (r->config & CONFIG_IRQ1));
}

static void reply(struct reset *r, uint8_t val)
{
	r->output = val;
	r->status = (r->status & (uint8_t)~STATUS_TIMEOUT) | STATUS_OBF;
	update_irq(r);
}

/* A byte for a device that is not there. */
static void time_out(struct reset *r)
{
	reply(r, REPLY_RESEND);
	r->status |= STATUS_TIMEOUT;
}

static void write_output_port(struct reset *r, uint8_t val)
{
	r->output_port = val | OUTPUT_RESET_N;
	if (!(val & OUTPUT_RESET_N))
		pull_reset(r);
}

static void set_config(struct reset *r, uint8_t set, uint8_t clear)
{
	r->config = (r->config | set) & (uint8_t)~clear;
	update_irq(r);
}

void i8042_command_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct reset *r = dev;
	uint8_t cmd = (uint8_t)val;

	r->status |= STATUS_COMMAND;
	r->command = 0;
	switch (cmd) {
	case CMD_READ_CONFIG:
		reply(r, r->config);
		break;
	case CMD_WRITE_CONFIG:
	case CMD_WRITE_OUTPUT:
	case CMD_WRITE_KBD_BUF:
	case CMD_WRITE_AUX_BUF:
	case CMD_WRITE_AUX:
		r->command = cmd;
		break;
	case CMD_AUX_OFF:
		set_config(r, CONFIG_NO_AUX, 0);
		break;
	case CMD_AUX_ON:
		set_config(r, 0, CONFIG_NO_AUX);
		break;
	case CMD_AUX_TEST:
		reply(r, REPLY_PORT_STUCK);
		break;
	case CMD_SELF_TEST:
		r->status |= STATUS_SYSTEM;
		reply(r, REPLY_SELF_TEST);
		break;
	case CMD_KBD_TEST:
		reply(r, REPLY_PORT_OK);
		break;
	case CMD_KBD_OFF:
		set_config(r, CONFIG_NO_KBD, 0);
		break;
	case CMD_KBD_ON:
		set_config(r, 0, CONFIG_NO_KBD);
		break;
	case CMD_READ_INPUT:
		reply(r, INPUT_PORT);
		break;
	case CMD_READ_OUTPUT:
		reply(r, r->output_port);
		break;
	case CMD_A20_OFF:
		r->output_port &= (uint8_t)~OUTPUT_A20;
		break;
	case CMD_A20_ON:
		r->output_port |= OUTPUT_A20;
		break;
	default:
		if ((cmd & CMD_PULSE) == CMD_PULSE && !(cmd & OUTPUT_RESET_N))
			pull_reset(r);
		break;
	}
}

void i8042_data_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct reset *r = dev;
	uint8_t command = r->command;

	r->status &= (uint8_t)~STATUS_COMMAND;
	r->command = 0;
	switch (command) {
	case CMD_WRITE_CONFIG:
		r->config = (uint8_t)val;
		update_irq(r);
		break;
	case CMD_WRITE_OUTPUT:
		write_output_port(r, (uint8_t)val);
		break;
	case CMD_WRITE_KBD_BUF:
		reply(r, (uint8_t)val);
		break;
	default: /* for the keyboard; or the mouse, whose port this controller does not have */
		time_out(r);
		break;
	}
}

uint64_t i8042_data_read(void *dev, uint64_t off, unsigned size)
{
	struct reset *r = dev;

	r->status &= (uint8_t) ~(STATUS_OBF | STATUS_TIMEOUT);
	update_irq(r);
	return r->output;
}

uint64_t i8042_status_read(void *dev, uint64_t off, unsigned size)
{
	return ((struct reset *)dev)->status;
}

void reset_reset(struct reset *r)
{
	r->cf9 = 0;
	r->port_92 = PORT_92_A20;
	r->status = STATUS_RESET;
	r->output = r->command = 0;
	r->config = CONFIG_SYSTEM | CONFIG_NO_AUX | CONFIG_XLATE;
	r->output_port = OUTPUT_RESET_N | OUTPUT_A20;
	update_irq(r);
}

void reset_init(struct reset *r, const struct dev_host *host, void *vm, const struct irq_line *irq)
{
	*r = (struct reset){.host = host, .vm = vm, .irq = *irq};
	reset_reset(r);
}
