/*
 * Functions of glibc that Debian's C++ library and libgcc call and musl does not have, under the name of libgcc. Debian has no C++ library for musl; on a node with musl the distribution's own takes its place. Declared by hand: the
 * headers of glibc would rename the functions of musl that are called here.
 */
typedef unsigned long size_t;
typedef long off_t;

extern unsigned long strtoul(const char *text, char **end, int base);
extern long double strtold(const char *text, char **end);
extern size_t strftime_l(char *to, size_t size, const char *format, const void *time, void *locale);
extern int fseeko(void *file, off_t offset, int whence);
extern off_t ftello(void *file);
extern unsigned long getauxval(unsigned long type);
extern long getrandom(void *to, size_t size, unsigned int flags);
extern void abort(void) __attribute__((noreturn));

/* Zero: there may be threads. */
char __libc_single_threaded;
/* No features: libgcc of x86-64 has these two under a version that musl does not look at. */
struct { unsigned int vendor, type, subtype, features; } __cpu_model;

int __cpu_indicator_init(void)
{
	return 0;
}

/* Destructors of a thread's own objects: Bun has none in that library. */
int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *library)
{
	(void)function, (void)object, (void)library;
	return 0;
}

/* Not found: libgcc then searches by dl_iterate_phdr, which musl has. */
int _dl_find_object(void *address, void *found)
{
	(void)address, (void)found;
	return -1;
}

unsigned long __getauxval(unsigned long type)
{
	return getauxval(type);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
	return strtoul(text, end, base);
}

size_t __strftime_l(char *to, size_t size, const char *format, const void *time, void *locale)
{
	return strftime_l(to, size, format, time, locale);
}

unsigned int arc4random(void)
{
	unsigned int value;

	if (getrandom(&value, sizeof(value), 0) != sizeof(value))
		abort();
	return value;
}

int fseeko64(void *file, off_t offset, int whence)
{
	return fseeko(file, offset, whence);
}

off_t ftello64(void *file)
{
	return ftello(file);
}

long double strtof128(const char *text, char **end)
{
	return strtold(text, end);
}

/* Text of a number of 128 bits: nobody asks for one. */
int strfromf128(char *to, size_t size, const char *format, long double value)
{
	(void)to, (void)size, (void)format, (void)value;
	abort();
}
