/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unbind-loop INTERFACE QUEUE ADDRESS PORT COUNT: binds a dma-buf to a receive queue and unbinds it under traffic, COUNT
 * times, and measures how long the memory stays out after each unbind. A child in the network namespace "peer" connects
 * each time and sends until it is refused. The parent reads and gives the memory back, or reads and keeps it, or reads
 * nothing; closes the connection; and closes the binding at once. A flow rule must lead the port to the queue, and
 * headers must be split.
 *
 * After 5 s, each processor receives a packet, as validate does: a processor that is idle keeps what others have left it
 * to free. Prints a line for each time beyond a second, and a table after each 1000 rounds and at the end.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* include/uapi/linux/netdev.h */
#define PAGE_POOL_GET 5
#define BIND_RX 13
#define POOL_INFLIGHT 4
#define POOL_DMABUF 7
#define DMABUF_ID 4
/* include/uapi/asm-generic/socket.h */
#define SCM_DMABUF 79
#define SO_DONTNEED 80
#define SOCK_DEVMEM 0x2000000

#define MEMORY (16 << 20)
#define WANTED_BYTES 100000
#define MAX_TOKENS 128
/* A run takes an hour, and may be ended before. */
#define PROGRESS 1000

struct token {
	uint32_t start, count;
};

/* What page pools hold of a binding. */
struct holding {
	unsigned int pools, pages;
};

static int family;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int make_udmabuf(void)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = MEMORY };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), buffer;
	int memory = memfd_create("unbind-loop", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	if (device < 0 || memory < 0 || ftruncate(memory, MEMORY) || fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
		die("memory");
	create.memfd = memory;
	buffer = ioctl(device, UDMABUF_CREATE, &create);
	if (buffer < 0)
		die("udmabuf");
	close(device);
	close(memory);
	return buffer;
}

static uint32_t bind_queue(int fd, uint32_t interface, uint32_t queue, uint32_t dmabuf)
{
	struct request request = start(family, BIND_RX, 0);
	const uint32_t receive = 0;
	struct nlmsghdr *head;
	struct nlattr *nest;

	put(&request, 1, &interface, sizeof(interface));
	nest = open_nest(&request, 2);
	put(&request, 1, &queue, sizeof(queue));
	put(&request, 3, &receive, sizeof(receive));
	close_nest(&request, nest);
	put(&request, 3, &dmabuf, sizeof(dmabuf));
	head = ask(fd, &request);
	if (head->nlmsg_type == NLMSG_ERROR) {
		errno = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
		die("refused");
	}
	for_each_attribute(attribute, head)
		if (attribute->nla_type == DMABUF_ID)
			return *(uint32_t *)(attribute + 1);
	errno = EPROTO;
	die("bind-rx");
}

static void add_pool(struct holding *holding, struct nlmsghdr *head, uint32_t binding)
{
	uint64_t pages = 0;
	uint32_t dmabuf = 0;

	for_each_attribute(attribute, head) {
		size_t length = attribute->nla_len - NLA_HDRLEN;

		if (attribute->nla_type == POOL_INFLIGHT)
			memcpy(&pages, attribute + 1, length < sizeof(pages) ? length : sizeof(pages));
		if (attribute->nla_type == POOL_DMABUF)
			memcpy(&dmabuf, attribute + 1, sizeof(dmabuf));
	}
	if (dmabuf == binding) {
		holding->pools++;
		holding->pages += pages;
	}
}

static struct holding look(int fd, uint32_t binding)
{
	struct request request = start(family, PAGE_POOL_GET, NLM_F_DUMP);
	struct holding holding = { 0, 0 };

	send_request(fd, &request);
	for (;;) {
		ssize_t left;
		struct nlmsghdr *head = receive_reply(fd, &left);

		for (; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
				return holding;
			add_pool(&holding, head, binding);
		}
	}
}

static struct sockaddr_in address_of(const char *address, const char *port)
{
	struct sockaddr_in found = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };

	if (inet_pton(AF_INET, address, &found.sin_addr) != 1) {
		errno = EINVAL;
		die(address);
	}
	return found;
}

