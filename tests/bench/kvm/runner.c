/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other side of the benchmark: as little as it takes to run its guest on Linux' KVM, so that
 * what is measured is KVM and no virtual machine monitor.
 *
 *	runner [-c VCPUS] [-m MIB] IMAGE [WORD...]
 *
 * IMAGE is a multiboot1 ELF32 file, the words are its command line. It finds a UART that is polled,
 *the number of CPUs in fw_cfg, KVM's own APICs, PIC and PIT, the exit port 0xf4, and a port for
 *what a host does to its guests' memory: tests/bench/kvm/host.h. Memory is there in 4K pages before
 *the guest starts. Exit status: that of the guest, or 125 with a reason.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/bench/kvm/host.h"

#define MIB          (1ul << 20)
#define LOW          (16 * MIB) /* the first slot: the guest's program */
#define MBI          0x9000ul   /* where the loader's information lies */
#define CMDLINE      0x9100ul
#define MAX_VCPUS    16
#define UART         0x3f8
#define UART_LSR     0x3fd
#define LSR_EMPTY    0x60
#define FWCFG_SELECT 0x510
#define FWCFG_DATA   0x511
#define FWCFG_CPUS   5
#define DEBUG_EXIT   0xf4
#define FAILED       125

struct vcpu {
	unsigned index;
	int fd;
	struct kvm_run *run;
};

static int kvm, vm;
static uint8_t *memory;
static uint64_t memory_size;
static unsigned nr_vcpus = 1;
static size_t run_size;
static struct vcpu vcpus[MAX_VCPUS];
static uint8_t *dirty_bitmap;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
	_exit(FAILED);
}

static int control(int fd, unsigned long request, const char *what, void *arg)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		die(what);
	return r;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Slot 0 is the program, 1 the rest. */
static void set_slot(unsigned slot, uint64_t size, unsigned flags)
{
	uint64_t start = slot ? LOW : 0;
	struct kvm_userspace_memory_region region = {.slot = slot,
						     .flags = flags,
						     .guest_phys_addr = start,
						     .memory_size = size,
						     .userspace_addr = (uintptr_t)memory + start};

	control(vm, KVM_SET_USER_MEMORY_REGION, "memory slot", &region);
}

static void make_memory(void)
{
	memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, memory_size, MADV_NOHUGEPAGE))
		die("memory");
	for (uint64_t at = 0; at < memory_size; at += 4096)
		*(volatile uint8_t *)(memory + at) = 0;
	dirty_bitmap = calloc(1, (memory_size - LOW) / 4096 / 8);
	if (!dirty_bitmap)
		die("bitmap");
	set_slot(0, LOW, 0);
	set_slot(1, memory_size - LOW, 0);
}

/* What the guest asks of its host; it waits meanwhile. */
static void do_host_command(uint32_t command)
{
	struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = dirty_bitmap};

	switch (command) {
	case HOST_NULL:
		return;
	case HOST_ZAP:
		set_slot(1, 0, 0);
		set_slot(1, memory_size - LOW, 0);
		return;
	case HOST_DIRTY_START:
		set_slot(1, memory_size - LOW, KVM_MEM_LOG_DIRTY_PAGES);
		return;
	case HOST_DIRTY_COLLECT:
		control(vm, KVM_GET_DIRTY_LOG, "dirty log", &log);
		return;
	case HOST_DIRTY_STOP:
		set_slot(1, memory_size - LOW, 0);
		return;
	default:
		errno = EINVAL;
		die("host command");
	}
}

/* --- the program ------------------------------------------------------------------------------ */

static void read_at(int file, void *to, size_t len, off_t at)
{
	if (pread(file, to, len, at) != (ssize_t)len)
		die("image");
}

