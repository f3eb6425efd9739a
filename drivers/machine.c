/* SPDX-License-Identifier: BSD-2-Clause */
/* Power-off and reset, each by the ways a PC has, one after the other: see machine.h. */
#include "drivers/machine.h"

#include <stdbool.h>

#include "arch/x86/cpu.h"
#include "arch/x86/desc.h"
#include "arch/x86/paging.h"
#include "arch/x86/smp.h"
#include "arch/x86/stop.h"
#include "arch/x86/tsc.h"
#include "drivers/acpi.h"
#include "drivers/pci_config.h"
#include "drivers/screen.h"
#include "drivers/serial.h"
#include "lib/clock.h"
#include "lib/log.h"

#define STATUS_PANIC 103 /* docs/usage.md */

#define PM1_SCI_EN BIT(0)
#define PM1_SLP_EN BIT(13)
#define SLP_TYP(t) ((uint16_t)((t) << 10))

#define RESET_CONTROL   0xcf9 /* of Intel's and AMD's chipsets */
#define RESET_HARD      0x02
#define RESET_CPU       0x04
#define KBC_COMMAND     0x64
#define KBC_BUSY        0x02
#define KBC_PULSE_RESET 0xfe
#define BOCHS_SHUTDOWN  0x8900 /* Bochs ends when it is told "Shutdown" here */

#define STEP_NS    (50 * NSEC_PER_MSEC)
#define WAIT_TURNS 10000

static const struct acpi_info *acpi;
static uint16_t exit_port;           /* 0: none */
static volatile uint8_t *reset_mmio; /* the reset register, if it lies in memory */

void machine_set_exit_port(uint16_t port)
{
	exit_port = port;
}

void machine_set_acpi(const struct acpi_info *info)
{
	acpi = info;
	/* Mapped now: when it is needed, nothing may be left to allocate from. */
	if (info->reset.addr && info->reset.space == ACPI_SPACE_MEMORY)
		reset_mmio = paging_map(HPA(info->reset.addr), 1, PAGING_UC);
}

/* What has been said comes out before the machine goes down. */
static void flush_output(void)
{
	serial_flush_all();
	screen_flush();
}

static void quiesce(void)
{
	cli();
	flush_output();
}

static void write_exit_port(uint32_t status)
{
	const char *word = "Shutdown";

	if (!exit_port)
		return;
	outb(exit_port, (uint8_t)status);
	if (exit_port == BOCHS_SHUTDOWN)
		for (; *word; word++)
			outb(BOCHS_SHUTDOWN, (uint8_t)*word);
}

/* ACPI 4.8.3.2.1: SLP_TYP and SLP_EN in both control registers. */
static void sleep_s5(const struct acpi_register *control, uint8_t type)
{
	uint16_t port = (uint16_t)control->addr;

	if (port && control->space == ACPI_SPACE_IO)
		outw(port, (uint16_t)((inw(port) & PM1_SCI_EN) | SLP_TYP(type) | PM1_SLP_EN));
}

static void enter_acpi_mode(void)
{
	uint16_t port = (uint16_t)acpi->pm1a_control.addr;
	unsigned turns;

	if (!acpi->smi_command || !acpi->acpi_enable || (inw(port) & PM1_SCI_EN))
		return;
	outb(acpi->smi_command, acpi->acpi_enable);
	for (turns = 0; turns < WAIT_TURNS && !(inw(port) & PM1_SCI_EN); turns++)
		cpu_relax();
}

static void acpi_power_off(void)
{
	if (!acpi || !acpi->has_s5 || !acpi->pm1a_control.addr ||
	    acpi->pm1a_control.space != ACPI_SPACE_IO)
		return;
	enter_acpi_mode();
	sleep_s5(&acpi->pm1a_control, acpi->s5_type_a);
	sleep_s5(&acpi->pm1b_control, acpi->s5_type_b);
	tsc_delay_ns(STEP_NS);
}

__noreturn void machine_power_off(uint32_t status)
{
	quiesce();
	write_exit_port(status);
	smp_stop_others();
	acpi_power_off();
	log_info("umbra: the machine can be switched off now");
	quiesce();
	stop_this_cpu();
}

__noreturn void machine_halt(uint32_t status)
{
	quiesce();
	write_exit_port(status);
	smp_stop_others();
	stop_this_cpu();
}

static void acpi_reset(void)
{
	const struct acpi_register *r = acpi ? &acpi->reset : NULL;

	if (!r || !r->addr)
		return;
	if (reset_mmio)
		*reset_mmio = acpi->reset_value;
	else if (r->space == ACPI_SPACE_IO)
		outb((uint16_t)r->addr, acpi->reset_value);
	else if (r->space == ACPI_SPACE_PCI)
		pci_write8(0, r->addr >> 32 & 0xff, r->addr >> 16 & 0xff, r->addr & 0xff,
			   acpi->reset_value);
	tsc_delay_ns(STEP_NS);
}

static void chipset_reset(void)
{
	outb(RESET_CONTROL, RESET_HARD);
	outb(RESET_CONTROL, RESET_HARD | RESET_CPU);
	tsc_delay_ns(STEP_NS);
}

static void keyboard_controller_reset(void)
{
	unsigned turns;

	for (turns = 0; turns < WAIT_TURNS && (inb(KBC_COMMAND) & KBC_BUSY); turns++)
		cpu_relax();
	outb(KBC_COMMAND, KBC_PULSE_RESET);
	tsc_delay_ns(STEP_NS);
}

static __noreturn void triple_fault(void)
{
	struct desc_ptr none = {};

	for (;;) {
		__asm__ volatile("lidt %0" ::"m"(none) : "memory");
		__asm__ volatile("ud2");
	}
}

__noreturn void machine_reboot(void)
{
	quiesce();
	smp_stop_others();
	acpi_reset();
	chipset_reset();
	keyboard_controller_reset();
	triple_fault();
}

void machine_end_after_panic(void)
{
	flush_output();
	write_exit_port(STATUS_PANIC);
}
