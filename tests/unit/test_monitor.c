/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The monitor: what each command does to which VM and says, and what it makes of anything else
 * that is typed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/machine.h"
#include "mm/guest.h"
#include "vmm/control/monitor.h"
#include "vmm/control/work.h"
#include "vmm/cpu.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

/* --- the rest of the vmm ---------------------------------------------------------------- */

static struct vm_config configs[2] = {{.mem_bytes = 64ull << 20, .console = "com2"},
				      {.mem_bytes = 5ull << 30}};
static struct vcpu vcpus[2];
static struct vm vms[2];
static unsigned nr_vms;

struct vm *vm_next(struct vm *vm)
{
	unsigned i = vm ? (unsigned)(vm - vms) + 1 : 0;

	return i < nr_vms ? &vms[i] : NULL;
}

struct vm *vm_find(const char *name)
{
	for (unsigned i = 0; i < nr_vms; i++) {
		if (!strcmp(vms[i].name, name))
			return &vms[i];
	}
	return NULL;
}

/* What was done: a word for each call, with the VM's name. */
static char done[256];

static void note(const char *what, const struct vm *vm)
{
	size_t len = strlen(done);

	snprintf(done + len, sizeof(done) - len, "%s(%s) ", what, vm ? vm->name : "");
}

void vm_pause(struct vm *vm, bool paused)
{
	note(paused ? "pause" : "resume", vm);
	atomic_store(&vm->paused, paused);
}

void vm_end(struct vm *vm, enum vm_end why, uint32_t status)
{
	assert_int_equal(status, 0);
	note(why == VM_RESET ? "reset" : why == VM_STOPPED_BY_USER ? "stop" : "?", vm);
	atomic_store(&vm->end, why);
}

void console_attach(struct console *c)
{
	note("attach", c ? container_of(c, struct vm, console) : NULL);
}

static struct vmm_cpu cpus[2];
static unsigned rescheduled;

struct vmm_cpu *vmm_cpu_by_id(unsigned id)
{
	return &cpus[id];
}

void vmm_cpu_reschedule(struct vmm_cpu *c)
{
	assert_ptr_equal(c, &cpus[0]);
	rescheduled++;
}

static bool restarting;

bool work_is_restarting(void)
{
	return restarting;
}

static int dirty_result;      /* of the calls for the dirty log ... */
static unsigned dirty_slices; /* ... after so many that have more to do */

static int slice(void)
{
	if (!dirty_slices)
		return dirty_result;
	dirty_slices--;
	return -EAGAIN;
}

int dirty_start(struct vm *vm, enum dirty_user user)
{
	assert_int_equal(user, DIRTY_MONITOR);
	note("log", vm);
	return slice();
}

int dirty_stop(struct vm *vm, enum dirty_user user)
{
	assert_int_equal(user, DIRTY_MONITOR);
	note("end-log", vm);
	return slice();
}

int dirty_count(struct vm *vm, enum dirty_user user, struct dirty_count *c)
{
	assert_int_equal(user, DIRTY_MONITOR);
	c->pages += 17;
	atomic_fetch_add(&vm->dirty.total, 17);
	return slice();
}

void slots_zap_all(struct guest_memory *mem)
{
	note("zap", container_of(mem, struct vm, mem));
}

static uint64_t next_gfn; /* that was not asked about */

/* One page in each 4096 is in use. */
uint64_t slots_age(struct guest_memory *mem, gfn_t start, gfn_t end, uint64_t *young)
{
	assert_null(young);
	assert_int_equal(start.v, next_gfn);
	assert_in_range(end.v - start.v, 1, 8192);
	next_gfn = end.v;
	return (end.v - start.v) / 4096;
}

void tdp_get_stats(struct tdp *t, struct mmu_stats *stats)
{
	*stats = (struct mmu_stats){
		.faults = {[RET_PF_FIXED] = 1,
			   [RET_PF_SPURIOUS] = 2,
			   [RET_PF_RETRY] = 3,
			   [RET_PF_EMULATE] = 4},
		.mapped = {5, 6, 7},
		.prefetched = 8,
		.split = 9,
		.tables = 10,
	};
}

/* No VM here is shadowed. */
void shadow_get_stats(struct shadow *s, struct mmu_stats *stats)
{
	fail();
}

uint64_t vm_ram_slot(const struct vm *vm, unsigned id, gfn_t *base)
{
	*base = GFN(id == VM_SLOT_LOW_RAM ? 0 : 0x100000);
	return id == VM_SLOT_LOW_RAM ? 0xc0000 : vm == &vms[0] ? 0 : 0x80000;
}

