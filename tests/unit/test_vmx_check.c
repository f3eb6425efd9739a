/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM-entry checker: it accepts a guest in each mode, names the field when a single one breaks a
 * rule, and is at a loss with nothing. The breaches are in the order of the manual's rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/regs.h"
#include "tests/unit/support/vmx_states.h"

typedef void builder(struct vmx_state *s);

#define NAMED(name) {#name, vmx_state_##name},
static const struct {
	const char *name;
	builder *build;
} states[] = {VMX_STATES(NAMED)};

static bool is_valid(struct vmx_state *s, struct vmx_fault *fault)
{
	struct vmx_check_env env = vmx_state_env(s);

	memset(fault, 0, sizeof(*fault));
	return vmx_check_controls(&env, fault) && vmx_check_host(&env, fault) &&
	       vmx_check_guest(&env, fault);
}

static void assert_valid(struct vmx_state *s, const char *what)
{
	struct vmx_fault fault;

	if (!is_valid(s, &fault))
		fail_msg("%s: %s = %#lx: %s", what, fault.name, fault.value, fault.rule);
}

static void accepts_every_mode(void **state)
{
	struct vmx_state s;

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		states[i].build(&s);
		assert_valid(&s, states[i].name);
	}
}

/* The bits of a field, or of what the CPU can, to turn over. */
struct flip {
	uint32_t field;
	uint64_t bits;
};

/* What `prepare` does keeps the state valid; then the field that is flipped breaks the rule. */
struct breach {
	builder *build;
	void (*cpu)(struct vmx_limits *l);
	struct flip prepare[3];
	struct flip flip;
	uint32_t blamed; /* 0: the field itself */
	const char *rule;
};

#define F(name, bits)                                                                              \
	{                                                                                          \
		VMCS_##name, bits                                                                  \
	}
#define B(state, ...)                                                                              \
	{                                                                                          \
		.build = vmx_state_##state, __VA_ARGS__                                            \
	}
#define FLIP(name, bits)   .flip = F(name, bits)
#define FIRST(...)         .prepare = {__VA_ARGS__}
#define BLAME(name)        .blamed = VMCS_##name
#define RULE(text)         .rule = text
#define ON(cpu_change)     .cpu = cpu_change
#define INJECT(type, rest) (INTR_VALID | (type) << 8 | (rest))
#define BEYOND             (1ull << 40)
#define NOT_CANONICAL      (1ull << 47)

static void checks_error_vectors(struct vmx_limits *l)
{
	l->basic &= ~VMX_BASIC_ANY_ERRORS;
}

static void refuses_length_0(struct vmx_limits *l)
{
	l->misc &= ~VMX_MISC_ZERO_LEN_INJECT;
}

static void has_no_write_back(struct vmx_limits *l)
{
	l->ept_vpid_cap &= ~EPT_CAP_WB;
}

static void walks_5_levels_only(struct vmx_limits *l)
{
	l->ept_vpid_cap ^= EPT_CAP_WALK_4 | EPT_CAP_WALK_5;
}

static void has_no_ept_flags(struct vmx_limits *l)
{
	l->ept_vpid_cap &= ~EPT_CAP_AD;
}

static void has_transactions(struct vmx_limits *l)
{
	l->has_rtm = true;
}

static void has_enclaves(struct vmx_limits *l)
{
	l->has_sgx = true;
}

