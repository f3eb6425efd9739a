/* SPDX-License-Identifier: BSD-2-Clause */
/* Module lines: what each word means, and that each mistake is named in one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/control/config.h"

struct fixture {
	struct config config;
	unsigned nr_errors;
	char error[8][LOAD_ERROR_LEN];
};

static void record(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	assert_in_range(f->nr_errors, 0, 7);
	snprintf(f->error[f->nr_errors++], LOAD_ERROR_LEN, "%s", line);
}

static int setup(void **state)
{
	static const struct config_limits limits = {.max_mem = 4ull << 30, .nr_pcpus = 4};
	struct fixture *f = calloc(1, sizeof(*f));

	memset(f, 0xee, sizeof(*f));
	f->nr_errors = 0;
	config_init(&f->config, &limits, record, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void add(struct fixture *f, const char *line)
{
	config_add_module(&f->config, line, HPA(0x1000000 + f->config.nr_lines * 0x1000), 0x1000);
}

static void expect_errors(struct fixture *f, unsigned n, const char *first)
{
	assert_int_equal(f->nr_errors, n);
	assert_string_equal(f->error[0], first);
}

/* One line, and the one error it must cause. */
static void expect_error(const char *line, const char *error)
{
	void *state;
	struct fixture *f;

	setup(&state);
	f = state;
	add(f, line);
	expect_errors(f, 1, error);
	if (f->config.nr_vms) {
		assert_true(f->config.vm[0].failed);
		/* The whole adds nothing to what is already known to be wrong. */
		config_finish(&f->config);
		assert_int_equal(f->nr_errors, 1);
	}
	teardown(&state);
}

static void test_all_words(void **state)
{
	struct fixture *f = *state;
	struct vm_config *vm = &f->config.vm[0];

	add(f,
	    "kernel vm=web mem=512M vcpus=2 weight=300 mmu=tdp proto=linux largepages=off dirtylog=on kvmclock=on testdev=on "
	    "cpus=0,2-3 "
	    "realmode=emulate debug=exits console=serial1 -- console=ttyS0  a=-- -- quiet ");
	add(f, "initrd vm=web");
	add(f, "module vm=web fwcfg=opt/answer");
	add(f, "module vm=web -- 42");
	config_finish(&f->config);
	assert_int_equal(f->nr_errors, 0);
	assert_int_equal(f->config.nr_vms, 1);
	assert_string_equal(vm->name, "web");
	assert_false(vm->failed);
	assert_int_equal(vm->mem_bytes, 512 << 20);
	assert_int_equal(vm->vcpus, 2);
	assert_int_equal(vm->weight, 300);
	assert_int_equal(vm->realmode, REALMODE_EMULATE);
	assert_int_equal(vm->proto, PROTO_LINUX);
	assert_int_equal(vm->kvm_clock, KVM_CLOCK_ON);
	assert_false(vm->large_pages);
	assert_int_equal(vm->mmu, MMU_TDP);
	for (unsigned cpu = 0; cpu < HOST_MAX_CPUS; cpu++)
		assert_int_equal(cpu_set_has(&vm->cpus, cpu), cpu < 4 && cpu != 1);
	assert_int_equal(vm->debug, VM_DEBUG_EXITS);
	assert_string_equal(vm->console, "serial1");
	assert_string_equal(vm->cmdline, "console=ttyS0  a=-- -- quiet");
	assert_int_equal(vm->kernel.base.v, 0x1000000);
	assert_int_equal(vm->kernel.size, 0x1000);
	assert_int_equal(vm->initrd.base.v, 0x1001000);
	assert_int_equal(vm->nr_modules, 2);
	assert_int_equal(vm->module[0].file.base.v, 0x1002000);
	assert_string_equal(vm->module[0].fw_cfg, "opt/answer");
	assert_string_equal(vm->module[1].args, "42");
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;
	struct vm_config *vm = &f->config.vm[0];

	add(f, "kernel vm=a");
	config_finish(&f->config);
	assert_int_equal(f->nr_errors, 0);
	assert_int_equal(vm->mem_bytes, CONFIG_DEFAULT_MEM);
	assert_int_equal(vm->vcpus, 1);
	assert_int_equal(vm->proto, PROTO_AUTO);
	assert_int_equal(vm->kvm_clock, KVM_CLOCK_AUTO);
	assert_true(vm->large_pages);
	assert_int_equal(vm->mmu, MMU_AUTO);
	for (unsigned cpu = 0; cpu < HOST_MAX_CPUS; cpu++)
		assert_true(cpu_set_has(&vm->cpus, cpu));
	assert_string_equal(vm->cmdline, "");
	assert_string_equal(vm->console, "");
	assert_false(vm->initrd.present);
	assert_int_equal(vm->nr_modules, 0);
	assert_int_equal(vm->debug, 0);
}