static struct platform *board;

void platform_power_button(struct platform *p)
{
	assert_ptr_equal(p, board);
	note("button", NULL);
}

void platform_console_break(struct platform *p)
{
	assert_ptr_equal(p, board);
	note("break", NULL);
}

static jmp_buf machine_ends;

void machine_power_off(uint32_t status)
{
	assert_int_equal(status, 0);
	note("poweroff", NULL);
	longjmp(machine_ends, 1);
}

void machine_reboot(void)
{
	note("reboot", NULL);
	longjmp(machine_ends, 1);
}

static char said[16384];

void console_print(const char *fmt, ...)
{
	size_t len = strlen(said);
	va_list args;

	va_start(args, fmt);
	vsnprintf(said + len, sizeof(said) - len, fmt, args);
	va_end(args);
	assert_true(strlen(said) < sizeof(said) - 1);
}

static bool is_full; /* the console */

bool console_has_room(void)
{
	return !is_full;
}

/* --- typing ------------------------------------------------------------------------------- */

static void type(const char *keys)
{
	said[0] = done[0] = '\0';
	for (; *keys; keys++)
		monitor_input((uint8_t)*keys);
}

/* Enter a line: it must be echoed and followed by `answer` and a new prompt. */
static void expect(const char *line, const char *answer, const char *calls)
{
	char keys[128], want[16384];

	snprintf(keys, sizeof(keys), "%s\r", line);
	snprintf(want, sizeof(want), "%s\r\n%sumbra> ", line, answer);
	type(keys);
	while (monitor_is_busy()) {
		monitor_work();
		atomic_store(&vms[1].end, VM_RUNNING); /* made anew */
	}
	assert_string_equal(said, want);
	assert_string_equal(done, calls);
}

static int setup(void **state)
{
	memset(vms, 0, sizeof(vms));
	memset(vcpus, 0, sizeof(vcpus));
	nr_vms = 2;
	dirty_result = 0;
	dirty_slices = 0;
	is_full = false;
	for (unsigned i = 0; i < 2; i++) {
		vms[i].config = &configs[i];
		vms[i].nr_vcpus = 1;
		vms[i].vcpus[0] = &vcpus[i];
	}
	strcpy(vms[0].name, "own");
	strcpy(vms[1].name, "web");
	vms[0].console.port = (struct serial *)&vms;
	said[0] = done[0] = '\0';
	monitor_enter();
	assert_string_equal(said, "\r\nmonitor: 'help' lists the commands\r\numbra> ");
	assert_string_equal(done, "attach() ");
	return 0;
}

#define HEAD "name             state    vcpus     memory  console\r\n"

static void list_shows_all_vms(void **state)
{
	expect("list",
	       HEAD "own              running      1       64M  com2\r\n"
		    "web              running      1     5120M  shared\r\n",
	       "");
	atomic_store(&vms[0].paused, true);
	atomic_store(&vms[1].end, VM_TRIPLE_FAULT);
	expect("list",
	       HEAD "own              paused       1       64M  com2\r\n"
		    "web              ending       1     5120M  shared\r\n",
	       "");
	nr_vms = 0;
	expect("list", HEAD, "");
}

static void each_command_is_for_its_vm(void **state)
{
	expect("pause own", "", "pause(own) ");
	expect("resume own", "", "resume(own) ");
	expect("pause web", "", "pause(web) ");
	expect("stop own", "", "stop(own) ");
	assert_false(atomic_load(&vms[0].restart));
	expect("reset web", "", "reset(web) ");
	assert_true(atomic_load(&vms[1].restart));
}

static void attach_shows_a_console_that_is_shared(void **state)
{
	expect("attach web", "", "attach(web) ");
	expect("attach own", "own has a port of its own: com2\r\n", "");
}

/* Every reason for an exit has a name, and those that never came are left out. */
static void stats_count_exits(void **state)
{
	char want[16384] =
		"pages for its tables: 4 of 7 in use, at most 5 so far, 2 times none left"
		"\r\nvcpu 3 on cpu 1:\r\n";

	expect("stats own",
	       "pages for its tables: 0 of 0 in use, at most 0 so far, 0 times none left\r\n"
	       "vcpu 0 on cpu 0:\r\n",
	       "");
	vms[1].account = (struct page_account){.limit = 7, .nr = 3, .lowest = 2, .refused = 2};
	vcpus[1].id = 3;
	vcpus[1].pcpu = 1;
	for (unsigned r = 0; r < NR_EXIT_REASONS; r++) {
		assert_non_null(trace_exit_name(r));
		vcpus[1].exits[r] = (uint64_t)r << 32;
		if (r)
			sprintf(want + strlen(want), "  %-14s %12llu\r\n", trace_exit_name(r),
				(unsigned long long)r << 32);
	}
	vcpus[1].emulated = 7;
	strcat(want, "  emulated                  7\r\n");
	expect("stats web", want, "");
}

