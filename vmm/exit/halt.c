/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/halt.h"

#include "arch/x86/regs.h"
#include "vmm/event.h"
#include "vmm/vm.h"

/*
 * A VM none of whose vCPUs can ever wake by itself has come to its end: every one is halted with
 * interrupts off, or waits for a SIPI that nobody is left to send.
 *
 * vm->dead counts them in its low half, and in its high half how often that number has changed. A
 * vCPU is counted from the end of one look at its requests to the beginning of the next, before it
 * takes any. So a CPU that counts the last one, then finds no request in any of them, and then
 * finds the word unchanged, has seen all of them dead and without a request at the same time. If
 * there is a request, its vCPU will look at it, and do all this again.
 */
#define DEAD_CHANGE BIT_ULL(32)

static bool has_requests(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		if (atomic_load(&vm->vcpus[i]->requests))
			return true;
	}
	return false;
}

static void count_dead(struct vcpu *v)
{
	struct vm *vm = v->vm;
	uint64_t word = atomic_fetch_add(&vm->dead, DEAD_CHANGE + 1) + DEAD_CHANGE + 1;

	v->counted_dead = true;
	if ((uint32_t)word == vm->nr_vcpus && !has_requests(vm) && atomic_load(&vm->dead) == word)
		vm_end(vm, VM_HALTED_FOR_GOOD, VM_STATUS_KILLED);
}

void halt_count_alive(struct vcpu *v)
{
	v->counted_dead = false;
	atomic_fetch_add(&v->vm->dead, DEAD_CHANGE - 1);
}

static bool is_dead(struct vcpu *v)
{
	if (v->state == VCPU_WAIT_FOR_SIPI)
		return true;
	return v->state == VCPU_HALTED && !(virt_rflags(&v->virt) & RFLAGS_IF) &&
	       !(v->nmis_pending && !v->nmi_masked);
}

void halt_count_if_dead(struct vcpu *v)
{
	if (is_dead(v))
		count_dead(v);
}

/* Closed interrupts may open in the handler of an NMI; until then only that can wake it. */
void halt_execute(struct vcpu *v)
{
	vcpu_sync_task_priority(v);
	if (!event_wakes(v))
		vcpu_set_state(v, VCPU_HALTED);
	vcpu_request(v, REQ_EVENT);
}
