/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI configuration space of the physical machine, through ports 0xcf8 and 0xcfc (PCI Local Bus
 * 3.0, 3.2.2.3.2): the first 256 bytes of each function of segment 0.
 */
#ifndef DRIVERS_PCI_CONFIG_H
#define DRIVERS_PCI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/* Is there configuration space at all? */
bool pci_config_works(void);

/*
 * `dev` 0 ... 31, `fn` 0 ... 7, `off` naturally aligned. A function that is not there reads as all
 * ones. Any CPU.
 */
uint8_t pci_read8(uint8_t bus, unsigned dev, unsigned fn, unsigned off);
uint16_t pci_read16(uint8_t bus, unsigned dev, unsigned fn, unsigned off);
uint32_t pci_read32(uint8_t bus, unsigned dev, unsigned fn, unsigned off);
void pci_write8(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint8_t val);
void pci_write16(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint16_t val);
void pci_write32(uint8_t bus, unsigned dev, unsigned fn, unsigned off, uint32_t val);

#endif
