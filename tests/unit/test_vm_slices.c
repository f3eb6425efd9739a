/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a VM beside others that run: it is freed and made anew in slices, between which the
 * boot CPU takes interrupts, and nobody finds what is half there. Nor is a vCPU freed, even of a
 * failed creation, while another CPU may look at it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"
#include "tests/unit/vm/fake_vmm.h"
#include "tests/unit/vm/vms.h"
#include "vmm/control/work.h"

static unsigned slices;
static uint64_t free_before, most_freed;

static void look_at_slice(void)
{
	uint64_t now = vms_free_frames();

	slices++;
	if (now > free_before)
		most_freed = max(most_freed, now - free_before);
	free_before = now;
	assert_true(atomic_load(&grace_cpu()->word)); /* inside the hypervisor, ... */
	assert_false(spin_is_locked(&vm_find("other")->mem.lock));
	/* ... and nobody finds what is half there. */
	assert_true(!vm_find("flat") || !vm_find("flat")->reapable);
}

/* No run of 2 MiB is left: every other one of 1 MiB is taken, in a list. */
static void *fragment_memory(void)
{
	void **all = NULL, **taken = NULL, **p;
	unsigned n = 0;

	while ((p = pages_zalloc(8))) {
		*p = all;
		all = p;
	}
	for (; all; all = p) {
		p = *all;
		if (n++ % 2) {
			pages_free(all, 8);
		} else {
			*all = taken;
			taken = all;
		}
	}
	return taken;
}

static void give_back(void **taken)
{
	while (taken) {
		void **next = *taken;

		pages_free(taken, 8);
		taken = next;
	}
}

/* Single frames are given back by the table, runs by the dozen; 64 pages are cleared at a time. */
static void end_and_restart(bool in_single_frames)
{
	void *taken = in_single_frames ? fragment_memory() : NULL;
	struct vm *vm = vm_create(&vms_flat);

	assert_non_null(vm);
	for (uint64_t gpa = 0; gpa < vms_flat.mem_bytes; gpa += PAGE_SIZE)
		memset(guest_ptr(&vm->mem, GPA(gpa), PAGE_SIZE, true), 0xee, PAGE_SIZE);
	atomic_store(&vm->restart, true);
	slices = most_freed = 0;
	free_before = vms_free_frames();
	fake_at_interrupts = look_at_slice;
	vms_end_and_reap(vm);
	fake_at_interrupts = NULL;
	/* A quarter of a megabyte for each at most. */
	assert_true(slices >= vms_flat.mem_bytes >> 18);
	assert_in_range(most_freed, 1, in_single_frames ? 600 : 64 * 512);
	vm = vm_find("flat");
	assert_non_null(vm);
	for (uint64_t gpa = 2 << 20; gpa < vms_flat.mem_bytes; gpa += PAGE_SIZE) {
		const uint64_t *page = guest_ptr(&vm->mem, GPA(gpa), PAGE_SIZE, false);

		for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
			assert_int_equal(page[i], 0);
	}
	vms_end_and_reap(vm);
	give_back(taken);
}

static void end_and_restart_are_done_in_slices(void **state)
{
	struct vm *neighbour = vm_create(&vms_other);

	vms_flat.nr_modules = 0;
	for (unsigned mib = 8; mib <= 20; mib += 12) {
		vms_flat.mem_bytes = (uint64_t)mib << 20;
		end_and_restart(false);
		end_and_restart(true);
	}
	vms_end_and_reap(neighbour);
}

/* A restart that fails on the way ends as the VM did, in slices, and is not tried again. */
static void a_restart_that_fails_is_taken_apart(void **state)
{
	struct vm *vm;
	uint64_t free;

	vms_end_and_reap(vm_create(&vms_flat));
	free = vms_free_frames();
	vm = vm_create(&vms_flat);
	vms_forget_log();
	vms_flat.load_addr = 5 << 20;
	atomic_store(&vm->restart, true);
	vms_end_and_reap(vm);
	assert_null(vm_find("flat"));
	assert_null(fake_attached); /* what is typed goes to nobody's board */
	assert_non_null(strstr(vms_log, "kernel"));
	assert_int_equal(vms_free_frames(), free);
	assert_false(work_is_pending());
}

/* --- what a VM leaves for the log --- */

static size_t waiting_for_log;
static unsigned nr_traces;

static size_t pending(struct log_sink *s)
{
	return waiting_for_log;
}

static void count_traces(struct log_sink *s, const char *text, size_t len)
{
	nr_traces += !!memmem(text, len, "last exits", 10);
}

/* Nothing while the log is full, and then one vCPU's trace in a slice. */
static void look_at_traces(void)
{
	static unsigned before;

	assert_in_range(nr_traces, before, before + !waiting_for_log);
	before = nr_traces;
	if (++slices == 5)
		waiting_for_log = 0;
}

static void traces_wait_for_room_in_the_log(void **state)
{
	static struct log_sink slow = {.write = count_traces, .pending = pending};
	struct vm *vm = vm_create(&vms_flat);

	log_add_sink(&slow);
	nr_traces = slices = 0;
	waiting_for_log = LOG_SINK_ROOM - LOG_GUEST_PENDING;
	fake_at_interrupts = look_at_traces;
	vms_end_and_reap(vm);
	assert_int_equal(nr_traces, 3);
	assert_true(slices > 5);
	waiting_for_log = 0;
	list_del(&slow.link);
}

/* --- the end of a VM that never ran --- */

/* CPU 1 has found the vCPU that CPU 0 has loaded, and is about to set a request in it. */
static struct vcpu *found;
static struct vm *vm_of_found;
static _Atomic bool inside;
static bool was_freed;

static void *other_cpu(void *arg)
{
	host_set_cpu(1);
	grace_exit_guest(grace_cpu());
	atomic_store(&inside, true);
	usleep(50000);
	was_freed = found->vm != vm_of_found;
	grace_enter_guest(grace_cpu());
	return NULL;
}

static pthread_t other_thread;

static void find(struct vcpu *v)
{
	fake_at_load = NULL;
	found = v;
	vm_of_found = v->vm;
	pthread_create(&other_thread, NULL, other_cpu, NULL);
	while (!atomic_load(&inside))
		;
}

static void a_failed_creation_waits_for_other_cpus(void **state)
{
	host_set_nr_cpus(2);
	frames_set_poison(true);
	vms_flat.load_addr = 5 << 20; /* found out after the vCPUs were made */
	atomic_store(&inside, false);
	fake_at_load = find;
	assert_null(vm_create(&vms_flat));
	pthread_join(other_thread, NULL);
	frames_set_poison(false);
	assert_false(was_freed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, vms_setup, vms_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(end_and_restart_are_done_in_slices),
		TEST(a_restart_that_fails_is_taken_apart),
		TEST(traces_wait_for_room_in_the_log),
		TEST(a_failed_creation_waits_for_other_cpus),
	};

	return cmocka_run_group_tests(tests, vms_listen, NULL);
}
