/*
 * Random behaviour of an agent against the shim, in one process: the connection is a socket pair on which all messages of the
 * agent wait, and instead of ending or executing a program the shim comes back here. A model of protocol.h says what must
 * come of it; any difference, and each report of a sanitizer, ends this program.
 *
 *     fuzz SEED COUNT     so many cases; prints how often each end came
 *
 * With libFuzzer (-DVF_LIBFUZZER) the cases are its own.
 */
#define VF_SHIM_FUZZ
#include "shim.c"

#include <sanitizer/common_interface_defs.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum end { EXITED, STANDALONE, LOST };

/* A message of the agent, and the file that comes with it. */
struct packet {
	struct message message;
	size_t bytes, files;
	/* True for a memfd, with `size` bytes; other files are none that an answer may have. */
	int is_memfd;
	size_t size;
};

#define MOST 6
static struct packet packets[MOST];
static size_t packet_count;
static int is_agent_closed, connect_error, peer, saved[3];

/* Descriptors that are none of the case. */
#define MOST_FILES 64
static int is_foreign[MOST_FILES];

/* The result of the shim. */
static jmp_buf back;
static enum end ended;
static int exit_code;
static unsigned long counts[5];

static const uint8_t *bytes;
static size_t left;

static unsigned int next(unsigned int below)
{
	unsigned int value = 0;

	if (left > 0) {
		value = *bytes++;
		left--;
	}
	return value % below;
}

static void check(int is_good, const char *words)
{
	if (is_good)
		return;
	dprintf(saved[2], "fuzz: %s; the shim came to end %d, exit code %d\n", words, ended, exit_code);
	for (size_t i = 0; i < packet_count; i++)
		dprintf(saved[2], "  kind %u, magic %x, value %u, first %llu, second %llu, text %.40s, %zu bytes, %zu files, %s of %zu\n",
			packets[i].message.kind, packets[i].message.magic, packets[i].message.value, packets[i].message.first,
			packets[i].message.second, packets[i].message.text, packets[i].bytes, packets[i].files,
			packets[i].is_memfd ? "memfds" : "sockets", packets[i].size);
	abort();
}

/* Bytes that tell where they stand. */
static void fill(char *target, size_t count, unsigned int seed)
{
	for (size_t i = 0; i < count; i++)
		target[i] = (char)(seed + i * 7 + (i >> 8));
}

static int file_of(const struct packet *packet)
{
	static char content[70000];
	int file = packet->is_memfd ? memfd_create("answer", MFD_CLOEXEC) : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fill(content, packet->size, packet->message.value);
	if (packet->is_memfd)
		check(write(file, content, packet->size) == (ssize_t)packet->size, "write a memfd");
	return file;
}

