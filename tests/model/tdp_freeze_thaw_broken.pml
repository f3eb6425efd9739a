/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_freeze_thaw_broken.pml */
/* A new table is linked while hardware still has the old one cached. */
#define FREEZE 0
#include "tdp_freeze.pml"