/* multiboot2 gives the words only; QEMU puts the path in front. */
static void test_path_first(void **state)
{
	struct fixture *f = *state;

	add(f, "/tmp/vmlinuz kernel vm=a mem=64M");
	add(f, "kernel kernel vm=b"); /* a file called "kernel" */
	add(f, "  kernel\tvm=c  ");
	add(f, "boot.img bios vm=d");
	config_finish(&f->config);
	assert_int_equal(f->nr_errors, 0);
	assert_int_equal(f->config.nr_vms, 4);
	assert_int_equal(f->config.vm[0].mem_bytes, 64 << 20);
	assert_string_equal(f->config.vm[2].name, "c");
	assert_int_equal(f->config.vm[3].proto, PROTO_BIOS);
}

static void test_order_free(void **state)
{
	struct fixture *f = *state;

	add(f, "initrd vm=a");
	add(f, "kernel mem=64M vm=b");
	add(f, "kernel mem=32M vm=a");
	config_finish(&f->config);
	assert_int_equal(f->nr_errors, 0);
	assert_int_equal(f->config.nr_vms, 2);
	assert_int_equal(f->config.vm[0].mem_bytes, 32 << 20);
	assert_true(f->config.vm[0].initrd.present);
	assert_false(f->config.vm[1].initrd.present);
}

static void test_one_bad_vm(void **state)
{
	struct fixture *f = *state;

	add(f, "kernel vm=good");
	add(f, "kernel vm=bad mem=12Q");
	add(f, "initrd vm=good");
	config_finish(&f->config);
	expect_errors(f, 1, "vm bad: mem=12Q: not a size");
	assert_false(f->config.vm[0].failed);
	assert_true(f->config.vm[1].failed);
}

static void test_sizes(void **state)
{
	struct fixture *f = *state;

	add(f, "kernel vm=a mem=2097152");
	add(f, "kernel vm=b mem=4096k");
	add(f, "kernel vm=c mem=4G");
	add(f, "kernel vm=d mem=0x200000");
	add(f, "kernel vm=e mem=0x2M");
	assert_int_equal(f->nr_errors, 0);
	assert_int_equal(f->config.vm[0].mem_bytes, 2 << 20);
	assert_int_equal(f->config.vm[1].mem_bytes, 4 << 20);
	assert_int_equal(f->config.vm[2].mem_bytes, 4ull << 30);
	assert_int_equal(f->config.vm[3].mem_bytes, 2 << 20);
	assert_int_equal(f->config.vm[4].mem_bytes, 2 << 20);
}

static void test_bad_values(void **state)
{
	expect_error("kernel vm=a mem=", "vm a: mem=: no value");
	expect_error("kernel vm=a mem=M", "vm a: mem=M: not a size");
	expect_error("kernel vm=a mem=1MB", "vm a: mem=1MB: not a size");
	expect_error("kernel vm=a mem=-1M", "vm a: mem=-1M: not a size");
	expect_error("kernel vm=a mem=0x", "vm a: mem=0x: not a size");
	expect_error("kernel vm=a mem=18446744073709551616",
		     "vm a: mem=18446744073709551616: not a size");
	expect_error("kernel vm=a mem=18446744073709551615k",
		     "vm a: mem=18446744073709551615k: not a size");
	expect_error("kernel vm=a mem=1M", "vm a: mem=1M: too small, a guest has at least 2M");
	expect_error("kernel vm=a mem=2097153", "vm a: mem=2097153: not a multiple of 4K");
	expect_error("kernel vm=a mem=4194308k", "vm a: mem=4194308k: more than there is");
	expect_error("kernel vm=a vcpus=0", "vm a: vcpus=0: not in 1 to 64");
	expect_error("kernel vm=a vcpus=65", "vm a: vcpus=65: not in 1 to 64");
	expect_error("kernel vm=a vcpus=4294967297", "vm a: vcpus=4294967297: not in 1 to 64");
	expect_error("kernel vm=a vcpus=two", "vm a: vcpus=two: not a number");
	expect_error("kernel vm=a mmu=npt", "vm a: mmu=npt: not one of auto, tdp, shadow");
	expect_error("kernel vm=a weight=0", "vm a: weight=0: not in 1 to 10000");
	expect_error("kernel vm=a weight=10001", "vm a: weight=10001: not in 1 to 10000");
	expect_error("kernel vm=a weight=-1", "vm a: weight=-1: not a number");
	expect_error("initrd vm=a weight=1", "vm a: weight=1: not a word for this part");
	expect_error("kernel vm=a realmode=cpu", "vm a: realmode=cpu: not one of auto, emulate");
	expect_error(
		"kernel vm=a proto=elf",
		"vm a: proto=elf: not one of auto, linux, multiboot, multiboot2, pvh, bios, flat");
	expect_error("kernel vm=a mode=16", "vm a: mode=16: not one of real, prot32, long64");
	expect_error("kernel vm=a largepages=1", "vm a: largepages=1: not one of on, off");
	expect_error("kernel vm=a dirtylog=yes", "vm a: dirtylog=yes: not one of on, off");
	expect_error("kernel vm=a testdev=2", "vm a: testdev=2: not one of on, off");
	expect_error("kernel vm=a onreset=off", "vm a: onreset=off: not one of restart, end");
	expect_error("kernel vm=a onreset=end onreset=end", "vm a: onreset=end: given twice");
	expect_error("initrd vm=a onreset=end", "vm a: onreset=end: not a word for this part");
	expect_error("initrd vm=a testdev=on", "vm a: testdev=on: not a word for this part");
	expect_error("kernel vm=a cpus=4", "vm a: cpus=4: the machine has no such CPU");
	expect_error("kernel vm=a cpus=3-1", "vm a: cpus=3-1: not a list of CPUs such as 0,2-3");
	expect_error("kernel vm=a cpus=0,", "vm a: cpus=0,: not a list of CPUs such as 0,2-3");
	expect_error("kernel vm=a cpus=0;1", "vm a: cpus=0;1: not a list of CPUs such as 0,2-3");
	expect_error("kernel vm=a debug=all", "vm a: debug=all: not one of exits");
	expect_error("kernel vm=a load=high proto=flat", "vm a: load=high: not an address");
	expect_error("module vm=a fwcfg=opt/12345678901234567890123456789012345678901234567890123",
		     "vm a: fwcfg=opt/12345678901234567890123456789012345678901234567890123: "
		     "longer than 55 characters");
}