static void queue(int socket, struct packet *packet)
{
	char content[512] = { 0 };
	struct { struct cmsghdr head; int files[4]; } control = { .head = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec part = { content, packet->bytes };
	struct msghdr whole = { .msg_iov = &part, .msg_iovlen = 1 };

	memcpy(content, &packet->message, sizeof(packet->message));
	for (size_t i = 0; i < packet->files; i++)
		control.files[i] = file_of(packet);
	if (packet->files > 0) {
		control.head.cmsg_len = CMSG_LEN(packet->files * sizeof(int));
		whole.msg_control = &control;
		whole.msg_controllen = CMSG_SPACE(packet->files * sizeof(int));
	}
	check(sendmsg(socket, &whole, MSG_NOSIGNAL) == (ssize_t)packet->bytes, "queue a message");
	for (size_t i = 0; i < packet->files; i++)
		close(control.files[i]);
}

long sys_connect(int file, const struct sockaddr_un *address, unsigned int size)
{
	int pair[2];

	check(strcmp(address->sun_path, VF_SOCKET) == 0 && size == sizeof(*address), "another address");
	if (connect_error != 0)
		return -connect_error;
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	for (size_t i = 0; i < packet_count; i++)
		queue(pair[1], &packets[i]);
	dup3(pair[0], file, O_CLOEXEC);
	close(pair[0]);
	peer = pair[1];
	/* After the last message comes the end. */
	shutdown(peer, SHUT_WR);
	if (is_agent_closed)
		close(peer);
	return 0;
}

long sys_faccessat(int folder, const char *path, int mode)
{
	(void)folder;
	check(strcmp(path, VF_SOCKET) == 0 && mode == F_OK, "another file is looked for");
	return 0;
}

void sys_exit_group(int code)
{
	ended = EXITED;
	exit_code = code;
	longjmp(back, 1);
}

long sys_execve(const char *path, char **argv, char **environment)
{
	/* That of any build comes only where this one is not there. */
	static const char own[] = "/vf-flower-" VF_FLOWER_BUILD;
	size_t size = strlen(path);

	check(size >= sizeof(own) && strcmp(path + size + 1 - sizeof(own), own) == 0, "another program");
	check(strcmp(argv[0], "/opt/cni/bin/sriov") == 0 && (argv[1] == 0 || argv[2] == 0), "other arguments");
	check(argv[1] == 0 || strcmp(argv[1], LOST_WORKER) == 0, "another argument");
	for (; *environment != 0; environment++)
		check(strncmp(*environment, "BUN_", 4) != 0, "a variable that changes the engine");
	ended = argv[1] == 0 ? STANDALONE : LOST;
	longjmp(back, 1);
}

/* A message as the protocol allows it. */
static int is_message(const struct packet *packet)
{
	return packet->bytes == sizeof(struct message) && packet->message.magic == MESSAGE_MAGIC &&
	       packet->files == (packet->message.kind == MESSAGE_ANSWER ? 1 : 0);
}

static int is_answer(const struct packet *packet, size_t at)
{
	return at < packet_count && is_message(packet) && packet->message.kind == MESSAGE_ANSWER && packet->is_memfd &&
	       packet->message.value <= 255 && packet->message.first <= packet->size &&
	       packet->message.second <= packet->size - packet->message.first;
}

/*
 * The end that the protocol wants; sets the message whose answer is the last, if there is one, and whether the first one's
 * output was taken.
 */
static enum end wanted(int takes_output, int *has_call, const struct packet **answer_of, int *is_written)
{
	size_t at = 0;

	*has_call = 0;
	if (connect_error != 0 || is_agent_closed)
		return STANDALONE;
	if (at < packet_count && is_message(&packets[at]) && packets[at].message.kind == MESSAGE_WAIT)
		at++;
	if (at >= packet_count || !is_message(&packets[at]) || packets[at].message.kind != MESSAGE_READY ||
	    strncmp(packets[at].message.text, VF_FLOWER_BUILD, TEXT_BYTES) != 0)
		return STANDALONE;
	at++;
	*has_call = 1;
	if (at < packet_count && is_message(&packets[at]) && packets[at].message.kind == MESSAGE_REFUSED)
		return STANDALONE;
	*answer_of = &packets[at];
	if (!is_answer(&packets[at], at))
		return LOST;
	*is_written = takes_output || packets[at].message.first == 0;
	if (*is_written)
		return EXITED;
	*answer_of = &packets[++at];
	return is_answer(&packets[at], at) ? EXITED : LOST;
}

/* A message that is mostly right for its place. */
static void choose_packet(struct packet *packet, size_t at)
{
	static const unsigned int usual[] = { MESSAGE_WAIT, MESSAGE_READY, MESSAGE_ANSWER, MESSAGE_ANSWER, MESSAGE_REFUSED };
	static const size_t sizes[] = { 0, 1, 5, 255, 4095, 4096, 4097, 20000, 65536 };
	unsigned long long lengths[] = { 0, 1, 5, 4096, 4097, 65536, 1ULL << 32, ~0ULL, 1ULL << 63, 0, 0, 0 };

	memset(packet, 0, sizeof(*packet));
	packet->message.magic = next(24) == 0 ? next(256) : MESSAGE_MAGIC;
	packet->message.kind = next(6) == 0 ? next(24) : usual[at % 5];
	packet->message.value = next(16) == 0 ? 256 * next(256) : next(256);
	packet->bytes = next(24) == 0 ? 2 * next(256) : sizeof(struct message);
	packet->files = next(12) == 0 ? next(4) : packet->message.kind == MESSAGE_ANSWER;
	packet->is_memfd = next(16) != 0;
	packet->size = sizes[next(9)];
	packet->message.first = next(packet->size < 256 ? (unsigned int)packet->size + 1 : 256);
	packet->message.second = packet->size - packet->message.first;
	if (next(8) == 0)
		packet->message.first = lengths[next(9)];
	if (next(8) == 0)
		packet->message.second = lengths[next(9)];
	if (packet->message.kind == MESSAGE_READY || next(8) == 0)
		memcpy(packet->message.text, VF_FLOWER_BUILD, sizeof(VF_FLOWER_BUILD));
	if (next(16) == 0)
		packet->message.text[next(TEXT_BYTES)] ^= (char)next(256);
	if (next(32) == 0)
		memset(packet->message.text, 'x', TEXT_BYTES);
}

/* The stack that the kernel makes, in one block of exactly its size; strings follow. */
static long *make_stack(void)
{
	static const char strings[] = "/opt/cni/bin/sriov\0CNI_COMMAND=ADD\0BUN_OPTIONS=x\0CNI_NETNS=/proc/self/ns/net\0ODD\0\0PATH=";
	static long *block;
	static char *copy;
	size_t at = 0;

	free(block);
	free(copy);
	block = malloc(32 * sizeof(*block));
	copy = malloc(sizeof(strings));
	memcpy(copy, strings, sizeof(strings));
	block[at++] = 1;
	for (char *one = copy; one < copy + sizeof(strings); one += strlen(one) + 1) {
		block[at++] = (long)one;
		if (at == 2)
			block[at++] = 0;
	}
	block[at++] = 0;
	block[at++] = AT_NULL;
	block[at++] = 0;
	return block;
}

/* Expects `count` bytes of the answer, beginning with `from`, in a file. */
static void check_output(int file, const struct packet *packet, size_t from, size_t count, const char *words)
{
	static char content[70000], got[70000];

	fill(content, packet->size, packet->message.value);
	check(pread(file, got, sizeof(got), 0) == (ssize_t)count && memcmp(got, content + from, count) == 0, words);
}

static void check_end(int out, int err, int takes_output, const char *input, size_t size)
{
	static char got[70000];
	const struct packet *packet = 0;
	struct sigaction pipe_signal;
	struct message sent;
	int has_call, is_written = 0, calls = 0;
	enum end end = wanted(takes_output, &has_call, &packet, &is_written);

	check(ended == end, "another end");
	while (connect_error == 0 && !is_agent_closed && recv(peer, &sent, sizeof(sent), 0) == sizeof(sent))
		calls += sent.kind == MESSAGE_CALL;
	check(calls == has_call, "a call where none may be, or none where one must be");
	if (end == EXITED) {
		check(exit_code == (int)packet->message.value, "another exit code");
		if (is_written && takes_output)
			check_output(out, packet, 0, packet->message.first, "another output");
		check_output(err, packet, packet->message.first, packet->message.second, "other errors");
		counts[is_written ? 0 : 1]++;
		return;
	}
	check(read(0, got, sizeof(got)) == (ssize_t)size && memcmp(got, input, size) == 0, "another input");
	sigaction(SIGPIPE, 0, &pipe_signal);
	check(pipe_signal.sa_handler == SIG_DFL, "SIGPIPE is ignored");
	for (int file = 3; file < MOST_FILES; file++)
		check(is_foreign[file] || fcntl(file, F_GETFD) != 0, "a descriptor that stays open");
	counts[end == LOST ? 2 : has_call ? 3 : 4]++;
}

static void run_case(const uint8_t *data, size_t size)
{
	static char input[3000];
	size_t input_size;
	int out, err, memfd, pair[2], kind, takes_output;

	for (int file = 3; file < MOST_FILES; file++)
		is_foreign[file] = fcntl(file, F_GETFD) >= 0;
	bytes = data;
	left = size;
	connect_error = next(32) == 0 ? EAGAIN : 0;
	is_agent_closed = next(32) == 0;
	kind = (int)next(6);
	input_size = 11 * next(256);
	packet_count = next(8) == 0 ? next(MOST + 1) : MOST;
	for (size_t i = 0; i < MOST; i++)
		choose_packet(&packets[i], i);
	if (next(4) == 0)
		packets[2].message.kind = MESSAGE_REFUSED, packets[2].files = 0;

	fill(input, input_size, 3);
	memfd = memfd_create("input", MFD_CLOEXEC);
	check(write(memfd, input, input_size) == (ssize_t)input_size && lseek(memfd, 0, SEEK_SET) == 0, "write the input");
	out = memfd_create("out", MFD_CLOEXEC);
	err = memfd_create("err", MFD_CLOEXEC);
	takes_output = kind > 1;
	dup2(memfd, 0);
	dup2(out, 1);
	dup2(err, 2);
	if (kind == 0) {
		close(1);
	} else if (kind == 1) {
		check(pipe2(pair, O_CLOEXEC) == 0, "pipe");
		dup2(pair[1], 1);
		close(pair[0]);
	}
	signal(SIGPIPE, SIG_DFL);
	if (setjmp(back) == 0)
		start(make_stack());
	check_end(out, err, takes_output, input, input_size);
	for (int file = 0; file < 3; file++)
		dup2(saved[file], file);
	for (int file = 3; file < MOST_FILES; file++)
		if (!is_foreign[file])
			close(file);
}

static void begin(void)
{
	for (int file = 0; file < 3; file++)
		saved[file] = fcntl(file, F_DUPFD_CLOEXEC, 100);
	__sanitizer_set_report_fd((void *)(long)saved[2]);
}

#ifdef VF_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (saved[0] == 0)
		begin();
	run_case(data, size);
	return 0;
}
#else
int main(int argc, char **argv)
{
	static uint8_t data[256];
	uint64_t state = argc > 1 ? strtoull(argv[1], 0, 10) * 2654435761u + 1 : 1;
	unsigned long count = argc > 2 ? strtoul(argv[2], 0, 10) : 1;

	begin();
	for (unsigned long i = 0; i < count; i++) {
		for (size_t at = 0; at < sizeof(data); at++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			data[at] = (uint8_t)(state >> 56);
		}
		run_case(data, sizeof(data));
	}
	printf("{\"answered\":%lu,\"unwritten\":%lu,\"lost\":%lu,\"refused\":%lu,\"standalone\":%lu}\n", counts[0], counts[1],
	       counts[2], counts[3], counts[4]);
	return 0;
}
#endif
