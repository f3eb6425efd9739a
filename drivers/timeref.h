/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters of known frequency, to measure the TSC against: HPET, ACPI PM timer, 8254. */
#ifndef DRIVERS_TIMEREF_H
#define DRIVERS_TIMEREF_H

struct acpi_info;
struct tsc_reference;

/*
 * The best one that runs; NULL: none does. What `info` says of the HPET is believed: the caller has
 * checked its address.
 */
const struct tsc_reference *timeref_find(const struct acpi_info *info);

#endif
