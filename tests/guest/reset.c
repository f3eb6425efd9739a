/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that resets itself finds its machine as at the first start. With "talk" on its command
 * line it is told how, by letters on its console (tests/harness/boot.py); each start says what it
 * has found. run: vcpus=1 umbra=1
 */
#include "boot.h"
#include "ktap.h"

#define UART      0x3f8
#define UART_LSR  (UART + 5)
#define LSR_DR    0x01
#define MARK      ((volatile uint64_t *)0x800000) /* memory that nobody else uses */
#define CMOS_CODE 0x0f

static uint8_t cmos_read(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static bool is_clean(void)
{
	bool clean = *MARK == 0 && cmos_read(CMOS_CODE) == 0 && !inb(0x4d0) && !inb(0x3ff);

	*MARK = 0x1234;
	outb(0x71, 0x55);
	outb(0x4d0, 0x20); /* ELCR */
	outb(0x3ff, 0x77); /* the UART's scratch register */
	return clean;
}

static char read_letter(void)
{
	while (!(inb(UART_LSR) & LSR_DR))
		pause();
	return (char)inb(UART);
}

static void reset_by(char way)
{
	switch (way) {
	case 'c':
		outb(0xcf9, 0x06);
		break;
	case 'k':
		outb(0x64, 0xfe);
		break;
	case 'f':
		outb(0x92, 0x01);
		break;
	case 't':
		lidt((struct table_ptr){0, 0});
		__asm__ volatile("ud2");
		break;
	case 'q':
		guest_exit(0);
	}
}

void guest_main(void)
{
	if (!boot_option("talk")) {
		printf("KTAP version 1\n1..1\n%sok 1 - the_machine_is_new\n",
		       is_clean() ? "" : "not ");
		return;
	}
	sti(); /* all are masked; with them closed Bochs lets no interrupt of the machine's end a
		  run */
	printf("started: %s\n", is_clean() ? "new" : "used");
	for (;;)
		reset_by(read_letter());
}
