/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes of control registers: the rules of SDM volume 3, 2.5, 4.1.1 and 10.8.5, and what is left
 * as it was when one is broken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "tests/unit/support/apics.h"
#include "tests/unit/support/fake_virt.h"
#include "vmm/cpu.h"
#include "vmm/exit/cr.h"
#include "vmm/vcpu_load.h"
#include "vmm/vm.h"

#define LONG_MODE (EFER_LME | EFER_LMA)

static struct vm vm;
static struct vcpu vcpu;

uint64_t vcpu_xcr0(struct vcpu *v)
{
	return 0;
}

void vcpu_request(struct vcpu *v, uint32_t requests)
{
	atomic_fetch_or(&v->requests, requests);
}

uint64_t arch_capabilities_of_host(void)
{
	return ~0ull;
}

struct cpuid_entry cpuid_of_host(uint32_t leaf, uint32_t subleaf)
{
	return (struct cpuid_entry){0};
}

/* ---- */

static int setup(void **state)
{
	memset(&fake_cpu, 0, sizeof(fake_cpu));
	apics_create(1);
	vm = (struct vm){.cpuid = {.cr4 = CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_LA57 | CR4_PSE}};
	vcpu = (struct vcpu){.vm = &vm, .lapic = &apic[0]};
	fake_cpu.vreg[VREG_CR0] = CR0_PE | CR0_ET;
	fake_cpu.seg[SEG_CS].attr = SEG_ATTR_P | SEG_ATTR_DB;
	return 0;
}

static void in_long_mode(bool code64)
{
	fake_cpu.vreg[VREG_CR0] = CR0_PE | CR0_PG | CR0_ET;
	fake_cpu.vreg[VREG_CR4] = CR4_PAE;
	fake_cpu.vreg[VREG_EFER] = LONG_MODE;
	fake_cpu.seg[SEG_CS].attr = SEG_ATTR_P | (code64 ? SEG_ATTR_L : SEG_ATTR_DB);
}

/* MOV to CR: done, or refused with nothing changed. */
static bool mov(unsigned cr, uint64_t val)
{
	struct fake_cpu before = fake_cpu;
	bool done = cr_write(&vcpu, cr, val);

	if (!done)
		assert_memory_equal(&before, &fake_cpu, sizeof(before));
	return done;
}

static uint64_t cr(enum vreg reg)
{
	return fake_cpu.vreg[reg];
}

static void cr0_combinations(void **state)
{
	assert_true(mov(0, CR0_PE));
	assert_int_equal(cr(VREG_CR0), CR0_PE | CR0_ET); /* ET cannot be cleared */
	assert_int_equal(fake_cpu.flushes, 1);
	assert_false(mov(0, CR0_PG));
	assert_false(mov(0, CR0_PE | CR0_NW));
	assert_true(mov(0, CR0_PE | CR0_NW | CR0_CD));
	assert_true(mov(0, CR0_PE | CR0_CD));
	assert_true(mov(0, CR0_PE | CR0_WP | CR0_AM | CR0_NE | CR0_MP | CR0_EM | CR0_TS));
	/* Reserved bits of the lower half are dropped. */
	assert_true(mov(0, CR0_PE | 0x1ff8ffc0));
	assert_int_equal(cr(VREG_CR0), CR0_PE | CR0_ET);
	assert_true(mov(0, 0));
	assert_int_equal(cr(VREG_CR0), CR0_ET);
}

static void upper_halves_are_reserved(void **state)
{
	in_long_mode(true);
	assert_false(mov(0, CR0_PE | CR0_PG | BIT_ULL(32)));
	assert_false(mov(0, CR0_PE | CR0_PG | BIT_ULL(63)));
	assert_false(mov(4, CR4_PAE | BIT_ULL(32)));
	assert_false(mov(8, BIT_ULL(32)));
	assert_true(mov(0, CR0_PE | CR0_PG));
}

static void paging_with_lme_is_long_mode(void **state)
{
	fake_cpu.vreg[VREG_EFER] = EFER_LME | EFER_NXE;
	assert_false(mov(0, CR0_PE | CR0_PG)); /* wants PAE */
	fake_cpu.vreg[VREG_CR4] = CR4_PAE;
	fake_cpu.seg[SEG_CS].attr = SEG_ATTR_P | SEG_ATTR_L;
	assert_false(mov(0, CR0_PE | CR0_PG)); /* from a segment that is 64-bit already */
	fake_cpu.seg[SEG_CS].attr = SEG_ATTR_P | SEG_ATTR_DB;
	fake_cpu.seg[SEG_TR].attr = SEG_ATTR_P | 0x3;
	assert_false(mov(0, CR0_PE | CR0_PG));        /* with a task of 16 bits */
	vm.cpuid.basic[0].ebx = CPUID_VENDOR_AMD_EBX; /* who does not mind */
	assert_true(mov(0, CR0_PE | CR0_PG));
	assert_true(mov(0, CR0_PE));
	vm.cpuid.basic[0].ebx = 0;
	fake_cpu.seg[SEG_TR].attr = SEG_ATTR_P | 0xb;
	assert_true(mov(0, CR0_PE | CR0_PG));
	assert_int_equal(cr(VREG_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	assert_true(mov(0, CR0_PE | CR0_PG | CR0_WP));
	assert_true(mov(0, CR0_PE));
	assert_int_equal(cr(VREG_EFER), EFER_LME | EFER_NXE);
	fake_cpu.vreg[VREG_EFER] = 0;
	fake_cpu.vreg[VREG_CR4] = 0;
	assert_true(mov(0, CR0_PE | CR0_PG));
	assert_int_equal(cr(VREG_EFER), 0);
}

static void paging_stays_on_in_64_bit_mode(void **state)
{
	in_long_mode(true);
	assert_false(mov(0, CR0_PE));
	in_long_mode(false);
	assert_true(mov(0, CR0_PE));
	in_long_mode(false);
	fake_cpu.vreg[VREG_CR4] |= CR4_PCIDE;
	assert_false(mov(0, CR0_PE));
	assert_int_equal(cr(VREG_EFER), LONG_MODE);
}

static void cr4_takes_what_cpuid_shows(void **state)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		setup(state);
		assert_int_equal(mov(4, BIT_ULL(bit)),
				 (vm.cpuid.cr4 & ~CR4_PCIDE & BIT_ULL(bit)) != 0);
	}
	setup(state);
	vm.cpuid.cr4 = 0;
	assert_false(mov(4, CR4_PAE));
	assert_true(mov(4, 0));
	assert_int_equal(fake_cpu.flushes, 1);
}

