/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that the firmware or the boot loader has left running. A network card that has loaded the
 * image goes on to write what it receives to where its buffers were, and there is somebody else's
 * memory by then. So before memory is given away, no function may access it any more.
 */
#ifndef DRIVERS_BUS_MASTER_H
#define DRIVERS_BUS_MASTER_H

/*
 * Clear the bus-master bit of every function of segment 0 that has it, but for bridges, displays,
 * IOMMUs and USB controllers. Returns how many were stopped, and logs it; a function that does not
 * let itself be stopped is a warning. Boot CPU, before memory_init(); takes some 10 to 50 ms.
 */
unsigned bus_master_stop_all(void);

#endif
