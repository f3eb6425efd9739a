/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translations and two CPUs: a page that moves is seen to have moved after the shootdown, under
 * constant traffic; code changed by one CPU runs changed on the other.
 */
#include <string.h>

#include "apic.h"
#include "clock.h"
#include "ktap.h"
#include "paging.h"
#include "trap.h"

#define VEC     0x42
#define VA      TEST_VA
#define WAIT_MS 5000
#define RIGHTS  (PTE_P | PTE_W | PTE_U)

static volatile unsigned acks;

static bool on_shootdown(struct regs *regs)
{
	invlpg((void *)VA);
	acks++;
	apic_eoi();
	return true;
}

static void shoot(void)
{
	unsigned want = acks + 1;

	invlpg((void *)VA);
	apic_send_ipi(cpus[1].apic_id, VEC);
	CHECK(wait_until(acks == want, WAIT_MS));
}

struct reader {
	volatile bool stop;
	volatile uint64_t current; /* what the page must hold, ~0 while it moves */
	volatile uint64_t wrong, reads;
};

static struct reader reader;

static void read_all_the_time(void *arg)
{
	apic_enable();
	sti();
	while (!reader.stop) {
		uint64_t before = reader.current, value = *(volatile uint64_t *)VA;

		if (before != ~0ull && before == reader.current && value != before)
			reader.wrong++;
		reader.reads++;
	}
	cli();
}

TEST(remap_with_shootdown)
{
	uint64_t *page[2] = {page_alloc(), page_alloc()};

	NEED_CPUS(2);
	apic_enable();
	trap_set(VEC, on_shootdown);
	*page[0] = 100;
	*page[1] = 101;
	map_page(VA, 1, (pte_t)(unsigned long)page[0] | RIGHTS);
	memset(&reader, 0, sizeof(reader));
	reader.current = 100;
	smp_run(1, read_all_the_time, NULL);
	for (unsigned i = 1; i <= 300; i++) {
		reader.current = ~0ull;
		*pte_get(VA, 1) = (pte_t)(unsigned long)page[i & 1] | RIGHTS;
		shoot();
		CHECK_EQ(*(volatile uint64_t *)VA, 100 + (i & 1));
		reader.current = 100 + (i & 1);
		delay_us(20);
	}
	reader.stop = true;
	CHECK(smp_wait(1, WAIT_MS));
	printf("# %llu reads\n", (unsigned long long)reader.reads);
	CHECK_EQ(reader.wrong, 0);
	CHECK(reader.reads > 0);
}

static volatile unsigned faults_seen;

static void write_until_fault(void *arg)
{
	unsigned long cr0 = read_cr0();

	apic_enable();
	write_cr0(cr0 | CR0_WP);
	sti();
	(void)TRY(while (!reader.stop)(*(volatile uint64_t *)VA)++);
	faults_seen += fault()->vector == PF_VECTOR && fault()->error == (PF_P | PF_W) &&
		       fault()->cr2 == VA;
	while (!reader.stop)
		pause();
	cli();
	write_cr0(cr0);
}

/* Write access is taken away: after the shootdown the other CPU writes no more. */
TEST(write_protect_with_shootdown)
{
	volatile uint64_t *page = page_alloc();

	NEED_CPUS(2);
	apic_enable();
	trap_set(VEC, on_shootdown);
	reader.stop = false;
	faults_seen = 0;
	map_page(VA, 1, (pte_t)(unsigned long)page | RIGHTS);
	smp_run(1, write_until_fault, NULL);
	CHECK(wait_until(*page > 100, WAIT_MS));
	*pte_get(VA, 1) &= ~PTE_W;
	shoot();
	for (unsigned i = 0; i < 10; i++) {
		uint64_t value = *page;

		delay_us(100);
		CHECK_EQ(*page, value);
	}
	reader.stop = true;
	CHECK(smp_wait(1, WAIT_MS));
	CHECK_EQ(faults_seen, 1);
}

/* Both CPUs write through the same mapping while its dirty bit is cleared: no bit is lost. */
static void write_pages(void *arg)
{
	sti();
	while (!reader.stop)
		for (unsigned i = 0; i < 16; i++)
			++*(volatile uint64_t *)(VA + SIZE_2M + i * PAGE_SIZE);
	cli();
}

