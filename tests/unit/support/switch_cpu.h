/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instructions that vmm/vcpu_load.c uses, for test_vcpu_load.c: in the place of
 * arch/x86/cpu.h.
 */
#ifndef TESTS_UNIT_SUPPORT_SWITCH_CPU_H
#define TESTS_UNIT_SUPPORT_SWITCH_CPU_H

#define ARCH_X86_CPU_H

#include <stdint.h>

uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t val);
uint64_t xgetbv(uint32_t xcr);
void clear_cpu_buffers(void);
void fill_return_predictor(void);

uint64_t read_dr0(void);
uint64_t read_dr1(void);
uint64_t read_dr2(void);
uint64_t read_dr3(void);
void write_dr0(uint64_t val);
void write_dr1(uint64_t val);
void write_dr2(uint64_t val);
void write_dr3(uint64_t val);

#endif
