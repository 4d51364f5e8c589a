/* The call of a runtime, the error object for a program that can't be started, and small functions of all parts. */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct call {
	char **argv, **environment;
	/* The last part of argv[0]; CNI_COMMAND; CNI_NETNS, or 0; the path that was executed, as the caller has written it. */
	const char *name, *command, *namespace, *path;
	/* Descriptor of "/"; of the memfd with all of standard input, or -1; and the bytes of that input. */
	int root, input;
	unsigned long length;
};

/* Errors of starting a program while it is being installed, or after a part of it was. */
static const char *const reasons[] = {
	[ENOENT] = "ENOENT (No such file or directory)",
	[EACCES] = "EACCES (Permission denied)",
	[ENOEXEC] = "ENOEXEC (Exec format error)",
	[ETXTBSY] = "ETXTBSY (Text file busy)",
	[ENOMEM] = "ENOMEM (Cannot allocate memory)",
	[ELOOP] = "ELOOP (Too many levels of symbolic links)",
	[EIO] = "EIO (Input/output error)",
};

/* The rest of a word behind its beginning; 0 if it begins with something else. */
static const char *after(const char *word, const char *beginning)
{
	while (*beginning != '\0')
		if (*word++ != *beginning++)
			return 0;
	return word;
}

/* The place of `word` in a list; -1 if it is not there. */
static int place(const char *const *list, int count, const char *word)
{
	const char *rest = 0;

	while ((rest == 0 || *rest != '\0') && --count >= 0)
		rest = after(word, list[count]);
	return count;
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

	return sys_ppoll(&one, 1, milliseconds < 0 ? 0 : &left) > 0;
}

/* A part of a JSON string; bytes that do not fit are cut off. */
static char text[1 << 14];
static unsigned long length;

static void add(const char *part)
{
	for (; *part != '\0' && length < sizeof(text) - 1; part++) {
		if (*part == '"' || *part == '\\')
			text[length++] = '\\';
		text[length++] = *part >= ' ' && *part <= '~' ? *part : '?';
	}
}

/* A number as text, at the end of `room`, which has zero bytes. */
static char *decimal(unsigned long number, char room[24])
{
	char *digits = room + 23;

	do
		*--digits = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	return digits;
}

/* The words for a negative result of a system call. */
static const char *words(long result)
{
	static char room[30];
	unsigned long number = (unsigned long)-result;
	char *other = decimal(number, room + 6);

	for (int i = 5; i >= 0; i--)
		*--other = "errno "[i];
	return number < COUNT(reasons) && reasons[number] != 0 ? reasons[number] : other;
}

/* An error object of the CNI specification 1.1.0, code 50: the plugin is not available. Ends, as every CNI error, with 1. */
static void __attribute__((noreturn)) print_error(const struct call *call, const char *const *parts)
{
	static const char begin[] = "{\"cniVersion\":\"1.1.0\",\"code\":50,\"msg\":\"Cannot start ";

	add(call->name);
	add(": ");
	while (*parts != 0)
		add(*parts++);
	sys_write(1, begin, sizeof(begin) - 1);
	sys_write(1, text, length);
	sys_write(1, "\"}\n", 3);
	for (;;)
		sys_exit_group(1);
}
#define fail(call, ...) print_error(call, (const char *const[]){ __VA_ARGS__, 0 })
