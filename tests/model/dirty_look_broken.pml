/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/dirty_look_broken.pml */
/* A look instead of a locked operation: the write is still in the buffer when the page is copied. */
#define LOCKED 0
#include "dirty.pml"