/* Load the segments; the entry point. */
static uint32_t load(const char *path)
{
	int file = open(path, O_RDONLY);
	Elf32_Ehdr head;

	if (file < 0)
		die(path);
	read_at(file, &head, sizeof(head), 0);
	for (unsigned i = 0; i < head.e_phnum; i++) {
		Elf32_Phdr part;

		read_at(file, &part, sizeof(part), (off_t)(head.e_phoff + i * sizeof(part)));
		if (part.p_type != PT_LOAD)
			continue;
		if (part.p_paddr >= LOW || part.p_memsz > LOW - part.p_paddr ||
		    part.p_filesz > part.p_memsz) {
			errno = ENOEXEC;
			die(path);
		}
		read_at(file, memory + part.p_paddr, part.p_filesz, (off_t)part.p_offset);
	}
	close(file);
	return head.e_entry;
}

/* The loader's information: flags, memory below and above 1 MiB in KiB, the command line. */
static void tell(int argc, char **argv)
{
	uint32_t info[] = {1 | 1 << 2, 640, (uint32_t)(memory_size / 1024 - 1024), 0, CMDLINE};
	char *line = (char *)memory + CMDLINE;
	size_t used = (size_t)sprintf(line, "bench host");

	memcpy(memory + MBI, info, sizeof(info));
	for (int i = 0; i < argc && used + strlen(argv[i]) + 2 < 4096; i++)
		used += (size_t)sprintf(line + used, " %s", argv[i]);
}

/* --- virtual CPUs ----------------------------------------------------------------------------- */

/* Everything that KVM can do; the APIC's number differs. */
static void set_cpuid(const struct vcpu *v)
{
	unsigned max = 256;
	struct kvm_cpuid2 *leaves = calloc(1, sizeof(*leaves) + max * sizeof(leaves->entries[0]));

	if (!leaves)
		die("CPUID");
	leaves->nent = max;
	control(kvm, KVM_GET_SUPPORTED_CPUID, "CPUID", leaves);
	for (unsigned i = 0; i < leaves->nent; i++) {
		struct kvm_cpuid_entry2 *e = &leaves->entries[i];

		if (e->function == 1)
			e->ebx = (e->ebx & 0xffff) | v->index << 24;
		else if (e->function == 0xb)
			e->edx = v->index;
	}
	control(v->fd, KVM_SET_CPUID2, "CPUID", leaves);
	free(leaves);
}

static struct kvm_segment flat(unsigned selector, unsigned type)
{
	return (struct kvm_segment){.limit = ~0u,
				    .selector = (uint16_t)selector,
				    .type = (uint8_t)type,
				    .present = 1,
				    .db = 1,
				    .s = 1,
				    .g = 1};
}

/* The state that multiboot asks for: protected mode, flat segments. */
static void set_start(const struct vcpu *v, uint32_t entry)
{
	struct kvm_regs regs = {.rip = entry, .rax = 0x2badb002, .rbx = MBI, .rflags = 2};
	struct kvm_sregs sregs;

	control(v->fd, KVM_GET_SREGS, "registers", &sregs);
	sregs.cs = flat(8, 11);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat(16, 3);
	sregs.cr0 |= 1;
	control(v->fd, KVM_SET_SREGS, "registers", &sregs);
	control(v->fd, KVM_SET_REGS, "registers", &regs);
}

static void make_vcpu(unsigned index)
{
	struct vcpu *v = &vcpus[index];

	v->index = index;
	v->fd = control(vm, KVM_CREATE_VCPU, "vCPU", (void *)(uintptr_t)index);
	v->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED)
		die("vCPU");
	set_cpuid(v);
}

/* --- exits ------------------------------------------------------------------------------------ */

static _Noreturn void finish(unsigned status)
{
	fflush(stdout);
	_exit((int)status);
}

static uint32_t read_port(uint16_t port, uint16_t key)
{
	if (port == UART_LSR)
		return LSR_EMPTY;
	return port == FWCFG_DATA ? (key == FWCFG_CPUS ? nr_vcpus : 0) : ~0u;
}

