/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of VMs: made out of a description with every allocation failing in its turn, paused,
 * ended, freed, made anew. Whatever fails: one line says so, nothing is lost, and the others do not
 * notice.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/fpu.h"
#include "drivers/machine.h"
#include "lib/log.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/fake_virt.h"
#include "tests/unit/support/host.h"
#include "vmm/control/monitor.h"
#include "vmm/control/work.h"
#include "vmm/cpu.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/loop.h"
#include "vmm/exit/requests.h"
#include "vmm/exit/watch.h"
#include "vmm/exit/realmode.h"
#include "vmm/sched.h"
#include "vmm/trace.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"
#include "vmm/wall_clock.h"

#define ARENA (64ull << 20)

/* ---- the machine and the rest of the vmm ---- */

static struct vmm_cpu cpus[2];
static unsigned kicks[2], rescheduled[2];

struct vmm_cpu *vmm_cpu_by_id(unsigned id)
{
	return &cpus[id];
}

unsigned cpu_count(void)
{
	return 2;
}

void vmm_cpu_kick(struct vmm_cpu *c)
{
	kicks[c - cpus]++;
}

void vmm_cpu_reschedule(struct vmm_cpu *c)
{
	rescheduled[c - cpus]++;
}

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

static unsigned added;

void sched_add(struct vcpu *v)
{
	added++;
}

static void (*at_load)(struct vcpu *v);

void vcpu_load(struct vcpu *v)
{
	if (at_load)
		at_load(v);
}

void vcpu_unload(struct vcpu *v) {}
void sched_remove(struct vcpu *v) {}
void vcpu_clear_dr(void) {}
void vcpu_load_tsc_aux(const struct vcpu *v) {}
void sched_run_timers_slow(struct vmm_cpu *c) {}
void loop_run_svm(struct vmm_cpu *c, struct vcpu *v) {}
void loop_run_vmx(struct vmm_cpu *c, struct vcpu *v) {}

void event_latch_nmis(struct vcpu *v) {}
void event_ask_for_windows(struct vcpu *v) {}
void event_raise_single_step(struct vcpu *v) {}
void realmode_deliver(struct vcpu *v, const struct vm_event_info *ev) {}
void insn_report_unhandled(struct vcpu *v) {}

bool insn_emulate(struct vcpu *v)
{
	return true;
}

enum event_next event_next(struct vcpu *v, struct vm_event_info *ev)
{
	return EVENT_NEXT_NOTHING;
}

bool event_has_interrupt(struct vcpu *v)
{
	return false;
}

bool event_take_interrupt(struct vcpu *v, struct vm_event_info *ev)
{
	return false;
}

bool realmode_is_due_now(struct vcpu *v)
{
	return false;
}

unsigned insn_peek_length(struct vcpu *v, enum emul_op op)
{
	return 0;
}

bool event_wakes(struct vcpu *v)
{
	return false;
}

uint64_t vcpu_xcr0(struct vcpu *v)
{
	return v->xcr0;
}

size_t fpu_area_size(void)
{
	return 2696;
}

void fpu_init_area(void *area) {}

struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	return (struct cpuid_entry){.eax = leaf == 0x80000008 ? 0x3028 : 0};
}

int64_t wall_clock_now(void)
{
	return 0;
}

static jmp_buf powered_off;
static uint32_t machine_status;

void machine_power_off(uint32_t status)
{
	machine_status = status;
	longjmp(powered_off, 1);
}

void machine_reboot(void)
{
	abort();
}

void machine_halt(uint32_t status)
{
	abort();
}

void monitor_enter(void) {}
bool monitor_work(void)
{
	return false;
}

bool monitor_is_busy(void)
{
	return false;
}

/* Between two slices of background work. */
static void (*at_interrupts)(void);

void sched_take_interrupts(struct vmm_cpu *c)
{
	assert_ptr_equal(c, &cpus[0]);
	if (at_interrupts)
		at_interrupts();
}

static struct console *attached;

int console_init(struct console *c, struct vm *vm, const struct vm_config *config)
{
	attached = c;
	return 0;
}