static void the_engine_is_looked_at(void **state)
{
	expect("mmu web",
	       "faults: 1 fixed, 2 spurious, 3 retried, 4 emulated\r\n"
	       "mapped: 5 of 4K, 6 of 2M, 7 of 1G; 8 prefetched, 9 split\r\n"
	       "tables: 10 pages\r\n",
	       "");
	expect("mmu web zap", "", "zap(web) ");
	expect("mmu web all", "mmu: 'all' is not zap\r\n", "");
}

/* All memory, in slices; between two of them the VM may end. */
static void aging_goes_over_all_memory(void **state)
{
	next_gfn = 0;
	expect("age own", "own: 192 pages accessed since the last look\r\n", "");
	assert_int_equal(next_gfn, 0xc0000);
	next_gfn = 0;
	expect("age web", "web: 384 pages accessed since the last look\r\n", "");
	assert_int_equal(next_gfn, 0x180000);
}

/* VGA's text memory. */
static uint8_t text_memory[25 * 80 * 2];
static bool has_text_memory;

int guest_read(struct guest_memory *mem, gpa_t gpa, void *buf, size_t len)
{
	assert_ptr_equal(mem, &vms[1].mem);
	assert_in_range(gpa.v, 0xb8000, 0xb8000 + sizeof(text_memory) - len);
	memcpy(buf, text_memory + (gpa.v - 0xb8000), len);
	return has_text_memory ? 0 : -EFAULT;
}

/* Cells of a character and an attribute; blanks at a line's end are not said. */
static void screen_is_text(void **state)
{
	static const uint8_t cells[] = {'P', 7, 'a', 7, 0, 0, 's', 7, ' ', 7, 0xb3, 7, 0x1b, 7};
	char want[256] = "", last[81];

	expect("screen web", "no memory at 0xb8000\r\n", "");
	has_text_memory = true;
	memcpy(text_memory + 160, cells, sizeof(cells));
	text_memory[sizeof(text_memory) - 2] = '!';
	memset(last, ' ', 79);
	memcpy(last + 79, "!", 2);
	for (unsigned row = 0; row < 25; row++)
		sprintf(want + strlen(want), "%s\r\n",
			row == 1    ? "Pa s .."
			: row == 24 ? last
				    : "");
	expect("screen web", want, "");
}

static void buttons_are_those_of_the_vm(void **state)
{
	board = vms[1].platform = (struct platform *)&board;
	expect("power web", "", "button() ");
	expect("break web", "", "break() ");
	vms[1].platform = NULL;
}

static void dirty_log_is_switched_and_counted(void **state)
{
	expect("dirty web on", "", "log(web) ");
	expect("dirty web", "web: 17 pages written since the last look, 17 in all\r\n", "");
	expect("dirty web", "web: 17 pages written since the last look, 34 in all\r\n", "");
	expect("dirty web off", "", "end-log(web) ");
	expect("dirty web maybe", "dirty: 'maybe' is neither on nor off\r\n", "");
	dirty_result = -EEXIST;
	expect("dirty own on", "dirty: own: the log is on already\r\n", "log(own) ");
	dirty_result = -ENOENT;
	expect("dirty own", "dirty: own: the log is off; 'dirty VM on' starts it\r\n", "");
	dirty_result = -EBUSY;
	expect("dirty own off", "dirty: own: the guest uses its log itself\r\n", "end-log(own) ");
	dirty_result = -ENOMEM;
	expect("dirty own on", "dirty: own: no memory for the log\r\n", "log(own) ");
}

/* A slice from the CPU's loop, and nothing of it while the line is read. */
static void a_long_command_is_done_in_slices(void **state)
{
	dirty_slices = 2;
	rescheduled = 0;
	type("dirty web on\r");
	assert_string_equal(said, "dirty web on\r\n");
	assert_string_equal(done, "");
	assert_int_equal(rescheduled, 1); /* the guest that was cut into leaves the CPU */
	for (unsigned i = 0; i < 2; i++) {
		monitor_work();
		assert_true(monitor_is_busy());
		assert_string_equal(said, "dirty web on\r\n");
	}
	monitor_work();
	assert_false(monitor_is_busy());
	assert_string_equal(said, "dirty web on\r\numbra> ");
	assert_string_equal(done, "log(web) log(web) log(web) ");
	dirty_slices = 2;
	expect("dirty web", "web: 51 pages written since the last look, 51 in all\r\n", "");
	said[0] = '\0';
	monitor_work(); /* nothing */
	assert_string_equal(said, "");
}

