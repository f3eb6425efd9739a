/* SPDX-License-Identifier: BSD-2-Clause */
/* VM-entry checks on the guest-state area, but for segments and non-register state. */
#include "arch/x86/vmx/check_rules.h"

/* An unrestricted guest may run without protection and paging. NW and CD: see check_host.c. */
static __cold bool check_cr0(struct vmx_check *c)
{
	uint64_t cr0 = vmx_field(c, VMCS_GUEST_CR0);
	uint64_t ignored = CR0_NW | CR0_CD | (vmx_guest_is_unrestricted(c) ? CR0_PE | CR0_PG : 0);

	return vmx_require_fixed(c, VMCS_GUEST_CR0, c->limits->cr0_fixed0, c->limits->cr0_fixed1,
				 ignored) &&
	       vmx_require(c, !(cr0 & CR0_PG) || (cr0 & CR0_PE), VMCS_GUEST_CR0,
			   "CR0.PG needs CR0.PE");
}

static __cold bool check_cr4(struct vmx_check *c)
{
	uint64_t cr4 = vmx_field(c, VMCS_GUEST_CR4);

	return vmx_require_fixed(c, VMCS_GUEST_CR4, c->limits->cr4_fixed0, c->limits->cr4_fixed1,
				 0) &&
	       vmx_require(c, !(cr4 & CR4_CET) || (vmx_field(c, VMCS_GUEST_CR0) & CR0_WP),
			   VMCS_GUEST_CR4, "CR4.CET needs CR0.WP") &&
	       vmx_require(c, !(cr4 & CR4_PCIDE) || vmx_guest_is_ia32e(c), VMCS_GUEST_CR4,
			   "CR4.PCIDE needs IA-32e mode") &&
	       vmx_require(c, (cr4 & CR4_PAE) || !vmx_guest_is_ia32e(c), VMCS_GUEST_CR4,
			   "IA-32e mode needs CR4.PAE");
}

static __cold bool check_control_registers(struct vmx_check *c)
{
	return check_cr0(c) && check_cr4(c) &&
	       vmx_require(c, (vmx_field(c, VMCS_GUEST_CR0) & CR0_PG) || !vmx_guest_is_ia32e(c),
			   VMCS_GUEST_CR0, "IA-32e mode needs CR0.PG") &&
	       vmx_require_clear(c, VMCS_GUEST_CR3, vmx_beyond_physical(c),
				 "the address is beyond the CPU's physical addresses");
}

static __cold bool check_debug_registers(struct vmx_check *c)
{
	return !vmx_is_on(c, CTL_ENTRY, ENTRY_LOAD_DEBUG) ||
	       (vmx_require_clear(c, VMCS_GUEST_IA32_DEBUGCTL, ~c->limits->debugctl,
				  "a reserved bit is 1") &&
		vmx_require_clear(c, VMCS_GUEST_DR7, GENMASK_ULL(63, 32), "bits 63:32 must be 0"));
}

static __cold bool check_efer(struct vmx_check *c)
{
	uint64_t efer;

	if (!vmx_is_on(c, CTL_ENTRY, ENTRY_LOAD_EFER))
		return true;
	efer = vmx_field(c, VMCS_GUEST_IA32_EFER);
	return vmx_require_clear(c, VMCS_GUEST_IA32_EFER, ~c->limits->efer,
				 "a reserved bit is 1") &&
	       vmx_require(c, !(efer & EFER_LMA) == !vmx_guest_is_ia32e(c), VMCS_GUEST_IA32_EFER,
			   "LMA must be the entry control \"IA-32e mode guest\"") &&
	       vmx_require(c,
			   !(vmx_field(c, VMCS_GUEST_CR0) & CR0_PG) ||
				   !(efer & EFER_LMA) == !(efer & EFER_LME),
			   VMCS_GUEST_IA32_EFER, "LMA must be LME while CR0.PG is 1");
}

static __cold bool check_registers(struct vmx_check *c)
{
	return check_control_registers(c) && check_debug_registers(c) &&
	       vmx_require_canonical(c, VMCS_GUEST_IA32_SYSENTER_ESP) &&
	       vmx_require_canonical(c, VMCS_GUEST_IA32_SYSENTER_EIP) &&
	       (!vmx_is_on(c, CTL_ENTRY, ENTRY_LOAD_PAT) ||
		vmx_require_pat(c, VMCS_GUEST_IA32_PAT)) &&
	       check_efer(c);
}

