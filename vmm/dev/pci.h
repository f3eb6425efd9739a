/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI configuration space by mechanism #1 (PCI Local Bus Specification 3.0, 3.2.2.3.2): one bus,
 * with a host bridge as device 0. Functions that are not there read as all ones. Devices are
 * added with pci_add() while the board is built.
 *
 * All functions: the VM's device lock is held.
 */
#ifndef VMM_DEV_PCI_H
#define VMM_DEV_PCI_H

#include <stdint.h>

#define PCI_ADDRESS_PORT 0xcf8
#define PCI_DATA_PORT    0xcfc /* 4 ports */
#define PCI_DEVICES      32    /* on bus 0; function 0 of each */
#define PCI_CONFIG_SIZE  256

/* A function: its registers, and which of their bits software can write. */
struct pci_function {
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE];
	/* After a write that touched [reg, reg + size); may be NULL. */
	void (*written)(struct pci_function *f, unsigned reg, unsigned size);
};

struct pci_bus {
	uint32_t address;                      /* the register at 0xcf8 */
	struct pci_function *dev[PCI_DEVICES]; /* const after the board is built */
	struct pci_function bridge;
};

/* The bus with its bridge. */
void pci_init(struct pci_bus *bus);
void pci_reset(struct pci_bus *bus);

/* Put a function into the first free place. Its device number, or -ENOSPC. */
int pci_add(struct pci_bus *bus, struct pci_function *f);

/* Set a little-endian register of `size` bytes, and which of its bits are writable. */
void pci_set(struct pci_function *f, unsigned reg, unsigned size, uint32_t val, uint32_t writable);

/*
 * The address register takes only accesses of 4 bytes to 0xcf8. The model that has this bus region
 * passes them on to these functions (a byte access to 0xcf9 is for the reset register).
 */
uint32_t pci_address_read(const struct pci_bus *bus);
void pci_address_write(struct pci_bus *bus, uint32_t val);

/* For a bus region of the 4 data ports with `dev` = the bus. */
uint64_t pci_data_read(void *dev, uint64_t off, unsigned size);
void pci_data_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
