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

#define HC_ENOSYS (-38l)
#define HC_EPERM  (-1l)

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
static inline long hypercall(unsigned long nr, unsigned long arg)
{
	long ret;

	if (is_amd())
		__asm__ volatile("vmmcall" : "=a"(ret) : "a"(nr), "D"(arg) : "memory");
	else
		__asm__ volatile("vmcall" : "=a"(ret) : "a"(nr), "D"(arg) : "memory");
	return ret;
}

#endif