static void on_port(const struct kvm_run *run)
{
	static uint16_t key;
	static unsigned at; /* the bytes of an item come one after the other */
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t value = 0;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		value = read_port(run->io.port, key);
		if (run->io.port == FWCFG_DATA)
			value = key ? value >> 8 * at++ : (uint32_t) "QEMU"[at++ % 4];
		memcpy(data, &value, run->io.size);
		return;
	}
	memcpy(&value, data, run->io.size);
	if (run->io.port == UART)
		putchar((int)value);
	else if (run->io.port == FWCFG_SELECT)
		key = (uint16_t)value, at = 0;
	else if (run->io.port == HOST_PORT)
		do_host_command(value);
	else if (run->io.port == DEBUG_EXIT)
		finish(value & 0xff);
}

/* Where there is memory it has been taken away for a moment (HOST_ZAP); else nothing is there. */
static void on_mmio(const struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run->mmio.data;
	uint64_t pa = run->mmio.phys_addr;
	bool is_memory = pa < memory_size && run->mmio.len <= memory_size - pa;

	if (run->mmio.is_write && is_memory)
		memcpy(memory + pa, data, run->mmio.len);
	else if (is_memory)
		memcpy(data, memory + pa, run->mmio.len);
	else if (!run->mmio.is_write)
		memset(data, 0xff, run->mmio.len);
}

static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;

	for (;;) {
		if (ioctl(v->fd, KVM_RUN, NULL) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				die("run");
			continue; /* it was waiting for its SIPI */
		}
		switch (v->run->exit_reason) {
		case KVM_EXIT_IO:
			on_port(v->run);
			break;
		case KVM_EXIT_MMIO:
			on_mmio(v->run);
			break;
		default:
			fprintf(stderr, "runner: vCPU %u: exit reason %u, %llx\n", v->index,
				v->run->exit_reason, v->run->hw.hardware_exit_reason);
			finish(FAILED);
		}
	}
	return NULL;
}

/* --------------------------------------------------------------------------------------------- */

static void make_vm(void)
{
	struct kvm_pit_config pit = {0};
	uint64_t identity_map = 0xfffbc000;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		die("/dev/kvm");
	run_size = (size_t)control(kvm, KVM_GET_VCPU_MMAP_SIZE, "KVM", NULL);
	vm = control(kvm, KVM_CREATE_VM, "VM", NULL);
	control(vm, KVM_SET_IDENTITY_MAP_ADDR, "VM", &identity_map);
	control(vm, KVM_SET_TSS_ADDR, "VM", (void *)0xfffbd000ul);
	control(vm, KVM_CREATE_IRQCHIP, "interrupt controllers", NULL);
	control(vm, KVM_CREATE_PIT2, "PIT", &pit);
}

int main(int argc, char **argv)
{
	unsigned long mib = 256;
	pthread_t thread;
	int option;

	while ((option = getopt(argc, argv, "+c:m:")) != -1) {
		if (option == 'c')
			nr_vcpus = (unsigned)strtoul(optarg, NULL, 0);
		else if (option == 'm')
			mib = strtoul(optarg, NULL, 0);
		else
			return FAILED;
	}
	if (optind == argc || !nr_vcpus || nr_vcpus > MAX_VCPUS || mib < 32 || mib > 3072) {
		fprintf(stderr, "usage: runner [-c 1..16] [-m 32..3072 (MiB)] IMAGE [WORD...]\n");
		return FAILED;
	}
	memory_size = mib * MIB;
	make_vm();
	make_memory();
	for (unsigned i = 0; i < nr_vcpus; i++)
		make_vcpu(i);
	set_start(&vcpus[0], load(argv[optind]));
	tell(argc - optind - 1, argv + optind + 1);
	for (unsigned i = 1; i < nr_vcpus; i++)
		if (pthread_create(&thread, NULL, run_vcpu, &vcpus[i]))
			die("thread");
	run_vcpu(&vcpus[0]);
	return 0;
}
