/* SPDX-License-Identifier: BSD-2-Clause */
/* RDMSR and WRMSR whose #GP is an answer: each is in the exception table (trap.h). */
#include "arch/x86/msr_safe.h"

#include <errno.h>

#include "arch/x86/trap.h"

int rdmsr_safe(uint32_t msr, uint64_t *val)
{
	uint32_t lo = 0, hi = 0;
	int err = -EFAULT;

	__asm__ volatile("1: rdmsr\n\t"
			 "xorl %0, %0\n"
			 "2:\n\t" EXTABLE(1b, 2b)
			 : "+r"(err), "+a"(lo), "+d"(hi)
			 : "c"(msr)
			 : "memory", "cc");
	*val = (uint64_t)hi << 32 | lo;
	return err;
}

int wrmsr_safe(uint32_t msr, uint64_t val)
{
	int err = -EFAULT;

	__asm__ volatile("1: wrmsr\n\t"
			 "xorl %0, %0\n"
			 "2:\n\t" EXTABLE(1b, 2b)
			 : "+r"(err)
			 : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
			 : "memory", "cc");
	return err;
}
