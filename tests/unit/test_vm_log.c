/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of what a VM writes: what it has, whose it is, what it takes of memory and of CPUs that
 * log by themselves.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mm/frames.h"
#include "mm/guest.h"
#include "tests/unit/support/fake_virt.h"
#include "tests/unit/support/host.h"
#include "tests/unit/vm/fake_vmm.h"
#include "tests/unit/vm/vms.h"
#include "vmm/exit/requests.h"
#include "vmm/exit/watch.h"
#include "vmm/trace.h"

static void write_page(struct vm *vm, uint64_t page)
{
	uint8_t byte = 1;

	assert_int_equal(guest_write(&vm->mem, GPA(page << PAGE_SHIFT | 5), &byte, 1), 0);
}

/* All slices of a look: how many pages; or an error. */
static int count(struct vm *vm)
{
	struct dirty_count c = {0};
	int r;

	do
		r = dirty_count(vm, DIRTY_MONITOR, &c);
	while (r == -EAGAIN);
	return r ? r : (int)c.pages;
}

static void the_log_has_what_was_written(void **state)
{
	struct vm *vm = vm_create(&vms_other);
	uint64_t bitmap[DIRTY_MAX_PAGES / 64 + 1];

	write_page(vm, 7);
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), 0);
	assert_int_equal(count(vm), 0);
	write_page(vm, 7);
	write_page(vm, 8);
	write_page(vm, 8);
	write_page(vm, 1023); /* the last */
	assert_int_equal(count(vm), 3);
	write_page(vm, 64);
	write_page(vm, 200);
	memset(bitmap, 0xff, sizeof(bitmap));
	assert_int_equal(dirty_collect(vm, DIRTY_MONITOR, GFN(64), 128, bitmap), 1);
	assert_int_equal(bitmap[0], 1);
	assert_int_equal(bitmap[1], 0);
	assert_int_equal(bitmap[2], ~0ull);
	/* Beyond the end of RAM, and only there. */
	assert_int_equal(dirty_collect(vm, DIRTY_MONITOR, GFN(192), DIRTY_MAX_PAGES, bitmap), 1);
	assert_int_equal(bitmap[0], BIT_ULL(8));
	assert_int_equal(bitmap[DIRTY_MAX_PAGES / 64 - 1], 0);
	assert_int_equal(bitmap[DIRTY_MAX_PAGES / 64], ~0ull);
	assert_int_equal(dirty_collect(vm, DIRTY_MONITOR, GFN(1024), 64, bitmap), 0);
	assert_int_equal(count(vm), 0);
	assert_int_equal(vm->dirty.total, 5);
	assert_int_equal(dirty_stop(vm, DIRTY_MONITOR), 0);
	vms_end_and_reap(vm);
}

static void the_log_has_one_user(void **state)
{
	struct vm *vm = vm_create(&vms_other);
	uint64_t bitmap[DIRTY_MAX_PAGES / 64 + 1];

	assert_int_equal(dirty_stop(vm, DIRTY_MONITOR), -ENOENT);
	assert_int_equal(count(vm), -ENOENT);
	assert_int_equal(dirty_start(vm, DIRTY_GUEST), 0);
	assert_int_equal(dirty_start(vm, DIRTY_GUEST), -EEXIST);
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), -EBUSY);
	assert_int_equal(count(vm), -EBUSY);
	assert_int_equal(dirty_stop(vm, DIRTY_MONITOR), -EBUSY);
	assert_int_equal(dirty_collect(vm, DIRTY_GUEST, GFN(1), 64, bitmap), -EINVAL);
	assert_int_equal(dirty_collect(vm, DIRTY_GUEST, GFN(0), 63, bitmap), -EINVAL);
	assert_int_equal(dirty_collect(vm, DIRTY_GUEST, GFN(0), 0, bitmap), -EINVAL);
	assert_int_equal(dirty_collect(vm, DIRTY_GUEST, GFN(0), DIRTY_MAX_PAGES + 64, bitmap),
			 -EINVAL);
	assert_int_equal(dirty_collect(vm, DIRTY_GUEST, GFN(SLOTS_MAX_GFN), 64, bitmap), -EINVAL);
	assert_int_equal(dirty_stop(vm, DIRTY_GUEST), 0);
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), 0);
	assert_int_equal(vm->dirty.total, 0);
	/* A VM may end with its log on, and begins anew without. */
	atomic_store(&vm->restart, true);
	vms_end_and_reap(vm);
	vm = vm_find("other");
	assert_int_equal(dirty_stop(vm, DIRTY_MONITOR), -ENOENT);
	vms_end_and_reap(vm);
}

static void a_log_takes_no_memory(void **state)
{
	struct vm *vm = vm_create(&vms_other);
	uint64_t free = vms_free_frames();

	mm_inject_failure = vms_fail_all;
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), 0);
	write_page(vm, 7);
	assert_int_equal(count(vm), 1);
	assert_int_equal(dirty_stop(vm, DIRTY_MONITOR), 0);
	mm_inject_failure = NULL;
	assert_int_equal(vms_free_frames(), free);
	vms_end_and_reap(vm);
}

/* As vmm/mm_host.c does, but for the waiting. */
static struct vm *logged_vm;

static void on_log(struct vm *vm, bool on)
{
	assert_ptr_equal(vm, logged_vm);
	atomic_store(&vm->logs_writes, on);
	vm_request(vm, REQ_LOG);
}

static void a_cpu_that_logs_is_told_and_asked(void **state)
{
	struct vm_exit exit = {.reason = EXIT_LOG_FULL};
	struct fake_cpu *c;
	struct vcpu *v;
	struct vm *vm;

	virt_caps.ept = virt_caps.tdp_has_ad = virt_caps.tdp_logs_writes = true;
	mmu_init(false);
	host_on_log = on_log;
	vm = logged_vm = vm_create(&vms_flat); /* with debug=exits */
	v = vm->vcpus[0];
	c = fake_cpu_of(&v->virt);
	requests_serve(&fake_cpus[0], v);
	assert_int_equal(v->watch, WATCH_TRACE);
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), 0);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		assert_true(atomic_load(&vm->vcpus[i]->requests) & REQ_LOG);
	requests_serve(&fake_cpus[0], v);
	assert_true(c->logs_writes);
	assert_int_equal(v->watch, WATCH_TRACE | WATCH_LOG);
	c->log[0] = 3 << PAGE_SHIFT;
	c->log[1] = 9 << PAGE_SHIFT;
	c->log[2] = 1ull << 40; /* no memory there any more */
	c->nr_log = 3;
	watch_exit(v, &exit);
	assert_int_equal(c->nr_log, 0);
	assert_int_equal(v->trace->nr, 1);
	assert_int_equal(count(vm), 2);
	assert_int_equal(dirty_stop(vm, DIRTY_MONITOR), 0);
	requests_serve(&fake_cpus[0], v);
	assert_false(c->logs_writes);
	assert_int_equal(v->watch, WATCH_TRACE);
	vms_end_and_reap(vm);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, vms_setup, vms_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_log_has_what_was_written),
		TEST(the_log_has_one_user),
		TEST(a_log_takes_no_memory),
		TEST(a_cpu_that_logs_is_told_and_asked),
	};

	return cmocka_run_group_tests(tests, vms_listen, NULL);
}
