/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include "apic.h"
#include "boot.h"
#include "ktap.h"
#include "trap.h"
#include "paging.h"
#define LOOP(insn) do { unsigned long n = 20000; __asm__ volatile("1: " insn "\n dec %0\n jnz 1b" : "+r"(n) : "D"(0xfec00010ul) : "rax","rcx","rdx","rbx","memory","cc"); } while (0)
TEST(prof)
{
	const char *op = boot_option("op");
	if (!op || !strncmp(op, "cpuid", 5)) LOOP("xor %%eax,%%eax; cpuid");
	else if (!strncmp(op, "rdmsr", 5)) LOOP("mov $0x1b,%%ecx; rdmsr");
	else if (!strncmp(op, "in", 2)) LOOP("mov $0x4d0,%%dx; in %%dx,%%al");
	else if (!strncmp(op, "ioapic", 6)) LOOP("mov (%%rdi),%%eax");
}
