/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM from its configuration to its end. Creation is all or nothing: a failure on the way undoes
 * what was done, says why in one line, and leaves the other VMs alone. The end comes in three
 * steps: anybody sets vm->end and asks the vCPUs to stop; each leaves its run queue; the boot CPU
 * then frees what is left.
 */
#include "vmm/vm.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/fpu.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "mm/host.h"
#include "vmm/cpu.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/dev/lapic.h"
#include "vmm/e820.h"
#include "vmm/load/load.h"
#include "vmm/realmode.h"
#include "vmm/start.h"
#include "vmm/trace.h"

static struct list vms = LIST_INIT(vms); /* boot CPU */
static struct spte_format tdp_format __ro_after_init;

void vm_init_formats(void)
{
	unsigned phys_bits = cpuid(0x80000008).eax & 0xff;

	if (virt_caps.ept)
		spte_format_ept(&tdp_format, phys_bits,
				(struct ept_features){
					.has_ad = virt_caps.tdp_has_ad,
					.has_1g = virt_caps.tdp_has_1g,
					.has_exec_only = virt_caps.tdp_has_exec_only,
					.logs_writes = virt_caps.tdp_logs_writes,
				});
	else
		spte_format_npt(&tdp_format, phys_bits, virt_caps.tdp_has_1g);
}

struct vm *vm_next(struct vm *vm)
{
	struct list *next = vm ? vm->link.next : vms.next;

	return next == &vms ? NULL : list_entry(next, struct vm, link);
}

struct vm *vm_find(const char *name)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (!strcmp(vm->name, name))
			return vm;
	}
	return NULL;
}

void vm_request(struct vm *vm, uint32_t requests)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vcpu_request(vm->vcpus[i], requests);
}

void vm_pause(struct vm *vm, bool paused)
{
	atomic_store(&vm->paused, paused);
	vm_request(vm, REQ_EVENT);
	/* While it was paused nobody looked at the requests, and this one may have been there. */
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		vmm_cpu_kick(vmm_cpu_by_id(vm->vcpus[i]->pcpu));
}

/* ---- what the board asks of the vCPUs ---- */

static struct vcpu *vcpu_of(void *vm, unsigned id)
{
	return ((struct vm *)vm)->vcpus[id];
}

static void host_notify(void *vm, unsigned id)
{
	vcpu_request(vcpu_of(vm, id), REQ_EVENT);
}

static void host_nmi(void *vm, unsigned id)
{
	atomic_fetch_add(&vcpu_of(vm, id)->nmis_sent, 1);
	vcpu_request(vcpu_of(vm, id), REQ_NMI);
}

/* An INIT undoes a SIPI that came before it and has not been taken. */
static void host_init(void *vm, unsigned id)
{
	atomic_fetch_and(&vcpu_of(vm, id)->requests, ~(uint32_t)REQ_STARTUP);
	vcpu_request(vcpu_of(vm, id), REQ_INIT);
}

static void host_startup(void *vm, unsigned id, uint8_t vector)
{
	atomic_store(&vcpu_of(vm, id)->sipi_vector, vector);
	vcpu_request(vcpu_of(vm, id), REQ_STARTUP);
}

static void host_event(void *vm, enum vm_event event, uint32_t value)
{
	static const enum vm_end ends[] = {
		[VM_EVENT_POWER_OFF] = VM_POWER_OFF,
		[VM_EVENT_RESET] = VM_RESET,
		[VM_EVENT_DEBUG_EXIT] = VM_DEBUG_EXIT,
	};

	vm_end(vm, ends[event], event == VM_EVENT_DEBUG_EXIT ? value & 0xff : 0);
}

static void host_drop_page(void *ctx, gpa_t gpa)
{
	struct vm *vm = ctx;
	gfn_t gfn = gpa_to_gfn(gpa);

	slots_lock(&vm->mem);
	tdp_unmap_range(&vm->tdp, gfn, GFN(gfn.v + 1));
	slots_unlock(&vm->mem);
}

static const struct platform_host platform_host = {
	.notify = host_notify,
	.nmi = host_nmi,
	.init = host_init,
	.startup = host_startup,
	.event = host_event,
	.drop_page = host_drop_page,
};

/* ---- creation ---- */

static int fail(const struct vm *vm, const char *what)
{
	log_error("vm %s: %s", vm->name, what);
	return -ENOMEM;
}

/* A page of the hypervisor's in the guest's memory: see VIRT_IDENTITY_GPA. */
static int create_identity_map(struct vm *vm)
{
	gpa_t gpa = GPA(VIRT_IDENTITY_GPA);
	int r = slots_create(&vm->mem, VM_SLOT_IDENTITY, gpa_to_gfn(gpa), 1, 0);

	if (!r)
		virt_fill_identity_map(guest_ptr(&vm->mem, gpa, PAGE_SIZE, true));
	return r;
}

