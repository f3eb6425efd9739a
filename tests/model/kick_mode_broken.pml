/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/kick_mode_broken.pml */
/* The CPU looks at the bits before it says that it is in guest mode. */
#define MODE_FIRST 0
#include "kick.pml"
