/* SPDX-License-Identifier: BSD-2-Clause */
/* What the x87 remembers of its last instruction (fpu.h); also for programs of the build machine.
 */
#include <string.h>

#include "arch/x86/fpu.h"
#include "lib/bits.h"

/* SDM volume 1, figure 8-9: the 32-bit form of the environment in protected mode. */
struct environment {
	uint32_t control, status, tag, ip;
	uint16_t cs, opcode;
	uint32_t dp, ds;
};

#define OPCODE_MASK 0x7ff

/* Offsets in FXSAVE's area in its 64-bit form: SDM volume 1, table 10-2. */
#define FXSAVE64_IP 8
#define FXSAVE64_DP 16

/* FLDENV has halves of them only. On AMD's older CPUs the other halves are lost. */
static void set_all_64_bits(const struct fpu_pointers *p)
{
	uint8_t area[512] __aligned(16);

	__asm__ volatile("fxsave64 %0" : "=m"(area));
	memcpy(area + FXSAVE64_IP, &p->ip, sizeof(p->ip));
	memcpy(area + FXSAVE64_DP, &p->dp, sizeof(p->dp));
	__asm__ volatile("fxrstor64 %0" : : "m"(area));
}

/* Only exceptions leave an opcode behind on newer CPUs, or nothing does. */
void fpu_set_pointers(const struct fpu_pointers *p)
{
	struct environment e;

	__asm__ volatile("fnstenv %0" : "=m"(e));
	e.ip = (uint32_t)p->ip;
	e.cs = p->cs;
	if (e.opcode & OPCODE_MASK)
		e.opcode = p->opcode & OPCODE_MASK;
	e.dp = (uint32_t)p->dp;
	e.ds = p->ds;
	__asm__ volatile("fldenv %0" : : "m"(e));
	if ((p->ip | p->dp) >> 32)
		set_all_64_bits(p);
}
