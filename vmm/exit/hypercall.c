/* SPDX-License-Identifier: BSD-2-Clause */
/* The calls a guest that knows Umbra can make. Arguments are the guest's: any value may come. */
#include "vmm/exit/hypercall.h"

#include <errno.h>

#include "lib/clock.h"
#include "mm/guest.h"
#include "vmm/vm.h"

/* The numbers used here are the same everywhere. */
static_assert(ENOENT == 2 && ENOMEM == 12 && EFAULT == 14 && EBUSY == 16 && EEXIST == 17 &&
		      EINVAL == 22,
	      "Linux' numbers");

/* A number or a negative errno, as the guest gets it. */
static uint64_t result_of(int r)
{
	return (uint64_t)(int64_t)r;
}

static __cold uint64_t end(struct vcpu *v, uint64_t status)
{
	vm_end(v->vm, VM_HYPERCALL_EXIT, status & 0xff);
	return 0;
}

/* Is [gpa, gpa + len) memory that can be written? It is less than two pages. */
static bool is_writable(struct guest_memory *mem, uint64_t gpa, uint64_t len)
{
	return guest_ptr(mem, GPA(gpa), 1, true) && guest_ptr(mem, GPA(gpa + len - 1), 1, true);
}

/*
 * The bits that are taken must not get lost, so all is looked at before. RAM does not go away while
 * the VM lives. The bitmap's own pages are written, and reported next time.
 */
static __cold uint64_t collect_dirty(struct vcpu *v, uint64_t gpa)
{
	uint64_t bitmap[DIRTY_MAX_PAGES / 64];
	uint64_t nr = vcpu_gpr(v, GPR_RSI), to = vcpu_gpr(v, GPR_RDX), bytes = nr / 8;
	struct guest_memory *mem = &v->vm->mem;
	int r;

	if (gpa % PAGE_SIZE || nr % DIRTY_GRANULE || !nr || nr > DIRTY_MAX_PAGES)
		return result_of(-EINVAL);
	if (!is_writable(mem, to, bytes))
		return result_of(-EFAULT);
	r = dirty_collect(v->vm, DIRTY_GUEST, gpa_to_gfn(GPA(gpa)), nr, bitmap);
	if (r >= 0 && guest_write(mem, GPA(to), bitmap, bytes))
		r = -EFAULT;
	return result_of(r);
}

/* The opcode without prefixes, which mean nothing to it: 0F 01 D9, 0F 01 C1. */
#define HYPERCALL_BYTES 3

/*
 * A call that takes long does a slice of its work each time it is executed, and one that has to
 * wait does nothing: the guest finds itself before it again. In between its interrupts come, other
 * vCPUs have their turn, and this CPU holds nothing. Where single steps trap, each slice does, as
 * each round of a REP.
 */
static __cold uint64_t again(struct vcpu *v)
{
	v->virt.rip -= HYPERCALL_BYTES;
	if (!vcpu_runs_64bit_code(v))
		v->virt.rip = (uint32_t)v->virt.rip;
	return v->virt.gpr[GPR_RAX];
}

/* Until there is room the guest makes the call again: it is as fast as the line. */
static __cold uint64_t put_byte(struct vcpu *v, uint64_t byte)
{
	struct char_sink *console = &v->vm->console.sink;

	return console->put(console, (uint8_t)byte) ? 0 : again(v);
}

static uint64_t result_or_again(struct vcpu *v, int r)
{
	return r == -EAGAIN ? again(v) : result_of(r);
}

/* The next accesses fault. What was dropped is freed in slices, on the account of the VM. */
static __cold uint64_t zap(struct vcpu *v)
{
	slots_zap_all(&v->vm->mem);
	return 0;
}

/*
 * The calls for the dirty log, and what is for measurements. Not for every guest: the log has one
 * user at a time, so a guest that may use it can keep it from the monitor.
 */
static __cold uint64_t execute_for_host(struct vcpu *v, uint64_t number, uint64_t arg)
{
	if (!v->vm->config->dirty_log)
		return HYPERCALL_EPERM;
	switch (number) {
	case HYPERCALL_DIRTY_START:
		return result_or_again(v, dirty_start(v->vm, DIRTY_GUEST));
	case HYPERCALL_DIRTY_COLLECT:
		return collect_dirty(v, arg);
	case HYPERCALL_DIRTY_STOP:
		return result_or_again(v, dirty_stop(v->vm, DIRTY_GUEST));
	default:
		return zap(v);
	}
}

uint64_t hypercall_execute(struct vcpu *v, uint64_t number, uint64_t arg)
{
	switch (number) {
	case HYPERCALL_NULL:
		return 0;
	case HYPERCALL_VERSION:
		return HYPERCALL_ABI_VERSION;
	case HYPERCALL_EXIT:
		return end(v, arg);
	case HYPERCALL_PUTC:
		return put_byte(v, arg);
	case HYPERCALL_CLOCK:
		return clock_ns();
	case HYPERCALL_DIRTY_START:
	case HYPERCALL_DIRTY_COLLECT:
	case HYPERCALL_DIRTY_STOP:
	case HYPERCALL_ZAP:
		return execute_for_host(v, number, arg);
	default:
		return HYPERCALL_ENOSYS;
	}
}
