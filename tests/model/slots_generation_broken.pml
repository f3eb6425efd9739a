/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/slots_generation_broken.pml */
/* One step of the generation: a fact of the old copy is stamped with the generation of the new. */
#define BUMP 0
#include "slots.pml"
