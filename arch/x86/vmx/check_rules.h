/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the VM-entry checker share. A rule is a vmx_require*() call; a check is a chain
 * of them joined by &&, which so ends at the first that fails.
 */
#ifndef ARCH_X86_VMX_CHECK_RULES_H
#define ARCH_X86_VMX_CHECK_RULES_H

#include "arch/x86/regs.h"
#include "arch/x86/vmx/check.h"
#include "arch/x86/vmx/vmcs.h"
#include "lib/types.h"

struct vmx_check {
	const struct vmx_check_env *env;
	const struct vmx_limits *limits;
	struct vmx_fault *fault;
	uint32_t ctl[NR_CTLS]; /* the controls in force */
	const char *about;     /* the part that is being checked */
};

/* One part of the manual's list. */
struct vmx_check_part {
	const char *about;
	bool (*is_valid)(struct vmx_check *c);
};

/* The parts, in the manual's order; each array ends with an empty one. */
extern const struct vmx_check_part vmx_control_checks[], vmx_host_checks[], vmx_guest_checks[];

bool vmx_check_injection(struct vmx_check *c);          /* check_injection.c */
bool vmx_check_guest_segments(struct vmx_check *c);     /* check_segments.c */
bool vmx_check_guest_non_register(struct vmx_check *c); /* check_state.c */

static inline uint64_t vmx_field(const struct vmx_check *c, uint32_t field)
{
	return c->env->read(field, c->env->arg);
}

/* Is a control of this word on? */
static inline bool vmx_is_on(const struct vmx_check *c, enum vmx_control_word word, uint32_t bits)
{
	return c->ctl[word] & bits;
}

static inline bool vmx_guest_is_ia32e(const struct vmx_check *c)
{
	return vmx_is_on(c, CTL_ENTRY, ENTRY_IA32E_MODE);
}

static inline bool vmx_guest_is_v86(const struct vmx_check *c)
{
	return vmx_field(c, VMCS_GUEST_RFLAGS) & RFLAGS_VM;
}

static inline bool vmx_guest_is_unrestricted(const struct vmx_check *c)
{
	return vmx_is_on(c, CTL_PROC2, PROC2_UNRESTRICTED_GUEST);
}

/* The event that the entry injects: its interruption information, or 0. */
static inline uint32_t vmx_injected(const struct vmx_check *c)
{
	uint32_t info = (uint32_t)vmx_field(c, VMCS_ENTRY_INTERRUPTION_INFO);

	return info & INTR_VALID ? info : 0;
}

static inline bool vmx_injects(const struct vmx_check *c, unsigned type)
{
	uint32_t info = vmx_injected(c);

	return info && FIELD_GET(INTR_TYPE, info) == type;
}

/* True if `ok`; else the fault is this field, which breaks this rule. */
bool vmx_require(struct vmx_check *c, bool ok, uint32_t field, const char *rule);
/* These bits of the field must be 0. */
bool vmx_require_clear(struct vmx_check *c, uint32_t field, uint64_t bits, const char *rule);
/* The bits of `one` must be 1 in the field and only those of `may` may be; `ignored` are not looked
 * at. */
bool vmx_require_fixed(struct vmx_check *c, uint32_t field, uint64_t one, uint64_t may,
		       uint64_t ignored);
bool vmx_require_canonical(struct vmx_check *c, uint32_t field);
/* A physical address within the CPU's width, aligned (a power of two). */
bool vmx_require_address(struct vmx_check *c, uint32_t field, uint64_t align);
/* Eight memory types that IA32_PAT can hold. */
bool vmx_require_pat(struct vmx_check *c, uint32_t field);

bool vmx_is_canonical(const struct vmx_check *c, uint64_t address);
/* The bits of a 64-bit word above the CPU's physical addresses. */
uint64_t vmx_beyond_physical(const struct vmx_check *c);

#endif
