/*
 * The system calls of src/agent/shim/linux.h by libc, so that a shim of the same sources runs under sanitizers, which look at
 * the memory of each call. fuzz.c has calls of its own in the place of those that would leave its process.
 */
#ifndef VF_SHIM_HOSTED_H
#define VF_SHIM_HOSTED_H
#include <unistd.h>

static inline long hosted(long result)
{
	return result < 0 ? -errno : result;
}

#define HOSTED(name, declared, call) \
	static inline long sys_##name declared { return hosted((long)(call)); }

HOSTED(chdir, (const char *path), chdir(path))
HOSTED(close, (int file), close(file))
HOSTED(dup3, (int file, int number, int flags), dup3(file, number, flags))
HOSTED(ftruncate, (int file, unsigned long size), ftruncate(file, (off_t)size))
HOSTED(getsockopt, (int file, int level, int name, void *value, unsigned int *size), getsockopt(file, level, name, value, size))
HOSTED(lseek, (int file, long offset, int whence), lseek(file, offset, whence))
HOSTED(memfd_create, (const char *name, unsigned int flags), memfd_create(name, flags))
HOSTED(openat, (int folder, const char *path, int flags), openat(folder, path, flags))
HOSTED(ppoll, (struct pollfd *files, int count, struct timespec *left), ppoll(files, (nfds_t)count, left, 0))
HOSTED(pread64, (int file, void *bytes, unsigned long count, unsigned long offset), pread(file, bytes, count, (off_t)offset))
HOSTED(prlimit64, (int pid, int resource, const struct rlimit *set, struct rlimit *old),
       prlimit(pid, (__rlimit_resource_t)resource, set, old))
HOSTED(read, (int file, void *bytes, unsigned long count), read(file, bytes, count))
HOSTED(readlinkat, (int folder, const char *path, char *target, unsigned long size), readlinkat(folder, path, target, size))
HOSTED(recvmsg, (int file, struct msghdr *message, int flags), recvmsg(file, message, flags))
HOSTED(sendmsg, (int file, const struct msghdr *message, int flags), sendmsg(file, message, flags))
HOSTED(socket, (int domain, int type, int protocol), socket(domain, type, protocol))
HOSTED(statx, (int folder, const char *path, int flags, unsigned int mask, struct statx *file),
       statx(folder, path, flags, mask, file))
HOSTED(write, (int file, const void *bytes, unsigned long count), write(file, bytes, count))

static inline long sys_rt_sigaction(int number, const struct signal_action *set, struct signal_action *old)
{
	struct sigaction before, after = { .sa_handler = set->handler };
	long result = hosted(sigaction(number, &after, &before));

	if (old != 0)
		*old = (struct signal_action){ .handler = before.sa_handler };
	return result;
}

#ifdef VF_SHIM_FUZZ
long sys_connect(int file, const struct sockaddr_un *address, unsigned int size);
long sys_execve(const char *path, char **argv, char **environment);
long sys_faccessat(int folder, const char *path, int mode);
void sys_exit_group(int code);
#else
HOSTED(faccessat, (int folder, const char *path, int mode), faccessat(folder, path, mode, 0))
HOSTED(connect, (int file, const struct sockaddr_un *address, unsigned int size),
       connect(file, (const struct sockaddr *)address, size))
HOSTED(execve, (const char *path, char **argv, char **environment), execve(path, argv, environment))

static inline void sys_exit_group(int code)
{
	_exit(code);
}

void start(long *stack);

int main(int argc, char **argv)
{
	(void)argc;
	/* The kernel's stack: argc stands in front of argv. */
	start((long *)argv - 1);
}
#endif

#endif
