/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/cpu.h"

#include "arch/x86/apic.h"
#include "arch/x86/irq.h"
#include "vmm/turn.h"

static struct vmm_cpu vmm_cpus[CPU_MAX];

struct vmm_cpu *vmm_cpu_by_id(unsigned id)
{
	return &vmm_cpus[id];
}

void vmm_cpu_kick(struct vmm_cpu *c)
{
	if (c != vmm_this_cpu() && atomic_load(&c->mode) != CPU_BUSY)
		apic_send_ipi(c->id, IRQ_VECTOR_KICK);
}

void vmm_cpu_interrupt_self(void)
{
	apic_send_ipi(vmm_this_cpu()->id, IRQ_VECTOR_KICK);
}

void vmm_cpu_reschedule(struct vmm_cpu *c)
{
	struct vcpu *v;

	atomic_store(&c->reschedule, true);
	v = atomic_load(&c->loaded);
	if (v)
		atomic_fetch_or(&v->requests, REQ_YIELD);
	vmm_cpu_kick(c);
}

/* Out of line: what it works with is not to occupy registers on the way of an exit. */
__attribute__((noinline)) void vcpu_request(struct vcpu *v, uint32_t requests)
{
	struct vmm_cpu *c = vmm_cpu_by_id(v->pcpu);
	uint32_t old = atomic_fetch_or(&v->requests, requests);

	/* (A), (F), (G) and (B) of vmm/vcpu.h. Who set these bits before has kicked for them. */
	if ((old & requests) == requests)
		return;
	if (likely(atomic_load(&c->loaded) == v && atomic_load(&v->state) == VCPU_RUNNABLE))
		vmm_cpu_kick(c);
	else
		turn_wake(c, v, requests & ~old);
}
