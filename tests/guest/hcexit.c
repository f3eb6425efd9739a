/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypercall that ends the VM with a status.
 * run: status=42 vcpus=1 umbra=1
 */
#include "hypercall.h"
#include "ktap.h"

void guest_main(void)
{
	printf("KTAP version 1\n1..1\nok 1 - leaving by hypercall\n");
	if (is_umbra())
		hypercall(HC_EXIT, 42);
	bail_out("still here after the exit hypercall");
}
