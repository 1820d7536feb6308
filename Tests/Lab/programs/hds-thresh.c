/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hds-thresh IFACE BYTES: sets the size up to which a NIC does not split headers, as
 * "ethtool -G IFACE hds-thresh BYTES" does since ethtool 6.15.
 */
#include "netlink.h"

#include <linux/ethtool_netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

/* ETHTOOL_A_RINGS_HDS_THRESH, which came with Linux 6.14. */
#define RINGS_HDS_THRESH 17

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	struct request request;
	struct nlmsghdr *head;
	struct nlattr *nest;
	unsigned int index, bytes;
	int fd, error;
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
	fd = netlink_socket();
	request = start(find_family(fd, ETHTOOL_GENL_NAME), ETHTOOL_MSG_RINGS_SET, NLM_F_ACK);
	nest = open_nest(&request, ETHTOOL_A_RINGS_HEADER);
	put(&request, ETHTOOL_A_HEADER_DEV_INDEX, &index, sizeof(index));
	close_nest(&request, nest);
	put(&request, RINGS_HDS_THRESH, &bytes, sizeof(bytes));
	head = ask(fd, &request);
	if (head->nlmsg_type != NLMSG_ERROR)
		return 0;
	error = ((struct nlmsgerr *)(head + 1))->error;
	if (error)
		fprintf(stderr, "hds-thresh %u on %s: %s\n", bytes, argv[1], strerror(-error));
	return error ? 1 : 0;
}
