/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/kick_lock_broken.pml */
/* A vCPU wakes while another is picked: the waker still sees the turn before. */
#define LOCKED 0
#include "kick.pml"
