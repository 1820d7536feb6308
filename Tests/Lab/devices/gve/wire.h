/* SPDX-License-Identifier: GPL-2.0 */
/* The interface between a gVNIC and its driver: registers, the admin queue, and
 * the descriptors of the DQO queue format with raw addresses.
 */
#ifndef LAB_GVE_WIRE_H
#define LAB_GVE_WIRE_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

/* BARs */
#define GVE_BAR_REGISTERS	0
#define GVE_BAR_MSIX		1
#define GVE_BAR_DOORBELLS	2

/* Registers, big endian */
#define GVE_DEVICE_STATUS	0x00
#define   GVE_WANTS_RESET	BIT(1)
#define   GVE_LINK_UP		BIT(2)
#define   GVE_IS_RESET		BIT(4)
#define GVE_DRIVER_STATUS	0x04
#define   GVE_DRIVER_RUNS	BIT(0)
#define   GVE_DRIVER_RESETS	BIT(1)
#define GVE_MAX_TX_QUEUES	0x08
#define GVE_MAX_RX_QUEUES	0x0c
#define GVE_ADMIN_DOORBELL	0x14
#define GVE_ADMIN_COUNTER	0x18
#define GVE_ADMIN_BASE_HIGH	0x20
#define GVE_ADMIN_BASE_LOW	0x24
#define GVE_ADMIN_LENGTH	0x28	/* 16 bits */

/* Interrupt doorbells, little endian as all doorbells */
#define GVE_IRQ_ENABLE		BIT(0)
#define GVE_IRQ_INTERVAL	GENMASK(4, 3)	/* which of the intervals is set... */
#define GVE_IRQ_NO_INTERVAL	3		/* ...3: none */
#define GVE_IRQ_TWO_MICROSECONDS GENMASK(16, 5)

/* The admin queue: commands of 64 bytes, big endian */
enum gve_opcode {
	GVE_DESCRIBE_DEVICE	= 0x01,
	GVE_CONFIGURE_RESOURCES	= 0x02,
	GVE_CREATE_TX_QUEUE	= 0x05,
	GVE_CREATE_RX_QUEUE	= 0x06,
	GVE_DESTROY_TX_QUEUE	= 0x07,
	GVE_DESTROY_RX_QUEUE	= 0x08,
	GVE_DECONFIGURE_RESOURCES = 0x09,
	GVE_CONFIGURE_RSS	= 0x0a,
	GVE_SET_PARAMETER	= 0x0b,
	GVE_REPORT_STATS	= 0x0c,
	GVE_REPORT_LINK_SPEED	= 0x0d,
	GVE_GET_PTYPES		= 0x0e,
	GVE_VERIFY_DRIVER	= 0x0f,
	GVE_QUERY_FLOW_RULES	= 0x10,
	GVE_QUERY_RSS		= 0x12,
	GVE_EXTENDED		= 0xff,
	/* An extended command, whose body is elsewhere */
	GVE_CONFIGURE_FLOW_RULE	= 0x101,
};

enum gve_status {
	GVE_PASSED		= 0x1,
	GVE_ALREADY_EXISTS	= 0xfffffff1,
	GVE_FAILED_PRECONDITION	= 0xfffffff5,
	GVE_INTERNAL_ERROR	= 0xfffffff6,
	GVE_INVALID_ARGUMENT	= 0xfffffff7,
	GVE_NOT_FOUND		= 0xfffffff8,
	GVE_OUT_OF_RANGE	= 0xfffffff9,
	GVE_RESOURCE_EXHAUSTED	= 0xfffffffc,
	GVE_UNIMPLEMENTED	= 0xfffffffe,
};

#define GVE_FORMAT_DQO_RDA	3
#define GVE_NO_PAGE_LIST	0xffffffff
#define GVE_DESCRIPTOR_VERSION	1
#define GVE_PARAMETER_MTU	1

struct gve_command {
	__be32	opcode, status;
	union {
		u8 body[56];
		struct {
			__be64	address;
			__be32	version, len;
		} describe;
		struct {
			__be64	counters, doorbells;
			__be32	n_counters, n_doorbells, stride, first_vector;
			u8	format;
		} configure;
		struct {
			__be32	id, reserved;
			__be64	resources, ring;
			__be32	page_list, notify;
			__be64	done_ring;
			__be16	size, done_size;
		} create_tx;
		struct {
			__be32	id, index, reserved, notify;
			__be64	resources, done_ring, ring;
			__be32	page_list;
			__be16	done_size, buffer_size, size;
			u8	coalesce, reserved1;
			__be16	header_size;
		} create_rx;
		struct {
			__be32	id;
		} destroy;
		struct {
			__be32	what, reserved;
			__be64	value;
		} parameter;
		struct {
			__be64	len, address, interval;
		} stats;
		struct {
			__be64	address;
		} speed;
		struct {
			__be64	len, address;
		} buffer;	/* ptypes, driver, RSS */
		struct {
			__be16	what, reserved;
			__be32	first;
			__be64	len, address;
		} query_rules;
		struct {
			__be16	types;
			u8	algorithm, reserved;
			__be16	key_size, table_size;
			__be64	key, table;
		} rss;
		struct {
			__be32	opcode, len;
			__be64	address;
		} extended;
	};
};
static_assert(sizeof(struct gve_command) == 64);

