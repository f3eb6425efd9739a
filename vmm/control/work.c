/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The boot CPU's background work: what would take it long is done in slices, each bounded whatever
 * the VMs' size. Between two slices interrupts are open, no reference is held, and the CPU has
 * passed a quiescent state; between two turns its vCPUs run, each for a time slice, as if this work
 * were one of them.
 */
#include "vmm/control/work.h"

#include "drivers/machine.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "mm/grace.h"
#include "mm/host.h"
#include "vmm/control/monitor.h"
#include "vmm/cpu.h"
#include "vmm/dev/timer.h"
#include "vmm/sched.h"
#include "vmm/vm.h"

/* All of the boot CPU. */
static enum onexit when_all_ended;
static bool config_was_bad;
static bool over;               /* what `onexit` says has been done */
static uint32_t machine_status; /* the first status of a VM's that is not 0 */

/* One VM at a time, off the list: it is taken apart, and then perhaps made anew. */
static struct vm *ending, *beginning;

/* --- VMs that have ended --- */

/* One that is to start again may have to wait for that; until then it can still be stopped. */
static bool has_to_wait(const struct vm *vm)
{
	return atomic_load(&vm->restart) && clock_ns() < vm->restart_ns;
}

/* NULL: there is none. */
static struct vm *find_reapable(void)
{
	struct vm *vm = vm_next(NULL);

	while (vm && (!atomic_load(&vm->reapable) || has_to_wait(vm)))
		vm = vm_next(vm);
	return vm;
}

static struct timer restart_timer;

static void fire_restart(struct timer *t)
{
	(void)t;
	vmm_cpu_reschedule(vmm_cpu_by_id(0)); /* this CPU, which may be in a guest */
}

void work_init(enum onexit onexit, bool bad_config)
{
	when_all_ended = onexit;
	config_was_bad = bad_config;
	over = false;
	timer_init(&restart_timer, &vmm_cpu_by_id(0)->timers, fire_restart);
}

static void wait_for_restarts(void)
{
	uint64_t next = TIMER_NEVER;

	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (atomic_load(&vm->reapable))
			next = min(next, vm->restart_ns);
	}
	if (next != restart_timer.deadline_ns)
		timer_arm(&restart_timer, next);
}

static void note_status(uint32_t status)
{
	if (!machine_status)
		machine_status = status;
}

/* False: there is none. */
static bool take_reapable(void)
{
	struct vm *vm = find_reapable();

	if (!vm)
		return false;
	if (!atomic_load(&vm->restart))
		note_status(vm->status);
	list_del(&vm->link);
	ending = vm;
	return true;
}

bool work_is_restarting(void)
{
	return ending || beginning;
}

static void go_on_ending(void)
{
	const struct vm_config *config = ending->config;
	bool restart = atomic_load(&ending->restart);

	if (!vm_destroy_some(ending))
		return;
	ending = NULL;
	if (!restart)
		return;
	beginning = vm_create_begin(config);
	if (beginning)
		return;
	console_give_up();
	note_status(VM_STATUS_KILLED);
}

/* What fails on the way is taken apart, and not tried again. */
static void go_on_beginning(void)
{
	struct vm *vm = beginning;
	int r = vm_create_some(vm);

	if (r > 0)
		return;
	beginning = NULL;
	if (!r)
		return;
	note_status(VM_STATUS_KILLED);
	ending = vm;
}

static void end_and_begin_vms(void)
{
	if (beginning)
		go_on_beginning();
	else if (ending || take_reapable())
		go_on_ending();
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

/* False: what there is has to wait for a grace period. */
static bool zap_some(void)
{
	bool any = false;

	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		any |= mmu_work(&vm->mmu);
	return any;
}

/* --- all together --- */

static bool is_any_vm_left(void)
{
	return vm_next(NULL) || work_is_restarting();
}

/* The list of VMs is the boot CPU's, and so is what is done with it. */
bool work_is_pending(void)
{
	if (host_cpu_id() != 0)
		return false;
	return find_reapable() || is_any_zapping() || work_is_restarting() || monitor_is_busy() ||
	       (!over && !is_any_vm_left());
}

/* False: there is nothing more that can be done now. */
static bool do_slice(void)
{
	bool more = zap_some();

	end_and_begin_vms();
	more |= monitor_work(); /* which may have waited for that */
	if (is_any_vm_left())
		over = false;
	else if (!over)
		all_ended();
	return more || work_is_restarting();
}

/* Between two slices: whatever waits for this CPU. */
static void give_way(void)
{
	struct grace_cpu *me = grace_cpu();

	grace_enter_guest(me);
	grace_exit_guest(me);
	sched_take_interrupts(vmm_cpu_by_id(0));
	grace_poll(me);
}

bool work_do(void)
{
	uint64_t end;
	bool more;

	grace_poll(grace_cpu());
	if (likely(!work_is_pending())) {
		if (host_cpu_id() == 0)
			wait_for_restarts();
		return false;
	}
	end = clock_ns() + SCHED_SLICE_NS;
	do {
		more = do_slice();
		give_way();
	} while (more && clock_ns() < end);
	return work_is_pending();
}