/* What is typed behind it is for the new one. */
static void reset_waits_for_the_new_vm(void **state)
{
	type("reset web\r");
	type("pause web\r");
	assert_false(monitor_work()); /* it is ending, ... */
	nr_vms = 1;
	restarting = true;
	assert_false(monitor_work()); /* ... is gone and not yet there again, ... */
	assert_true(monitor_is_busy());
	assert_string_equal(done, "");
	nr_vms = 2;
	restarting = false;
	atomic_store(&vms[1].end, VM_RUNNING);
	assert_false(monitor_work()); /* ... and is there. */
	assert_false(monitor_is_busy());
	assert_string_equal(done, "pause(web) ");
	/* Or it is not, and the reason was logged. */
	type("reset web\r");
	nr_vms = 1;
	said[0] = '\0';
	monitor_work();
	assert_false(monitor_is_busy());
	assert_string_equal(said, "umbra> ");
}

static void keys_wait_for_a_long_command(void **state)
{
	dirty_slices = 1;
	type("dirty web on\r");
	for (const char *key = "pause web\rdirty web\rstop w"; *key; key++)
		monitor_input((uint8_t)*key);
	monitor_work();
	assert_string_equal(said, "dirty web on\r\n");
	monitor_work();
	assert_string_equal(done, "log(web) log(web) pause(web) ");
	assert_string_equal(said, "dirty web on\r\numbra> pause web\r\numbra> dirty web\r\n");
	assert_true(monitor_is_busy());
	monitor_work();
	assert_false(monitor_is_busy());
	type("eb\r");
	assert_string_equal(done, "stop(web) ");
	/* More than a line is not kept. */
	dirty_slices = 1;
	type("dirty web on\r");
	for (unsigned i = 0; i < 200; i++)
		monitor_input('x');
	monitor_work();
	monitor_work();
	type("\r");
	assert_string_equal(done, "");
}

static void a_vm_may_end_in_a_long_command(void **state)
{
	dirty_slices = 5;
	type("dirty web on\r");
	monitor_work();
	nr_vms = 1;
	monitor_work();
	assert_false(monitor_is_busy());
	assert_string_equal(said, "dirty web on\r\ndirty: web: this VM has ended\r\numbra> ");
}

static void help_names_every_command(void **state)
{
	static const char *const commands[] = {
		"help",  "list", "attach", "pause",  "resume", "reset", "stop",     "stats",
		"dirty", "mmu",  "age",    "screen", "power",  "break", "poweroff", "reboot"};
	unsigned lines = 0;
	char *save, *line;

	type("help\r");
	line = strtok_r(said, "\r\n", &save);
	assert_string_equal(line, "help");
	while ((line = strtok_r(NULL, "\r\n", &save)) && strcmp(line, "umbra> ")) {
		assert_in_range(lines, 0, ARRAY_SIZE(commands) - 1);
		assert_memory_equal(line, commands[lines], strlen(commands[lines]));
		assert_int_equal(line[strlen(commands[lines])], ' ');
		lines++;
	}
	assert_int_equal(lines, ARRAY_SIZE(commands));
}

/* A console that is full of what a guest has said gets a command's answer when there is room. */
static void answers_wait_for_room(void **state)
{
	is_full = true;
	vms[1].nr_vcpus = 2;
	vms[1].vcpus[1] = &vcpus[0];
	type("stats web\r");
	monitor_work();
	assert_string_equal(said, "");
	assert_true(monitor_is_busy());
	is_full = false;
	monitor_work();
	assert_string_equal(said, "stats web\r\n");
	assert_true(monitor_work()); /* one vCPU in a slice */
	assert_string_equal(said,
			    "stats web\r\npages for its tables: 0 of 0 in use, at most 0 so far, "
			    "0 times none left\r\nvcpu 0 on cpu 0:\r\n");
	is_full = true;
	assert_false(monitor_work());
	assert_true(monitor_is_busy());
	is_full = false;
	assert_false(monitor_work());
	assert_string_equal(said,
			    "stats web\r\npages for its tables: 0 of 0 in use, at most 0 so far, "
			    "0 times none left\r\nvcpu 0 on cpu 0:\r\nvcpu 0 on cpu 0:\r\numbra> ");
	assert_false(monitor_is_busy());
}

