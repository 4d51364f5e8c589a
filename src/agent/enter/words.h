/* Words on the command line, and words for what is in the way. */
#include <stdarg.h>

/* Errors that a pod with too few privileges meets, and those of a program that is not installed. */
static const char *const reasons[] = {
	[EPERM] = "EPERM (Operation not permitted)",
	[ENOENT] = "ENOENT (No such file or directory)",
	[ENOEXEC] = "ENOEXEC (Exec format error)",
	[EACCES] = "EACCES (Permission denied)",
	[EINVAL] = "EINVAL (Invalid argument)",
	[EROFS] = "EROFS (Read-only file system)",
};

static void __attribute__((noreturn)) leave(int code)
{
	for (;;)
		sys_exit_group(code);
}

static unsigned long length(const char *word)
{
	unsigned long count = 0;

	while (word[count] != '\0')
		count++;
	return count;
}

static int begins(const char *word, const char *beginning)
{
	while (*beginning != '\0')
		if (*word++ != *beginning++)
			return 0;
	return 1;
}

static int is_same(const char *one, const char *other)
{
	return begins(one, other) && length(one) == length(other);
}

/* Writes words up to a null to standard error. */
static void print(const char *word, ...)
{
	va_list more;

	va_start(more, word);
	for (; word != 0; word = va_arg(more, const char *))
		sys_write(2, word, length(word));
	va_end(more);
}

/* The words for a negative result of a system call. */
static const char *words_for(long result)
{
	static char room[] = "errno 0000";
	unsigned long number = (unsigned long)-result;

	if (number < sizeof(reasons) / sizeof(reasons[0]) && reasons[number] != 0)
		return reasons[number];
	for (int at = 9; at > 5; at--, number /= 10)
		room[at] = (char)('0' + number % 10);
	return room;
}

/* Ends with 1: the container fails, and serves nobody. `cure` says what the pod or the node lacks. */
static void __attribute__((noreturn)) fail(const char *call, const char *what, const char *reason, const char *cure)
{
	print("vf-flower-enter: Cannot ", call, " ", what, ": ", reason, "; ", cure, "\n", 0);
	leave(1);
}
