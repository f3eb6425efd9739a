/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text out through the first UART, polled: no interrupt and no buffer stands between a failing
 * machine and its last words. Several CPUs may print; a lock keeps lines whole.
 */
#include <stdarg.h>
#include <stdio.h>

#include "cpu.h"
#include "ktap.h"

#define UART       0x3f8
#define UART_LCR   (UART + 3)
#define UART_LSR   (UART + 5)
#define LSR_THRE   0x20
#define LSR_TEMT   0x40
#define DEBUG_EXIT 0xf4

static volatile int print_lock;

void console_init(void)
{
	outb(UART + 1, 0);
	outb(UART_LCR, 0x83); /* 8n1, divisor latch open */
	outb(UART, 1);
	outb(UART + 1, 0);
	outb(UART_LCR, 0x03);
	outb(UART + 2, 0x01);
	outb(UART + 4, 0x03);
}

void putchar_raw(char c)
{
	while (!(inb(UART_LSR) & LSR_THRE))
		pause();
	outb(UART, (uint8_t)c);
}

int printf(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	while (__atomic_exchange_n(&print_lock, 1, __ATOMIC_ACQUIRE))
		pause();
	for (char *p = line; *p; p++)
		putchar_raw(*p);
	__atomic_store_n(&print_lock, 0, __ATOMIC_RELEASE);
	return len;
}

_Noreturn void guest_exit(unsigned code)
{
	while (!(inb(UART_LSR) & LSR_TEMT))
		pause();
	outl(DEBUG_EXIT, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}

_Noreturn void bail_out(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_lock = 0; /* its holder may be the CPU that failed */
	printf("Bail out! %s\n", text);
	guest_exit(1);
}