/* Connects once for each byte that arrives, and sends until it is refused. */
static _Noreturn void run_peer(int order, const struct sockaddr_in *address)
{
	static char bytes[65536];
	int place = open("/run/netns/peer", O_RDONLY | O_CLOEXEC);
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	if (place < 0 || setns(place, CLONE_NEWNET))
		die("peer");
	while (read(order, &byte, 1) == 1) {
		int fd, sent = 0;
		ssize_t length;

		/* Some drivers take the carrier away while they bind. */
		while ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0 &&
		       connect(fd, (const void *)address, sizeof(*address))) {
			close(fd);
			usleep(5000);
		}
		if (fd < 0)
			die("socket");
		while (sent < 4 * WANTED_BYTES && (length = write(fd, bytes, sizeof(bytes))) > 0)
			sent += length;
		close(fd);
	}
	exit(0);
}

/* Reads some payload, and returns what arrived in device memory. Gives the memory back if asked. */
static size_t receive(int fd, int give_back)
{
	static char control[64 << 10], bytes[256 << 10];
	size_t total = 0, device = 0;

	while (total < WANTED_BYTES) {
		struct iovec vector = { bytes, sizeof(bytes) };
		struct msghdr message = {
			.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
		};
		ssize_t length = recvmsg(fd, &message, SOCK_DEVMEM);
		struct token tokens[MAX_TOKENS];
		int count = 0;

		if (length <= 0)
			break;
		total += length;
		for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
			uint32_t *fragment = (void *)CMSG_DATA(head);

			if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_DMABUF)
				continue;
			device += fragment[2];
			if (count == MAX_TOKENS) {
				setsockopt(fd, SOL_SOCKET, SO_DONTNEED, tokens, sizeof(tokens));
				count = 0;
			}
			if (give_back)
				tokens[count++] = (struct token){ fragment[3], 1 };
		}
		if (count)
			setsockopt(fd, SOL_SOCKET, SO_DONTNEED, tokens, count * sizeof(*tokens));
	}
	return device;
}

/* Every processor receives a packet on the loopback interface. */
static void reach_processors(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), processor;
	cpu_set_t before, set;
	char byte = 0;

	if (fd < 0 || bind(fd, (void *)&address, length) || getsockname(fd, (void *)&address, &length) ||
	    connect(fd, (void *)&address, length) || sched_getaffinity(0, sizeof(before), &before))
		die("loopback");
	for (processor = 0; processor < CPU_SETSIZE; processor++) {
		CPU_ZERO(&set);
		CPU_SET(processor, &set);
		if (!CPU_ISSET(processor, &before) || sched_setaffinity(0, sizeof(set), &set))
			continue;
		if (send(fd, &byte, 1, 0) != 1 || recv(fd, &byte, 1, 0) != 1)
			die("loopback");
	}
	sched_setaffinity(0, sizeof(before), &before);
	close(fd);
}

/* The limits of the table, in seconds; the last column is of what only came back once each processor had a packet. */
static const double limits[] = { 0.001, 0.01, 0.1, 1, 2, 5 };
#define COLUMNS (sizeof(limits) / sizeof(*limits) + 2)

static const char *const modes[] = { "given back", "kept", "unread" };
#define MODES (sizeof(modes) / sizeof(*modes))

static size_t column(double seconds, int reached)
{
	size_t i;

	for (i = 0; !reached && i < COLUMNS - 2; i++)
		if (seconds < limits[i])
			return i;
	return COLUMNS - 2;
}

static unsigned int memory_times[MODES][COLUMNS], pool_times[MODES][COLUMNS];

