/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_split_decision_broken.pml */
/* A large writable page is installed where a part of a split one was removed: writes go unseen. */
#define DECIDE 0
#include "tdp_split.pml"