uint64_t vm_ram_slot(const struct vm *vm, unsigned id, gfn_t *base)
{
	uint64_t bytes = vm->config->mem_bytes;
	uint64_t low = min(bytes, (uint64_t)PLATFORM_MMIO_HOLE_BASE);

	*base = id == VM_SLOT_LOW_RAM ? GFN(0) : GFN(BIT_ULL(32) >> PAGE_SHIFT);
	return (id == VM_SLOT_LOW_RAM ? low : bytes - low) >> PAGE_SHIFT;
}

static int create_memory(struct vm *vm)
{
	int r = 0;

	for (unsigned id = 0; id < VM_RAM_SLOTS && !r; id++) {
		gfn_t base;
		uint64_t pages = vm_ram_slot(vm, id, &base);

		if (pages)
			r = slots_create(&vm->mem, id, base, pages, 0);
	}
	if (!r && !virt_caps.unrestricted)
		r = create_identity_map(vm);
	return r ? fail(vm, "not enough free memory for its RAM") : 0;
}

/* The physical CPU of a vCPU: in turn, among those that the configuration allows. */
static unsigned choose_pcpu(const struct vm_config *c)
{
	static unsigned next;

	for (;;) {
		unsigned id = next++ % cpu_count();

		if (cpu_set_has(&c->cpus, id))
			return id;
	}
}

static void free_pages_of(struct vcpu *v, void *control)
{
	if (control)
		pages_free(control, VIRT_VCPU_ORDER);
	if (v && v->fpu)
		pages_free(v->fpu, order_of(fpu_area_size()));
	if (v && v->trace)
		pages_free(v->trace, order_of(sizeof(*v->trace)));
	if (v)
		pages_free(v, order_of(sizeof(*v)));
}

static struct vcpu *create_vcpu(struct vm *vm, unsigned id)
{
	struct vcpu *v = pages_alloc(order_of(sizeof(*v)));
	void *control = pages_alloc(VIRT_VCPU_ORDER);

	bool traced = vm->config->debug & VM_DEBUG_EXITS;

	if (v)
		v->fpu = pages_alloc(order_of(fpu_area_size()));
	if (v && traced)
		v->trace = pages_alloc(order_of(sizeof(*v->trace)));
	if (!v || !control || !v->fpu || (traced && !v->trace)) {
		free_pages_of(v, control);
		return NULL;
	}
	v->vm = vm;
	v->id = id;
	v->pcpu = choose_pcpu(vm->config);
	v->xcr0 = XCR0_X87;
	v->watch = traced ? WATCH_TRACE : 0;
	list_init(&v->run_link);
	tdp_vcpu_init(&v->tdp, &vm->tdp);
	fpu_init_area(v->fpu);
	virt_vcpu_init(&v->virt, control, host_pa(control), virt_caps.tdp);
	v->emulates_modes = realmode_may_be_due(v);
	return v;
}

int vcpu_load_root(struct vcpu *v)
{
	hpa_t root;
	int r = tdp_load_root(&v->tdp, &root);

	if (r)
		return r;
	virt_set_paging(&v->virt, &(struct virt_paging){.root = root});
	virt_flush_tdp(&v->virt);
	return 0;
}

static void destroy_vcpu(struct vcpu *v)
{
	tdp_vcpu_destroy(&v->tdp);
	free_pages_of(v, v->virt.control);
}

static int create_vcpus(struct vm *vm)
{
	for (unsigned i = 0; i < vm->config->vcpus; i++) {
		vm->vcpus[i] = create_vcpu(vm, i);
		if (!vm->vcpus[i])
			return fail(vm, "no memory for its vCPUs");
		vm->nr_vcpus++;
	}
	return 0;
}

static struct load_file load_file(const struct config_file *f)
{
	return (struct load_file){
		.data = f->present ? host_va(f->base) : NULL,
		.size = f->size,
	};
}

/* The boot protocol, after a look at the file where the configuration leaves it open. */
static enum boot_proto proto_of(const struct vm *vm)
{
	struct load_file kernel = load_file(&vm->config->kernel);

	return vm->config->proto == PROTO_AUTO ? load_detect(&kernel) : vm->config->proto;
}

