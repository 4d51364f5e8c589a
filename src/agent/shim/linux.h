/*
 * System calls of Linux and the entry point, without code of a C library: the start of glibc alone, which asks the processor
 * for its features and caches, takes more time than this program. sys_NAME is the system call NAME: its result, or -errno.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

/* struct sigaction of the kernel, which is not that of a C library. */
struct signal_action { void (*handler)(int); unsigned long flags, restorer, mask; };

/* The same calls by libc, for sanitizers, are in test/support/shim/hosted.h. */
#ifdef VF_SHIM_HOSTED
#include "hosted.h"
#else
#if defined(__x86_64__)
static inline long system_call(long number, long a, long b, long c, long d, long e)
{
	register long fourth __asm__("r10") = d, fifth __asm__("r8") = e;

	__asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth) : "rcx", "r11", "memory");
	return number;
}
/* The kernel leaves argc, argv and the environment on the stack (psABI for x86-64, "Process Initialization"). */
__asm__(".globl _start\n_start: xor %ebp, %ebp; mov %rsp, %rdi; and $-16, %rsp; call start; hlt\n");
#elif defined(__aarch64__)
static inline long system_call(long number, long a, long b, long c, long d, long e)
{
	register long call __asm__("x8") = number, first __asm__("x0") = a, second __asm__("x1") = b;
	register long third __asm__("x2") = c, fourth __asm__("x3") = d, fifth __asm__("x4") = e;

	__asm__ volatile("svc #0" : "+r"(first) : "r"(call), "r"(second), "r"(third), "r"(fourth), "r"(fifth) : "memory");
	return first;
}
/* The same for arm64: Linux leaves the same stack on all processors. */
__asm__(".globl _start\n_start: mov x29, #0; mov x30, #0; mov x0, sp; bl start\n");
#endif

#define CALL(name, declared, a, b, c, d, e) \
	static inline long sys_##name declared \
	{ return system_call(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e)); }

CALL(chdir, (const char *path), path, 0, 0, 0, 0)
CALL(close, (int file), file, 0, 0, 0, 0)
CALL(connect, (int file, const struct sockaddr_un *address, unsigned int size), file, address, size, 0, 0)
CALL(dup3, (int file, int number, int flags), file, number, flags, 0, 0)
CALL(execve, (const char *path, char **argv, char **environment), path, argv, environment, 0, 0)
CALL(exit_group, (int code), code, 0, 0, 0, 0)
CALL(faccessat, (int folder, const char *path, int mode), folder, path, mode, 0, 0)
CALL(ftruncate, (int file, unsigned long size), file, size, 0, 0, 0)
CALL(getsockopt, (int file, int level, int name, void *value, unsigned int *size), file, level, name, value, size)
CALL(lseek, (int file, long offset, int whence), file, offset, whence, 0, 0)
CALL(memfd_create, (const char *name, unsigned int flags), name, flags, 0, 0, 0)
CALL(openat, (int folder, const char *path, int flags), folder, path, flags, 0, 0)
CALL(ppoll, (struct pollfd *files, int count, struct timespec *left), files, count, left, 0, 0)
CALL(pread64, (int file, void *bytes, unsigned long count, unsigned long offset), file, bytes, count, offset, 0)
CALL(prlimit64, (int pid, int resource, const struct rlimit *set, struct rlimit *old), pid, resource, set, old, 0)
CALL(read, (int file, void *bytes, unsigned long count), file, bytes, count, 0, 0)
CALL(readlinkat, (int folder, const char *path, char *target, unsigned long size), folder, path, target, size, 0)
CALL(recvmsg, (int file, struct msghdr *message, int flags), file, message, flags, 0, 0)
CALL(rt_sigaction, (int number, const struct signal_action *set, struct signal_action *old), number, set, old, 8, 0)
CALL(sendmsg, (int file, const struct msghdr *message, int flags), file, message, flags, 0, 0)
CALL(socket, (int domain, int type, int protocol), domain, type, protocol, 0, 0)
CALL(statx, (int folder, const char *path, int flags, unsigned int mask, struct statx *file), folder, path, flags, mask, file)
CALL(write, (int file, const void *bytes, unsigned long count), file, bytes, count, 0, 0)
#endif
