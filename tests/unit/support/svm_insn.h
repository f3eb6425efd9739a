/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SVM's instructions as functions of the test's. The sources of a vCPU (arch/x86/svm) are compiled
 * with this file in front, in the place of the header in which the instructions are.
 */
#ifndef TESTS_UNIT_SUPPORT_SVM_INSN_H
#define TESTS_UNIT_SUPPORT_SVM_INSN_H

#define ARCH_X86_SVM_INSTRUCTIONS_H
#define ARCH_X86_SPEC_CTRL_H

#include <stdint.h>

#include "lib/types.h"

void svm_enter(uint64_t *gpr, hpa_t vmcb, hpa_t host_vmcb);
void svm_invlpga(gva_t gva, uint32_t asid);
uint64_t spec_ctrl_enter(uint64_t guest);
void spec_ctrl_leave(uint64_t host);

#endif
