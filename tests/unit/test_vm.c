/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of VMs: made out of a description with every allocation failing in its turn, paused,
 * ended, freed, made anew. Whatever fails: one line says so, nothing is lost, and the others do not
 * notice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/clock.h"
#include "tests/unit/support/fake_virt.h"
#include "tests/unit/vm/fake_vmm.h"
#include "tests/unit/vm/vms.h"
#include "vmm/control/work.h"
#include "vmm/exit/requests.h"

static unsigned until_failure, allocations;

static bool fail_one(void)
{
	return ++allocations == until_failure;
}

/* Create the VM with each allocation failing in its turn; then it works. */
static void fail_at_each_site(const struct vm_config *config)
{
	struct vm *neighbour = vm_create(&vms_other), *vm;
	uint64_t free, seen = 0;
	unsigned failures = 0, without_tables = 0;
	char prefix[48];

	assert_non_null(neighbour);
	/* Once to fill what is kept for the next time. */
	vms_end_and_reap(vm_create(config));
	free = vms_free_frames();
	snprintf(prefix, sizeof(prefix), "vm %s: ", config->name);
	mm_inject_failure = fail_one;
	allocations = until_failure = 0;
	while (allocations >= until_failure) { /* the last time nothing failed */
		allocations = 0;
		fake_added = 0;
		vms_forget_log();
		until_failure++;
		vm = vm_create(config);
		if (vm) { /* RAM can do with smaller pieces */
			assert_int_equal(fake_added, config->vcpus);
			vms_end_and_reap(vm);
			continue;
		}
		failures++;
		assert_int_equal(fake_added, 0);
		assert_int_equal(vms_log_lines, 1);
		assert_memory_equal(vms_log, prefix, strlen(prefix));
		assert_non_null(strstr(vms_log, "memory"));
		without_tables +=
			!!strstr(vms_log, "mem=4096K: not enough free memory for its page "
					  "tables: of ");
		assert_int_equal(vms_count(), 1);
		assert_int_equal(vms_free_frames(), free);
		assert_ptr_equal(vm_find("other"), neighbour);
		assert_int_equal(neighbour->end, VM_RUNNING);
		assert_int_equal(guest_read(&neighbour->mem, GPA(0x100000), &seen, sizeof(seen)),
				 0);
		assert_int_equal(seen, 0x5a5a5a5a5a5a5a5a);
	}
	assert_true(failures > 8);
	assert_true(without_tables > 63);
	mm_inject_failure = NULL;
	assert_int_equal(vms_free_frames(), free);
	vms_end_and_reap(neighbour);
	assert_int_equal(vms_count(), 0);
}

static void every_failure_of_a_creation_is_clean(void **state)
{
	fail_at_each_site(&vms_flat);
}

static void every_failure_of_a_firmware_guest_is_clean(void **state)
{
	fail_at_each_site(&vms_bios);
}

/* What is wrong with a file is said once, and by who knows. */
static void a_file_that_does_not_fit_is_one_line(void **state)
{
	uint64_t free;

	vms_end_and_reap(vm_create(&vms_flat));
	free = vms_free_frames();
	vms_forget_log();
	vms_flat.load_addr = 5 << 20;
	assert_null(vm_create(&vms_flat));
	assert_int_equal(vms_log_lines, 1);
	assert_non_null(strstr(vms_log, "vm flat: "));
	vms_forget_log();
	vms_flat.load_addr = 1 << 20;
	vms_flat.nr_modules = 2;
	vms_flat.module[1] = vms_flat.module[0];
	assert_null(vm_create(&vms_flat));
	assert_string_equal(vms_log, "vm flat: fwcfg=opt/answer: this file exists already\n");
	assert_int_equal(vms_free_frames(), free);
}

static void the_end_comes_once_and_the_boot_cpu_hears_of_it(void **state)
{
	struct vm *vm = vm_create(&vms_other);

	vms_forget_log();
	fake_rescheduled[0] = 0;
	vm_end(vm, VM_DEBUG_EXIT, 7);
	vm_end(vm, VM_POWER_OFF, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(vms_log_lines, 0);
		assert_int_equal(fake_rescheduled[0], 0);
		vm_vcpu_stopped(vm->vcpus[i]);
	}
	assert_string_equal(vms_log, "vm other: ended: debug-exit, status 7\n");
	assert_int_equal(fake_rescheduled[0], 1); /* it may run a guest that never halts */
	work_init(ONEXIT_POWEROFF, false);
	if (!setjmp(fake_powered_off))
		work_do();
	assert_int_equal(fake_status, 7);
}

