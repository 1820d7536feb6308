/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devmem-receive ADDRESS PORT: receives one connection through a binding that devmemtcp bind holds,
 * and writes the payload to standard output. It prints "listening" on standard error, and at the end
 * the number of bytes in device memory.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SCM_LINEAR 78
#define SCM_DMABUF 79
#define SO_DONTNEED 80
#define SOCK_DEVMEM 0x2000000

struct fragment {
	uint64_t offset;
	uint32_t size;
	uint32_t token;
	uint32_t dmabuf;
	uint32_t flags;
};

struct token {
	uint32_t start;
	uint32_t count;
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned long number(const char *name)
{
	const char *text = getenv(name);

	if (!text) {
		fprintf(stderr, "%s is not set\n", name);
		exit(1);
	}
	return strtoul(text, NULL, 10);
}

static void write_all(const char *bytes, size_t count)
{
	while (count) {
		ssize_t written = write(STDOUT_FILENO, bytes, count);

		if (written < 0)
			die("write");
		bytes += written;
		count -= written;
	}
}

static int listen_on(const char *address, const char *port)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &here.sin_addr) != 1)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&here, sizeof(here)) || listen(fd, 1))
		die("listen");
	fprintf(stderr, "listening\n");
	return fd;
}

int main(int argc, char **argv)
{
	static char linear[1 << 16], control[1 << 16];
	unsigned long size, id, in_device = 0;
	const char *memory;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: devmem-receive ADDRESS PORT\n");
		return 64;
	}
	size = number("DEVMEMTCP_SIZE");
	id = number("DEVMEMTCP_RX_ID");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      number("DEVMEMTCP_DMABUF_FD"), 0);
	if (memory == MAP_FAILED)
		die("mmap");
	fprintf(stderr, "user %d, queues %s\n", getuid(), getenv("DEVMEMTCP_QUEUES"));
	fd = accept(listen_on(argv[1], argv[2]), NULL, NULL);
	if (fd < 0)
		die("accept");

	for (;;) {
		struct iovec piece = { .iov_base = linear, .iov_len = sizeof(linear) };
		struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control) };
		ssize_t count = recvmsg(fd, &message, SOCK_DEVMEM), used = 0;
		struct cmsghdr *head;

		if (count < 0)
			die("recvmsg");
		if (!count)
			break;
		for (head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
			struct fragment fragment;
			struct token token;

			memcpy(&fragment, CMSG_DATA(head), sizeof(fragment));
			if (head->cmsg_type == SCM_LINEAR) {
				write_all(linear + used, fragment.size);
				used += fragment.size;
				count -= fragment.size;
			} else if (head->cmsg_type == SCM_DMABUF) {
				if (fragment.dmabuf != id) {
					fprintf(stderr, "the fragment is in dma-buf %u\n", fragment.dmabuf);
					return 1;
				}
				write_all(memory + fragment.offset, fragment.size);
				count -= fragment.size;
				in_device += fragment.size;
				token.start = fragment.token;
				token.count = 1;
				if (setsockopt(fd, SOL_SOCKET, SO_DONTNEED, &token,
					       sizeof(token)) != 1)
					die("return a token");
			}
		}
		write_all(linear + used, count);
	}
	fprintf(stderr, "%lu bytes in device memory\n", in_device);
	return 0;
}
