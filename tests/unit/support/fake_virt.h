/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vendor whose virtual CPUs are structs: what was written is what is read, and what was asked for
 * can be looked at. A vCPU that svm_vcpu_init() has seen has its own in its pages; all others
 * share fake_cpu.
 */
#ifndef TESTS_UNIT_SUPPORT_FAKE_VIRT_H
#define TESTS_UNIT_SUPPORT_FAKE_VIRT_H

#include "arch/x86/virt.h"

struct fake_cpu {
	uint64_t vreg[NR_VREGS];
	struct segment seg[NR_SEGS];
	struct desc_table gdt, idt;
	uint64_t rflags;
	unsigned cpl;
	uint8_t cr8;
	struct vm_event_info injected; /* taken when the test says so */
	bool irq_window, nmi_window, irq_shadow;
	bool cr8_exits, pause_exits;
	uint64_t cr0_exits, cr4_exits; /* bits */
	unsigned flushes;
	uint64_t tsc_offset;
	hpa_t root;
	bool logs_writes;
	uint64_t log[4]; /* gpas; svm_take_log() empties it */
	unsigned nr_log;
};

extern struct fake_cpu fake_cpu;

struct fake_cpu *fake_cpu_of(struct virt_vcpu *v);

#endif
