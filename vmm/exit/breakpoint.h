/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Breakpoints on what is done in software: the CPU looks for them in what it executes itself, and
 * that is not an instruction that exits (SDM volume 3, 17.2; APM volume 2, 13.1.1). A trap comes
 * behind the instruction, or the iteration of a repeated one, and single steps go the same way
 * (event_raise_debug()). Without an enabled breakpoint in DR7 nothing of this is called.
 */
#ifndef VMM_EXIT_BREAKPOINT_H
#define VMM_EXIT_BREAKPOINT_H

#include "arch/x86/regs.h"
#include "vmm/vm.h"

/* What DR7 calls R/W: the kinds of accesses that a breakpoint is for. */
enum breakpoint_kind { BREAK_EXECUTE, BREAK_WRITE, BREAK_PORT, BREAK_ACCESS };

/*
 * Which enabled breakpoints does an access of `len` bytes at `at` hit, which is a linear address or
 * a port? Bits of DR6. A write also hits what is for all accesses (BREAK_ACCESS), a read that
 * alone. The vCPU is loaded, for DR0 to DR3 are in the CPU.
 */
uint64_t breakpoint_hits(uint64_t dr7, enum breakpoint_kind kind, uint64_t at, unsigned len);

/* Ports break only with CR4.DE. Owner CPU. */
uint64_t breakpoint_port_hits(struct vcpu *v, uint16_t port, unsigned size);

/* A port was accessed by an instruction that has come to its end: queue what it raises. Owner CPU.
 */
void breakpoint_port_trap(struct vcpu *v, uint16_t port, unsigned size);

#endif
