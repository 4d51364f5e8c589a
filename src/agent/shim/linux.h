/*
 * System calls of Linux and the entry point, for a program without a C library. The start of glibc alone, which asks the
 * processor for its features and caches, takes five times as long as all the work of this program. Numbers and structs are
 * those of the kernel's headers. A call returns its result, or -errno.
 */
#ifndef VF_SHIM_LINUX_H
#define VF_SHIM_LINUX_H

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/resource.h>
#include <linux/stat.h>

#if defined(__x86_64__)
static long system_call(long number, long a, long b, long c, long d, long e)
{
	register long fourth __asm__("r10") = d;
	register long fifth __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
			 : "rcx", "r11", "memory");
	return result;
}

/* The kernel leaves argc, argv and the environment on the stack (psABI for x86-64, "Process Initialization"). */
__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call start\n"
	"	hlt\n");
#elif defined(__aarch64__)
static long system_call(long number, long a, long b, long c, long d, long e)
{
	register long call __asm__("x8") = number;
	register long first __asm__("x0") = a;
	register long second __asm__("x1") = b;
	register long third __asm__("x2") = c;
	register long fourth __asm__("x3") = d;
	register long fifth __asm__("x4") = e;

	__asm__ volatile("svc #0"
			 : "+r"(first)
			 : "r"(call), "r"(second), "r"(third), "r"(fourth), "r"(fifth)
			 : "memory");
	return first;
}

/* The same for arm64: Linux leaves the same stack on all processors. */
__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl start\n");
#else
#error "vf-flower runs on x86-64 and arm64"
#endif

static long sys_write(int descriptor, const void *bytes, unsigned long count)
{
	return system_call(__NR_write, descriptor, (long)bytes, (long)count, 0, 0);
}

static long sys_chdir(const char *path)
{
	return system_call(__NR_chdir, (long)path, 0, 0, 0, 0);
}

static long sys_readlink(const char *path, char *target, unsigned long size)
{
	return system_call(__NR_readlinkat, AT_FDCWD, (long)path, (long)target, (long)size, 0);
}

/* Follows symbolic links. Asks for nothing but the inode and its device. */
static long sys_stat(const char *path, struct statx *result)
{
	return system_call(__NR_statx, AT_FDCWD, (long)path, 0, STATX_INO, (long)result);
}

/* Limits of this process; `set` or `old` may be 0. */
static long sys_limit(int resource, const struct rlimit64 *set, struct rlimit64 *old)
{
	return system_call(__NR_prlimit64, 0, resource, (long)set, (long)old, 0);
}

static long sys_execve(const char *path, char **arguments, char **environment)
{
	return system_call(__NR_execve, (long)path, (long)arguments, (long)environment, 0, 0);
}

static void __attribute__((noreturn)) sys_exit(int code)
{
	for (;;)
		system_call(__NR_exit_group, code, 0, 0, 0, 0);
}

#endif
