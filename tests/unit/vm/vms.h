/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMs from their descriptions to their end, for hosted tests: three descriptions, an arena of
 * memory, the boot CPU inside the hypervisor, and the log.
 */
#ifndef TESTS_UNIT_VM_VMS_H
#define TESTS_UNIT_VM_VMS_H

#include "vmm/vm.h"

/*
 * Two flat images, with and without a module and debug=exits, and a BIOS. vms_setup() describes
 * them anew, so a test may change them.
 */
extern struct vm_config vms_flat, vms_other, vms_bios;

/* What was logged since vms_forget_log(), and how many lines. */
extern char vms_log[65536];
extern unsigned vms_log_lines;
void vms_forget_log(void);

/* cmocka's: before all tests of a program, and before and after each. */
int vms_listen(void **state);
int vms_setup(void **state);
int vms_teardown(void **state);

uint64_t vms_free_frames(void);
unsigned vms_count(void);

/* All vCPUs of this VM stop, and the boot CPU finds it so: it is freed, or made anew. */
void vms_end_and_reap(struct vm *vm);

/* For mm_inject_failure: there is no memory. */
bool vms_fail_all(void);

#endif
