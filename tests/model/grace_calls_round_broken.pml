/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/grace_calls_round_broken.pml */
/* A CPU stays inside while it waits, and the other's grace period never ends. */
#define ROUND 0
#include "grace_calls.pml"