/* Waits until the memory is back and the pools are gone. Returns 0 if that does not happen. */
static int await_memory(int fd, uint32_t binding, int mode, unsigned int round)
{
	double begun = now(), memory = -1, seconds;
	unsigned int most = 0;
	int reached = 0;

	for (;;) {
		struct holding holding;

		/* Looking may take long; what is seen was so before. */
		seconds = now() - begun;
		holding = look(fd, binding);
		if (!most)
			most = holding.pages;
		if (memory < 0 && !holding.pages) {
			memory = seconds;
			memory_times[mode][column(seconds, reached)]++;
			if (seconds > 1 || reached)
				printf("round %u, %s: %u pages out for %.3f s%s\n", round, modes[mode], most, seconds,
				       reached ? ", until each processor had received a packet" : "");
		}
		if (!holding.pools) {
			pool_times[mode][column(seconds, reached)]++;
			return 1;
		}
		if (seconds > 5 && !reached) {
			reach_processors();
			reached = 1;
		}
		if (seconds > 10) {
			if (memory < 0)
				memory_times[mode][COLUMNS - 1]++;
			pool_times[mode][COLUMNS - 1]++;
			printf("round %u, %s: %u pools with %u pages are left after %.0f s\n", round, modes[mode],
			       holding.pools, holding.pages, seconds);
			return 0;
		}
		usleep(seconds < 0.02 ? 500 : 5000);
	}
}

static void print_row(const char *what, const char *mode, const unsigned int *times)
{
	size_t i;

	printf("| %s, %s |", what, mode);
	for (i = 0; i < COLUMNS; i++)
		printf(" %u |", times[i]);
	putchar('\n');
}

static void print_table(unsigned int count, double seconds, unsigned int in_device, unsigned int left)
{
	size_t mode;

	printf("%u unbindings in %.0f s, payload in device memory in %u of %u, left after 10 s: %u\n\n", count, seconds,
	       in_device, (unsigned int)(count - count / MODES), left);
	printf("| | < 1 ms | < 10 ms | < 100 ms | < 1 s | < 2 s | < 5 s | once reached | left |\n");
	printf("|---|---|---|---|---|---|---|---|---|\n");
	for (mode = 0; mode < MODES; mode++)
		print_row("memory", modes[mode], memory_times[mode]);
	for (mode = 0; mode < MODES; mode++)
		print_row("page pool", modes[mode], pool_times[mode]);
}

int main(int argc, char **argv)
{
	unsigned int round, count, left = 0, in_device = 0;
	int control, order[2], listener, dmabuf, on = 1;
	struct sockaddr_in address;
	uint32_t interface;
	double begun = now();
	size_t mode;

	if (argc != 6) {
		fprintf(stderr, "usage: unbind-loop INTERFACE QUEUE ADDRESS PORT COUNT\n");
		return 64;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	interface = if_nametoindex(argv[1]);
	address = address_of(argv[3], argv[4]);
	count = atoi(argv[5]);
	control = netlink_socket();
	family = find_family(control, "netdev");
	dmabuf = make_udmabuf();
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!interface || listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(listener, (void *)&address, sizeof(address)) || listen(listener, 4) || pipe2(order, O_CLOEXEC))
		die("set-up");
	if (!fork()) {
		close(listener);
		close(order[1]);
		run_peer(order[0], &address);
	}
	close(order[0]);
	for (round = 0; round < count; round++) {
		int holder = netlink_socket(), fd;
		uint32_t binding = bind_queue(holder, interface, atoi(argv[2]), dmabuf);

		mode = round % MODES;
		if (write(order[1], "", 1) != 1 || (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
			die("accept");
		if (mode == MODES - 1) {
			struct pollfd ready = { .fd = fd, .events = POLLIN };

			poll(&ready, 1, 5000);
		} else {
			in_device += receive(fd, mode == 0) > 0;
		}
		close(fd);
		close(holder);
		left += !await_memory(control, binding, mode, round);
		if ((round + 1) % PROGRESS == 0 || round + 1 == count)
			print_table(round + 1, now() - begun, in_device, left);
	}
	return left > 0;
}
