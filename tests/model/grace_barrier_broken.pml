/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/grace_barrier_broken.pml */
/* Without the barrier of (3) a CPU follows a reference while its word still says it is quiescent. */
#define BARRIER 0
#include "grace.pml"
