/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HLT with interrupts closed on the only CPU: nothing can wake it any more, and a hypervisor can
 * see that and end the VM instead of waiting for ever.
 * run: status=101 vcpus=1 umbra=1 timeout=20
 */
#include "ktap.h"

void guest_main(void)
{
	printf("KTAP version 1\n1..1\nok 1 - about to halt for ever\n");
	cli();
	for (;;)
		__asm__ volatile("hlt");
}
