/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/dirty_cpu_gather_broken.pml */
/* What a CPU in guest mode has noted is not in the last report. */
#define GATHER 0
#include "dirty_cpu.pml"
