/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A running VM: the list of them, requests to all its vCPUs, and its end. The end comes in three
 * steps: anybody sets vm->end and asks the vCPUs to stop; each leaves its run queue; the boot CPU
 * then frees what is left (vmm/control/work.c).
 */
#include "vmm/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "vmm/cpu.h"
#include "vmm/dev/e820.h"

static struct list vms = LIST_INIT(vms); /* boot CPU */

struct vm *vm_next(struct vm *vm)
{
	struct list *next = vm ? vm->link.next : vms.next;

	return next == &vms ? NULL : list_entry(next, struct vm, link);
}

struct vm *vm_find(const char *name)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (!strcmp(vm->name, name))
			return vm;
	}
	return NULL;
}

void vm_add(struct vm *vm)
{
	list_add_tail(&vm->link, &vms);
}

void vm_request(struct vm *vm, uint32_t requests)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_request(vm->vcpus[i], requests);
}

void vm_pause(struct vm *vm, bool paused)
{
	atomic_store(&vm->paused, paused);
	vm_request(vm, REQ_EVENT);
	/* While it was paused nobody looked at the requests, and this one may have been there. */
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vmm_cpu_kick(vmm_cpu_by_id(vm->vcpus[i]->pcpu));
}

uint64_t vm_ram_slot(const struct vm *vm, unsigned id, gfn_t *base)
{
	uint64_t bytes = vm->config->mem_bytes;
	uint64_t low = min(bytes, RAM_LOW_LIMIT);

	*base = id == VM_SLOT_LOW_RAM ? GFN(0) : GFN(BIT_ULL(32) >> PAGE_SHIFT);
	return (id == VM_SLOT_LOW_RAM ? low : bytes - low) >> PAGE_SHIFT;
}

/* What a PC does at a reset, and at the shutdown that follows a triple fault. */
static bool starts_again(const struct vm *vm, enum vm_end why)
{
	return !vm->config->ends_at_reset && (why == VM_RESET || why == VM_TRIPLE_FAULT);
}

void vm_end(struct vm *vm, enum vm_end why, uint32_t status)
{
	enum vm_end running = VM_RUNNING;

	if (!atomic_compare_exchange_strong(&vm->end, &running, why))
		return;
	vm->status = status;
	if (!atomic_load(&vm->restart) && starts_again(vm, why)) {
		vm->restart_ns = vm->started_ns + VM_RESTART_NS;
		atomic_store(&vm->restart, true);
	}
	vm_request(vm, REQ_STOP);
}

void vm_bug(struct vcpu *v, enum vm_end why, const char *fmt, ...)
{
	char text[LOAD_ERROR_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_error("vm %s: vcpu %u: %s", v->vm->name, v->id, text);
	virt_dump(&v->virt);
	vm_end(v->vm, why, VM_STATUS_KILLED);
}

static const char *const end_names[] = {
	[VM_POWER_OFF] = "power-off",
	[VM_RESET] = "reset",
	[VM_DEBUG_EXIT] = "debug-exit",
	[VM_HYPERCALL_EXIT] = "exit hypercall",
	[VM_TRIPLE_FAULT] = "triple fault",
	[VM_HALTED_FOR_GOOD] = "all its CPUs are halted and nothing can wake them",
	[VM_STOPPED_BY_USER] = "stopped by the monitor",
	[VM_KILLED] = "killed",
	[VM_UMBRA_FAULT] = "killed: a fault of Umbra's own",
};

void vm_vcpu_stopped(struct vcpu *v)
{
	struct vm *vm = v->vm;

	if (atomic_fetch_sub(&vm->live_vcpus, 1) > 1)
		return;
	if (vm->restart_ns)
		log_info("vm %s: %s: starts again", vm->name, end_names[atomic_load(&vm->end)]);
	else
		log_info("vm %s: ended: %s, status %u", vm->name, end_names[atomic_load(&vm->end)],
			 vm->status);
	atomic_store(&vm->reapable, true);
	vmm_cpu_reschedule(vmm_cpu_by_id(0));
}
