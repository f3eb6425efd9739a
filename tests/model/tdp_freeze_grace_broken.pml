/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_freeze_grace_broken.pml */
/* A fault handler looks into a page that was freed under it. */
#define GRACE 0
#include "tdp_freeze.pml"
