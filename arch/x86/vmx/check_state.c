/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on guest non-register state. */
#include "arch/x86/vmx/check_rules.h"

static __cold bool has_activity_state(const struct vmx_check *c, uint64_t activity)
{
	return activity == ACTIVITY_ACTIVE ||
	       (activity <= ACTIVITY_WAIT_FOR_SIPI &&
		(FIELD_GET(VMX_MISC_ACTIVITY, c->limits->misc) & BIT(activity - 1)));
}

static bool is_exception(uint32_t info, unsigned vector)
{
	return FIELD_GET(INTR_TYPE, info) == INTR_TYPE_HARD &&
	       FIELD_GET(INTR_VECTOR, info) == vector;
}

/* Would a CPU in this state take the event? */
static bool wakes(uint64_t activity, uint32_t info)
{
	unsigned type = FIELD_GET(INTR_TYPE, info);

	switch (activity) {
	case ACTIVITY_ACTIVE:
		return true;
	case ACTIVITY_HLT:
		return type == INTR_TYPE_EXTERNAL || type == INTR_TYPE_NMI ||
		       type == INTR_TYPE_OTHER || is_exception(info, X86_TRAP_DB) ||
		       is_exception(info, X86_TRAP_MC);
	case ACTIVITY_SHUTDOWN:
		return type == INTR_TYPE_NMI || is_exception(info, X86_TRAP_MC);
	default:
		return false;
	}
}

static __cold bool check_activity(struct vmx_check *c)
{
	uint64_t activity = vmx_field(c, VMCS_GUEST_ACTIVITY_STATE);
	uint64_t blocking = vmx_field(c, VMCS_GUEST_INTERRUPTIBILITY);
	uint32_t event = vmx_injected(c);

	return vmx_require(c, has_activity_state(c, activity), VMCS_GUEST_ACTIVITY_STATE,
			   "this CPU has no such activity state") &&
	       vmx_require(c,
			   activity != ACTIVITY_HLT ||
				   !(vmx_field(c, VMCS_GUEST_SS_ACCESS_RIGHTS) & AR_DPL),
			   VMCS_GUEST_ACTIVITY_STATE, "HLT needs privilege level 0 (SS)") &&
	       vmx_require(c,
			   activity == ACTIVITY_ACTIVE ||
				   !(blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)),
			   VMCS_GUEST_ACTIVITY_STATE,
			   "it must be active while STI or MOV SS blocks") &&
	       vmx_require(c, !event || wakes(activity, event), VMCS_GUEST_ACTIVITY_STATE,
			   "the injected event would be blocked in this activity state");
}

/* What may block while an event is injected. */
static __cold bool check_blocking_of_event(struct vmx_check *c)
{
	uint64_t both = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
	bool virtual_nmis = vmx_is_on(c, CTL_PIN, PIN_VIRTUAL_NMIS);

	if (vmx_injects(c, INTR_TYPE_EXTERNAL))
		return vmx_require_clear(c, VMCS_GUEST_INTERRUPTIBILITY, both,
					 "STI or MOV SS blocks the interrupt that is injected");
	if (!vmx_injects(c, INTR_TYPE_NMI))
		return true;
	return vmx_require_clear(c, VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_MOV_SS,
				 "MOV SS blocks the NMI that is injected") &&
	       vmx_require_clear(c, VMCS_GUEST_INTERRUPTIBILITY, virtual_nmis ? BLOCKING_BY_NMI : 0,
				 "virtual NMIs are blocked, and one is injected");
}