/* Modules that the guest is to see as files of fw_cfg. */
static unsigned collect_fw_cfg(const struct vm_config *c, struct fw_cfg_file *files)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < c->nr_modules; i++) {
		if (!c->module[i].fw_cfg[0])
			continue;
		files[nr++] = (struct fw_cfg_file){
			.name = c->module[i].fw_cfg,
			.data = host_va(c->module[i].file.base),
			.size = (uint32_t)c->module[i].file.size,
		};
	}
	return nr;
}

static int create_platform(struct vm *vm)
{
	struct timer_queue *timers[VM_MAX_VCPUS];
	struct fw_cfg_file files[CONFIG_MAX_MODULES];
	struct platform_config pc = {
		.name = vm->name,
		.vm = vm,
		.host = &platform_host,
		.mem = &vm->mem,
		.ram_bytes = vm->config->mem_bytes,
		.nr_vcpus = vm->nr_vcpus,
		.vcpu_timers = timers,
		.console = &vm->console,
		.unix_time = start_unix_time(),
		.phys_bits = vm->cpuid.ext[8].eax & 0xff,
		.fw_cfg = files,
		.nr_fw_cfg = collect_fw_cfg(vm->config, files),
		.firmware_tables = proto_of(vm) != PROTO_BIOS,
	};

	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		timers[i] = &vmm_cpu_by_id(vm->vcpus[i]->pcpu)->timers;
	vm->platform = platform_create(&pc);
	return vm->platform ? 0 : -ENOMEM; /* it has said why */
}

/* All vCPUs in the state after RESET; the guest's TSC starts at zero on all of them. */
static void reset_vcpus(struct vm *vm)
{
	uint64_t offset = -rdtsc();

	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *v = vm->vcpus[i];

		v->lapic = platform_lapic(vm->platform, i);
		v->tsc_offset = offset;
		sched_load(v);
		vcpu_reset(v);
		virt_set_tsc_offset(&v->virt, offset);
		sched_unload(v);
		lapic_set_tsc_offset(v->lapic, offset);
		atomic_init(&v->state, i ? VCPU_WAIT_FOR_SIPI : VCPU_RUNNABLE);
		v->counted_dead = i;
	}
	atomic_init(&vm->dead, vm->nr_vcpus - 1);
	atomic_init(&vm->live_vcpus, vm->nr_vcpus);
}

static void vm_destroy(struct vm *vm)
{
	if (vm->platform)
		platform_destroy(vm->platform);
	console_destroy(&vm->console);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		destroy_vcpu(vm->vcpus[i]);
	tdp_destroy(&vm->tdp);
	slots_destroy(&vm->mem);
	pages_free(vm, order_of(sizeof(*vm)));
}

static void describe_load(struct vm *vm, struct load_request *req)
{
	const struct vm_config *c = vm->config;

	*req = (struct load_request){
		.vm = vm->name,
		.proto = proto_of(vm),
		.mode = c->mode,
		.load_addr = c->load_addr,
		.kernel = load_file(&c->kernel),
		.initrd = load_file(&c->initrd),
		.cmdline = c->cmdline,
		.ram_bytes = c->mem_bytes,
		.rsdp = platform_rsdp(vm->platform),
	};
	for (unsigned i = 0; i < c->nr_modules; i++) {
		if (c->module[i].fw_cfg[0])
			continue; /* collect_fw_cfg() has taken it */
		req->module[req->nr_modules] = load_file(&c->module[i].file);
		req->module[req->nr_modules++].args = c->module[i].args;
	}
}

/* A firmware image lies at the end of the first 4 GiB, in memory of its own. */
static int create_rom(struct vm *vm, const struct load_request *req)
{
	uint64_t pages = load_rom_bytes(req) >> PAGE_SHIFT;

	if (!pages)
		return 0;
	if (slots_create(&vm->mem, VM_SLOT_ROM, GFN((BIT_ULL(32) >> PAGE_SHIFT) - pages), pages, 0))
		return fail(vm, "no memory for its firmware");
	return 0;
}

static int load(struct vm *vm)
{
	struct load_request req;
	struct boot_state state;
	char err[CONFIG_ERROR_LEN];
	int r;

	describe_load(vm, &req);
	r = create_rom(vm, &req);
	if (r)
		return r;
	r = load_guest(&req, &vm->mem, &state, err, sizeof(err));
	if (r) {
		log_error("%s", err);
		return r;
	}
	sched_load(vm->vcpus[0]);
	vcpu_apply_boot_state(vm->vcpus[0], &state);
	sched_unload(vm->vcpus[0]);
	if (load_rom_bytes(&req) && slots_set_flags(&vm->mem, VM_SLOT_ROM, SLOT_READONLY))
		return fail(vm, "no memory for its firmware");
	return 0;
}

