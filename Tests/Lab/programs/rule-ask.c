/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rule-ask IFACE QUESTION...: sends a driver a request about flow rules through the ioctl, and prints
 * its reply unchanged, which ethtool does not.
 *
 *   count               prints "RULES DATA", the data in hexadecimal digits
 *   list ROOM           prints "RULES DATA LOCATION..."
 *   get LOCATION        prints the rule in the syntax of "insert"
 *   delete LOCATION
 *   insert TYPE [WORD=VALUE]...
 *                       TYPE: tcp4, udp4, ip4, tcp6, sctp4, ether; WORD: location (a number, any,
 *                       first or last; default any), queue (a number or drop), context, sport,
 *                       dport, src, dst (the last byte of 192.0.2.0/24), tos, ext, mac-ext.
 *                       Prints "at LOCATION".
 *
 * An error is one line, its name, and exit status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
	const char *name;
	uint32_t type;
} types[] = {
	{ "tcp4", TCP_V4_FLOW }, { "udp4", UDP_V4_FLOW }, { "ip4", IP_USER_FLOW },
	{ "tcp6", TCP_V6_FLOW }, { "sctp4", SCTP_V4_FLOW }, { "ether", ETHER_FLOW },
};

static const char *interface;

static _Noreturn void usage(const char *what)
{
	fprintf(stderr, "rule-ask: unknown word '%s'\n", what);
	exit(64);
}

static void ask(struct ethtool_rxnfc *question)
{
	struct ifreq request = { .ifr_data = (void *)question };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0) {
		printf("%s\n", strerrorname_np(errno));
		exit(1);
	}
	close(fd);
}

static uint32_t location(const char *text)
{
	if (!strcmp(text, "any"))
		return RX_CLS_LOC_ANY;
	if (!strcmp(text, "first"))
		return RX_CLS_LOC_FIRST;
	if (!strcmp(text, "last"))
		return RX_CLS_LOC_LAST;
	return strtoul(text, NULL, 0);
}

/* Sets a field of the rule, and all bits of its mask. */
static void set_word(struct ethtool_rxnfc *rule, const char *word, const char *value)
{
	struct ethtool_rx_flow_spec *spec = &rule->fs;
	uint32_t number = strtoul(value, NULL, 0);
	int ip4 = (spec->flow_type & 0xff) != TCP_V6_FLOW;

	if (!strcmp(word, "location")) {
		spec->location = location(value);
	} else if (!strcmp(word, "queue")) {
		spec->ring_cookie = strcmp(value, "drop") ? number : RX_CLS_FLOW_DISC;
	} else if (!strcmp(word, "context")) {
		spec->flow_type |= FLOW_RSS;
		rule->rss_context = number;
	} else if (!strcmp(word, "sport")) {
		*(ip4 ? &spec->h_u.tcp_ip4_spec.psrc : &spec->h_u.tcp_ip6_spec.psrc) = htons(number);
		*(ip4 ? &spec->m_u.tcp_ip4_spec.psrc : &spec->m_u.tcp_ip6_spec.psrc) = 0xffff;
	} else if (!strcmp(word, "dport")) {
		*(ip4 ? &spec->h_u.tcp_ip4_spec.pdst : &spec->h_u.tcp_ip6_spec.pdst) = htons(number);
		*(ip4 ? &spec->m_u.tcp_ip4_spec.pdst : &spec->m_u.tcp_ip6_spec.pdst) = 0xffff;
	} else if (!strcmp(word, "src")) {
		spec->h_u.tcp_ip4_spec.ip4src = htonl(0xc0000200 | number);
		spec->m_u.tcp_ip4_spec.ip4src = ~0;
	} else if (!strcmp(word, "dst")) {
		spec->h_u.tcp_ip4_spec.ip4dst = htonl(0xc0000200 | number);
		spec->m_u.tcp_ip4_spec.ip4dst = ~0;
	} else if (!strcmp(word, "tos")) {
		spec->h_u.tcp_ip4_spec.tos = number;
		spec->m_u.tcp_ip4_spec.tos = 0xff;
	} else if (!strcmp(word, "ext")) {
		spec->flow_type |= FLOW_EXT;
	} else if (!strcmp(word, "mac-ext")) {
		spec->flow_type |= FLOW_MAC_EXT;
	} else {
		usage(word);
	}
}

static void insert(char **words)
{
	struct ethtool_rxnfc rule = {
		.cmd = ETHTOOL_SRXCLSRLINS,
		.fs = { .location = RX_CLS_LOC_ANY },
	};
	char *equals;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(*words, types[i].name))
			rule.fs.flow_type = types[i].type;
	if (!rule.fs.flow_type)
		usage(*words);
	if (rule.fs.flow_type == IP_USER_FLOW)
		rule.fs.h_u.usr_ip4_spec.ip_ver = ETH_RX_NFC_IP4;
	while (*++words) {
		equals = strchr(*words, '=');
		if (!equals)
			usage(*words);
		*equals = 0;
		set_word(&rule, *words, equals + 1);
	}
	ask(&rule);
	printf("at %u\n", rule.fs.location);
}

static void list(uint32_t room)
{
	struct ethtool_rxnfc *rules = calloc(1, sizeof(*rules) + room * sizeof(uint32_t));
	uint32_t i;

	if (!rules)
		exit(64);
	rules->cmd = ETHTOOL_GRXCLSRLALL;
	rules->rule_cnt = room;
	ask(rules);
	printf("%u %llx", rules->rule_cnt, (unsigned long long)rules->data);
	for (i = 0; i < rules->rule_cnt && i < room; i++)
		printf(" %u", rules->rule_locs[i]);
	printf("\n");
}

static void get(uint32_t at)
{
	struct ethtool_rxnfc rule = { .cmd = ETHTOOL_GRXCLSRULE, .fs = { .location = at } };
	const struct ethtool_rx_flow_spec *spec = &rule.fs;
	size_t i;

	ask(&rule);
	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (types[i].type == (spec->flow_type & 0xff))
			printf("%s", types[i].name);
	if (spec->ring_cookie == RX_CLS_FLOW_DISC)
		printf(" queue=drop");
	else
		printf(" queue=%llu", (unsigned long long)spec->ring_cookie);
	if (spec->flow_type & FLOW_RSS)
		printf(" context=%u", rule.rss_context);
	printf(" dport=%u tos=%u\n", ntohs(spec->h_u.tcp_ip4_spec.pdst), spec->h_u.tcp_ip4_spec.tos);
}

int main(int argc, char **argv)
{
	struct ethtool_rxnfc rule = {};
	const char *question = argc > 2 ? argv[2] : "";

	interface = argc > 1 ? argv[1] : "";
	if (argc == 3 && !strcmp(question, "count")) {
		rule.cmd = ETHTOOL_GRXCLSRLCNT;
		ask(&rule);
		printf("%u %llx\n", rule.rule_cnt, (unsigned long long)rule.data);
	} else if (argc == 4 && !strcmp(question, "list")) {
		list(strtoul(argv[3], NULL, 0));
	} else if (argc == 4 && !strcmp(question, "get")) {
		get(strtoul(argv[3], NULL, 0));
	} else if (argc == 4 && !strcmp(question, "delete")) {
		rule.cmd = ETHTOOL_SRXCLSRLDEL;
		rule.fs.location = strtoul(argv[3], NULL, 0);
		ask(&rule);
	} else if (argc > 3 && !strcmp(question, "insert")) {
		insert(argv + 3);
	} else {
		usage(question);
	}
	return 0;
}