static const struct breach control_breaches[] = {
	B(long_mode, FLIP(PIN_BASED_CONTROLS, BIT(1)), RULE("at 1 is 0")),
	B(long_mode, FLIP(PIN_BASED_CONTROLS, BIT(7)), RULE("at 0 is 1")),
	B(long_mode, FLIP(PRIMARY_PROCESSOR_CONTROLS, BIT(1)), RULE("at 1 is 0")),
	B(long_mode, FLIP(PRIMARY_PROCESSOR_CONTROLS, BIT(17)), RULE("at 0 is 1")),
	B(long_mode, FLIP(SECONDARY_PROCESSOR_CONTROLS, BIT(31)), RULE("at 0 is 1")),
	B(long_mode, FLIP(PIN_BASED_CONTROLS, PIN_NMI), RULE("virtual NMIs need")),
	B(long_mode, FIRST(F(PIN_BASED_CONTROLS, PIN_VIRTUAL_NMIS)),
	  FLIP(PRIMARY_PROCESSOR_CONTROLS, PROC_NMI_WINDOW), RULE("needs virtual NMIs")),
	B(long_mode, FIRST(F(PRIMARY_PROCESSOR_CONTROLS, PROC_TPR_SHADOW)),
	  FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_X2APIC_MODE),
	  RULE("x2APIC virtualisation needs")),
	B(long_mode, FIRST(F(PRIMARY_PROCESSOR_CONTROLS, PROC_TPR_SHADOW)),
	  FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_APIC_REGISTERS), RULE("APIC-register")),
	B(long_mode, FIRST(F(PRIMARY_PROCESSOR_CONTROLS, PROC_TPR_SHADOW)),
	  FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_VIRTUAL_INTERRUPTS),
	  RULE("delivery needs the TPR shadow")),
	B(everything_on, FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_X2APIC_MODE), RULE("excludes")),
	B(everything_on, FLIP(PIN_BASED_CONTROLS, PIN_EXTERNAL_INTERRUPT),
	  BLAME(SECONDARY_PROCESSOR_CONTROLS), RULE("needs external-interrupt exiting")),
	B(pae_shadow, FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_PML), RULE("logging needs EPT")),
	B(pae_shadow, FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_UNRESTRICTED_GUEST),
	  RULE("guest needs EPT")),
	B(long_mode, FLIP(CR3_TARGET_COUNT, 5), RULE("more CR3 targets")),
	B(long_mode, FLIP(IO_BITMAP_A, 0x800), RULE("aligned")),
	B(long_mode, FLIP(IO_BITMAP_B, BEYOND), RULE("beyond")),
	B(long_mode, FLIP(MSR_BITMAP, 1), RULE("aligned")),
	B(long_mode, FLIP(VIRTUAL_APIC_PAGE_ADDR, BIT_ULL(63)), RULE("beyond")),
	B(everything_on, FLIP(APIC_ACCESS_ADDR, 0x10), RULE("aligned")),
	B(everything_on, FLIP(PML_ADDRESS, 0x10), RULE("aligned")),
	B(everything_on, FLIP(VMREAD_BITMAP, 0x10), RULE("aligned")),
	B(everything_on, FLIP(VMWRITE_BITMAP, BEYOND), RULE("beyond")),
	B(everything_on, FLIP(VIRTUALIZATION_EXCEPTION_ADDR, 0x10), RULE("aligned")),
	B(long_mode, FLIP(TPR_THRESHOLD, 0x10), RULE("bits 31:4")),
	B(long_mode, FLIP(TPR_THRESHOLD, 1), RULE("above the task priority")),
	B(long_mode, FLIP(VPID, 1), RULE("VPID 0")),
	B(long_mode, FLIP(EPT_POINTER, 2), RULE("bits 2:0")),
	B(long_mode, FLIP(EPT_POINTER, 1 << 3), RULE("bits 5:3")),
	B(long_mode, FIRST(F(EPT_POINTER, EPTP_WB ^ EPTP_UC)), ON(has_no_write_back),
	  FLIP(EPT_POINTER, EPTP_WB ^ EPTP_UC), RULE("bits 2:0")),
	B(long_mode, FIRST(F(EPT_POINTER, EPTP_WALK_4 ^ EPTP_WALK_5)), ON(walks_5_levels_only),
	  FLIP(EPT_POINTER, EPTP_WALK_4 ^ EPTP_WALK_5), RULE("bits 5:3")),
	B(long_mode, FIRST(F(EPT_POINTER, EPTP_AD)), ON(has_no_ept_flags),
	  FLIP(EPT_POINTER, EPTP_AD), RULE("no accessed and dirty")),
	B(long_mode, FLIP(EPT_POINTER, BIT(7)), RULE("reserved")),
	B(long_mode, FLIP(EPT_POINTER, BIT(11)), RULE("reserved")),
	B(long_mode, FLIP(EPT_POINTER, BEYOND), RULE("reserved")),
	B(everything_on, FLIP(VM_FUNCTION_CONTROLS, 2), RULE("at 0 is 1")),
	B(everything_on, FLIP(EPTP_LIST_ADDR, 0x10), RULE("aligned")),
	B(pae_shadow, FIRST(F(VM_FUNCTION_CONTROLS, 1)),
	  FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_VMFUNC), BLAME(VM_FUNCTION_CONTROLS),
	  RULE("EPTP switching needs EPT")),
	B(long_mode, FLIP(EXIT_CONTROLS, BIT(0)), RULE("at 1 is 0")),
	B(long_mode, FLIP(EXIT_CONTROLS, BIT(29)), RULE("at 0 is 1")),
	B(long_mode, FLIP(PIN_BASED_CONTROLS, PIN_PREEMPTION_TIMER), BLAME(EXIT_CONTROLS),
	  RULE("needs the timer")),
	B(everything_on, FLIP(EXIT_MSR_STORE_ADDR, 8), RULE("aligned")),
	B(everything_on, FLIP(EXIT_MSR_STORE_COUNT, 1), BLAME(EXIT_MSR_STORE_ADDR),
	  RULE("the list ends beyond")),
	B(everything_on, FLIP(EXIT_MSR_LOAD_ADDR, BEYOND), RULE("beyond")),
	B(long_mode, FLIP(ENTRY_CONTROLS, BIT(0)), RULE("at 1 is 0")),
	B(long_mode, FLIP(ENTRY_CONTROLS, BIT(31)), RULE("at 0 is 1")),
	B(long_mode, FLIP(ENTRY_CONTROLS, ENTRY_SMM), RULE("system-management")),
	B(long_mode, FLIP(ENTRY_CONTROLS, ENTRY_DUAL_SMM), RULE("system-management")),
	B(everything_on, FLIP(ENTRY_MSR_LOAD_ADDR, 1), RULE("aligned")),
};

