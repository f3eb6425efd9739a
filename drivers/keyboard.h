/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A keyboard on the PC's keyboard controller (Intel 8042), or one on USB for which the firmware
 * plays that controller. Input only, for the machine's console. All of the boot CPU.
 */
#ifndef DRIVERS_KEYBOARD_H
#define DRIVERS_KEYBOARD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Look for the controller, and set it up. Once, with IOAPIC and clock up. False: this machine has
 * none.
 */
bool keyboard_open(void);

/*
 * Call `rx` for every byte of what is typed: in interrupt context, interrupts closed. Does nothing
 * if no keyboard was opened.
 */
void keyboard_set_rx(void (*rx)(uint8_t byte));

/* Does no interrupt come, though there is a receiver? Then somebody calls keyboard_poll(). */
bool keyboard_is_polled(void);
void keyboard_poll(void);

#endif
