/* The error object of a program that can't be started, and small functions of all parts. */
#ifndef VF_SHIM_REPORT_H
#define VF_SHIM_REPORT_H

#include "linux.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The call of a runtime. */
struct call {
	/* As the kernel has laid them out, each ended by a null. */
	char **argv, **environment;
	/* The last part of argv[0]; CNI_COMMAND; CNI_NETNS, or 0. */
	const char *name, *command, *namespace;
	/* The path that was executed, as the caller has written it. */
	const char *path;
	/* Descriptor of "/"; of the memfd with all of standard input, or -1. */
	int root, input;
	/* Bytes of standard input. */
	unsigned long long length;
};

/* Errors of starting a program while it is being installed, or after a part of it was. */
static const struct reason {
	long number;
	const char *words;
} reasons[] = {
	{ ENOENT, "ENOENT (No such file or directory)" },
	{ EACCES, "EACCES (Permission denied)" },
	{ ENOEXEC, "ENOEXEC (Exec format error)" },
	{ ETXTBSY, "ETXTBSY (Text file busy)" },
	{ ENOMEM, "ENOMEM (Cannot allocate memory)" },
	{ ELOOP, "ELOOP (Too many levels of symbolic links)" },
	{ EIO, "EIO (Input/output error)" },
};

/* A text that is written at once; bytes that do not fit are cut off. */
static char text[4 * PATH_MAX];
static unsigned long length;

static void add_byte(char byte)
{
	if (length < sizeof(text))
		text[length++] = byte;
}

static void add(const char *part)
{
	while (*part != '\0')
		add_byte(*part++);
}

static void add_number(unsigned long long number)
{
	if (number > 9)
		add_number(number / 10);
	add_byte((char)('0' + number % 10));
}

/* A part of a JSON string; control characters and bytes beyond ASCII become '?'. */
static void add_quoted(const char *part)
{
	for (; *part != '\0'; part++) {
		if (*part == '"' || *part == '\\')
			add_byte('\\');
		add_byte(*part >= ' ' && *part <= '~' ? *part : '?');
	}
}

/* The words for a negative result of a system call. */
static void add_reason(long result)
{
	for (unsigned long i = 0; i < COUNT(reasons); i++)
		if (reasons[i].number == -result) {
			add(reasons[i].words);
			return;
		}
	add("errno ");
	add_number((unsigned long long)-result);
}

/* Begins an error object of the CNI specification 1.1.0, code 50: the plugin is not available. */
static void begin_error(const struct call *call)
{
	add("{\"cniVersion\":\"1.1.0\",\"code\":50,\"msg\":\"Cannot start ");
	add_quoted(call->name);
	add(": ");
}

/* Ends the error object and the process: exit code 1, as every CNI error. */
static void __attribute__((noreturn)) end_error(void)
{
	add("\"}\n");
	sys_write(1, text, length);
	for (;;)
		sys_exit_group(1);
}

static unsigned long size(const char *word)
{
	unsigned long count = 0;

	while (word[count] != '\0')
		count++;
	return count;
}

static int begins_with(const char *word, const char *beginning)
{
	while (*beginning != '\0')
		if (*word++ != *beginning++)
			return 0;
	return 1;
}

/* The part of a path after the last slash. */
static char *base_name(char *path)
{
	char *base = path;

	for (; *path != '\0'; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

/* Waits until `file` has an event or an error, at most so many milliseconds; -1: for ever. True if it has one. */
static int is_ready(int file, short events, long milliseconds)
{
	struct pollfd one = { file, events, 0 };
	struct timespec left = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	long result;

	do
		result = sys_ppoll(&one, 1, milliseconds < 0 ? 0 : &left);
	while (result == -EINTR);
	return result > 0;
}

#endif
