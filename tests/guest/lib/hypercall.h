/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is Umbra underneath, and its hypercalls. Not for a machine that has another hypervisor or none.
 */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include <string.h>

#include "x86.h"

#define HC_NULL     0 /* returns 0 */
#define HC_VERSION  1
#define HC_EXIT     2 /* ends the VM with a status */
#define HC_PUTCHAR  3
#define HC_CLOCK_NS 4

#define HC_DIRTY_START   5
#define HC_DIRTY_COLLECT 6 /* gpa, pages, gpa of the bitmap */
#define HC_DIRTY_STOP    7
#define HC_ZAP           8

#define HC_EPERM  (-1l)
#define HC_ENOENT (-2l)
#define HC_EFAULT (-14l)
#define HC_EBUSY  (-16l)
#define HC_EEXIST (-17l)
#define HC_EINVAL (-22l)
#define HC_ENOSYS (-38l)

static inline bool is_umbra(void)
{
	struct cpuid r;

	if (!HAS_HYPERVISOR)
		return false;
	r = cpuid(0x40000000);
	return !memcmp(&r.b, "UmbraUmbra\0\0", 12);
}

static inline bool is_amd(void)
{
	return cpuid(0).b == 0x68747541; /* "Auth" */
}

/* rax = number; rdi, rsi, rdx, r10 = arguments (edi, esi, edx in 32-bit code). */
static inline long hypercall3(unsigned long nr, unsigned long arg, unsigned long arg2,
			      unsigned long arg3)
{
	long ret;

	if (is_amd())
		__asm__ volatile("vmmcall"
				 : "=a"(ret)
				 : "a"(nr), "D"(arg), "S"(arg2), "d"(arg3)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "=a"(ret)
				 : "a"(nr), "D"(arg), "S"(arg2), "d"(arg3)
				 : "memory");
	return ret;
}

static inline long hypercall(unsigned long nr, unsigned long arg)
{
	return hypercall3(nr, arg, 0, 0);
}

#endif
