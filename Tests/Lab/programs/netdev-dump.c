/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netdev-dump COMMAND [ATTRIBUTE=NUMBER]...: prints the netdev family's replies to a command as a
 * JSON array with an object for each message. Commands and attributes are numbers, so that the program
 * shares nothing with the code under test: 5 is page-pool-get, 10 queue-get, 11 napi-get, 12 qstats-get.
 * An attribute that is not a number is printed as hexadecimal digits.
 */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	struct genlmsghdr family;
	char attributes[256];
};

static char answer[1 << 16];

static void put(struct request *request, int type, const void *data, size_t length)
{
	struct nlattr *attribute = (void *)((char *)request + request->head.nlmsg_len);

	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + length;
	memcpy(attribute + 1, data, length);
	request->head.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(length);
}

static struct request start(int family, int command, int flags)
{
	struct request request = {
		.head = {
			.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN,
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST | flags,
		},
		.family = { .cmd = command, .version = 1 },
	};

	return request;
}

static ssize_t receive(int fd)
{
	ssize_t length = recv(fd, answer, sizeof(answer), 0);

	if (length < (ssize_t)sizeof(struct nlmsghdr)) {
		perror("recv");
		exit(1);
	}
	return length;
}

static void send_request(int fd, const struct request *request)
{
	if (send(fd, request, request->head.nlmsg_len, 0) < 0) {
		perror("send");
		exit(1);
	}
}

#define for_each_attribute(attribute, head)						\
	for (struct nlattr *attribute = (void *)((char *)(head) + NLMSG_HDRLEN + GENL_HDRLEN);	\
	     (char *)attribute < (char *)(head) + (head)->nlmsg_len;			\
	     attribute = (void *)((char *)attribute + NLA_ALIGN(attribute->nla_len)))

static int netdev_family(int fd)
{
	struct request request = start(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	struct nlmsghdr *head = (void *)answer;

	put(&request, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	send_request(fd, &request);
	receive(fd);
	for_each_attribute(attribute, head)
		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)(attribute + 1);
	fprintf(stderr, "no netdev family\n");
	exit(1);
}

static void print_value(const struct nlattr *attribute)
{
	const unsigned char *data = (void *)(attribute + 1);
	size_t length = attribute->nla_len - NLA_HDRLEN, i;
	uint64_t large;
	uint32_t number;

	if (!(attribute->nla_type & NLA_F_NESTED) && length == sizeof(number)) {
		memcpy(&number, data, sizeof(number));
		printf("%u", number);
	} else if (!(attribute->nla_type & NLA_F_NESTED) && length == sizeof(large)) {
		memcpy(&large, data, sizeof(large));
		printf("%llu", (unsigned long long)large);
	} else {
		putchar('"');
		for (i = 0; i < length; i++)
			printf("%02x", data[i]);
		putchar('"');
	}
}

int main(int argc, char **argv)
{
	struct request request;
	const char *comma = "";
	uint32_t number;
	int fd, i, type;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0 || argc < 2) {
		fprintf(stderr, "usage: netdev-dump COMMAND [ATTRIBUTE=NUMBER]...\n");
		return 64;
	}
	request = start(netdev_family(fd), atoi(argv[1]), NLM_F_DUMP);
	close(fd);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	for (i = 2; i < argc; i++) {
		if (sscanf(argv[i], "%d=%u", &type, &number) != 2)
			return 64;
		put(&request, type, &number, sizeof(number));
	}
	send_request(fd, &request);
	printf("[");
	for (;;) {
		ssize_t left = receive(fd);
		struct nlmsghdr *head;

		for (head = (void *)answer; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			const char *separator = "";

			if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR) {
				printf("]\n");
				return *(int *)(head + 1) ? 1 : 0;
			}
			printf("%s{", comma);
			for_each_attribute(attribute, head) {
				printf("%s\"%d\":", separator,
				       attribute->nla_type & NLA_TYPE_MASK);
				print_value(attribute);
				separator = ",";
			}
			printf("}\n");
			comma = ",";
		}
	}
}