/*
 * All pages of the account are in use and the tree that has one is obsolete: no vCPU gets a root
 * before all have left the old one, none is entered meanwhile, and the VM lives.
 */
static void a_root_waits_for_obsolete_trees(void **state)
{
	struct vm *vm = vm_create(&vms_other);
	void *kept[512], *page;
	unsigned nr = 0, rounds = 0;
	bool waiting = true;

	fake_cpus[0].grace = fake_cpus[1].grace = grace_cpu();
	while ((page = account_charge(&vm->account)))
		kept[nr++] = page;
	slots_zap_all(&vm->mem);
	vm_request(vm, REQ_RELOAD_ROOT);
	while (waiting) {
		assert_true(rounds++ < 10);
		waiting = false;
		for (unsigned i = 0; i < vm->nr_vcpus; i++) {
			struct vcpu *v = vm->vcpus[i];

			requests_serve(&fake_cpus[v->pcpu], v);
			assert_true(rounds > 1 || i > 1 || atomic_load(&v->requests) & REQ_YIELD);
			waiting |= atomic_load(&v->requests) & REQ_RELOAD_ROOT;
		}
	}
	assert_true(rounds > 1);
	assert_int_equal(vm->end, VM_RUNNING);
	while (nr)
		account_uncharge(&vm->account, kept[--nr]);
	vms_end_and_reap(vm);
}

static void reset_makes_it_anew_from_its_files(void **state)
{
	struct vm *vm = vm_create(&vms_other);
	uint64_t word = 0, free = vms_free_frames();

	assert_int_equal(guest_write(&vm->mem, GPA(0x100000), &word, sizeof(word)), 0);
	atomic_store(&vm->restart, true);
	vms_end_and_reap(vm);
	vm = vm_find("other");
	assert_non_null(vm);
	assert_int_equal(guest_read(&vm->mem, GPA(0x100000), &word, sizeof(word)), 0);
	assert_int_equal(word, 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(vm->end, VM_RUNNING);
	assert_int_equal(vms_free_frames(), free);
	vms_end_and_reap(vm);
}

static void stop_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vm_vcpu_stopped(vm->vcpus[i]);
}

/* Whatever resets it; at once if it ran for a while, and else when it would have. */
static void a_reset_starts_it_again(void **state)
{
	static const enum vm_end ends[] = {VM_RESET, VM_TRIPLE_FAULT};
	uint64_t free;

	vm_create(&vms_other);
	free = vms_free_frames();
	for (unsigned i = 0; i < 20; i++) {
		struct vm *vm = vm_find("other");

		assert_non_null(vm);
		assert_int_equal(vm->end, VM_RUNNING);
		if (i < 10)
			clock_advance_ns(VM_RESTART_NS);
		vms_forget_log();
		vm_end(vm, ends[i % 2], i % 2 ? VM_STATUS_KILLED : 0);
		stop_vcpus(vm);
		assert_non_null(strstr(vms_log, i % 2 ? "vm other: triple fault: starts again"
						      : "vm other: reset: starts again"));
		assert_int_equal(work_is_pending(), i < 10);
		work_do();
		if (i >= 10) {
			assert_ptr_equal(vm_find("other"), vm);
			clock_advance_ns(VM_RESTART_NS - 1);
			timer_queue_run(&fake_cpus[0].timers, clock_ns());
			assert_false(work_is_pending());
			clock_advance_ns(1);
			timer_queue_run(&fake_cpus[0].timers, clock_ns());
			assert_true(work_is_pending());
			work_do();
		}
		assert_null(strstr(vms_log, "exit status"));
		assert_int_equal(vms_free_frames(), free);
	}
	vms_end_and_reap(vm_find("other"));
}

static void a_reset_ends_it_if_that_is_asked_for(void **state)
{
	struct vm *vm;

	vms_other.ends_at_reset = true;
	vm = vm_create(&vms_other);
	vms_forget_log();
	vm_end(vm, VM_TRIPLE_FAULT, VM_STATUS_KILLED);
	stop_vcpus(vm);
	work_do();
	assert_null(vm_find("other"));
	assert_non_null(strstr(vms_log, "vm other: ended: triple fault, status 101"));
}

/* A VM that waits for its turn to start again can be stopped. */
static void a_restart_is_not_for_good(void **state)
{
	struct vm *vm = vm_create(&vms_other);
	uint64_t free = vms_free_frames();

	vm_end(vm, VM_RESET, 0);
	stop_vcpus(vm);
	assert_false(work_is_pending());
	atomic_store(&vm->restart, false);
	assert_true(work_is_pending());
	work_do();
	assert_null(vm_find("other"));
	assert_true(vms_free_frames() > free);
}

