/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tx_wait_clear_broken.pml */
/* A guest that begins to wait between the look and the clearing is forgotten. */
#define CLEAR_FIRST 0
#include "tx_wait.pml"
