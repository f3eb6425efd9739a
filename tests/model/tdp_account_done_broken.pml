/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tdp_account_done_broken.pml */
/* A removal that ends behind the look at the account is taken for one that was over before. */
#define DONE_FIRST 0
#include "tdp_account.pml"
