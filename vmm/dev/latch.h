/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports that remember what is written to them and do no more: what kernels and firmware touch
 * out of habit (8237 DMA controllers and their page registers, which include the POST code port
 * 0x80), on a board where nothing uses ISA DMA.
 */
#ifndef VMM_DEV_LATCH_H
#define VMM_DEV_LATCH_H

#include <stdint.h>

#define LATCH_DMA1_PORT 0x00 /* 16 ports */
#define LATCH_PAGE_PORT 0x80 /* 16 ports */
#define LATCH_DMA2_PORT 0xc0 /* 32 ports */
#define LATCH_MAX_PORTS 32

struct latch {
	uint8_t value[LATCH_MAX_PORTS];
};

/* For a bus region of up to LATCH_MAX_PORTS ports with `dev` = the latch. */
uint64_t latch_read(void *dev, uint64_t off, unsigned size);
void latch_write(void *dev, uint64_t off, unsigned size, uint64_t val);

#endif
