/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on VM-entry control fields: the event to inject. */
#include "arch/x86/vmx/check_rules.h"

static __cold bool is_injectable_type(const struct vmx_check *c, unsigned type)
{
	if (type == INTR_TYPE_OTHER) /* a pending MTF exit */
		return c->limits->controls[CTL_PROC] >> 32 & PROC_MONITOR_TRAP;
	return type != 1;
}

static bool is_vector_of_type(unsigned vector, unsigned type)
{
	switch (type) {
	case INTR_TYPE_NMI:
		return vector == X86_TRAP_NMI;
	case INTR_TYPE_HARD:
		return vector < 32;
	case INTR_TYPE_OTHER:
		return vector == 0;
	default:
		return true;
	}
}

/* Does the CPU leave it open whether an error code goes with the event? */
static bool pushes_error_code(unsigned vector)
{
	return BIT_ULL(vector) &
	       (BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) | BIT(X86_TRAP_SS) |
		BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) | BIT(X86_TRAP_AC));
}

static __cold bool check_error_code(struct vmx_check *c, uint32_t info)
{
	bool delivers = info & INTR_ERROR_CODE;
	bool is_hard = FIELD_GET(INTR_TYPE, info) == INTR_TYPE_HARD;
	bool is_protected = vmx_field(c, VMCS_GUEST_CR0) & CR0_PE;
	bool by_vector = !(c->limits->basic & VMX_BASIC_ANY_ERRORS);
	bool has_code = is_hard && pushes_error_code(FIELD_GET(INTR_VECTOR, info));

	return vmx_require(c, !delivers || is_hard, VMCS_ENTRY_INTERRUPTION_INFO,
			   "only hardware exceptions have an error code") &&
	       vmx_require(c, !delivers || is_protected, VMCS_ENTRY_INTERRUPTION_INFO,
			   "there is no error code in real-address mode") &&
	       vmx_require(c, !by_vector || !delivers || has_code, VMCS_ENTRY_INTERRUPTION_INFO,
			   "this exception has no error code") &&
	       vmx_require(c, !by_vector || !is_protected || !has_code || delivers,
			   VMCS_ENTRY_INTERRUPTION_INFO, "this exception has an error code") &&
	       (!delivers || vmx_require_clear(c, VMCS_ENTRY_EXCEPTION_ERROR_CODE,
					       GENMASK_ULL(31, 16), "bits 31:16 must be 0"));
}

/* RIP is advanced over the instruction that is said to have caused a software event. */
static __cold bool check_instruction_length(struct vmx_check *c, unsigned type)
{
	uint64_t len = vmx_field(c, VMCS_ENTRY_INSTRUCTION_LENGTH);

	if (type < INTR_TYPE_SOFT_INT || type > INTR_TYPE_SOFT_EXCEPT)
		return true;
	return vmx_require(c, len <= 15, VMCS_ENTRY_INSTRUCTION_LENGTH,
			   "no instruction is longer than 15 bytes") &&
	       vmx_require(c, len || (c->limits->misc & VMX_MISC_ZERO_LEN_INJECT),
			   VMCS_ENTRY_INSTRUCTION_LENGTH, "this CPU does not take a length of 0");
}

__cold bool vmx_check_injection(struct vmx_check *c)
{
	uint32_t info = vmx_injected(c);
	unsigned type = FIELD_GET(INTR_TYPE, info);

	return !info || (vmx_require(c, is_injectable_type(c, type), VMCS_ENTRY_INTERRUPTION_INFO,
				     "this CPU has no such interruption type") &&
			 vmx_require(c, is_vector_of_type(FIELD_GET(INTR_VECTOR, info), type),
				     VMCS_ENTRY_INTERRUPTION_INFO,
				     "the vector does not belong to the interruption type") &&
			 vmx_require_clear(c, VMCS_ENTRY_INTERRUPTION_INFO, GENMASK_ULL(30, 12),
					   "bits 30:12 must be 0") &&
			 check_error_code(c, info) && check_instruction_length(c, type));
}
