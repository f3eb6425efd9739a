/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/kick_load_broken.pml */
/* The vCPU is loaded after the look at its bits. */
#define LOAD_FIRST 0
#include "kick.pml"
