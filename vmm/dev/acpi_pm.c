/* SPDX-License-Identifier: BSD-2-Clause */
/* The registers of ACPI's fixed hardware. */
#include "vmm/dev/acpi_pm.h"

#include "lib/bits.h"
#include "lib/clock.h"
#include "vmm/dev/host.h"

/* PM1 status and enable bits. */
#define PM1_TMR    BIT(0)
#define PM1_GBL    BIT(5)
#define PM1_PWRBTN BIT(8)
#define PM1_SLPBTN BIT(9)
#define PM1_RTC    BIT(10)
#define PM1_WAKE   BIT(15) /* status only */
#define PM1_STATUS (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC | PM1_WAKE)
#define PM1_ENABLE (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_SLPBTN | PM1_RTC)

/* PM1 control bits. */
#define CNT_SCI_EN  BIT(0)
#define CNT_BM_RLD  BIT(1)
#define CNT_SLP_TYP 0x1c00u
#define CNT_SLP_EN  BIT(13) /* write only */

enum {
	REG_STATUS = ACPI_PM1_EVT_PORT - ACPI_PM_PORT,
	REG_ENABLE = REG_STATUS + 2,
	REG_CONTROL = ACPI_PM1_CNT_PORT - ACPI_PM_PORT,
	REG_TIMER = ACPI_PM_TMR_PORT - ACPI_PM_PORT,
	REG_GPE_STATUS = ACPI_GPE0_PORT - ACPI_PM_PORT,
	REG_GPE_ENABLE = REG_GPE_STATUS + 2,
};

static uint64_t ticks(const struct acpi_pm *pm)
{
	return mul_div(clock_ns() - pm->start_ns, ACPI_PM_TIMER_HZ, NSEC_PER_SEC);
}

/* TMR_STS is set whenever the top bit (31) of the timer changes. */
static void update_timer_status(struct acpi_pm *pm)
{
	uint64_t halves = ticks(pm) >> 31;

	if (halves != pm->seen_halves) {
		pm->seen_halves = halves;
		pm->status |= PM1_TMR;
	}
}

static void update_sci(struct acpi_pm *pm)
{
	bool level = pm->status & pm->enable & PM1_ENABLE;

	if (level == pm->sci_level)
		return;
	pm->sci_level = level;
	irq_set(&pm->sci, level);
}

/* Watch the top bit only while its interrupt is enabled. */
static void arm_timer(struct acpi_pm *pm)
{
	uint64_t next = ((ticks(pm) >> 31) + 1) << 31;

	if (pm->enable & PM1_TMR)
		timer_arm(&pm->timer,
			  pm->start_ns + mul_div(next, NSEC_PER_SEC, ACPI_PM_TIMER_HZ) + 1);
	else
		timer_cancel(&pm->timer);
}

static void fire(struct timer *t)
{
	struct acpi_pm *pm = container_of(t, struct acpi_pm, timer);

	spin_lock(pm->lock);
	update_timer_status(pm);
	update_sci(pm);
	arm_timer(pm);
	spin_unlock(pm->lock);
}

static void write_control(struct acpi_pm *pm, uint16_t val)
{
	pm->control = val & (CNT_BM_RLD | CNT_SLP_TYP);
	/* No other sleep state is described to the guest: what it writes then is ignored. */
	if ((val & CNT_SLP_EN) && FIELD_GET(CNT_SLP_TYP, val) == ACPI_S5_TYPE)
		pm->host->event(pm->vm, VM_EVENT_POWER_OFF, 0);
}

static uint16_t read_register(struct acpi_pm *pm, unsigned reg)
{
	switch (reg) {
	case REG_STATUS:
		update_timer_status(pm);
		return pm->status;
	case REG_ENABLE:
		return pm->enable;
	case REG_CONTROL:
		return pm->control | CNT_SCI_EN;
	case REG_GPE_ENABLE:
		return pm->gpe_enable;
	default: /* no GPE is ever pending */
		return 0;
	}
}

static void write_register(struct acpi_pm *pm, unsigned reg, uint16_t val)
{
	switch (reg) {
	case REG_STATUS: /* ones clear */
		update_timer_status(pm);
		pm->status &= (uint16_t)~val;
		break;
	case REG_ENABLE:
		update_timer_status(pm);
		pm->enable = val & PM1_ENABLE;
		arm_timer(pm);
		break;
	case REG_CONTROL:
		write_control(pm, val);
		break;
	case REG_GPE_ENABLE:
		pm->gpe_enable = val;
		break;
	default:
		break;
	}
	update_sci(pm);
}

/* The bits [8 * off, ...) of `word` that an access of `size` bytes sees. */
static uint64_t cut(uint64_t word, unsigned off, unsigned size)
{
	return word >> 8 * off & ~0ull >> (64 - 8 * size);
}

uint64_t acpi_pm_read(void *dev, uint64_t off, unsigned size)
{
	struct acpi_pm *pm = dev;
	unsigned reg = off & ~1u, byte = off & 1;

	if (off >= REG_TIMER && off < REG_TIMER + 4)
		return cut((uint32_t)ticks(pm), (unsigned)off - REG_TIMER, size);
	return cut(read_register(pm, reg) |
			   (size + byte > 2 ? (uint64_t)read_register(pm, reg + 2) << 16 : 0),
		   byte, size);
}

/*
 * Registers are 16 bits wide. A byte write leaves the other byte as it is: for a status register,
 * where ones clear, that means zeros.
 */
void acpi_pm_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
	struct acpi_pm *pm = dev;
	unsigned reg = off & ~1u, byte = off & 1;
	uint16_t keep = 0;

	if (off >= REG_TIMER && off < REG_TIMER + 4)
		return;
	if (size == 1 && reg != REG_STATUS && reg != REG_GPE_STATUS)
		keep = read_register(pm, reg) & (byte ? 0x00ff : 0xff00);
	write_register(pm, reg, (uint16_t)(val << 8 * byte) | keep);
	if (size == 4 && !byte)
		write_register(pm, reg + 2, (uint16_t)(val >> 16));
}

void acpi_pm_power_button(struct acpi_pm *pm)
{
	pm->status |= PM1_PWRBTN;
	update_sci(pm);
}

void acpi_pm_reset(struct acpi_pm *pm)
{
	pm->status = pm->enable = pm->control = pm->gpe_enable = 0;
	pm->start_ns = clock_ns();
	pm->seen_halves = 0;
	timer_cancel(&pm->timer);
	update_sci(pm);
}

void acpi_pm_init(struct acpi_pm *pm, const struct dev_host *host, void *vm,
		  const struct irq_line *sci, struct timer_queue *queue, struct spinlock *lock)
{
	*pm = (struct acpi_pm){.host = host, .vm = vm, .sci = *sci, .lock = lock};
	timer_init(&pm->timer, queue, fire);
	acpi_pm_reset(pm);
}