/* The set that `cpus` gives on a machine of so many CPUs is first to last, and nothing else. */
static void expect_cpus(unsigned nr_pcpus, const char *cpus, unsigned first, unsigned last)
{
	void *state;
	struct fixture *f;
	char line[64];

	setup(&state);
	f = state;
	f->config.limits.nr_pcpus = nr_pcpus;
	snprintf(line, sizeof(line), "kernel vm=a cpus=%s", cpus);
	add(f, line);
	assert_int_equal(f->nr_errors, 0);
	for (unsigned cpu = 0; cpu < HOST_MAX_CPUS; cpu++)
		assert_int_equal(cpu_set_has(&f->config.vm[0].cpus, cpu),
				 cpu >= first && cpu <= last);
	teardown(&state);
}

static void test_many_cpus(void **state)
{
	(void)state;
	expect_cpus(64, "63", 63, 63);
	expect_cpus(65, "64", 64, 64);
	expect_cpus(128, "60-70", 60, 70);
	expect_cpus(HOST_MAX_CPUS, "128-191", 128, 191);
	expect_cpus(HOST_MAX_CPUS, "0-255", 0, 255);
	expect_cpus(HOST_MAX_CPUS, "255", 255, 255);
	expect_error("kernel vm=a cpus=70", "vm a: cpus=70: the machine has no such CPU");
}

/* The machine's console, by its name or by none. */
static void test_shared_console(void **state)
{
	struct fixture *f = *state;

	add(f, "kernel vm=a console=shared");
	add(f, "kernel vm=b console=com2");
	add(f, "kernel vm=c");
	assert_int_equal(f->nr_errors, 0);
	assert_string_equal(f->config.vm[0].console, "");
	assert_string_equal(f->config.vm[1].console, "com2");
	assert_string_equal(f->config.vm[2].console, "");
}

static void test_bad_words(void **state)
{
	expect_error("kernel vm=a memory=12M", "vm a: memory=12M: unknown word");
	expect_error("kernel vm=a quiet", "vm a: quiet: unknown word");
	expect_error("kernel vm=a mem", "vm a: mem: unknown word");
	expect_error("kernel vm=a =1", "vm a: =1: unknown word");
	expect_error("kernel vm=a mem=2M mem=4M", "vm a: mem=4M: given twice");
	expect_error("kernel vm=a vm=b", "vm a: vm=b: given twice");
	expect_error("initrd vm=a mem=2M", "vm a: mem=2M: not a word for this part");
	expect_error("kernel vm=a console="
		     "0123456789012345678901234567890123456789012345678901234567890123",
		     "vm a: console="
		     "0123456789012345678901234567890123456789012345678901234567890123: too long");
	expect_error("kernel mem=2M", "module 1: vm: missing, each line names its VM");
	expect_error("kernel -- vm=a", "module 1: vm: missing, each line names its VM");
	expect_error("kernel vm=", "module 1: vm: missing, each line names its VM");
	expect_error("kernel vm=01234567890123456789012345678901",
		     "module 1: vm=01234567890123456789012345678901: "
		     "a name has at most 31 characters");
	expect_error("krenel vm=a", "vm a: krenel: not one of kernel, bios, initrd, disk, module");
	expect_error("/boot/x krenel vm=a",
		     "vm a: krenel: not one of kernel, bios, initrd, disk, module");
	expect_error("", "module 1: : not one of kernel, bios, initrd, disk, module");
	expect_error("bios vm=a proto=linux",
		     "vm a: proto=linux: a firmware image has no other protocol");
	expect_error("initrd vm=a -- quiet", "vm a: initrd: --: takes no command line");
	expect_error("module vm=a fwcfg=b -- c",
		     "vm a: module: --: a file in fw_cfg takes no text");
}

