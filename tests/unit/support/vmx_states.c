/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/support/vmx_states.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "arch/x86/virt.h"

#define SET(field, val) fake_vmcs_set(&s->vmcs, VMCS_##field, val)
#define GET(field)      fake_vmcs_get(&s->vmcs, VMCS_##field)

const struct vmx_limits vmx_tiger_lake = {
	.controls =
		{
			[CTL_PIN] = 0x0000007f00000016,
			[CTL_PROC] = 0xfff9fffe04006172,
			[CTL_PROC2] = 0x02977fff00000000,
			[CTL_EXIT] = 0x107fffff00036dfb,
			[CTL_ENTRY] = 0x0010ffff000011fb,
		},
	.basic = 0x01d8100000000004,
	.misc = 0x600401e0,
	.ept_vpid_cap = 0x00000f0106b34141,
	.vmfunc = 1,
	.cr0_fixed0 = 0x80000021,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = 0x2000,
	.cr4_fixed1 = 0xf72fff,
	.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
	.debugctl = 0x3,
	.physical_bits = 40,
	.linear_bits = 48,
};

const struct vmx_limits vmx_first_generation = {
	.controls =
		{
			[CTL_PIN] = 0x0000001f00000016,
			[CTL_PROC] = 0x67b9fffe0401e172,
			[CTL_EXIT] = 0x0003ffff00036dff,
			[CTL_ENTRY] = 0x00003fff000011ff,
		},
	.basic = 0x0018040000000007,
	.misc = 0x000401c0,
	.cr0_fixed0 = 0x80000021,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = 0x2000,
	.cr4_fixed1 = 0x67ff,
	.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
	.debugctl = 0x3,
	.physical_bits = 36,
	.linear_bits = 48,
};

/* A field that the CPU only has if it has a control. */
static const struct {
	uint32_t field;
	enum vmx_control_word word;
	uint32_t bit;
} optional[] = {
	{VMCS_VPID, CTL_PROC2, PROC2_VPID},
	{VMCS_GUEST_PML_INDEX, CTL_PROC2, PROC2_PML},
	{VMCS_PML_ADDRESS, CTL_PROC2, PROC2_PML},
	{VMCS_MSR_BITMAP, CTL_PROC, PROC_MSR_BITMAPS},
	{VMCS_VIRTUAL_APIC_PAGE_ADDR, CTL_PROC, PROC_TPR_SHADOW},
	{VMCS_TPR_THRESHOLD, CTL_PROC, PROC_TPR_SHADOW},
	{VMCS_APIC_ACCESS_ADDR, CTL_PROC2, PROC2_VIRTUAL_APIC},
	{VMCS_VM_FUNCTION_CONTROLS, CTL_PROC2, PROC2_VMFUNC},
	{VMCS_EPTP_LIST_ADDR, CTL_PROC2, PROC2_VMFUNC},
	{VMCS_EPT_POINTER, CTL_PROC2, PROC2_EPT},
	{VMCS_GUEST_PDPTE0, CTL_PROC2, PROC2_EPT},
	{VMCS_GUEST_PDPTE1, CTL_PROC2, PROC2_EPT},
	{VMCS_GUEST_PDPTE2, CTL_PROC2, PROC2_EPT},
	{VMCS_GUEST_PDPTE3, CTL_PROC2, PROC2_EPT},
	{VMCS_VMREAD_BITMAP, CTL_PROC2, PROC2_VMCS_SHADOWING},
	{VMCS_VMWRITE_BITMAP, CTL_PROC2, PROC2_VMCS_SHADOWING},
	{VMCS_VIRTUALIZATION_EXCEPTION_ADDR, CTL_PROC2, PROC2_EPT_VE},
	{VMCS_XSS_EXIT_BITMAP, CTL_PROC2, PROC2_XSAVES},
	{VMCS_SECONDARY_PROCESSOR_CONTROLS, CTL_PROC, PROC_SECONDARY},
	{VMCS_PREEMPTION_TIMER_VALUE, CTL_PIN, PIN_PREEMPTION_TIMER},
	{VMCS_GUEST_IA32_PAT, CTL_ENTRY, ENTRY_LOAD_PAT},
	{VMCS_GUEST_IA32_EFER, CTL_ENTRY, ENTRY_LOAD_EFER},
	{VMCS_HOST_IA32_PAT, CTL_EXIT, EXIT_LOAD_PAT},
	{VMCS_HOST_IA32_EFER, CTL_EXIT, EXIT_LOAD_EFER},
};

bool vmx_limits_have_field(const struct vmx_limits *l, uint32_t field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(optional); i++)
		if (optional[i].field == field)
			return l->controls[optional[i].word] >> 32 & optional[i].bit;
	return true;
}

