package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// What one member call may ask.
const (
	douyinMaxMembers  = 10
	douyinMaxUnionIDs = 20
)

// The errors of the member methods.
const (
	douyinNoMembership  = 628145002
	douyinOpenIDInvalid = 628145003
	douyinNotMember     = 628145004
)

// memberAsked checks what the member methods have in common and gives the
// open ids asked for.
func (d *douyin) memberAsked(params douyinParams, most int) ([]string, *douyinFault) {
	if d.opts.NoMembership {
		return nil, douyinBusiness(douyinNoMembership, "店铺未开通会员通")
	}
	if app, ok := params.int("app_id", 0); !ok || app == 0 {
		return nil, &douyinFault{40002, "缺少业务参数", "isv.missing-parameter", "缺少app_id"}
	}
	ids := params.texts("open_id_list")
	if len(ids) == 0 {
		return nil, &douyinFault{40002, "缺少业务参数", "isv.missing-parameter", "缺少open_id_list"}
	}
	if len(ids) > most {
		return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "open_id_list过长"}
	}
	return ids, nil
}

// memberInfo serves member.mGetMemberInfoByOpenIdList. The mobile is plain
// only for a member with a paid order within 90 days.
func (d *douyin) memberInfo(params douyinParams) (any, *douyinFault) {
	ids, fault := d.memberAsked(params, douyinMaxMembers)
	if fault != nil {
		return nil, fault
	}
	infos := make([]douyinMember, 0, len(ids))
	for _, id := range ids {
		infos = append(infos, d.member(id))
	}
	return map[string]any{"member_infos": infos}, nil
}

func (d *douyin) member(id string) douyinMember {
	account, ok := d.world.AccountByID(PlatformDouyin, id)
	switch {
	case !ok:
		return douyinMember{OpenID: id, ErrCode: douyinOpenIDInvalid, ErrMsg: "open_id不合法或不属于当前店铺"}
	case !account.Member:
		return douyinMember{OpenID: id, ErrCode: douyinNotMember, ErrMsg: "用户不是当前店铺的会员"}
	}
	shown := douyinMember{Success: true, OpenID: id, MixMobile: d.mixMobile(account.Phone), UnionID: account.UnionID,
		Level: 1 + account.Index%4, PointCent: int64(account.Index%500) * 100}
	recent := d.opts.Now().Add(-douyinHistory)
	for _, o := range d.world.OrdersOf(account) {
		if !o.PaidAt.IsZero() && !o.PaidAt.Before(recent) {
			shown.Mobile = account.Phone
		}
	}
	return shown
}

// mixMobile stands for a phone; how the platform makes it is not published.
func (d *douyin) mixMobile(phone string) string {
	mac := hmac.New(sha256.New, []byte(d.credentials.AppSecret))
	_, _ = mac.Write([]byte("mix" + phone)) // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// memberUnionIDs serves member.batchGetUnionIdByOpenIdList; who is no member
// is absent.
func (d *douyin) memberUnionIDs(params douyinParams) (any, *douyinFault) {
	ids, fault := d.memberAsked(params, douyinMaxUnionIDs)
	if fault != nil {
		return nil, fault
	}
	union := map[string]string{}
	for _, id := range ids {
		if member := d.member(id); member.Success {
			union[id] = member.UnionID
		}
	}
	return map[string]any{"union_id_info": union}, nil
}

// historyMemberUnionIDs serves member.batchGetHistoryMemberUnionId.
func (d *douyin) historyMemberUnionIDs(params douyinParams) (any, *douyinFault) {
	ids, fault := d.memberAsked(params, douyinMaxUnionIDs)
	if fault != nil {
		return nil, fault
	}
	infos := []any{}
	for _, id := range ids {
		member := d.member(id)
		infos = append(infos, map[string]any{"success": member.Success, "open_id": id, "union_id": member.UnionID,
			"err_code": member.ErrCode, "err_msg": member.ErrMsg})
	}
	return map[string]any{"union_id_infos": infos}, nil
}
