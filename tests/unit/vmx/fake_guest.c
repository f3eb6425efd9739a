/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/vmx/fake_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "arch/x86/vmx/vmx.h"
#include "tests/unit/support/paging_modes.h"

struct virt_vcpu fake_vcpu;
static uint8_t vcpu_pages[VIRT_VCPU_PAGES * PAGE_SIZE] __aligned(4096);
static uint8_t cpu_pages[VIRT_CPU_PAGES * PAGE_SIZE] __aligned(4096);

int fake_guest_probe(const struct vmx_limits *limits)
{
	struct vmx_limits l = *limits;

	l.physical_bits = 52;
	fake_cpu_reset(&l);
	vmx_setup = (struct vmx_setup){0};
	return vmx_cpu_probe();
}

static void begin(const struct vmx_limits *limits, bool nested)
{
	assert_int_equal(fake_guest_probe(limits), 0);
	memset(cpu_pages, 0, sizeof(cpu_pages));
	vmx_cpu_enable(cpu_pages, HPA((uint64_t)cpu_pages));
	memset(&fake_vcpu, 0, sizeof(fake_vcpu));
	memset(vcpu_pages, 0, sizeof(vcpu_pages));
	vmx_vcpu_init(&fake_vcpu, vcpu_pages, HPA((uint64_t)vcpu_pages), nested);
	vmx_vcpu_load(&fake_vcpu);
	vmx_vcpu_reset(&fake_vcpu);
	if (nested)
		vmx_set_paging(&fake_vcpu, &(struct virt_paging){.root = FAKE_ROOT});
	fake_guest_real_mode();
}

void fake_guest_begin(const struct vmx_limits *limits)
{
	begin(limits, true);
}

void fake_guest_begin_shadowed(const struct vmx_limits *limits)
{
	begin(limits, false);
}

static void set_segments(uint16_t code, uint16_t data, uint32_t limit)
{
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		vmx_seg_write(
			&fake_vcpu, seg,
			&(struct segment){.limit = limit, .attr = seg == SEG_CS ? code : data});
	vmx_seg_write(&fake_vcpu, SEG_LDTR, &(struct segment){.limit = 0xffff, .attr = 0x82});
	vmx_seg_write(&fake_vcpu, SEG_TR, &(struct segment){.limit = 0xffff, .attr = 0x8b});
}

void fake_guest_real_mode(void)
{
	vmx_reg_write(&fake_vcpu, VREG_CR0, CR0_CD | CR0_NW | CR0_ET);
	vmx_reg_write(&fake_vcpu, VREG_CR4, 0);
	vmx_reg_write(&fake_vcpu, VREG_EFER, 0);
	set_segments(0x9b, 0x93, 0xffff);
	fake_vcpu.rip = 0xfff0;
}

void fake_guest_long_mode(void)
{
	vmx_reg_write(&fake_vcpu, VREG_CR0, CR0_PG | CR0_ET | CR0_PE);
	vmx_reg_write(&fake_vcpu, VREG_CR4, CR4_PAE);
	vmx_reg_write(&fake_vcpu, VREG_EFER, EFER_LME | EFER_LMA);
	set_segments(0xa9b, 0xc93, ~0u);
	fake_vcpu.rip = 0xffffffff80000000;
}

void fake_guest_mode(const struct paging_mode *m)
{
	if (m->cr0 & CR0_PE)
		set_segments(m->efer & EFER_LMA ? 0xa9b : 0xc9b, 0xc93, ~0u);
	else
		set_segments(0x9b, 0x93, 0xffff);
	vmx_reg_write(&fake_vcpu, VREG_CR0, m->cr0);
	vmx_reg_write(&fake_vcpu, VREG_CR4, m->cr4);
	vmx_reg_write(&fake_vcpu, VREG_EFER, m->efer);
	vmx_reg_write(&fake_vcpu, VREG_CR3, m->cr3);
	fake_vcpu.rip = 0x1000;
}

static struct {
	uint32_t reason;
	uint64_t qualification;
} leaving;

static void leave(uint64_t *gpr)
{
	(void)gpr;
	fake_cpu_set_field(VMCS_EXIT_REASON, leaving.reason);
	fake_cpu_set_field(VMCS_EXIT_QUALIFICATION, leaving.qualification);
}

struct vm_exit fake_guest_exit(uint32_t reason, uint64_t qualification)
{
	struct vm_exit exit;

	memset(&exit, 0xaa, sizeof(exit));
	leaving.reason = reason;
	leaving.qualification = qualification;
	fake_cpu.guest = leave;
	vmx_vcpu_run(&fake_vcpu, &exit);
	fake_cpu.guest = NULL;
	return exit;
}

void fake_guest_enter(void)
{
	unsigned before = fake_cpu.entries;

	fake_guest_exit(VMX_EXIT_CPUID, 0);
	assert_int_equal(fake_cpu.entries, before + 1);
}

hpa_t fake_guest_pae_root(uint64_t first, uint64_t last)
{
	static uint64_t *page;

	if (!page) {
		page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		assert_true(page != MAP_FAILED);
	}
	page[0] = first;
	page[3] = last;
	return HPA((uint64_t)page);
}
