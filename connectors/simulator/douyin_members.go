package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// What one member call may ask.
const (
	douyinMaxMembers  = 10
	douyinMaxUnionIDs = 20
	douyinMaxByUnion  = 10
	douyinMaxReplaced = 100
)

// The errors of the member methods.
const (
	douyinNoMembership  = 628145002
	douyinOpenIDInvalid = 628145003
	douyinNotMember     = 628145004
	douyinUnionInvalid  = 628145021
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

// memberOpenIDs serves member.batchGetOpenIdListByUnionId: the open ids of a
// member in the brand's shops, of which there is one. A wrong union id fails
// the whole call.
func (d *douyin) memberOpenIDs(params douyinParams) (any, *douyinFault) {
	if d.opts.NoMembership {
		return nil, douyinBusiness(douyinNoMembership, "店铺未开通会员通")
	}
	ids := params.texts("union_id_list")
	if len(ids) == 0 {
		return nil, &douyinFault{40002, "缺少业务参数", "isv.missing-parameter", "缺少union_id_list"}
	}
	if len(ids) > douyinMaxByUnion {
		return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "union_id_list过长"}
	}
	infos := []any{}
	for _, id := range ids {
		account, ok := d.accountByUnionID(id)
		if !ok || !account.Member {
			return nil, douyinBusiness(douyinUnionInvalid, "union_id不合法")
		}
		infos = append(infos, map[string]any{"success": true, "union_id": id,
			"open_id_list": []any{map[string]any{"shop_id": d.credentials.ShopID, "open_id": account.ID}}})
	}
	return map[string]any{"open_ids_info_list": infos}, nil
}

func (d *douyin) accountByUnionID(id string) (Account, bool) {
	index, ok := d.world.unhide("dunion", strings.TrimPrefix(id, "du"))
	if !ok {
		return Account{}, false
	}
	account, ok := d.world.AccountAt(PlatformDouyin, index)
	return account, ok && account.UnionID == id
}

// openIDSwitch serves open.openIdSwitch: the shop's app is bound to no
// mini-app.
func (d *douyin) openIDSwitch(params douyinParams) (any, *douyinFault) {
	if !params.has("open_id") {
		return nil, &douyinFault{40002, "缺少业务参数", "isv.missing-parameter", "缺少open_id"}
	}
	if kind, ok := params.int("open_id_type", 0); !ok || kind != 1 && kind != 2 {
		return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "open_id_type不合法"}
	}
	return nil, douyinBusiness(300010, "应用未绑定小程序")
}

// openIDReplace serves open.openId.replace. The world's ids were never issued
// anew: each is its own successor, and one of nobody has none.
func (d *douyin) openIDReplace(params douyinParams) (any, *douyinFault) {
	ids := params.texts("open_ids")
	if len(ids) == 0 {
		return nil, &douyinFault{40002, "缺少业务参数", "isv.missing-parameter", "缺少open_ids"}
	}
	if len(ids) > douyinMaxReplaced {
		return nil, &douyinFault{40004, "非法的业务参数", "isv.parameter-invalid", "open_ids过长"}
	}
	successors := map[string]string{}
	for _, id := range ids {
		if _, ok := d.world.AccountByID(PlatformDouyin, id); ok {
			successors[id] = id
		}
	}
	return map[string]any{"open_id_old_to_new_map": successors}, nil
}

// brandList serves shop.brandList: the shop has registered no brand, and an
// empty list is the whole of data.
func (d *douyin) brandList(douyinParams) (any, *douyinFault) { return []any{}, nil }
