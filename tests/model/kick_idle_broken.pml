/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/kick_idle_broken.pml */
/* An idle CPU is not kicked for a vCPU that is not loaded. */
#define IDLE_KICK 0
#include "kick.pml"