static const struct breach injection_breaches[] = {
	B(long_mode, FLIP(ENTRY_INTERRUPTION_INFO, INJECT(1, 0x20)), RULE("no such interruption")),
	B(old_cpu, FLIP(ENTRY_INTERRUPTION_INFO, INJECT(INTR_TYPE_OTHER, 0)),
	  RULE("no such interruption")),
	B(long_mode, FLIP(ENTRY_INTERRUPTION_INFO, INJECT(INTR_TYPE_OTHER, 1)), RULE("vector")),
	B(injecting_nmi, FLIP(ENTRY_INTERRUPTION_INFO, 1), RULE("vector")),
	B(injecting_page_fault, FLIP(ENTRY_INTERRUPTION_INFO, 0x20), RULE("vector")),
	B(injecting_interrupt, FLIP(ENTRY_INTERRUPTION_INFO, BIT(12)), RULE("bits 30:12")),
	B(injecting_interrupt, FLIP(ENTRY_INTERRUPTION_INFO, BIT(30)), RULE("bits 30:12")),
	B(injecting_interrupt, FLIP(ENTRY_INTERRUPTION_INFO, INTR_ERROR_CODE),
	  RULE("only hardware exceptions")),
	B(real_mode, FLIP(ENTRY_INTERRUPTION_INFO, INJECT(INTR_TYPE_HARD, INTR_ERROR_CODE | 13)),
	  RULE("real-address")),
	B(injecting_page_fault, ON(checks_error_vectors),
	  FLIP(ENTRY_INTERRUPTION_INFO, INTR_ERROR_CODE), RULE("has an error code")),
	B(injecting_page_fault, ON(checks_error_vectors), FLIP(ENTRY_INTERRUPTION_INFO, 8),
	  RULE("has no error code")),
	B(injecting_page_fault, FLIP(ENTRY_EXCEPTION_ERROR_CODE, BIT(16)), RULE("bits 31:16")),
	B(injecting_int3, FLIP(ENTRY_INSTRUCTION_LENGTH, 0x11), RULE("15 bytes")),
	B(injecting_int3, ON(refuses_length_0), FLIP(ENTRY_INSTRUCTION_LENGTH, 1), RULE("of 0")),
};

