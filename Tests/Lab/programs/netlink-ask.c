/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink-ask FAMILY COMMAND [PATH=TYPE:VALUE]...: sends one request of a generic netlink family
 * and prints the reply. PATH is the attribute's number, preceded by those of its nests: 1.1=u32:2.
 * Consecutive attributes in the same nests share them; "-" instead of an attribute starts a new nest.
 * TYPE is u8, u32, text, hex, udmabuf or huge. The last two create a dma-buf of that many bytes, with
 * "huge" of huge pages of 2 MiB, and pass its descriptor.
 *
 * Each attribute of a reply is a line: its number, and its value as a number or as hexadecimal
 * digits. An error is one line: its name, and the kernel's message if there is one. If the environment
 * variable HOLD is set, the program keeps its socket until its standard input ends. If NOTICE is set,
 * it first joins the family's group "monitor", and prints a line "notice COMMAND" for each notification
 * before the reply: the kernel sends one before the reply if the request changes anything.
 */
#define _GNU_SOURCE
#include "netlink.h"

#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEEPEST 8

/* The open nests, and their numbers. */
static struct nlattr *open_nests[DEEPEST];
static int open_type[DEEPEST], depth;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(64);
}

static void close_nests(struct request *request, int down_to)
{
	while (depth > down_to)
		close_nest(request, open_nests[--depth]);
}

static void enter_nests(struct request *request, const int *path, int count)
{
	int same = 0;

	while (same < depth && same < count && open_type[same] == path[same])
		same++;
	close_nests(request, same);
	for (; depth < count; depth++) {
		open_nests[depth] = open_nest(request, path[depth]);
		open_type[depth] = path[depth];
	}
}

static int make_udmabuf(size_t size, unsigned int flags)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = size };
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), buffer;
	int memory = memfd_create("netlink-ask", MFD_ALLOW_SEALING | MFD_CLOEXEC | flags);

	if (device < 0 || memory < 0 || ftruncate(memory, size) ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK))
		die("memory");
	create.memfd = memory;
	buffer = ioctl(device, UDMABUF_CREATE, &create);
	if (buffer < 0)
		die("udmabuf");
	return buffer;
}

static void put_value(struct request *request, int type, const char *kind, const char *value)
{
	uint32_t number = strtoul(value, NULL, 0);
	unsigned char bytes[4096], byte = number;
	size_t count = 0;

	if (!strcmp(kind, "u8")) {
		put(request, type, &byte, sizeof(byte));
	} else if (!strcmp(kind, "u32")) {
		put(request, type, &number, sizeof(number));
	} else if (!strcmp(kind, "text")) {
		put(request, type, value, strlen(value) + 1);
	} else if (!strcmp(kind, "hex")) {
		while (count < sizeof(bytes) && sscanf(value, "%2hhx", &bytes[count]) == 1) {
			count++;
			value += 2;
		}
		put(request, type, bytes, count);
	} else if (!strcmp(kind, "udmabuf") || !strcmp(kind, "huge")) {
		number = make_udmabuf(number, *kind == 'h' ? MFD_HUGETLB : 0);
		put(request, type, &number, sizeof(number));
	} else {
		errno = EINVAL;
		die(kind);
	}
}

static void add(struct request *request, char *argument)
{
	char *equals = strchr(argument, '='), *colon = equals ? strchr(equals, ':') : NULL;
	int path[DEEPEST], count = 0;
	char *at = argument;

	if (!strcmp(argument, "-")) {
		close_nests(request, 0);
		return;
	}
	if (!colon) {
		errno = EINVAL;
		die(argument);
	}
	*equals = *colon = 0;
	while (count < DEEPEST) {
		path[count++] = strtol(at, &at, 10);
		if (*at++ != '.')
			break;
	}
	enter_nests(request, path, count - 1);
	put_value(request, path[count - 1], equals + 1, colon + 1);
}

/* Returns the number of the group in one entry of the family's list, if it is the wanted one. */
static uint32_t group_of(const struct nlattr *entry, const char *wanted)
{
	const char *name = "";
	uint32_t number = 0;

	for_each_attribute_in(attribute, entry) {
		if (attribute->nla_type == CTRL_ATTR_MCAST_GRP_NAME)
			name = (const char *)(attribute + 1);
		if (attribute->nla_type == CTRL_ATTR_MCAST_GRP_ID)
			memcpy(&number, attribute + 1, sizeof(number));
	}
	return strcmp(name, wanted) ? 0 : number;
}

static void join_group(int fd, const char *family, const char *wanted)
{
	struct nlmsghdr *head = ask_for_family(fd, family);
	uint32_t number = 0;

	for_each_attribute(list, head)
		if ((list->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_MCAST_GROUPS)
			for_each_attribute_in(entry, list)
				number = number ? number : group_of(entry, wanted);
	if (!number)
		errno = ENOENT;
	if (!number || setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, sizeof(number)))
		die(wanted);
}

static void print_attribute(const struct nlattr *attribute)
{
	const unsigned char *data = (void *)(attribute + 1);
	size_t length = attribute->nla_len - NLA_HDRLEN, i;
	uint32_t number;

	printf("%d ", attribute->nla_type & NLA_TYPE_MASK);
	if (attribute->nla_type & NLA_F_NESTED || (length != 1 && length != 4)) {
		for (i = 0; i < length; i++)
			printf("%02x", data[i]);
	} else if (length == 1) {
		printf("%u", *data);
	} else {
		memcpy(&number, data, sizeof(number));
		printf("%u", number);
	}
	putchar('\n');
}

static int print_refusal(const struct nlmsghdr *head)
{
	const struct nlmsgerr *refusal = (void *)(head + 1);
	const char *text = "";
	size_t skip = sizeof(*refusal);

	if (!refusal->error)
		return 0;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(refusal->msg.nlmsg_len) - sizeof(refusal->msg);
	if (head->nlmsg_flags & NLM_F_ACK_TLVS)
		for_each_attribute_between(attribute, (char *)refusal + skip, (char *)head + head->nlmsg_len)
			if ((attribute->nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG)
				text = (char *)(attribute + 1);
	printf("%s%s%s\n", strerrorname_np(-refusal->error), *text ? " " : "", text);
	return 1;
}

int main(int argc, char **argv)
{
	int fd, on = 1, i, status;
	struct request request;
	struct nlmsghdr *head;
	ssize_t length;
	char byte;

	if (argc < 3) {
		fprintf(stderr, "usage: netlink-ask FAMILY COMMAND [PATH=TYPE:VALUE]...\n");
		return 64;
	}
	fd = netlink_socket();
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	request = start(find_family(fd, argv[1]), atoi(argv[2]), NLM_F_ACK);
	for (i = 3; i < argc; i++)
		add(&request, argv[i]);
	close_nests(&request, 0);
	if (getenv("NOTICE"))
		join_group(fd, argv[1], "monitor");

	/* The port of a notification is 0. */
	for (head = ask(fd, &request); !head->nlmsg_pid; head = receive_reply(fd, &length))
		printf("notice %d\n", ((struct genlmsghdr *)NLMSG_DATA(head))->cmd);
	status = head->nlmsg_type == NLMSG_ERROR ? print_refusal(head) : 0;
	if (head->nlmsg_type != NLMSG_ERROR)
		for_each_attribute(attribute, head)
			print_attribute(attribute);
	fflush(stdout);
	if (getenv("HOLD"))
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
	return status;
}
