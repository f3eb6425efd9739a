/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/vm/vms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/log.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "tests/unit/support/fake_virt.h"
#include "tests/unit/support/host.h"
#include "tests/unit/vm/fake_vmm.h"
#include "vmm/control/work.h"

#define ARENA (64ull << 20)

char vms_log[65536];
unsigned vms_log_lines;

static void keep(struct log_sink *sink, const char *s, size_t len)
{
	strncat(vms_log, s, len);
	vms_log_lines++;
}

static struct log_sink sink = {.write = keep};

int vms_listen(void **state)
{
	log_add_sink(&sink);
	return 0;
}

void vms_forget_log(void)
{
	vms_log[0] = '\0';
	vms_log_lines = 0;
}

static struct config_file file(size_t pages)
{
	uint8_t *p = pages_zalloc(order_of(pages * PAGE_SIZE));

	memset(p, 0x5a, pages * PAGE_SIZE);
	return (struct config_file){.base = host_pa(p), .size = pages * PAGE_SIZE, .present = true};
}

struct vm_config vms_flat, vms_bios, vms_other;

static void describe(void)
{
	vms_flat = (struct vm_config){
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
	vms_bios = (struct vm_config){
		.name = "bios",
		.mem_bytes = 4 << 20,
		.vcpus = 1,
		.proto = PROTO_BIOS,
		.cpus = {{2}},
		.kernel = file(16),
	};
	vms_other = vms_flat;
	memcpy(vms_other.name, "other", sizeof("other"));
	vms_other.nr_modules = 0;
	vms_other.debug = 0;
}

uint64_t vms_free_frames(void)
{
	struct frames_stats s;

	frames_stats(&s);
	return s.free;
}

unsigned vms_count(void)
{
	unsigned n = 0;

	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		n++;
	return n;
}

void vms_end_and_reap(struct vm *vm)
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

bool vms_fail_all(void)
{
	return true;
}

static void earlier(struct timer_queue *q) {}

int vms_setup(void **state)
{
	host_arena_with_frames(ARENA);
	host_set_nr_cpus(1);
	grace_exit_guest(grace_cpu());
	for (unsigned i = 0; i < ARRAY_SIZE(fake_cpus); i++) {
		fake_cpus[i].id = i;
		timer_queue_init(&fake_cpus[i].timers, earlier);
	}
	virt_caps = (struct virt_caps){.name = "SVM", .tdp = true, .tags = 16};
	mmu_init(false);
	work_init(ONEXIT_MONITOR, false);
	describe();
	vms_forget_log();
	return 0;
}

/*
 * A test that failed has left VMs behind, in whatever state, and perhaps memory that waits for a
 * grace period. All of it goes with the arena; nobody may look there any more.
 */
int vms_teardown(void **state)
{
	struct vm *vm;

	fake_at_interrupts = NULL;
	fake_at_load = NULL;
	mm_inject_failure = NULL;
	host_on_log = NULL;
	while ((vm = vm_next(NULL)))
		list_del(&vm->link);
	*grace_cpu() = (struct grace_cpu){0};
	host_arena_destroy();
	return 0;
}
