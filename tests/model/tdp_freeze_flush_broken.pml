/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_freeze_flush_broken.pml */
/* A translation or a table is used after its removal. */
#define FLUSH 0
#include "tdp_freeze.pml"
