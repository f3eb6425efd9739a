/* SPDX-License-Identifier: BSD-2-Clause */
/* Control-register writes that exit, on a vendor that keeps PAE's PDPTEs in registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "mm/grace.h"
#include "mm/guest.h"
#include "tests/unit/support/host.h"
#include "vmm/exit/cr.h"
#include "vmm/vm.h"

#define RAM   0x10000ull
#define TABLE 0x3020ull

static struct {
	uint64_t vreg[NR_VREGS], pdpte[4];
	uint16_t cs_attr;
	bool has_pdptes;
	unsigned loads, flushes;
} cpu;

bool virt_is_vmx = true;
static struct vm vm;
static struct vcpu vcpu;

uint64_t vmx_reg_read(struct virt_vcpu *v, enum vreg reg)
{
	(void)v;
	return cpu.vreg[reg];
}

void vmx_reg_write(struct virt_vcpu *v, enum vreg reg, uint64_t val)
{
	(void)v;
	cpu.vreg[reg] = val;
}

uint16_t vmx_cs_attr(struct virt_vcpu *v)
{
	(void)v;
	return cpu.cs_attr;
}

void vmx_seg_read(struct virt_vcpu *v, enum seg seg, struct segment *out)
{
	(void)v;
	assert_true(seg == SEG_CS || seg == SEG_TR);
	*out = (struct segment){.attr = seg == SEG_CS ? cpu.cs_attr : SEG_ATTR_P | 0xb};
}

bool vmx_has_pdptes(struct virt_vcpu *v)
{
	(void)v;
	return cpu.has_pdptes;
}

void vmx_flush(struct virt_vcpu *v)
{
	(void)v;
	cpu.flushes++;
}

void vmx_pdptes_write(struct virt_vcpu *v, const uint64_t pdpte[4])
{
	(void)v;
	memcpy(cpu.pdpte, pdpte, sizeof(cpu.pdpte));
	cpu.loads++;
}

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

static int setup(void **state)
{
	(void)state;
	grace_exit_guest(grace_cpu());
	host_arena_with_frames(16ull << 20);
	memset(&cpu, 0, sizeof(cpu));
	memset(&vm, 0, sizeof(vm));
	slots_init(&vm.mem);
	assert_int_equal(slots_create(&vm.mem, 0, GFN(0), RAM >> PAGE_SHIFT, 0), 0);
	vm.cpuid.ext[8].eax = 36;
	vm.cpuid.cr4 = CR4_PAE | CR4_PGE | CR4_PSE | CR4_PCIDE;
	vcpu.vm = &vm;
	cpu.has_pdptes = true;
	cpu.vreg[VREG_CR0] = CR0_ET | CR0_PE;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	slots_destroy(&vm.mem);
	grace_enter_guest(grace_cpu());
	return 0;
}

static void set_table(uint64_t gpa, uint64_t first)
{
	const uint64_t table[4] = {first, 0, 0x5000 | PTE_P, ~PTE_P};

	assert_int_equal(guest_write(&vm.mem, GPA(gpa), table, sizeof(table)), 0);
}

static void begin_pae(void)
{
	set_table(TABLE, 0x4000 | PTE_P);
	cpu.vreg[VREG_CR3] = TABLE | CR3_PWT;
	cpu.vreg[VREG_CR4] = CR4_PAE;
}

static void paging_goes_on_with_pdptes(void **state)
{
	begin_pae();
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE));
	assert_int_equal(cpu.vreg[VREG_CR0], CR0_PG | CR0_ET | CR0_PE);
	assert_int_equal(cpu.loads, 1);
	assert_int_equal(cpu.pdpte[0], 0x4000 | PTE_P);
	assert_int_equal(cpu.pdpte[2], 0x5000 | PTE_P);
	assert_int_equal(cpu.flushes, 1);
}

static void cr3_and_cr4_load_pdptes(void **state)
{
	begin_pae();
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE));
	set_table(0x6000, 0x7000 | PTE_P);
	assert_true(cr_write(&vcpu, 3, 0x6000));
	assert_int_equal(cpu.vreg[VREG_CR3], 0x6000);
	assert_int_equal(cpu.pdpte[0], 0x7000 | PTE_P);
	set_table(0x6000, 0x8000 | PTE_P);
	assert_int_equal(cpu.pdpte[0], 0x7000 | PTE_P);
	assert_true(cr_write(&vcpu, 4, CR4_PAE | CR4_PGE));
	assert_int_equal(cpu.pdpte[0], 0x8000 | PTE_P);
}

/* CLTS, for one, does not look at the table, which the guest may have changed since. */
static void other_bits_of_cr0_do_not(void **state)
{
	begin_pae();
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE));
	set_table(TABLE, PTE_P | PTE_RW);
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE | CR0_TS));
	assert_int_equal(cpu.loads, 1);
	assert_int_equal(cpu.pdpte[0], 0x4000 | PTE_P);
	assert_false(cr_write(&vcpu, 0, CR0_PG | CR0_PE | CR0_TS | CR0_CD));
	set_table(TABLE, 0x8000 | PTE_P);
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE | CR0_TS | CR0_CD));
	assert_int_equal(cpu.loads, 2);
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE | CR0_CD | CR0_NW));
	assert_int_equal(cpu.loads, 3);
}

/* #GP, and nothing has changed. */
static void refuses(unsigned cr, uint64_t val)
{
	uint64_t before[NR_VREGS], pdpte[4];

	memcpy(before, cpu.vreg, sizeof(before));
	memcpy(pdpte, cpu.pdpte, sizeof(pdpte));
	assert_false(cr_write(&vcpu, cr, val));
	assert_memory_equal(before, cpu.vreg, sizeof(before));
	assert_memory_equal(pdpte, cpu.pdpte, sizeof(pdpte));
}

static void bad_pdptes_are_refused(void **state)
{
	static const uint64_t bad[] = {PTE_P | PTE_RW, PTE_P | BIT(8), PTE_P | BIT_ULL(36),
				       PTE_P | PTE_NX};

	begin_pae();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		set_table(TABLE, bad[i]);
		refuses(0, CR0_PG | CR0_PE);
	}
	cpu.vreg[VREG_CR3] = RAM; /* beyond memory: all ones */
	refuses(0, CR0_PG | CR0_PE);
	begin_pae();
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE));
	set_table(0x6000, PTE_P | PTE_RW);
	refuses(3, 0x6000);
}

/* Where they are not in registers, walks read them; and so they are not of other kinds of paging.
 */
static void others_have_no_pdptes(void **state)
{
	begin_pae();
	set_table(TABLE, PTE_P | PTE_RW);
	cpu.has_pdptes = false;
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE));
	assert_true(cr_write(&vcpu, 0, CR0_PE));
	cpu.has_pdptes = true;
	cpu.vreg[VREG_CR4] = 0;
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE));
	assert_true(cr_write(&vcpu, 0, CR0_PE));
	cpu.vreg[VREG_CR4] = CR4_PAE;
	cpu.vreg[VREG_EFER] = EFER_LME;
	assert_true(cr_write(&vcpu, 0, CR0_PG | CR0_PE));
	assert_int_equal(cpu.vreg[VREG_EFER], EFER_LME | EFER_LMA);
	assert_int_equal(cpu.loads, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(paging_goes_on_with_pdptes, setup, teardown),
		cmocka_unit_test_setup_teardown(cr3_and_cr4_load_pdptes, setup, teardown),
		cmocka_unit_test_setup_teardown(other_bits_of_cr0_do_not, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_pdptes_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(others_have_no_pdptes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
