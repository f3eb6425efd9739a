/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an emulated CPU may do against the manual, found by trying, whatever it calls itself: a
 * guest may be several hypervisors above it. Each probe here and in the payloads
 *
 *  - looks at another instance of the flaw than the test that it is for (another register, width
 *    or instruction), so that on an able CPU the test can still fail;
 *  - is for AMD's CPUs only: those of the Intel machines have none of these flaws, and what looks
 *    like one there is a fault of the hypervisor's;
 *  - is not asked at all where the hypervisor answers, and not the CPU: see refuses_values().
 */
#ifndef GUEST_FLAWS_H
#define GUEST_FLAWS_H

#include "hypercall.h"
#include "user.h"

/* Whether a CPU is without a flaw that this probe looks for. */
#define IS_ABLE(probe) (!is_amd() || (probe))

/*
 * Whether registers refuse values that the manual calls illegal. Umbra has to see to that on every
 * CPU. A bare one that takes bit 63 in CSTAR (QEMU 7.2's does) checks hardly anything, and has not
 * all registers either.
 */
bool refuses_values(void);

/* An alignment check, of a word at CPL 3. */
bool has_alignment_checks(void);

/* Whether the CPU refuses reserved bits of CR8; bit 32 is tried. */
bool refuses_cr8_bits(void);

/* What a fault pushes: RF set, as of a division by zero. */
bool sets_rf(void);

/* For a fault that was caught, which stays fault(): bytes of a gate by which the error code of a
 * bad one is counted: 8; 16 in 64-bit mode of a CPU with a flaw. */
unsigned gate_bytes_in_errors(void);

/* A byte behind the limit of a data segment in GS; only for 32-bit code. */
bool has_segment_limits(void);

/*
 * Whether a MOV to CR3 refuses reserved bits. This cannot be tried: the next instruction's fetch
 * would end the VM. Who runs the payload says "cr3=unchecked" where the CPU takes them.
 */
bool refuses_cr3_bits(void);

/*
 * Whether a page fault that the hypervisor raises leaves its address in CR2; asked of an OUTS from
 * a page that is absent.
 */
bool keeps_fault_address(const volatile void *absent);

/* Whether DR6 says what caused a #DB; asked of a single step. */
bool notes_steps(void);

/*
 * Neither can be tried: a step, or the event that an exit has interrupted, is not the guest's any
 * more where these go wrong. Who runs the payload says "step=late" and "intinfo=stale".
 */
bool steps_across_exits(void);
bool resumes_events(void);

#endif