static uint64_t read_field(uint32_t field, void *arg)
{
	struct vmx_state *s = arg;

	assert_true(vmx_limits_have_field(&s->limits, field));
	return fake_vmcs_get(&s->vmcs, field);
}

static uint64_t read_memory(uint64_t pa, void *arg)
{
	struct vmx_state *s = arg;

	assert_true(pa >> s->limits.physical_bits == 0);
	return s->memory;
}

struct vmx_check_env vmx_state_env(struct vmx_state *s)
{
	return (struct vmx_check_env){
		.limits = &s->limits, .read = read_field, .read_memory = read_memory, .arg = s};
}

static void set_controls(struct vmx_state *s)
{
	SET(PIN_BASED_CONTROLS,
	    0x16 | PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER);
	SET(PRIMARY_PROCESSOR_CONTROLS, 0x04006172 | PROC_HLT | PROC_IO_BITMAPS | PROC_MSR_BITMAPS |
						PROC_TPR_SHADOW | PROC_SECONDARY);
	SET(SECONDARY_PROCESSOR_CONTROLS, PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED_GUEST);
	SET(EXIT_CONTROLS,
	    0x00036dfb | EXIT_HOST_64BIT | EXIT_LOAD_PAT | EXIT_LOAD_EFER | EXIT_SAVE_PREEMPTION);
	SET(ENTRY_CONTROLS, 0x000011fb | ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER);
	SET(IO_BITMAP_A, 0x10000);
	SET(IO_BITMAP_B, 0x11000);
	SET(MSR_BITMAP, 0x12000);
	SET(VIRTUAL_APIC_PAGE_ADDR, 0x13000);
	SET(VPID, 1);
	SET(EPT_POINTER, 0x14000 | EPTP_WB | EPTP_WALK_4 | EPTP_AD);
}

static void set_host(struct vmx_state *s)
{
	SET(HOST_CR0, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE);
	SET(HOST_CR3, 0x1000);
	SET(HOST_CR4, CR4_PAE | CR4_VMXE | CR4_PGE);
	SET(HOST_IA32_EFER, EFER_LME | EFER_LMA | EFER_NXE);
	SET(HOST_IA32_PAT, PAT_RESET);
	SET(HOST_CS_SELECTOR, 8);
	SET(HOST_SS_SELECTOR, 0x10);
	SET(HOST_TR_SELECTOR, 0x18);
	SET(HOST_RIP, 0xffffffff80001000);
	SET(HOST_RSP, 0xffffffff80002000);
	SET(HOST_GS_BASE, 0xffffffff80003000);
}

static void set_segment(struct vmx_state *s, enum seg seg, uint64_t base, uint32_t limit,
			uint32_t rights)
{
	fake_vmcs_set(&s->vmcs, VMCS_GUEST_ES_BASE + 2 * seg, base);
	fake_vmcs_set(&s->vmcs, VMCS_GUEST_ES_LIMIT + 2 * seg, limit);
	fake_vmcs_set(&s->vmcs, VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * seg, rights);
}

/* All that is alike in all modes, and flat 32-bit segments of privilege level 0. */
static void set_guest(struct vmx_state *s)
{
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++) {
		fake_vmcs_set(&s->vmcs, VMCS_GUEST_ES_SELECTOR + 2 * seg, 8 * seg + 8);
		set_segment(s, seg, 0, ~0u, AR_G | AR_DB | AR_P | AR_S | 3);
	}
	set_segment(s, SEG_CS, 0, ~0u, AR_G | AR_DB | AR_P | AR_S | 11);
	set_segment(s, SEG_LDTR, 0x5000, 0xffff, AR_P | 2);
	set_segment(s, SEG_TR, 0x6000, 0x67, AR_P | 11);
	SET(GUEST_GDTR_LIMIT, 0xffff);
	SET(GUEST_IDTR_LIMIT, 0xffff);
	SET(GUEST_CR0, CR0_NE | CR0_ET | CR0_PE);
	SET(GUEST_CR4, CR4_VMXE);
	SET(GUEST_DR7, DR7_INIT);
	SET(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	SET(GUEST_RIP, 0x100000);
	SET(GUEST_IA32_PAT, PAT_RESET);
	SET(VMCS_LINK_POINTER, ~0ull);
}

/* 32-bit without paging: an unrestricted guest. */
void vmx_state_protected_unpaged(struct vmx_state *s)
{
	memset(s, 0, sizeof(*s));
	s->limits = vmx_tiger_lake;
	set_controls(s);
	set_host(s);
	set_guest(s);
}

