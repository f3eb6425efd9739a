/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/grace_wait_broken.pml */
/* CPUs that wait without being quiescent, for the lock or the period, wait for each other. */
#define QUIET 0
#include "grace.pml"