static void long_mode_keeps_its_tables(void **state)
{
	in_long_mode(true);
	assert_false(mov(4, 0));
	assert_false(mov(4, CR4_PAE | CR4_LA57));
	assert_true(mov(4, CR4_PAE | CR4_PGE));
	setup(state);
	assert_true(mov(4, CR4_PAE | CR4_LA57));
}

static void pcids_want_long_mode_and_pcid_0(void **state)
{
	assert_false(mov(4, CR4_PCIDE));
	in_long_mode(true);
	fake_cpu.vreg[VREG_CR3] = 0x1001;
	assert_false(mov(4, CR4_PAE | CR4_PCIDE));
	fake_cpu.vreg[VREG_CR3] = 0x1000;
	assert_true(mov(4, CR4_PAE | CR4_PCIDE));
	/* Once it is on, CR3 may hold any. */
	fake_cpu.vreg[VREG_CR3] = 0x1001;
	assert_true(mov(4, CR4_PAE | CR4_PCIDE | CR4_PGE));
	assert_true(mov(4, CR4_PAE));
}

static void cr3_has_reserved_bits_in_long_mode(void **state)
{
	vm.cpuid.ext[8].eax = 0x3028;
	in_long_mode(true);
	assert_true(mov(3, 0xfffffff018));
	assert_int_equal(cr(VREG_CR3), 0xfffffff018);
	assert_false(mov(3, BIT_ULL(40)));
	assert_false(mov(3, BIT_ULL(62)));
	assert_false(mov(3, CR3_NO_FLUSH | 0x1000)); /* is of PCIDs only */
	fake_cpu.vreg[VREG_CR4] |= CR4_PCIDE;
	assert_true(mov(3, CR3_NO_FLUSH | 0x1001));
	assert_int_equal(cr(VREG_CR3), 0x1001);
	assert_false(mov(3, CR3_NO_FLUSH | BIT_ULL(62)));
}

static void cr8_is_the_task_priority(void **state)
{
	in_long_mode(true);
	for (uint64_t val = 0; val < 16; val++) {
		assert_true(mov(8, val));
		assert_int_equal(lapic_get_cr8(&apic[0]), val);
		assert_int_equal(apic_read(&apic[0], 0x80), val << 4);
		assert_true(atomic_exchange(&vcpu.requests, 0) & REQ_EVENT);
	}
	assert_false(mov(8, 16));
	assert_int_equal(lapic_get_cr8(&apic[0]), 15);
}

/* --- shadow paging --- */

static bool asks_for_root(unsigned cr, uint64_t val)
{
	atomic_store(&vcpu.requests, 0);
	assert_true(cr_write(&vcpu, cr, val));
	return vcpu.requests & REQ_RELOAD_ROOT;
}

/* What decides what the shadow tables are, and what flushes. */
static void a_root_is_asked_for(void **state)
{
	static struct shadow_vcpu shadow;

	assert_false(asks_for_root(3, 0x5000));
	vcpu.mmu.shadow = &shadow;
	assert_true(asks_for_root(3, 0x5000));
	assert_true(asks_for_root(4, CR4_PGE));
	assert_true(asks_for_root(0, CR0_PE | CR0_ET | CR0_WP));
	assert_true(asks_for_root(0, CR0_PE | CR0_ET | CR0_WP | CR0_PG));
	assert_false(asks_for_root(0, CR0_PE | CR0_ET | CR0_WP | CR0_PG | CR0_TS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(cr0_combinations, setup),
		cmocka_unit_test_setup(upper_halves_are_reserved, setup),
		cmocka_unit_test_setup(paging_with_lme_is_long_mode, setup),
		cmocka_unit_test_setup(paging_stays_on_in_64_bit_mode, setup),
		cmocka_unit_test_setup(cr4_takes_what_cpuid_shows, setup),
		cmocka_unit_test_setup(long_mode_keeps_its_tables, setup),
		cmocka_unit_test_setup(pcids_want_long_mode_and_pcid_0, setup),
		cmocka_unit_test_setup(cr3_has_reserved_bits_in_long_mode, setup),
		cmocka_unit_test_setup(cr8_is_the_task_priority, setup),
		cmocka_unit_test_setup(a_root_is_asked_for, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
