/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_freeze_child_broken.pml */
/* A leaf is installed in a table that is out of the tree, and is lost with it. */
#define FREEZE_CHILD 0
#include "tdp_freeze.pml"
