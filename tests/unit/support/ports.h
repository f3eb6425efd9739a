/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports of the machine that are functions of a test's: in the place of arch/x86/cpu.h. */
#ifndef TESTS_UNIT_SUPPORT_PORTS_H
#define TESTS_UNIT_SUPPORT_PORTS_H

#define ARCH_X86_CPU_H

#include <stdint.h>

uint8_t inb(uint16_t port);
uint16_t inw(uint16_t port);
uint32_t inl(uint16_t port);
void outl(uint16_t port, uint32_t val);
void outw(uint16_t port, uint16_t val);
void outb(uint16_t port, uint8_t val);

#endif
