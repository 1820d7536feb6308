// SPDX-License-Identifier: GPL-2.0
/* Access registers: the port's speed, MTU and state; and the link. */
#include <linux/if_vlan.h>
#include <linux/mlx5/port.h>

#include "mlx5.h"

#define CX_FILE		12
#define CX_PORT		1	/* there is one */
#define CX_MTU_MAX	10000
#define CX_MTU_DEFAULT	(VLAN_ETH_FRAME_LEN + CX_FCS)
/* A copper cable of four lanes, and its lower speeds. */
#define CX_SPEEDS	(BIT(MLX5E_100GBASE_CR4) | BIT(MLX5E_50GBASE_CR2) | \
			 BIT(MLX5E_40GBASE_CR4) | BIT(MLX5E_25GBASE_CR) | BIT(MLX5E_10GBASE_CR))
/* PTYS's connector type. */
#define CX_COPPER	MLX5_PTYS_CONNECTOR_TYPE_PORT_DA

struct cx_register {
	u16	id;
	u16	len;		/* bytes */
	bool	(*write)(struct lab_device *dev, const u8 *in);	/* false: refused */
	void	(*read)(struct lab_device *dev, const u8 *in, u8 *out);
};

static bool cx_write_ptys(struct lab_device *dev, const u8 *in)
{
	u32 wanted = MLX5_GET(ptys_reg, in, eth_proto_admin);

	if (MLX5_GET(ptys_reg, in, proto_mask) != MLX5_PTYS_EN || !wanted ||
	    wanted & ~CX_SPEEDS)
		return false;
	cx_of(dev)->port.speeds = wanted;
	return true;
}

/* The fastest of the speeds that the driver allows. */
static u32 cx_speed(const struct cx_port *port)
{
	static const u8 order[] = { MLX5E_100GBASE_CR4, MLX5E_50GBASE_CR2, MLX5E_40GBASE_CR4,
				    MLX5E_25GBASE_CR, MLX5E_10GBASE_CR };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(order); i++)
		if (port->speeds & BIT(order[i]))
			return BIT(order[i]);
	return 0;
}

static void cx_read_ptys(struct lab_device *dev, const u8 *in, u8 *out)
{
	struct cx_port *port = &cx_of(dev)->port;

	MLX5_SET(ptys_reg, out, local_port, CX_PORT);
	MLX5_SET(ptys_reg, out, proto_mask, MLX5_PTYS_EN);
	MLX5_SET(ptys_reg, out, an_disable_cap, 1);
	MLX5_SET(ptys_reg, out, connector_type, CX_COPPER);
	MLX5_SET(ptys_reg, out, eth_proto_capability, CX_SPEEDS);
	MLX5_SET(ptys_reg, out, eth_proto_admin, port->speeds);
	MLX5_SET(ptys_reg, out, eth_proto_oper, cx_link_up(dev) ? cx_speed(port) : 0);
}

static bool cx_write_pmtu(struct lab_device *dev, const u8 *in)
{
	u32 mtu = MLX5_GET(pmtu_reg, in, admin_mtu);

	if (mtu < ETH_ZLEN || mtu > CX_MTU_MAX)
		return false;
	cx_of(dev)->port.mtu = mtu;
	return true;
}

static void cx_read_pmtu(struct lab_device *dev, const u8 *in, u8 *out)
{
	MLX5_SET(pmtu_reg, out, local_port, CX_PORT);
	MLX5_SET(pmtu_reg, out, max_mtu, CX_MTU_MAX);
	MLX5_SET(pmtu_reg, out, admin_mtu, cx_of(dev)->port.mtu);
	MLX5_SET(pmtu_reg, out, oper_mtu, cx_of(dev)->port.mtu);
}

static bool cx_write_paos(struct lab_device *dev, const u8 *in)
{
	u8 state = MLX5_GET(paos_reg, in, admin_status);

	if (!MLX5_GET(paos_reg, in, ase))
		return true;
	if (state != MLX5_PORT_UP && state != MLX5_PORT_DOWN)
		return false;
	cx_of(dev)->port.up = state == MLX5_PORT_UP;
	return true;
}

static void cx_read_paos(struct lab_device *dev, const u8 *in, u8 *out)
{
	MLX5_SET(paos_reg, out, local_port, CX_PORT);
	MLX5_SET(paos_reg, out, admin_status,
		 cx_of(dev)->port.up ? MLX5_PORT_UP : MLX5_PORT_DOWN);
	MLX5_SET(paos_reg, out, oper_status, cx_link_up(dev) ? MLX5_PORT_UP : MLX5_PORT_DOWN);
}

