/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IN, OUT, INS and OUTS. Inline: it comes often, and the run loop of each vendor has its own copy.
 */
#ifndef VMM_EXIT_IO_H
#define VMM_EXIT_IO_H

#include "vmm/exit/breakpoint.h"
#include "vmm/exit/insn.h"
#include "vmm/vm.h"

/* IN writes the low part of RAX, except that 32 bits clear the upper half as always. */
static inline uint64_t io_merge_rax(uint64_t rax, uint64_t val, unsigned size)
{
	switch (size) {
	case 1:
		return (rax & ~0xffull) | (uint8_t)val;
	case 2:
		return (rax & ~0xffffull) | (uint16_t)val;
	default:
		return (uint32_t)val;
	}
}

/* EXIT_IO. Owner CPU. */
static __always_inline void io_exit(struct vcpu *v, const struct vm_exit *exit)
{
	uint64_t *rax = &v->virt.gpr[GPR_RAX];
	unsigned size = exit->io.size;

	if (exit->io.flags & IO_STRING) {
		insn_emulate_or_refuse(v);
		return;
	}
	if (exit->io.flags & IO_IN)
		*rax = io_merge_rax(*rax, platform_pio_read(v->vm->platform, exit->io.port, size),
				    size);
	else
		platform_pio_write(v->vm->platform, exit->io.port, size,
				   *rax & (~0ull >> (64 - 8 * size)));
	vcpu_skip(v, exit->io.len);
	if (unlikely(virt_dr7(&v->virt) & DR7_ENABLED))
		breakpoint_port_trap(v, exit->io.port, size);
}

#endif