static const struct breach host_breaches[] = {
	B(long_mode, FLIP(HOST_CR0, CR0_NE), RULE("at 1 is 0")),
	B(long_mode, FLIP(HOST_CR0, BIT_ULL(32)), RULE("at 0 is 1")),
	B(long_mode, FLIP(HOST_CR4, CR4_VMXE), RULE("at 1 is 0")),
	B(long_mode, FLIP(HOST_CR4, BIT(12)), RULE("at 0 is 1")),
	B(long_mode, FIRST(F(HOST_CR4, CR4_CET)), FLIP(HOST_CR0, CR0_WP), BLAME(HOST_CR4),
	  RULE("CR4.CET")),
	B(long_mode, FLIP(HOST_CR3, BEYOND), RULE("beyond")),
	B(long_mode, FLIP(HOST_IA32_SYSENTER_ESP, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(HOST_IA32_SYSENTER_EIP, BIT_ULL(63)), RULE("canonical")),
	B(long_mode, FLIP(HOST_IA32_PAT, 5), RULE("memory type")),
	B(long_mode, FLIP(HOST_IA32_PAT, 8ull << 56), RULE("memory type")),
	B(long_mode, FLIP(HOST_IA32_EFER, EFER_SVME), RULE("reserved")),
	B(long_mode, FLIP(HOST_IA32_EFER, EFER_LME), RULE("host address-space size")),
	B(long_mode, FLIP(HOST_IA32_EFER, EFER_LMA), RULE("host address-space size")),
	B(long_mode, FLIP(HOST_CS_SELECTOR, 3), RULE("RPL and TI")),
	B(long_mode, FLIP(HOST_SS_SELECTOR, 4), RULE("RPL and TI")),
	B(long_mode, FLIP(HOST_DS_SELECTOR, 1), RULE("RPL and TI")),
	B(long_mode, FLIP(HOST_ES_SELECTOR, 2), RULE("RPL and TI")),
	B(long_mode, FLIP(HOST_FS_SELECTOR, 1), RULE("RPL and TI")),
	B(long_mode, FLIP(HOST_GS_SELECTOR, 1), RULE("RPL and TI")),
	B(long_mode, FLIP(HOST_TR_SELECTOR, 4), RULE("RPL and TI")),
	B(long_mode, FLIP(HOST_CS_SELECTOR, 8), RULE("null")),
	B(long_mode, FLIP(HOST_TR_SELECTOR, 0x18), RULE("null")),
	B(long_mode, FLIP(HOST_FS_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(HOST_GS_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(HOST_GDTR_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(HOST_IDTR_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(HOST_TR_BASE, NOT_CANONICAL), RULE("canonical")),
	B(old_cpu, FLIP(EXIT_CONTROLS, EXIT_HOST_64BIT), RULE("host address-space size")),
	B(long_mode, FLIP(HOST_CR4, CR4_PAE), RULE("CR4.PAE")),
	B(long_mode, FLIP(HOST_RIP, NOT_CANONICAL), RULE("canonical")),
};

static const struct breach register_breaches[] = {
	B(long_mode, FLIP(GUEST_CR0, CR0_NE), RULE("at 1 is 0")),
	B(protected_paged, FLIP(GUEST_CR0, CR0_PG), RULE("at 1 is 0")),
	B(v86_mode, FLIP(GUEST_CR0, CR0_PE), RULE("at 1 is 0")),
	B(long_mode, FLIP(GUEST_CR0, BIT_ULL(33)), RULE("at 0 is 1")),
	B(real_mode, FLIP(GUEST_CR0, CR0_PG), RULE("CR0.PG needs CR0.PE")),
	B(long_mode, FLIP(GUEST_CR4, CR4_VMXE), RULE("at 1 is 0")),
	B(long_mode, FLIP(GUEST_CR4, CR4_LA57), RULE("at 0 is 1")),
	B(long_mode, FLIP(GUEST_CR4, CR4_CET), RULE("CR4.CET")),
	B(protected_paged, FLIP(GUEST_CR4, CR4_PCIDE), RULE("CR4.PCIDE")),
	B(long_mode, FLIP(GUEST_CR4, CR4_PAE), RULE("CR4.PAE")),
	B(everything_on, FLIP(GUEST_CR0, CR0_PG), RULE("needs CR0.PG")),
	B(long_mode, FLIP(GUEST_CR3, BEYOND), RULE("beyond")),
	B(long_mode, FLIP(GUEST_IA32_DEBUGCTL, BIT(3)), RULE("reserved")),
	B(long_mode, FLIP(GUEST_DR7, BIT_ULL(32)), RULE("bits 63:32")),
	B(long_mode, FLIP(GUEST_IA32_SYSENTER_ESP, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(GUEST_IA32_SYSENTER_EIP, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(GUEST_IA32_PAT, 4), RULE("memory type")),
	B(long_mode, FLIP(GUEST_IA32_EFER, EFER_SVME), RULE("reserved")),
	B(long_mode, FLIP(GUEST_IA32_EFER, EFER_LMA), RULE("IA-32e mode guest")),
	B(protected_unpaged, FLIP(GUEST_IA32_EFER, EFER_LMA), RULE("IA-32e mode guest")),
	B(long_mode, FLIP(GUEST_IA32_EFER, EFER_LME), RULE("LMA must be LME")),
	B(protected_paged, FLIP(GUEST_IA32_EFER, EFER_LME), RULE("LMA must be LME")),
	B(long_mode, FLIP(GUEST_GDTR_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(GUEST_IDTR_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(GUEST_GDTR_LIMIT, BIT(16)), RULE("bits 31:16")),
	B(long_mode, FLIP(GUEST_IDTR_LIMIT, BIT(31)), RULE("bits 31:16")),
	B(long_mode, FLIP(GUEST_RIP, BIT_ULL(48)), RULE("equal")),
	B(compat_mode, FLIP(GUEST_RIP, BIT_ULL(32)), RULE("bits 63:32")),
	B(protected_paged, FLIP(GUEST_RIP, BIT_ULL(32)), RULE("bits 63:32")),
	B(long_mode, FLIP(GUEST_RFLAGS, BIT_ULL(22)), RULE("reserved")),
	B(long_mode, FLIP(GUEST_RFLAGS, BIT(15)), RULE("reserved")),
	B(long_mode, FLIP(GUEST_RFLAGS, BIT(5)), RULE("reserved")),
	B(long_mode, FLIP(GUEST_RFLAGS, BIT(3)), RULE("reserved")),
	B(long_mode, FLIP(GUEST_RFLAGS, BIT(1)), RULE("bit 1")),
	B(long_mode, FLIP(GUEST_RFLAGS, RFLAGS_VM), RULE("VM must be 0")),
	B(real_mode, FLIP(GUEST_RFLAGS, RFLAGS_VM), RULE("VM must be 0")),
	B(injecting_interrupt, FLIP(GUEST_RFLAGS, RFLAGS_IF), RULE("IF must be 1")),
	B(pae_ept, FLIP(GUEST_PDPTE0, BIT(1)), RULE("PDPTE")),
	B(pae_ept, FLIP(GUEST_PDPTE3, PTE_NX), RULE("PDPTE")),
	B(pae_ept, FLIP(GUEST_PDPTE1, PTE_P), RULE("PDPTE")),
};

static const struct breach segment_breaches[] = {
	B(long_mode, FLIP(GUEST_TR_SELECTOR, 4), RULE("TI")),
	B(long_mode, FLIP(GUEST_LDTR_SELECTOR, 4), RULE("TI")),
	B(long_mode, FLIP(GUEST_SS_SELECTOR, 1), RULE("RPL must be that of CS")),
	B(v86_mode, FLIP(GUEST_ES_SELECTOR, 1), BLAME(GUEST_ES_BASE), RULE("times 16")),
	B(v86_mode, FLIP(GUEST_CS_BASE, BIT_ULL(32)), RULE("times 16")),
	B(v86_mode, FLIP(GUEST_GS_LIMIT, BIT(16)), RULE("ffffh")),
	B(v86_mode, FLIP(GUEST_FS_ACCESS_RIGHTS, BIT(12)), RULE("f3h")),
	B(v86_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, 8), RULE("f3h")),
	B(v86_mode, FLIP(GUEST_SS_ACCESS_RIGHTS, AR_DPL), RULE("f3h")),
	B(v86_mode, FLIP(GUEST_DS_LIMIT, 1), RULE("ffffh")),
	B(long_mode, FLIP(GUEST_TR_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(GUEST_LDTR_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(GUEST_FS_BASE, NOT_CANONICAL), RULE("canonical")),
	B(user_mode, FLIP(GUEST_GS_BASE, NOT_CANONICAL), RULE("canonical")),
	B(long_mode, FLIP(GUEST_CS_BASE, BIT_ULL(32)), RULE("bits 63:32")),
	B(long_mode, FLIP(GUEST_SS_BASE, BIT_ULL(63)), RULE("bits 63:32")),
	B(long_mode, FLIP(GUEST_DS_BASE, BIT_ULL(32)), RULE("bits 63:32")),
	B(long_mode, FLIP(GUEST_ES_BASE, BIT_ULL(32)), RULE("bits 63:32")),
	/* CS */
	B(protected_paged, FLIP(GUEST_CS_ACCESS_RIGHTS, 1), RULE("9, 11, 13, 15")),
	B(protected_paged, FLIP(GUEST_CS_ACCESS_RIGHTS, 8), RULE("9, 11, 13, 15")),
	B(protected_unpaged, FLIP(GUEST_CS_ACCESS_RIGHTS, 9), RULE("9, 11, 13, 15")),
	B(flat_real, FLIP(GUEST_CS_ACCESS_RIGHTS, AR_DPL), RULE("DPL must be 0 if the type is 3")),
	B(long_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, AR_DPL), RULE("DPL must be that of SS")),
	B(protected_paged, FIRST(F(GUEST_CS_ACCESS_RIGHTS, 4)),
	  FLIP(GUEST_CS_ACCESS_RIGHTS, BIT(5)), RULE("conforming")),
	B(compat_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, AR_L), RULE("D/B must be 0")),
	B(long_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, AR_DB), RULE("D/B must be 0")),
	B(long_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, AR_S), RULE("S must be 1")),
	B(long_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, AR_P), RULE("P must be 1")),
	B(long_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, BIT(8)), RULE("bits 11:8")),
	B(long_mode, FIRST(F(GUEST_CS_ACCESS_RIGHTS, AR_UNUSABLE)),
	  FLIP(GUEST_CS_ACCESS_RIGHTS, BIT(17)), RULE("31:17")),
	B(long_mode, FLIP(GUEST_CS_LIMIT, 0x800), BLAME(GUEST_CS_ACCESS_RIGHTS),
	  RULE("G must be 0")),
	B(long_mode, FLIP(GUEST_CS_ACCESS_RIGHTS, AR_G), RULE("G must be 1")),
	/* SS */
	B(protected_paged, FLIP(GUEST_SS_ACCESS_RIGHTS, 8), RULE("3 or 7")),
	B(protected_paged, FLIP(GUEST_SS_ACCESS_RIGHTS, 2), RULE("3 or 7")),
	B(compat_mode, FLIP(GUEST_SS_ACCESS_RIGHTS, AR_DPL),
	  RULE("DPL must be the selector's RPL")),
	B(long_mode, FIRST(F(GUEST_SS_ACCESS_RIGHTS, AR_UNUSABLE), F(GUEST_CS_ACCESS_RIGHTS, 4)),
	  FLIP(GUEST_SS_ACCESS_RIGHTS, BIT(5)), RULE("DPL must be the selector's RPL")),
	B(flat_real, FLIP(GUEST_SS_ACCESS_RIGHTS, BIT(5)), RULE("without CR0.PE")),
	B(protected_unpaged, FIRST(F(GUEST_CS_ACCESS_RIGHTS, 8)),
	  FLIP(GUEST_SS_ACCESS_RIGHTS, BIT(6)), RULE("CS has type 3")),
	B(protected_paged, FLIP(GUEST_SS_ACCESS_RIGHTS, AR_S), RULE("S must be 1")),
	B(protected_paged, FLIP(GUEST_SS_ACCESS_RIGHTS, AR_P), RULE("P must be 1")),
	B(protected_paged, FLIP(GUEST_SS_ACCESS_RIGHTS, BIT(11)), RULE("bits 11:8")),
	B(protected_paged, FLIP(GUEST_SS_ACCESS_RIGHTS, AR_G), RULE("G must be 1")),
	/* DS, ES, FS, GS */
	B(protected_paged, FLIP(GUEST_DS_ACCESS_RIGHTS, 1), RULE("accessed")),
	B(protected_paged, FLIP(GUEST_ES_ACCESS_RIGHTS, 10), RULE("readable")),
	B(protected_paged, FLIP(GUEST_FS_SELECTOR, 3), BLAME(GUEST_FS_ACCESS_RIGHTS),
	  RULE("below the selector's RPL")),
	B(compat_mode, FLIP(GUEST_DS_ACCESS_RIGHTS, BIT(5)), RULE("below the selector's RPL")),
	B(protected_paged, FLIP(GUEST_GS_ACCESS_RIGHTS, AR_S), RULE("S must be 1")),
	B(protected_paged, FLIP(GUEST_ES_ACCESS_RIGHTS, AR_P), RULE("P must be 1")),
	B(protected_paged, FLIP(GUEST_DS_ACCESS_RIGHTS, BIT(9)), RULE("bits 11:8")),
	B(protected_paged, FLIP(GUEST_DS_ACCESS_RIGHTS, BIT(31)), RULE("bits 11:8")),
	B(protected_paged, FLIP(GUEST_FS_LIMIT, 1), BLAME(GUEST_FS_ACCESS_RIGHTS),
	  RULE("G must be 0")),
	B(real_mode, FLIP(GUEST_GS_LIMIT, BIT(20)), BLAME(GUEST_GS_ACCESS_RIGHTS),
	  RULE("G must be 1")),
	/* TR */
	B(long_mode, FLIP(GUEST_TR_ACCESS_RIGHTS, AR_UNUSABLE), RULE("TR must be usable")),
	B(long_mode, FLIP(GUEST_TR_ACCESS_RIGHTS, 8), RULE("the type must be 11")),
	B(protected_paged, FLIP(GUEST_TR_ACCESS_RIGHTS, 2), RULE("the type must be 11")),
	B(long_mode, FLIP(GUEST_TR_ACCESS_RIGHTS, AR_S), RULE("S must be 0")),
	B(long_mode, FLIP(GUEST_TR_ACCESS_RIGHTS, AR_P), RULE("P must be 1")),
	B(long_mode, FLIP(GUEST_TR_ACCESS_RIGHTS, BIT(10)), RULE("bits 11:8")),
	B(long_mode, FLIP(GUEST_TR_ACCESS_RIGHTS, AR_G), RULE("G must be 0")),
	/* LDTR */
	B(long_mode, FLIP(GUEST_LDTR_ACCESS_RIGHTS, 1), RULE("the type must be 2")),
	B(long_mode, FLIP(GUEST_LDTR_ACCESS_RIGHTS, AR_S), RULE("S must be 0")),
	B(long_mode, FLIP(GUEST_LDTR_ACCESS_RIGHTS, AR_P), RULE("P must be 1")),
	B(long_mode, FLIP(GUEST_LDTR_ACCESS_RIGHTS, BIT(20)), RULE("31:17")),
	B(long_mode, FLIP(GUEST_LDTR_LIMIT, BIT(20)), BLAME(GUEST_LDTR_ACCESS_RIGHTS),
	  RULE("G must be 1")),
};

static const struct breach state_breaches[] = {
	B(long_mode, FLIP(GUEST_ACTIVITY_STATE, 4), RULE("no such activity")),
	B(long_mode, FLIP(GUEST_ACTIVITY_STATE, BIT(31)), RULE("no such activity")),
	B(user_mode, FLIP(GUEST_ACTIVITY_STATE, ACTIVITY_HLT), RULE("privilege level 0")),
	B(after_sti, FLIP(GUEST_ACTIVITY_STATE, ACTIVITY_HLT), RULE("must be active")),
	B(shut_down, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS), BLAME(GUEST_ACTIVITY_STATE),
	  RULE("must be active")),
	B(shut_down, FLIP(ENTRY_INTERRUPTION_INFO, INJECT(INTR_TYPE_EXTERNAL, 0x20)),
	  BLAME(GUEST_ACTIVITY_STATE), RULE("would be blocked")),
	B(halted, FLIP(ENTRY_INTERRUPTION_INFO, 0x20 ^ (INTR_TYPE_HARD << 8 | X86_TRAP_UD)),
	  BLAME(GUEST_ACTIVITY_STATE), RULE("would be blocked")),
	B(waiting_for_sipi, FLIP(ENTRY_INTERRUPTION_INFO, INJECT(INTR_TYPE_NMI, X86_TRAP_NMI)),
	  BLAME(GUEST_ACTIVITY_STATE), RULE("would be blocked")),
	B(long_mode, FLIP(GUEST_INTERRUPTIBILITY, BIT(5)), RULE("bits 31:5")),
	B(after_sti, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS), RULE("cannot both")),
	B(after_sti, FLIP(GUEST_RFLAGS, RFLAGS_IF), BLAME(GUEST_INTERRUPTIBILITY),
	  RULE("RFLAGS.IF is 0")),
	B(injecting_interrupt, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_STI),
	  RULE("blocks the interrupt")),
	B(injecting_interrupt, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS),
	  RULE("blocks the interrupt")),
	B(injecting_nmi, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS), RULE("blocks the NMI")),
	B(injecting_nmi, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_NMI), RULE("virtual NMIs")),
	B(long_mode, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_SMI), RULE("SMIs")),
	B(long_mode, FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_ENCLAVE), RULE("no enclaves")),
	B(long_mode, ON(has_enclaves), FIRST(F(GUEST_INTERRUPTIBILITY, BLOCKING_ENCLAVE)),
	  FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS), RULE("in an enclave")),
	B(long_mode, FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, BIT(4)), RULE("reserved")),
	B(long_mode, FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BLD), RULE("reserved")),
	B(long_mode, FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, BIT(13)), RULE("reserved")),
	B(long_mode, FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, BIT_ULL(17)), RULE("reserved")),
	B(stepping_mov_ss, FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS),
	  RULE("BS must be 1")),
	B(stepping_mov_ss, FLIP(GUEST_IA32_DEBUGCTL, DEBUGCTL_BTF),
	  BLAME(GUEST_PENDING_DEBUG_EXCEPTIONS), RULE("BS must be 0")),
	B(stepping_mov_ss, FLIP(GUEST_RFLAGS, RFLAGS_TF), BLAME(GUEST_PENDING_DEBUG_EXCEPTIONS),
	  RULE("BS must be 0")),
	B(after_sti, FLIP(GUEST_RFLAGS, RFLAGS_TF), BLAME(GUEST_PENDING_DEBUG_EXCEPTIONS),
	  RULE("BS must be 1")),
	B(halted, FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS), RULE("BS must be 0")),
	B(long_mode, ON(has_transactions), FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_RTM),
	  RULE("with bit 12")),
	B(long_mode,
	  FLIP(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED),
	  RULE("no transactions")),
	B(long_mode, ON(has_transactions),
	  FIRST(F(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED)),
	  FLIP(GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS), RULE("in a transaction")),
	B(long_mode, FLIP(VMCS_LINK_POINTER, BIT(11)), RULE("aligned")),
	B(everything_on, FLIP(VMCS_LINK_POINTER, BEYOND), RULE("beyond")),
	B(everything_on, FLIP(SECONDARY_PROCESSOR_CONTROLS, PROC2_VMCS_SHADOWING),
	  BLAME(VMCS_LINK_POINTER), RULE("revision")),
};

