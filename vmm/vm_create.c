/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM from its configuration to its first instruction, and from its last one back to nothing.
 * Creation is all or nothing: a failure on the way undoes what was done, says why in one line, and
 * leaves the other VMs alone.
 *
 * What grows with the VM's memory is done in slices of bounded work, between which the boot CPU
 * attends to its vCPUs (vmm/control/work.c): its frames are found, cleared and given back chunk by
 * chunk, its tables are freed some at a time.
 */
#include <errno.h>
#include <string.h>

#include "arch/x86/cpu.h"
#include "arch/x86/smp.h"
#include "arch/x86/fpu.h"
#include "lib/log.h"
#include "mm/frames.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "mm/host.h"
#include "vmm/cpu.h"
#include "vmm/dev/apic/lapic.h"
#include "vmm/dev/e820.h"
#include "vmm/dev/fw_cfg.h"
#include "vmm/firmware/firmware.h"
#include "vmm/load/load.h"
#include "vmm/sched.h"
#include "vmm/trace.h"
#include "vmm/vcpu_load.h"
#include "vmm/vcpu_paging.h"
#include "vmm/vm.h"
#include "vmm/wall_clock.h"

/* --- what the board asks of the vCPUs --- */

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

	slots_unmap(&vm->mem, gfn, GFN(gfn.v + 1));
}

static const struct dev_host dev_host = {
	.notify = host_notify,
	.nmi = host_nmi,
	.init = host_init,
	.startup = host_startup,
	.event = host_event,
	.drop_page = host_drop_page,
};

/* --- creation --- */

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
	return r ? fail(vm, "not enough free memory for its RAM") : 0;
}

/* A slice of all RAM. 1: there is more to do. */
static int create_ram(struct vm *vm)
{
	uint64_t pages = 0;
	gfn_t base;
	int r;

	for (; vm->next_slot < VM_RAM_SLOTS && !pages; vm->next_slot += !pages)
		pages = vm_ram_slot(vm, vm->next_slot, &base);
	if (!pages)
		return 0;
	if (!vm->build.slot.nr_pages) {
		r = slots_begin(&vm->mem, &vm->build, vm->next_slot, base, pages, 0);
	} else {
		r = slots_build(&vm->mem, &vm->build);
		vm->next_slot += !r;
	}
	return r < 0 ? fail(vm, "not enough free memory for its RAM") : 1;
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
	struct vcpu *v = pages_zalloc(order_of(sizeof(*v)));
	void *control = pages_zalloc(VIRT_VCPU_ORDER);

	bool traced = vm->config->debug & VM_DEBUG_EXITS;

	if (v)
		v->fpu = pages_zalloc(order_of(fpu_area_size()));
	if (v && traced)
		v->trace = pages_zalloc(order_of(sizeof(*v->trace)));
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
	if (mmu_vcpu_init(&v->mmu, &vm->mmu)) {
		free_pages_of(v, control);
		return NULL;
	}
	fpu_init_area(v->fpu);
	virt_vcpu_init(&v->virt, control, host_pa(control), mmu_is_nested(&vm->mmu));
	v->emulates_modes =
		!virt_is_unrestricted(&v->virt) || vm->config->realmode == REALMODE_EMULATE;
	return v;
}

