/* SPDX-License-Identifier: BSD-2-Clause */
/* Saving and loading of the floating-point and vector state: see fpu.h. */
#include "arch/x86/fpu.h"

#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/regs.h"
#include "arch/x86/xstate.h"

#define FXSAVE_SIZE  512
#define FXSAVE_FCW   0
#define FXSAVE_MXCSR 24
#define FCW_RESET    0x40 /* SDM volume 3, table 9-1 */
#define MXCSR_RESET  0x1f80

static uint64_t xcr0_mask __ro_after_init; /* 0: no XSAVE */
static size_t area_size __ro_after_init = FXSAVE_SIZE;
static bool keeps_pointers __ro_after_init; /* see fpu_restore() */

/* A firmware can limit CPUID to its first leaves, for old operating systems. */
static bool may_have_xsave(void)
{
	return cpu_has(FEATURE_XSAVE) && cpuid(0).eax >= 0xd;
}

void fpu_init_cpu(void)
{
	uint8_t area[FXSAVE_SIZE + 64] __aligned(64) = {};

	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | (may_have_xsave() ? CR4_OSXSAVE : 0));
	if (may_have_xsave())
		xstate_check_cpu();
	fpu_init_area(area);
	__asm__ volatile("fxrstor64 %0" ::"m"(area));
}

void fpu_settle(void)
{
	keeps_pointers = cpu_vendor() == VENDOR_AMD && !cpu_has(FEATURE_X87_POINTERS);
	xcr0_mask = xstate_components();
	if (xcr0_mask)
		area_size = xstate_area_size(xcr0_mask);
}

void fpu_enable_cpu(void)
{
	if (xcr0_mask)
		xsetbv(0, xcr0_mask);
}

bool fpu_has_xsave(void)
{
	return xcr0_mask;
}

size_t fpu_area_size(void)
{
	return area_size;
}

void fpu_init_area(void *area)
{
	uint16_t fcw = FCW_RESET;
	uint32_t mxcsr = MXCSR_RESET;

	memcpy((uint8_t *)area + FXSAVE_FCW, &fcw, sizeof(fcw));
	memcpy((uint8_t *)area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	/* XSTATE_BV = x87: FCW is not what XRSTOR's initial state would give. */
	if (xcr0_mask)
		((uint8_t *)area)[FXSAVE_SIZE] = XCR0_X87;
}

void fpu_save(void *area, uint64_t xcr0)
{
	if (!xcr0_mask) {
		__asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
		return;
	}
	if (xcr0 != xcr0_mask)
		xsetbv(0, xcr0_mask);
	__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
}

/*
 * Loading leaves the pointers to the last x87 instruction alone on AMD's older CPUs, unless an
 * exception waits: the next guest would see where the last one was (APM volume 3, XRSTOR).
 */
void fpu_restore(const void *area, uint64_t xcr0)
{
	if (unlikely(keeps_pointers))
		fpu_forget_pointers();
	if (!xcr0_mask) {
		__asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
		return;
	}
	__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(-1), "d"(-1) : "memory");
	if (xcr0 != xcr0_mask)
		xsetbv(0, xcr0);
}
