/* SPDX-License-Identifier: BSD-2-Clause */
/* RDMSR and WRMSR with a net, for MSRs that the CPU may not have (Intel SDM volume 2, RDMSR). */
#ifndef ARCH_X86_MSR_SAFE_H
#define ARCH_X86_MSR_SAFE_H

#include <stdint.h>

/*
 * 0; or -EFAULT instead of #GP, when this CPU does not have the MSR or does not take the value.
 * After -EFAULT `*val` is 0. Any CPU, once its IDT is loaded.
 */
int rdmsr_safe(uint32_t msr, uint64_t *val);
int wrmsr_safe(uint32_t msr, uint64_t val);

#endif
