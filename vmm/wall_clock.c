/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/wall_clock.h"

#include "arch/x86/percpu.h"
#include "drivers/cmos.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "vmm/dev/rtc_time.h"

static int64_t boot_time __ro_after_init; /* seconds since 1970 at clock_ns() 0 */

int64_t wall_clock_now(void)
{
	return boot_time + (int64_t)(clock_ns() / NSEC_PER_SEC);
}

void wall_clock_init(void)
{
	struct cmos_time t;
	struct rtc_time rtc;

	if (!cmos_read_time(&t)) {
		log_warn(
			"clock: the machine's real-time clock gives no time; guests start in 1970");
		return;
	}
	rtc = (struct rtc_time){
		.year = t.year,
		.month = t.month,
		.day = t.day,
		.hour = t.hour,
		.minute = t.minute,
		.second = t.second,
	};
	boot_time = rtc_time_to_seconds(&rtc) - (int64_t)(clock_ns() / NSEC_PER_SEC);
}
