/* SPDX-License-Identifier: BSD-2-Clause */
/* The run loop, compiled for SVM. */
#define VIRT_CALL(name, args) svm_##name args
#define VCPU_RUN              loop_run_svm
#include "vmm/exit/loop_tmpl.h"
