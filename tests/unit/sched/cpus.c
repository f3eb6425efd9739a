/* SPDX-License-Identifier: BSD-2-Clause */
/* What lies around the scheduler of a CPU, as far as its tests look at it. */
#include "tests/unit/sched/cpus.h"

#include <asm/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/x86/apic.h"
#include "vmm/control/cpu_loop.h"
#include "vmm/control/work.h"
#include "vmm/exit/loop.h"
#include "vmm/output.h"
#include "vmm/vcpu_load.h"

/* ---- the machine ---- */

struct cpu cpus[2];
unsigned ipis[2];
uint64_t armed;

unsigned cpu_count(void)
{
	return 2;
}

struct cpu *cpu_by_id(unsigned id)
{
	return &cpus[id];
}

void apic_send_ipi(unsigned cpu, unsigned vector)
{
	assert_int_equal(vector, IRQ_VECTOR_KICK);
	ipis[cpu]++;
}

void apic_timer_arm_ns(uint64_t deadline_ns)
{
	armed = deadline_ns;
}

void apic_timer_fired(void) {}

irq_handler_t kick;

void irq_register(unsigned vector, irq_handler_t handler)
{
	if (vector == IRQ_VECTOR_KICK)
		kick = handler;
}

/* ---- the rest of the vmm ---- */

static struct vm_config config = {.weight = CONFIG_DEFAULT_WEIGHT};
struct vm vm = {.name = "vm", .config = &config};
struct vm others[8]; /* each of the others with one vCPU ... */
struct vcpu other[8];
struct vcpu vcpu[64]; /* ... and this one with as many as a test adds */
static jmp_buf in_guest;
static struct vcpu *running;

void loop_run(struct vmm_cpu *c, struct vcpu *v)
{
	running = v;
	longjmp(in_guest, 1);
}

void vcpu_load(struct vcpu *v)
{
	vmm_this_cpu()->loaded = v;
}

void (*at_work)(void); /* what happens to come while the CPU looks for work */
bool work_pending;

bool work_do(void)
{
	if (at_work)
		at_work();
	return work_pending;
}

bool work_is_pending(void)
{
	return work_pending;
}

unsigned halts, openings;
void (*interrupt)(void);

/* The halt ends by an interrupt, which makes a vCPU runnable. */
void test_wait_for_interrupt(void)
{
	halts++;
	interrupt();
}

void test_take_interrupts(void)
{
	openings++;
	if (interrupt)
		interrupt();
}

void console_poll(void) {}

bool output_pending;

bool console_input_goes_on(void)
{
	return false;
}

bool output_is_pending(void)
{
	return output_pending;
}

/* This CPU's next turn, up to where a vCPU runs. */
struct vcpu *turn(void)
{
	if (vmm_this_cpu()->running)
		turn_end(vmm_this_cpu());
	if (!setjmp(in_guest))
		cpu_loop();
	return running;
}

int cpus_setup(void **state)
{
	memset(cpus, 0, sizeof(cpus));
	memset(vcpu, 0, sizeof(vcpu));
	memset(ipis, 0, sizeof(ipis));
	halts = openings = 0;
	interrupt = at_work = NULL;
	work_pending = output_pending = false;
	for (unsigned i = 0; i < 2; i++)
		cpus[i] = (struct cpu){.self = &cpus[i], .id = i};
	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpus[0]);
	clock_set_ns(1000000);
	for (unsigned i = 0; i < 2; i++)
		memset(vmm_cpu_by_id(i), 0, sizeof(struct vmm_cpu));
	sched_init();
	vmm_this_cpu()->grace = grace_cpu();
	grace_exit_guest(grace_cpu());
	for (unsigned i = 0; i < ARRAY_SIZE(vcpu); i++) {
		vcpu[i] = (struct vcpu){.vm = &vm, .id = i};
		list_init(&vcpu[i].run_link);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
		others[i] = (struct vm){.name = "other", .config = &config};
		other[i] = (struct vcpu){.vm = &others[i]};
		list_init(&other[i].run_link);
	}
	return 0;
}

int cpus_teardown(void **state)
{
	grace_drain();
	grace_enter_guest(grace_cpu());
	return 0;
}
