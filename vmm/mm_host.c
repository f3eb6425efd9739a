/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's side of mm/host.h: which CPU is this, and what is asked of a VM's vCPUs: to have
 * forgotten, when the call returns.
 */
#include "mm/host.h"

#include "arch/x86/cpu.h"
#include "arch/x86/percpu.h"
#include "vmm/cpu.h"
#include "vmm/vm.h"

static_assert(HOST_MAX_CPUS == CPU_MAX, "mm/ indexes its arrays by our CPU numbers");

uintptr_t host_direct_map __ro_after_init;

unsigned host_cpu_id(void)
{
	return cpu_id();
}

unsigned host_nr_cpus(void)
{
	return cpu_count();
}

/*
 * A vCPU that was in guest mode when it got the request is out of it when its CPU says so, or when
 * it has taken the request; it cannot come back without having looked (vmm/vcpu.h).
 */
static void wait_until_out(struct vcpu *v, uint32_t request)
{
	struct vmm_cpu *c = vmm_cpu_by_id(v->pcpu);

	while (atomic_load(&c->mode) == CPU_IN_GUEST && atomic_load(&c->loaded) == v &&
	       (atomic_load(&v->requests) & request))
		cpu_relax();
}

static void request_and_wait(struct vm *vm, uint32_t request)
{
	vm_request(vm, request);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		wait_until_out(vm->vcpus[i], request);
}

void host_flush_vm(struct vm *vm)
{
	request_and_wait(vm, REQ_FLUSH);
}

void host_reload_roots(struct vm *vm)
{
	request_and_wait(vm, REQ_RELOAD_ROOT);
}

/* One that is not in guest mode now looks at the request, and then at the flag, before it is. */
void host_log_writes(struct vm *vm, bool on)
{
	atomic_store(&vm->logs_writes, on);
	request_and_wait(vm, REQ_LOG);
}

void host_gather_writes(struct vm *vm)
{
	request_and_wait(vm, REQ_OUT);
}
