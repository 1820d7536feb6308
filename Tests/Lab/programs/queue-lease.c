/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue-lease VIRTUAL PHYSICAL QUEUE: leases a receive queue of a physical interface to a virtual one,
 * such as one end of a netkit pair, which gets a new queue (queue-create of Linux 7.1). The lease ends
 * with the virtual interface.
 */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* linux/netdev.h of Linux 7.1. */
enum { QUEUE_CREATE = 16 };
enum { QUEUE_ID = 1, QUEUE_IFINDEX = 2, QUEUE_TYPE = 3, QUEUE_LEASE = 8 };
enum { LEASE_IFINDEX = 1, LEASE_QUEUE = 2 };

struct request {
	struct nlmsghdr head;
	struct genlmsghdr family;
	char attributes[256];
};

static char answer[1 << 14];

static struct nlattr *put(struct request *request, int type, const void *data, size_t length)
{
	struct nlattr *attribute = (void *)((char *)request + request->head.nlmsg_len);

	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + length;
	if (data)
		memcpy(attribute + 1, data, length);
	request->head.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(length);
	return attribute;
}

static void put_number(struct request *request, int type, uint32_t number)
{
	put(request, type, &number, sizeof(number));
}

static void end(struct request *request, struct nlattr *nest)
{
	nest->nla_len = (char *)request + request->head.nlmsg_len - (char *)nest;
}

static struct request start(int family, int command)
{
	struct request request = {
		.head = {
			.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN,
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.family = { .cmd = command, .version = 1 },
	};

	return request;
}

static struct nlmsghdr *ask(struct request *request)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (send(fd, request, request->head.nlmsg_len, 0) < 0 ||
	    recv(fd, answer, sizeof(answer), 0) < (ssize_t)sizeof(struct nlmsghdr)) {
		perror("netlink");
		exit(1);
	}
	close(fd);
	return (void *)answer;
}

static int netdev_family(void)
{
	struct request request = start(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	struct nlmsghdr *head;
	struct nlattr *attribute;

	put(&request, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof("netdev"));
	head = ask(&request);
	for (attribute = (void *)(answer + NLMSG_HDRLEN + GENL_HDRLEN);
	     (char *)attribute < answer + head->nlmsg_len;
	     attribute = (void *)((char *)attribute + NLA_ALIGN(attribute->nla_len)))
		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)(attribute + 1);
	fprintf(stderr, "no netdev family\n");
	exit(1);
}

int main(int argc, char **argv)
{
	struct nlattr *lease, *queue;
	struct request request;
	struct nlmsghdr *head;
	int error;

	if (argc != 4) {
		fprintf(stderr, "usage: queue-lease VIRTUAL PHYSICAL QUEUE\n");
		return 64;
	}
	request = start(netdev_family(), QUEUE_CREATE);
	put_number(&request, QUEUE_IFINDEX, if_nametoindex(argv[1]));
	put_number(&request, QUEUE_TYPE, 0);
	lease = put(&request, QUEUE_LEASE | NLA_F_NESTED, NULL, 0);
	put_number(&request, LEASE_IFINDEX, if_nametoindex(argv[2]));
	queue = put(&request, LEASE_QUEUE | NLA_F_NESTED, NULL, 0);
	put_number(&request, QUEUE_ID, atoi(argv[3]));
	put_number(&request, QUEUE_TYPE, 0);
	end(&request, queue);
	end(&request, lease);
	head = ask(&request);
	if (head->nlmsg_type != NLMSG_ERROR)
		return 0;
	error = ((struct nlmsgerr *)(head + 1))->error;
	if (error)
		fprintf(stderr, "queue-lease: %s\n", strerror(-error));
	return error ? 1 : 0;
}