/* The description of the device: a header, then options. */
struct gve_description {
	__be64	max_pages;
	__be16	reserved;
	__be16	tx_ring, rx_ring;
	__be16	queues;		/* 0: the maximum */
	__be16	mtu;
	__be16	counters;
	__be16	tx_pages, rx_pages;
	u8	mac[6];
	__be16	n_options;
	__be16	len;
	u8	reserved1[6];
};
static_assert(sizeof(struct gve_description) == 40);

enum gve_option_id {
	GVE_OPTION_DQO_RDA	= 0x4,
	GVE_OPTION_RING_SIZES	= 0x6,
	GVE_OPTION_JUMBO	= 0x8,
	GVE_OPTION_BUFFER_SIZES	= 0xa,
	GVE_OPTION_FLOW_RULES	= 0xb,
	GVE_OPTION_RSS		= 0xe,
};

/* An option is valid only if the DQO_RDA option also has its feature's bit. */
#define GVE_FEATURE_RING_SIZES	BIT(0)
#define GVE_FEATURE_JUMBO	BIT(2)
#define GVE_FEATURE_BUFFER_SIZES BIT(4)
#define GVE_FEATURE_FLOW_RULES	BIT(5)
#define GVE_FEATURE_RSS		BIT(7)

struct gve_option {
	__be16	id, len;	/* the length of what follows */
	__be32	required;	/* features a driver must know */
	__be32	feature;
};
static_assert(sizeof(struct gve_option) == 12);

struct gve_driver_info {
	u8	os, major, minor, sub;
	__be32	os_version[3];
	__be64	capabilities[4];
	char	os_release[128], os_build[128];
};
static_assert(sizeof(struct gve_driver_info) == 304);
#define GVE_CAN_DQO_RDA		BIT_ULL(3)

/* Tells the driver where a queue's doorbell and counter are. */
struct gve_queue_resources {
	__be32	doorbell, counter;
	u8	reserved[56];
};
static_assert(sizeof(struct gve_queue_resources) == 64);

/* Statistics: a count, then an array; the device's part is at its end. */
struct gve_stat {
	__be32	name, queue;
	__be64	value;
};
static_assert(sizeof(struct gve_stat) == 16);
#define GVE_STATS_HEAD		sizeof(__be64)

enum gve_stat_name {
	GVE_STAT_DROPS		= 65,
	GVE_STAT_NO_BUFFERS	= 66,
	GVE_STAT_OVERSIZE	= 67,
	GVE_STAT_BAD_CHECKSUM	= 68,
};
#define GVE_STATS_A_QUEUE	4

/* Packet types: numbers of the device's own, explained by a table. */
#define GVE_PTYPES		1024
struct gve_ptype {
	u8	l3;	/* 0: unknown, 2: IPv4, 3: IPv6 */
	u8	l4;	/* 0: unknown, 1: other, 2: TCP, 3: UDP */
};

/* Flow rules */
struct gve_flow {
	__be32	source[4], destination[4];
	union {
		__be16	port[2];	/* source, destination */
		__be32	spi;
	};
	u8	tos, reserved[3];
};
static_assert(sizeof(struct gve_flow) == 40);

enum gve_flow_type {
	GVE_FLOW_TCP4, GVE_FLOW_UDP4, GVE_FLOW_SCTP4, GVE_FLOW_AH4, GVE_FLOW_ESP4,
	GVE_FLOW_TCP6, GVE_FLOW_UDP6, GVE_FLOW_SCTP6, GVE_FLOW_AH6, GVE_FLOW_ESP6,
	GVE_FLOW_TYPES
};

struct gve_rule {
	__be16	type, queue;
	struct gve_flow key, mask;
};
static_assert(sizeof(struct gve_rule) == 84);

enum gve_rule_change { GVE_RULE_ADD, GVE_RULE_DELETE, GVE_RULE_DELETE_ALL };

struct gve_rule_command {
	__be16	change, reserved;
	struct gve_rule rule;
	__be32	location;
};
static_assert(sizeof(struct gve_rule_command) == 92);