void vmx_state_protected_paged(struct vmx_state *s)
{
	vmx_state_protected_unpaged(s);
	SET(GUEST_CR0, GET(GUEST_CR0) | CR0_PG);
	SET(GUEST_CR3, 0x7000);
	SET(SECONDARY_PROCESSOR_CONTROLS, PROC2_EPT | PROC2_VPID);
}

void vmx_state_pae_ept(struct vmx_state *s)
{
	vmx_state_protected_paged(s);
	SET(GUEST_CR4, CR4_VMXE | CR4_PAE);
	SET(GUEST_PDPTE0, 0x8000 | PTE_P);
	SET(GUEST_PDPTE3, 0x9000 | PTE_P | PTE_PCD | PTE_PWT);
	SET(GUEST_PDPTE1, ~PTE_P);
}

void vmx_state_pae_shadow(struct vmx_state *s)
{
	vmx_state_pae_ept(s);
	SET(SECONDARY_PROCESSOR_CONTROLS, 0);
	SET(GUEST_PDPTE0, ~0ull);
	s->memory = 0x8000 | PTE_P;
}

void vmx_state_long_mode(struct vmx_state *s)
{
	vmx_state_protected_paged(s);
	SET(ENTRY_CONTROLS, GET(ENTRY_CONTROLS) | ENTRY_IA32E_MODE);
	SET(GUEST_CR4, CR4_VMXE | CR4_PAE | CR4_PCIDE);
	SET(GUEST_CR3, 0x7001);
	SET(GUEST_IA32_EFER, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE);
	set_segment(s, SEG_CS, 0, ~0u, AR_G | AR_L | AR_P | AR_S | 11);
	set_segment(s, SEG_GS, 0xffff888000000000, ~0u, AR_UNUSABLE);
	SET(GUEST_RIP, 0xffffffff81000000);
	SET(GUEST_IA32_SYSENTER_EIP, 0xffffffff81000000);
}

static void set_selectors_rpl3(struct vmx_state *s)
{
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		fake_vmcs_set(&s->vmcs, VMCS_GUEST_ES_SELECTOR + 2 * seg, 8 * seg + 8 + 3);
}

/* Privilege level 3, with unusable data segments as a 64-bit user has them. */
void vmx_state_user_mode(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	set_selectors_rpl3(s);
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		set_segment(s, seg, seg >= SEG_FS ? 0x7fff12345678 : 0x123456789abcdef0, 0x800,
			    AR_UNUSABLE | 0x0fff);
	set_segment(s, SEG_CS, 0, ~0u, AR_G | AR_L | AR_P | AR_S | AR_DPL | 11);
	set_segment(s, SEG_SS, 0, ~0u, AR_G | AR_DB | AR_P | AR_S | AR_DPL | 3);
	set_segment(s, SEG_LDTR, 0x123456789abcdef0, 0x800, AR_UNUSABLE | 0x0fff);
	SET(GUEST_RIP, 0x800000000000); /* just run off the end: it will fault, but enter it can */
}

/* 32-bit code, conforming, and data at privilege level 3 in long mode. */
void vmx_state_compat_mode(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	set_selectors_rpl3(s);
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		set_segment(s, seg, 0, ~0u, AR_G | AR_DB | AR_P | AR_S | AR_DPL | 3);
	set_segment(s, SEG_CS, 0, ~0u, AR_G | AR_DB | AR_P | AR_S | 15);
	set_segment(s, SEG_DS, 0, 0x12345, AR_P | AR_S | AR_DPL | 11);
	SET(GUEST_RIP, 0xfffffff0);
}

void vmx_state_real_mode(struct vmx_state *s)
{
	vmx_state_protected_unpaged(s);
	SET(GUEST_CR0, CR0_NE | CR0_ET | CR0_NW | CR0_CD);
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++) {
		fake_vmcs_set(&s->vmcs, VMCS_GUEST_ES_SELECTOR + 2 * seg, 0x1007 * seg);
		set_segment(s, seg, 0x10070 * seg, 0xffff, AR_P | AR_S | 3);
	}
	set_segment(s, SEG_CS, 0xffff0000, 0xffff, AR_P | AR_S | 11);
	set_segment(s, SEG_TR, 0, 0xffff, AR_P | 3);
	SET(GUEST_RIP, 0xfff0);
	SET(GUEST_RFLAGS, RFLAGS_FIXED);
}

/* Real mode after a visit to protected mode: segments of 4G, CS with a data segment's type. */
void vmx_state_flat_real(struct vmx_state *s)
{
	vmx_state_real_mode(s);
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++)
		set_segment(s, seg, 0x10070 * seg, ~0u, AR_G | AR_P | AR_S | 3);
}

