/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run loop's count of dead vCPUs (vmm/exit/halt.c) on two CPUs: each vCPU, when an NMI has
 * woken it, sends the other one an NMI and halts with interrupts off. One of them is always awake
 * or about to be woken, so the VM must not end, until the last one halts without having sent
 * anything.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mm/grace.h"
#include "tests/unit/support/fake_virt.h"
#include "tests/unit/support/host.h"
#include "vmm/cpu.h"
#include "vmm/dirty_log.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/exit/halt.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/loop.h"
#include "vmm/exit/deliver.h"
#include "vmm/exit/realmode.h"
#include "vmm/exit/requests.h"
#include "vmm/sched.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

#define ROUNDS 5000

static struct vm vm = {.name = "vm", .nr_vcpus = 2};
static struct vcpu vcpu[2];
static struct lapic lapic[2];
static struct fake_cpu state_of[2];
static struct vmm_cpu cpu[2];
static unsigned turns[2]; /* own CPU */
static _Atomic int ended_at = -1;

/* ---- a guest that always executes HLT, with interrupts off ---- */

static void execute_hlt(struct vcpu *v)
{
	unsigned i = (unsigned)(v - vcpu);

	if (turns[i]++ < ROUNDS)
		vcpu_request(&vcpu[!i], REQ_NMI);
	halt_execute(v);
}

/* The loop, without what the count does not depend on (vmm/exit/loop_tmpl.h). */
void loop_run_svm(struct vmm_cpu *c, struct vcpu *v)
{
	if (v->state != VCPU_RUNNABLE && !requests_serve(c, v))
		return;
	for (;;) {
		if (!atomic_load(&v->requests))
			execute_hlt(v);
		if (!requests_serve(c, v))
			return;
	}
}

/* ---- what the run loop calls ---- */

void event_latch_nmis(struct vcpu *v)
{
	v->nmis_pending = 1;
}

/* The NMI goes in, and its handler is the guest's next HLT. */
enum event_next event_next(struct vcpu *v, struct vm_event_info *ev)
{
	v->nmis_pending = 0;
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

void event_ask_for_windows(struct vcpu *v) {}
void event_raise_debug(struct vcpu *v, uint64_t causes) {}
void deliver_event(struct vcpu *v, const struct vm_event_info *ev) {}
void insn_refuse(struct vcpu *v) {}

bool insn_emulate(struct vcpu *v)
{
	return true;
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
	return v->nmis_pending;
}

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

void vm_end(struct vm *m, enum vm_end why, uint32_t status)
{
	int not_yet = -1;

	atomic_compare_exchange_strong(&ended_at, &not_yet, (int)why);
	for (unsigned i = 0; i < 2; i++)
		vcpu_request(&vcpu[i], REQ_STOP);
}

void vm_bug(struct vcpu *v, enum vm_end why, const char *fmt, ...) {}

void loop_run_vmx(struct vmm_cpu *c, struct vcpu *v) {}
void console_finish(struct console *c) {}

void vm_vcpu_stopped(struct vcpu *v) {}
void sched_remove(struct vcpu *v) {}
void sched_shorten_turn(struct vmm_cpu *c, struct vcpu *v) {}
void sched_run_timers_slow(struct vmm_cpu *c) {}
void vcpu_unload(struct vcpu *v) {}
void vcpu_clear_dr(void) {}
void dirty_switch_cpu_log(struct vcpu *v) {}
void dirty_empty_cpu_log(struct vcpu *v) {}

/* ---- the test ---- */

static void *run_cpu(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;

	host_set_cpu(i);
	cpu[i].grace = grace_cpu();
	grace_exit_guest(cpu[i].grace);
	while (vcpu[i].state != VCPU_STOPPED) {
		if (vcpu[i].state == VCPU_RUNNABLE || atomic_load(&vcpu[i].requests))
			loop_run(&cpu[i], &vcpu[i]);
		else
			sched_yield();
	}
	grace_enter_guest(cpu[i].grace);
	return NULL;
}

static void ends_when_all_are_dead_and_not_before(void **state)
{
	pthread_t thread[2];

	host_set_nr_cpus(2);
	for (unsigned i = 0; i < 2; i++) {
		vcpu[i] = (struct vcpu){.vm = &vm, .lapic = &lapic[i], .id = i, .pcpu = i};
		svm_vcpu_init(&vcpu[i].virt, &state_of[i], HPA(0), true);
		vm.vcpus[i] = &vcpu[i];
	}
	vcpu[1].state = VCPU_HALTED;
	vcpu[1].counted_dead = true;
	atomic_init(&vm.dead, 1);
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, run_cpu, (void *)i);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(ended_at, VM_HALTED_FOR_GOOD);
	assert_int_equal(turns[0], ROUNDS + 1);
	assert_int_equal(turns[1], ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_when_all_are_dead_and_not_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
