/* SPDX-License-Identifier: BSD-2-Clause */
/* The run loop, compiled for VMX. */
#define VIRT_CALL(name, args) vmx_##name args
#define VCPU_RUN              loop_run_vmx
#include "vmm/exit/loop_tmpl.h"