static void flip(struct vmx_state *s, const struct flip *f)
{
	if (f->bits)
		fake_vmcs_set(&s->vmcs, f->field, fake_vmcs_get(&s->vmcs, f->field) ^ f->bits);
}

static void check_breach(const struct breach *b)
{
	uint32_t blamed = b->blamed ? b->blamed : b->flip.field;
	struct vmx_state s;
	struct vmx_fault fault;

	b->build(&s);
	if (b->cpu)
		b->cpu(&s.limits);
	for (unsigned i = 0; i < ARRAY_SIZE(b->prepare); i++)
		flip(&s, &b->prepare[i]);
	assert_valid(&s, b->rule);
	flip(&s, &b->flip);
	if (is_valid(&s, &fault))
		fail_msg("%s ^ %#lx is accepted: %s", vmcs_field_name(b->flip.field), b->flip.bits,
			 b->rule);
	if (fault.field != blamed || !strstr(fault.rule, b->rule))
		fail_msg("%s: %s; expected %s: %s", fault.name, fault.rule, vmcs_field_name(blamed),
			 b->rule);
	assert_string_equal(fault.name, vmcs_field_name(blamed));
	assert_int_equal(fault.value, fake_vmcs_get(&s.vmcs, blamed));
	assert_non_null(fault.about);
}

