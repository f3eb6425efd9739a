/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Both vendors' operations for hosted programs: none of them works. A test plays the few that its
 * subject uses by defining them, as svm_*(), which then take the place of these.
 */
#include <stdlib.h>

#define VIRT_OP(ret, name, params, args)                                                           \
	ret svm_##name params;                                                                     \
	ret vmx_##name params;                                                                     \
	__attribute__((weak, noreturn)) ret svm_##name params                                      \
	{                                                                                          \
		abort();                                                                           \
	}                                                                                          \
	__attribute__((weak, noreturn)) ret vmx_##name params                                      \
	{                                                                                          \
		abort();                                                                           \
	}

#include "arch/x86/virt.h"

__attribute__((weak)) struct virt_caps virt_caps;
__attribute__((weak)) bool virt_is_vmx;
