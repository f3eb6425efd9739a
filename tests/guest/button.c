/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ACPI power button: fixed hardware that raises the SCI (ACPI 6.4, 4.8.2.2.1 and 4.8.3.1). With
 * "wait" on its command line the guest switches itself off when somebody presses it
 * (tests/harness/boot.py); else nobody may. run: vcpus=1 umbra=1
 */
#include "apic.h"
#include "boot.h"
#include "clock.h"
#include "ktap.h"
#include "trap.h"

#define PM1_STS  0x600
#define PM1_EN   0x602
#define PM1_CNT  0x604
#define PWRBTN   0x0100
#define SLP_S5   (5 << 10 | 1 << 13) /* SLP_TYP as in \_S5, SLP_EN */
#define SCI_IRQ  9
#define VEC      0x49
#define WAIT_MS  30000
#define QUIET_MS 20

static volatile unsigned presses, others;

static bool on_sci(struct regs *regs)
{
	if (inw(PM1_STS) & PWRBTN)
		presses++;
	else
		others++;
	outw(PM1_STS, PWRBTN); /* a one clears it, and the line falls */
	apic_eoi();
	return true;
}

static void listen(void)
{
	apic_enable();
	trap_set(VEC, on_sci);
	ioapic_route(ioapic_isa_pin(SCI_IRQ), VEC | REDIR_LEVEL, (uint8_t)apic_id());
	outw(PM1_EN, PWRBTN);
	sti();
}

void guest_main(void)
{
	bool waits = boot_option("wait"), right;

	listen();
	printf("KTAP version 1\n1..1\n# listening to the button\n");
	if (waits)
		wait_until(presses, WAIT_MS);
	delay_us(QUIET_MS * 1000);
	right = presses == waits && !others && !(inw(PM1_STS) & PWRBTN);
	printf("%sok 1 - each_press_is_one_sci\n", right ? "" : "not ");
	if (waits) {
		wait_until(inb(0x3fd) & 0x40, WAIT_MS);
		outw(PM1_CNT, SLP_S5);
	}
}
