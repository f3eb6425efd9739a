/* SPDX-License-Identifier: BSD-2-Clause */
/* The VM-entry checks in the manual's order, and the controls that say which of them apply. */
#include "arch/x86/vmx/check.h"
#include "arch/x86/vmx/check_rules.h"

static __cold struct vmx_check begin(const struct vmx_check_env *env, struct vmx_fault *fault)
{
	struct vmx_check c = {.env = env, .limits = env->limits, .fault = fault};

	c.ctl[CTL_PIN] = (uint32_t)vmx_field(&c, VMCS_PIN_BASED_CONTROLS);
	c.ctl[CTL_PROC] = (uint32_t)vmx_field(&c, VMCS_PRIMARY_PROCESSOR_CONTROLS);
	if (vmx_is_on(&c, CTL_PROC, (env->limits->controls[CTL_PROC] >> 32) & PROC_SECONDARY))
		c.ctl[CTL_PROC2] = (uint32_t)vmx_field(&c, VMCS_SECONDARY_PROCESSOR_CONTROLS);
	c.ctl[CTL_EXIT] = (uint32_t)vmx_field(&c, VMCS_EXIT_CONTROLS);
	c.ctl[CTL_ENTRY] = (uint32_t)vmx_field(&c, VMCS_ENTRY_CONTROLS);
	return c;
}

static __cold bool check_parts(const struct vmx_check_env *env, struct vmx_fault *fault,
			       const struct vmx_check_part *part)
{
	struct vmx_check c = begin(env, fault);

	for (; part->is_valid; part++) {
		c.about = part->about;
		if (!part->is_valid(&c))
			return false;
	}
	return true;
}

__cold bool vmx_check_controls(const struct vmx_check_env *env, struct vmx_fault *fault)
{
	return check_parts(env, fault, vmx_control_checks);
}

__cold bool vmx_check_host(const struct vmx_check_env *env, struct vmx_fault *fault)
{
	return check_parts(env, fault, vmx_host_checks);
}

__cold bool vmx_check_guest(const struct vmx_check_env *env, struct vmx_fault *fault)
{
	return check_parts(env, fault, vmx_guest_checks);
}

__cold bool vmx_check_segments(const struct vmx_check_env *env, struct vmx_fault *fault)
{
	static const struct vmx_check_part part[] = {
		{"guest segment registers", vmx_check_guest_segments}, {0}};

	return check_parts(env, fault, part);
}
