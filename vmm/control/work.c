/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/control/work.h"

#include "drivers/machine.h"
#include "lib/log.h"
#include "mm/grace.h"
#include "mm/host.h"
#include "vmm/control/monitor.h"
#include "vmm/vm.h"

/* All of the boot CPU. */
static enum onexit when_all_ended;
static bool config_was_bad;
static bool over;               /* what `onexit` says has been done */
static uint32_t machine_status; /* the first status of a VM's that is not 0 */

void work_init(enum onexit onexit, bool bad_config)
{
	when_all_ended = onexit;
	config_was_bad = bad_config;
	over = false;
}

/* --- VMs that have ended --- */

static bool is_any_reapable(void)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (atomic_load(&vm->reapable))
			return true;
	}
	return false;
}

static void reap(struct vm *vm)
{
	const struct vm_config *config = vm->config;
	bool restart = atomic_load(&vm->restart);

	if (!machine_status)
		machine_status = vm->status;
	list_del(&vm->link);
	/* A periodic timer goes on without its vCPU, and its callback arms it again. */
	platform_shut_timers(vm->platform);
	grace_wait(); /* CPUs that were about to kick or to fire a timer of this VM are done */
	vm_destroy(vm);
	if (restart && !vm_create(config) && !machine_status)
		machine_status = VM_STATUS_KILLED;
}

static void reap_all(void)
{
	struct vm *vm = vm_next(NULL);

	while (vm) {
		struct vm *next = vm_next(vm);

		if (atomic_load(&vm->reapable))
			reap(vm);
		vm = next;
	}
}

__noreturn void work_end_machine(enum onexit onexit, uint32_t status)
{
	log_info("umbra: exit status %u", status);
	switch (onexit) {
	case ONEXIT_POWEROFF:
		machine_power_off(status);
	case ONEXIT_REBOOT:
		machine_reboot();
	default:
		machine_halt(status);
	}
}

static void all_ended(void)
{
	uint32_t status = machine_status;

	if (!status && config_was_bad)
		status = STATUS_BAD_CONFIG;
	over = true;
	if (when_all_ended == ONEXIT_MONITOR)
		monitor_enter();
	else
		work_end_machine(when_all_ended, status);
}

/* --- the engines --- */

static bool is_any_zapping(void)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (mmu_has_work(&vm->mmu))
			return true;
	}
	return false;
}

static void zap_some(void)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		mmu_work(&vm->mmu);
}

/* --- all together --- */

/* The list of VMs is the boot CPU's, and so is what is done with it. */
bool work_is_pending(void)
{
	if (host_cpu_id() != 0)
		return false;
	return is_any_reapable() || is_any_zapping() || (!over && !vm_next(NULL));
}

void work_do(void)
{
	grace_poll(grace_cpu());
	if (likely(!work_is_pending()))
		return;
	zap_some();
	reap_all();
	if (vm_next(NULL))
		over = false;
	else if (!over)
		all_ended();
}
