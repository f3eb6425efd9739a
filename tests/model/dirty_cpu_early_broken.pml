/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/dirty_cpu_early_broken.pml */
/* A write between the clearing of the dirty bit and the begin of the notes sets it unseen. */
#define EARLY 0
#include "dirty_cpu.pml"