enum gve_rule_query { GVE_QUERY_RULES, GVE_QUERY_LOCATIONS, GVE_QUERY_COUNTS };

struct gve_rule_answer {
	__be32	rules, max_rules, here, len;	/* then locations, each with or without its rule */
};
static_assert(sizeof(struct gve_rule_answer) == 16);

/* RSS */
#define GVE_RSS_KEY		40
#define GVE_RSS_TABLE		128
#define GVE_RSS_TOEPLITZ	BIT(0)
enum gve_rss_type {
	GVE_RSS_IP4, GVE_RSS_TCP4, GVE_RSS_IP6, GVE_RSS_IP6_EX, GVE_RSS_TCP6,
	GVE_RSS_TCP6_EX, GVE_RSS_UDP4, GVE_RSS_UDP6, GVE_RSS_UDP6_EX,
};

struct gve_rss_answer {
	__be32	len;
	__be16	types;
	u8	algorithm, reserved;
	u8	key[GVE_RSS_KEY];
	__be32	table[GVE_RSS_TABLE];
};
static_assert(sizeof(struct gve_rss_answer) == 560);

/* Sending. Descriptors are 16 bytes; the ninth byte is their type. */
struct gve_tx_slot {
	union {
		__le64	address;
		struct {
			__le32	total;		/* 0-23: payload of the burst */
			__le16	mss;		/* 0-13 */
			u8	header_len, metadata;
		} burst;
	};
	u8	kind, reserved;
	__le16	reserved1;
	__le16	tag;
	__le16	len;		/* 0-13 */
};
static_assert(sizeof(struct gve_tx_slot) == 16);
#define GVE_TX_TYPE		GENMASK(4, 0)
#define   GVE_TX_CONTEXT	0x4
#define   GVE_TX_BURST		0x5
#define   GVE_TX_DATA		0xc
#define GVE_TX_END		BIT(5)	/* of data */
#define GVE_TX_SEGMENT		BIT(5)	/* of a burst */
#define GVE_TX_CHECKSUM		BIT(6)
#define GVE_TX_REPORT		BIT(7)
#define GVE_TX_LEN		GENMASK(13, 0)
#define GVE_TX_TOTAL		GENMASK(23, 0)

/* The limits of the device */
#define GVE_TX_MAX_BUFFERS	10	/* a packet or a segment of a burst */
#define GVE_TX_MIN_LEN		17	/* a packet that is not a burst */
#define GVE_TX_MAX_LEN		9728
#define GVE_TX_MIN_MSS		88
#define GVE_TX_MAX_MSS		9728

struct gve_tx_done {
	__le16	what;		/* 0-10: queue; then type and generation */
	__le16	value;
	__le32	reserved;
};
static_assert(sizeof(struct gve_tx_done) == 8);
#define GVE_TX_DONE_QUEUE	GENMASK(10, 0)
#define GVE_TX_DONE_TYPE	GENMASK(13, 11)
#define   GVE_TX_DONE_PACKET	2
#define   GVE_TX_DONE_SLOTS	4
#define GVE_TX_DONE_GENERATION	BIT(15)

/* Receiving: buffers */
struct gve_rx_slot {
	__le16	id, reserved;
	__le32	reserved1;
	__le64	address, header_address;
	__le64	reserved2;
};
static_assert(sizeof(struct gve_rx_slot) == 32);

/* Receiving: the contents of a buffer */
struct gve_rx_done {
	u8	format;
	u8	flags;
	__le16	ptype;
	__le16	len;		/* 0-13: bytes in the buffer; generation */
	__le16	header;		/* 0-9: bytes in the header buffer; RSC, split */
	u8	status;
	u8	reserved[3];
	__le16	id;		/* of the buffer */
	__le16	mss;		/* of a coalesced packet */
	__le32	hash;
	__le32	reserved1[2];
	__le32	timestamp;
};
static_assert(sizeof(struct gve_rx_done) == 32);
#define GVE_RX_FORMAT		1
#define GVE_RX_ERROR		BIT(2)	/* flags */
#define GVE_RX_GENERATION	BIT(14)	/* len */
#define GVE_RX_COALESCED	BIT(10)	/* header */
#define GVE_RX_SPLIT		BIT(11)
#define GVE_RX_DONE		BIT(0)	/* status */
#define GVE_RX_END		BIT(1)
#define GVE_RX_HEADER_TOO_LONG	BIT(2)
#define GVE_RX_PARSED		BIT(3)
#define GVE_RX_BAD_IP_CHECKSUM	BIT(4)
#define GVE_RX_BAD_L4_CHECKSUM	BIT(5)

#endif
