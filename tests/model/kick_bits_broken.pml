/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/kick_bits_broken.pml */
/* The requester looks first, and sets its bit after that. */
#define BITS_FIRST 0
#include "kick.pml"
