/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls a guest that knows Umbra can make. Arguments are the guest's: any value may come. */
#include "vmm/hypercall.h"

#include "lib/clock.h"
#include "vmm/vm.h"

static uint64_t put_byte(struct vcpu *v, uint64_t byte)
{
	struct console *console = &v->vm->console;

	console->output(console, (uint8_t)byte);
	return 0;
}

static uint64_t call(struct vcpu *v, uint64_t number, uint64_t arg)
{
	switch (number) {
	case HYPERCALL_NULL:
		return 0;
	case HYPERCALL_VERSION:
		return HYPERCALL_ABI_VERSION;
	case HYPERCALL_EXIT:
		vm_end(v->vm, VM_HYPERCALL_EXIT, arg & 0xff);
		return 0;
	case HYPERCALL_PUTC:
		return put_byte(v, arg);
	case HYPERCALL_CLOCK:
		return clock_ns();
	default:
		return HYPERCALL_ENOSYS;
	}
}

void hypercall_execute(struct vcpu *v)
{
	uint64_t *gpr = v->virt.gpr;

	if (virt_cpl(&v->virt) != 0)
		gpr[GPR_RAX] = HYPERCALL_EPERM;
	else
		gpr[GPR_RAX] = call(v, vcpu_gpr(v, GPR_RAX), vcpu_gpr(v, GPR_RDI));
}
