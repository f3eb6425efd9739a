/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests in each mode that a VM entry can enter, as a fake VMCS and the CPU it runs on. In every
 * one of them a VM entry succeeds.
 */
#ifndef TESTS_UNIT_SUPPORT_VMX_STATES_H
#define TESTS_UNIT_SUPPORT_VMX_STATES_H

#include "arch/x86/vmx/check.h"
#include "tests/unit/support/fake_vmcs.h"

/* CPUs: what Bochs' Tiger Lake tells, and one without secondary controls and virtual NMIs. */
extern const struct vmx_limits vmx_tiger_lake, vmx_first_generation;

/* Does the VMCS of such a CPU have this field? */
bool vmx_limits_have_field(const struct vmx_limits *l, uint32_t field);

struct vmx_state {
	struct fake_vmcs vmcs;
	struct vmx_limits limits;
	uint64_t memory; /* what read_memory finds at each address */
};

/* What the checker sees of it. Reading a field that this CPU has not fails the test. */
struct vmx_check_env vmx_state_env(struct vmx_state *s);

#define VMX_STATES(X)                                                                              \
	X(long_mode)                                                                               \
	X(user_mode)                                                                               \
	X(compat_mode)                                                                             \
	X(real_mode)                                                                               \
	X(flat_real)                                                                               \
	X(v86_mode)                                                                                \
	X(protected_unpaged)                                                                       \
	X(protected_paged)                                                                         \
	X(pae_ept)                                                                                 \
	X(pae_shadow)                                                                              \
	X(halted)                                                                                  \
	X(shut_down)                                                                               \
	X(waiting_for_sipi)                                                                        \
	X(injecting_interrupt)                                                                     \
	X(injecting_nmi)                                                                           \
	X(injecting_page_fault)                                                                    \
	X(injecting_int3)                                                                          \
	X(after_sti)                                                                               \
	X(stepping_mov_ss)                                                                         \
	X(everything_on)                                                                           \
	X(old_cpu)

#define VMX_STATE_BUILDER(name) void vmx_state_##name(struct vmx_state *s);
VMX_STATES(VMX_STATE_BUILDER)
#undef VMX_STATE_BUILDER

#endif
