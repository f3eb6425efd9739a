/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/kick_state_broken.pml */
/* A vCPU that has halted is still loaded when the other one is picked, and its waker asks for nothing. */
#define STATE_READ 0
#include "kick.pml"