void console_destroy(struct console *c)
{
	if (attached == c)
		attached = NULL;
}

static void earlier(struct timer_queue *q) {}

/* ---- the log ---- */

static char text[65536];
static unsigned lines;

static void keep(struct log_sink *sink, const char *s, size_t len)
{
	strncat(text, s, len);
	lines++;
}

static struct log_sink sink = {.write = keep};

static void forget_log(void)
{
	text[0] = '\0';
	lines = 0;
}

/* ---- descriptions ---- */

static struct config_file file(size_t pages)
{
	uint8_t *p = pages_zalloc(order_of(pages * PAGE_SIZE));

	memset(p, 0x5a, pages * PAGE_SIZE);
	return (struct config_file){.base = host_pa(p), .size = pages * PAGE_SIZE, .present = true};
}

static struct vm_config flat, bios, other;

static void describe(void)
{
	flat = (struct vm_config){
		.name = "flat",
		.mem_bytes = 4 << 20,
		.vcpus = 3,
		.large_pages = true,
		.proto = PROTO_FLAT,
		.mode = BOOT_PROT32,
		.load_addr = 0x100000,
		.cpus = {{3}},
		.cmdline = "",
		.debug = VM_DEBUG_EXITS,
		.kernel = file(2),
		.nr_modules = 1,
		.module = {{.file = file(1), .fw_cfg = "opt/answer"}},
	};
	bios = (struct vm_config){
		.name = "bios",
		.mem_bytes = 4 << 20,
		.vcpus = 1,
		.proto = PROTO_BIOS,
		.cpus = {{2}},
		.kernel = file(16),
	};
	other = flat;
	memcpy(other.name, "other", sizeof("other"));
	other.nr_modules = 0;
	other.debug = 0;
}

/* ---- allocations that fail ---- */

static unsigned until_failure, allocations;

static bool fail_one(void)
{
	return ++allocations == until_failure;
}

static uint64_t free_frames(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s.free;
}

static unsigned nr_vms(void)
{
	unsigned n = 0;

	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		n++;
	return n;
}

/* All of its vCPUs stop, and the boot CPU finds it so. */
static void end_and_reap(struct vm *vm)
{
	unsigned nr = vm->nr_vcpus;

	vm_end(vm, VM_POWER_OFF, 0);
	for (unsigned i = 0; i < nr; i++) {
		assert_true(atomic_load(&vm->vcpus[i]->requests) & REQ_STOP);
		assert_false(work_is_pending());
		vm_vcpu_stopped(vm->vcpus[i]);
	}
	assert_true(work_is_pending());
	work_do();
}

static int setup(void **state)
{
	host_arena_with_frames(ARENA);
	host_set_nr_cpus(1);
	grace_exit_guest(grace_cpu());
	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		cpus[i].id = i;
		timer_queue_init(&cpus[i].timers, earlier);
	}
	virt_caps = (struct virt_caps){.name = "SVM", .tdp = true, .tags = 16};
	mmu_init();
	work_init(ONEXIT_MONITOR, false);
	describe();
	forget_log();
	return 0;
}

/*
 * A test that failed has left VMs behind, in whatever state, and perhaps memory that waits for a
 * grace period. All of it goes with the arena; nobody may look there any more.
 */
static int teardown(void **state)
{
	struct vm *vm;

	at_interrupts = NULL;
	at_load = NULL;
	mm_inject_failure = NULL;
	host_on_log = NULL;
	while ((vm = vm_next(NULL)))
		list_del(&vm->link);
	*grace_cpu() = (struct grace_cpu){0};
	host_arena_destroy();
	return 0;
}

