/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two-dimensional engine in situations that are seldom, each begun many times over and gone on
 * with in a different order of steps (adversary_sched.h): a handler meets a remover that is done
 * before it looks again, handlers of before and after the begin of a log, VMs that end together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "mm/host.h"
#include "tests/unit/support/adversary_sched.h"
#include "tests/unit/support/host.h"
#include "tests/unit/support/tdp_ops.h"

#define BASE  MODEL_BIG /* of a slot of a gigabyte */
#define GFN_A (BASE + 0x1234)
#define BOUND 2000000 /* points of a run */

/* The vCPUs have memory. */
static bool fail_on_cpu_0(void)
{
	return host_cpu_id() == 0;
}

/* CPU 0 has no memory: large pages stay as a log begins, and their writers split them. */
static void set_flags(uint32_t flags)
{
	mm_inject_failure = fail_on_cpu_0;
	assert_int_equal(slots_set_flags(&world.mem, 0, flags), 0);
	mm_inject_failure = NULL;
	for (uint64_t gfn = BASE; gfn < BASE + MODEL_BIG; gfn++)
		model[gfn] =
			(struct model){.stamp = model[gfn].stamp, .log = flags & SLOT_DIRTY_LOG};
}

static void start(unsigned format)
{
	model_start(1, format, 3, 2 * GIB + 256 * MIB, BASE + 0x2000);
	model_watch_tree();
	assert_int_equal(slots_create(&world.mem, 0, GFN(BASE), MODEL_BIG, 0), 0);
	model_stamp_slot(BASE, MODEL_BIG, 0);
}

static void begin_with_nothing(void)
{
	world_zap_all();
	for (unsigned i = 0; i < WORLD_VCPUS; i++)
		model_enter(i);
	world_zap_work();
	set_flags(0);
}

/* The situation, and then all CPUs from there, once. */
static void run_one(uint64_t seed, void (*begin)(void), unsigned nr_cpus,
		    void (*cpu_main)(unsigned cpu))
{
	adv_seed(seed);
	begin();
	adv_sched_must_end(seed, nr_cpus, BOUND, cpu_main);
	grace_exit_guest(grace_cpu());
	model_check_all_cached();
	world_check_tree();
	if (adv_violation[0])
		fail_msg("seed %llu: %s", (unsigned long long)seed, adv_violation);
}

static void run_seeds(unsigned seeds, void (*begin)(void), unsigned nr_cpus,
		      void (*cpu_main)(unsigned cpu))
{
	for (unsigned seed = 1; seed <= seeds; seed++)
		run_one(seed, begin, nr_cpus, cpu_main);
}

static void write_from(unsigned vcpu, uint64_t gfn)
{
	grace_exit_guest(grace_cpu());
	for (unsigned i = 0; i < 1000 && !model_access_once(vcpu, gfn, ADV_WRITE); i++)
		adv_sched_point();
	grace_enter_guest(grace_cpu());
}

/* --- a page that is split, and what comes of it taken away at once --- */

static void begin_with_protected_gigabyte(void)
{
	unsigned level;

	begin_with_nothing();
	model_access(0, GFN_A, ADV_WRITE);
	set_flags(SLOT_DIRTY_LOG);
	world_spte(GFN_A, &level);
	assert_int_equal(level, 3);
}

static void split_and_unmap(unsigned cpu)
{
	if (cpu) {
		write_from(cpu - 1, GFN_A);
		return;
	}
	world_unmap(BASE + 0x1200, BASE + 0x1400);
	grace_enter_guest(grace_cpu());
}

/*
 * The handler has split the gigabyte, and finds nothing on the level below: a page of that level
 * would let writes to its other parts through unseen.
 */
static void test_split_meets_removal(void **state)
{
	static const unsigned formats[] = {WORLD_NPT, WORLD_EPT_LOG};

	for (unsigned f = 0; f < ARRAY_SIZE(formats); f++) {
		start(formats[f]);
		for (unsigned i = 1; i < 40; i++) {
			struct adv_turn turns[] = {{1, i}, {0, ADV_TO_THE_END}};

			adv_sched_plan(turns, ARRAY_SIZE(turns));
			run_one(i, begin_with_protected_gigabyte, 2, split_and_unmap);
		}
		run_seeds(50, begin_with_protected_gigabyte, 2, split_and_unmap);
		model_finish();
	}
}

/* --- the begin of a log, and no tables yet --- */

static void begin_log_and_write(unsigned cpu)
{
	if (cpu) {
		write_from(cpu - 1, GFN_A + cpu);
		return;
	}
	model_in_flux(BASE, BASE, MODEL_BIG);
	set_flags(SLOT_DIRTY_LOG);
	model_end();
	grace_enter_guest(grace_cpu());
}

/*
 * One handler knows of the log, and links tables; another does not, and is faster with its large
 * page, which the first then has to split on two levels: its reserve must last for all of that.
 */
