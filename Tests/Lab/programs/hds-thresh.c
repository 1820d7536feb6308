/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hds-thresh IFACE BYTES: sets the size up to which a NIC does not split headers, as
 * "ethtool -G IFACE hds-thresh BYTES" does since ethtool 6.15.
 */
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ETHTOOL_A_RINGS_HDS_THRESH, which came with Linux 6.14. */
#define RINGS_HDS_THRESH 17

struct request {
	struct nlmsghdr head;
	struct genlmsghdr family;
	char attributes[128];
};

static void *put(struct request *request, int type, const void *data, size_t length)
{
	struct nlattr *attribute = (void *)((char *)request + request->head.nlmsg_len);

	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + length;
	if (data)
		memcpy(attribute + 1, data, length);
	request->head.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(length);
	return attribute;
}

static void start(struct request *request, int family, int command)
{
	memset(request, 0, sizeof(*request));
	request->head.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
	request->head.nlmsg_type = family;
	request->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request->family.cmd = command;
	request->family.version = 1;
}

/* Sends a request and returns the first message of the reply. */
static struct nlmsghdr *ask(int fd, struct request *request, char *answer, size_t size)
{
	struct nlmsghdr *head = (void *)answer;
	ssize_t length;

	if (send(fd, request, request->head.nlmsg_len, 0) < 0) {
		perror("send");
		exit(1);
	}
	length = recv(fd, answer, size, 0);
	if (length < (ssize_t)sizeof(*head)) {
		perror("recv");
		exit(1);
	}
	return head;
}

/* The family's number is attribute 1 of the reply, of two bytes. */
static int ethtool_family(int fd)
{
	char answer[8192];
	struct request request;
	struct nlmsghdr *head;
	struct nlattr *attribute;
	char *end;

	start(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	put(&request, CTRL_ATTR_FAMILY_NAME, ETHTOOL_GENL_NAME, sizeof(ETHTOOL_GENL_NAME));
	head = ask(fd, &request, answer, sizeof(answer));
	end = answer + head->nlmsg_len;
	for (attribute = (void *)(answer + NLMSG_HDRLEN + GENL_HDRLEN); (char *)attribute < end;
	     attribute = (void *)((char *)attribute + NLA_ALIGN(attribute->nla_len)))
		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(unsigned short *)(attribute + 1);
	fprintf(stderr, "no ethtool family\n");
	exit(1);
}

int main(int argc, char **argv)
{
	char answer[8192];
	struct request request;
	struct nlmsghdr *head;
	struct nlattr *nest;
	unsigned int index, bytes;
	int fd, family, error;
	char *end;

	if (argc != 3 || !(index = if_nametoindex(argv[1]))) {
		fprintf(stderr, "usage: hds-thresh IFACE BYTES\n");
		return 64;
	}
	bytes = strtoul(argv[2], &end, 10);
	if (*end || end == argv[2]) {
		fprintf(stderr, "not a number: %s\n", argv[2]);
		return 64;
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0) {
		perror("socket");
		return 1;
	}
	family = ethtool_family(fd);
	close(fd);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	start(&request, family, ETHTOOL_MSG_RINGS_SET);
	nest = put(&request, ETHTOOL_A_RINGS_HEADER | NLA_F_NESTED, NULL, 0);
	put(&request, ETHTOOL_A_HEADER_DEV_INDEX, &index, sizeof(index));
	nest->nla_len = (char *)&request + request.head.nlmsg_len - (char *)nest;
	put(&request, RINGS_HDS_THRESH, &bytes, sizeof(bytes));
	head = ask(fd, &request, answer, sizeof(answer));
	if (head->nlmsg_type != NLMSG_ERROR)
		return 0;
	error = ((struct nlmsgerr *)(head + 1))->error;
	if (error)
		fprintf(stderr, "hds-thresh %u on %s: %s\n", bytes, argv[1], strerror(-error));
	return error ? 1 : 0;
}
