/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/exit/kvm_clock.h"

#include <assert.h>
#include <errno.h>

#include "lib/bits.h"
#include "lib/clock.h"
#include "mm/guest.h"
#include "vmm/vm.h"

#define FEATURE_CLOCK     BIT(0) /* by the old MSRs */
#define FEATURE_CLOCK_NEW BIT(3)
#define FEATURE_STEAL     BIT(5)
#define FEATURE_STABLE    BIT(24) /* CLOCK_STABLE may be believed */

#define MSR_ENABLED    BIT_ULL(0)
#define CLOCK_RESERVED BIT_ULL(1)        /* 4-byte aligned */
#define STEAL_RESERVED GENMASK_ULL(5, 1) /* 64-byte aligned */
#define CLOCK_STABLE   BIT(0)

struct wall_clock {
	uint32_t version, sec, nsec;
};

struct clock_line {
	uint32_t version; /* odd: it is being written */
	uint32_t pad;
	uint64_t tsc_timestamp;
	uint64_t system_time; /* ns, then */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad_2[2];
};
static_assert(sizeof(struct clock_line) == 32, "pvclock_vcpu_time_info");

struct steal_time {
	uint64_t steal; /* ns */
	uint32_t version, flags;
	uint32_t pad[12];
};
static_assert(sizeof(struct steal_time) == 64, "kvm_steal_time");

/*
 * What has a version is written between an odd and an even one. On x86 writes are seen in their
 * order; the fences are for the compiler.
 */
static void put_versioned(struct vcpu *v, gpa_t gpa, void *buf, size_t size, uint32_t *version)
{
	struct guest_memory *mem = &v->vm->mem;
	size_t at = (size_t)((char *)version - (char *)buf);

	*version = v->kvm.version + 1;
	if (guest_write(mem, GPA(gpa.v + at), version, sizeof(*version)))
		return;
	atomic_thread_fence(memory_order_release);
	if (guest_write(mem, gpa, buf, size))
		return;
	atomic_thread_fence(memory_order_release);
	*version = v->kvm.version += 2;
	guest_write(mem, GPA(gpa.v + at), version, sizeof(*version));
}

/* ns = (ticks << shift) * mul >> 32, with mul from 2^31 up. */
static void set_pace(struct clock_line *line)
{
	uint64_t hz = clock_tsc_khz() * 1000;

	for (; hz > 2 * NSEC_PER_SEC; hz >>= 1)
		line->tsc_shift--;
	for (; hz <= NSEC_PER_SEC; hz <<= 1)
		line->tsc_shift++;
	line->tsc_to_system_mul = (uint32_t)((NSEC_PER_SEC << 32) / hz);
}

/* The VM's clock is 0 where its first TSC was. */
void kvm_clock_update(struct vcpu *v)
{
	struct clock_line line = {.tsc_timestamp = v->vm->born_tsc + v->tsc_offset,
				  .flags = v->vm->clock_is_one ? CLOCK_STABLE : 0};

	if (likely(!(v->kvm.system_time & MSR_ENABLED)))
		return;
	set_pace(&line);
	put_versioned(v, GPA(v->kvm.system_time & ~MSR_ENABLED), &line, sizeof(line),
		      &line.version);
}

/* The time of day when the VM's clock was 0. */
static void put_wall_clock(struct vcpu *v)
{
	struct wall_clock wall = {.sec = (uint32_t)v->vm->born_at};

	put_versioned(v, GPA(v->kvm.wall_clock), &wall, sizeof(wall), &wall.version);
}

void kvm_clock_tell_steal(struct vcpu *v)
{
	struct steal_time s = {.steal = v->kvm.waited};

	if (likely(!(v->kvm.steal_time & MSR_ENABLED)))
		return;
	put_versioned(v, GPA(v->kvm.steal_time & ~MSR_ENABLED), &s, sizeof(s), &s.version);
}

struct msr_value kvm_clock_read_msr(const struct vcpu *v, uint32_t msr)
{
	if (!v->vm->kvm_clock)
		return (struct msr_value){.error = -EINVAL};
	switch (msr) {
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_WALL_CLOCK:
		return (struct msr_value){.val = v->kvm.wall_clock};
	case MSR_KVM_STEAL_TIME:
		return (struct msr_value){.val = v->kvm.steal_time};
	default:
		return (struct msr_value){.val = v->kvm.system_time};
	}
}

int kvm_clock_write_msr(struct vcpu *v, uint32_t msr, uint64_t val)
{
	if (!v->vm->kvm_clock)
		return -EINVAL;
	switch (msr) {
	case MSR_KVM_WALL_CLOCK_OLD:
	case MSR_KVM_WALL_CLOCK:
		v->kvm.wall_clock = val;
		put_wall_clock(v);
		return 0;
	case MSR_KVM_STEAL_TIME:
		if (val & STEAL_RESERVED)
			return -EINVAL;
		v->kvm.steal_time = val;
		kvm_clock_tell_steal(v);
		return 0;
	default:
		if ((val & MSR_ENABLED) && (val & CLOCK_RESERVED))
			return -EINVAL;
		v->kvm.system_time = val;
		kvm_clock_update(v);
		return 0;
	}
}

struct cpuid_entry kvm_clock_leaf(uint32_t leaf)
{
	switch (leaf) {
	case 0x40000000: /* "KVMKVMKVM" */
		return (struct cpuid_entry){0x40000001, 0x4b4d564b, 0x564b4d56, 0x0000004d};
	case 0x40000001:
		return (struct cpuid_entry){FEATURE_CLOCK | FEATURE_CLOCK_NEW | FEATURE_STEAL |
						    FEATURE_STABLE,
					    0, 0, 0};
	default:
		return (struct cpuid_entry){0};
	}
}
