/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to device registers as functions of test_serial.c, in the place of the instructions. */
#ifndef TESTS_UNIT_SUPPORT_PORT_CPU_H
#define TESTS_UNIT_SUPPORT_PORT_CPU_H

#include "arch/x86/cpu.h"

uint32_t test_read(bool is_mmio, uint64_t addr, unsigned size);
void test_write(bool is_mmio, uint64_t addr, unsigned size, uint32_t val);

#define inb(port)            ((uint8_t)test_read(false, port, 1))
#define outb(port, val)      test_write(false, port, 1, val)
#define mmio_read8(p)        ((uint8_t)test_read(true, (uint64_t)(p), 1))
#define mmio_read16(p)       ((uint16_t)test_read(true, (uint64_t)(p), 2))
#define mmio_read32(p)       test_read(true, (uint64_t)(p), 4)
#define mmio_write8(p, val)  test_write(true, (uint64_t)(p), 1, val)
#define mmio_write16(p, val) test_write(true, (uint64_t)(p), 2, val)
#define mmio_write32(p, val) test_write(true, (uint64_t)(p), 4, val)

#endif