#define NAMES_EACH(list)                                                                           \
	static void names_each_of_##list(void **state)                                             \
	{                                                                                          \
		for (unsigned i = 0; i < ARRAY_SIZE(list); i++)                                    \
			check_breach(&(list)[i]);                                                  \
	}
NAMES_EACH(control_breaches)
NAMES_EACH(injection_breaches)
NAMES_EACH(host_breaches)
NAMES_EACH(register_breaches)
NAMES_EACH(segment_breaches)
NAMES_EACH(state_breaches)

static bool accepts_event(builder *build, unsigned type, unsigned vector)
{
	struct vmx_state s;
	struct vmx_fault fault;

	build(&s);
	fake_vmcs_set(&s.vmcs, VMCS_ENTRY_INTERRUPTION_INFO, INJECT(type, vector));
	fake_vmcs_set(&s.vmcs, VMCS_ENTRY_INSTRUCTION_LENGTH, 1);
	return is_valid(&s, &fault);
}

static void inactive_states_take_what_wakes_them(void **state)
{
	builder *const halted = vmx_state_halted, *const shut_down = vmx_state_shut_down;

	assert_true(accepts_event(halted, INTR_TYPE_EXTERNAL, 0x20));
	assert_true(accepts_event(halted, INTR_TYPE_OTHER, 0));
	assert_true(accepts_event(halted, INTR_TYPE_HARD, X86_TRAP_DB));
	assert_true(accepts_event(halted, INTR_TYPE_HARD, X86_TRAP_MC));
	assert_false(accepts_event(halted, INTR_TYPE_HARD, X86_TRAP_GP));
	assert_false(accepts_event(halted, INTR_TYPE_SOFT_INT, 0x80));
	assert_true(accepts_event(shut_down, INTR_TYPE_NMI, X86_TRAP_NMI));
	assert_true(accepts_event(shut_down, INTR_TYPE_HARD, X86_TRAP_MC));
	assert_false(accepts_event(shut_down, INTR_TYPE_HARD, X86_TRAP_DB));
	assert_false(accepts_event(shut_down, INTR_TYPE_OTHER, 0));
	assert_false(accepts_event(vmx_state_waiting_for_sipi, INTR_TYPE_OTHER, 0));
}