static void test_reserve_lasts(void **state)
{
	start(WORLD_EPT);
	for (unsigned i = 1; i < 20 * 20; i++) {
		struct adv_turn turns[] = {{2, 1 + i / 20},
					   {0, ADV_TO_THE_END},
					   {1, 1 + i % 20},
					   {2, ADV_TO_THE_END},
					   {1, ADV_TO_THE_END}};

		adv_sched_plan(turns, ARRAY_SIZE(turns));
		run_one(i, begin_with_nothing, 3, begin_log_and_write);
	}
	run_seeds(50, begin_with_nothing, 3, begin_log_and_write);
	model_finish();
}

/* --- tables that are linked into what is being taken out --- */

static void begin_with_log(void)
{
	begin_with_nothing();
	set_flags(SLOT_DIRTY_LOG);
	model_access(0, GFN_A, ADV_WRITE);
}

static void unmap_all_and_write(unsigned cpu)
{
	if (cpu) {
		write_from(cpu - 1, GFN_A + 0x400 * cpu);
		return;
	}
	world_unmap(0, world.tdp.end.v);
	grace_enter_guest(grace_cpu());
}

/* Each table is in the tree afterwards, or given back: world_check_tree() counts them. */
static void test_removal_loses_no_table(void **state)
{
	start(WORLD_NPT);
	run_seeds(60, begin_with_log, 3, unmap_all_and_write);
	model_finish();
}

/* --- VMs that end together --- */

#define VMS 2

static struct vm_like {
	struct guest_memory mem;
	struct tdp tdp;
	struct tdp_vcpu vcpu;
	struct page_account account;
} vms[VMS];

static struct spte_format npt;
static unsigned ready, ended;

static void create_vms(void)
{
	hpa_t root;

	memset(vms, 0, sizeof(vms));
	for (unsigned i = 0; i < VMS; i++) {
		slots_init(&vms[i].mem);
		world_fill(&vms[i].account, 8);
		assert_int_equal(tdp_init(&vms[i].tdp, &vms[i].mem, NULL, &npt, 3, &vms[i].account),
				 0);
		tdp_vcpu_init(&vms[i].vcpu, &vms[i].tdp);
		assert_int_equal(tdp_load_root(&vms[i].vcpu, &root), 0);
		slots_lock(&vms[i].mem);
		tdp_zap_all(&vms[i].tdp);
		slots_unlock(&vms[i].mem);
	}
	ready = ended = 0;
}

/* Here the vCPU has run: this CPU has the tree that it leaves among its deferred calls. */
static void end_vcpu(struct vm_like *vm)
{
	hpa_t root;

	assert_int_equal(tdp_load_root(&vm->vcpu, &root), 0);
	tdp_vcpu_destroy(&vm->vcpu);
}

static void until(const unsigned *number, unsigned reached)
{
	struct grace_cpu *me = grace_cpu();

	while (*number < reached) {
		grace_poll(me);
		grace_enter_guest(me);
		cpu_relax();
		grace_exit_guest(me);
	}
}

static void end_other_vm(unsigned cpu)
{
	if (cpu)
		grace_exit_guest(grace_cpu());
	end_vcpu(&vms[(cpu + 1) % VMS]);
	ready++;
	while (ready < VMS)
		cpu_relax();
	tdp_destroy(&vms[cpu].tdp);
	ended++;
	until(&ended, VMS);
	grace_enter_guest(grace_cpu());
}

static void nothing(struct grace_head *head) {}

static void end_one_vm(unsigned cpu)
{
	static struct grace_head earlier;

	if (cpu) {
		grace_exit_guest(grace_cpu());
		grace_call(&earlier, nothing);
		grace_poll(grace_cpu());
		end_vcpu(&vms[0]);
		ready++;
		until(&ended, 1);
	} else {
		while (!ready)
			cpu_relax();
		tdp_destroy(&vms[0].tdp);
		ended++;
	}
	grace_enter_guest(grace_cpu());
}

static void run_ends(void (*cpu_main)(unsigned cpu))
{
	spte_format_npt(&npt, 48, true);
	host_arena_with_frames(16 * MIB);
	host_set_nr_cpus(VMS);
	if (!atomic_load(&grace_cpu()->word))
		grace_exit_guest(grace_cpu());
	for (unsigned seed = 1; seed <= 40; seed++) {
		uint64_t before = world_free_frames();

		create_vms();
		adv_sched_must_end(seed, VMS, 20000, cpu_main);
		grace_exit_guest(grace_cpu());
		if (vms[1].vcpu.root) {
			tdp_vcpu_destroy(&vms[1].vcpu);
			tdp_destroy(&vms[1].tdp);
		}
		for (unsigned i = 0; i < VMS; i++)
			assert_true(account_drain(&vms[i].account));
		assert_int_equal(world_free_frames(), before);
	}
	host_set_nr_cpus(1);
}

/* Each waits for a tree that is with the other. */
static void test_two_vms_end(void **state)
{
	run_ends(end_other_vm);
}

/*
 * The other CPU has nothing to wait for, but a call from before the tree: the grace period of the
 * tree begins when that one's is over, and needs this CPU once more.
 */
static void test_one_vm_ends(void **state)
{
	run_ends(end_one_vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_meets_removal),
		cmocka_unit_test(test_reserve_lasts),
		cmocka_unit_test(test_removal_loses_no_table),
		cmocka_unit_test(test_two_vms_end),
		cmocka_unit_test(test_one_vm_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
