/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/vm/fake_vmm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/x86/smp.h"
#include "arch/x86/fpu.h"
#include "drivers/machine.h"
#include "vmm/control/monitor.h"
#include "vmm/exit/insn.h"
#include "vmm/exit/loop.h"
#include "vmm/exit/deliver.h"
#include "vmm/exit/realmode.h"
#include "vmm/sched.h"
#include "vmm/vcpu_load.h"
#include "vmm/wall_clock.h"

struct vmm_cpu fake_cpus[2];
unsigned fake_kicks[2], fake_rescheduled[2];

struct vmm_cpu *vmm_cpu_by_id(unsigned id)
{
	return &fake_cpus[id];
}

unsigned cpu_count(void)
{
	return 2;
}

void vmm_cpu_kick(struct vmm_cpu *c)
{
	fake_kicks[c - fake_cpus]++;
}

void vmm_cpu_reschedule(struct vmm_cpu *c)
{
	fake_rescheduled[c - fake_cpus]++;
}

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

unsigned fake_added;

void sched_add(struct vcpu *v)
{
	fake_added++;
}

void (*fake_at_load)(struct vcpu *v);

void vcpu_load(struct vcpu *v)
{
	if (fake_at_load)
		fake_at_load(v);
}

void vcpu_unload(struct vcpu *v) {}
void sched_remove(struct vcpu *v) {}
void vcpu_clear_dr(void) {}
void vcpu_load_tsc_aux(const struct vcpu *v) {}
void vcpu_flush_predictors(void) {}
void vcpu_flush_l1d(void) {}
void sched_run_timers_slow(struct vmm_cpu *c) {}
void sched_shorten_turn(struct vmm_cpu *c, struct vcpu *v) {}
void loop_run_svm(struct vmm_cpu *c, struct vcpu *v) {}
void loop_run_vmx(struct vmm_cpu *c, struct vcpu *v) {}

void event_latch_nmis(struct vcpu *v) {}
void event_ask_for_windows(struct vcpu *v) {}
void event_raise_debug(struct vcpu *v, uint64_t causes) {}
void deliver_event(struct vcpu *v, const struct vm_event_info *ev) {}
void insn_refuse(struct vcpu *v) {}

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

uint64_t arch_capabilities_of_host(void)
{
	return ~0ull;
}

struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	return (struct cpuid_entry){.eax = leaf == 0x80000008 ? 0x3028 : 0};
}

bool smp_tscs_agree(void)
{
	return true;
}

int64_t wall_clock_now(void)
{
	return 0;
}

jmp_buf fake_powered_off;
uint32_t fake_status;

void machine_power_off(uint32_t status)
{
	fake_status = status;
	longjmp(fake_powered_off, 1);
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

void (*fake_at_interrupts)(void);

void sched_take_interrupts(struct vmm_cpu *c)
{
	assert_ptr_equal(c, &fake_cpus[0]);
	if (fake_at_interrupts)
		fake_at_interrupts();
}

struct console *fake_attached;

int console_init(struct console *c, struct vm *vm, const struct vm_config *config)
{
	fake_attached = c;
	return 0;
}

struct console *fake_finished;

void console_finish(struct console *c)
{
	fake_finished = c;
}

void console_give_up(void) {}

void console_destroy(struct console *c)
{
	if (fake_attached == c)
		fake_attached = NULL;
}