/* Create the VM with each allocation failing in its turn; then it works. */
static void fail_at_each_site(const struct vm_config *config)
{
	struct vm *neighbour = vm_create(&other), *vm;
	uint64_t free, seen = 0;
	unsigned failures = 0;
	char prefix[48];

	assert_non_null(neighbour);
	/* Once to fill what is kept for the next time. */
	end_and_reap(vm_create(config));
	free = free_frames();
	snprintf(prefix, sizeof(prefix), "vm %s: ", config->name);
	mm_inject_failure = fail_one;
	allocations = until_failure = 0;
	while (allocations >= until_failure) { /* the last time nothing failed */
		allocations = 0;
		added = 0;
		forget_log();
		until_failure++;
		vm = vm_create(config);
		if (vm) { /* RAM can do with smaller pieces */
			assert_int_equal(added, config->vcpus);
			end_and_reap(vm);
			continue;
		}
		failures++;
		assert_int_equal(added, 0);
		assert_int_equal(lines, 1);
		assert_memory_equal(text, prefix, strlen(prefix));
		assert_non_null(strstr(text, "memory"));
		assert_int_equal(nr_vms(), 1);
		assert_int_equal(free_frames(), free);
		assert_ptr_equal(vm_find("other"), neighbour);
		assert_int_equal(neighbour->end, VM_RUNNING);
		assert_int_equal(guest_read(&neighbour->mem, GPA(0x100000), &seen, sizeof(seen)),
				 0);
		assert_int_equal(seen, 0x5a5a5a5a5a5a5a5a);
	}
	assert_true(failures > 8);
	mm_inject_failure = NULL;
	assert_int_equal(free_frames(), free);
	end_and_reap(neighbour);
	assert_int_equal(nr_vms(), 0);
}

static void every_failure_of_a_creation_is_clean(void **state)
{
	fail_at_each_site(&flat);
}

static void every_failure_of_a_firmware_guest_is_clean(void **state)
{
	fail_at_each_site(&bios);
}

/* What is wrong with a file is said once, and by who knows. */
static void a_file_that_does_not_fit_is_one_line(void **state)
{
	uint64_t free;

	end_and_reap(vm_create(&flat));
	free = free_frames();
	forget_log();
	flat.load_addr = 5 << 20;
	assert_null(vm_create(&flat));
	assert_int_equal(lines, 1);
	assert_non_null(strstr(text, "vm flat: "));
	forget_log();
	flat.load_addr = 1 << 20;
	flat.nr_modules = 2;
	flat.module[1] = flat.module[0];
	assert_null(vm_create(&flat));
	assert_string_equal(text, "vm flat: fwcfg=opt/answer: this file exists already\n");
	assert_int_equal(free_frames(), free);
}

static void the_end_comes_once_and_the_boot_cpu_hears_of_it(void **state)
{
	struct vm *vm = vm_create(&other);

	forget_log();
	rescheduled[0] = 0;
	vm_end(vm, VM_DEBUG_EXIT, 7);
	vm_end(vm, VM_POWER_OFF, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(lines, 0);
		assert_int_equal(rescheduled[0], 0);
		vm_vcpu_stopped(vm->vcpus[i]);
	}
	assert_string_equal(text, "vm other: ended: debug-exit, status 7\n");
	assert_int_equal(rescheduled[0], 1); /* it may run a guest that never halts */
	work_init(ONEXIT_POWEROFF, false);
	if (!setjmp(powered_off))
		work_do();
	assert_int_equal(machine_status, 7);
}

/* --- slices --- */

static unsigned slices;
static uint64_t free_before, most_freed;

static void look_at_slice(void)
{
	uint64_t now = free_frames();

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
	struct vm *vm = vm_create(&flat);

	assert_non_null(vm);
	for (uint64_t gpa = 0; gpa < flat.mem_bytes; gpa += PAGE_SIZE)
		memset(guest_ptr(&vm->mem, GPA(gpa), PAGE_SIZE, true), 0xee, PAGE_SIZE);
	atomic_store(&vm->restart, true);
	slices = most_freed = 0;
	free_before = free_frames();
	at_interrupts = look_at_slice;
	end_and_reap(vm);
	at_interrupts = NULL;
	/* A quarter of a megabyte for each at most. */
	assert_true(slices >= flat.mem_bytes >> 18);
	assert_in_range(most_freed, 1, in_single_frames ? 600 : 64 * 512);
	vm = vm_find("flat");
	assert_non_null(vm);
	for (uint64_t gpa = 2 << 20; gpa < flat.mem_bytes; gpa += PAGE_SIZE) {
		const uint64_t *page = guest_ptr(&vm->mem, GPA(gpa), PAGE_SIZE, false);

		for (unsigned i = 0; i < PAGE_SIZE / 8; i++)
			assert_int_equal(page[i], 0);
	}
	end_and_reap(vm);
	give_back(taken);
}

