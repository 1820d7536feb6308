// SPDX-License-Identifier: GPL-2.0
/* Sets up and tears down the device and its vport. */
#include <linux/if_vlan.h>

#include "mlx5.h"

#define CX_FILE		3
#define CX_ISSI		1

/* Destroys all objects of the driver, as a reset of the function does. */
static void cx_reset(struct lab_device *dev)
{
	cx_objects_reset(dev);
	cx_capabilities_reset(dev);
	cx_vport_reset(dev);
	cx_port_reset(dev);
}

u8 cx_enable_hca(struct lab_device *dev, struct cx_message *m)
{
	cx_reset(dev);
	cx_of(dev)->enabled = true;
	return 0;
}

u8 cx_disable_hca(struct lab_device *dev, struct cx_message *m)
{
	cx_reset(dev);
	cx_of(dev)->enabled = false;
	return 0;
}

u8 cx_init_hca(struct lab_device *dev, struct cx_message *m)
{
	return cx_of(dev)->enabled ? 0 : CX_REFUSE(m, BAD_SYS_STATE_ERR);
}

u8 cx_teardown_hca(struct lab_device *dev, struct cx_message *m)
{
	if (!cx_of(dev)->enabled)
		return CX_REFUSE(m, BAD_SYS_STATE_ERR);
	cx_objects_reset(dev);
	return 0;
}

u8 cx_nothing(struct lab_device *dev, struct cx_message *m)
{
	return 0;
}

u8 cx_query_issi(struct lab_device *dev, struct cx_message *m)
{
	MLX5_SET(query_issi_out, m->out, current_issi, CX_ISSI);
	MLX5_SET(query_issi_out, m->out, supported_issi_dw0, BIT(CX_ISSI));
	return 0;
}

u8 cx_set_issi(struct lab_device *dev, struct cx_message *m)
{
	return MLX5_GET(set_issi_in, m->in, current_issi) == CX_ISSI ?
	       0 : CX_REFUSE(m, BAD_PARAM_ERR);
}

u8 cx_query_adapter(struct lab_device *dev, struct cx_message *m)
{
	static const char board[16] __nonstring = "LAB0000000001   ";

	memcpy(MLX5_ADDR_OF(query_adapter_out, m->out,
			    query_adapter_struct.vsd_contd_psid), board, sizeof(board));
	return 0;
}

/* The only vport is 0, that of the function. */

u8 cx_query_nic_vport(struct lab_device *dev, struct cx_message *m)
{
	if (MLX5_GET(query_nic_vport_context_in, m->in, other_vport))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	memcpy(MLX5_ADDR_OF(query_nic_vport_context_out, m->out, nic_vport_context),
	       cx_of(dev)->vport, sizeof(cx_of(dev)->vport));
	return 0;
}

/* Copies a field that the message selects. */
#define CX_VPORT_FIELD(selected, field)						\
	do {									\
		if (MLX5_GET(modify_nic_vport_context_in, m->in, field_select.selected)) \
			MLX5_SET(nic_vport_context, vport, field,		\
				 MLX5_GET(nic_vport_context, from, field));	\
	} while (0)

u8 cx_modify_nic_vport(struct lab_device *dev, struct cx_message *m)
{
	const u8 *from = MLX5_ADDR_OF(modify_nic_vport_context_in, m->in, nic_vport_context);
	u32 *vport = cx_of(dev)->vport;

	if (MLX5_GET(modify_nic_vport_context_in, m->in, other_vport) ||
	    (MLX5_GET(modify_nic_vport_context_in, m->in, field_select.roce_en) &&
	     MLX5_GET(nic_vport_context, from, roce_en)))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	CX_VPORT_FIELD(mtu, mtu);
	CX_VPORT_FIELD(disable_uc_local_lb, disable_uc_local_lb);
	CX_VPORT_FIELD(disable_mc_local_lb, disable_mc_local_lb);
	CX_VPORT_FIELD(promisc, promisc_uc);
	CX_VPORT_FIELD(promisc, promisc_mc);
	CX_VPORT_FIELD(promisc, promisc_all);
	return 0;
}

u8 cx_query_vport_state(struct lab_device *dev, struct cx_message *m)
{
	if (MLX5_GET(query_vport_state_in, m->in, other_vport))
		return CX_REFUSE(m, BAD_PARAM_ERR);
	MLX5_SET(query_vport_state_out, m->out, admin_state, cx_of(dev)->port.up);
	MLX5_SET(query_vport_state_out, m->out, state, cx_link_up(dev));
	return 0;
}

void cx_vport_reset(struct lab_device *dev)
{
	u32 *vport = cx_of(dev)->vport;
	u8 *mac = MLX5_ADDR_OF(nic_vport_context, vport, permanent_address.mac_addr_47_32);

	memset(vport, 0, sizeof(cx_of(dev)->vport));
	MLX5_SET(nic_vport_context, vport, mtu, VLAN_ETH_FRAME_LEN + CX_FCS);
	put_unaligned_be16(0x02c5, mac);
	put_unaligned_be32(0x15b30000 | dev->slot, mac + 2);
}
