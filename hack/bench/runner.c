// SPDX-License-Identifier: Apache-2.0
/*
 * Starts programs as a runtime does, and measures each from its start to its end. It does little itself, so that a program of a
 * millisecond can be measured, and so that it fits beside that program into a small cgroup. hack/bench/runner.ts talks to it.
 *
 *   runner [MIB]     holds MIB mebibytes all the time
 *
 * Standard input: "COUNT\n", then COUNT programs, which start at once. Each is "STRINGS VARIABLES BYTES\n", then STRINGS + VARIABLES
 * strings (the arguments, then the environment) that a zero byte ends each, then BYTES of standard input, at most 64 KiB.
 * Standard output: "NANOSECONDS\n" for all of them, then for each "STATUS NANOSECONDS MICROSECONDS KIB OUT ERR\n" (status of wait(2),
 * time by the clock, time of the processor, peak resident set), then OUT and ERR bytes of its output.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct output {
	int fd;
	char *bytes;
	size_t length;
};

struct program {
	char **strings;
	char **environment;
	char *input;
	size_t input_length;
	pid_t pid;
	long long started, ended;
	int status;
	struct rusage usage;
	struct output out[2];
};

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void *room(size_t bytes)
{
	void *found = calloc(1, bytes + 1);

	if (!found)
		err(1, "calloc");
	return found;
}

static char *one_string(void)
{
	char *text = NULL;
	size_t size = 0;

	if (getdelim(&text, &size, 0, stdin) < 0)
		errx(1, "standard input ended in a string");
	return text;
}

static void read_program(struct program *program)
{
	size_t strings, variables, index;

	if (scanf("%zu %zu %zu", &strings, &variables, &program->input_length) != 3 || getchar() != '\n')
		errx(1, "standard input has no program");
	program->strings = room((strings + 1) * sizeof(char *));
	program->environment = room((variables + 1) * sizeof(char *));
	for (index = 0; index < strings; index++)
		program->strings[index] = one_string();
	for (index = 0; index < variables; index++)
		program->environment[index] = one_string();
	program->input = room(program->input_length);
	if (fread(program->input, 1, program->input_length, stdin) != program->input_length)
		errx(1, "standard input ended in an input");
}

static void start(struct program *program)
{
	posix_spawn_file_actions_t actions;
	int in[2], out[2], index, failed;

	posix_spawn_file_actions_init(&actions);
	program->started = now();
	if (pipe2(in, O_CLOEXEC) < 0)
		err(1, "pipe2");
	if (write(in[1], program->input, program->input_length) != (ssize_t)program->input_length)
		err(1, "write");
	close(in[1]);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	int ends[2];

	for (index = 0; index < 2; index++) {
		if (pipe2(out, O_CLOEXEC) < 0)
			err(1, "pipe2");
		posix_spawn_file_actions_adddup2(&actions, out[1], index + 1);
		program->out[index].fd = out[0];
		ends[index] = out[1];
	}
	failed = posix_spawn(&program->pid, program->strings[0], &actions, NULL, program->strings, program->environment);
	if (failed)
		errx(1, "%s: %s", program->strings[0], strerror(failed));
	close(in[0]);
	close(ends[0]);
	close(ends[1]);
	posix_spawn_file_actions_destroy(&actions);
}

/* Reads what is there. At the end of a program's output the program is waited for. */
static void take(struct program *program, struct output *output)
{
	char piece[65536];
	ssize_t count = read(output->fd, piece, sizeof(piece));

	if (count < 0)
		err(1, "read");
	if (count > 0) {
		output->bytes = realloc(output->bytes, output->length + count);
		if (!output->bytes)
			err(1, "realloc");
		memcpy(output->bytes + output->length, piece, count);
		output->length += count;
		return;
	}
	close(output->fd);
	output->fd = -1;
	if (program->out[0].fd >= 0 || program->out[1].fd >= 0)
		return;
	if (wait4(program->pid, &program->status, 0, &program->usage) < 0)
		err(1, "wait4");
	program->ended = now();
}

static void collect(struct program *programs, size_t count)
{
	struct pollfd *wanted = room(2 * count * sizeof(*wanted));
	size_t open, index;

	do {
		open = 0;
		for (index = 0; index < 2 * count; index++) {
			wanted[index].fd = programs[index / 2].out[index % 2].fd;
			wanted[index].events = POLLIN;
			open += wanted[index].fd >= 0;
		}
		if (open && poll(wanted, 2 * count, -1) < 0)
			err(1, "poll");
		for (index = 0; open && index < 2 * count; index++)
			if (wanted[index].fd >= 0 && wanted[index].revents)
				take(&programs[index / 2], &programs[index / 2].out[index % 2]);
	} while (open);
	free(wanted);
}

static long long microseconds(const struct timeval *time)
{
	return time->tv_sec * 1000000LL + time->tv_usec;
}

static void report(struct program *program)
{
	const struct rusage *usage = &program->usage;
	char **string;
	int index;

	printf("%d %lld %lld %ld %zu %zu\n", program->status, program->ended - program->started,
	       microseconds(&usage->ru_utime) + microseconds(&usage->ru_stime), usage->ru_maxrss,
	       program->out[0].length, program->out[1].length);
	for (index = 0; index < 2; index++) {
		fwrite(program->out[index].bytes, 1, program->out[index].length, stdout);
		free(program->out[index].bytes);
	}
	for (string = program->strings; *string; string++)
		free(*string);
	for (string = program->environment; *string; string++)
		free(*string);
	free(program->strings);
	free(program->environment);
	free(program->input);
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0, count, index;
	char *held = room(bytes);

	/* Memory that nobody has written to takes no room. */
	memset(held, 1, bytes);
	while (scanf("%zu", &count) == 1) {
		struct program *programs = room(count * sizeof(*programs));
		long long started;

		getchar();
		for (index = 0; index < count; index++)
			read_program(&programs[index]);
		started = now();
		for (index = 0; index < count; index++)
			start(&programs[index]);
		collect(programs, count);
		printf("%lld\n", now() - started);
		for (index = 0; index < count; index++)
			report(&programs[index]);
		fflush(stdout);
		free(programs);
	}
	return held[0] == 2;
}
