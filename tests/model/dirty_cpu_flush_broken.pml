/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/dirty_cpu_flush_broken.pml */
/* A CPU that still has the dirty bit cached as set writes, and notes nothing. */
#define FLUSH 0
#include "dirty_cpu.pml"
