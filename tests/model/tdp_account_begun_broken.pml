/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_account_begun_broken.pml */
/* Pages are taken out before the removal is counted. */
#define BEGIN_FIRST 0
#include "tdp_account.pml"