/* NMIs may wait for an IRET when it is the CPU that keeps them: virtual NMIs only may not. */
static void real_nmis_may_be_blocked(void **state)
{
	struct vmx_state s;

	vmx_state_injecting_nmi(&s);
	s.vmcs.fields[FAKE_PIN_BASED_CONTROLS] &= ~(uint64_t)PIN_VIRTUAL_NMIS;
	s.vmcs.fields[FAKE_GUEST_INTERRUPTIBILITY] = BLOCKING_BY_NMI;
	assert_valid(&s, "blocking by NMI");
}

static void linear_addresses_of_57_bits(void **state)
{
	struct vmx_state s;
	struct vmx_fault fault;

	vmx_state_long_mode(&s);
	s.limits.linear_bits = 57;
	s.vmcs.fields[FAKE_GUEST_GS_BASE] = 0xff10000000000000;
	s.vmcs.fields[FAKE_GUEST_RIP] = 0x0110000000000000;
	assert_valid(&s, "57 bits");
	s.vmcs.fields[FAKE_GUEST_GS_BASE] = 0xfe10000000000000;
	assert_false(is_valid(&s, &fault));
	assert_int_equal(fault.field, VMCS_GUEST_GS_BASE);
}

/* What is in memory is looked at where it can be read, and only there. */
static void memory_is_checked_if_it_can_be_read(void **state)
{
	struct vmx_state s;
	struct vmx_check_env env = vmx_state_env(&s);
	struct vmx_fault fault = {0};

	vmx_state_pae_shadow(&s);
	s.memory = PTE_P | PTE_RW;
	assert_false(vmx_check_guest(&env, &fault));
	assert_int_equal(fault.field, VMCS_GUEST_CR3);
	assert_non_null(strstr(fault.rule, "PDPTE"));
	s.memory = 0x4ull << 4; /* a task priority of 4 */
	s.vmcs.fields[FAKE_TPR_THRESHOLD] = 4;
	assert_true(vmx_check_controls(&env, &fault));
	s.vmcs.fields[FAKE_TPR_THRESHOLD] = 5;
	assert_false(vmx_check_controls(&env, &fault));
	assert_int_equal(fault.field, VMCS_TPR_THRESHOLD);

	env.read_memory = NULL;
	s.vmcs.fields[FAKE_TPR_THRESHOLD] = 15;
	s.vmcs.fields[FAKE_VMCS_LINK_POINTER] = 0x1000;
	assert_true(vmx_check_controls(&env, &fault));
	assert_true(vmx_check_guest(&env, &fault));
}