/* A paused VM's vCPUs are not looked at, so requests may be old when it goes on. */
static void going_on_after_a_pause_wakes_its_cpus(void **state)
{
	struct vm *vm = vm_create(&vms_other);

	vm_pause(vm, true);
	for (unsigned i = 0; i < 3; i++)
		assert_true(atomic_load(&vm->vcpus[i]->requests) & REQ_EVENT);
	fake_kicks[0] = fake_kicks[1] = 0;
	vm_pause(vm, false);
	assert_int_equal(fake_kicks[0] + fake_kicks[1], 3);
	vms_end_and_reap(vm);
}

static void vcpus_start_as_the_manual_says(void **state)
{
	struct vm *vm = vm_create(&vms_other);

	assert_int_equal(vm->vcpus[0]->state, VCPU_RUNNABLE);
	assert_int_equal(vm->vcpus[0]->virt.rip, 0x100000);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(vm->vcpus[i]->state, VCPU_WAIT_FOR_SIPI);
		assert_true(vm->vcpus[i]->counted_dead);
	}
	assert_int_equal(vm->dead, 2);
	assert_int_equal(vm->live_vcpus, 3);
	/* Both CPUs get some. */
	assert_int_not_equal(vm->vcpus[0]->pcpu, vm->vcpus[1]->pcpu);
	vms_end_and_reap(vm);
	vm = vm_create(&vms_bios); /* cpus=1 */
	assert_int_equal(vm->vcpus[0]->pcpu, 1);
	assert_int_equal(vm->vcpus[0]->virt.rip, 0xfff0);
	vms_end_and_reap(vm);
}

/*
 * A write of the APIC's own register that comes together with the turn of another vCPU is in CR8
 * when the guest goes on: what it then writes there without an exit, be it the value from before,
 * counts.
 */
static void the_task_priority_is_there_after_a_yield(void **state)
{
	struct vm *vm = vm_create(&vms_flat);
	struct vcpu *v = vm->vcpus[0];
	struct fake_cpu *c = fake_cpu_of(&v->virt);

	(void)state;
	c->cr8 = 15;
	requests_serve(&fake_cpus[0], v);
	assert_int_equal(lapic_get_cr8(v->lapic), 15);
	lapic_set_cr8(v->lapic, 2);
	atomic_fetch_or(&v->requests, REQ_EVENT | REQ_YIELD);
	assert_false(requests_serve(&fake_cpus[0], v));
	assert_int_equal(c->cr8, 2);
	c->cr8 = 15;
	assert_true(requests_serve(&fake_cpus[0], v));
	assert_int_equal(lapic_get_cr8(v->lapic), 15);
	assert_int_equal(c->cr8, 15);
	vms_end_and_reap(vm);
}

/* As if this test failed with a VM that runs, one that ends, and a table to be freed. */
static void a_test_that_fails_disturbs_no_other(void **state)
{
	static struct grace_head head;
	struct vm *vm = vm_create(&vms_flat);

	assert_non_null(vm_create(&vms_other));
	vm_end(vm, VM_POWER_OFF, 0);
	for (unsigned i = 0; i < vms_flat.vcpus; i++)
		vm_vcpu_stopped(vm->vcpus[i]);
	grace_call(&head, NULL);
	mm_inject_failure = vms_fail_all;
	assert_int_equal(vms_teardown(state), 0);
	assert_int_equal(vms_setup(state), 0);
	assert_int_equal(vms_count(), 0);
	grace_drain();
	vm = vm_create(&vms_other);
	assert_non_null(vm);
	vms_end_and_reap(vm);
	assert_int_equal(vms_count(), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, vms_setup, vms_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_failure_of_a_creation_is_clean),
		TEST(every_failure_of_a_firmware_guest_is_clean),
		TEST(a_file_that_does_not_fit_is_one_line),
		TEST(the_end_comes_once_and_the_boot_cpu_hears_of_it),
		TEST(a_root_waits_for_obsolete_trees),
		TEST(reset_makes_it_anew_from_its_files),
		TEST(a_reset_starts_it_again),
		TEST(a_reset_ends_it_if_that_is_asked_for),
		TEST(a_restart_is_not_for_good),
		TEST(going_on_after_a_pause_wakes_its_cpus),
		TEST(vcpus_start_as_the_manual_says),
		TEST(the_task_priority_is_there_after_a_yield),
		TEST(a_test_that_fails_disturbs_no_other),
	};

	return cmocka_run_group_tests(tests, vms_listen, NULL);
}