static void end_and_restart_are_done_in_slices(void **state)
{
	struct vm *neighbour = vm_create(&other);

	flat.nr_modules = 0;
	for (unsigned mib = 8; mib <= 20; mib += 12) {
		flat.mem_bytes = (uint64_t)mib << 20;
		end_and_restart(false);
		end_and_restart(true);
	}
	end_and_reap(neighbour);
}

/* A restart that fails on the way ends as the VM did, in slices, and is not tried again. */
static void a_restart_that_fails_is_taken_apart(void **state)
{
	struct vm *vm;
	uint64_t free;

	end_and_reap(vm_create(&flat));
	free = free_frames();
	vm = vm_create(&flat);
	forget_log();
	flat.load_addr = 5 << 20;
	atomic_store(&vm->restart, true);
	end_and_reap(vm);
	assert_null(vm_find("flat"));
	assert_null(attached); /* what is typed goes to nobody's board */
	assert_non_null(strstr(text, "kernel"));
	assert_int_equal(free_frames(), free);
	assert_false(work_is_pending());
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
	at_load = NULL;
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
	flat.load_addr = 5 << 20; /* found out after the vCPUs were made */
	atomic_store(&inside, false);
	at_load = find;
	assert_null(vm_create(&flat));
	pthread_join(other_thread, NULL);
	frames_set_poison(false);
	assert_false(was_freed);
}

static void reset_makes_it_anew_from_its_files(void **state)
{
	struct vm *vm = vm_create(&other);
	uint64_t word = 0, free = free_frames();

	assert_int_equal(guest_write(&vm->mem, GPA(0x100000), &word, sizeof(word)), 0);
	atomic_store(&vm->restart, true);
	end_and_reap(vm);
	vm = vm_find("other");
	assert_non_null(vm);
	assert_int_equal(guest_read(&vm->mem, GPA(0x100000), &word, sizeof(word)), 0);
	assert_int_equal(word, 0x5a5a5a5a5a5a5a5a);
	assert_int_equal(vm->end, VM_RUNNING);
	assert_int_equal(free_frames(), free);
	end_and_reap(vm);
}

/* A paused VM's vCPUs are not looked at, so requests may be old when it goes on. */
static void going_on_after_a_pause_wakes_its_cpus(void **state)
{
	struct vm *vm = vm_create(&other);

	vm_pause(vm, true);
	for (unsigned i = 0; i < 3; i++)
		assert_true(atomic_load(&vm->vcpus[i]->requests) & REQ_EVENT);
	kicks[0] = kicks[1] = 0;
	vm_pause(vm, false);
	assert_int_equal(kicks[0] + kicks[1], 3);
	end_and_reap(vm);
}

static void vcpus_start_as_the_manual_says(void **state)
{
	struct vm *vm = vm_create(&other);

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
	end_and_reap(vm);
	vm = vm_create(&bios); /* cpus=1 */
	assert_int_equal(vm->vcpus[0]->pcpu, 1);
	assert_int_equal(vm->vcpus[0]->virt.rip, 0xfff0);
	end_and_reap(vm);
}

/* ---- the dirty log ---- */

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
	struct vm *vm = vm_create(&other);
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
	end_and_reap(vm);
}

static void the_log_has_one_user(void **state)
{
	struct vm *vm = vm_create(&other);
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
	end_and_reap(vm);
	vm = vm_find("other");
	assert_int_equal(dirty_stop(vm, DIRTY_MONITOR), -ENOENT);
	end_and_reap(vm);
}

static bool fail_all(void)
{
	return true;
}

