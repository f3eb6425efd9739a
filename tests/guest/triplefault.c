/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A triple fault: an exception with no table to look its handler up in. The machine is shut down
 * and the launcher says so with a status of its own.
 * run: status=101 vcpus=1
 */
#include "ktap.h"

void guest_main(void)
{
	printf("KTAP version 1\n1..1\nok 1 - about to triple fault\n");
	while (!(inb(0x3fd) & 0x40))
		pause();
	lidt((struct table_ptr){0, 0});
	__asm__ volatile("ud2");
	bail_out("still here after a triple fault");
}
