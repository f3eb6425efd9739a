/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls a guest that knows Umbra can make. Arguments are the guest's: any value may come. */
#include "vmm/hypercall.h"

#include "lib/clock.h"
#include "vmm/vm.h"

static __cold uint64_t put_byte(struct vcpu *v, uint64_t byte)
{
	struct console *console = &v->vm->console;

	console->output(console, (uint8_t)byte);
	return 0;
}

static __cold uint64_t end(struct vcpu *v, uint64_t status)
{
	vm_end(v->vm, VM_HYPERCALL_EXIT, status & 0xff);
	return 0;
}

uint64_t hypercall_execute(struct vcpu *v, uint64_t number, uint64_t arg)
{
	switch (number) {
	case HYPERCALL_NULL:
		return 0;
	case HYPERCALL_VERSION:
		return HYPERCALL_ABI_VERSION;
	case HYPERCALL_EXIT:
		return end(v, arg);
	case HYPERCALL_PUTC:
		return put_byte(v, arg);
	case HYPERCALL_CLOCK:
		return clock_ns();
	default:
		return HYPERCALL_ENOSYS;
	}
}
