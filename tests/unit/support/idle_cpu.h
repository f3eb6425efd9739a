/* SPDX-License-Identifier: BSD-2-Clause */
/* A CPU that takes interrupts when test_sched.c says so, in the place of the instructions. */
#ifndef TESTS_UNIT_SUPPORT_IDLE_CPU_H
#define TESTS_UNIT_SUPPORT_IDLE_CPU_H

#include "arch/x86/cpu.h"

#define cpu_wait_for_interrupt test_wait_for_interrupt
#define cpu_take_interrupts    test_take_interrupts

void test_wait_for_interrupt(void);
void test_take_interrupts(void);

#endif
