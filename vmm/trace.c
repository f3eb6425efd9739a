/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of exits: see trace.h. */
#include "vmm/trace.h"

#include "lib/clock.h"
#include "lib/log.h"
#include "vmm/vm.h"

static const char *const names[NR_EXIT_REASONS] = {
	[EXIT_NONE] = "none",
	[EXIT_UNKNOWN] = "unknown",
	[EXIT_INTERRUPT] = "interrupt",
	[EXIT_NMI] = "nmi",
	[EXIT_MACHINE_CHECK] = "machine check",
	[EXIT_IRQ_WINDOW] = "irq-window",
	[EXIT_NMI_WINDOW] = "nmi-window",
	[EXIT_HLT] = "hlt",
	[EXIT_CPUID] = "cpuid",
	[EXIT_HYPERCALL] = "hypercall",
	[EXIT_RDMSR] = "rdmsr",
	[EXIT_WRMSR] = "wrmsr",
	[EXIT_IO] = "io",
	[EXIT_MEMORY_FAULT] = "memory-fault",
	[EXIT_CR_READ] = "cr-read",
	[EXIT_CR_WRITE] = "cr-write",
	[EXIT_DR_ACCESS] = "dr",
	[EXIT_EXCEPTION] = "exception",
	[EXIT_PAGE_FAULT] = "page-fault",
	[EXIT_INVLPG] = "invlpg",
	[EXIT_INVPCID] = "invpcid",
	[EXIT_RDTSC] = "rdtsc",
	[EXIT_RDPMC] = "rdpmc",
	[EXIT_WBINVD] = "wbinvd",
	[EXIT_XSETBV] = "xsetbv",
	[EXIT_PAUSE] = "pause",
	[EXIT_MONITOR] = "monitor",
	[EXIT_MWAIT] = "mwait",
	[EXIT_TASK_SWITCH] = "task-switch",
	[EXIT_VIRT_INSN] = "virt-insn",
	[EXIT_PREEMPTION] = "preemption",
	[EXIT_LOG_FULL] = "log-full",
	[EXIT_SHUTDOWN] = "shutdown",
	[EXIT_INVALID_STATE] = "invalid-state",
};

const char *trace_exit_name(unsigned reason)
{
	return names[reason];
}

/* The one number that tells most about an exit. */
static uint64_t info_of(const struct vcpu *v, const struct vm_exit *exit)
{
	switch (exit->reason) {
	case EXIT_IO:
		return exit->io.port;
	case EXIT_MEMORY_FAULT:
		return exit->fault.gpa.v;
	case EXIT_PAGE_FAULT:
		return exit->fault.gva.v;
	case EXIT_INVLPG:
		return exit->invlpg.gva.v;
	case EXIT_CR_READ:
	case EXIT_CR_WRITE:
		return exit->cr.cr;
	case EXIT_EXCEPTION:
		return exit->exception.vector;
	case EXIT_TASK_SWITCH:
		return exit->task.selector;
	case EXIT_RDMSR:
	case EXIT_WRMSR:
		return (uint32_t)v->virt.gpr[GPR_RCX];
	case EXIT_CPUID:
	case EXIT_HYPERCALL:
		return (uint32_t)v->virt.gpr[GPR_RAX];
	default:
		return 0;
	}
}

static bool is_repeated(const struct trace_entry *last, const struct trace_entry *e)
{
	return last->reason == e->reason && last->rip == e->rip && last->info == e->info;
}

void trace_add(struct trace *t, const struct vcpu *v, const struct vm_exit *exit)
{
	struct trace_entry *last = &t->entry[(t->nr - 1) % TRACE_LEN];
	struct trace_entry e = {
		.ns = clock_ns(),
		.rip = v->virt.rip,
		.info = info_of(v, exit),
		.reason = exit->reason,
		.count = 1,
	};

	if (t->nr && is_repeated(last, &e) && last->count < UINT32_MAX) {
		last->ns = e.ns;
		last->count++;
		return;
	}
	t->entry[t->nr++ % TRACE_LEN] = e;
}

static void dump_entry(const struct trace_entry *e)
{
	log_info("  %12llu.%03llu us  %-13s %10llx  rip %llx  x%u",
		 (unsigned long long)e->ns / 1000, (unsigned long long)e->ns % 1000,
		 names[e->reason], (unsigned long long)e->info, (unsigned long long)e->rip,
		 e->count);
}

void trace_dump(const struct trace *t, const struct vcpu *v)
{
	uint64_t first = t->nr > TRACE_LEN ? t->nr - TRACE_LEN : 0;

	log_info("vm %s: vcpu %u: last exits, %llu lines", v->vm->name, v->id,
		 (unsigned long long)(t->nr - first));
	for (uint64_t i = first; i < t->nr; i++)
		dump_entry(&t->entry[i % TRACE_LEN]);
}
