/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/watch.h"

#include "vmm/dirty_log.h"
#include "vmm/trace.h"
#include "vmm/vcpu.h"

void watch_exit(struct vcpu *v, const struct vm_exit *exit)
{
	if (v->watch & WATCH_LOG)
		dirty_empty_cpu_log(v);
	if (v->watch & WATCH_TRACE)
		trace_add(v->trace, v, exit);
}
