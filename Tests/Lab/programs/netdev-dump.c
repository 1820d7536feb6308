/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netdev-dump COMMAND [ATTRIBUTE=NUMBER]...: prints the netdev family's replies to a command as a
 * JSON array with an object for each message. Commands and attributes are numbers, so that the program
 * shares nothing with the code under test: 5 is page-pool-get, 10 queue-get, 11 napi-get, 12 qstats-get.
 * An attribute that is not a number is printed as hexadecimal digits.
 */
#include "netlink.h"

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void die(const char *what)
{
	perror(what);
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

	if (argc < 2) {
		fprintf(stderr, "usage: netdev-dump COMMAND [ATTRIBUTE=NUMBER]...\n");
		return 64;
	}
	fd = netlink_socket();
	request = start(find_family(fd, "netdev"), atoi(argv[1]), NLM_F_DUMP);
	for (i = 2; i < argc; i++) {
		if (sscanf(argv[i], "%d=%u", &type, &number) != 2)
			return 64;
		put(&request, type, &number, sizeof(number));
	}
	send_request(fd, &request);
	printf("[");
	for (;;) {
		ssize_t left;
		struct nlmsghdr *head;

		for (head = receive_reply(fd, &left); NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
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