void vmx_state_v86_mode(struct vmx_state *s)
{
	vmx_state_protected_paged(s);
	SET(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_VM);
	for (enum seg seg = SEG_ES; seg <= SEG_GS; seg++) {
		fake_vmcs_set(&s->vmcs, VMCS_GUEST_ES_SELECTOR + 2 * seg, 0x1007 * seg);
		set_segment(s, seg, 0x10070 * seg, 0xffff, 0xf3);
	}
}

void vmx_state_halted(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	SET(GUEST_ACTIVITY_STATE, ACTIVITY_HLT);
	SET(GUEST_INTERRUPTIBILITY, BLOCKING_BY_NMI);
	SET(ENTRY_INTERRUPTION_INFO, INTR_VALID | 0x20);
}

void vmx_state_shut_down(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	SET(GUEST_ACTIVITY_STATE, ACTIVITY_SHUTDOWN);
}

void vmx_state_waiting_for_sipi(struct vmx_state *s)
{
	vmx_state_real_mode(s);
	SET(GUEST_ACTIVITY_STATE, ACTIVITY_WAIT_FOR_SIPI);
}

static void inject(struct vmx_state *s, unsigned type, uint32_t info)
{
	SET(ENTRY_INTERRUPTION_INFO, INTR_VALID | FIELD_PREP(INTR_TYPE, type) | info);
}

void vmx_state_injecting_interrupt(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	inject(s, INTR_TYPE_EXTERNAL, 0xff);
}

void vmx_state_injecting_nmi(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	SET(GUEST_RFLAGS, RFLAGS_FIXED);
	inject(s, INTR_TYPE_NMI, X86_TRAP_NMI);
}

void vmx_state_injecting_page_fault(struct vmx_state *s)
{
	vmx_state_user_mode(s);
	inject(s, INTR_TYPE_HARD, X86_TRAP_PF | INTR_ERROR_CODE);
	SET(ENTRY_EXCEPTION_ERROR_CODE, 0x8007);
}

void vmx_state_injecting_int3(struct vmx_state *s)
{
	vmx_state_user_mode(s);
	inject(s, INTR_TYPE_SOFT_EXCEPT, X86_TRAP_BP);
	SET(ENTRY_INSTRUCTION_LENGTH, 1);
}

void vmx_state_after_sti(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	SET(GUEST_INTERRUPTIBILITY, BLOCKING_BY_STI);
}

void vmx_state_stepping_mov_ss(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	SET(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	SET(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS);
	SET(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS | PENDING_DEBUG_ENABLED | 1);
}

/* Every control with a field behind it. */
void vmx_state_everything_on(struct vmx_state *s)
{
	vmx_state_long_mode(s);
	SET(SECONDARY_PROCESSOR_CONTROLS,
	    PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED_GUEST | PROC2_PML | PROC2_VMFUNC |
		    PROC2_VMCS_SHADOWING | PROC2_EPT_VE | PROC2_VIRTUAL_APIC |
		    PROC2_APIC_REGISTERS | PROC2_VIRTUAL_INTERRUPTS | PROC2_XSAVES);
	SET(APIC_ACCESS_ADDR, 0x20000);
	SET(PML_ADDRESS, 0x21000);
	SET(VM_FUNCTION_CONTROLS, VM_FUNCTION_EPTP_SWITCHING);
	SET(EPTP_LIST_ADDR, 0x22000);
	SET(VMREAD_BITMAP, 0x23000);
	SET(VMWRITE_BITMAP, 0x24000);
	SET(VIRTUALIZATION_EXCEPTION_ADDR, 0x25000);
	SET(CR3_TARGET_COUNT, 4);
	SET(EXIT_MSR_STORE_COUNT, 256);
	SET(EXIT_MSR_STORE_ADDR, (1ull << 40) - 4096);
	SET(EXIT_MSR_LOAD_COUNT, 2);
	SET(EXIT_MSR_LOAD_ADDR, 0x26010);
	SET(ENTRY_MSR_LOAD_COUNT, 3);
	SET(ENTRY_MSR_LOAD_ADDR, 0x27ff0);
	SET(TPR_THRESHOLD, 0xfffffff0); /* unused with virtual-interrupt delivery */
	SET(VMCS_LINK_POINTER, 0x28000);
	s->memory = 0x80000004; /* a shadow VMCS of this CPU */
}

/* Neither secondary nor TRUE controls, no MSRs loaded: the fields of all that do not exist. */
void vmx_state_old_cpu(struct vmx_state *s)
{
	vmx_state_protected_paged(s);
	s->limits = vmx_first_generation;
	SET(PIN_BASED_CONTROLS, 0x1f);
	SET(PRIMARY_PROCESSOR_CONTROLS, 0x0401e172 | PROC_IO_BITMAPS);
	SET(EXIT_CONTROLS, 0x36dff | EXIT_HOST_64BIT);
	SET(ENTRY_CONTROLS, 0x11ff);
}