/* One line, and nothing is done. */
static void mistakes_are_named(void **state)
{
	static const char *const wants_vm[] = {"attach", "pause",  "resume", "reset",
					       "stop",   "stats",  "dirty",  "mmu",
					       "age",    "screen", "power",  "break"};
	char line[64], answer[128];

	for (unsigned i = 0; i < ARRAY_SIZE(wants_vm); i++) {
		snprintf(answer, sizeof(answer), "%s: no VM of the name ''\r\n", wants_vm[i]);
		expect(wants_vm[i], answer, "");
		snprintf(line, sizeof(line), "%s we", wants_vm[i]);
		snprintf(answer, sizeof(answer), "%s: no VM of the name 'we'\r\n", wants_vm[i]);
		expect(line, answer, "");
	}
	expect("lis", "lis: no such command; 'help' lists them\r\n", "");
	expect("lists", "lists: no such command; 'help' lists them\r\n", "");
	expect("List", "List: no such command; 'help' lists them\r\n", "");
	expect("%s%n", "%s%n: no such command; 'help' lists them\r\n", "");
	expect("web stop", "web: no such command; 'help' lists them\r\n", "");
}

static void blanks_do_not_matter(void **state)
{
	expect("", "", "");
	expect("   ", "", "");
	expect("  pause   web  ", "", "pause(web) ");
}

static void keys_edit_the_line(void **state)
{
	type("paux\bse\x7f\x7fse own");
	assert_string_equal(said, "paux\b \bse\b \b\b \bse own");
	type("\n");
	assert_string_equal(done, "pause(own) ");
	type("\b\x7f"); /* nothing to take away */
	assert_string_equal(said, "");
	type("\t\x1b\x80\xff\x01"); /* no characters of a line */
	assert_string_equal(said, "");
	type("x\x7f\r");
	assert_string_equal(said, "x\b \b\r\numbra> ");
	/* Arrows and other keys that are sequences; one that is cut short. */
	type("pa\x1b[Aus\x1bOBe o\x1b[3~w\x1b[1;5Cn\x1b[\r");
	assert_string_equal(done, "pause(own) ");
}

/* What does not fit is not echoed, so that what is seen is what will be run. */
static void line_that_is_too_long(void **state)
{
	char keys[1000], want[256];

	memset(keys, 'x', sizeof(keys));
	keys[sizeof(keys) - 1] = '\0';
	type(keys);
	assert_int_equal(strlen(said), 79);
	snprintf(want, sizeof(want), "\r\n%.79s: no such command; 'help' lists them\r\numbra> ",
		 keys);
	type("\r");
	assert_string_equal(said, want);
	expect("stop web", "", "stop(web) ");
}

static void line_is_forgotten_when_the_monitor_is_left(void **state)
{
	type("stop own");
	monitor_enter();
	expect("pause web", "", "pause(web) ");
}

static void the_machine_ends(void **state)
{
	if (!setjmp(machine_ends))
		type("poweroff\r");
	assert_string_equal(done, "poweroff() ");
	monitor_enter();
	if (!setjmp(machine_ends))
		type("reboot\r");
	assert_string_equal(done, "reboot() ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(list_shows_all_vms, setup),
		cmocka_unit_test_setup(each_command_is_for_its_vm, setup),
		cmocka_unit_test_setup(attach_shows_a_console_that_is_shared, setup),
		cmocka_unit_test_setup(stats_count_exits, setup),
		cmocka_unit_test_setup(answers_wait_for_room, setup),
		cmocka_unit_test_setup(the_engine_is_looked_at, setup),
		cmocka_unit_test_setup(aging_goes_over_all_memory, setup),
		cmocka_unit_test_setup(screen_is_text, setup),
		cmocka_unit_test_setup(buttons_are_those_of_the_vm, setup),
		cmocka_unit_test_setup(dirty_log_is_switched_and_counted, setup),
		cmocka_unit_test_setup(a_long_command_is_done_in_slices, setup),
		cmocka_unit_test_setup(reset_waits_for_the_new_vm, setup),
		cmocka_unit_test_setup(keys_wait_for_a_long_command, setup),
		cmocka_unit_test_setup(a_vm_may_end_in_a_long_command, setup),
		cmocka_unit_test_setup(help_names_every_command, setup),
		cmocka_unit_test_setup(mistakes_are_named, setup),
		cmocka_unit_test_setup(blanks_do_not_matter, setup),
		cmocka_unit_test_setup(keys_edit_the_line, setup),
		cmocka_unit_test_setup(line_that_is_too_long, setup),
		cmocka_unit_test_setup(line_is_forgotten_when_the_monitor_is_left, setup),
		cmocka_unit_test_setup(the_machine_ends, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
