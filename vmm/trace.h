/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last exits of a vCPU, for debug=exits: a ring that writes nothing while the guest runs. It
 * goes to the log when the VM has ended, because then one wants to know what came before.
 */
#ifndef VMM_TRACE_H
#define VMM_TRACE_H

#include <stdint.h>

#include "arch/x86/virt.h"

#define TRACE_LEN   64
#define TRACE_BYTES 12288 /* more than a whole trace takes in the log */

struct trace_entry {
	uint64_t ns;   /* clock_ns() at the last of them */
	uint64_t rip;  /* guest RIP at the exit */
	uint64_t info; /* what the reason is about: address, port, MSR, leaf, vector, register */
	uint32_t reason;
	uint32_t count; /* exits in a row that differ in nothing but the time */
};

struct trace {
	uint64_t nr; /* entries ever begun; the last TRACE_LEN of them are kept */
	struct trace_entry entry[TRACE_LEN];
};

struct vcpu;

/* Note an exit. Owner CPU. */
void trace_add(struct trace *t, const struct vcpu *v, const struct vm_exit *exit);

/* Write what is kept to the log, oldest first. The vCPU has stopped. */
void trace_dump(const struct trace *t, const struct vcpu *v);

/* An exit_reason in a word. */
const char *trace_exit_name(unsigned reason);

#endif
