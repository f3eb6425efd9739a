/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_split_reserve_broken.pml */
/* A table for level 3 is lost against a page of a gigabyte, which is then split on two levels. */
#define GIVE_BACK 0
#include "tdp_split.pml"
