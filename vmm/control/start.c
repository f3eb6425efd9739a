/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vmm's beginning and end: switch virtualisation on, start the VMs that GRUB's modules
 * describe, and when the last one has ended do what the command line's `onexit` says.
 */
#include "vmm/control/start.h"

#include <stdio.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/panic.h"
#include "arch/x86/paging.h"
#include "arch/x86/percpu.h"
#include "drivers/cmos.h"
#include "drivers/machine.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "vmm/cpu.h"
#include "vmm/dev/rtc_time.h"
#include "vmm/control/monitor.h"
#include "vmm/exit/msr.h"
#include "vmm/vm.h"

/* Statuses of the machine that are no guest's (docs/usage.md). */
#define STATUS_BAD_CONFIG 102

static struct config config;
static struct start_options options __ro_after_init;
static _Atomic bool ready; /* the other CPUs may come in */
static bool bad_config;    /* boot CPU */
static bool over;          /* boot CPU; `onexit` has been done */

static int64_t boot_time __ro_after_init; /* seconds since 1970 at clock_ns() 0 */

int64_t start_unix_time(void)
{
	return boot_time + (int64_t)(clock_ns() / NSEC_PER_SEC);
}

static void read_time_of_day(void)
{
	struct cmos_time t;
	struct rtc_time rtc;

	if (!cmos_read_time(&t)) {
		log_warn(
			"clock: the machine's real-time clock gives no time; guests start in 1970");
		return;
	}
	rtc = (struct rtc_time){
		.year = t.year,
		.month = t.month,
		.day = t.day,
		.hour = t.hour,
		.minute = t.minute,
		.second = t.second,
	};
	boot_time = rtc_time_to_seconds(&rtc) - (int64_t)(clock_ns() / NSEC_PER_SEC);
}

/*
 * CR4.PKE lets the hypervisor read a guest's PKRU; protection keys themselves only concern user
 * pages, of which the hypervisor has none.
 */
static void enable_pkru(void)
{
	if (cpuid_count(7, 0).ecx & BIT(3))
		write_cr4(read_cr4() | CR4_PKE);
}

/* From here on this CPU counts in grace periods and can run guests. */
static void enable_cpu(void)
{
	struct vmm_cpu *c = vmm_this_cpu();
	void *pages = pages_alloc(order_of(VIRT_CPU_PAGES * PAGE_SIZE));

	if (!pages)
		panic("vmm: no memory to switch on virtualisation");
	c->grace = grace_cpu();
	grace_exit_guest(c->grace);
	enable_pkru();
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

static __noreturn void end_machine(enum start_onexit onexit, uint32_t status)
{
	log_info("umbra: exit status %u", status);
	switch (onexit) {
	case ONEXIT_POWEROFF:
		machine_power_off(status);
	case ONEXIT_REBOOT:
		machine_reboot();
	default:
		machine_halt(status);
	}
}

__noreturn void vmm_refuse(const char *why, enum start_onexit onexit)
{
	log_error("umbra: %s", why);
	end_machine(onexit, STATUS_BAD_CONFIG);
}

void vmm_main(const struct start_options *o)
{
	options = *o;
	bad_config = o->bad_cmdline;
	panic_set_hooks(&(struct panic_hooks){.describe_guest = describe_guest});
	if (virt_probe())
		vmm_refuse("this machine cannot run guests: see the lines above", o->onexit);
	if (!virt_caps.tdp)
		vmm_refuse("this machine cannot run guests yet: they need the shadow MMU, because "
			   "nested paging (NPT, EPT) is missing",
			   o->onexit);
	msr_init();
	vm_init_formats();
	read_time_of_day();
	sched_init();
	enable_cpu();
	paging_seal();
	read_config();
	console_start(options.console, options.nr_consoles);
	start_vms();
	atomic_store(&ready, true);
	log_info("boot: first guest entry at tsc %llu (entry at %llu)", (unsigned long long)rdtsc(),
		 (unsigned long long)options.entry_tsc);
	sched_loop();
}

void vmm_cpu_main(void)
{
	while (!atomic_load(&ready))
		cpu_relax();
	enable_cpu();
	sched_loop();
}

static void all_ended(void)
{
	uint32_t status = vm_machine_status();

	if (!status && bad_config)
		status = STATUS_BAD_CONFIG;
	over = true;
	if (options.onexit == ONEXIT_MONITOR) {
		monitor_enter();
		return;
	}
	end_machine(options.onexit, status);
}

static bool zap_pending(void)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (atomic_load_explicit(&vm->tdp.nr_dying, memory_order_relaxed))
			return true;
	}
	return false;
}

static void zap_work(void)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm))
		tdp_zap_work(&vm->tdp);
}

/* The list of VMs is the boot CPU's, and so is what is done with it. */
bool vmm_has_work(void)
{
	return cpu_id() == 0 && (vm_is_reapable() || zap_pending() || (!over && !vm_next(NULL)));
}

void vmm_work(void)
{
	grace_poll(grace_cpu());
	if (likely(cpu_id() != 0 || !vmm_has_work()))
		return;
	zap_work();
	vm_reap();
	if (vm_next(NULL))
		over = false;
	else if (!over)
		all_ended();
}