/* Neither side sends or accepts pause frames. */
static bool cx_write_pfcc(struct lab_device *dev, const u8 *in)
{
	return !MLX5_GET(pfcc_reg, in, pptx) && !MLX5_GET(pfcc_reg, in, pprx) &&
	       !MLX5_GET(pfcc_reg, in, pfctx) && !MLX5_GET(pfcc_reg, in, pfcrx);
}

static void cx_read_pfcc(struct lab_device *dev, const u8 *in, u8 *out)
{
	MLX5_SET(pfcc_reg, out, local_port, CX_PORT);
}

static void cx_read_pmlp(struct lab_device *dev, const u8 *in, u8 *out)
{
	MLX5_SET(pmlp_reg, out, local_port, CX_PORT);
	MLX5_SET(pmlp_reg, out, width, 4);
}

/* The first byte is the host's byte order; it is an x86. */
static bool cx_write_host(struct lab_device *dev, const u8 *in)
{
	return !in[0];
}

static void cx_read_host(struct lab_device *dev, const u8 *in, u8 *out)
{
}

/* The driver's timeouts. For 0 it uses its own values. */
static void cx_read_dtor(struct lab_device *dev, const u8 *in, u8 *out)
{
}

static const struct cx_register cx_registers[] = {
	{ MLX5_REG_PTYS, MLX5_ST_SZ_BYTES(ptys_reg), cx_write_ptys, cx_read_ptys },
	{ MLX5_REG_PMTU, MLX5_ST_SZ_BYTES(pmtu_reg), cx_write_pmtu, cx_read_pmtu },
	{ MLX5_REG_PAOS, MLX5_ST_SZ_BYTES(paos_reg), cx_write_paos, cx_read_paos },
	{ MLX5_REG_PFCC, MLX5_ST_SZ_BYTES(pfcc_reg), cx_write_pfcc, cx_read_pfcc },
	{ MLX5_REG_PMLP, MLX5_ST_SZ_BYTES(pmlp_reg), NULL, cx_read_pmlp },
	{ MLX5_REG_HOST_ENDIANNESS, 16, cx_write_host, cx_read_host },
	{ MLX5_REG_DTOR, MLX5_ST_SZ_BYTES(dtor_reg), NULL, cx_read_dtor },
	{ MLX5_REG_PPCNT, MLX5_ST_SZ_BYTES(ppcnt_reg), NULL, cx_read_ppcnt },
};

/* An unknown register is refused like a wrong parameter. */
u8 cx_access_register(struct lab_device *dev, struct cx_message *m)
{
	u16 id = MLX5_GET(access_register_in, m->in, register_id);
	const u8 *in = MLX5_ADDR_OF(access_register_in, m->in, register_data);
	u8 *out = MLX5_ADDR_OF(access_register_out, m->out, register_data);
	bool write = !m->op_mod;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cx_registers); i++) {
		const struct cx_register *r = &cx_registers[i];

		if (r->id != id)
			continue;
		if (m->in_len < MLX5_ST_SZ_BYTES(access_register_in) + r->len)
			return CX_REFUSE(m, BAD_INP_LEN_ERR);
		if (m->out_len < MLX5_ST_SZ_BYTES(access_register_out) + r->len)
			return CX_REFUSE(m, BAD_OUTP_LEN_ERR);
		if (write && (!r->write || !r->write(dev, in)))
			return CX_REFUSE(m, BAD_PARAM_ERR);
		r->read(dev, in, out);
		cx_link_check(dev);
		return 0;
	}
	return CX_REFUSE(m, BAD_PARAM_ERR);
}

void cx_port_reset(struct lab_device *dev)
{
	struct cx_port *port = &cx_of(dev)->port;

	port->up = true;
	port->mtu = CX_MTU_DEFAULT;
	port->speeds = CX_SPEEDS;
	port->was_up = cx_link_up(dev);
}

/* Both ends of the wire must want it, if the other end says so. */
bool cx_link_up(struct lab_device *dev)
{
	const struct lab_device *peer = dev->peer;

	if (!dev->link || !cx_of(dev)->port.up || cx_of(dev)->broken)
		return false;
	if (!peer || peer->kind != &lab_mlx5)
		return true;
	return peer->link && cx_of(dev->peer)->port.up && !cx_of(dev->peer)->broken;
}

void cx_link_check(struct lab_device *dev)
{
	struct cx_port *port = &cx_of(dev)->port;
	bool up = cx_link_up(dev);

	if (up == port->was_up)
		return;
	port->was_up = up;
	port->link_downs += !up;
	cx_event_port(dev, up);
}

bool cx_too_long(struct lab_device *dev, const struct lab_packet *packet)
{
	u32 len = cx_frames(packet) > 1 ? packet->header_len + packet->mss : packet->len;

	/* The register always includes the length of a tag. */
	return len + CX_FCS > cx_of(dev)->port.mtu;
}
