/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmm's beginning: switch virtualisation on, and start the VMs that GRUB's modules describe.
 */
#include "vmm/control/start.h"

#include <stdio.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/cpu_features.h"
#include "arch/x86/fpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/panic.h"
#include "arch/x86/percpu.h"
#include "arch/x86/shootdown.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "vmm/control/config.h"
#include "vmm/control/cpu_loop.h"
#include "vmm/control/monitor.h"
#include "vmm/control/work.h"
#include "vmm/exit/msr.h"
#include "vmm/output.h"
#include "vmm/sched.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"
#include "vmm/wall_clock.h"

static struct config config;
static struct start_options options __ro_after_init;
static _Atomic bool ready; /* the other CPUs may come in */
static bool bad_config;    /* boot CPU */

/*
 * CR4.PKE lets the hypervisor read a guest's PKRU; protection keys themselves only concern user
 * pages, of which the hypervisor has none.
 */
static void enable_pkru(void)
{
	if (cpu_reports(CPUID_PKU))
		write_cr4(read_cr4() | CR4_PKE);
}

/* From here on this CPU counts in grace periods and can run guests. */
static void enable_cpu(void)
{
	struct vmm_cpu *c = vmm_this_cpu();
	void *pages = pages_zalloc(order_of(VIRT_CPU_PAGES * PAGE_SIZE));

	if (!pages)
		panic("vmm: no memory to switch on virtualisation");
	c->grace = grace_cpu();
	grace_exit_guest(c->grace);
	enable_pkru();
	fpu_enable_cpu();
	virt_cpu_enable(pages, host_pa(pages));
}

static void report(void *ctx, const char *line)
{
	(void)ctx;
	log_error("%s", line);
	bad_config = true;
}

static void read_config(void)
{
	struct frames_stats stats;
	struct config_limits limits = {.nr_pcpus = cpu_count()};

	frames_stats(&stats);
	limits.max_mem = stats.free << PAGE_SHIFT;
	config_init(&config, &limits, report, NULL);
	for (unsigned i = 0; i < options.nr_modules; i++)
		config_add_module(&config, options.module[i].string, options.module[i].base,
				  options.module[i].size);
	config_finish(&config);
}

/* All memory that is not free and not a guest's RAM is Umbra's own. */
static void report_memory(void)
{
	struct frames_stats stats;
	uint64_t used;

	frames_stats(&stats);
	used = (stats.total - stats.free) * PAGE_SIZE + stats.metadata + options.image_bytes;
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		used -= vm->config->mem_bytes;
	log_info("memory: used by umbra %llu KiB", (unsigned long long)used >> 10);
}

static void start_vms(void)
{
	for (unsigned i = 0; i < config.nr_vms; i++) {
		if (config.vm[i].failed || !vm_create(&config.vm[i]))
			bad_config = true;
	}
	if (!vm_next(NULL)) {
		log_error("umbra: no VM to run");
		bad_config = true;
	}
	report_memory();
}

/* For a panic: whose exit was being served. Any context. */
static void describe_guest(char *text, size_t len)
{
	const struct vcpu *v = this_cpu()->current;

	if (v)
		snprintf(text, len, "vm %s vcpu %u rip %llx", v->vm->name, v->id,
			 (unsigned long long)v->virt.rip);
	else
		strlcpy(text, "", len);
}

__noreturn void vmm_refuse(const char *why, enum onexit onexit)
{
	log_error("umbra: %s", why);
	work_end_machine(onexit, STATUS_BAD_CONFIG);
}

static bool must_fetch_small(void)
{
	if (options.large_exec == LARGE_EXEC_AUTO)
		return cpu_has_erratum(ERRATUM_LARGE_FETCH);
	return options.large_exec == LARGE_EXEC_NEVER;
}

void vmm_main(const struct start_options *o)
{
	options = *o;
	bad_config = o->bad_cmdline;
	panic_set_hooks(&(struct panic_hooks){.describe_guest = describe_guest});
	if (virt_probe())
		vmm_refuse("this machine cannot run guests: see the lines above", o->onexit);
	msr_init();
	mmu_init(must_fetch_small());
	wall_clock_init();
	sched_init();
	vcpu_load_init();
	fpu_settle();
	enable_cpu();
	paging_seal();
	shootdown();
	read_config();
	console_start(options.console, options.nr_consoles, &monitor);
	start_vms();
	work_init(options.onexit, bad_config);
	output_start();
	atomic_store(&ready, true);
	if (vm_next(NULL))
		log_info("boot: first guest entry at tsc %llu (entry at %llu)",
			 (unsigned long long)rdtsc(), (unsigned long long)options.entry_tsc);
	cpu_loop();
}

void vmm_cpu_main(void)
{
	while (!atomic_load(&ready))
		cpu_relax();
	enable_cpu();
	cpu_loop();
}