static __cold bool check_interruptibility(struct vmx_check *c)
{
	uint64_t blocking = vmx_field(c, VMCS_GUEST_INTERRUPTIBILITY);
	uint64_t both = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS;
	uint64_t enclave = blocking & BLOCKING_ENCLAVE;

	return vmx_require_clear(c, VMCS_GUEST_INTERRUPTIBILITY, ~0x1full, "bits 31:5 must be 0") &&
	       vmx_require(c, (blocking & both) != both, VMCS_GUEST_INTERRUPTIBILITY,
			   "STI and MOV SS cannot both block") &&
	       vmx_require(c,
			   !(blocking & BLOCKING_BY_STI) ||
				   (vmx_field(c, VMCS_GUEST_RFLAGS) & RFLAGS_IF),
			   VMCS_GUEST_INTERRUPTIBILITY, "STI cannot block while RFLAGS.IF is 0") &&
	       check_blocking_of_event(c) &&
	       vmx_require_clear(c, VMCS_GUEST_INTERRUPTIBILITY, BLOCKING_BY_SMI,
				 "SMIs are blocked in system-management mode only") &&
	       vmx_require(c, !enclave || !(blocking & BLOCKING_BY_MOV_SS),
			   VMCS_GUEST_INTERRUPTIBILITY, "MOV SS cannot block in an enclave") &&
	       vmx_require(c, !enclave || c->limits->has_sgx, VMCS_GUEST_INTERRUPTIBILITY,
			   "this CPU has no enclaves");
}

/* A single step is pending exactly if TF asks for one after each instruction. */
static __cold bool check_single_step(struct vmx_check *c)
{
	uint64_t blocking = vmx_field(c, VMCS_GUEST_INTERRUPTIBILITY);
	bool stepping = (vmx_field(c, VMCS_GUEST_RFLAGS) & RFLAGS_TF) &&
			!(vmx_field(c, VMCS_GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);
	bool bs = vmx_field(c, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) & PENDING_DEBUG_BS;

	if (!(blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS)) &&
	    vmx_field(c, VMCS_GUEST_ACTIVITY_STATE) != ACTIVITY_HLT)
		return true;
	return vmx_require(c, bs || !stepping, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
			   "BS must be 1: RFLAGS.TF is, and STI, MOV SS or HLT came last") &&
	       vmx_require(c, !bs || stepping, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
			   "BS must be 0: no single step, and STI, MOV SS or HLT came last");
}

static __cold bool check_rtm(struct vmx_check *c)
{
	uint64_t pending = vmx_field(c, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
	uint64_t blocking = vmx_field(c, VMCS_GUEST_INTERRUPTIBILITY);

	return !(pending & PENDING_DEBUG_RTM) ||
	       (vmx_require(c, pending == (PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED),
			    VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
			    "RTM must come with bit 12 and no other") &&
		vmx_require(c, c->limits->has_rtm, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
			    "RTM: this CPU has no transactions") &&
		vmx_require(c, !(blocking & BLOCKING_BY_MOV_SS), VMCS_GUEST_INTERRUPTIBILITY,
			    "MOV SS cannot block in a transaction"));
}

static __cold bool check_pending_debug(struct vmx_check *c)
{
	uint64_t known =
		PENDING_DEBUG_B0_B3 | PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS | PENDING_DEBUG_RTM;

	if (c->limits->debugctl & DEBUGCTL_BUS_LOCK)
		known |= PENDING_DEBUG_BLD;
	return vmx_require_clear(c, VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, ~known,
				 "a reserved bit is 1") &&
	       check_single_step(c) && check_rtm(c);
}

/* Bits 30:0 of the linked VMCS are its revision, bit 31 whether it is a shadow VMCS. */
static __cold bool is_linkable(const struct vmx_check *c, uint64_t link)
{
	bool shadow = vmx_is_on(c, CTL_PROC2, PROC2_VMCS_SHADOWING);
	uint32_t word;

	if (!c->env->read_memory)
		return true;
	word = (uint32_t)c->env->read_memory(link, c->env->arg);
	return word == (FIELD_GET(VMX_BASIC_REVISION, c->limits->basic) | (shadow ? BIT(31) : 0));
}

static __cold bool check_link_pointer(struct vmx_check *c)
{
	uint64_t link = vmx_field(c, VMCS_VMCS_LINK_POINTER);

	return link == ~0ull || (vmx_require_address(c, VMCS_VMCS_LINK_POINTER, PAGE_SIZE) &&
				 vmx_require(c, is_linkable(c, link), VMCS_VMCS_LINK_POINTER,
					     "what it points to has another VMCS revision"));
}

__cold bool vmx_check_guest_non_register(struct vmx_check *c)
{
	return check_activity(c) && check_interruptibility(c) && check_pending_debug(c) &&
	       check_link_pointer(c);
}
