/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/tx_wait_recheck_broken.pml */
/* The ring empties between the try and the word that somebody waits: nobody comes back. */
#define RECHECK 0
#include "tx_wait.pml"