TEST(dirty_bits_of_two_writers)
{
	pte_t *entry;
	unsigned missing = 0;

	NEED_CPUS(2);
	apic_enable();
	trap_set(VEC, on_shootdown);
	for (unsigned i = 0; i < 16; i++)
		map_page(VA + SIZE_2M + i * PAGE_SIZE, 1,
			 (pte_t)(unsigned long)page_alloc() | RIGHTS);
	entry = pte_get(VA + SIZE_2M, 1);
	reader.stop = false;
	smp_run(1, write_pages, NULL);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 16; i++) {
			volatile uint64_t *word = (uint64_t *)(VA + SIZE_2M + i * PAGE_SIZE);

			__atomic_and_fetch(&entry[i], ~(PTE_D | PTE_A), __ATOMIC_SEQ_CST);
			invlpg((void *)word);
			word[1] = round;
			missing += !(__atomic_load_n(&entry[i], __ATOMIC_SEQ_CST) & PTE_D);
		}
	}
	reader.stop = true;
	CHECK(smp_wait(1, WAIT_MS));
	CHECK_EQ(missing, 0);
}

/* --- code ------------------------------------------------------------------------------------- */

static volatile uint32_t wanted, returned;

/* mov $N, %eax; ret: the other CPU changes N and says so. */
static void run_code(void *code)
{
	uint32_t last = 0;

	while (last != 200) {
		uint32_t want = __atomic_load_n(&wanted, __ATOMIC_ACQUIRE);

		if (want == last) {
			pause();
			continue;
		}
		cpuid(0); /* serializing, as cross-modifying code must be (SDM volume 3, 8.1.3) */
		returned = ((uint32_t(*)(void))code)();
		last = want;
	}
}

TEST(cross_modifying_code)
{
	uint8_t *code = page_alloc();

	NEED_CPUS(2);
	memcpy(code, "\xb8\0\0\0\0\xc3", 6);
	wanted = 0;
	smp_run(1, run_code, code);
	for (uint32_t i = 1; i <= 200; i++) {
		returned = 0;
		*(volatile uint32_t *)(code + 1) = i;
		__atomic_store_n(&wanted, i, __ATOMIC_RELEASE);
		if (!CHECK(wait_until(returned == i, WAIT_MS)))
			break;
	}
	wanted = 200;
	CHECK(smp_wait(1, WAIT_MS));
}

TEST(self_modifying_code)
{
	uint8_t *code = page_alloc();

	memcpy(code, "\xb8\0\0\0\0\xc3", 6);
	for (uint32_t i = 1; i <= 200; i++) {
		*(volatile uint32_t *)(code + 1) = i;
		barrier();
		CHECK_EQ(((uint32_t(*)(void))code)(), i);
	}
}

TEST(self_modifying_code_through_an_alias)
{
	uint8_t *code = page_alloc();

	memcpy(code, "\xb8\0\0\0\0\xc3", 6);
	map_page(VA, 1, (pte_t)(unsigned long)code | RIGHTS);
	for (uint32_t i = 1; i <= 200; i++) {
		*(volatile uint32_t *)(VA + 1) = i;
		cpuid(0); /* different linear addresses: serialize */
		CHECK_EQ(((uint32_t(*)(void))code)(), i);
	}
}

/* First touches of the same pages by both CPUs at once: they must agree on the frames. */
static unsigned long touch_start, touch_end;

static void touch_up(void *arg)
{
	for (unsigned long pa = touch_start; pa < touch_end; pa += PAGE_SIZE)
		__atomic_add_fetch((uint64_t *)pa, 1, __ATOMIC_SEQ_CST);
}

TEST(both_touch_fresh_memory)
{
	unsigned long end, wrong = 0;

	NEED_CPUS(2);
	pages_rest(&touch_start, &end);
	touch_start = ((touch_start + end) / 2 & ~(SIZE_2M - 1));
	touch_end = touch_start + 16 * SIZE_2M;
	REQUIRE(touch_end <= end);
	smp_run(1, touch_up, NULL);
	touch_up(NULL);
	CHECK(smp_wait(1, WAIT_MS));
	for (unsigned long pa = touch_start; pa < touch_end; pa += PAGE_SIZE)
		wrong += *(uint64_t *)pa != 2;
	CHECK_EQ(wrong, 0);
}
