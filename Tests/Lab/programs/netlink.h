/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of generic netlink families, and their replies, for the programs of this folder. They share nothing with the
 * code under test. What fails ends the program by its own die().
 */
#pragma once

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* Ends the program with perror(3). */
static _Noreturn void die(const char *what);

struct request {
	struct nlmsghdr head;
	struct genlmsghdr family;
	char attributes[8192];
};

static inline struct request start(int family, int command, int flags)
{
	return (struct request){
		.head = {
			.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN,
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST | flags,
		},
		.family = { .cmd = command, .version = 1 },
	};
}

static inline struct nlattr *put(struct request *request, int type, const void *data, size_t length)
{
	struct nlattr *attribute = (void *)((char *)request + request->head.nlmsg_len);

	if (request->head.nlmsg_len + NLA_HDRLEN + NLA_ALIGN(length) > sizeof(*request)) {
		errno = EMSGSIZE;
		die("request");
	}
	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + length;
	if (length)
		memcpy(attribute + 1, data, length);
	request->head.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(length);
	return attribute;
}

static inline struct nlattr *open_nest(struct request *request, int type)
{
	return put(request, type | NLA_F_NESTED, NULL, 0);
}

static inline void close_nest(struct request *request, struct nlattr *nest)
{
	nest->nla_len = (char *)request + request->head.nlmsg_len - (char *)nest;
}

static inline int netlink_socket(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0)
		die("socket");
	return fd;
}

static inline void send_request(int fd, const struct request *request)
{
	if (send(fd, request, request->head.nlmsg_len, 0) < 0)
		die("send");
}

/* Returns the first of the messages that arrive together, and their length. It is overwritten by the next ones. */
static inline struct nlmsghdr *receive_reply(int fd, ssize_t *length)
{
	static char answer[1 << 16];

	*length = recv(fd, answer, sizeof(answer), 0);
	if (*length < (ssize_t)sizeof(struct nlmsghdr))
		die("recv");
	return (void *)answer;
}

/* Sends a request, and returns the first message of the reply. */
static inline struct nlmsghdr *ask(int fd, const struct request *request)
{
	ssize_t length;

	send_request(fd, request);
	return receive_reply(fd, &length);
}

#define for_each_attribute_between(attribute, from, to)					\
	for (struct nlattr *attribute = (void *)(from);					\
	     (char *)attribute + NLA_HDRLEN <= (char *)(to) &&				\
	     attribute->nla_len >= NLA_HDRLEN;						\
	     attribute = (void *)((char *)attribute + NLA_ALIGN(attribute->nla_len)))

/* The attributes of a message, and those in a nest. */
#define for_each_attribute(attribute, head)								\
	for_each_attribute_between(attribute, (char *)(head) + NLMSG_HDRLEN + GENL_HDRLEN,		\
				   (char *)(head) + (head)->nlmsg_len)
#define for_each_attribute_in(attribute, nest) \
	for_each_attribute_between(attribute, (nest) + 1, (char *)(nest) + (nest)->nla_len)

static inline struct nlmsghdr *ask_for_family(int fd, const char *name)
{
	struct request request = start(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);

	put(&request, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	return ask(fd, &request);
}

/* Returns the number of a family. */
static inline int find_family(int fd, const char *name)
{
	struct nlmsghdr *head = ask_for_family(fd, name);

	for_each_attribute(attribute, head)
		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)(attribute + 1);
	errno = ENOENT;
	die(name);
}