static __cold bool check_descriptor_tables(struct vmx_check *c)
{
	return vmx_require_canonical(c, VMCS_GUEST_GDTR_BASE) &&
	       vmx_require_canonical(c, VMCS_GUEST_IDTR_BASE) &&
	       vmx_require_clear(c, VMCS_GUEST_GDTR_LIMIT, ~0xffffull, "bits 31:16 must be 0") &&
	       vmx_require_clear(c, VMCS_GUEST_IDTR_LIMIT, ~0xffffull, "bits 31:16 must be 0");
}

/* In 64-bit mode, the bits above the CPU's linear addresses are equal; they need not be those of
 * the highest that counts. */
static __cold bool check_rip(struct vmx_check *c)
{
	uint64_t rip = vmx_field(c, VMCS_GUEST_RIP);
	uint64_t above = rip >> c->limits->linear_bits;
	bool is_64bit = vmx_guest_is_ia32e(c) && (vmx_field(c, VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_L);

	if (!is_64bit)
		return vmx_require(c, !(rip >> 32), VMCS_GUEST_RIP,
				   "bits 63:32 must be 0 outside 64-bit mode");
	return vmx_require(c, above == 0 || above == ~0ull >> c->limits->linear_bits,
			   VMCS_GUEST_RIP, "the bits above linear addresses must be equal");
}

static __cold bool check_rflags(struct vmx_check *c)
{
	uint64_t rflags = vmx_field(c, VMCS_GUEST_RFLAGS);
	bool is_protected = vmx_field(c, VMCS_GUEST_CR0) & CR0_PE;

	return vmx_require_clear(c, VMCS_GUEST_RFLAGS,
				 GENMASK_ULL(63, 22) | BIT(15) | BIT(5) | BIT(3),
				 "a reserved bit is 1") &&
	       vmx_require(c, rflags & RFLAGS_FIXED, VMCS_GUEST_RFLAGS, "bit 1 must be 1") &&
	       vmx_require(c, !(rflags & RFLAGS_VM) || (!vmx_guest_is_ia32e(c) && is_protected),
			   VMCS_GUEST_RFLAGS, "VM must be 0 in IA-32e mode and without CR0.PE") &&
	       vmx_require(c, (rflags & RFLAGS_IF) || !vmx_injects(c, INTR_TYPE_EXTERNAL),
			   VMCS_GUEST_RFLAGS, "IF must be 1: an external interrupt is injected");
}

static __cold bool check_rip_and_rflags(struct vmx_check *c)
{
	return check_rip(c) && check_rflags(c);
}

static __cold bool uses_pae_paging(const struct vmx_check *c)
{
	return (vmx_field(c, VMCS_GUEST_CR0) & CR0_PG) &&
	       (vmx_field(c, VMCS_GUEST_CR4) & CR4_PAE) && !vmx_guest_is_ia32e(c);
}

static __cold bool is_pdpte(const struct vmx_check *c, uint64_t pdpte)
{
	return !(pdpte & PTE_P) ||
	       !(pdpte & (GENMASK_ULL(2, 1) | GENMASK_ULL(8, 5) | vmx_beyond_physical(c)));
}

/* With EPT they are in the VMCS, else where CR3 points. */
static __cold bool check_pdptes(struct vmx_check *c)
{
	bool ept = vmx_is_on(c, CTL_PROC2, PROC2_EPT);
	uint64_t table = vmx_field(c, VMCS_GUEST_CR3) & ~0x1full;

	if (!uses_pae_paging(c) || (!ept && !c->env->read_memory))
		return true;
	for (unsigned i = 0; i < 4; i++) {
		uint32_t field = ept ? VMCS_GUEST_PDPTE0 + 2 * i : VMCS_GUEST_CR3;
		uint64_t pdpte = ept ? vmx_field(c, field)
				     : c->env->read_memory((uint32_t)table + 8 * i, c->env->arg);

		if (!vmx_require(c, is_pdpte(c, pdpte), field,
				 "a reserved bit of a present PDPTE is 1"))
			return false;
	}
	return true;
}

/* RFLAGS before the segments, which are checked by its VM bit. */
const struct vmx_check_part vmx_guest_checks[] = {
	{"guest control registers, debug registers and MSRs", check_registers},
	{"guest RIP and RFLAGS", check_rip_and_rflags},
	{"guest segment registers", vmx_check_guest_segments},
	{"guest descriptor-table registers", check_descriptor_tables},
	{"guest non-register state", vmx_check_guest_non_register},
	{"guest page-directory-pointer-table entries", check_pdptes},
	{0},
};
