/* SPDX-License-Identifier: BSD-2-Clause. Run: spin -run -safety -m1000000 tests/model/slots_withdraw_broken.pml */
/* No withdrawal first: a fault that began with the old copy maps the slot behind the flush. */
#define WITHDRAW 0
#include "slots.pml"
