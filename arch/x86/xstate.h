/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Can XSAVE be trusted? Whoever switches registers with it, Umbra or a guest's kernel, relies on
 * sizes that CPUID tells and on each component coming back as it was. A CPU that has this wrong
 * destroys the registers of processes without a word. So it is tried on each CPU when that starts:
 * what fails anywhere is used nowhere, and hidden from guests. SDM volume 1, chapter 13.
 */
#ifndef ARCH_X86_XSTATE_H
#define ARCH_X86_XSTATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Try all of it on the calling CPU: first on the boot CPU, after that on others, at the same time
 * if need be. XSAVE is there by CPUID, and CR4.OSXSAVE is set. XCR0 is what has passed, or x87
 * alone, and its components are in their initial state.
 */
void xstate_check_cpu(void);

/*
 * The components, as bits of XCR0, and the instructions, as bits of CPUID leaf 0xd, subleaf 1, EAX,
 * that have passed on each CPU so far; 0 components: XSAVE is not to be used at all.
 */
uint64_t xstate_components(void);
uint32_t xstate_instructions(void);

/* Bytes of an area of the standard format with these components. */
size_t xstate_area_size(uint64_t components);

/* Tell the log what has failed and has not been told yet. Boot CPU. */
void xstate_report(void);

#endif
