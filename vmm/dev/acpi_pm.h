/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ACPI fixed hardware (ACPI specification 6.3, chapter 4.8): PM1a event and control, the PM timer
 * and an empty GPE0 block. There is no legacy mode, so SCI_EN always reads 1. Going to S5 powers
 * the VM off; the power button is the fixed-feature one.
 *
 * All functions: the VM's device lock is held. The timer callback takes it through `lock`.
 */
#ifndef VMM_DEV_ACPI_PM_H
#define VMM_DEV_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spinlock.h"
#include "vmm/dev/irq_line.h"
#include "vmm/dev/timer.h"

struct dev_host;

#define ACPI_PM_PORT      0x600 /* 16 ports */
#define ACPI_PM_PORTS     16
#define ACPI_PM1_EVT_PORT 0x600 /* status, enable: 2 bytes each */
#define ACPI_PM1_CNT_PORT 0x604
#define ACPI_PM_TMR_PORT  0x608 /* 32 bits wide */
#define ACPI_GPE0_PORT    0x60c /* status, enable: 2 bytes each */
#define ACPI_SCI_IRQ      9
#define ACPI_PM_TIMER_HZ  3579545ull
#define ACPI_S5_TYPE      5 /* SLP_TYP in \_S5 */

struct acpi_pm {
	uint16_t status, enable; /* PM1; TMR_STS is brought up to date when looked at */
	uint16_t control;
	uint16_t gpe_enable;
	uint64_t start_ns;    /* the PM timer was 0 then */
	uint64_t seen_halves; /* changes of the timer's top bit that TMR_STS has accounted for */
	bool sci_level;       /* what the line was last driven to */
	struct irq_line sci;  /* const; level */
	const struct dev_host *host; /* const */
	void *vm;                    /* const */
	struct spinlock *lock;       /* const; the device lock, for the timer callback */
	struct timer timer;          /* the next change of the top bit, while TMR_EN is set */
};

/* `sci` is copied. */
void acpi_pm_init(struct acpi_pm *pm, const struct dev_host *host, void *vm,
		  const struct irq_line *sci, struct timer_queue *queue, struct spinlock *lock);
void acpi_pm_reset(struct acpi_pm *pm);

/* For a bus region of ACPI_PM_PORTS ports with `dev` = the acpi_pm. */
uint64_t acpi_pm_read(void *dev, uint64_t off, unsigned size);
void acpi_pm_write(void *dev, uint64_t off, unsigned size, uint64_t val);

/* Press the power button: ask the guest to shut down. */
void acpi_pm_power_button(struct acpi_pm *pm);

#endif