static void a_log_without_memory_is_refused(void **state)
{
	struct vm *vm = vm_create(&other);

	mm_inject_failure = fail_all;
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), -ENOMEM);
	mm_inject_failure = NULL;
	assert_int_equal(count(vm), -ENOENT);
	assert_int_equal(slots_find(&vm->mem, GFN(0))->flags, 0);
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), 0);
	end_and_reap(vm);
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
	mmu_init();
	host_on_log = on_log;
	vm = logged_vm = vm_create(&flat); /* with debug=exits */
	v = vm->vcpus[0];
	c = fake_cpu_of(&v->virt);
	requests_serve(&cpus[0], v);
	assert_int_equal(v->watch, WATCH_TRACE);
	assert_int_equal(dirty_start(vm, DIRTY_MONITOR), 0);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		assert_true(atomic_load(&vm->vcpus[i]->requests) & REQ_LOG);
	requests_serve(&cpus[0], v);
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
	requests_serve(&cpus[0], v);
	assert_false(c->logs_writes);
	assert_int_equal(v->watch, WATCH_TRACE);
	end_and_reap(vm);
}

/*
 * A write of the APIC's own register that comes together with the turn of another vCPU is in CR8
 * when the guest goes on: what it then writes there without an exit, be it the value from before,
 * counts.
 */
static void the_task_priority_is_there_after_a_yield(void **state)
{
	struct vm *vm = vm_create(&flat);
	struct vcpu *v = vm->vcpus[0];
	struct fake_cpu *c = fake_cpu_of(&v->virt);

	(void)state;
	c->cr8 = 15;
	requests_serve(&cpus[0], v);
	assert_int_equal(lapic_get_cr8(v->lapic), 15);
	lapic_set_cr8(v->lapic, 2);
	atomic_fetch_or(&v->requests, REQ_EVENT | REQ_YIELD);
	assert_false(requests_serve(&cpus[0], v));
	assert_int_equal(c->cr8, 2);
	c->cr8 = 15;
	assert_true(requests_serve(&cpus[0], v));
	assert_int_equal(lapic_get_cr8(v->lapic), 15);
	assert_int_equal(c->cr8, 15);
	end_and_reap(vm);
}

/* As if this test failed with a VM that runs, one that ends, and a table to be freed. */
static void a_test_that_fails_disturbs_no_other(void **state)
{
	static struct grace_head head;
	struct vm *vm = vm_create(&flat);

	assert_non_null(vm_create(&other));
	vm_end(vm, VM_POWER_OFF, 0);
	for (unsigned i = 0; i < flat.vcpus; i++)
		vm_vcpu_stopped(vm->vcpus[i]);
	grace_call(&head, NULL);
	mm_inject_failure = fail_all;
	assert_int_equal(teardown(state), 0);
	assert_int_equal(setup(state), 0);
	assert_int_equal(nr_vms(), 0);
	grace_drain();
	vm = vm_create(&other);
	assert_non_null(vm);
	end_and_reap(vm);
	assert_int_equal(nr_vms(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_failure_of_a_creation_is_clean, setup,
						teardown),
		cmocka_unit_test_setup_teardown(every_failure_of_a_firmware_guest_is_clean, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_file_that_does_not_fit_is_one_line, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_end_comes_once_and_the_boot_cpu_hears_of_it,
						setup, teardown),
		cmocka_unit_test_setup_teardown(reset_makes_it_anew_from_its_files, setup,
						teardown),
		cmocka_unit_test_setup_teardown(end_and_restart_are_done_in_slices, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_restart_that_fails_is_taken_apart, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_failed_creation_waits_for_other_cpus, setup,
						teardown),
		cmocka_unit_test_setup_teardown(going_on_after_a_pause_wakes_its_cpus, setup,
						teardown),
		cmocka_unit_test_setup_teardown(vcpus_start_as_the_manual_says, setup, teardown),
		cmocka_unit_test_setup_teardown(the_task_priority_is_there_after_a_yield, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_log_has_what_was_written, setup, teardown),
		cmocka_unit_test_setup_teardown(the_log_has_one_user, setup, teardown),
		cmocka_unit_test_setup_teardown(a_log_without_memory_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cpu_that_logs_is_told_and_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_test_that_fails_disturbs_no_other, setup,
						teardown),
	};

	log_add_sink(&sink);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