static void destroy_vcpu(struct vcpu *v)
{
	mmu_vcpu_destroy(&v->mmu);
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
static enum boot_proto find_proto(const struct vm_config *config)
{
	struct load_file kernel = load_file(&config->kernel);

	return config->proto == PROTO_AUTO ? load_detect(&kernel) : config->proto;
}

/* A BIOS image finds a board that nobody has touched; all others find what a firmware leaves. */
static bool has_own_firmware(const struct vm *vm)
{
	return vm->proto == PROTO_BIOS;
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
	struct fw_cfg_file files[LOAD_MAX_MODULES];
	struct platform_config pc = {
		.name = vm->name,
		.vm = vm,
		.host = &dev_host,
		.ram_bytes = vm->config->mem_bytes,
		.nr_vcpus = vm->nr_vcpus,
		.test_device = vm->config->test_device,
		.vcpu_timers = timers,
		.serial = &vm->console.sink,
		.unix_time = wall_clock_now(),
		.phys_bits = vm->cpuid.ext[8].eax & 0xff,
		.fw_cfg = files,
		.nr_fw_cfg = collect_fw_cfg(vm->config, files),
	};

	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		timers[i] = &vmm_cpu_by_id(vm->vcpus[i]->pcpu)->timers;
	vm->platform = platform_create(&pc);
	if (!vm->platform)
		return -ENOMEM; /* it has said why */
	if (has_own_firmware(vm))
		return 0;
	platform_act_as_firmware(vm->platform);
	firmware_write_tables(&vm->mem, vm->nr_vcpus, vm->config->mem_bytes);
	return 0;
}

/* Small guests look for Umbra's own leaves first of all, and a firmware may do either. */
static bool has_kvm_clock(const struct vm *vm)
{
	if (vm->config->kvm_clock == KVM_CLOCK_AUTO)
		return vm->proto == PROTO_LINUX || vm->proto == PROTO_PVH;
	return vm->config->kvm_clock == KVM_CLOCK_ON;
}

/* All vCPUs in the state after RESET; the guest's TSC starts at zero on all of them. */
static void reset_vcpus(struct vm *vm)
{
	uint64_t offset = -rdtsc();

	vm->clock_is_one = smp_tscs_agree();
	vm->kvm_clock = has_kvm_clock(vm);
	vm->born_tsc = -offset;
	vm->born_at = wall_clock_now();
	for (unsigned i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *v = vm->vcpus[i];

		v->lapic = platform_lapic(vm->platform, i);
		v->tsc_offset = offset;
		vcpu_load(v);
		vcpu_reset(v);
		virt_set_tsc_offset(&v->virt, offset);
		vcpu_unload(v);
		lapic_set_tsc_offset(v->lapic, offset);
		atomic_init(&v->state, i ? VCPU_WAIT_FOR_SIPI : VCPU_RUNNABLE);
		v->counted_dead = i;
	}
	atomic_init(&vm->dead, vm->nr_vcpus - 1);
	atomic_init(&vm->live_vcpus, vm->nr_vcpus);
}

/*
 * Other CPUs may be about to kick one of its vCPUs, or to fire a timer of the VM's: a periodic one
 * goes on without its vCPU, and its callback arms it again. They are done after the grace period.
 * That is so, too, for a VM that never ran: its vCPUs were loaded to set them up.
 */
static void end_timers(struct vm *vm)
{
	console_destroy(&vm->console);
	if (vm->platform)
		platform_shut_timers(vm->platform);
	grace_wait();
}

static void end_parts(struct vm *vm)
{
	if (vm->platform)
		platform_destroy(vm->platform);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		destroy_vcpu(vm->vcpus[i]);
}

/* False: there is no room in the log for the next vCPU's trace, or there may be more of them. */
static bool dump_traces(struct vm *vm)
{
	struct vcpu *v;

	if (atomic_load(&vm->end) == VM_RUNNING || vm->next_trace == vm->nr_vcpus)
		return true; /* it never ran; or that is it */
	if (log_pending() > LOG_SINK_ROOM - TRACE_BYTES)
		return false;
	v = vm->vcpus[vm->next_trace++];
	if (v->trace)
		trace_dump(v->trace, v);
	return false;
}

bool vm_destroy_some(struct vm *vm)
{
	bool done = true;

	switch (vm->end_step) {
	case VM_END_TRACES:
		done = dump_traces(vm);
		break;
	case VM_END_TIMERS:
		end_timers(vm);
		break;
	case VM_END_PARTS:
		end_parts(vm);
		break;
	case VM_END_TABLES:
		done = mmu_vm_destroy_some(&vm->mmu);
		break;
	case VM_END_ACCOUNT:
		done = account_drain(&vm->account);
		break;
	case VM_END_MEMORY:
		if (!slots_abandon(&vm->build) || !slots_destroy_some(&vm->mem))
			return false;
		pages_free(vm, order_of(sizeof(*vm)));
		return true;
	}
	vm->end_step += done;
	return false;
}

static void describe_load(struct vm *vm, struct load_request *req)
{
	const struct vm_config *c = vm->config;

	*req = (struct load_request){
		.vm = vm->name,
		.proto = vm->proto,
		.mode = c->mode,
		.load_addr = c->load_addr,
		.kernel = load_file(&c->kernel),
		.initrd = load_file(&c->initrd),
		.cmdline = c->cmdline,
		.ram_bytes = c->mem_bytes,
		.rsdp = GPA(has_own_firmware(vm) ? 0 : FIRMWARE_RSDP),
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

static int create_other_slots(struct vm *vm)
{
	struct load_request req;
	int r = 0;

	describe_load(vm, &req);
	if (mmu_is_nested(&vm->mmu) && !virt_caps.unrestricted)
		r = create_identity_map(vm);
	return r ? r : create_rom(vm, &req);
}

/*
 * A slice of the pages that the VM may come to need at run time; all its slots are there. 1: there
 * is more to do.
 */
static int fill_account(struct vm *vm)
{
	uint64_t pages = mmu_account_pages(&vm->mmu, &vm->mem, vm->config->vcpus);
	int r = account_fill(&vm->account, pages);

	if (r < 0)
		log_error("vm %s: mem=%lluK: not enough free memory for its page tables: of %llu "
			  "pages %llu are missing",
			  vm->name, (unsigned long long)vm->config->mem_bytes >> 10,
			  (unsigned long long)pages,
			  (unsigned long long)(pages - vm->account.limit));
	return r;
}

/* A slice of all memory that grows with the VM. 1: there is more to do. */
static int create_memory(struct vm *vm)
{
	int r = create_ram(vm);

	if (r)
		return r;
	if (vm->has_all_slots)
		return fill_account(vm);
	vm->has_all_slots = true;
	r = create_other_slots(vm);
	return r ? r : 1;
}

static int load(struct vm *vm)
{
	struct load_request req;
	struct boot_state state;
	char err[LOAD_ERROR_LEN];
	int r;

	describe_load(vm, &req);
	r = load_guest(&req, &vm->mem, &state, err, sizeof(err));
	if (r) {
		log_error("%s", err);
		return r;
	}
	vcpu_load(vm->vcpus[0]);
	vcpu_apply_boot_state(vm->vcpus[0], &state);
	vcpu_unload(vm->vcpus[0]);
	if (load_rom_bytes(&req) && slots_set_flags(&vm->mem, VM_SLOT_ROM, SLOT_READONLY))
		return fail(vm, "no memory for its firmware");
	return 0;
}

static int load_roots(struct vm *vm)
{
	int r = 0;

	for (unsigned i = 0; i < vm->nr_vcpus && !r; i++) {
		vcpu_load(vm->vcpus[i]);
		r = vcpu_load_root(vm->vcpus[i]);
		vcpu_unload(vm->vcpus[i]);
	}
	return r ? fail(vm, "no memory for its page tables") : 0;
}

/* All but its memory, which is there. */
static int build(struct vm *vm)
{
	int r = console_init(&vm->console, vm, vm->config);

	if (!r && mmu_vm_init(&vm->mmu, &vm->mem, vm, vm->config->large_pages, &vm->account))
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

static void destroy(struct vm *vm)
{
	while (!vm_destroy_some(vm))
		grace_round();
}

struct vm *vm_create_begin(const struct vm_config *config)
{
	struct vm *vm = pages_zalloc(order_of(sizeof(*vm)));
	const char *obstacle;

	if (!vm) {
		log_error("vm %s: no memory", config->name);
		return NULL;
	}
	memcpy(vm->name, config->name, sizeof(vm->name));
	vm->config = config;
	vm->proto = find_proto(config);
	slots_init(&vm->mem);
	account_init(&vm->account);
	obstacle = mmu_vm_choose(&vm->mmu, config->mmu);
	if (obstacle) {
		log_error("vm %s: %s", config->name, obstacle);
		pages_free(vm, order_of(sizeof(*vm)));
		return NULL;
	}
	cpuid_table_init(&vm->cpuid, config->vcpus, vm->mmu.may_shadow);
	return vm;
}

int vm_create_some(struct vm *vm)
{
	int r = create_memory(vm);

	if (!r)
		r = build(vm);
	if (r < 0)
		console_destroy(&vm->console); /* what is typed finds no board */
	if (r)
		return r;
	vm->started_ns = clock_ns();
	vm_add(vm);
	log_info("vm %s: %u vCPUs, %llu MiB", vm->name, vm->nr_vcpus,
		 (unsigned long long)vm->config->mem_bytes >> 20);
	for (unsigned i = 0; i < vm->nr_vcpus; i++)
		sched_add(vm->vcpus[i]);
	return 0;
}

struct vm *vm_create(const struct vm_config *config)
{
	struct vm *vm = vm_create_begin(config);
	int r = 1;

	while (vm && r > 0)
		r = vm_create_some(vm);
	if (!r)
		return vm;
	if (vm)
		destroy(vm);
	return NULL;
}