/* What is planned has its word already: it is refused, not ignored. */
static void test_not_yet(void **state)
{
	expect_error("disk vm=a", "vm a: disk: not supported yet, guests have no disk device");
}

static void test_whole(void **state)
{
	struct fixture *f = *state;
	static const char *const expect[] = {
		"vm nokernel: kernel: missing",
		"vm noaddr: load: missing, proto=flat needs an address",
		"vm addr: load: only proto=flat takes an address",
		"vm mode: mode: only proto=flat takes a mode, and proto=linux takes mode=real",
		"vm rom: bios: takes neither an initrd nor a command line",
	};

	add(f, "initrd vm=nokernel");
	add(f, "kernel vm=noaddr proto=flat");
	add(f, "kernel vm=addr load=1M");
	add(f, "kernel vm=mode mode=real");
	add(f, "bios vm=rom -- quiet");
	add(f, "kernel vm=flat proto=flat load=0x7c00 mode=real");
	add(f, "kernel vm=setup proto=linux mode=real");
	assert_int_equal(f->nr_errors, 0);
	config_finish(&f->config);
	assert_int_equal(f->nr_errors, 5);
	for (unsigned i = 0; i < 5; i++) {
		assert_string_equal(f->error[i], expect[i]);
		assert_true(f->config.vm[i].failed);
	}
	assert_false(f->config.vm[5].failed);
	assert_false(f->config.vm[6].failed);
	assert_int_equal(f->config.vm[5].load_addr, 0x7c00);
	assert_int_equal(f->config.vm[5].mode, BOOT_REAL);
}

static void test_duplicates(void **state)
{
	struct fixture *f = *state;

	add(f, "kernel vm=a");
	add(f, "kernel vm=a");
	add(f, "initrd vm=b");
	add(f, "initrd vm=b");
	add(f, "kernel vm=c");
	add(f, "bios vm=c");
	assert_int_equal(f->nr_errors, 3);
	assert_string_equal(f->error[0], "vm a: kernel: the VM has one already");
	assert_string_equal(f->error[1], "vm b: initrd: the VM has one already");
	assert_string_equal(f->error[2], "vm c: bios: the VM has one already");
}

static void test_too_many(void **state)
{
	struct fixture *f = *state;
	char line[32];

	for (int i = 0; i <= CONFIG_MAX_VMS; i++) {
		snprintf(line, sizeof(line), "kernel vm=n%d", i);
		add(f, line);
	}
	expect_errors(f, 1, "module 17: vm=n16: more than 16 VMs");
	for (int i = 0; i <= LOAD_MAX_MODULES; i++)
		add(f, "module vm=n3");
	assert_int_equal(f->nr_errors, 2);
	assert_string_equal(f->error[1], "vm n3: module: more than 8");
}

static void test_long_command_line(void **state)
{
	struct fixture *f = *state;
	char line[CONFIG_CMDLINE_LEN + 100] = "kernel vm=a -- ";
	size_t head = strlen(line);

	memset(line + head, 'x', CONFIG_CMDLINE_LEN - 1);
	add(f, line);
	assert_int_equal(f->nr_errors, 0);
	assert_int_equal(strlen(f->config.vm[0].cmdline), CONFIG_CMDLINE_LEN - 1);
	line[13] = '-'; /* keep "--", another VM */
	line[10] = 'b';
	line[head + CONFIG_CMDLINE_LEN - 1] = 'x';
	add(f, line);
	expect_errors(f, 1, "vm b: kernel: --: command line of 2048 characters, at most 2047");
}

static void test_empty_file(void **state)
{
	struct fixture *f = *state;

	config_add_module(&f->config, "kernel vm=a", HPA(0), 0);
	expect_errors(f, 1, "vm a: kernel: the file is empty");
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_all_words),      T(test_defaults),
		T(test_path_first),     T(test_order_free),
		T(test_one_bad_vm),     T(test_sizes),
		T(test_bad_values),     T(test_many_cpus),
		T(test_shared_console), T(test_not_yet),
		T(test_bad_words),      T(test_not_yet),
		T(test_whole),          T(test_duplicates),
		T(test_too_many),       T(test_long_command_line),
		T(test_empty_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