static void names_are_those_of_the_list(void **state)
{
	assert_string_equal(vmcs_field_name(VMCS_VPID), "VPID");
	assert_string_equal(vmcs_field_name(VMCS_HOST_RIP), "HOST_RIP");
	assert_string_equal(vmcs_field_name(0x7777), "?");
}

static uint64_t random_state = 88172645463325252;

static uint64_t random_word(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

/* Whatever is in the VMCS: a verdict, and a fault that holds what it must. */
static bool judge(struct vmx_state *s)
{
	struct vmx_check_env env = vmx_state_env(s);
	bool (*const checks[])(const struct vmx_check_env *, struct vmx_fault *) = {
		vmx_check_controls, vmx_check_host, vmx_check_guest};

	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
		struct vmx_fault fault = {0};

		if (checks[i](&env, &fault))
			continue;
		assert_string_equal(fault.name, vmcs_field_name(fault.field));
		assert_int_equal(fault.value, fake_vmcs_get(&s->vmcs, fault.field));
		assert_non_null(fault.rule);
		assert_non_null(fault.about);
		return false;
	}
	return true;
}

static void any_mutation_gets_a_verdict(void **state)
{
	unsigned valid = 0;
	struct vmx_state s;

	for (unsigned i = 0; i < 100000; i++) {
		states[i % ARRAY_SIZE(states)].build(&s);
		for (uint64_t n = random_word() % 4; n < 4; n++) {
			struct flip f = {fake_vmcs_encoding(random_word() % FAKE_VMCS_FIELDS),
					 1ull << random_word() % 64};

			flip(&s, &f);
		}
		s.memory = random_word();
		valid += judge(&s);
	}
	assert_in_range(valid, 10000, 90000);
}

static void any_contents_get_a_verdict(void **state)
{
	struct vmx_state s;

	vmx_state_long_mode(&s);
	for (unsigned i = 0; i < 20000; i++) {
		for (unsigned n = 0; n < FAKE_VMCS_FIELDS; n++)
			fake_vmcs_set(&s.vmcs, fake_vmcs_encoding(n),
				      random_word() & random_word());
		for (unsigned n = 0; n < NR_CTLS; n++)
			s.limits.controls[n] = ~0ull << 32;
		s.memory = random_word();
		judge(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_every_mode),
		cmocka_unit_test(names_each_of_control_breaches),
		cmocka_unit_test(names_each_of_injection_breaches),
		cmocka_unit_test(names_each_of_host_breaches),
		cmocka_unit_test(names_each_of_register_breaches),
		cmocka_unit_test(names_each_of_segment_breaches),
		cmocka_unit_test(names_each_of_state_breaches),
		cmocka_unit_test(inactive_states_take_what_wakes_them),
		cmocka_unit_test(real_nmis_may_be_blocked),
		cmocka_unit_test(linear_addresses_of_57_bits),
		cmocka_unit_test(memory_is_checked_if_it_can_be_read),
		cmocka_unit_test(names_are_those_of_the_list),
		cmocka_unit_test(any_mutation_gets_a_verdict),
		cmocka_unit_test(any_contents_get_a_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
