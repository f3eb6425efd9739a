/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the multiboot1 loader to C, for the first CPU and for those started by SIPI. A 64-bit
 * payload is loaded as an ELF32 image, is entered in 32-bit protected mode and goes to long mode
 * by itself; its first 4 GiB are mapped one to one with 2 MiB pages. A 32-bit payload starts
 * without paging.
 */
#define MAGIC 0x1badb002
#ifdef __x86_64__
#define SEL_CODE_32 0x30
#else
#define SEL_CODE_32 0x08
#endif

	.section .note.GNU-stack, "", @progbits

	.section .multiboot, "a"
	.balign 4
	.long	MAGIC, 0, -MAGIC

	.section .start, "ax"
	.code32
	.globl	start
start:
	cli
	cld
	mov	%eax, boot_magic
	mov	%ebx, boot_info
	mov	$stacks + 16384, %esp
	lgdt	gdt_ptr
	ljmp	$SEL_CODE_32, $1f
1:	call	load_data_segments
#ifdef __x86_64__
	call	build_page_tables
	call	enter_long_mode
	ljmp	$0x08, $start_bsp64
#else
	xor	%ebp, %ebp
	call	runtime_main
	hlt
#endif

load_data_segments:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%eax, %fs
	mov	%eax, %gs
	ret

#ifdef __x86_64__
build_page_tables:
	mov	$boot_pdpt + 7, %eax
	mov	%eax, boot_pml4
	mov	$boot_pd + 7, %eax
	mov	$boot_pdpt, %edi
	mov	$4, %ecx
1:	mov	%eax, (%edi)
	add	$4096, %eax
	add	$8, %edi
	loop	1b
	mov	$0x87, %eax	/* present, writable, user, 2 MiB */
	mov	$boot_pd, %edi
	mov	$2048, %ecx
1:	mov	%eax, (%edi)
	add	$0x200000, %eax
	add	$8, %edi
	loop	1b
	ret

enter_long_mode:
	mov	$0x20, %eax	/* PAE */
	mov	%eax, %cr4
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	bts	$8, %eax	/* EFER.LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	ret

	.code64
start_bsp64:
	mov	$stacks + 16384, %rsp
	xor	%ebp, %ebp
	call	runtime_main
	hlt

start_ap64:
	xor	%ebp, %ebp
	call	ap_main
	hlt
	.code32
#endif

/* An AP in protected mode: its number (they are started one at a time), its stack, then C. */
start_ap32:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %ss
	mov	ap_index, %edi
	lea	1(%edi), %esp
	shl	$14, %esp	/* STACK_SIZE */
	add	$stacks, %esp
	call	load_data_segments
#ifdef __x86_64__
	call	enter_long_mode
	ljmp	$0x08, $start_ap64
#else
	xor	%ebp, %ebp
	sub	$12, %esp
	push	%edi
	call	ap_main
	hlt
#endif

/* Copied to SIPI_PAGE; knows only its own offset from CS. */
	.code16
	.globl	sipi_code, sipi_code_end
sipi_code:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	sipi_gdt_ptr - sipi_code
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$SEL_CODE_32, $start_ap32
	.balign 4
sipi_gdt_ptr:
	.word	0x7f
	.long	gdt
sipi_code_end:
	.code32

	.data
	.balign 4
gdt_ptr:
	.word	0x7f
	.long	gdt

	.bss
	.balign 4096
#ifdef __x86_64__
	.globl	boot_pml4
boot_pml4:	.skip	4096
boot_pdpt:	.skip	4096
boot_pd:	.skip	4 * 4096
#endif
	.balign 4096
	.globl	stacks
stacks:		.skip	64 * 16384
	.globl	boot_magic, boot_info
boot_magic:	.skip	4
boot_info:	.skip	4