static int load_roots(struct vm *vm)
{
	int r = 0;

	for (unsigned i = 0; i < vm->nr_vcpus && !r; i++) {
		sched_load(vm->vcpus[i]);
		r = vcpu_load_root(vm->vcpus[i]);
		sched_unload(vm->vcpus[i]);
	}
	return r ? fail(vm, "no memory for its page tables") : 0;
}

static int build(struct vm *vm)
{
	int r = console_init(&vm->console, vm, vm->config);

	if (!r)
		r = create_memory(vm);
	if (!r && tdp_init(&vm->tdp, &vm->mem, vm, &tdp_format, vm->config->large_pages ? 3 : 1))
		r = fail(vm, "no memory for its page tables");
	if (!r)
		r = create_vcpus(vm);
	if (!r)
		r = create_platform(vm);
	if (r)
		return r;
	reset_vcpus(vm);
	r = load_roots(vm);
	return r ? r : load(vm);
}

struct vm *vm_create(const struct vm_config *config)
{
	struct vm *vm = pages_alloc(order_of(sizeof(*vm)));

	if (!vm) {
		log_error("vm %s: no memory", config->name);
		return NULL;
	}
	memcpy(vm->name, config->name, sizeof(vm->name));
	vm->config = config;
	slots_init(&vm->mem);
	cpuid_table_init(&vm->cpuid, config->vcpus);
	if (build(vm)) {
		vm_destroy(vm);
		return NULL;
	}
	list_add_tail(&vm->link, &vms);
	log_info("vm %s: %u vCPUs, %llu MiB", vm->name, vm->nr_vcpus,
		 (unsigned long long)config->mem_bytes >> 20);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		sched_add(vm->vcpus[i]);
	return vm;
}

/* ---- the end ---- */

void vm_end(struct vm *vm, enum vm_end why, uint32_t status)
{
	enum vm_end running = VM_RUNNING;

	if (!atomic_compare_exchange_strong(&vm->end, &running, why))
		return;
	vm->status = status;
	vm_request(vm, REQ_STOP);
}

void vm_bug(struct vcpu *v, const char *fmt, ...)
{
	char text[CONFIG_ERROR_LEN];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_error("vm %s: vcpu %u: %s", v->vm->name, v->id, text);
	virt_dump(&v->virt);
	vm_end(v->vm, VM_KILLED, VM_STATUS_KILLED);
}

static const char *const end_names[] = {
	[VM_POWER_OFF] = "power-off",
	[VM_RESET] = "reset",
	[VM_DEBUG_EXIT] = "debug-exit",
	[VM_HYPERCALL_EXIT] = "exit hypercall",
	[VM_TRIPLE_FAULT] = "triple fault",
	[VM_HALTED_FOR_GOOD] = "all its CPUs are halted and nothing can wake them",
	[VM_STOPPED_BY_USER] = "stopped by the monitor",
	[VM_KILLED] = "killed",
};

static void dump_traces(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i]->trace)
			trace_dump(vm->vcpus[i]->trace, vm->vcpus[i]);
	}
}

void vm_vcpu_stopped(struct vcpu *v)
{
	struct vm *vm = v->vm;

	if (atomic_fetch_sub(&vm->live_vcpus, 1) > 1)
		return;
	log_info("vm %s: ended: %s, status %u", vm->name, end_names[atomic_load(&vm->end)],
		 vm->status);
	dump_traces(vm);
	atomic_store(&vm->reapable, true);
	vmm_cpu_reschedule(vmm_cpu_by_id(0));
}

bool vm_is_reapable(void)
{
	for (struct vm *vm = vm_next(NULL); vm; vm = vm_next(vm)) {
		if (atomic_load(&vm->reapable))
			return true;
	}
	return false;
}

/* The machine's status is the first of a VM's that is not 0. */
static uint32_t machine_status;

static void reap(struct vm *vm)
{
	const struct vm_config *config = vm->config;
	bool restart = atomic_load(&vm->restart);

	if (!machine_status)
		machine_status = vm->status;
	list_del(&vm->link);
	/* A periodic timer goes on without its vCPU, and its callback arms it again. */
	platform_shut_timers(vm->platform);
	grace_wait(); /* CPUs that were about to kick or to fire a timer of this VM are done */
	vm_destroy(vm);
	if (restart && !vm_create(config) && !machine_status)
		machine_status = VM_STATUS_KILLED;
}

void vm_reap(void)
{
	struct vm *vm = vm_next(NULL);

	while (vm) {
		struct vm *next = vm_next(vm);

		if (atomic_load(&vm->reapable))
			reap(vm);
		vm = next;
	}
}

uint32_t vm_machine_status(void)
{
	return machine_status;
}
